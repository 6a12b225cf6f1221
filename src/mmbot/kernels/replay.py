"""The replay kernel: both books, our orders in their queues, answers on their way, and the features of a
symbol.

It does what `book`, `sim.venue`, `sim.queue` and the market half of `engine.symbol` do, in the same order and
with the same arithmetic; those are the oracle, and tests hold the two together, number by number. It runs
until something needs a decision: a tick is reached, an answer arrives, our book was replaced or cannot be
believed.

Between two ticks no new request can appear, so the venue's half runs ahead to the tick, and our half follows,
stopping at each answer: the acknowledgement of an order looks at the book of its own moment.
"""

import math

import numpy as np

from mmbot.kernels import layout as L
from mmbot.kernels._jit import carray, entry, inlined, kernel, pointer

# ruff: noqa: N812 (the layout is a block of constants, one letter keeps the formulas readable)


@inlined
def _ladder(c, which):
    return carray(pointer(c[which]), (c[L.SPAN],), np.int32)


@inlined
def _table(c, which, rows, width):
    return carray(pointer(c[which]), (rows, width), np.int64)


@kernel
def _best_bid(ladder, index):
    while index >= 0 and ladder[index] == 0:
        index -= 1
    return index


@kernel
def _best_ask(ladder, index, span):
    while index < span and ladder[index] == 0:
        index += 1
    return index


@kernel
def _mid_x2(bid, ask, span, base):
    return bid + ask + 2 * base if bid >= 0 and ask < span else L.NO_MID


@kernel
def _shown(c, bids, asks, side, tick):
    """Size displayed on a side at a price; nothing is beyond the recorded prices, where an order may be."""
    at = tick - c[L.BASE]
    if at < 0 or at >= c[L.SPAN]:
        return np.int64(0)
    return np.int64(bids[at] if side > 0 else asks[at])


# ---------------------------------------------------------------- the venue's half


@kernel
def _venue_ns(c, exch, recv, kind, row):
    """When a row happened at the venue, on our clock: never before its predecessor in the unsynchronised
    case.
    """
    if c[L.CLOCK_RECORDED]:
        if kind[row] & L.KIND_MASK == L.CONFIRMED_ROW:
            return max(recv[row], c[L.VENUE_LAST_NS])
        return max(min(exch[row], recv[row]), c[L.VENUE_LAST_NS])
    return max(recv[row] - c[L.MARKET_DATA_NS], c[L.VENUE_LAST_NS])


@kernel
def _answer(c, answers, delays, now_ns, what, order_id, side, tick, lots, extra):
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
    slot[L.VENUE_TIME] = now_ns


@kernel
def _drop_order(c, orders, index):
    """Remove an order; the others keep their order of arrival."""
    count = c[L.ORDER_COUNT] - 1
    for later in range(index, count):
        orders[later] = orders[later + 1]
    c[L.ORDER_COUNT] = count


@kernel
def _fill(c, orders, answers, delays, index, now_ns, lots, mid_x2, what, tick):
    """Fill part of an order; returns whether it is gone."""
    order = orders[index]
    order[L.ORDER_LEAVES] -= lots
    c[L.FILLS] += 1
    _answer(c, answers, delays, now_ns, what, order[L.ORDER_ID], order[L.ORDER_SIDE], tick, lots, mid_x2)
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
            order[L.ORDER_BEFORE] = _shown(c, bids, asks, order[L.ORDER_SIDE], order[L.ORDER_TICK])


@kernel
def _book_message_ends(c, f, orders, answers, delays, bids, asks, now_ns):
    """The venue's book is whole again: queues move, and orders that the other side reached are filled."""
    c[L.VENUE_BEST_BID] = _best_bid(bids, c[L.VENUE_BEST_BID])
    c[L.VENUE_BEST_ASK] = _best_ask(asks, c[L.VENUE_BEST_ASK], c[L.SPAN])
    mid_before = c[L.VENUE_MID_X2]
    c[L.VENUE_MID_X2] = _mid_x2(c[L.VENUE_BEST_BID], c[L.VENUE_BEST_ASK], c[L.SPAN], c[L.BASE])
    crossed = c[L.VENUE_BEST_BID] >= 0 and c[L.VENUE_BEST_BID] >= c[L.VENUE_BEST_ASK]
    if crossed:
        c[L.VENUE_SYNCED] = 0
    for index in range(c[L.ORDER_COUNT]):
        order = orders[index]
        if order[L.ORDER_BEFORE] != L.UNTOUCHED and not crossed:
            after = _shown(c, bids, asks, order[L.ORDER_SIDE], order[L.ORDER_TICK])
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
def _after(kind, row):
    """The row after the message that stands at `row`."""
    while not kind[row] & L.LAST_ROW:
        row += 1
    return row + 1


