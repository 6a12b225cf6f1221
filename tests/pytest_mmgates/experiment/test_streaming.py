"""Pairs that are judged while rows are written: the same as at the end, whatever the cuts."""

import math
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.pytest_mmgates.experiment.recorded import (
    HOUR,
    START_NS,
    SYMBOLS,
    S,
    facts,
    fill,
    planned,
    rows_of,
    write,
)
from tests.pytest_mmgates.experiment.test_blocks import GATE

from pytest_mmgates.errors import RunlogError
from pytest_mmgates.experiment.blocks import BlockReader, variant_of
from pytest_mmgates.experiment.reading import read_experiment
from pytest_mmgates.experiment.streaming import PairJudge
from pytest_mmgates.feeds import Feeds
from pytest_mmgates.judge import judge
from pytest_mmgates.rows import read_running
from pytest_mmgates.stats.acceptance import Decision
from pytest_mmgates.verdict import Verdict

PAIRS = 11
KNOWN = facts(blocks=planned(PAIRS))
RUNNING = {"status": "running", "started_ns": None, "ended_ns": None}


def moving(rows):
    """Ticks whose mid wanders, at times without one."""
    for at, row in enumerate(rows["pipeline_ticks"]):
        row["mid"] = None if at % 37 == 5 else 100.0 + math.sin(at / 9)
    return rows


def noisy(gain_bps, slip_bps=0.0):
    """B earns, and slips, so much more; no block is like another, and late fills cross switches."""
    rows = moving(rows_of(KNOWN, lambda plan: 1.0 + gain_bps * (plan.arm == "B") + 0.1 * (plan.index % 5)))
    rows["fills"] += [
        fill(after.analysed_ns - 30 * S, SYMBOLS["majors"][0], before.arm, -2.0)
        for before, after in pairwise(KNOWN.blocks)
        if before.arm != after.arm
    ]
    rows["fills"].sort(key=lambda row: row["recv_ns"])
    for at, row in enumerate(rows["fills"]):
        row["mid"] = 100.0 + math.sin(at / 4)
        row["decision_mid"] = row["price"] * (1 - 1e-4 * (slip_bps * (row["arm"] == "B") + 0.1 * (at % 3)))
    return rows


@pytest.fixture
def recorded(foreign_bot, tmp_path):
    """`recorded(rows)`: the stage as it is read at its end, and a folder in which it still runs."""

    def make(rows):
        whole = write(foreign_bot, tmp_path / "whole", KNOWN, rows)
        return whole, write(foreign_bot, tmp_path / "running", KNOWN, rows, **RUNNING) / "live/r1"

    return make


def lines_of(directory: Path, feed: str) -> list[tuple[int, bytes]]:
    paths = sorted(directory.glob(f"{feed}_*.jsonl"))
    lines = [line for path in paths for line in path.read_bytes().splitlines(keepends=True)]
    return [(msgspec.json.decode(line)["ts_ns"], line) for line in lines]


def streamed(directory: Path, cuts_ns, order=("pipeline_ticks", "fills")):
    """What the judge says after each batch of rows up to the next cut."""
    pairs = PairJudge(GATE, directory, {START_NS: KNOWN}.__getitem__)
    feeds = {feed: lines_of(directory, feed) for feed in order}
    from_ns = 0
    for until_ns in [*sorted(cuts_ns), 2**62]:
        for feed in order:
            lines = b"".join(line for ts_ns, line in feeds[feed] if from_ns <= ts_ns < until_ns)
            if lines:
                yield pairs, pairs.batch(feed, lines)
        from_ns = until_ns


def reasons(directory: Path, step_ns: int = 600 * S) -> list[str]:
    cuts = range(START_NS, START_NS + 2 * PAIRS * HOUR + HOUR, step_ns)
    return [reason for _, reason in streamed(directory, cuts) if reason is not None]


ROWS = noisy(0.2)


