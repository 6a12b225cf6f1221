"""The venue's half: its book, our orders in their queues, its answers. Oracle: `sim.venue`."""

import numpy as np

from mmbot.kernels import layout as L
from mmbot.kernels._jit import carray, inlined, kernel, pointer
from mmbot.kernels.ladder import (
    best_ask,
    best_bid,
    clear,
    displayed_at,
    ladder_of,
    message_end,
    put,
    table_of,
    twice_mid,
)

# ruff: noqa: N812 (the layout is a block of constants, one letter keeps the formulas readable)


@inlined
def _venue_ns(c, exch, recv, kind, row):
    """When a row happened at the venue, on our clock; never before the one in front of it."""
    at_row = np.uint64(row)
    if c[L.CLOCK_RECORDED]:
        if kind[at_row] & L.KIND_MASK == L.CONFIRMED_ROW:
            return max(recv[at_row], c[L.VENUE_LAST_NS])
        return max(min(exch[at_row], recv[at_row]), c[L.VENUE_LAST_NS])
    return max(recv[at_row] - c[L.MARKET_DATA_NS], c[L.VENUE_LAST_NS])


@kernel
def _answer(c, answers, delays, now_ns, what, order_id, side, tick, lots, extra, leaves):
    """Send an answer: due after its own delay and not before the one in front of it."""
    due_ns = max(now_ns + delays[c[L.DELAY_HEAD] & (L.RING - 1)], c[L.ANSWER_LAST_NS])
    c[L.DELAY_HEAD] += 1
    c[L.ANSWER_LAST_NS] = due_ns
    slot = answers[c[L.ANSWER_TAIL] & (L.RING - 1)]
    c[L.ANSWER_TAIL] += 1
    slot[L.DUE_NS] = due_ns
    slot[L.WHAT] = what
    slot[L.ID] = order_id
    slot[L.SIDE] = side
    slot[L.PRICE] = tick
    slot[L.SIZE] = lots
    slot[L.EXTRA] = extra
    slot[L.LEAVES] = leaves
    slot[L.VENUE_TIME] = now_ns


@kernel
def _own_range(c, orders):
    """Where our orders rest, after one came or went."""
    bid_low = ask_low = np.int64(L.NOWHERE)
    bid_high = ask_high = np.int64(-L.NOWHERE)
    for index in range(c[L.ORDER_COUNT]):
        at = orders[index, L.ORDER_TICK] - c[L.BASE]
        if orders[index, L.ORDER_SIDE] > 0:
            bid_low, bid_high = min(bid_low, at), max(bid_high, at)
        else:
            ask_low, ask_high = min(ask_low, at), max(ask_high, at)
    c[L.OWN_BID_LOW], c[L.OWN_BID_HIGH] = bid_low, bid_high
    c[L.OWN_ASK_LOW], c[L.OWN_ASK_HIGH] = ask_low, ask_high


@kernel
def _drop_order(c, orders, index):
    """Remove an order; the others keep their order of arrival."""
    count = c[L.ORDER_COUNT] - 1
    for later in range(index, count):
        orders[later] = orders[later + 1]
    c[L.ORDER_COUNT] = count
    _own_range(c, orders)


@kernel
def _fill(c, orders, answers, delays, index, now_ns, lots, mid_x2, what, tick):
    """Fill part of an order; returns whether it is gone."""
    order = orders[index]
    order[L.ORDER_LEAVES] -= lots
    c[L.FILLS] += 1
    number, side, leaves = order[L.ORDER_ID], order[L.ORDER_SIDE], order[L.ORDER_LEAVES]
    _answer(c, answers, delays, now_ns, what, number, side, tick, lots, mid_x2, leaves)
    if order[L.ORDER_LEAVES] == 0:
        _drop_order(c, orders, index)
        return True
    return False


