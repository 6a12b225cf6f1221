"""Rules about arms as verdicts."""

import msgspec
import pytest
from tests.pytest_mmgates.experiment.recorded import RULE, SOURCES, live, part, replay
from tests.pytest_mmgates.experiment.test_blocks import GATE

from pytest_mmgates.experiment.log import ExperimentLog
from pytest_mmgates.experiment.record import Part, TickTimes
from pytest_mmgates.judge import judge
from pytest_mmgates.verdict import Verdict
from pytest_mmgates.watch.record import Fired, Seen, WatchRecord

HOUR = 3_600 * 10**9


def verdicts(made, watched=(), **changes):
    known, variants = made
    log = ExperimentLog(msgspec.structs.replace(known, **changes), tuple(variants), watched, RULE, SOURCES)
    found = judge(GATE, log)
    return {rule.rule.split("[")[0].split(" ")[0]: rule for rule in found.rules}


def with_times(made, *b_ns):
    """Both arms' p95 of a tick, variant by variant: 1 ms, and arm B's."""
    known, variants = made
    times = [{"A": TickTimes(50_000, 1e6), "B": TickTimes(50_000, ns)} for ns in b_ns]
    pairs = zip(variants, times, strict=True)
    return known, [msgspec.structs.replace(one, tick_total=own) for one, own in pairs]


@pytest.mark.parametrize(
    ("made", "verdict"),
    [
        (live(0.5), Verdict.PASS),
        (live(-0.5), Verdict.FAIL),
        (live(0.0, noise_bps=0.1), Verdict.FAIL),
        (live(0.2, noise_bps=1.0), Verdict.INCONCLUSIVE),
        (replay(), Verdict.PASS),
        (replay((0.5, 0.5, 0.0, 0.5)), Verdict.INCONCLUSIVE),
    ],
)
def test_what_was_decided_is_a_verdict(made, verdict):
    found = verdicts(made)["delta(net_bps)"]
    assert (found.verdict, found.section) == (verdict, "accept")
    assert found.mark == ("MODELLED" if made[0].stage == "replay" else None)


def test_a_stage_for_safety_passes_when_it_was_as_long_as_planned():
    short = verdicts(live(0.5, stage="10", pairs=20), least_pairs=24)["delta(net_bps)"]
    assert short.verdict is Verdict.INCONCLUSIVE
    assert "no harm seen, 20 of 24 pairs" in short.reason
    assert verdicts(live(0.5, stage="10", pairs=24), least_pairs=24)["delta(net_bps)"].verdict is Verdict.PASS
    early = verdicts(live(0.5, stage="100", pairs=24), least_pairs=24, least_duration_ns=300 * HOUR)
    assert early["delta(net_bps)"].verdict is Verdict.INCONCLUSIVE
    assert verdicts(live(-0.5, stage="10"))["delta(net_bps)"].verdict is Verdict.FAIL


@pytest.mark.parametrize(("traded", "verdict"), [(7, Verdict.INCONCLUSIVE), (8, Verdict.PASS)])
def test_a_stage_for_safety_in_which_an_arm_hardly_traded_has_seen_nothing(traded, verdict):
    def change(one):
        silent = one.arm == "B" and (one.pair is None or one.pair >= traded)
        return msgspec.structs.replace(one, analysed=Part(), late=Part()) if silent else one

    found = verdicts(live(1.0, stage="10", pairs=9, least_pairs=8, change=change))["delta(net_bps)"]
    assert found.verdict is verdict
    assert f"9 of 8 pairs, traded in {traded}, " in found.reason


def slipping(bps):
    def change(one):
        worse = bps * (one.arm == "B") + 0.01 * (one.index % 7)
        return msgspec.structs.replace(one, analysed=part(1.0, slippage_bps=worse))

    return change


@pytest.mark.parametrize(("bps", "verdict"), [(0.5, Verdict.FAIL), (0.0, Verdict.PASS), (-0.5, Verdict.PASS)])
def test_slippage_is_broken_when_the_sequence_says_so(bps, verdict):
    found = verdicts(live(0.2, noise_bps=1.0, change=slipping(bps)))["delta(slippage_bps)"]
    assert (found.verdict, found.section) == (verdict, "safety")
    assert found.value == pytest.approx(bps, abs=0.02)


@pytest.mark.parametrize(
    ("stage", "pairs", "bps", "verdict"),
    [
        ("10", 8, 0.0, Verdict.PASS),
        ("10", 8, 0.5, Verdict.FAIL),
        ("10", 7, 0.5, Verdict.INCONCLUSIVE),
        ("100", 8, 0.0, Verdict.PASS),
        ("50", 12, 0.0, Verdict.INCONCLUSIVE),
    ],
)
def test_slippage_at_a_stage_for_safety_is_judged_on_the_pairs_of_the_plan(stage, pairs, bps, verdict):
    made = live(0.2, noise_bps=1.0, stage=stage, pairs=pairs, least_pairs=8, change=slipping(bps))
    found = verdicts(made)["delta(slippage_bps)"]
    assert (found.verdict, found.n) == (verdict, pairs)
    if verdict is Verdict.PASS:
        assert "of 8 pairs, the rule asks for 24" in found.reason


