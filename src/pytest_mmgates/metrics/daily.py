"""Of a day of operations: how much of it was covered, whether its books agree, how it went.

Counts of what must not happen are zero of something, hence `n` = of how many.
"""

from collections.abc import Callable

from pytest_mmgates.daily.compare import Moved, hard_ratio, hit_ratio, miss_ratio
from pytest_mmgates.daily.facts import ERRORS, Group
from pytest_mmgates.daily.log import DailyLog
from pytest_mmgates.metrics.measurement import Measurement, Metric, absent, observed
from pytest_mmgates.tally.growth import slope_bytes_per_h
from pytest_mmgates.units import NS_PER_S, Dimension

Measure = Callable[[DailyLog, str | None], Measurement]


def coverage(day: DailyLog, symbol: str | None) -> Measurement:
    """Of the symbol with the least."""
    found = [one for one in _group(day).coverage if symbol in (None, one.symbol)]
    if not found:
        return absent("no tick")
    least = min(found, key=lambda one: one.covered_ratio)
    return observed(least.covered_ratio, least.ticks)


def unreadable(day: DailyLog, _symbol: str | None) -> Measurement:
    bad = len(day.content.unreadable)
    return observed(bad, bad + sum(len(group.runs) for group in day.content.groups))


def failed(day: DailyLog, _symbol: str | None) -> Measurement:
    runs = _group(day).runs
    return observed(sum(run.status == "failed" for run in runs), len(runs))


def unexplained(day: DailyLog, _symbol: str | None) -> Measurement:
    """Ticks that a guard pulled quotes at without a reason, and runs that stopped without one."""
    group = _group(day)
    pulled = group.guards.hard_without_reason if group.guards else 0
    stopped = sum(
        run.fell_silent
        or (run.ended_on_day and run.status in ("halted", "failed") and not run.reason)
        or any(not halt.reason for halt in run.halts)
        for run in group.runs
    )
    return observed(pulled + stopped, _ticks(group) + len(group.runs))


def position_difference(day: DailyLog, symbol: str | None) -> Measurement:
    ones = [one for one in _group(day).symbols if symbol in (None, one.symbol)]
    if not ones:
        return absent("no tick")
    return observed(sum(abs(one.position_difference_lots) for one in ones), _ticks(_group(day)))


def pnl_difference(day: DailyLog, symbol: str | None) -> Measurement:
    ones = [one for one in _group(day).symbols if symbol in (None, one.symbol)]
    found = [one.pnl_difference for one in ones if one.pnl_difference is not None]
    if len(found) < len(ones) or not found:
        return absent("a symbol has no mid to mark its position at")
    return observed(max(found), _ticks(_group(day)))


def p95(stage: str) -> Measure:
    def measure(day: DailyLog, _symbol: str | None) -> Measurement:
        times = _group(day).stage(stage)
        if times is None:
            return absent("no tick")
        if _group(day).mode != "replay":
            return observed(times.p95_ns, times.n)
        wait = _group(day).stage("wait")
        modelled = None if wait is None else wait.p95_ns
        return Measurement(times.p95_ns, times.n, measured=times.measured_p95_ns, modelled=modelled)

    return measure


def share(of: Callable[[Group], float | None]) -> Measure:
    def measure(day: DailyLog, _symbol: str | None) -> Measurement:
        value = of(_group(day))
        return absent("no tick") if value is None else observed(value, _ticks(_group(day)))

    return measure


def earned(name: str) -> Measure:
    """Of the one currency that there were fills in."""

    def measure(day: DailyLog, _symbol: str | None) -> Measurement:
        traded = [result for result in _group(day).results if result.fills]
        if len(traded) != 1:
            return absent("no fills" if not traded else "fills in more than one currency")
        value = getattr(traded[0], name)
        return absent("no fill has it") if value is None else observed(value, traded[0].fills)

    return measure


def breaker_open(day: DailyLog, _symbol: str | None) -> Measurement:
    """Of the worst venue."""
    group = _group(day)
    longest_s = max((one.not_closed_s for one in group.breakers), default=0.0)
    return observed(longest_s * NS_PER_S, _ticks(group)) if _ticks(group) else absent("no tick")


def memory_slope(day: DailyLog, _symbol: str | None) -> Measurement:
    """Of the process that grew the most."""
    slopes = [(slope_bytes_per_h(one.rss_floors), len(one.rss_floors)) for one in _group(day).processes]
    known = [(slope, n) for slope, n in slopes if slope is not None]
    return observed(*max(known)) if known else absent("fewer than two floors of memory after an hour")


