"""Reports are pure functions of what was judged."""

import json

import pytest

from pytest_mmgates.errors import OutputError
from pytest_mmgates.judge import judge, judge_failed_run, judge_rule
from pytest_mmgates.properties import read_rules, rule_properties
from pytest_mmgates.report.artifacts import artifacts
from pytest_mmgates.report.budgets import iso_time, stage_budgets
from pytest_mmgates.report.files import write_atomically
from pytest_mmgates.report.result import RunResult
from pytest_mmgates.report.run_report import run_report
from pytest_mmgates.report.table import table
from pytest_mmgates.rules import parse_rule

FORMATS = {"md", "json"}
LEGACY_STAGE = {"p50_ms", "p95_ms", "p99_ms", "mean_ms", "max_ms"}


def written(results, out, formats=FORMATS):
    """Every file that is written, with its text."""
    files = artifacts(results, "demo", out, lambda _step: formats)
    return {path: text for path, text in files.items() if text is not None}


@pytest.fixture
def result_of(make_run, shadow_gate):
    def make(**settings):
        run = make_run(**settings)
        return RunResult("shadow", "demo", "demo", "pytest -m shadow", run, None, [judge(shadow_gate, run)])

    return make


@pytest.fixture
def failed(shadow_gate):
    verdicts = [judge_failed_run(shadow_gate, "abc.zst:17: corrupt | frame")]
    return RunResult(
        "shadow", "demo", "demo", "pytest -m shadow", None, "abc.zst:17: corrupt | frame", verdicts
    )


def test_equal_input_gives_equal_bytes(result_of, tmp_path):
    """Two runs of equal content in different directories."""
    first, second = result_of(), result_of()
    assert first.log.directory != second.log.directory
    assert [*written([first], tmp_path).values()] == [*written([second], tmp_path).values()]


def test_budgets_keep_the_legacy_keys(result_of):
    budgets = stage_budgets(result_of(wait_ms=5, misses=0.01))
    assert budgets["generated_at"] == "2023-11-14T23:14:00.000Z"
    assert (budgets["test_duration_min"], budgets["tick_count"]) == (60, 3601)
    assert list(budgets["stages"]) == ["fetch_md", "spread", "guards", "inventory", "queue_aware", "emit"]
    for stage in budgets["stages"].values():
        assert set(stage) >= LEGACY_STAGE
    assert set(budgets["tick_total"]) >= {*LEGACY_STAGE, "deadline_ms", "deadline_miss_rate"}
    assert budgets["tick_total"]["deadline_ms"] == 200
    assert budgets["tick_total"]["deadline_miss_rate"] == pytest.approx(0.01, rel=0.02)
    assert set(budgets["md_cache"]) == {
        *("hit_ratio", "stale_ratio", "miss_ratio", "reads_per_update", "ttl_ms", "age_ms"),
    }
    assert set(budgets["md_cache"]["age_ms"]) == {"p50", "p95", "p99", "max"}
    fetch = budgets["stages"]["fetch_md"]
    assert (fetch["p95_ms"], fetch["p95_measured_ms"], fetch["p95_modelled_ms"]) == (9, 4, 5)


@pytest.mark.parametrize(("hits", "label"), [(0.9, "PASS (SYNTHETIC)"), (0.5, "FAIL (SYNTHETIC)")])
def test_artifacts_agree_with_the_verdict(result_of, tmp_path, hits, label):
    files = {path.name: text for path, text in written([result_of(hits=hits)], tmp_path).items()}
    assert json.loads(files["shadow.json"])["label"] == label
    assert json.loads(files["stage_budgets.json"])["label"] == label
    assert files["shadow_report.md"].startswith(f"# shadow run on demo: {label}\n")
    assert "**SYNTHETIC.**" in files["shadow_report.md"]


def test_recorded_data_carry_no_synthetic_word(result_of, tmp_path):
    assert "SYNTHETIC" not in "".join(written([result_of(kind="recorded")], tmp_path).values())


def test_the_report_names_what_made_its_numbers(result_of):
    result = result_of(wait_ms=5)
    text = run_report(result)
    for words in (
        "ttl_ms is 500.",
        "queue: risk_averse",
        "seed 7",
        result.log.manifest.run_digest,
        "ef" * 32,
        "MODELLED",
        "virtual clock",
    ):
        assert words in text
    assert text.endswith("Run it again: `pytest -m shadow`\n")


def test_the_worst_rule_stands_first(result_of):
    lines = run_report(result_of(misses=0.5)).splitlines()
    first = lines[lines.index("|---|---|---|---|---|---|---|---|---|") + 1]
    assert first.startswith("| FAIL (SYNTHETIC) | deadline_miss.ratio < 2% | 49.99% | 2% |")


def test_a_failed_run_has_reasons_and_no_numbers(failed, tmp_path):
    files = {path.name: text for path, text in written([failed], tmp_path).items()}
    budgets = json.loads(files["stage_budgets.json"])
    assert (budgets["verdict"], budgets["reason"]) == ("NO_DATA", "abc.zst:17: corrupt | frame")
    assert set(budgets["stages"]["fetch_md"].values()) == {None}
    assert budgets["tick_total"]["deadline_miss_rate"] is budgets["md_cache"]["ttl_ms"] is None
    report = files["shadow_report.md"]
    assert "# shadow run on demo: NO_DATA\n" in report
    assert "corrupt \\| frame" in report
    assert "Stages" not in report


def test_other_scenarios_write_under_their_own_names(result_of, tmp_path):
    result = result_of()
    other = RunResult("shadow", "eth", "eth", "pytest", result.log, None, result.verdicts)
    names = [path.relative_to(tmp_path).as_posix() for path in written([result, other], tmp_path)]
    assert names == [
        "verdicts/shadow.json",
        "baseline/stage_budgets.json",
        "md_cache/shadow_report.md",
        "verdicts/shadow.eth.json",
        "baseline/stage_budgets.eth.json",
        "md_cache/shadow_report.eth.md",
    ]


def test_files_are_written_all_or_none(tmp_path):
    (tmp_path / "old").write_text("old")
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError, match="is a directory"):
        write_atomically({tmp_path / "old": "new", tmp_path / "taken": "new"})
    assert (tmp_path / "old").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old", "taken"]


def test_a_rule_travels_as_scalars(make_run, shadow_gate):
    verdicts = [
        judge_rule(parse_rule(text), shadow_gate, make_run())
        for text in (
            "net_bps >= 0",
            "book.gaps == 0",
            "fills.count > 1000",
            'fetch_md.p95{symbol="x:Y"} < 1s',
        )
    ]
    properties = [pair for verdict in verdicts for pair in rule_properties(verdict)]
    assert json.loads(json.dumps(properties)) == [list(pair) for pair in properties]
    assert read_rules([("mmgate.step", "shadow"), *properties]) == verdicts


def test_the_table_is_ascii_and_worst_first(make_run, shadow_gate):
    run = make_run(hits=0.5)
    rows = [("demo", judge_rule(rule, shadow_gate, run)) for rule in shadow_gate.require]
    lines = table([*rows, ("démo→", judge_rule(parse_rule("net_bps > 1"), shadow_gate, make_run(fills=0)))])
    assert lines[1].startswith("FAIL (SYNTHETIC)     shadow")
    assert lines[2].startswith("NO_DATA (SYNTHETIC)")
    assert all(line.isascii() for line in lines)


def test_virtual_times_are_utc():
    assert iso_time(1_700_000_040_123_456_789) == "2023-11-14T22:14:00.123Z"
    assert iso_time(None) is None