@kernel
def _read_levels(c, bids, asks, kind, tick, lots, row, end, best_bid, best_ask, low, high):
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
def _clear(c, bids, asks, best_bid, best_ask, low, high):
    for at in range(c[low], c[high] + 1):
        bids[at] = 0
        asks[at] = 0
    c[best_bid] = -1
    c[best_ask] = c[L.SPAN]


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
                _answer(c, answers, delays, now_ns, L.CANCELLED, order_id, side, tick, leaves, 0)
                return
        _answer(c, answers, delays, now_ns, L.CANCEL_REJECT, order_id, side, tick, 0, 0)
        return
    if not c[L.VENUE_SYNCED]:
        _answer(c, answers, delays, now_ns, L.REJECT_NO_BOOK, order_id, side, tick, lots, 0)
        return
    taking = _takes(c, side, tick)
    if taking and what == L.SUBMIT_POST_ONLY:
        _answer(c, answers, delays, now_ns, L.REJECT_WOULD_TAKE, order_id, side, tick, lots, 0)
        return
    _answer(c, answers, delays, now_ns, L.ACK, order_id, side, tick, lots, 0)
    index = c[L.ORDER_COUNT]
    order = orders[index]
    order[L.ORDER_ID] = order_id
    order[L.ORDER_SIDE] = side
    order[L.ORDER_TICK] = tick
    order[L.ORDER_LEAVES] = lots
    order[L.ORDER_AHEAD] = _shown(c, bids, asks, side, tick)
    order[L.ORDER_TRADED] = 0
    order[L.ORDER_BEFORE] = L.UNTOUCHED
    c[L.ORDER_COUNT] = index + 1
    if taking:
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
    _answer(c, answers, delays, now_ns, L.CANCELLED, number, side, tick, leaves, 0)


@kernel
def _venue_book(c, f, orders, answers, delays, bids, asks, kind, tick, lots, row, end, now_ns):
    """A book message at the venue: a delta, or a snapshot whose marker row stands first."""
    snapshot = kind[row] & L.KIND_MASK == L.SNAPSHOT_ROW
    if snapshot:
        c[L.VENUE_SYNCED] = 1
    elif not c[L.VENUE_SYNCED]:
        return
    if c[L.ORDER_COUNT] and snapshot:
        _touch_orders(c, orders, bids, asks, 0, -1)
    elif c[L.ORDER_COUNT]:
        for at_row in range(row, end):
            side = 1 if kind[at_row] & L.KIND_MASK == L.BID_ROW else -1
            _touch_orders(c, orders, bids, asks, side, tick[at_row])
    if snapshot:
        _clear(c, bids, asks, L.VENUE_BEST_BID, L.VENUE_BEST_ASK, L.VENUE_LOW, L.VENUE_HIGH)
        row += 1
    _read_levels(
        c, bids, asks, kind, tick, lots, row, end,
        L.VENUE_BEST_BID, L.VENUE_BEST_ASK, L.VENUE_LOW, L.VENUE_HIGH,
    )  # fmt: skip
    _book_message_ends(c, f, orders, answers, delays, bids, asks, now_ns)


@kernel
def _venue_until(c, f, exch, recv, kind, tick, lots, until_ns):
    """Everything at the venue up to and including `until_ns`; at one nanosecond the market comes first."""
    bids, asks = _ladder(c, L.VENUE_BIDS), _ladder(c, L.VENUE_ASKS)
    orders = _table(c, L.ORDERS, L.SLOTS, L.ORDER_WIDTH)
    requests = _table(c, L.REQUESTS, L.RING, L.RING_WIDTH)
    answers = _table(c, L.ANSWERS, L.RING, L.RING_WIDTH)
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
        what = kind[row] & L.KIND_MASK
        end = _after(kind, row)
        if what <= L.ASK_ROW or what == L.SNAPSHOT_ROW:
            _venue_book(c, f, orders, answers, delays, bids, asks, kind, tick, lots, row, end, now_ns)
        elif what <= L.SELL_ROW:
            if c[L.VENUE_SYNCED] and c[L.ORDER_COUNT]:
                taker = 1 if what == L.BUY_ROW else -1
                _venue_trade(c, orders, answers, delays, now_ns, taker, tick[row], lots[row])
        elif what == L.TROUBLE_ROW and tick[row]:
            c[L.VENUE_SYNCED] = 0
        row = end
        c[L.VENUE_ROW] = row
        now_ns = _venue_ns(c, exch, recv, kind, row) if row < rows else L.NEVER


