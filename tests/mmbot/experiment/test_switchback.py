"""Schedules: balanced, drawn, without memory of what happened, and the same for everybody who asks."""

import itertools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS
from tests.mmbot.experiment.plans import MAJOR, plan

from mmbot.experiment.plan import Stage
from mmbot.experiment.switchback import Block, Schedule

LIVE = st.sampled_from([Stage.TEN, Stage.FIFTY, Stage.HUNDRED])
SEEDS = st.integers(0, 2**63)
HOUR = 3_600 * 10**9


def schedule(stage: Stage = Stage.FIFTY, **changes) -> Schedule:
    return Schedule(plan(**changes), stage, START_NS)


def blocks(made: Schedule, count: int, cluster: str = "majors") -> list[Block]:
    return list(made.blocks(cluster, START_NS + count * HOUR))


@given(SEEDS, LIVE, st.integers(1, 60))
@settings(max_examples=25)
def test_blocks_cover_the_time_without_gap_or_overlap(seed: int, stage: Stage, count: int):
    found = blocks(schedule(stage, seed=seed), count)
    assert [block.index for block in found] == list(range(count))
    assert found[0].start_ns == START_NS
    assert all(before.end_ns == after.start_ns for before, after in itertools.pairwise(found))
    assert {block.end_ns - block.start_ns for block in found} == {HOUR}
    assert {block.analysed_ns - block.start_ns for block in found} == {HOUR // 4}


@given(SEEDS, LIVE)
@settings(max_examples=25)
def test_a_pair_is_two_neighbours_one_of_each_arm(seed: int, stage: Stage):
    found = blocks(schedule(stage, seed=seed), 100)
    pairs: dict[int, list[Block]] = {}
    for block in found:
        if block.pair is not None:
            pairs.setdefault(block.pair, []).append(block)
    assert list(pairs) == list(range({Stage.FIFTY: 50}.get(stage, 10)))
    for first, second in pairs.values():
        assert second.index == first.index + 1
        assert {first.arm, second.arm} == {"A", "B"}


@given(SEEDS)
@settings(max_examples=25)
def test_a_stage_treats_its_share_of_every_ten_blocks(seed: int):
    for stage, treated in ((Stage.TEN, 1), (Stage.FIFTY, 5), (Stage.HUNDRED, 9)):
        arms = [block.arm for block in blocks(schedule(stage, seed=seed), 60)]
        assert [arms[at : at + 10].count("B") for at in range(0, 60, 10)] == [treated] * 6


@given(SEEDS, LIVE, st.integers(1, 40), st.integers(0, 60))
@settings(max_examples=25)
def test_a_longer_schedule_begins_like_a_shorter_one(seed: int, stage: Stage, few: int, more: int):
    made = schedule(stage, seed=seed)
    assert blocks(made, few + more)[:few] == blocks(made, few)
    assert blocks(made, few)[-1] == made.block("majors", few - 1)


@given(SEEDS, LIVE, st.integers(0, 200 * HOUR))
@settings(max_examples=25)
def test_the_arm_at_a_moment_is_that_of_its_block(seed: int, stage: Stage, after_ns: int):
    made = schedule(stage, seed=seed)
    found = made.block_at("majors", START_NS + after_ns)
    assert found.start_ns <= START_NS + after_ns < found.end_ns
    assert made.arm_at(MAJOR, START_NS + after_ns) == found.arm


def test_the_order_within_pairs_is_a_fair_coin_for_every_place():
    """Of 1,000 pairs, 5 standard deviations each: 0.08 of the share of pairs that begin with arm A, and 0.048
    of the share of each place in ten.
    """
    first = [schedule(seed=seed).block("majors", 2 * seed).arm for seed in range(1_000)]
    assert first.count("A") / 1_000 == pytest.approx(0.5, abs=0.08)
    for stage, arm in ((Stage.TEN, "B"), (Stage.HUNDRED, "A")):
        places: Counter[int] = Counter()
        for seed in range(1_000):
            made = schedule(stage, seed=seed)
            places.update(at for at in range(10) if made.block("majors", at).arm == arm)
        assert sorted(places) == list(range(10))
        assert all(count / 1_000 == pytest.approx(0.1, abs=0.048) for count in places.values())


def test_the_coin_of_a_pair_says_nothing_about_that_of_the_next():
    first = [schedule().block("majors", 2 * pair).arm == "A" for pair in range(4_000)]
    alike = sum(one == next_one for one, next_one in itertools.pairwise(first))
    assert alike / 3_999 == pytest.approx(0.5, abs=0.04)


def test_clusters_draw_apart_unless_they_switch_together():
    def arms(cluster: str, **changes) -> list[str]:
        return [block.arm for block in blocks(schedule(**changes), 100, cluster)]

    assert arms("majors") != arms("others")
    assert arms("majors", switch="together") == arms("others", switch="together")


@pytest.mark.parametrize("stage", [Stage.TEN, Stage.FIFTY, Stage.HUNDRED])
def test_stages_draw_apart(stage: Stage):
    others = [other for other in (Stage.TEN, Stage.FIFTY, Stage.HUNDRED) if other is not stage]
    own = [block.arm for block in blocks(schedule(stage), 100)]
    assert all(own != [block.arm for block in blocks(schedule(other), 100)] for other in others)


def test_what_no_block_is_of_is_an_error():
    with pytest.raises(ValueError, match="the stage begins at"):
        schedule().block_at("majors", START_NS - 1)
    with pytest.raises(ValueError, match="both arms play every block"):
        schedule(Stage.REPLAY)
    with pytest.raises(KeyError):
        schedule().block("unknown", 0)