@kernel
def _takes(c, side, tick):
    """Would a price on this side reach the other side's best?"""
    if side > 0:
        return c[L.VENUE_BEST_ASK] < c[L.SPAN] and tick - c[L.BASE] >= c[L.VENUE_BEST_ASK]
    return c[L.VENUE_BEST_BID] >= 0 and tick - c[L.BASE] <= c[L.VENUE_BEST_BID]


@kernel
def _displayed(order, before, after, power):
    """The displayed size of an order's level changed (`sim.queue.Place.on_display`)."""
    left = before - after - order[L.ORDER_TRADED]
    order[L.ORDER_TRADED] = 0
    ahead = order[L.ORDER_AHEAD]
    if power > 0.0 and left > 0 and ahead > 0:
        back = max(before - ahead, 0)
        front_weight = float(ahead) ** power
        share = front_weight / (front_weight + float(back) ** power)
        ahead -= min(np.int64(np.rint(left * share)), ahead)
    order[L.ORDER_AHEAD] = min(ahead, after)


@kernel
def _touch_orders(c, orders, bids, asks, side, tick):
    """Remember what our orders' levels displayed before this message. tick < 0: all levels."""
    for index in range(c[L.ORDER_COUNT]):
        order = orders[index]
        mine = order[L.ORDER_TICK] == tick and order[L.ORDER_SIDE] == side
        if (mine or tick < 0) and order[L.ORDER_BEFORE] == L.UNTOUCHED:
            order[L.ORDER_BEFORE] = displayed_at(c, bids, asks, order[L.ORDER_SIDE], order[L.ORDER_TICK])


@inlined
def _book_message_ends(c, f, orders, answers, delays, bids, asks, touched, now_ns):
    """The venue's book is whole again."""
    c[L.VENUE_BEST_BID] = best_bid(bids, c[L.VENUE_BEST_BID])
    c[L.VENUE_BEST_ASK] = best_ask(asks, c[L.VENUE_BEST_ASK], c[L.SPAN])
    mid_before = c[L.VENUE_MID_X2]
    c[L.VENUE_MID_X2] = twice_mid(c[L.VENUE_BEST_BID], c[L.VENUE_BEST_ASK], c[L.SPAN], c[L.BASE])
    crossed = c[L.VENUE_BEST_BID] >= 0 and c[L.VENUE_BEST_BID] >= c[L.VENUE_BEST_ASK]
    if crossed:
        c[L.VENUE_SYNCED] = 0
    reached = c[L.VENUE_BEST_BID] >= c[L.OWN_ASK_LOW] or c[L.VENUE_BEST_ASK] <= c[L.OWN_BID_HIGH]
    if touched or reached:
        _orders_after_message(c, f, orders, answers, delays, bids, asks, mid_before, crossed, now_ns)


@kernel
def _orders_after_message(c, f, orders, answers, delays, bids, asks, mid_before, crossed, now_ns):
    """Queues move, and orders that the other side reached are filled; nothing of it in a crossed book."""
    for index in range(c[L.ORDER_COUNT]):
        order = orders[index]
        if order[L.ORDER_BEFORE] != L.UNTOUCHED and not crossed:
            after = displayed_at(c, bids, asks, order[L.ORDER_SIDE], order[L.ORDER_TICK])
            _displayed(order, order[L.ORDER_BEFORE], after, f[L.QUEUE_POWER])
        order[L.ORDER_BEFORE] = L.UNTOUCHED
    if crossed:
        return
    index = 0
    while index < c[L.ORDER_COUNT]:
        order = orders[index]
        if _takes(c, order[L.ORDER_SIDE], order[L.ORDER_TICK]):
            _fill(
                c, orders, answers, delays, index, now_ns,
                order[L.ORDER_LEAVES], mid_before, L.MAKER_FILL, order[L.ORDER_TICK],
            )  # fmt: skip
        else:
            index += 1


