"""`reports/daily/DATE.md` and `.html`: what a day was, the verdict and what to do about it first. Equal facts
give equal bytes; the page needs no network and no script.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jinja2

from pytest_mmgates.daily.actions import Action, actions
from pytest_mmgates.daily.compare import FEWEST_DAYS, HISTORY_DAYS, MOST_SIGMAS, Compared
from pytest_mmgates.daily.facts import ERRORS, RETRIES, Group, SymbolEarned
from pytest_mmgates.daily.log import DailyLog
from pytest_mmgates.judge import RuleVerdict
from pytest_mmgates.metrics.daily import memory_slope
from pytest_mmgates.report.daily_charts import hour_bars
from pytest_mmgates.report.markdown import render
from pytest_mmgates.report.result import RunResult
from pytest_mmgates.report.table import figure, note
from pytest_mmgates.units import NATURAL_UNIT, NS_PER_MS, Dimension, in_unit, show

NO_DATA = "NO_DATA"
_TOP, _BOTTOM = 5, 3
_NS_PER_US = 1_000
_GAPS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class GroupPage:
    """One group, with what is worked out for people."""

    group: Group
    comparison: tuple[Compared, ...]
    best: list[SymbolEarned]
    worst: list[SymbolEarned]
    charts: list[str]


def daily_pages(result: RunResult, log: DailyLog) -> tuple[str, str]:
    """Markdown and HTML."""
    todo: tuple[Action, ...] = actions(result.headline, log.comparison) if log.group else ()
    facts: dict[str, Any] = {
        "result": result,
        "log": log,
        "gate": result.headline,
        "actions": todo,
        "pages": [_page(log, group) for group in log.content.groups],
        "errors": ERRORS,
        "retries": RETRIES,
        "history_days": HISTORY_DAYS,
        "fewest_days": FEWEST_DAYS,
        "sigmas": MOST_SIGMAS,
        "slope": _slope(log),
        "gaps_shown": _GAPS_SHOWN,
    }
    return render("daily.md.j2", _FILTERS, **facts), _html(facts)


def _page(log: DailyLog, group: Group) -> GroupPage:
    ranked = sorted(
        (one for one in group.symbols if one.pnl is not None),
        key=lambda one: (one.currency, -(one.pnl or 0.0)),
    )
    by_currency: dict[str, list[SymbolEarned]] = {}
    for one in ranked:
        by_currency.setdefault(one.currency, []).append(one)
    best = [one for ones in by_currency.values() for one in ones[:_TOP]]
    worst = [one for ones in by_currency.values() for one in ones[_TOP:][-_BOTTOM:]]
    return GroupPage(group, log.compared(group), best, worst, _charts(group))


def _charts(group: Group) -> list[str]:
    """Through the 24 hours."""
    if not group.hours:
        return []
    hours = group.hours
    times = [one.tick_total_p95_ns for one in hours]
    return [
        hour_bars("ticks", [float(one.ticks) for one in hours]),
        hour_bars("tick_total p95, ms", [None if ns is None else ns / NS_PER_MS for ns in times]),
        hour_bars("md_cache hit ratio", [one.hit_ratio for one in hours]),
        hour_bars("fills", [float(one.fills) for one in hours]),
        hour_bars("ticks with quotes pulled", [float(one.hard_ticks) for one in hours]),
    ]


def _slope(log: DailyLog) -> str:
    if log.group is None:
        return NO_DATA
    found = memory_slope(log, None)
    return NO_DATA if found.value is None else shown(found.value, Dimension.GROWTH)


def shown(value: float | None, dimension: Dimension) -> str:
    """In the unit that people use, or NO_DATA."""
    if value is None:
        return NO_DATA
    unit = "%" if dimension is Dimension.RATIO else NATURAL_UNIT[dimension]
    return f"{show(in_unit(value, dimension, unit))}{unit}"


def _compared(value: float | None, one: Compared) -> str:
    return shown(value, one.figure.dimension)


def _number(value: float | None) -> str:
    return NO_DATA if value is None else show(value)


def _signed(value: float | None) -> str:
    return NO_DATA if value is None else f"{value:+.2f}"


def _money(value: float | None) -> str:
    return NO_DATA if value is None else f"{value:+.4f}"


def _percent(value: float | None) -> str:
    return NO_DATA if value is None else f"{100 * value:.2f}%"


def _us(ns: float | None) -> str:
    return NO_DATA if ns is None else show(ns / _NS_PER_US)


def _ms(ns: float | None) -> str:
    return NO_DATA if ns is None else show(ns / NS_PER_MS)


def _mb(value: float) -> str:
    return f"{value / 1e6:.0f} MB"


def _limit(rule: RuleVerdict) -> str:
    return f"{show(rule.limit)}{rule.unit}"


_FILTERS: Mapping[str, Callable[..., str]] = {
    "compared": _compared,
    "number": _number,
    "signed": _signed,
    "money": _money,
    "percent": _percent,
    "us": _us,
    "ms": _ms,
    "mb": _mb,
    "figure": figure,
    "limit": _limit,
    "note": note,
}


def _html(facts: dict[str, Any]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pytest_mmgates", "report/templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= _FILTERS
    return environment.get_template("daily.html.j2").render(**facts)
