"""The manifest of the whole: sums, joined facts, one digest, and nothing that the parts do not agree on."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mmgates.errors import RunlogError
from pytest_mmgates.loader import load
from pytest_mmgates.parts import whole_manifest, write_whole_manifest


@pytest.fixture(scope="module")
def part(foreign_bot):
    """`part("ONE", status="halted")`: the manifest of a part on a symbol of its name."""

    def make(symbol, **changes):
        settings = {**foreign_bot.SETTINGS, "symbol": symbol}
        content = foreign_bot.manifest_of(settings, {"ticks": 10, "fills": 2})
        return {**copy.deepcopy(content), "run_id": "r1", "scenario": "demo", "part": symbol, **changes}

    return make


def test_counts_add_up_and_times_span(part):
    one = part("ONE", started_ns=5, ended_ns=50)
    two = part("TWO", started_ns=3, ended_ns=40, counts={"ticks": 7, "fills": 0, "halts": 1})
    whole = whole_manifest({"ONE": one, "TWO": two})
    assert whole["counts"] == {"ticks": 17, "fills": 2, "halts": 1}
    assert (whole["started_ns"], whole["ended_ns"]) == (3, 50)
    assert [item["symbol"] for item in whole["instruments"]] == ["ONE", "TWO"]
    assert (whole["part"], whole["status"], whole["reason"]) == (None, "complete", None)


def test_a_part_without_an_end_leaves_the_whole_without_one(part):
    parts = {"ONE": part("ONE"), "TWO": part("TWO", status="running", ended_ns=None)}
    whole = whole_manifest(parts)
    assert (whole["status"], whole["ended_ns"]) == ("running", None)


def test_the_first_part_that_is_not_complete_says_why(part):
    parts = {
        "ONE": part("ONE"),
        "TWO": part("TWO", status="halted", reason="red button"),
        "SIX": part("SIX", status="failed", reason="x"),
    }
    whole = whole_manifest(parts)
    assert (whole["status"], whole["reason"]) == ("halted", "part TWO: red button")
    assert [entry["status"] for entry in whole["parts"]] == ["complete", "halted", "failed"]


def test_facts_that_differ_are_all_named(part):
    models = {"queue": "risk_averse", "market_impact": "none"}
    whole = whole_manifest(
        {"ONE": part("ONE"), "TWO": part("TWO", models={**models, "queue": "power_law"}, host={"cpus": 8})}
    )
    assert whole["models"] == {"queue": "risk_averse or power_law", "market_impact": "none"}
    assert whole["host"]["cpus"] == "2 or 8"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 8}, "part TWO: seed was 8, expected 7 as in part ONE"),
        ({"config_sha256": "00"}, "part TWO: config_sha256 was 00, expected ef"),
        ({"clock": "wall"}, "part TWO: clock was wall, expected virtual as in part ONE"),
        ({"run_id": "r2"}, "part TWO: run_id was r2, expected r1 as in part ONE"),
    ],
)
def test_parts_that_do_not_agree_are_no_run(part, changes, message):
    with pytest.raises(RunlogError, match=message):
        whole_manifest({"ONE": part("ONE"), "TWO": part("TWO", **changes)})


def test_two_days_of_one_symbol_agree_on_its_instrument(part):
    first, second = part("ONE"), part("ONE")
    whole = whole_manifest({"ONE-1": first, "ONE-2": second})
    assert len(whole["instruments"]) == 1
    assert len(whole["data"]["feeds"]) == 2
    second["instruments"][0]["contract_value"] = 2.0
    with pytest.raises(RunlogError, match=r"part ONE-2: instrument paper:ONE was .* as in part ONE-1"):
        whole_manifest({"ONE-1": first, "ONE-2": second})


DIGESTS = st.lists(st.text("0123456789abcdef", min_size=1, max_size=4), min_size=1, max_size=4)


@given(DIGESTS, DIGESTS)
def test_digests_are_equal_only_if_those_of_all_parts_are(part, one, other):
    def digest(digests):
        names = [f"P{index}" for index in range(len(digests))]
        return whole_manifest(
            {name: part(name, run_digest=value) for name, value in zip(names, digests, strict=True)}
        )["run_digest"]

    assert (digest(one) == digest(other)) == (one == other)


def test_a_part_without_a_digest_leaves_the_whole_without_one(part):
    assert whole_manifest({"ONE": part("ONE", run_digest=None), "TWO": part("TWO")})["run_digest"] is None


@pytest.fixture
def two_days(foreign_bot, tmp_path):
    """A run of one symbol in two parts, an hour each, on disk."""
    for name in ("ONE-1", "ONE-2"):
        foreign_bot.write_run(tmp_path / "parts" / name, {"symbol": "ONE"})
    write_whole_manifest(tmp_path, ["ONE-1", "ONE-2"])
    return tmp_path


def test_a_symbol_is_played_as_long_as_all_its_parts(two_days):
    run = load(two_days)
    assert run.symbols == ("paper:ONE",)
    assert run.duration_ns == run.of("paper:ONE").covered_ns == 2 * 3600 * 10**9
    assert run.of(None).ticks == sum(part.of(None).ticks for part in run.parts) == 2 * 3601


def test_a_part_that_was_exchanged_is_refused(two_days):
    path = two_days / "parts" / "ONE-2" / "manifest.json"
    held = load(two_days).parts[1].manifest.run_digest
    path.write_text(path.read_text().replace(held, "34" * 32))
    with pytest.raises(RunlogError, match="ONE-2: holds run digest 3434"):
        load(two_days)