def test_slippage_before_its_first_look_and_of_nothing():
    assert (
        verdicts(live(pairs=20, change=slipping(0.0)))["delta(slippage_bps)"].verdict is Verdict.INCONCLUSIVE
    )
    assert verdicts(live(pairs=20, change=slipping(0.9)))["delta(slippage_bps)"].verdict is Verdict.FAIL

    def silent(one):
        return msgspec.structs.replace(
            one, analysed=msgspec.structs.replace(one.analysed, slippage=0.0, slippage_notional=0.0)
        )

    assert verdicts(live(change=silent))["delta(slippage_bps)"].verdict is Verdict.NO_DATA


@pytest.mark.parametrize(
    ("b_ns", "verdict"),
    [
        ((1.0e6, 1.0e6, 1.0e6, 1.5e6), Verdict.PASS),
        ((1.0e6, 1.2e6, 1.3e6, 1.5e6), Verdict.INCONCLUSIVE),
        ((1.2e6, 1.2e6, 1.3e6, 1.5e6), Verdict.FAIL),
    ],
)
def test_a_slower_tick_is_broken_when_every_model_says_so(b_ns, verdict):
    found = verdicts(with_times(replay(), *b_ns))["regress(tick_total.p95)"]
    assert (found.verdict, found.section, found.mark) == (verdict, "safety", None)


def test_a_slower_tick_of_a_live_stage():
    assert verdicts(with_times(live(), 1.2e6))["regress(tick_total.p95)"].value == pytest.approx(20.0)
    known, [one] = live()
    alone = msgspec.structs.replace(one, tick_total={"A": TickTimes(50_000, 1e6)})
    assert verdicts((known, [alone]))["regress(tick_total.p95)"].verdict is Verdict.NO_DATA


def test_what_was_watched_is_a_verdict():
    rule = next(rule for rule in GATE.safety if rule.metric == "deadline_miss.ratio")
    text = str(rule.violation)
    held = WatchRecord(text, "stop", above=True, judged=100, worst=0.01, worst_n=300)
    assert verdicts(live(), (held,))["B.deadline_miss.ratio"].verdict is Verdict.PASS
    fired = Fired(at_ns=1, by="slow", value=0.04, n=300, why="4% for 10 min")
    broken = msgspec.structs.replace(held, fired=fired, times=1)
    found = verdicts(live(), (broken,))["B.deadline_miss.ratio"]
    assert (found.verdict, found.section, found.value) == (Verdict.FAIL, "safety", 4.0)
    assert found.rule == str(rule)
    assert verdicts(live())["B.deadline_miss.ratio"].verdict is Verdict.NO_DATA


@pytest.mark.parametrize(
    ("stage", "seen", "verdict"),
    [
        ("10", Seen(0.05, 63), Verdict.PASS),
        ("100", Seen(0.05, 63), Verdict.PASS),
        ("10", Seen(0.30, 9), Verdict.INCONCLUSIVE),
        ("10", None, Verdict.INCONCLUSIVE),
        ("50", Seen(0.05, 63), Verdict.INCONCLUSIVE),
    ],
)
def test_what_no_window_had_enough_of_is_judged_on_all_that_was_seen_for_safety(stage, seen, verdict):
    rule = next(rule for rule in GATE.safety if rule.metric == "taker_share")
    few = WatchRecord(
        str(rule.violation), "stop", above=True, absent_why="63 fills in 6h, asked for 100", most_n=63
    )
    made = live(0.0, stage=stage, pairs=24)
    found = verdicts(made, (msgspec.structs.replace(few, seen=seen),))["B.taker_share"]
    assert (found.verdict, found.section) == (verdict, "safety")
    assert found.reason.endswith("63 fills in 6h, asked for 100")
    if verdict is Verdict.PASS:
        assert (found.value, found.n) == (5.0, 63)
        assert found.reason.startswith("all that was seen, 63 fills; ")


def test_nothing_seen_is_no_data_and_what_fired_is_not_forgiven_for_safety():
    rule = next(rule for rule in GATE.safety if rule.metric == "taker_share")
    made = live(0.0, stage="10", pairs=24)
    assert verdicts(made)["B.taker_share"].verdict is Verdict.NO_DATA
    fired = Fired(at_ns=1, by="fast", value=0.5, n=40, why="50% for 1 min")
    record = WatchRecord(str(rule.violation), "stop", above=True, fired=fired, seen=Seen(0.01, 900))
    assert verdicts(made, (record,))["B.taker_share"].verdict is Verdict.FAIL


def test_void_is_no_data_for_every_rule():
    known, [one] = live()
    found = verdicts((known, [msgspec.structs.replace(one, void=["flipped labels", "twice"])]))
    assert {rule.verdict for rule in found.values()} == {Verdict.NO_DATA}
    assert found["delta(net_bps)"].reason == "flipped labels; 1 more of the kind"
