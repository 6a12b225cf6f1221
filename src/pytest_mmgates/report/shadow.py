"""`md_cache/shadow_report.md`: what a shadow run showed, verdict first. Equal input gives equal bytes."""

from dataclasses import dataclass

import jinja2

from pytest_mmgates.judge import RuleVerdict
from pytest_mmgates.metrics import METRICS
from pytest_mmgates.metrics.edge import EdgeSummary, edge_summary
from pytest_mmgates.report.budgets import iso_time, stage_budgets
from pytest_mmgates.report.result import RunResult
from pytest_mmgates.report.table import figure, note
from pytest_mmgates.runlog import RunLog
from pytest_mmgates.units import show

ABSENT = "-"


@dataclass(frozen=True, slots=True)
class SymbolRow:
    """What the bot did on one symbol, as text."""

    symbol: str
    ticks: int
    quoted: str
    fills: int
    maker_share: str
    inventory: str
    edge: EdgeSummary


def shadow_report(result: RunResult) -> str:
    log = result.log
    budgets = stage_budgets(result)
    return (
        _environment()
        .get_template("shadow_report.md.j2")
        .render(
            result=result,
            log=log,
            manifest=log and log.manifest,
            budgets=budgets,
            stages=[*budgets["stages"].items(), ("tick_total", budgets["tick_total"])],
            symbols=[_symbol_row(log, symbol) for symbol in log.symbols] if log else [],
            started=log and iso_time(log.manifest.started_ns),
            ended=log and iso_time(log.manifest.ended_ns),
        )
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pytest_mmgates", "report/templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - Markdown; `finalize` escapes what would break a table
        finalize=_cell,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "number": _number,
        "percent": _percent,
        "figure": figure,
        "limit": _limit,
        "note": note,
    }
    return environment


def _cell(value: object) -> str:
    """Any value as it may stand inside a Markdown table."""
    return ABSENT if value is None else str(value).replace("|", "\\|").replace("\n", " ")


def _number(value: float | None) -> str:
    return ABSENT if value is None else show(value)


def _percent(value: float | None) -> str:
    return ABSENT if value is None else f"{100 * value:+.1f}%"


def _limit(rule: RuleVerdict) -> str:
    return f"{show(rule.limit)}{rule.unit}"


def _symbol_row(log: RunLog, symbol: str) -> SymbolRow:
    tally = log.of(symbol)
    return SymbolRow(
        symbol=symbol,
        ticks=tally.ticks,
        quoted=show(tally.quoted / tally.ticks) if tally.ticks else ABSENT,
        fills=tally.fills,
        maker_share=_number(METRICS["maker_share"].measure(log, symbol).value),
        inventory=_number(METRICS["inventory.abs_p99_quote"].measure(log, symbol).value),
        edge=edge_summary(log, symbol),
    )
