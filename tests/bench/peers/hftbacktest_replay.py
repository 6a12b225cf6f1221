"""hftbacktest with the reference quoter as its documentation has one written: a loop that pulls.

Variants: `jitted` is the strategy compiled by numba, its recommended way; `plain` the same function as
ordinary Python. ROI-vector depth, the fastest it has; constant latencies, the risk-averse queue, orders
filled only whole (`no_partial_fill_exchange`).
"""

import importlib.metadata

import numpy as np
from hftbacktest import (
    BUY,
    BUY_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    GTX,
    LIMIT,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    BacktestAsset,
    ROIVectorMarketDepthBacktest,
)
from hftbacktest.types import event_dtype
from numba import njit
from tests.bench.quoter import HALF_SPREAD, MOST_ORDERS, REQUOTE
from tests.bench.workload import (
    ANSWER_NS,
    LOT_SIZE,
    MS,
    ORDER_NS,
    TICK_SIZE,
    Asked,
    Columns,
    Outcome,
    asked,
    levels_and_trades,
    load,
    report,
    timed,
)

_MARGIN = 4096
"""Room beyond the prices of the tape, in ticks."""
_MOST_FILLS = 1 << 16
WAIT = False
"""For the answer to a request, inside the call that makes it."""


def decide(hbt, order_lots, number, counts):
    """The reference quoter at one tick; returns the number of the next order. `counts`: ticks, orders,
    cancels, position in lots.
    """
    limit, scale = MOST_ORDERS * order_lots, 2 * order_lots
    half = HALF_SPREAD * scale
    hbt.clear_inactive_orders(0)
    depth = hbt.depth(0)
    bid, ask = depth.best_bid_tick, depth.best_ask_tick
    position = round(hbt.position(0))
    centre = (bid + ask) * order_lots - 2 * position
    buy_at = min((centre - half) // scale, bid)
    sell_at = max(-((-centre - half) // scale), ask)
    has_bid = has_ask = False
    orders = hbt.orders(0).values()
    while orders.has_next():
        order = orders.get()
        if order.side == BUY:
            has_bid = True
            if order.cancellable and (position >= limit or abs(order.price_tick - buy_at) > REQUOTE):
                hbt.cancel(0, order.order_id, WAIT)
                counts[2] += 1
        else:
            has_ask = True
            if order.cancellable and (position <= -limit or abs(order.price_tick - sell_at) > REQUOTE):
                hbt.cancel(0, order.order_id, WAIT)
                counts[2] += 1
    if not has_bid and position < limit:
        hbt.submit_buy_order(0, number, buy_at * TICK_SIZE, order_lots * LOT_SIZE, GTX, LIMIT, WAIT)
        number += 1
        counts[1] += 1
    if not has_ask and position > -limit:
        hbt.submit_sell_order(0, number, sell_at * TICK_SIZE, order_lots * LOT_SIZE, GTX, LIMIT, WAIT)
        number += 1
        counts[1] += 1
    counts[0] += 1
    counts[3] = position
    return number


def run(hbt, step_ns, order_lots, counts, at_tick):
    """The strategy as its documentation has one: a loop around `elapse`."""
    number = 1
    while hbt.elapse(step_ns) == 0:
        number = at_tick(hbt, order_lots, number, counts)


run_jitted, decide_jitted = njit(run), njit(decide)
"""Compiled anew in every process: numba refuses to cache what holds ctypes pointers."""


@njit
def _note_fills(hbt, now_ns, leaves, fills, count):
    """Append what the orders lost since the last look."""
    orders = hbt.orders(0).values()
    while orders.has_next():
        order = orders.get()
        slot = 0 if order.side == BUY else 1
        if leaves[slot, 0] != order.order_id:
            leaves[slot, 0] = order.order_id
            leaves[slot, 1] = round(order.qty)
        left = round(order.leaves_qty)
        if left < leaves[slot, 1]:
            fills[count] = now_ns, 1 - 2 * slot, order.price_tick, leaves[slot, 1] - left
            count += 1
            leaves[slot, 1] = left
    return count


@njit
def run_noting(hbt, step_ns, order_lots, counts, at_tick, fills):
    """The same in steps of 1 ms, the grid of all answers, so that no fill is overlooked."""
    leaves = np.zeros((2, 2), np.int64)
    number, count, passed_ns = 1, 0, 0
    while hbt.elapse(MS) == 0:
        count = _note_fills(hbt, hbt.current_timestamp, leaves, fills, count)
        passed_ns += MS
        if passed_ns % step_ns == 0:
            number = at_tick(hbt, order_lots, number, counts)
    return count


def to_events(columns: Columns) -> np.ndarray:
    """The tape as its own records."""
    plain = levels_and_trades(columns)
    codes = np.array(
        [
            DEPTH_EVENT | BUY_EVENT,
            DEPTH_EVENT | SELL_EVENT,
            TRADE_EVENT | BUY_EVENT,
            TRADE_EVENT | SELL_EVENT,
        ],
        np.uint64,
    )
    events = np.zeros(len(plain["kind"]), event_dtype)
    events["ev"] = codes[plain["kind"]] | np.uint64(EXCH_EVENT | LOCAL_EVENT)
    events["exch_ts"], events["local_ts"] = plain["exch_ns"], plain["recv_ns"]
    events["px"], events["qty"] = plain["tick"] * TICK_SIZE, plain["lots"] * LOT_SIZE
    return events


def open_backtest(events: np.ndarray) -> ROIVectorMarketDepthBacktest:
    """It keeps a bare pointer to `events`: the caller must hold them."""
    low, high = float(events["px"].min()), float(events["px"].max())
    asset = (
        BacktestAsset()
        .data(events)
        .linear_asset(1.0)
        .constant_order_latency(ORDER_NS, ANSWER_NS)
        .risk_adverse_queue_model()
        .no_partial_fill_exchange()
        .trading_value_fee_model(0.0, 0.0)
        .tick_size(TICK_SIZE)
        .lot_size(LOT_SIZE)
        .roi_lb(low - _MARGIN * TICK_SIZE)
        .roi_ub(high + _MARGIN * TICK_SIZE)
    )
    return ROIVectorMarketDepthBacktest([asset])


def play(events: np.ndarray, what: Asked) -> tuple[float, Outcome]:
    """One replay, timed without building and closing it."""
    backtest, counts = open_backtest(events), np.zeros(4, np.int64)
    loop, at_tick = (run, decide) if what.variant == "plain" else (run_jitted, decide_jitted)
    arguments = (backtest, what.tick_ms * MS, what.order_lots, counts)
    found: list[tuple[int, ...]] = []
    if what.fills:
        fills = np.zeros((_MOST_FILLS, 4), np.int64)
        cpu_s, count = timed(lambda: run_noting(*arguments, decide_jitted, fills))
        found = [tuple(fill) for fill in fills[:count].tolist()]
    else:
        cpu_s, _ = timed(lambda: loop(*arguments, at_tick))
    backtest.close()
    ticks, orders, cancels, position_lots = counts.tolist()
    return cpu_s, Outcome(ticks, orders, cancels, position_lots, found)


def main() -> None:
    """Measure in this process and say so in one line."""
    what = asked(["jitted", "plain"])
    columns = load(what.columns)
    events = to_events(columns)
    first = events[:2000].copy()
    play(first, what)  # compiles
    runs = [play(events, what) for _ in range(what.repeat)]
    versions = {name: importlib.metadata.version(name) for name in ("hftbacktest", "numba", "numpy")}
    report(what, len(events), runs, versions)


if __name__ == "__main__":
    main()
