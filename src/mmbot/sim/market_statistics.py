"""Statistics of a market's order flow: of a recording and of a generated one by the same code.

Events in, one row of numbers out. All times are the venue's, so the line to the venue leaves no trace. The
book is looked at as a venue would show it that sends `depth_levels` a side: what happens behind is not seen,
nor are levels that only come into view or leave it at the deep end.

An *order* is a run of prints of one side in one millisecond: the nearest to a market order that public data
allow. A *window* is the unit of everything that is counted or compared along time; take one that the market
has at least a hundred of.
"""

import math
from array import array
from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mmbot.errors import RecordingError
from mmbot.model.events import BookDelta, BookSnapshot, BookTrouble, Level, MarketEvent, Trade
from mmbot.units import BPS, MS, SECOND

SHAPE_FROM = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
"""Distances from the touch, ticks, at which a bucket of the depth shape starts."""
RESPONSE_NS = 5 * SECOND
LEAD_NS = 200 * MS

_INTERVAL_SLACK = 1.5
"""Gaps between messages up to this many of the shortest usual one had nothing left out between them."""
_SHORT_SHARE = 1 / 20
"""An order after less than this share of the mean gap belongs to the burst of the one before."""
_LEAST_ORDERS, _LEAST_MESSAGES = 20, 20

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """Shares are 0..1. `*_log_mean` and `*_log_sigma` are of the natural logarithm of lots."""

    depth_levels: int
    window_s: float
    span_s: float
    start_ticks: int

    messages_per_s: float
    """That changed something in view."""
    message_interval_ms: float
    """Between messages with nothing left out between them; `message_interval_sd_ms` is its scatter."""
    message_interval_sd_ms: float
    changes_per_message: float
    change_touch_ratio: float
    """Share of level changes at the touch or better."""
    change_far_ratio: float
    """Share of level changes in the outer half of the levels in view."""
    change_count_cv: float
    """Level changes a window: standard deviation against mean."""
    change_count_memory: float
    """Autocorrelation of the level changes a window, from one window to the next."""
    touch_change_log_mean: float
    """Size by which the queue at the touch changed in a message."""
    touch_change_log_sigma: float

    orders_per_s: float
    prints_per_order: float
    order_gap_cv: float
    order_burst_ratio: float
    """Share of orders that follow the one before within a twentieth of the mean gap."""
    burst_gap_log_mean: float
    """Of those short gaps, in ms."""
    burst_gap_log_sigma: float
    order_count_cv: float
    order_count_memory: float
    """Autocorrelation of the orders a window, from one window to the next."""
    order_lots_log_mean: float
    order_lots_log_sigma: float
    print_lots_log_mean: float
    print_lots_log_sigma: float
    same_side_ratio: float
    """Share of orders on the side of the one before."""
    sweep_ratio: float
    """Share of orders that printed at more than one price."""
    response_bps: float
    """Mean move of the mid towards an order's side, from before it to 5 s after."""
    led_ratio: float
    """Share of moves of the mid that had an order on their side in the fifth of a second before."""

    spread_ticks: float
    """Mean over time; beside it the shares of time at one tick and at two."""
    spread_one_ratio: float
    spread_two_ratio: float
    touch_lots_log_mean: float
    touch_lots_log_sigma: float
    depth_log_means: tuple[float, ...]
    """Size of levels by their distance from the touch, `SHAPE_FROM`; NaN where none was seen."""
    gap_ticks: float
    """Mean distance between neighbouring levels."""

    volatility_bps_per_sqrt_min: float
    """Of the mid, from moves over a window."""
    volatility_1s_bps_per_sqrt_min: float
    move_memory: float
    """Autocorrelation of the size of moves, from one window to the next: how volatility clusters."""
    move_kurtosis: float
    moved_ratio: float
    """Share of seconds at whose end the mid was not where it was at the beginning."""


def measure(events: Iterable[MarketEvent], *, depth_levels: int, window_s: float) -> Statistics:
    """Statistics of one instrument's events. Raises RecordingError if the book breaks or there is too little
    to measure.
    """
    seen = _Seen(depth_levels)
    for event in events:
        seen.take(event)
    return seen.statistics(window_s)


