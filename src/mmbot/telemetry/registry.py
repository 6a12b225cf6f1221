"""The values of the metrics of one run, taken from the very rows that it writes.

One function turns rows into numbers, so metrics and feeds cannot disagree. The run only hands its batches
over; they are added up when somebody asks, in the thread that asks, or once enough of them wait. Rows of one
asking are added up together: columns of integers by numpy, which costs less than a microsecond a tick, so
that a replay of a million ticks is not slowed by who looks at it.

Each run has a registry of its own, never the process-wide one: two runs in one process do not mix. Label
values that are known beforehand start at zero, because a rate needs the step from zero to one.
"""

import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import chain
from operator import attrgetter

import msgspec
import numpy as np
import numpy.typing as npt
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString

from mmbot.model.instrument import Instrument, Side
from mmbot.model.records import EventRow, FillRow, Row, SampleRow, TickRow
from mmbot.telemetry import metrics as m
from mmbot.units import SECOND

_MOST_PENDING = 4096
"""Rows that wait to be added up: so many take a few milliseconds."""
_STAGE_FIELDS = tuple(f"{stage}_ns" for stage in m.STAGES)
_durations = attrgetter(*_STAGE_FIELDS, "tick_total_ns", "wait_ns")
_FETCH_MD, _TOTAL, _WAIT = 0, len(m.STAGES), len(m.STAGES) + 1
_outcome = attrgetter("symbol", "arm", "cache", "deadline_miss", "guard", "reasons")
_SAMPLED = {"rss_bytes": m.MEMORY, "resting_orders": m.RESTING, "account_equity_usd": m.EQUITY}
_US_S = 1e-6

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
Labels = tuple[str, ...]
Sampled = tuple[list[tuple[str, float]], float]
"""Cumulative counts by upper edge, and the sum in seconds."""
Integers = npt.NDArray[np.int64]


class Histograms:
    """Several histograms over the same edges, a column each."""

    def __init__(self, edges_s: Sequence[float], columns: int) -> None:
        self._edges_ns = np.array([round(edge * SECOND) for edge in edges_s], dtype=np.int64)
        self._names = [*map(floatToGoString, edges_s), "+Inf"]
        self._offsets = np.arange(columns) * len(self._names)
        self._counts = np.zeros((columns, len(self._names)), dtype=np.int64)
        self._sums_ns = np.zeros(columns, dtype=np.int64)

    def add(self, values_ns: Integers) -> None:
        """Rows of one value a column."""
        places = self._edges_ns.searchsorted(values_ns) + self._offsets
        self._counts += np.bincount(places.ravel(), minlength=self._counts.size).reshape(self._counts.shape)
        self._sums_ns += values_ns.sum(axis=0)

    def add_one(self, column: int, value_ns: int) -> None:
        self._counts[column, self._edges_ns.searchsorted(value_ns)] += 1
        self._sums_ns[column] += value_ns

    def sample(self, column: int) -> Sampled:
        counts = np.cumsum(self._counts[column]).tolist()
        return list(zip(self._names, counts, strict=True)), int(self._sums_ns[column]) / SECOND


