"""The replay kernel: both books, our orders in their queues, answers on their way, and the features of a
symbol.

It does what `book`, `sim.venue`, `sim.queue` and the market half of `engine.symbol` do, in the same order and
with the same arithmetic; those are the oracle, and tests hold the two together, number by number. It runs
until something needs a decision: a tick is reached, an answer arrives, our book was replaced or cannot be
believed.

Between two ticks no new request can appear, so the venue's half runs ahead to the tick, and our half follows,
stopping at each answer: the acknowledgement of an order looks at the book of its own moment.
"""

import numpy as np

from mmbot.kernels import layout as L
from mmbot.kernels._jit import carray, entry, pointer
from mmbot.kernels.features import liquidity, microprice, volatility
from mmbot.kernels.ladder import ladder_of, table_of
from mmbot.kernels.local import local_until
from mmbot.kernels.venue import venue_until

# ruff: noqa: N812 (the layout is a block of constants, one letter keeps the formulas readable)


@entry
def advance(context, until_ns):
    """Run to `until_ns` (a tick, or a snapshot that we asked for) or to what needs a decision before it."""
    c = carray(pointer(context), (L.INTS,), np.int64)
    f = carray(pointer(c[L.FEATURES]), (L.FLOATS,), np.float64)
    rows = c[L.ROWS]
    exch, recv = carray(pointer(c[L.EXCH]), (rows,), np.int64), carray(pointer(c[L.RECV]), (rows,), np.int64)
    kind = carray(pointer(c[L.KIND]), (rows,), np.uint8)
    tick = carray(pointer(c[L.TICK]), (rows,), np.int32)
    lots = carray(pointer(c[L.LOTS]), (rows,), np.int32)
    venue_until(c, f, exch, recv, kind, tick, lots, until_ns)
    crowded = c[L.ANSWER_TAIL] - c[L.ANSWER_HEAD] > L.RING - L.SLOTS
    if crowded or c[L.OVERFLOWED] or c[L.DELAY_HEAD] > c[L.DELAY_TAIL]:
        return L.OVERFULL
    answers = table_of(c, L.ANSWERS, L.RING, L.RING_WIDTH)
    answer_ns = L.NEVER
    if c[L.ANSWER_HEAD] != c[L.ANSWER_TAIL]:
        answer_ns = answers[c[L.ANSWER_HEAD] & (L.RING - 1)][L.DUE_NS]
    why = local_until(c, f, recv, kind, tick, lots, min(until_ns, answer_ns))
    if why == L.REACHED and answer_ns <= until_ns:
        c[L.NOW_NS] = answer_ns
        return L.ANSWERED
    return why


@entry
def observe(context, now_ns):
    """Read the market cache at a tick, price the book, and bring the features up to date. Returns how it was
    read, with VIEWED and CHANGED.
    """
    c = carray(pointer(context), (L.INTS,), np.int64)
    f = carray(pointer(c[L.FEATURES]), (L.FLOATS,), np.float64)
    c[L.AGE_NS] = -1
    if not c[L.LOCAL_SYNCED]:
        return L.MISS
    age_ns = now_ns - c[L.CONFIRMED_NS]
    if age_ns > c[L.SILENCE_NS]:
        c[L.LOCAL_SYNCED] = 0
        return L.MISS
    c[L.AGE_NS] = age_ns
    read = L.HIT if age_ns <= c[L.TTL_NS] else (L.STALE if c[L.STALE_OK] else L.MISS)
    bid, ask = c[L.LOCAL_BEST_BID], c[L.LOCAL_BEST_ASK]
    if read == L.MISS or bid < 0 or ask >= c[L.SPAN] or bid >= ask:
        return read
    bids, asks = ladder_of(c, L.LOCAL_BIDS), ladder_of(c, L.LOCAL_ASKS)
    depth = np.int64(bids[bid]) + asks[ask]
    for step in range(1, c[L.DEPTH_TICKS]):
        if bid - step >= 0:
            depth += bids[bid - step]
        if ask + step < c[L.SPAN]:
            depth += asks[ask + step]
    changed = (
        c[L.BID] != bid + c[L.BASE]
        or c[L.ASK] != ask + c[L.BASE]
        or c[L.BID_LOTS] != bids[bid]
        or c[L.ASK_LOTS] != asks[ask]
        or c[L.DEPTH_LOTS] != depth
    )
    c[L.BID], c[L.ASK] = bid + c[L.BASE], ask + c[L.BASE]
    c[L.BID_LOTS], c[L.ASK_LOTS], c[L.DEPTH_LOTS] = bids[bid], asks[ask], depth
    mid_x2 = c[L.BID] + c[L.ASK]
    volatility(c, f, now_ns, mid_x2)
    liquidity(c, f, now_ns, depth)
    microprice(c, c[L.BID_LOTS], c[L.ASK_LOTS], c[L.ASK] - c[L.BID], mid_x2)
    return read | L.VIEWED | (L.CHANGED if changed else 0)
