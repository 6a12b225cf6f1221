"""Metrics of gates as expressions of Prometheus, with streams that take them to a given value.

A metric that is watched in a window has the same window in Prometheus, of the wall clock. Sums leave labels
of targets alone (`without`), so each bot is judged by itself, and both sides of a comparison keep the same
labels.

What Prometheus measures otherwise than the watch is said, metric by metric, in `differs`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

from pytest_mmgates.alerting.exports import Exported, Exports
from pytest_mmgates.metrics.measurement import PERCENTS
from pytest_mmgates.tally.growth import FLOOR_NS
from pytest_mmgates.units import NS_PER_S

STEP_S = 10
"""Of streams: as often as a watch looks."""
_BUSY = 1000
"""Ticks or notional of a step of a stream: enough for every `n >=`."""
_TICKS = "pipeline_ticks"
_RESTING_BYTES = 500_000_000
_SILENCE_NS = 60 * NS_PER_S
"""No tick for so long is silence: a few scrapes."""
_STANDS = "without ticks a window is judged until fewer than n are left, where the watch has no value at once"

Selected = Mapping[str, str]
"""Field of rows -> the only value that counts."""
Stream = dict[str, str]
"""Series -> values, in promtool's notation, a value every `STEP_S`."""


@dataclass(frozen=True, slots=True)
class Missing:
    """When a metric has no value. `starved` makes it so from `from_ns` on, for so long."""

    expr: str
    from_ns: int
    starved: Callable[[int], Stream]


@dataclass(frozen=True, slots=True)
class Query:
    """A watched metric of one symbol, or of all. `value` is measured over a window, from `count`
    observations; `full` has a value where the series was there so long ago. `stream` takes the value to a
    number, over a window, for so long; then the expressions carry the labels `carries`. Times are in ns,
    values in base units of Prometheus (seconds, bytes).
    """

    value: Callable[[int], str]
    count: Callable[[int], str]
    full: Callable[[int], str]
    stream: Callable[[float, int, int], Stream]
    missing: Callable[[int, int], Missing]
    """Of a window and the least count."""
    differs: tuple[str, ...]
    carries: dict[str, str] = field(default_factory=dict)


def duration(ns: int) -> str:
    """`10m`; whole seconds."""
    seconds = ns // NS_PER_S
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def number(value: float) -> str:
    """As Prometheus reads it, without noise of binary fractions."""
    return f"{value:.12g}"


def matched(metric: Exported, **values: str) -> str:
    """A series, or all of them without values."""
    quoted = {label: value.replace("\\", r"\\") for label, value in values.items()}
    inside = ",".join(f'{label}="{value}"' for label, value in quoted.items())
    return f"{metric.name}{{{inside}}}" if inside else metric.name


def summed(metric: Exported, inner: str, *, keep: str | None = None) -> str:
    """Over all labels of the metric but one."""
    labels = ", ".join(label for label in metric.labels if label != keep)
    return f"sum without ({labels}) ({inner})"


def selected(symbol: str | None, arm: str | None = None) -> Selected:
    """What a rule asks for: of which symbol, of which arm; None = all of them."""
    return {name: value for name, value in (("symbol", symbol), ("arm", arm)) if value is not None}


def _labelled(metric: Exported, chosen: Selected) -> dict[str, str]:
    return {metric.label(name): value for name, value in chosen.items()}


def _steps(ns: int) -> int:
    return ns // (STEP_S * NS_PER_S)


def _rising(step: float, steps: int, start: float = 0) -> str:
    return f"{number(start)}+{number(step)}x{steps}"


def _labels_of(metric: Exported, values: Mapping[str, str]) -> dict[str, str]:
    """Every label of a series: what is not said is the same for all."""
    return {label: values.get(label, "any") for label in metric.labels}


