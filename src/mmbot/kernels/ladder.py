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
def put(both, span, at, is_ask, size, bid, ask):
    """Set one level of a book whose asks lie behind its bids. Returns the best prices; one that vanished
    waits for a rescan.
    """
    both[np.uint64(at + is_ask * span)] = size
    shown = size > 0
    return max(bid, at if shown & (is_ask == 0) else -1), min(ask, at if shown & (is_ask == 1) else span)


@inlined
def best_bid(ladder, index):
    while index >= 0 and ladder[np.uint64(index)] == 0:
        index -= 1
    return index


@inlined
def best_ask(ladder, index, span):
    while index < span and ladder[np.uint64(index)] == 0:
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


@kernel
def clear(c, bids, asks, best_bid, best_ask):
    """Take every level out of two ladders."""
    bids[:] = 0
    asks[:] = 0
    c[best_bid] = -1
    c[best_ask] = c[L.SPAN]
