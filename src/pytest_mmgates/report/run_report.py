"""`md_cache/shadow_report.md` and `reports/SOAK_REPORT.md`: what a run showed, verdict first. Equal input
gives equal bytes.
"""

from dataclasses import dataclass

from pytest_mmgates.metrics import METRICS
from pytest_mmgates.metrics.edge import EdgeSummary, edge_summary
from pytest_mmgates.report.budgets import iso_time, stage_budgets
from pytest_mmgates.report.markdown import ABSENT, number, render
from pytest_mmgates.report.result import RunResult
from pytest_mmgates.report.table import RULE_FILTERS
from pytest_mmgates.runlog import RunLog
from pytest_mmgates.units import show


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


def run_report(result: RunResult) -> str:
    log = result.log
    budgets = stage_budgets(result)
    return render(
        "run_report.md.j2",
        {"number": number, **RULE_FILTERS},
        result=result,
        log=log,
        manifest=log and log.manifest,
        budgets=budgets,
        stages=[*budgets["stages"].items(), ("tick_total", budgets["tick_total"])],
        symbols=symbol_rows(log) if log else [],
        started=log and iso_time(log.manifest.started_ns),
        ended=log and iso_time(log.manifest.ended_ns),
    )


def symbol_rows(log: RunLog) -> list[SymbolRow]:
    return [_symbol_row(log, symbol) for symbol in log.symbols]


def _symbol_row(log: RunLog, symbol: str) -> SymbolRow:
    tally = log.of(symbol)
    return SymbolRow(
        symbol=symbol,
        ticks=tally.ticks,
        quoted=show(tally.quoted / tally.ticks) if tally.ticks else ABSENT,
        fills=tally.fills,
        maker_share=number(METRICS["maker_share"].measure(log, symbol).value),
        inventory=number(METRICS["inventory.abs_p99_quote"].measure(log, symbol).value),
        edge=edge_summary(log, symbol),
    )
