"""Dense price ladders: sizes by tick, a best price that is scanned for only when it vanished."""

import numpy as np

from mmbot.kernels import layout as L
from mmbot.kernels._jit import carray, inlined, kernel, pointer

# ruff: noqa: N812 (the layout is a block of constants, one letter keeps the formulas readable)


@inlined
def ladder_of(c, which):
    return carray(pointer(c[which]), (c[L.SPAN],), np.int32)


@inlined
def table_of(c, which, rows, width):
    return carray(pointer(c[which]), (rows, width), np.int64)


@inlined
def best_bid(ladder, index):
    while index >= 0 and ladder[index] == 0:
        index -= 1
    return index


@inlined
def best_ask(ladder, index, span):
    while index < span and ladder[index] == 0:
        index += 1
    return index


@inlined
def twice_mid(bid, ask, span, base):
    return bid + ask + 2 * base if bid >= 0 and ask < span else L.NO_MID


@kernel
def displayed_at(c, bids, asks, side, tick):
    """Size displayed on a side at a price; nothing is beyond the recorded prices, where an order may be."""
    at = tick - c[L.BASE]
    if at < 0 or at >= c[L.SPAN]:
        return np.int64(0)
    return np.int64(bids[at] if side > 0 else asks[at])


@inlined
def message_end(kind, row):
    """The row after the message that stands at `row`."""
    while not kind[row] & L.LAST_ROW:
        row += 1
    return row + 1


@inlined
def read_levels(c, bids, asks, kind, tick, lots, row, end, best_bid, best_ask, low, high):
    """Put the levels of rows [row, end) into two ladders; a best price that vanished waits for a rescan."""
    base = c[L.BASE]
    best_b, best_a, lowest, highest = c[best_bid], c[best_ask], c[low], c[high]
    for at_row in range(row, end):
        at, size = tick[at_row] - base, lots[at_row]
        if kind[at_row] & L.KIND_MASK == L.BID_ROW:
            bids[at] = size
            if size and at > best_b:
                best_b = at
        else:
            asks[at] = size
            if size and at < best_a:
                best_a = at
        lowest, highest = min(lowest, at), max(highest, at)
    c[best_bid], c[best_ask], c[low], c[high] = best_b, best_a, lowest, highest


@kernel
def clear(c, bids, asks, best_bid, best_ask, low, high):
    for at in range(c[low], c[high] + 1):
        bids[at] = 0
        asks[at] = 0
    c[best_bid] = -1
    c[best_ask] = c[L.SPAN]
