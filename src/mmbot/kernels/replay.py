"""The replay kernel: both books, our orders in their queues, answers on their way, and the features of a
symbol.

It does what `book`, `sim.venue`, `sim.queue` and the market half of `engine.symbol` do, in the same order and
with the same arithmetic; those are the oracle, and tests hold the two together, number by number.

Between two ticks no new request can appear, so the venue's half runs ahead to the tick, and our half follows.
Answers that reach us move our queue places at their own moment and then wait: no decision falls between
ticks, so Python takes all of them at the next. A book that was replaced or cannot be believed is told at
once.

**Sleep.** A strategy may declare a band in which it would do nothing. Then the kernel goes on from tick to
tick by itself, with the features observed at each, and comes back at the first tick that has something new:
the market left the band, an answer came, the book is in trouble.
"""

import numpy as np

from mmbot.kernels import layout as L
from mmbot.kernels._jit import carray, entry, inlined, kernel, pointer
from mmbot.kernels.features import fair_value, observed
from mmbot.kernels.ladder import ladder_of, table_of
from mmbot.kernels.local import local_until, place_answer
from mmbot.kernels.venue import venue_until

# ruff: noqa: N812 (the layout is a block of constants, one letter keeps the formulas readable)


@kernel
def _features_wake(c, f, now_ns):
    """Observe as a tick would; is anything outside the band?"""
    if observed(c, f, now_ns) & ~L.CHANGED != L.HIT | L.VIEWED:
        return True
    score, fair = f[L.LIQUIDITY_SCORE], fair_value(c)
    return (
        c[L.AGE_NS] > c[L.BAND_AGE_NS]
        or c[L.SEEN] >= c[L.BAND_SEEN]
        or f[L.VOLATILITY_BPS] >= f[L.BAND_VOLATILITY]
        or not f[L.BAND_SCORE_LOW] <= score <= f[L.BAND_SCORE_HIGH]
        or abs(score - f[L.SLEPT_SCORE]) > f[L.BAND_SCORE_STEP]
        or not f[L.BAND_FAIR_LOW] <= fair <= f[L.BAND_FAIR_HIGH]
    )


@inlined
def _wakes(c, f, now_ns):
    """Does the strategy have to look at this tick?"""
    bid, ask = c[L.LOCAL_BEST_BID] + c[L.BASE], c[L.LOCAL_BEST_ASK] + c[L.BASE]
    if (
        c[L.STIRRED] >= c[L.ASLEEP]
        or not c[L.BAND_MID_LOW] <= bid + ask <= c[L.BAND_MID_HIGH]
        or not c[L.BAND_BID_LOW] <= bid <= c[L.BAND_BID_HIGH]
        or not c[L.BAND_ASK_LOW] <= ask <= c[L.BAND_ASK_HIGH]
    ):
        return True
    return c[L.BAND_FEATURES] != 0 and _features_wake(c, f, now_ns)


@entry
def advance(context, until_ns):
    """Run to `until_ns`, or asleep to the tick that wakes, or to news of the book before. Returns why it came
    back, and with it ANSWERS_WAIT, FEW_DELAYS and ROWS_PASSED.
    """
    c = carray(pointer(context), (L.INTS,), np.int64)
    f = carray(pointer(c[L.FEATURES]), (L.FLOATS,), np.float64)
    rows = c[L.ROWS]
    exch, recv = carray(pointer(c[L.EXCH]), (rows,), np.int64), carray(pointer(c[L.RECV]), (rows,), np.int64)
    kind = carray(pointer(c[L.KIND]), (rows,), np.uint8)
    tick = carray(pointer(c[L.TICK]), (rows,), np.int32)
    lots = carray(pointer(c[L.LOTS]), (rows,), np.int32)
    answers = table_of(c, L.ANSWERS, L.RING, L.RING_WIDTH)
    places = table_of(c, L.PLACES, L.SLOTS, L.PLACE_WIDTH)
    bids, asks = ladder_of(c, L.LOCAL_BIDS), ladder_of(c, L.LOCAL_ASKS)
    why = L.REACHED
    while why == L.REACHED:
        stop_ns = min(c[L.NEXT_TICK_NS], until_ns) if c[L.ASLEEP] else until_ns
        venue_until(c, f, exch, recv, kind, tick, lots, stop_ns - c[L.VENUE_BEHIND_NS])
        crowded = c[L.ANSWER_TAIL] - c[L.ANSWER_HEAD] > L.RING - L.SLOTS
        if crowded or c[L.OVERFLOWED] or c[L.DELAY_HEAD] > c[L.DELAY_TAIL]:
            return L.OVERFULL
        while True:
            answer_ns = L.NEVER
            if c[L.ANSWER_SEEN] != c[L.ANSWER_TAIL]:
                answer_ns = answers[c[L.ANSWER_SEEN] & (L.RING - 1)][L.DUE_NS]
            why = local_until(
                c, f, places, bids, asks, recv, kind, tick, lots, min(stop_ns, answer_ns)
            )  # fmt: skip
            if why != L.REACHED or answer_ns > stop_ns:
                break
            place_answer(c, places, bids, asks, answers[c[L.ANSWER_SEEN] & (L.RING - 1)])
            c[L.ANSWER_SEEN] += 1
        if stop_ns == until_ns:
            break
        if why == L.REACHED:
            if _wakes(c, f, stop_ns):
                why = L.WOKEN
            else:
                f[L.SLEPT_SCORE] = f[L.LIQUIDITY_SCORE]
                c[L.SLEPT_MID_X2] = c[L.LOCAL_BEST_BID] + c[L.LOCAL_BEST_ASK] + 2 * c[L.BASE]
                c[L.SKIPPED] += 1
                c[L.NEXT_TICK_NS] += c[L.STEP_NS]
    c[L.ASLEEP] = 0
    if c[L.ANSWER_SEEN] != c[L.ANSWER_HEAD]:
        why |= L.ANSWERS_WAIT
    if c[L.DELAY_TAIL] - c[L.DELAY_HEAD] < L.ENOUGH_DELAYS:
        why |= L.FEW_DELAYS
    if c[L.LOCAL_ROW] >= c[L.FORGET_ROW]:
        why |= L.ROWS_PASSED
    return why


@entry
def observe(context, now_ns):
    """Read the market cache at a tick, price the book, and bring the features up to date. Returns how it was
    read, with VIEWED and CHANGED (since Python last asked). A tick that woke was observed already.
    """
    c = carray(pointer(context), (L.INTS,), np.int64)
    f = carray(pointer(c[L.FEATURES]), (L.FLOATS,), np.float64)
    found = c[L.OBSERVED] if c[L.OBSERVED_NS] == now_ns else observed(c, f, now_ns)
    c[L.OBSERVED] = found & ~L.CHANGED
    return found