# ---------------------------------------------------------------- our half


@kernel
def _rate_add(c, f, rate, stamp, now_ns, lots):
    """`book.measures.DecayedRate.add`."""
    # the same libm functions as the oracle, in the same order: results are equal to the last bit
    decayed = f[rate] * np.exp2((c[stamp] - now_ns) / f[L.RATE_HALFLIFE_NS])
    f[rate] = decayed + lots * math.log(2.0) * 1e9 / f[L.RATE_HALFLIFE_NS]
    c[stamp] = now_ns


@kernel
def _local_trade(c, f, places, now_ns, taker, tick, lots):
    if taker > 0:
        _rate_add(c, f, L.SELL_RATE, L.SELL_RATE_NS, now_ns, lots)
    else:
        _rate_add(c, f, L.BUY_RATE, L.BUY_RATE_NS, now_ns, lots)
    for index in range(c[L.PLACE_COUNT]):
        place = places[index]
        if place[L.PLACE_SIDE] != taker and place[L.PLACE_TICK] == tick:
            place[L.PLACE_AHEAD] = max(place[L.PLACE_AHEAD] - lots, 0)


@kernel
def _local_book_changed(c, places, bids, asks):
    """Best prices, our places; returns whether the book is crossed now."""
    c[L.LOCAL_BEST_BID] = _best_bid(bids, c[L.LOCAL_BEST_BID])
    c[L.LOCAL_BEST_ASK] = _best_ask(asks, c[L.LOCAL_BEST_ASK], c[L.SPAN])
    c[L.UPDATES] += 1
    for index in range(c[L.PLACE_COUNT]):
        place = places[index]
        shown = _shown(c, bids, asks, place[L.PLACE_SIDE], place[L.PLACE_TICK])
        place[L.PLACE_AHEAD] = min(place[L.PLACE_AHEAD], shown)
    return c[L.LOCAL_BEST_BID] >= 0 and c[L.LOCAL_BEST_BID] >= c[L.LOCAL_BEST_ASK]


@kernel
def _local_book(c, places, bids, asks, kind, tick, lots, row, end):
    """A book message reaches us; returns whether Python must hear of it."""
    snapshot = kind[row] & L.KIND_MASK == L.SNAPSHOT_ROW
    if snapshot:
        _clear(c, bids, asks, L.LOCAL_BEST_BID, L.LOCAL_BEST_ASK, L.LOCAL_LOW, L.LOCAL_HIGH)
        c[L.LOCAL_SYNCED] = 1
        row += 1
    elif not c[L.LOCAL_SYNCED] or row < c[L.INCLUDED_ROW]:
        return L.REACHED
    _read_levels(
        c, bids, asks, kind, tick, lots, row, end,
        L.LOCAL_BEST_BID, L.LOCAL_BEST_ASK, L.LOCAL_LOW, L.LOCAL_HIGH,
    )  # fmt: skip
    if _local_book_changed(c, places, bids, asks):
        c[L.SNAPSHOT_CROSSED] = snapshot
        return L.CROSSED
    return L.SNAPSHOT_ARRIVED if snapshot else L.REACHED


@kernel
def _local_until(c, f, recv, kind, tick, lots, until_ns):
    """Everything that reaches us up to and including `until_ns`; stops early where Python must decide."""
    bids, asks = _ladder(c, L.LOCAL_BIDS), _ladder(c, L.LOCAL_ASKS)
    places = _table(c, L.PLACES, L.SLOTS, L.PLACE_WIDTH)
    row, rows = c[L.LOCAL_ROW], c[L.ROWS]
    while row < rows and recv[row] <= until_ns:
        now_ns = recv[row]
        what = kind[row] & L.KIND_MASK
        end = _after(kind, row)
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