@given(
    cuts=st.lists(st.integers(0, (2 * PAIRS + 1) * 3600), min_size=1, max_size=60),
    order=st.permutations(["pipeline_ticks", "fills"]),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_pair_says_the_same_in_any_cuts_as_at_the_end(stages, cuts, order):
    whole, running = stages
    [end], path = whole.variants, whole.decision.variants[0].path
    by_block = {block.index: block for block in end.blocks}
    for pairs, reason in streamed(running, [START_NS + cut * S for cut in cuts], order):
        assert reason is None
        if pairs.seen is not None:
            [seen], [decided] = pairs.seen.variants, pairs.seen.decision.variants
            assert all(block == by_block[block.index] for block in seen.blocks)
            assert decided.path.low == path.low[: decided.pairs - 1]
            assert decided.slippage == whole.decision.variants[0].slippage[: decided.pairs - 1]


@pytest.fixture
def stages(recorded):
    whole, running = recorded(ROWS)
    return read_experiment(whole, GATE), running


def test_a_fill_may_come_behind_the_ticks_that_mark_it(stages):
    """By 20 minutes here; nobody asks for blocks meanwhile."""
    whole, running = stages
    manifest = read_running(running, START_NS)
    feeds, reader = Feeds(running, manifest), BlockReader(KNOWN, manifest, KNOWN.blocks)
    ticks, fills = lines_of(running, "pipeline_ticks"), lines_of(running, "fills")
    for from_ns in range(START_NS, ticks[-1][0] + 1, 1200 * S):
        now = range(from_ns, from_ns + 1200 * S)
        reader.ticks(*feeds.arm_ticks_of(b"".join(line for ts_ns, line in ticks if ts_ns in now)))
        reader.fills(*feeds.arm_fills_of(b"".join(line for ts_ns, line in fills if ts_ns in now)))
    marked_ns = ticks[-1][0] - 60 * S
    assert variant_of(KNOWN, "", [reader], marked_ns, marked_ns).blocks == whole.variants[0].blocks


def test_every_pair_is_judged_once_its_fills_are_marked(stages):
    _, running = stages
    seen = {}
    for pairs, _ in streamed(running, range(START_NS, START_NS + 30 * HOUR, 60 * S)):
        if pairs.seen is not None:
            found = pairs.seen
            seen.setdefault(found.decision.variants[0].pairs, found.variants[0].ended_ns)
    washed_ns = KNOWN.washout_ns + 60 * S
    ends = [block.end_ns for block in KNOWN.blocks[1::2]]
    assert list(seen) == list(range(1, PAIRS + 1))
    assert all(0 < at - end - washed_ns <= 120 * S for at, end in zip(seen.values(), ends, strict=True))


@pytest.mark.parametrize("slip_bps", [-0.5, 0.0, 0.5])
def test_slippage_ends_a_stage_at_the_first_pair_that_shows_it(recorded, slip_bps):
    whole, running = recorded(noisy(0.2, slip_bps))
    verdict = next(rule for rule in judge(GATE, read_experiment(whole, GATE)).rules if "slip" in rule.rule)
    found = reasons(running)
    assert bool(found) is (verdict.verdict is Verdict.FAIL) is (slip_bps > 0)
    if found:
        assert len(set(found)) == 1
        assert found[0].startswith(f"{verdict.rule}: {verdict.reason}, after {verdict.n} pairs")
        assert verdict.n == 8


LONG = 30
"""Pairs of the stages that are to be decided."""


def decided(foreign_bot, folder, gain_bps, *, stage="50", least_h=0, minimum_h=0, noise=1.0, **changes):
    """A stage that goes on for long, and its judge when it was done (or at the end of the rows): facts, rows,
    judge, and the time of the newest tick.
    """
    known = facts(
        stage,
        planned(LONG if stage == "50" else 9, stage=stage),
        least_pairs=24 if stage == "50" else 8,
        least_duration_ns=least_h * HOUR,
        minimum_ns=round(minimum_h * HOUR),
        horizon_ns=2 * 100 * HOUR if stage == "50" else 0,
        **changes,
    )
    rows = rows_of(
        known, lambda plan: 1.0 + gain_bps * (plan.arm == "B") + noise * math.sin(7.0 * plan.index)
    )
    for at, row in enumerate(rows["fills"]):
        row["decision_mid"] = row["price"] * (1 - 1e-5 * (at % 7))
    directory = write(foreign_bot, folder / "running", known, rows, **RUNNING) / "live/r1"
    pairs = PairJudge(GATE, directory, lambda _: known)
    ticks, fills = lines_of(directory, "pipeline_ticks"), lines_of(directory, "fills")
    for from_ns in range(START_NS, ticks[-1][0] + 1, 120 * S):
        now = range(from_ns, from_ns + 120 * S)
        for feed, lines in (("pipeline_ticks", ticks), ("fills", fills)):
            batch = b"".join(line for ts_ns, line in lines if ts_ns in now)
            if batch:
                pairs.batch(feed, batch)
        if pairs.done or pairs.harm:
            break
    return known, rows, pairs, from_ns + 120 * S


@pytest.mark.parametrize(
    ("gain_bps", "least_h", "minimum_h", "decision", "looks"),
    [
        (0.6, 0, 0, Decision.ACCEPT, 24),
        (0.6, 50, 0, Decision.ACCEPT, 25),
        (0.6, 50, 55, Decision.ACCEPT, 28),
        (0.6, 50, 55.25, Decision.ACCEPT, 28),
        (0.6, 50, 56.27, Decision.ACCEPT, 29),
        (0.03, 0, 0, Decision.FUTILE, 24),
        (0.03, 0, 52, Decision.FUTILE, 26),
    ],
)
@pytest.mark.parametrize("more_h", [0.1, 1.9, 9.0])
def test_what_is_judged_at_the_end_is_what_was_seen_at_the_look_that_ended_the_stage(
    foreign_bot, tmp_path, gain_bps, least_h, minimum_h, decision, looks, more_h
):
    """However many more rows the bot writes before it has ended: some ticks, or blocks."""
    known, rows, pairs, ended_ns = decided(
        foreign_bot, tmp_path, gain_bps, least_h=least_h, minimum_h=minimum_h, noise=0.05
    )
    seen = pairs.seen.decision
    assert (seen.decision, seen.variants[0].looks, pairs.harm) == (decision, looks, None)
    assert pairs.done == f"decided: {decision} after {looks} of at most 100 pairs: {seen.reason}"
    until_ns = int(ended_ns + more_h * HOUR)
    begun = [block for block in known.blocks if block.start_ns < until_ns]
    written = {feed: [row for row in lines if row["ts_ns"] < until_ns] for feed, lines in rows.items()}
    kept = msgspec.structs.replace(known, blocks=begun)
    whole = write(foreign_bot, tmp_path / "whole", kept, written, reason=pairs.done)
    end = read_experiment(whole, GATE).decision
    assert (end.decision, end.reason, end.void) == (seen.decision, seen.reason, ())
    same = ("decision", "reason", "bounds", "looks", "traded", "path", "arms", "slippage", "sensitivity",
            "memory", "lag1", "deviation_bps", "sign_flip_p")  # fmt: skip
    [at_the_end], [at_the_look] = end.variants, seen.variants
    assert [getattr(at_the_end, name) for name in same] == [getattr(at_the_look, name) for name in same]


def test_harm_does_not_wait_for_the_time_that_was_asked_for(foreign_bot, tmp_path):
    _, _, pairs, _ = decided(foreign_bot, tmp_path, -9.0, least_h=50, minimum_h=58)
    assert pairs.harm.startswith("delta(net_bps)")
    assert (pairs.seen.decision.variants[0].looks, pairs.done) == (24, None)


def test_a_stage_goes_on_until_it_is_decided_or_has_all_its_pairs(foreign_bot, tmp_path):
    _, _, pairs, _ = decided(foreign_bot, tmp_path / "some", 0.1, noise=3.0)
    assert (pairs.harm, pairs.done, pairs.seen.decision.decision) == (None, None, Decision.GO_ON)
    assert "GO_ON after 30 of at most 100 pairs, looks from 24 on, between" in pairs.says()["says"]
    _, _, pairs, _ = decided(foreign_bot, tmp_path / "all", 0.1, noise=3.0, max_pairs=27)
    why = "nothing is decided after all that was planned"
    assert pairs.done == f"decided: INCONCLUSIVE after 27 of at most 27 pairs: {why}"


def test_a_stage_of_ten_per_cent_lasts_as_long_as_was_planned_whatever_it_shows(foreign_bot, tmp_path):
    _, _, pairs, _ = decided(foreign_bot, tmp_path, 0.0, stage="10", noise=0.05)
    assert (pairs.harm, pairs.done, pairs.seen.decision.variants[0].pairs) == (None, None, 9)


@pytest.mark.parametrize(("minimum_h", "looks"), [(24, 8), (75, 9)])
def test_a_stage_of_a_hundred_ends_when_the_pairs_held_back_exclude_the_floor(
    foreign_bot, tmp_path, minimum_h, looks
):
    _, _, pairs, _ = decided(foreign_bot, tmp_path, 0.0, stage="100", noise=0.01, minimum_h=minimum_h)
    assert (pairs.harm, pairs.seen.decision.decision) == (None, Decision.FUTILE)
    assert pairs.done.startswith(f"decided: FUTILE after {looks} pairs: the upper bound is below the floor")


@pytest.mark.parametrize(("gain_bps", "stage", "harm"), [(-9.0, "10", True), (9.0, "10", False)])
def test_a_net_that_does_harm_ends_a_stage(foreign_bot, tmp_path, gain_bps, stage, harm):
    known = facts(stage, planned(10, stage=stage), least_pairs=8)
    rows = rows_of(known, lambda plan: 1.0 + gain_bps * (plan.arm == "B") + 0.1 * (plan.index % 5))
    directory = write(foreign_bot, tmp_path / "e", known, rows, **RUNNING) / "live/r1"
    pairs = PairJudge(GATE, directory, lambda _: known)
    ticks, fills = lines_of(directory, "pipeline_ticks"), lines_of(directory, "fills")
    for from_ns in range(START_NS, ticks[-1][0] + 1, 600 * S):
        for feed, lines in (("pipeline_ticks", ticks), ("fills", fills)):
            batch = b"".join(line for ts_ns, line in lines if from_ns <= ts_ns < from_ns + 600 * S)
            if batch:
                pairs.batch(feed, batch)
    assert (pairs.seen.decision.decision is Decision.HARM) is harm
    assert (pairs.harm is not None) is harm
    assert not harm or pairs.harm.startswith("delta(net_bps)")


def test_a_torn_row_is_an_error(stages):
    _, running = stages
    pairs = PairJudge(GATE, running, lambda _: KNOWN)
    with pytest.raises(RunlogError, match="feed pipeline_ticks: corrupt row"):
        pairs.batch("pipeline_ticks", b'{"ts_ns": 1\n')