@kernel
def _venue_trade(c, orders, answers, delays, now_ns, taker, tick, lots):
    """A public trade: the queue eats first, then we; through our price it fills us whole."""
    taken = 0
    index = 0
    while index < c[L.ORDER_COUNT]:
        order = orders[index]
        gone = False
        if order[L.ORDER_SIDE] != taker:
            beyond = (tick - order[L.ORDER_TICK]) * taker
            ours = 0
            if beyond > 0:
                ours = order[L.ORDER_LEAVES]
            elif beyond == 0:
                order[L.ORDER_TRADED] += lots
                eaten = min(order[L.ORDER_AHEAD], lots)
                order[L.ORDER_AHEAD] -= eaten
                ours = min(max(lots - eaten - taken, 0), order[L.ORDER_LEAVES])
                taken += ours
            if ours > 0:
                gone = _fill(
                    c, orders, answers, delays, index, now_ns,
                    ours, c[L.VENUE_MID_X2], L.MAKER_FILL, order[L.ORDER_TICK],
                )  # fmt: skip
        if not gone:
            index += 1


@kernel
def _request(c, orders, answers, delays, bids, asks, request):
    """One of our requests arrives at the venue."""
    now_ns, what, order_id = request[L.DUE_NS], request[L.WHAT], request[L.ID]
    side, tick, lots = request[L.SIDE], request[L.PRICE], request[L.SIZE]
    if what == L.CANCEL:
        for index in range(c[L.ORDER_COUNT]):
            if orders[index][L.ORDER_ID] == order_id:
                leaves = orders[index][L.ORDER_LEAVES]
                _drop_order(c, orders, index)
                _answer(c, answers, delays, now_ns, L.CANCELLED, order_id, side, tick, leaves, 0, 0)
                return
        _answer(c, answers, delays, now_ns, L.CANCEL_REJECT, order_id, side, tick, 0, 0, 0)
        return
    if what == L.AMEND:
        _amend(c, orders, answers, delays, bids, asks, now_ns, order_id, tick, lots)
        return
    if not c[L.MIN_LOTS] <= lots <= c[L.MAX_LOTS]:
        _answer(c, answers, delays, now_ns, L.REJECT_SIZE, order_id, side, tick, lots, 0, 0)
        return
    if not c[L.VENUE_SYNCED]:
        _answer(c, answers, delays, now_ns, L.REJECT_NO_BOOK, order_id, side, tick, lots, 0, 0)
        return
    if what == L.SUBMIT_POST_ONLY and _takes(c, side, tick):
        _answer(c, answers, delays, now_ns, L.REJECT_WOULD_TAKE, order_id, side, tick, lots, 0, 0)
        return
    _answer(c, answers, delays, now_ns, L.ACK, order_id, side, tick, lots, 0, 0)
    if c[L.ORDER_COUNT] == L.SLOTS:
        c[L.OVERFLOWED] = 1
        return
    post_only = np.int64(what == L.SUBMIT_POST_ONLY)
    _arrive(c, orders, answers, delays, bids, asks, now_ns, order_id, side, tick, lots, lots, post_only)


