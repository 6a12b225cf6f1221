"""Our half of a symbol: what reached us, and where our orders stand. Oracle: `book.market.PlainMarket`."""

import math

import numpy as np

from mmbot.kernels import layout as L
from mmbot.kernels._jit import carray, inlined, kernel, pointer
from mmbot.kernels.ladder import best_ask, best_bid, clear, displayed_at, message_end, put

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
def _local_book(c, places, bids, asks, kind, tick, lots, row):
    """A book message reaches us. Returns the row after it, and why Python must hear of it, or REACHED."""
    last, snapshot = 0, kind[row] & L.KIND_MASK == L.SNAPSHOT_ROW
    if snapshot:
        clear(c, bids, asks, L.LOCAL_BEST_BID, L.LOCAL_BEST_ASK)
        c[L.LOCAL_SYNCED] = 1
        last = kind[row] & L.LAST_ROW
        row += 1
    elif not c[L.LOCAL_SYNCED] or row < c[L.INCLUDED_ROW]:
        return message_end(kind, row), L.REACHED
    base, bid, ask = c[L.BASE], c[L.LOCAL_BEST_BID], c[L.LOCAL_BEST_ASK]
    span = c[L.SPAN]
    both = carray(pointer(c[L.LOCAL_BIDS]), (2 * span,), np.int32)
    at_row = np.uint64(row)
    while not last:
        what, at, size = kind[at_row], np.int64(tick[at_row]) - base, lots[at_row]
        last = what & L.LAST_ROW
        is_ask = np.int64(what & 1)
        bid, ask = put(both, span, at, is_ask, size, bid, ask)
        at_row += np.uint64(1)
    row = np.int64(at_row)
    bid, ask = best_bid(bids, bid), best_ask(asks, ask, span)
    c[L.LOCAL_BEST_BID], c[L.LOCAL_BEST_ASK] = bid, ask
    c[L.UPDATES] += 1
    for index in range(c[L.PLACE_COUNT]):
        place = places[index]
        displayed = displayed_at(c, bids, asks, place[L.PLACE_SIDE], place[L.PLACE_TICK])
        place[L.PLACE_AHEAD] = min(place[L.PLACE_AHEAD], displayed)
    if bid >= 0 and bid >= ask:
        c[L.SNAPSHOT_CROSSED] = snapshot
        return row, L.CROSSED
    return row, L.SNAPSHOT_ARRIVED if snapshot else L.REACHED


@inlined
def local_until(c, f, places, bids, asks, recv, kind, tick, lots, until_ns):
    """Everything that reaches us up to and including `until_ns`; stops early where Python must decide."""
    row, rows = c[L.LOCAL_ROW], c[L.ROWS]
    why = L.REACHED
    while why == L.REACHED and row < rows and recv[np.uint64(row)] <= until_ns:
        at_row = np.uint64(row)
        now_ns, what = recv[at_row], kind[at_row] & L.KIND_MASK
        c[L.CONFIRMED_NS] = now_ns
        if what <= L.ASK_ROW or what == L.SNAPSHOT_ROW:
            row, why = _local_book(c, places, bids, asks, kind, tick, lots, row)
        else:
            if what <= L.SELL_ROW:
                taker = 1 if what == L.BUY_ROW else -1
                _local_trade(c, f, places, now_ns, taker, tick[at_row], lots[at_row])
            elif what == L.TROUBLE_ROW:
                c[L.DETAIL] = lots[row]
                if tick[row]:
                    c[L.LOCAL_SYNCED] = 0
                why = L.TROUBLE_ARRIVED
            row += 1  # only books take several rows
        c[L.NOW_NS] = now_ns
    c[L.LOCAL_ROW] = row
    return why


@kernel
def place_answer(c, places, bids, asks, answer):
    """What an answer that reaches us means for our queue places: an order rests behind what is displayed,
    also where it was amended out of its place, or is no more.
    """
    what, order_id = answer[L.WHAT], answer[L.ID]
    count = c[L.PLACE_COUNT]
    c[L.STIRRED] = max(c[L.STIRRED], 1 if what in (L.ACK, L.AMENDED) else 2)
    if what == L.ACK:
        if count == L.SLOTS:
            c[L.OVERFLOWED] = 1
            return
        place = places[count]
        place[L.PLACE_ID], place[L.PLACE_SIDE], place[L.PLACE_TICK] = (
            order_id,
            answer[L.SIDE],
            answer[L.PRICE],
        )
        place[L.PLACE_AHEAD] = displayed_at(c, bids, asks, answer[L.SIDE], answer[L.PRICE])
        c[L.PLACE_COUNT] = count + 1
    elif what == L.AMENDED:
        for index in range(count):
            if places[index, L.PLACE_ID] == order_id and not answer[L.EXTRA]:
                places[index, L.PLACE_TICK] = answer[L.PRICE]
                places[index, L.PLACE_AHEAD] = displayed_at(c, bids, asks, answer[L.SIDE], answer[L.PRICE])
    elif what == L.CANCELLED or (what in (L.MAKER_FILL, L.TAKER_FILL) and answer[L.LEAVES] == 0):
        for index in range(count):
            if places[index, L.PLACE_ID] == order_id:
                for later in range(index, count - 1):
                    places[later] = places[later + 1]
                c[L.PLACE_COUNT] = count - 1
                return
