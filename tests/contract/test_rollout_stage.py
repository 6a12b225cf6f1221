"""The shipped bot at a live stage of an experiment, on the virtual clock: judged by arm, and rolled back."""

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.mmbot.builders import MARKET, START_NS, linear, scenario_file
from tests.mmbot.experiment.plans import written

ROOT = Path(__file__).parents[2]
INI = """
[pytest]
mmgates_sut = mmbot.sut:open_run
mmgates_experiment = mmbot.sut:open_experiment
mmgates_rollout = mmbot.sut:record_rollout
"""
SECTIONS = {"pipeline": {"tick_interval_ms": 250}, "telemetry": {"sample_interval_s": 10}}
GATE = """\
gate: ab
evidence: {duration: ">= 1m", ticks: ">= 100", source: [synthetic]}
owner: nobody
runbook: none.md
accept: ["delta(net_bps) >= 0.2bps by sequence(0.975), pairs >= 24"]
safety: ["B.deadline_miss.ratio[10s] < 2% for 10s, n >= 20"]
"""


MISSES = "B.deadline_miss.ratio[10s] < 2% for 10s, n >= 20"
SLIPPAGE = "delta(slippage_bps) <= 0bps by sequence(0.975), pairs >= 24"
NEAR = "spread: {base_bps: 0.5, min_bps: 0.2}\n"
FAR = "spread: {base_bps: 2.5, min_bps: 0.2}\n"


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Two symbols and sixteen minutes."""
    path = pytester.path
    instrument = msgspec.to_builtins(linear())
    del instrument["symbol"], instrument["base"]
    settings = {name: value for name, value in MARKET.items() if name != "symbol"} | {
        "duration_s": 970.0,
        "trades_per_s": 4.0,
    }
    symbols = {"SYNTH01USDT": {"base": "S1", "seed": 1}, "SYNTH02USDT": {"base": "S2", "seed": 2}}
    market = {"start_ns": START_NS, "instrument": instrument, "settings": settings, "symbols": symbols}
    scenario_file(path / "scenarios", "two", market=market, duration="960s", config=SECTIONS)
    shutil.copy(ROOT / "config.yaml", path)
    for folder in ("gates", "experiments"):
        (path / folder).mkdir()
    (path / "gates/ab.yaml").write_text(GATE)
    (path / "pytest.ini").write_text(INI)
    shutil.copy(ROOT / "scenarios/test_5_ab.py", path / "test_ab.py")
    monkeypatch.setenv("MMBOT_CACHE", str(path / "cache"))
    monkeypatch.setenv("MMBOT_ENGINE", "plain")
    return pytester


def planned(project: pytest.Pytester, candidate: str, **changes: Any) -> None:
    facts: dict[str, Any] = {"arms": {"A": [], "B": ["experiments/wider.b.yaml"]}, "gate": "gates/ab.yaml"}
    facts |= {"block": "20s", "washout": "5s", "switch": "together"} | changes
    (project.path / "experiments/wider.b.yaml").write_text(candidate)
    (project.path / "experiments/wider.yaml").write_bytes(msgspec.json.encode(written(**facts)))


def played(
    project: pytest.Pytester, stage: str = "50", *words: str
) -> tuple[dict[str, Any], dict[str, Any], Path]:
    """The verdict, the run's manifest, and its directory."""
    words = words or (("--mmgates-duration=80s",) if stage == "50" else ())
    project.runpytest_inprocess("-p", "no:asyncio", "-m", "ab", "--mmgates-rollout", stage, *words)
    [directory] = (project.path / "artifacts/runs/ab-wider/live").iterdir()
    verdicts = project.path / "artifacts/verdicts"
    verdict = json.loads((verdicts / "ab.json").read_text())
    assert (verdicts / f"ab.{stage}.json").read_bytes() == (verdicts / "ab.json").read_bytes()
    return verdict, json.loads((directory / "manifest.json").read_text()), directory