class _Ticks:
    """The ticks of a symbol, of an arm, or all: what most metrics count, and whose end is silence."""

    def __init__(self, exports: Exports, chosen: Selected) -> None:
        self.metric = exports.of(_TICKS, None, "counter")
        self.chosen = _labelled(self.metric, chosen)
        self.series = matched(self.metric, **self.chosen)
        of_arms = {name: value for name, value in chosen.items() if name != "arm"}
        self._of_any_arm = matched(self.metric, **_labelled(self.metric, of_arms))

    def count(self, window_ns: int) -> str:
        return summed(self.metric, f"increase({self.series}[{duration(window_ns)}])")

    def full(self, window_ns: int) -> str:
        return summed(self.metric, f"{self.series} offset {duration(window_ns)}")

    def stream(self, lasts_ns: int, silent_ns: int = 0) -> Stream:
        """Ticks that go on, or end."""
        steps = _steps(lasts_ns)
        silence = f" {_BUSY * steps}x{_steps(silent_ns)}" if silent_ns else ""
        series = matched(self.metric, **_labels_of(self.metric, self.chosen))
        return {series: _rising(_BUSY, steps) + silence}

    def missing(self, window_ns: int, least: int) -> Missing:
        """An arm that does not quote while another does misses nothing, nor one that is not in the run."""
        silent = summed(self.metric, f"increase({self._of_any_arm}[{duration(_SILENCE_NS)}])")
        there = quotes = ""
        if self.series != self._of_any_arm:
            there = f" and {summed(self.metric, self.series)}"
            quotes = f" and {self.count(_SILENCE_NS)} > 0"
        return Missing(
            f"{silent} == 0{there}\nor {self.count(window_ns)} < {least} and {self.full(window_ns)}{quotes}",
            window_ns + _SILENCE_NS,
            lambda lasts_ns: self.stream(window_ns, lasts_ns),
        )


def _tick_share(exports: Exports, of: Selected, *, field: str, outcome: str | None) -> Query:
    """Share of ticks with a mark, or with one of several outcomes."""
    ticks = _Ticks(exports, of)
    part = exports.of(_TICKS, field, "counter")
    chosen = _labelled(part, of) | ({} if outcome is None else {part.label(field): outcome})

    def value(window_ns: int) -> str:
        increase = f"increase({matched(part, **chosen)}[{duration(window_ns)}])"
        return f"{summed(part, increase)} / {ticks.count(window_ns)}"

    def stream(share: float, _: int, lasts_ns: int) -> Stream:
        series = matched(part, **_labels_of(part, chosen))
        return ticks.stream(lasts_ns) | {series: _rising(share * _BUSY, _steps(lasts_ns))}

    return Query(value, ticks.count, ticks.full, stream, ticks.missing, (_STANDS,))


def _notional_share(exports: Exports, of: Selected, *, liquidity: str) -> Query:
    notional = exports.of("fills", "price, qty", "counter")
    fills = exports.of("fills", None, "counter")
    kind, currency = notional.label("liquidity"), notional.label("instruments")

    def increase(metric: Exported, window_ns: int, **values: str) -> str:
        series = matched(metric, **_labelled(metric, of), **values)
        inner = f"increase({series}[{duration(window_ns)}])"
        return summed(metric, inner, keep=currency)

    def count(window_ns: int) -> str:
        return increase(fills, window_ns)

    def full(window_ns: int) -> str:
        inner = f"{matched(fills, **_labelled(fills, of))} offset {duration(window_ns)}"
        return summed(fills, inner, keep=currency)

    def value(window_ns: int) -> str:
        return f"{increase(notional, window_ns, **{kind: liquidity})} / {increase(notional, window_ns)}"

    def traded(share: float, fills_a_step: float, lasts_ns: int) -> Stream:
        made: Stream = {}
        other = "maker" if liquidity == "taker" else "taker"
        for name, part in ((liquidity, share), (other, 1 - share)):
            for metric, a_step in ((notional, _BUSY), (fills, fills_a_step)):
                values = _labelled(metric, of) | {metric.label("liquidity"): name, currency: "USDT"}
                series = matched(metric, **_labels_of(metric, values))
                made[series] = _rising(part * a_step, _steps(lasts_ns))
        return made

    def missing(window_ns: int, least: int) -> Missing:
        half = least / 2 / _steps(window_ns)
        expr = f"{count(window_ns)} < {least} and {full(window_ns)}"
        return Missing(expr, window_ns, lambda lasts_ns: traded(0.0, half, lasts_ns))

    return Query(
        value,
        count,
        full,
        lambda share, _, lasts_ns: traded(share, _BUSY, lasts_ns),
        missing,
        ("one alert for each quote currency, where the watch has no value of several",),
        {currency: "USDT"},
    )