def errors(day: DailyLog, _symbol: str | None) -> Measurement:
    group = _group(day)
    return observed(group.count(*ERRORS), _ticks(group)) if _ticks(group) else absent("no tick")


def alerts(section: str) -> Measure:
    def measure(day: DailyLog, _symbol: str | None) -> Measurement:
        group = _group(day)
        if not group.watched_runs:
            return absent("no run of the day was watched")
        return observed(sum(one.section == section for one in group.alerts), group.watched_runs)

    return measure


def lost_alerts(day: DailyLog, _symbol: str | None) -> Measurement:
    group = _group(day)
    return observed(group.count("alert_lost"), _ticks(group)) if _ticks(group) else absent("no tick")


def moved_worse(day: DailyLog, _symbol: str | None) -> Measurement:
    """Figures that moved for the worse, beside the days before."""
    silent = (Moved.TOO_FEW_DAYS, Moved.NO_DATA)
    judged = [one for one in day.comparison if one.moved not in silent]
    if not judged:
        return absent("too few days before")
    return observed(sum(one.moved is Moved.WORSE for one in judged), len(judged))


def _group(day: DailyLog) -> Group:
    """A day without one is unfit, and measured by nobody."""
    if day.group is None:
        raise ValueError(f"{day.content.day}: no run to measure")
    return day.group


def _ticks(group: Group) -> int:
    return group.ticks.ticks if group.ticks else 0


def _metric(
    name: str, dimension: Dimension, what: str, measure: Measure, *, per_symbol: bool = False
) -> Metric:
    return Metric(f"daily.{name}", dimension, what, measure, per_symbol=per_symbol, source="daily")


DAILY = (
    _metric(
        "coverage",
        Dimension.RATIO,
        "share of the day that ticks stand for, least symbol",
        coverage,
        per_symbol=True,
    ),
    _metric("unreadable_runs", Dimension.COUNT, "runs whose rows cannot be read", unreadable),
    _metric("failed_runs", Dimension.COUNT, "runs of the day that failed", failed),
    _metric(
        "unexplained_stops",
        Dimension.COUNT,
        "HARD ticks without a reason, and runs that stopped without one",
        unexplained,
    ),
    _metric(
        "position_difference",
        Dimension.COUNT,
        "lots by which positions moved that no fill moved them",
        position_difference,
        per_symbol=True,
    ),
    _metric(
        "pnl_difference",
        Dimension.RATIO,
        "profit by the ledger less profit by its legs, of what was traded",
        pnl_difference,
        per_symbol=True,
    ),
    _metric(
        "md_cache.hit_ratio", Dimension.RATIO, "share of the day's reads that were hits", share(hit_ratio)
    ),
    _metric("fetch_md.p95", Dimension.TIME, "p95 of fetch_md, I/O wait included", p95("fetch_md")),
    _metric("tick_total.p95", Dimension.TIME, "p95 of a whole tick, I/O wait included", p95("tick_total")),
    _metric(
        "deadline_miss.ratio",
        Dimension.RATIO,
        "share of the day's ticks that missed their deadline",
        share(miss_ratio),
    ),
    _metric(
        "hard_ratio", Dimension.RATIO, "share of ticks at which a guard pulled the quotes", share(hard_ratio)
    ),
    _metric(
        "taker_share",
        Dimension.RATIO,
        "share of the day's notional filled as taker",
        earned("taker_share"),
    ),
    _metric(
        "net_bps",
        Dimension.BPS,
        "gross + adverse_60s + fees of the day's fills, by weight",
        earned("net_bps"),
    ),
    _metric(
        "breaker.open_time",
        Dimension.TIME,
        "time that the breaker of the worst venue was not closed on the day",
        breaker_open,
    ),
    _metric("memory.slope", Dimension.GROWTH, "growth of memory on the day, worst process", memory_slope),
    _metric("errors", Dimension.COUNT, "events in which something went wrong", errors),
    _metric("stop_alerts", Dimension.COUNT, "stop rules that fired", alerts("stop")),
    _metric("warn_alerts", Dimension.COUNT, "warnings that fired", alerts("warn")),
    _metric("lost_alerts", Dimension.COUNT, "alerts that reached nobody", lost_alerts),
    _metric(
        "moved_worse", Dimension.COUNT, "figures that moved for the worse, beside seven days", moved_worse
    ),
)