def rows(directory: Path, feed: str) -> list[dict[str, Any]]:
    [path] = directory.glob(f"{feed}_*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_stage_that_is_not_decided_is_played_to_the_end_of_the_tape(project: pytest.Pytester) -> None:
    """The plan has pairs for two hours."""
    planned(project, "spread: {base_bps: 3.5}\n")
    verdict, manifest, directory = played(project)
    accept, safety = verdict["rules"]
    assert (safety["verdict"], accept["verdict"]) == ("PASS", "INCONCLUSIVE")
    assert (manifest["status"], manifest["reason"], manifest["arm"]) == ("complete", None, "AB")
    assert manifest["ended_ns"] - manifest["started_ns"] == pytest.approx(970e9, abs=2e9)
    assert "of at most 336 pairs: the market ended, and no tape is looped" in accept["reason"]
    assert {row["arm"] for row in rows(directory, "pipeline_ticks")} == {"A", "B"}
    blocks = [row["detail"] for row in rows(directory, "events") if row["kind"] == "arm_block"]
    facts = json.loads((directory.parents[1] / "experiment.json").read_text())
    assert len(blocks) == len(facts["blocks"]) == 98
    keys = ("cluster", "index", "pair", "arm", "start_ns", "end_ns")
    told = {tuple(block.get(key, block.get("block")) for key in keys) for block in blocks}
    assert told == {tuple(block[key] for key in keys) for block in facts["blocks"]}
    assert not (project.path / "artifacts/edge/rollout").exists()


def test_a_stage_of_ten_per_cent_passes_in_the_time_that_it_asks_for(project: pytest.Pytester) -> None:
    """Eight pairs, and as many fills as there are: the rules ask for more, and say so."""
    few = (
        'safety: ["delta(slippage_bps) <= 0bps by sequence(0.975), pairs >= 24",'
        ' "B.taker_share[2m] <= 9%, n >= 5000, no_data wait"]'
    )
    text = GATE.replace('safety: ["B.deadline_miss.ratio[10s] < 2% for 10s, n >= 20"]', few)
    (project.path / "gates/ab.yaml").write_text(text)
    stages = written()["stages"] | {"10": {"duration": "60s", "pairs": 8}}
    (project.path / "near.yaml").write_text("spread: {base_bps: 0.5, min_bps: 0.2}\n")
    apart = {"block": "20s", "washout": "2s", "switch": "apart", "config": ["config.yaml", "near.yaml"]}
    planned(project, "spread: {base_bps: 0.5}\n", **apart, stages=stages)
    verdict, manifest, _ = played(project, "10")
    assert manifest["ended_ns"] - manifest["started_ns"] == 840e9
    accept, slippage, takers = verdict["rules"]
    assert [rule["verdict"] for rule in verdict["rules"]] == ["PASS"] * 3, verdict["rules"]
    assert "8 of 8 pairs, traded in 8" in accept["reason"]
    assert (slippage["n"], takers["value"]) == (8, 0.0)
    assert "the rule asks for 24" in slippage["reason"]
    assert takers["reason"].startswith(f"all that was seen, {takers['n']} fills; never more than")


def test_a_candidate_that_breaks_a_rule_of_safety_is_rolled_back_and_the_baseline_is_proven(
    project: pytest.Pytester,
) -> None:
    planned(project, "pipeline: {deadline_ms: 0.00001}\n")
    verdict, manifest, directory = played(project)
    _, safety = verdict["rules"]
    assert (verdict["verdict"], safety["verdict"]) == ("FAIL", "FAIL")
    events = rows(directory, "events")
    [asked] = [row for row in events if row["kind"] == "course" and row["detail"]["course"] == "baseline"]
    [back] = [row for row in events if row["kind"] == "course_in_force"][1:]
    assert asked["detail"]["reason"].startswith("stop rule deadline_miss.ratio[10s]")
    assert back["detail"]["majors.config_sha256"] == manifest["config_sha256"]
    assert manifest["reason"] == asked["detail"]["reason"]
    candidate_ns = [row["ts_ns"] for row in rows(directory, "pipeline_ticks") if row["arm"] == "B"]
    baseline_ns = [row["ts_ns"] for row in rows(directory, "pipeline_ticks") if row["arm"] == "A"]
    assert candidate_ns
    assert max(candidate_ns) < back["ts_ns"] <= max(baseline_ns)


@pytest.mark.parametrize("asked_s", [None, 350])
def test_a_stage_is_played_until_it_is_decided_and_no_shorter_than_was_asked_for(
    project: pytest.Pytester, asked_s: int | None
) -> None:
    """Who quotes farther from the mid earns more on what trades. 24 pairs take 264 s, the plan asks for
    60, and the market has 970.
    """
    (project.path / "gates/ab.yaml").write_text(GATE.replace(MISSES, SLIPPAGE))
    (project.path / "base.yaml").write_text(NEAR)
    shape = {"block": "11s", "washout": "4s", "switch": "apart", "config": ["config.yaml", "base.yaml"]}
    stages = written()["stages"] | {"50": {"duration": "60s", "pairs": 8}}
    planned(project, "spread: {base_bps: 3.5, min_bps: 0.2}\n", **shape, stages=stages, max_pairs=80)
    words = ["--mmgates-seed=1", *([] if asked_s is None else [f"--mmgates-duration={asked_s}s"])]
    verdict, manifest, directory = played(project, "50", *words)
    accept, pairs = verdict["rules"][0], verdict["rules"][0]["n"]
    assert (accept["verdict"], verdict["decision"]) == ("PASS", "ACCEPT")
    reason = f"decided: ACCEPT after {pairs} of at most 80 pairs: {verdict['decision_reason']}"
    assert (manifest["status"], manifest["reason"]) == ("complete", reason)
    facts = json.loads((directory.parents[1] / "experiment.json").read_text())
    assert (facts["minimum_ns"], facts["horizon_ns"]) == ((asked_s or 60) * 10**9, (880 + 64) * 10**9)
    [report] = (project.path / "artifacts/edge/reports").glob("*.md")
    words = (
        f"Played until it is decided, after {asked_s or 60} s at the earliest and 944 s at the latest. Ended"
    )
    assert words in report.read_text()
    assert reason in report.read_text()
    decided_ns = sorted(block["end_ns"] for block in facts["blocks"])[2 * pairs - 1]
    assert 64 < (manifest["ended_ns"] - decided_ns) / 1e9 < 64 + 40, "a pair or two, and batches of 10 s"
    assert pairs == 24 if asked_s is None else pairs > 24
    assert manifest["ended_ns"] - manifest["started_ns"] > facts["minimum_ns"]


@pytest.mark.parametrize(("baseline", "candidate"), [(FAR, NEAR), (NEAR, FAR)], ids=["slips", "does not"])
def test_a_candidate_that_slips_is_rolled_back_at_a_pair(
    project: pytest.Pytester, baseline: str, candidate: str
) -> None:
    """Who quotes nearer to the mid trades at worse prices; the other way round, at better ones."""
    text = GATE.replace(MISSES, SLIPPAGE)
    (project.path / "gates/ab.yaml").write_text(text)
    (project.path / "base.yaml").write_text(baseline)
    shape = {"block": "20s", "washout": "2s", "switch": "apart", "config": ["config.yaml", "base.yaml"]}
    planned(project, candidate, **shape)
    verdict, manifest, directory = played(project, "50", "--mmgates-duration=all")
    _, slippage = verdict["rules"]
    assert slippage["verdict"] == ("FAIL" if candidate == NEAR else "PASS"), slippage
    courses = [row["detail"] for row in rows(directory, "events") if row["kind"] == "course_in_force"]
    if candidate == FAR:
        assert (manifest["status"], manifest["reason"], len(courses)) == ("complete", None, 1)
        return
    assert 8 <= slippage["n"] < 24
    reason = f"{SLIPPAGE}: {slippage['reason']}, after {slippage['n']} pairs"
    assert (verdict["verdict"], manifest["status"], manifest["reason"]) == ("FAIL", "halted", reason)
    assert courses[-1]["course"] == "baseline"
    assert courses[-1]["majors.config_sha256"] == manifest["config_sha256"]
    assert manifest["ended_ns"] - manifest["started_ns"] < 600e9
    [back] = [row for row in rows(directory, "events") if row["kind"] == "course_in_force"][1:]
    of_candidate = [row["ts_ns"] for row in rows(directory, "pipeline_ticks") if row["arm"] == "B"]
    assert max(of_candidate) < back["ts_ns"], (
        "the baseline is in force when the candidate's last order is gone"
    )
    assert all(row["recv_ns"] <= back["ts_ns"] for row in rows(directory, "fills") if row["arm"] == "B")
    resting = [row for row in rows(directory, "samples") if row["name"] == "resting_orders"]
    assert [row["value"] for row in resting[-2:]] == [0, 0], "and the baseline's, at the end"


def test_more_time_than_the_plan_has_pairs_for_is_refused(project: pytest.Pytester) -> None:
    stages = written()["stages"] | {"50": {"duration": "60s", "pairs": 8}}
    planned(project, NEAR, block="11s", washout="4s", stages=stages, max_pairs=30, switch="apart")
    words = ("-p", "no:asyncio", "-m", "ab", "--mmgates-rollout", "50", "--mmgates-duration=400s")
    project.runpytest_inprocess(*words).stdout.fnmatch_lines(
        ["*plan wider: --mmgates-duration was 400s, expected at most 394 s, in which*"]
    )
    assert not (project.path / "artifacts/runs/ab-wider/live").exists()