def _breaker(exports: Exports, of: Selected) -> Query:
    ticks = _Ticks(exports, of)
    gauge = exports.of("events", "breaker.state", "gauge")
    venue = gauge.label("breaker.venue")

    def value(window_ns: int) -> str:
        over = f"avg_over_time({gauge.name}[{duration(window_ns)}])"
        return f"max without ({venue}) ({over}) * {window_ns // NS_PER_S}"

    def stream(open_s: float, window_ns: int, lasts_ns: int) -> Stream:
        """Open once for so long; all the time, if that is a whole window."""
        series, steps, open_steps = matched(gauge, **{venue: "any"}), _steps(lasts_ns), int(open_s) // STEP_S
        values = f"1x{steps}"
        if open_steps < _steps(window_ns):
            values = f"0x{_steps(window_ns)} 1x{max(open_steps - 1, 0)} 0x{steps}"
        return ticks.stream(lasts_ns) | {series: values}

    scrapes = "time is counted in scrapes: what opens and closes between two is not seen"
    return Query(value, ticks.count, ticks.full, stream, ticks.missing, (_STANDS, scrapes))


def _memory(exports: Exports, _: Selected) -> Query:
    gauge = exports.of("samples", "[rss_bytes]", "gauge")
    ticks, floor = _Ticks(exports, {}), duration(FLOOR_NS)

    def floors(window_ns: int) -> str:
        return f"min_over_time({gauge.name}[{floor}])[{duration(window_ns)}:{floor}]"

    def stream(bytes_per_h: float, _: int, lasts_ns: int) -> Stream:
        rising = _rising(bytes_per_h / 3600 * STEP_S, _steps(lasts_ns), _RESTING_BYTES)
        return ticks.stream(lasts_ns) | {gauge.name: rising}

    unread = f"{summed(ticks.metric, ticks.series)} unless {gauge.name}"
    return Query(
        lambda window_ns: f"deriv({floors(window_ns)}) * 3600",
        lambda window_ns: f"count_over_time({floors(window_ns)})",
        lambda window_ns: f"{gauge.name} offset {duration(window_ns)}",
        stream,
        lambda _, __: Missing(unread, 0, ticks.stream),
        (
            "a line of least squares through the floors, where the watch takes the median slope",
            "a reading that is never renewed is not seen as missing",
        ),
    )


QUERIES: Mapping[str, Callable[[Exports, Selected], Query]] = MappingProxyType(
    {
        "deadline_miss.ratio": partial(_tick_share, field="deadline_miss", outcome=None),
        "md_cache.hit_ratio": partial(_tick_share, field="cache", outcome="hit"),
        "md_cache.stale_ratio": partial(_tick_share, field="cache", outcome="stale"),
        "md_cache.miss_ratio": partial(_tick_share, field="cache", outcome="miss"),
        "maker_share": partial(_notional_share, liquidity="maker"),
        "taker_share": partial(_notional_share, liquidity="taker"),
        "breaker.open_time": _breaker,
        "memory.slope": _memory,
    }
)
"""Every metric that can be watched in a window."""


def quantile(exports: Exports, metric: str, window: str) -> str | None:
    """A latency quantile such as `fetch_md.p95` over a window, in seconds; None for another metric."""
    of, _, statistic = metric.rpartition(".")
    if statistic not in PERCENTS:
        return None
    chosen: dict[str, str] = {}
    if of == "tick_total":
        histogram = exports.of(_TICKS, "tick_total_ns", "histogram")
    else:
        histogram = exports.of(_TICKS, "STAGE_ns", "histogram")
        chosen = {histogram.label("STAGE_ns"): of}
    series = matched(histogram, **chosen).replace(histogram.name, f"{histogram.name}_bucket", 1)
    rate = f"rate({series}[{window}])"
    return f"histogram_quantile({number(PERCENTS[statistic] / 100)}, {rate})"