class _Ledger:
    """What the fills of one symbol came to, in settlement currency."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self.fees = 0.0
        self._lots = 0
        self._cost = 0.0

    def book(self, row: FillRow) -> float:
        """The quote notional of the fill."""
        instrument = self._instrument
        lots = round(row.qty / instrument.lot)
        signed = lots if row.side == Side.BUY.word else -lots
        self._lots += signed
        self._cost += signed * instrument.worth(row.price)
        self.fees += row.fee
        return instrument.notional_quote(lots, row.price)

    def pnl(self, mid: float) -> float:
        return self._lots * self._instrument.worth(mid) - self._cost - self.fees


class RunMetrics(Collector):
    """Observes the rows of one run. `rows` is called by the run's thread, `exposed` by any."""

    def __init__(self, instruments: Sequence[Instrument], *, run_id: str, arm: str, data_kind: str) -> None:
        self._instruments = {instrument.key: instrument for instrument in instruments}
        self._ledgers = {key: _Ledger(instrument) for key, instrument in self._instruments.items()}
        self._values: dict[str, dict[Labels, float]] = {metric.name: {} for metric in m.METRICS}
        self._durations = Histograms(m.DURATION_BUCKETS, len(m.STAGES) + 2)
        self._ages = Histograms(m.AGE_BUCKETS, 1)
        self._order_path = Histograms(m.DURATION_BUCKETS, len(m.ORDER_STEPS))
        self._pending: deque[Sequence[Row]] = deque()
        self._pending_rows = 0
        self._lock = threading.Lock()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        self._arm = arm
        self._values[m.RUN_INFO.name][run_id, arm, data_kind] = 1.0
        self._start_at_zero()

    def rows(self, rows: Sequence[Row]) -> None:
        """Take a batch."""
        self._pending.append(rows)
        self._pending_rows += len(rows)
        if self._pending_rows >= _MOST_PENDING:
            self._pending_rows = 0
            with self._lock:
                self._catch_up()

    def exposed(self, accept: str) -> tuple[bytes, str]:
        """Everything as Prometheus scrapes it, and its content type; `accept` is that header of the
        request.
        """
        encode, content_type = choose_encoder(accept)
        with self._lock:
            self._catch_up()
            return encode(self._registry), content_type

    def collect(self) -> Iterator[Family]:
        """The families of the table, in its order. Called by the registry while `exposed` holds the lock."""
        histograms = self._histograms()
        for metric in m.METRICS:
            labels = list(metric.labels)
            if metric.kind == "histogram":
                family = HistogramMetricFamily(metric.name, metric.help, labels=labels)
                for values, (buckets, sum_s) in histograms[metric.name].items():
                    family.add_metric(values, buckets, sum_s)
                yield family
                continue
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            simple = kind(metric.name, metric.help, labels=labels)
            for values, value in self._values[metric.name].items():
                simple.add_metric(values, value)
            yield simple

    def _histograms(self) -> dict[str, dict[Labels, Sampled]]:
        durations, path = self._durations.sample, self._order_path.sample
        return {
            m.TICK_DURATION.name: {(): durations(_TOTAL)},
            m.WAIT.name: {(): durations(_WAIT)},
            m.STAGE_DURATION.name: {(stage,): durations(at) for at, stage in enumerate(m.STAGES)},
            m.BOOK_AGE.name: {(): self._ages.sample(0)},
            m.ORDER_PATH.name: {(step,): path(at) for at, step in enumerate(m.ORDER_STEPS)},
        }

    def _start_at_zero(self) -> None:
        for key, instrument in self._instruments.items():
            for arm in self._arm:
                self._start_arm_at_zero(key, instrument.quote, arm)
            for level in ("NONE", "SOFT", "HARD"):
                self._add(m.GUARD_TICKS, (key, level), 0)
            self._add(m.FEES, (key, instrument.settled_in), 0)
            self._add(m.FUNDING, (key, instrument.settled_in), 0)
            self._add(m.BREAKER, (instrument.venue,), 0)
        for metric in (m.REDUCE_ONLY, m.HALTED, m.DROPPED):
            self._add(metric, (), 0)

    def _start_arm_at_zero(self, key: str, quote: str, arm: str) -> None:
        for metric in (m.TICKS, m.DEADLINE_MISSES):
            self._add(metric, (key, arm), 0)
        for outcome in ("hit", "stale", "miss"):
            self._add(m.CACHE_READS, (key, arm, outcome), 0)
        for liquidity in ("maker", "taker"):
            self._add(m.FILL_NOTIONAL, (key, quote, arm, liquidity), 0)
            for side in Side:
                self._add(m.FILLS, (key, quote, arm, side.word, liquidity), 0)

    def _arm_of(self, arm: str | msgspec.UnsetType) -> str:
        """Of a row: where it says nothing it is the run's."""
        return self._arm if arm is msgspec.UNSET else arm

    def _add(self, metric: m.Metric, labels: Labels, value: float) -> None:
        values = self._values[metric.name]
        values[labels] = values.get(labels, 0) + value

    def _set(self, metric: m.Metric, labels: Labels, value: float | None) -> None:
        """None: there is no value now."""
        if value is None:
            self._values[metric.name].pop(labels, None)
        else:
            self._values[metric.name][labels] = value

    def _catch_up(self) -> None:
        """Add up what waits, all of it at once."""
        batches = []
        while self._pending:
            batches.append(self._pending.popleft())
        rows = batches[0] if len(batches) == 1 else list(chain.from_iterable(batches))
        ticks = [row for row in rows if type(row) is TickRow]
        for row in [row for row in rows if type(row) is not TickRow]:
            if isinstance(row, FillRow):
                self._fill(row)
            elif isinstance(row, EventRow):
                self._event(row)
            elif isinstance(row, SampleRow):
                self._sample(row)
        if ticks:
            self._ticks(ticks)

    def _ticks(self, ticks: list[TickRow]) -> None:
        columns = len(_STAGE_FIELDS) + 2
        flat = np.fromiter(chain.from_iterable(map(_durations, ticks)), np.int64, columns * len(ticks))
        times_ns = flat.reshape(-1, columns)
        times_ns[:, _FETCH_MD] += times_ns[:, _WAIT]
        times_ns[:, _TOTAL] += times_ns[:, _WAIT]
        self._durations.add(times_ns)
        ages_ns = [row.age_ns for row in ticks if row.age_ns is not None]
        if ages_ns:
            self._ages.add(np.array(ages_ns, dtype=np.int64).reshape(-1, 1))
        for (symbol, of_row, cache, missed, guard, reasons), count in Counter(map(_outcome, ticks)).items():
            arm = self._arm_of(of_row)
            self._add(m.TICKS, (symbol, arm), count)
            self._add(m.DEADLINE_MISSES, (symbol, arm), count * missed)
            self._add(m.CACHE_READS, (symbol, arm, cache), count)
            self._add(m.GUARD_TICKS, (symbol, guard), count)
            for reason in reasons:
                self._add(m.GUARD_REASONS, (symbol, reason), count)
        self._newest(ticks)

    def _newest(self, ticks: list[TickRow]) -> None:
        """The gauges of each symbol, from its last tick."""
        seen: set[str] = set()
        for row in reversed(ticks):
            if row.symbol not in seen:
                seen.add(row.symbol)
                self._gauges(row)
                if len(seen) == len(self._instruments):
                    break
        self._set(m.RUN_CLOCK, (), ticks[-1].ts_ns / SECOND)

    def _gauges(self, row: TickRow) -> None:
        symbol = row.symbol
        self._set(m.MID, (symbol,), row.mid)
        self._set(m.HALF_SPREAD, (symbol,), row.half_spread_bps)
        self._set(m.QUOTING, (symbol, "bid"), float(row.bid is not None))
        self._set(m.QUOTING, (symbol, "ask"), float(row.ask is not None))
        self._set(m.POSITION, (symbol,), row.position)
        self._set(m.POSITION_QUOTE, (symbol,), row.position_quote)
        if row.mid is not None:
            self._set(m.PNL, self._money(symbol), self._ledgers[symbol].pnl(row.mid))

    def _fill(self, row: FillRow) -> None:
        ledger, quote = self._ledgers[row.symbol], self._instruments[row.symbol].quote
        arm = self._arm_of(row.arm)
        self._add(m.FILLS, (row.symbol, quote, arm, row.side, row.liquidity), 1)
        self._add(m.FILL_NOTIONAL, (row.symbol, quote, arm, row.liquidity), ledger.book(row))
        self._set(m.FEES, self._money(row.symbol), ledger.fees)

    def _event(self, row: EventRow) -> None:
        self._add(m.EVENTS, (row.symbol or "", row.kind), 1)
        detail = row.detail
        if row.kind == "breaker":
            self._set(m.BREAKER, (str(detail["venue"]),), float(detail["state"] != "closed"))
        elif row.kind == "ticks_dropped":
            self._add(m.DROPPED, (), float(detail["ticks"] or 0))
        elif row.kind == "daily_loss":
            self._set(m.REDUCE_ONLY, (), float(detail["reduce_only"] or 0))
        elif row.kind == "halt":
            self._set(m.HALTED, (), 1.0)
        elif row.kind == "funding" and row.symbol is not None:
            self._add(m.FUNDING, self._money(row.symbol), float(detail["payment"] or 0))

    def _sample(self, row: SampleRow) -> None:
        labels = () if row.symbol is None else (row.symbol,)
        gauge = _SAMPLED.get(row.name)
        if gauge is not None:
            self._set(gauge, labels, row.value)
        elif row.name == "book_updates":
            self._set(m.BOOK_UPDATES, labels, row.value)
        else:
            step = row.name.removeprefix("order_").removesuffix("_us")
            if step in m.ORDER_STEPS:
                self._order_path.add_one(m.ORDER_STEPS.index(step), round(row.value * 1000))

    def _money(self, symbol: str) -> tuple[str, str]:
        return symbol, self._instruments[symbol].settled_in
