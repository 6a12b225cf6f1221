"""Taker cap: shares of a rolling window, exactly, and no taking beyond them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS, inverse, linear, shipped_settings

from mmbot.model.instrument import Contract, Instrument
from mmbot.risk.taker_cap import TakerCap
from mmbot.units import SECOND


def cap(instrument: Instrument | None = None, **changes: float) -> TakerCap:
    chosen = {"max_taker_share_pct": 9.0, "window_s": 60.0, "min_fills": 10}
    settings = shipped_settings(taker_cap={**chosen, **changes}).taker_cap
    return TakerCap(settings, instrument or linear())


def made(watched: TakerCap, fills: int, *, at_ns: int = START_NS, lots: int = 10) -> None:
    for _ in range(fills):
        watched.filled(at_ns, 5_000, lots, maker=True)


@pytest.mark.parametrize(("makers", "passes"), [(9, True), (10, False), (11, True), (12, True)])
def test_a_taker_may_be_one_in_twelve_and_below_the_minimum_sample_anything(makers: int, *, passes: bool):
    """One in eleven is 9.09 %, one in twelve 8.3 %."""
    watched = cap()
    made(watched, makers)
    assert (watched.refusal(START_NS, 5_000, 10) is None) == passes


def test_a_refusal_says_by_what_and_how_much():
    watched = cap()
    made(watched, 99)
    assert watched.refusal(START_NS, 5_000, 1) is None
    assert watched.refusal(START_NS, 5_000, 110) == "taker_cap: 10.0 % of the notional would be taken > 9 %"
    for _ in range(9):
        watched.filled(START_NS, 5_000, 1, maker=False)
    assert watched.refusal(START_NS, 5_000, 1) == "taker_cap: 9.2 % of the count would be taken > 9 %"


def test_what_leaves_the_window_counts_no_more():
    watched = cap()
    watched.filled(START_NS, 5_000, 100, maker=False)
    made(watched, 20, at_ns=START_NS + SECOND)
    assert watched.refusal(START_NS + 60 * SECOND - 1, 5_000, 1) is not None
    assert watched.refusal(START_NS + 60 * SECOND, 5_000, 1) is None


def test_the_share_that_took_is_the_larger_of_notional_and_count_over_the_window():
    watched = cap(min_fills=2)
    assert watched.taker_ratio(START_NS) is None
    watched.filled(START_NS, 5_000, 30, maker=False)
    assert watched.taker_ratio(START_NS) is None
    made(watched, 3, at_ns=START_NS + SECOND, lots=10)
    assert watched.taker_ratio(START_NS + SECOND) == 0.5
    made(watched, 6, at_ns=START_NS + SECOND, lots=100)
    assert watched.taker_ratio(START_NS + SECOND) == 0.1
    assert watched.taker_ratio(START_NS + 60 * SECOND) == 0.0
    assert watched.taker_ratio(START_NS + 61 * SECOND) is None


fills = st.tuples(st.integers(0, 20 * SECOND), st.integers(1, 9_000), st.integers(1, 500), st.booleans())


@given(st.sampled_from([linear(), inverse()]), st.lists(fills, max_size=60), fills, st.floats(0, 100))
def test_it_refuses_exactly_what_would_lift_a_share_above_the_cap(
    instrument: Instrument,
    history: list[tuple[int, int, int, bool]],
    order: tuple[int, int, int, bool],
    max_taker_share_pct: float,
):
    watched = cap(instrument, max_taker_share_pct=max_taker_share_pct)
    now_ns, kept = START_NS, []
    for step_ns, tick, lots, maker in history:
        now_ns += step_ns
        watched.filled(now_ns, tick, lots, maker=maker)
        kept.append((now_ns, lots if instrument.contract is Contract.INVERSE else lots * tick, maker))
    now_ns += order[0]
    window = [(notional, maker) for at_ns, notional, maker in kept if at_ns > now_ns - 60 * SECOND]
    this = order[2] if instrument.contract is Contract.INVERSE else order[1] * order[2]
    taken = [notional for notional, maker in window if not maker]
    by_notional = (sum(taken) + this) / (sum(notional for notional, _ in window) + this) * 100
    by_count = (len(taken) + 1) / (len(window) + 1) * 100
    too_much = len(window) >= 10 and max(by_notional, by_count) > max_taker_share_pct
    assert (watched.refusal(now_ns, order[1], order[2]) is not None) == too_much