class _Side:
    """Levels of one side by key: ticks, negated for bids, so that the least is the best."""

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.lots: dict[int, int] = {}

    def put(self, levels: Iterable[Level]) -> None:
        for tick, lots in levels:
            key = self.sign * tick
            if lots:
                if key not in self.lots:
                    insort(self.keys, key)
                self.lots[key] = lots
            elif self.lots.pop(key, 0):
                del self.keys[bisect_left(self.keys, key)]


class _Seen:
    """What was seen so far, as growing columns."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._bids, self._asks = _Side(-1), _Side(1)
        self._book_ns, self._changes = array("q"), array("q")
        self._bid, self._ask, self._bid_lots, self._ask_lots = (array("q") for _ in range(4))
        self._touch_changes, self._at_touch, self._far = array("q"), 0, 0
        self._trades = tuple(array("q") for _ in range(4))
        self._next_look_ns = 0
        self._distances, self._level_lots = array("q"), array("q")
        self._spans, self._looks = 0, 0

    def take(self, event: MarketEvent) -> None:
        """Signs of life and the venue's own statement of its best prices say nothing new."""
        match event:
            case Trade():
                facts = (event.exch_ns, int(event.side), event.tick, event.lots)
                for column, value in zip(self._trades, facts, strict=True):
                    column.append(value)
            case BookDelta():
                if not self._bids.keys:
                    raise RecordingError("a book delta came before any snapshot; nothing can be measured")
                changed = self._apply(self._bids, event.bids) + self._apply(self._asks, event.asks)
                self._note(event.exch_ns, changed)
            case BookSnapshot():
                self._bids, self._asks = _Side(-1), _Side(1)
                self._bids.put(event.bids)
                self._asks.put(event.asks)
                self._note(event.exch_ns, 0)
            case BookTrouble():
                if event.trouble.breaks_book:
                    raise RecordingError(
                        f"the book broke ({event.trouble}: {event.detail}); cannot measure on"
                    )

    def _apply(self, side: _Side, levels: list[Level]) -> int:
        """Apply one side of a message; how many levels changed that were in view before and after it."""
        last = self._depth - 1
        best, limit, middle = side.keys[0], self._end(side, last), self._end(side, last // 2)
        before = [(side.sign * tick, side.lots.get(side.sign * tick, 0), lots) for tick, lots in levels]
        side.put(levels)
        if not side.keys:
            raise RecordingError("a side of the book ran empty; nothing can be measured")
        limit = min(limit, self._end(side, last))
        inside = [(key, old, new) for key, old, new in before if old != new and key < limit]
        for key, old, new in inside:
            self._far += key > middle
            self._at_touch += key <= best
            if key == best and old and new:
                self._touch_changes.append(abs(new - old))
        return len(inside)

    @staticmethod
    def _end(side: _Side, last: int) -> float:
        return side.keys[last] if len(side.keys) > last else math.inf

    def _note(self, exch_ns: int, changed: int) -> None:
        bids, asks = self._bids, self._asks
        self._book_ns.append(exch_ns)
        self._changes.append(changed)
        self._bid.append(-bids.keys[0])
        self._ask.append(asks.keys[0])
        self._bid_lots.append(bids.lots[bids.keys[0]])
        self._ask_lots.append(asks.lots[asks.keys[0]])
        if exch_ns >= self._next_look_ns:
            self._next_look_ns = exch_ns + SECOND
            for side in (bids, asks):
                self._look(side)

    def _look(self, side: _Side) -> None:
        """The shape of the book, at most once a second."""
        keys, best = side.keys[: self._depth], side.keys[0]
        self._distances.extend([key - best for key in keys])
        self._level_lots.extend([side.lots[key] for key in keys])
        if len(keys) == self._depth > 1:
            self._spans += keys[-1] - best
            self._looks += 1

    def statistics(self, window_s: float) -> Statistics:
        trades = [_ints(column) for column in self._trades]
        orders = _Orders(*trades)
        book_ns = _ints(self._book_ns)
        if len(book_ns) < _LEAST_MESSAGES or len(orders.ns) < _LEAST_ORDERS:
            raise RecordingError(
                f"there were {len(book_ns)} book messages and {len(orders.ns)} orders to measure,"
                f" expected at least {_LEAST_MESSAGES} and {_LEAST_ORDERS}"
            )
        found = {
            "depth_levels": self._depth,
            "window_s": window_s,
            "span_s": float(book_ns[-1] - book_ns[0]) / SECOND,
            "start_ticks": (self._bid[0] + self._ask[0]) // 2,
        }
        found |= self._messages(book_ns, window_s) | self._book(book_ns)
        found |= orders.statistics(window_s) | self._moves(book_ns, orders, window_s)
        return msgspec.convert(found, Statistics)

    def _messages(self, book_ns: Ints, window_s: float) -> dict[str, Any]:
        changes = _ints(self._changes)
        total = int(changes.sum())
        span_s = float(book_ns[-1] - book_ns[0]) / SECOND
        gaps = np.diff(book_ns) / MS
        gaps = gaps[gaps <= _INTERVAL_SLACK * np.percentile(gaps, 10)]
        touch = np.log(_ints(self._touch_changes))
        counts = _per_window(book_ns, window_s, changes)
        return {
            "messages_per_s": float((changes > 0).sum()) / span_s,
            "message_interval_ms": float(np.median(gaps)),
            "message_interval_sd_ms": float(gaps.std()),
            "changes_per_message": total / max(1, int((changes > 0).sum())),
            "change_touch_ratio": self._at_touch / max(1, total),
            "change_far_ratio": self._far / max(1, total),
            "change_count_cv": _cv(counts),
            "change_count_memory": _memory(counts),
            "touch_change_log_mean": _mean(touch),
            "touch_change_log_sigma": _sd(touch),
        }

    def _book(self, book_ns: Ints) -> dict[str, Any]:
        held = np.diff(book_ns).clip(0).astype(np.float64)
        spread = (_ints(self._ask) - _ints(self._bid))[:-1]
        logs = np.log(np.concatenate([_ints(self._bid_lots)[:-1], _ints(self._ask_lots)[:-1]]))
        twice = np.concatenate([held, held])
        touch = float(np.average(logs, weights=twice))
        bucket = np.searchsorted(SHAPE_FROM, _ints(self._distances), side="right") - 1
        sizes = np.log(_ints(self._level_lots))
        return {
            "spread_ticks": float(np.average(spread, weights=held)),
            "spread_one_ratio": float(np.average(spread == 1, weights=held)),
            "spread_two_ratio": float(np.average(spread == 2, weights=held)),  # noqa: PLR2004 - two ticks
            "touch_lots_log_mean": touch,
            "touch_lots_log_sigma": math.sqrt(float(np.average((logs - touch) ** 2, weights=twice))),
            "depth_log_means": tuple(_mean(sizes[bucket == each]) for each in range(len(SHAPE_FROM))),
            "gap_ticks": self._spans / (self._looks * (self._depth - 1)) if self._looks else math.nan,
        }

    def _moves(self, book_ns: Ints, orders: "_Orders", window_s: float) -> dict[str, Any]:
        mids = np.log((_ints(self._bid) + _ints(self._ask)).astype(np.float64))
        windows, seconds = _moves(book_ns, mids, window_s), _moves(book_ns, mids, 1.0)
        before = np.searchsorted(book_ns, orders.ns, side="left") - 1
        after = np.searchsorted(book_ns, orders.ns + RESPONSE_NS, side="right") - 1
        whole = (before >= 0) & (orders.ns + RESPONSE_NS <= book_ns[-1])
        response = (orders.side * (mids[after] - mids[before]))[whole]
        return {
            "volatility_bps_per_sqrt_min": _volatility(windows, window_s),
            "volatility_1s_bps_per_sqrt_min": _volatility(seconds, 1.0),
            "move_memory": _memory(np.abs(windows)),
            "move_kurtosis": _kurtosis(windows),
            "moved_ratio": float((seconds != 0).mean()),
            "response_bps": _mean(response) * BPS,
            "led_ratio": _led(book_ns, np.sign(np.diff(mids)), orders),
        }


class _Orders:
    """Prints gathered into orders: time, side, size, number of prints and of prices."""

    def __init__(self, ns: Ints, side: Ints, tick: Ints, lots: Ints) -> None:
        first = np.ones(len(ns), bool)
        first[1:] = (np.diff(ns) != 0) | (np.diff(side) != 0)
        order = np.cumsum(first) - 1
        self.ns, self.side = ns[first], side[first]
        self._prints = lots
        self._lots = np.bincount(order, lots) if len(lots) else np.empty(0)
        pairs = np.unique(np.stack([order, tick]), axis=1)[0]
        self._prices = np.bincount(pairs) if len(pairs) else np.empty(0)

    def statistics(self, window_s: float) -> dict[str, Any]:
        gaps_ms = np.maximum(np.diff(self.ns) / MS, 1.0)
        short = gaps_ms[gaps_ms < gaps_ms.mean() * _SHORT_SHARE]
        counts = _per_window(self.ns, window_s, np.ones(len(self.ns)))
        lots, prints = np.log(self._lots), np.log(self._prints)
        return {
            "orders_per_s": 1_000.0 / float(gaps_ms.mean()),
            "prints_per_order": len(self._prints) / len(self.ns),
            "order_gap_cv": _cv(gaps_ms),
            "order_burst_ratio": len(short) / len(gaps_ms),
            "burst_gap_log_mean": _mean(np.log(short)),
            "burst_gap_log_sigma": _sd(np.log(short)),
            "order_count_cv": _cv(counts),
            "order_count_memory": _memory(counts),
            "order_lots_log_mean": _mean(lots),
            "order_lots_log_sigma": _sd(lots),
            "print_lots_log_mean": _mean(prints),
            "print_lots_log_sigma": _sd(prints),
            "same_side_ratio": float((np.diff(self.side) == 0).mean()),
            "sweep_ratio": float((self._prices > 1).mean()),
        }


def _led(book_ns: Ints, signs: Floats, orders: _Orders) -> float:
    """Share of moves of the mid, by their sign, that an order of that side led."""
    led = np.zeros(len(signs), bool)
    for sign in (1, -1):
        ns = orders.ns[orders.side == sign]
        first, last = (np.searchsorted(ns, book_ns[1:] - lead, side="right") for lead in (LEAD_NS, 0))
        led |= (signs == sign) & (last > first)
    return _mean(led[signs != 0].astype(np.float64))


def _ints(column: "array[int]") -> Ints:
    return np.array(column, np.int64)


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else math.nan


def _sd(values: Floats) -> float:
    return float(values.std()) if len(values) else math.nan


def _cv(values: Floats) -> float:
    return _sd(values) / mean if (mean := _mean(values)) > 0 else math.nan


def _per_window(ns: Ints, window_s: float, counts: NDArray[Any]) -> Floats:
    """Counts in each whole window."""
    window = (ns - ns[0]) // int(window_s * SECOND)
    per_window: Floats = np.bincount(np.maximum(window, 0), counts).astype(np.float64)
    return per_window[:-1]


def _moves(ns: Ints, log_mids: Floats, window_s: float) -> Floats:
    """Change of the log mid over each whole window."""
    grid = np.arange(ns[0], ns[-1], int(window_s * SECOND))
    moves: Floats = np.diff(log_mids[np.searchsorted(ns, grid, side="right") - 1])
    return moves


def _volatility(moves: Floats, window_s: float) -> float:
    return math.sqrt(_mean(moves**2) * 60.0 / window_s) * BPS


def _memory(values: Floats) -> float:
    """Autocorrelation at lag one."""
    away = values - _mean(values)
    variance = float((away**2).sum())
    return float((away[1:] * away[:-1]).sum()) / variance if variance > 0 else math.nan


def _kurtosis(moves: Floats) -> float:
    away = moves - _mean(moves)
    variance = _mean(away**2)
    return _mean(away**4) / variance**2 if variance > 0 else math.nan
