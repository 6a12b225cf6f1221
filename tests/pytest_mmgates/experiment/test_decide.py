"""What recorded blocks decide, and what makes them decide nothing."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.pytest_mmgates.experiment.recorded import (
    HOUR,
    RULE,
    SOURCES,
    SYMBOLS,
    block,
    facts,
    live,
    part,
    planned,
    replay,
    variant,
)

from pytest_mmgates.experiment.decide import SAFETY_LOOK, decide
from pytest_mmgates.experiment.facts import facts_of
from pytest_mmgates.experiment.pairing import pairs_of
from pytest_mmgates.experiment.record import Part
from pytest_mmgates.stats.acceptance import Acceptance, Decision
from pytest_mmgates.stats.sequence import Sequence


def decided(made, sources=SOURCES):
    known, variants = made
    return decide(known, RULE, sources, variants)


@pytest.mark.parametrize(
    ("made", "decision", "looks"),
    [
        ({"gain_bps": 0.5}, Decision.ACCEPT, 24),
        ({"gain_bps": -0.5}, Decision.HARM, 24),
        ({"gain_bps": 0.0, "noise_bps": 0.1}, Decision.FUTILE, 24),
        ({"gain_bps": 0.2, "noise_bps": 1.0}, Decision.GO_ON, 40),
        ({"gain_bps": 0.2, "noise_bps": 1.0, "max_pairs": 30}, Decision.INCONCLUSIVE, 30),
        ({"gain_bps": 0.5, "pairs": 23}, Decision.GO_ON, 23),
    ],
)
def test_a_live_stage_ends_as_the_rule_says(made, decision, looks):
    found = decided(live(**made))
    assert found.decision is decision
    assert found.variants[0].looks == looks


def test_the_estimate_is_the_difference_of_the_ratios():
    known, variants = live(0.5, pairs=24)
    found = decide(known, RULE, SOURCES, variants).variants[0]
    sums = {
        arm: sum(one.analysed.net for one in variants[0].blocks if one.arm == arm) / (24 * 1.0)
        for arm in "AB"
    }
    assert found.bounds.estimate == pytest.approx(sums["B"] - sums["A"])
    assert found.arms["B"].components["net"] == pytest.approx(sums["B"])
    split = found.arms["A"].components
    assert split["net"] == pytest.approx(split["gross"] + split["adverse"] + split["fees"])


@given(st.integers(0, 2**32), st.sampled_from([-0.4, 0.0, 0.3, 0.6]), st.integers(0, 15))
@settings(max_examples=12)
def test_what_is_recorded_after_the_decision_changes_nothing(seed: int, gain: float, more: int):
    known, variants = live(gain, pairs=40, seed=seed)
    first = decide(known, RULE, SOURCES, variants)
    looks = first.variants[0].looks
    if not first.decision.final:
        return
    shorter = [variant(known, variants[0].blocks[: 2 * (looks + more)])]
    again = decide(known, RULE, SOURCES, shorter)
    assert again.decision is first.decision
    assert again.variants[0].bounds == first.variants[0].bounds


def test_nothing_is_accepted_in_less_time_than_was_planned():
    found = decided(live(0.5, pairs=30, least_duration_ns=58 * HOUR))
    assert (found.decision, found.variants[0].looks) == (Decision.ACCEPT, 29)
    assert decided(live(-0.5, pairs=30, least_duration_ns=58 * HOUR)).variants[0].looks == 24


@pytest.mark.parametrize("stage", ["10", "100"])
def test_a_stage_for_safety_rejects_harm_and_accepts_nothing(stage):
    assert decided(live(0.5, stage=stage)).decision is Decision.GO_ON
    assert decided(live(-0.5, stage=stage)).decision is Decision.HARM
    useless = Decision.GO_ON if stage == "10" else Decision.FUTILE
    assert decided(live(0.0, stage=stage, noise_bps=0.1)).decision is useless


@pytest.mark.parametrize(
    ("pairs", "asked", "decision"),
    [(7, 8, Decision.GO_ON), (8, 8, Decision.HARM), (8, 0, Decision.HARM), (19, 20, Decision.GO_ON)],
)
def test_a_stage_for_safety_is_looked_at_from_the_pairs_of_its_plan_on(pairs, asked, decision):
    made = live(-0.5, stage="10", pairs=pairs, least_pairs=asked)
    assert decided(made).decision is decision
    assert decided(live(-0.5, pairs=pairs, least_pairs=asked)).decision is Decision.GO_ON


def test_two_equal_arms_are_seldom_taken_for_harm_by_a_stage_for_safety():
    noise = np.random.default_rng(7).standard_t(4, size=(4000, 40))
    rule = Acceptance(Sequence.tuned(RULE.alpha, SAFETY_LOOK), 0.2, SAFETY_LOOK, 40)
    harmed = sum(_ever_harmed(rule, values) for values in noise)
    assert harmed / len(noise) < 0.0345, "2.5 %, and what 4,000 of them may differ from it"


def _ever_harmed(rule, values):
    _, _, highs = rule.sequence.path(values)
    return bool((highs[rule.first_look - 1 :] < 0).any())


# what is void


def edited(made, **changes):
    known, [found] = made
    origins = [msgspec.structs.replace(one, **changes) for one in found.origins]
    return known, [msgspec.structs.replace(found, origins=origins)]


def changed(at, **changes):
    def change(one):
        return msgspec.structs.replace(one, **changes) if one.index == at else one

    return change


VOID = {
    "edited": (edited(live(), plan_hash="f00d"), "the plan was edited: run r1 is of plan f00d"),
    "of no plan": (edited(live(), plan_hash=None), "the plan was edited: run r1 is of no plan"),
    "missing": (live(change=changed(7, ticks=2000)), "block 7 of majors"),
    "nan": (live(change=changed(7, analysed=part(float("nan")))), "a sum is not a finite number"),
    "infinite": (live(change=changed(7, late=part(float("inf")))), "a sum is not a finite number"),
}


@pytest.mark.parametrize("name", VOID)
def test_what_cannot_be_believed_decides_nothing(name):
    made, reason = VOID[name]
    found = decided(made)
    assert (found.decision, found.variants) == (Decision.INCONCLUSIVE, ())
    assert reason in found.void[0]


def test_flipped_labels_decide_nothing():
    known, [found] = live()
    flipped = msgspec.structs.replace(found, void=["flipped labels: fill at 17"])
    assert decided((known, [flipped])).void == ("flipped labels: fill at 17",)


def test_data_of_another_kind_decides_nothing():
    assert "is on recorded data, asked for live" in decided(live(), ("live",)).void[0]


def test_nothing_recorded_decides_nothing():
    assert decided((facts(), [])).void == ("nothing was recorded",)


def test_a_block_that_the_market_took_is_left_out_with_its_pair():
    whole = decided(live(pairs=30)).variants[0]
    known, variants = live(pairs=30, change=changed(7, excluded="no_book", analysed=part(-900.0)))
    gone = {arm: int(arm == known.blocks[7].arm) for arm in "AB"}
    found = decided((known, variants)).variants[0]
    assert found.pairs == whole.pairs - 1
    assert found.excluded == {"no_book": gone}
    assert found.bounds.estimate > 0.3


def test_exclusions_that_fall_on_one_arm_are_void():
    known, variants = live(pairs=40)
    gone = [
        msgspec.structs.replace(one, excluded="no_book" if one.arm == "B" and one.index < 26 else None)
        for one in variants[0].blocks
    ]
    found = decided((known, [variant(known, gone)]))
    assert "did not get their planned shares" in found.void[0]
    both = [
        msgspec.structs.replace(one, excluded="no_book" if one.index < 26 else None)
        for one in variants[0].blocks
    ]
    assert not decided((known, [variant(known, both)])).void


# pairs


def test_clusters_that_switch_together_are_one():
    known = facts(blocks=[*planned(4), *planned(4, "others")], clusters=SYMBOLS)
    blocks = [block(plan, 1.0) for plan in known.blocks]
    assert len(pairs_of(known, blocks)) == 8
    together = pairs_of(msgspec.structs.replace(known, switch="together"), blocks)
    assert len(together) == 4
    assert together[0].a.analysed.notional == 2 * blocks[0].analysed.notional


def test_half_a_pair_is_none():
    known, variants = live(pairs=5)
    assert len(pairs_of(known, variants[0].blocks[:-1])) == 4


# the wash-out


def test_an_estimate_that_moves_with_the_wash_out_is_not_accepted():
    def late(one):
        return msgspec.structs.replace(one, late=part(1.9 if one.arm == "B" else 1.0))

    found = decided(live(0.5, change=late))
    assert found.decision is Decision.INCONCLUSIVE
    assert found.reason.startswith("lengthen the wash-out: the estimate after two wash-outs")


def test_a_position_that_outlives_two_wash_outs_is_not_accepted():
    held = np.random.default_rng(3).normal(0, 100, 200)

    def inheriting(share):
        def change(one):
            return msgspec.structs.replace(one, positions=[(held[one.index], share * held[one.index])])

        return decided(live(0.5, change=change))

    assert inheriting(0.1).decision is Decision.ACCEPT
    found = inheriting(0.5)
    assert found.decision is Decision.INCONCLUSIVE
    assert "50% of an inherited position is left" in found.reason


def test_fills_without_a_net_are_not_accepted():
    def unmarked(one):
        return msgspec.structs.replace(one, analysed=msgspec.structs.replace(one.analysed, unmarked=3))

    assert "fills of arm A have no net" in decided(live(0.5, change=unmarked)).reason


# replay


@pytest.mark.parametrize(
    ("gains", "decision"),
    [
        ((0.5, 0.5, 0.5, 0.5), Decision.ACCEPT),
        ((0.5, 0.5, 0.5, 0.0), Decision.INCONCLUSIVE),
        ((0.5, 0.5, 0.5, -0.5), Decision.INCONCLUSIVE),
        ((-0.5, -0.5, -0.5, -0.5), Decision.HARM),
        ((0.0, 0.0, 0.0, 0.0), Decision.FUTILE),
        ((0.0, 0.0, -0.5, -0.5), Decision.HARM),
    ],
)
def test_a_replay_decides_what_holds_under_every_model(gains, decision):
    found = decided(replay(gains))
    assert found.decision is decision
    assert len(found.variants) == 4


def test_a_replay_of_correlated_blocks_needs_more_market():
    few = decided(replay(blocks=60, keep=0.9, noise_bps=1.0))
    assert few.decision is Decision.INCONCLUSIVE
    assert few.reason.endswith("more market is needed")
    many = decided(replay(blocks=400, keep=0.5, noise_bps=1.0)).variants[0]
    assert many.batching.size > 1
    assert many.lag1 <= 0.1


def test_a_replay_of_too_few_blocks_decides_nothing():
    assert decided(replay(blocks=23)).decision is Decision.INCONCLUSIVE
    assert decided(replay(blocks=1)).variants[0].bounds is None


def test_arms_that_never_traded_decide_nothing():
    known, variants = live(
        pairs=30, change=lambda one: msgspec.structs.replace(one, analysed=Part(), late=Part())
    )
    found = decide(known, RULE, SOURCES, variants)
    assert found.decision is Decision.GO_ON
    assert found.variants[0].bounds is None
    assert found.variants[0].arms["A"].components == {}


@pytest.mark.parametrize(("stage", "pairs"), [("50", 24), ("10", 8), ("100", 8)])
@pytest.mark.parametrize("traded", [1, 7])
def test_an_arm_that_hardly_traded_decides_nothing_however_sure_it_looks(stage, pairs, traded):
    def change(one):
        silent = one.arm == "B" and (one.pair is None or one.pair >= traded)
        return msgspec.structs.replace(one, analysed=Part(), late=Part()) if silent else one

    found = decided(live(-3.0, noise_bps=0.01, stage=stage, pairs=pairs, least_pairs=8, change=change))
    assert found.decision is Decision.GO_ON
    assert found.reason == f"an arm traded in {traded} of {pairs} pairs, expected at least 8"
    assert found.variants[0].bounds.high < 0


def test_facts_whose_hash_is_another_are_refused():
    made = msgspec.to_builtins(facts())
    assert facts_of(made) == facts()
    with pytest.raises(Exception, match="the plan was edited"):
        facts_of({**made, "content": {"plan": "q"}})
    with pytest.raises(Exception, match="ini mmgates_experiment: Invalid enum value"):
        facts_of({**made, "stage": "20"})