@kernel
def _amend(c, orders, answers, delays, bids, asks, now_ns, order_id, tick, lots):
    """Less at its price keeps the place of an order; else it is a new one under the old name."""
    if not c[L.MIN_LOTS] <= lots <= c[L.MAX_LOTS]:
        _answer(c, answers, delays, now_ns, L.AMEND_SIZE, order_id, 0, tick, lots, 0, 0)
        return
    index = 0
    while index < c[L.ORDER_COUNT] and orders[index, L.ORDER_ID] != order_id:
        index += 1
    if index == c[L.ORDER_COUNT]:
        _answer(c, answers, delays, now_ns, L.AMEND_NO_ORDER, order_id, 0, tick, lots, 0, 0)
        return
    order = orders[index]
    side, post_only = order[L.ORDER_SIDE], order[L.ORDER_POST_ONLY]
    leaves = lots - order[L.ORDER_LOTS] + order[L.ORDER_LEAVES]
    if not c[L.VENUE_SYNCED]:
        _answer(c, answers, delays, now_ns, L.AMEND_NO_BOOK, order_id, side, tick, lots, 0, 0)
        return
    if leaves <= 0:
        _answer(c, answers, delays, now_ns, L.AMEND_SIZE, order_id, side, tick, lots, 0, 0)
        return
    if tick == order[L.ORDER_TICK] and lots <= order[L.ORDER_LOTS]:
        order[L.ORDER_LOTS], order[L.ORDER_LEAVES] = lots, leaves
        _answer(c, answers, delays, now_ns, L.AMENDED, order_id, side, tick, lots, 1, leaves)
        return
    left = order[L.ORDER_LEAVES]
    _drop_order(c, orders, index)
    if post_only and _takes(c, side, tick):
        _answer(c, answers, delays, now_ns, L.CANCELLED, order_id, side, tick, left, 0, 0)
        return
    _answer(c, answers, delays, now_ns, L.AMENDED, order_id, side, tick, lots, 0, leaves)
    _arrive(c, orders, answers, delays, bids, asks, now_ns, order_id, side, tick, lots, leaves, post_only)


@kernel
def _arrive(c, orders, answers, delays, bids, asks, now_ns, order_id, side, tick, lots, leaves, post_only):
    """An order joins the others, behind the display of its price, and takes what it may."""
    index = c[L.ORDER_COUNT]
    order = orders[index]
    order[L.ORDER_ID] = order_id
    order[L.ORDER_SIDE] = side
    order[L.ORDER_TICK] = tick
    order[L.ORDER_LOTS] = lots
    order[L.ORDER_LEAVES] = leaves
    order[L.ORDER_POST_ONLY] = post_only
    order[L.ORDER_AHEAD] = displayed_at(c, bids, asks, side, tick)
    order[L.ORDER_TRADED] = 0
    order[L.ORDER_BEFORE] = L.UNTOUCHED
    c[L.ORDER_COUNT] = index + 1
    _own_range(c, orders)
    if _takes(c, side, tick):
        _take(c, orders, answers, delays, bids, asks, index, now_ns)


@kernel
def _take(c, orders, answers, delays, bids, asks, index, now_ns):
    """A marketable order walks the displayed levels of the other side; what is left is cancelled."""
    order = orders[index]
    side, limit = order[L.ORDER_SIDE], order[L.ORDER_TICK] - c[L.BASE]
    at = c[L.VENUE_BEST_ASK] if side > 0 else c[L.VENUE_BEST_BID]
    while 0 <= at < c[L.SPAN] and (limit - at) * side >= 0:
        shown = asks[at] if side > 0 else bids[at]
        if shown > 0:
            lots = min(np.int64(shown), order[L.ORDER_LEAVES])
            tick = at + c[L.BASE]
            if _fill(c, orders, answers, delays, index, now_ns, lots, c[L.VENUE_MID_X2], L.TAKER_FILL, tick):
                return
        at += side
    number, tick, leaves = order[L.ORDER_ID], order[L.ORDER_TICK], order[L.ORDER_LEAVES]
    _drop_order(c, orders, index)
    _answer(c, answers, delays, now_ns, L.CANCELLED, number, side, tick, leaves, 0, 0)


