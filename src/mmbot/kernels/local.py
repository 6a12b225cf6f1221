"""Our half of a symbol: what reached us, and where our orders stand. Oracle: `book.market.PlainMarket`."""

import math

import numpy as np

from mmbot.kernels import layout as L
from mmbot.kernels._jit import inlined
from mmbot.kernels.ladder import (
    best_ask,
    best_bid,
    clear,
    displayed_at,
    ladder_of,
    message_end,
    read_levels,
    table_of,
)

# ruff: noqa: N812 (the layout is a block of constants, one letter keeps the formulas readable)


@inlined
def _rate_add(c, f, rate, stamp, now_ns, lots):
    """`book.measures.DecayedRate.add`."""
    # the same libm functions as the oracle, in the same order: results are equal to the last bit
    decayed = f[rate] * np.exp2((c[stamp] - now_ns) / f[L.RATE_HALFLIFE_NS])
    f[rate] = decayed + lots * math.log(2.0) * 1e9 / f[L.RATE_HALFLIFE_NS]
    c[stamp] = now_ns


@inlined
def _local_trade(c, f, places, now_ns, taker, tick, lots):
    if taker > 0:
        _rate_add(c, f, L.SELL_RATE, L.SELL_RATE_NS, now_ns, lots)
    else:
        _rate_add(c, f, L.BUY_RATE, L.BUY_RATE_NS, now_ns, lots)
    for index in range(c[L.PLACE_COUNT]):
        place = places[index]
        if place[L.PLACE_SIDE] != taker and place[L.PLACE_TICK] == tick:
            place[L.PLACE_AHEAD] = max(place[L.PLACE_AHEAD] - lots, 0)


@inlined
def _local_book_changed(c, places, bids, asks):
    """Best prices, our places; returns whether the book is crossed now."""
    c[L.LOCAL_BEST_BID] = best_bid(bids, c[L.LOCAL_BEST_BID])
    c[L.LOCAL_BEST_ASK] = best_ask(asks, c[L.LOCAL_BEST_ASK], c[L.SPAN])
    c[L.UPDATES] += 1
    for index in range(c[L.PLACE_COUNT]):
        place = places[index]
        displayed = displayed_at(c, bids, asks, place[L.PLACE_SIDE], place[L.PLACE_TICK])
        place[L.PLACE_AHEAD] = min(place[L.PLACE_AHEAD], displayed)
    return c[L.LOCAL_BEST_BID] >= 0 and c[L.LOCAL_BEST_BID] >= c[L.LOCAL_BEST_ASK]


@inlined
def _local_book(c, places, bids, asks, kind, tick, lots, row, end):
    """A book message reaches us; returns whether Python must hear of it."""
    snapshot = kind[row] & L.KIND_MASK == L.SNAPSHOT_ROW
    if snapshot:
        clear(c, bids, asks, L.LOCAL_BEST_BID, L.LOCAL_BEST_ASK, L.LOCAL_LOW, L.LOCAL_HIGH)
        c[L.LOCAL_SYNCED] = 1
        row += 1
    elif not c[L.LOCAL_SYNCED] or row < c[L.INCLUDED_ROW]:
        return L.REACHED
    read_levels(
        c, bids, asks, kind, tick, lots, row, end,
        L.LOCAL_BEST_BID, L.LOCAL_BEST_ASK, L.LOCAL_LOW, L.LOCAL_HIGH,
    )  # fmt: skip
    if _local_book_changed(c, places, bids, asks):
        c[L.SNAPSHOT_CROSSED] = snapshot
        return L.CROSSED
    return L.SNAPSHOT_ARRIVED if snapshot else L.REACHED


@inlined
def local_until(c, f, recv, kind, tick, lots, until_ns):
    """Everything that reaches us up to and including `until_ns`; stops early where Python must decide."""
    bids, asks = ladder_of(c, L.LOCAL_BIDS), ladder_of(c, L.LOCAL_ASKS)
    places = table_of(c, L.PLACES, L.SLOTS, L.PLACE_WIDTH)
    row, rows = c[L.LOCAL_ROW], c[L.ROWS]
    while row < rows and recv[row] <= until_ns:
        now_ns = recv[row]
        what = kind[row] & L.KIND_MASK
        end = message_end(kind, row)
        why = L.REACHED
        if what == L.TROUBLE_ROW:
            c[L.DETAIL] = lots[row]
            c[L.CONFIRMED_NS] = now_ns
            if tick[row]:
                c[L.LOCAL_SYNCED] = 0
            why = L.TROUBLE_ARRIVED
        else:
            c[L.CONFIRMED_NS] = now_ns
            if what <= L.ASK_ROW or what == L.SNAPSHOT_ROW:
                why = _local_book(c, places, bids, asks, kind, tick, lots, row, end)
            elif what <= L.SELL_ROW:
                _local_trade(c, f, places, now_ns, 1 if what == L.BUY_ROW else -1, tick[row], lots[row])
        row = end
        c[L.LOCAL_ROW] = row
        if why != L.REACHED:
            c[L.NOW_NS] = now_ns
            return why
    return L.REACHED