@entry
def advance(context, until_ns):
    """Run to `until_ns` (a tick, or a snapshot that we asked for) or to what needs a decision before it."""
    c = carray(context, (L.INTS,), np.int64)
    f = carray(pointer(c[L.FEATURES]), (L.FLOATS,), np.float64)
    rows = c[L.ROWS]
    exch, recv = carray(pointer(c[L.EXCH]), (rows,), np.int64), carray(pointer(c[L.RECV]), (rows,), np.int64)
    kind = carray(pointer(c[L.KIND]), (rows,), np.uint8)
    tick = carray(pointer(c[L.TICK]), (rows,), np.int32)
    lots = carray(pointer(c[L.LOTS]), (rows,), np.int32)
    _venue_until(c, f, exch, recv, kind, tick, lots, until_ns)
    if c[L.ANSWER_TAIL] - c[L.ANSWER_HEAD] > L.RING - L.SLOTS or c[L.ORDER_COUNT] >= L.SLOTS - 1:
        return L.OVERFULL
    answers = _table(c, L.ANSWERS, L.RING, L.RING_WIDTH)
    answer_ns = L.NEVER
    if c[L.ANSWER_HEAD] != c[L.ANSWER_TAIL]:
        answer_ns = answers[c[L.ANSWER_HEAD] & (L.RING - 1)][L.DUE_NS]
    why = _local_until(c, f, recv, kind, tick, lots, min(until_ns, answer_ns))
    if why == L.REACHED and answer_ns <= until_ns:
        c[L.NOW_NS] = answer_ns
        return L.ANSWERED
    return why


@kernel
def _volatility(c, f, now_ns, mid_x2):
    """`book.measures.Volatility.update`; a variance below 0 stands for none yet."""
    previous, elapsed = c[L.VOL_MID_X2], now_ns - c[L.VOL_NOW_NS]
    c[L.VOL_MID_X2], c[L.VOL_NOW_NS] = mid_x2, now_ns
    if not previous or elapsed <= 0:
        return
    rate = 0.0
    if mid_x2 != previous:
        move = math.log(mid_x2 / previous) * 1e4
        rate = move * move * 1_000_000_000 / elapsed
    if f[L.VARIANCE] < 0.0:
        f[L.VARIANCE] = rate
    else:
        f[L.VARIANCE] += (1.0 - np.exp2(-elapsed / f[L.VOL_HALFLIFE_NS])) * (rate - f[L.VARIANCE])
    f[L.VOLATILITY_BPS] = math.sqrt(f[L.VARIANCE])


@kernel
def _liquidity(c, f, now_ns, depth):
    """`book.measures.Liquidity.score`."""
    elapsed, first = now_ns - c[L.DEPTH_NOW_NS], c[L.DEPTH_NOW_NS] == 0
    c[L.DEPTH_NOW_NS] = now_ns
    if first:
        f[L.MEAN_DEPTH] = depth
        f[L.LIQUIDITY_SCORE] = 0.0
        return
    mean = f[L.MEAN_DEPTH]
    f[L.MEAN_DEPTH] = mean + (1.0 - np.exp2(-elapsed / f[L.DEPTH_HALFLIFE_NS])) * (depth - mean)
    f[L.LIQUIDITY_SCORE] = max(1.0 - depth / mean, 0.0)


@kernel
def _microprice(c, bid_lots, ask_lots, spread, mid_x2):
    """`book.microprice.Transitions.observe`."""
    counts = carray(pointer(c[L.COUNTS]), (2 * L.STATES + 1, L.STATES), np.float64)
    bucket = int(min(bid_lots, ask_lots) / (bid_lots + ask_lots) * L.BUCKETS)
    if bid_lots > ask_lots:
        bucket = L.BUCKETS - 1 - bucket
    state = (min(spread, L.SPREADS) - 1) * L.BUCKETS + bucket
    before = c[L.STATE]
    if before >= 0:
        moved = mid_x2 - c[L.STATE_MID_X2]
        if moved:
            counts[L.STATES + before, state] += 1.0
            counts[2 * L.STATES, before] += moved / 2
        else:
            counts[before, state] += 1.0
    c[L.STATE], c[L.STATE_MID_X2] = state, mid_x2
    c[L.SEEN] += 1


@entry
def observe(context, now_ns):
    """Read the market cache at a tick, price the book, and bring the features up to date. Returns how it was
    read, with VIEWED and CHANGED.
    """
    c = carray(context, (L.INTS,), np.int64)
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
    bids, asks = _ladder(c, L.LOCAL_BIDS), _ladder(c, L.LOCAL_ASKS)
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
    _volatility(c, f, now_ns, mid_x2)
    _liquidity(c, f, now_ns, depth)
    _microprice(c, c[L.BID_LOTS], c[L.ASK_LOTS], c[L.ASK] - c[L.BID], mid_x2)
    return read | L.VIEWED | (L.CHANGED if changed else 0)