@inlined
def _venue_book(c, f, orders, answers, delays, bids, asks, kind, tick, lots, row, now_ns):
    """A book message at the venue: a delta, or a snapshot whose marker row stands first. Returns the row
    after it.
    """
    snapshot = kind[row] & L.KIND_MASK == L.SNAPSHOT_ROW
    if snapshot:
        c[L.VENUE_SYNCED] = 1
    elif not c[L.VENUE_SYNCED]:
        return message_end(kind, row)
    touched, last = snapshot, 0
    if snapshot:
        _touch_orders(c, orders, bids, asks, 0, -1)
        clear(c, bids, asks, L.VENUE_BEST_BID, L.VENUE_BEST_ASK)
        last = kind[row] & L.LAST_ROW
        row += 1
    base, best_bid_at, best_ask_at = c[L.BASE], c[L.VENUE_BEST_BID], c[L.VENUE_BEST_ASK]
    bid_low, bid_high = c[L.OWN_BID_LOW], c[L.OWN_BID_HIGH]
    ask_low, ask_high = c[L.OWN_ASK_LOW], c[L.OWN_ASK_HIGH]
    span = c[L.SPAN]
    both = carray(pointer(c[L.VENUE_BIDS]), (2 * span,), np.int32)
    at_row = np.uint64(row)
    while not last:
        what, at, size = kind[at_row], np.int64(tick[at_row]) - base, lots[at_row]
        last = what & L.LAST_ROW
        is_ask = np.int64(what & 1)
        low = ask_low if is_ask else bid_low
        high = ask_high if is_ask else bid_high
        if low <= at <= high:
            _touch_orders(c, orders, bids, asks, 1 - 2 * is_ask, tick[at_row])
            touched = True
        best_bid_at, best_ask_at = put(both, span, at, is_ask, size, best_bid_at, best_ask_at)
        at_row += np.uint64(1)
    row = np.int64(at_row)
    c[L.VENUE_BEST_BID], c[L.VENUE_BEST_ASK] = best_bid_at, best_ask_at
    _book_message_ends(c, f, orders, answers, delays, bids, asks, touched, now_ns)
    return row


@inlined
def venue_until(c, f, exch, recv, kind, tick, lots, until_ns):
    """Everything at the venue up to and including `until_ns`; at one nanosecond the market comes first."""
    bids, asks = ladder_of(c, L.VENUE_BIDS), ladder_of(c, L.VENUE_ASKS)
    orders = table_of(c, L.ORDERS, L.SLOTS, L.ORDER_WIDTH)
    requests = table_of(c, L.REQUESTS, L.RING, L.RING_WIDTH)
    answers = table_of(c, L.ANSWERS, L.RING, L.RING_WIDTH)
    delays = carray(pointer(c[L.DELAYS]), (L.RING,), np.int64)
    row, rows = c[L.VENUE_ROW], c[L.ROWS]
    now_ns = _venue_ns(c, exch, recv, kind, row) if row < rows else L.NEVER
    while True:
        request_ns = L.NEVER
        if c[L.REQUEST_HEAD] != c[L.REQUEST_TAIL]:
            request_ns = requests[c[L.REQUEST_HEAD] & (L.RING - 1)][L.DUE_NS]
        if now_ns > until_ns and request_ns > until_ns:
            return
        if request_ns < now_ns:
            _request(c, orders, answers, delays, bids, asks, requests[c[L.REQUEST_HEAD] & (L.RING - 1)])
            c[L.REQUEST_HEAD] += 1
            continue
        c[L.VENUE_LAST_NS] = now_ns
        at_row = np.uint64(row)
        what = kind[at_row] & L.KIND_MASK
        if what <= L.ASK_ROW or what == L.SNAPSHOT_ROW:
            row = _venue_book(c, f, orders, answers, delays, bids, asks, kind, tick, lots, row, now_ns)
        else:
            if what <= L.SELL_ROW:
                at, taker = tick[at_row] - c[L.BASE], 1 if what == L.BUY_ROW else -1
                hits = at >= c[L.OWN_ASK_LOW] if taker > 0 else at <= c[L.OWN_BID_HIGH]
                if c[L.VENUE_SYNCED] and hits:
                    _venue_trade(c, orders, answers, delays, now_ns, taker, tick[at_row], lots[at_row])
            elif what == L.TROUBLE_ROW and tick[at_row] == L.BREAKS_BOTH:
                c[L.VENUE_SYNCED] = 0
            row += 1  # only books take several rows
        c[L.VENUE_ROW] = row
        now_ns = _venue_ns(c, exch, recv, kind, row) if row < rows else L.NEVER
