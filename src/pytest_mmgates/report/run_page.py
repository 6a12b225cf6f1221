"""The page of a run, beside its Markdown: `md_cache/shadow_report.html`, `reports/SOAK_REPORT.html` and
`reports/PULL_REQUEST_REPORT.html`; of a dataset, the same without charts.
"""

from pytest_mmgates.errors import RunlogError
from pytest_mmgates.judge import RuleVerdict
from pytest_mmgates.report.budgets import iso_time, stage_budgets
from pytest_mmgates.report.markdown import number
from pytest_mmgates.report.page import Banner, Table, render_page
from pytest_mmgates.report.pull_request import EDITS_GATES, comparison_lines
from pytest_mmgates.report.result import RunResult
from pytest_mmgates.report.run_charts import run_charts
from pytest_mmgates.report.run_report import symbol_rows
from pytest_mmgates.report.table import figure
from pytest_mmgates.runlog import RunLog
from pytest_mmgates.verdict import Verdict


def run_page(result: RunResult) -> str:
    """Rows that cannot be read again leave it without charts: the verdict was judged before, and stands."""
    log = result.log
    try:
        charts, uncharted = run_charts(log, result.verdicts) if log else [], None
    except RunlogError as error:
        charts, uncharted = [], str(error)
    return render_page(
        "run.html.j2",
        {},
        banner=_banner(result),
        result=result,
        log=log,
        charts=charts,
        uncharted=uncharted,
        tables=_run_tables(result, log) if log else _dataset_tables(result),
        comparison=[*_edits(result), *comparison_lines(result)],
        provenance=_provenance(log) if log else result.identity,
    )


def _edits(result: RunResult) -> list[str]:
    """What a change does to the gates themselves stands above what they say of it."""
    found = result.log.comparison.edits if result.log and result.log.comparison else ()
    return [f"{EDITS_GATES}: {line}" for line in found]


def _banner(result: RunResult) -> Banner:
    return Banner(
        title=f"{result.step} on {result.name}",
        verdict=result.verdict,
        label=result.label,
        reason=result.headline.reason or "; ".join(_red(result.headline.worst_first)),
        next=_next(result),
        rerun=result.rerun,
        data_kind=result.data_kind,
    )


def _red(rules: list[RuleVerdict]) -> list[str]:
    return [
        f"{rule.rule} is {figure(rule.value, rule)}" for rule in rules if rule.verdict is not Verdict.PASS
    ]


def _next(result: RunResult) -> str:
    gate = result.headline.gate
    if result.verdict is Verdict.PASS:
        return "go on with the next step of the workflow"
    if result.verdict is Verdict.FAIL:
        return f"read the charts of the red rules, then {gate.runbook}; their owner is {gate.owner}"
    return f"get the data that the gate asks for, then run it again; owner {gate.owner}, {gate.runbook}"


def _run_tables(result: RunResult, log: RunLog) -> list[Table]:
    budgets = stage_budgets(result)
    stages = [*budgets["stages"].items(), ("tick_total", budgets["tick_total"])]
    latencies = ("p50_ms", "p95_ms", "p95_measured_ms", "p95_modelled_ms", "p99_ms", "mean_ms", "max_ms")
    ages = budgets["md_cache"]["age_ms"]
    symbols = symbol_rows(log)
    edges = ("net", "gross", "adverse_60s", "fees", "adverse_5s", "adverse_1s")
    return [
        Table(
            "Stages, ms",
            ("stage", *(name.removesuffix("_ms").replace("_", " ") for name in latencies)),
            [(name, *(number(row[key]) for key in latencies)) for name, row in stages],
            f"Over {budgets['tick_count']} ticks; deadline {number(budgets['tick_total']['deadline_ms'])} ms,"
            f" missed by a share of {number(budgets['tick_total']['deadline_miss_rate'])}."
            " Quantiles of parts do not add up.",
        ),
        Table(
            "Market-data cache",
            (
                "hit ratio",
                "stale ratio",
                "miss ratio",
                "age p50 ms",
                "age p95 ms",
                "age p99 ms",
                "age max ms",
            ),
            [
                (
                    *(number(budgets["md_cache"][f"{name}_ratio"]) for name in ("hit", "stale", "miss")),
                    *(number(ages[name]) for name in ("p50", "p95", "p99", "max")),
                )
            ],
            f"ttl_ms is {number(budgets['md_cache']['ttl_ms'])}.",
        ),
        Table(
            "What the bot did",
            ("symbol", "ticks", "quoted on both sides", "fills", "maker share", "inventory abs p99"),
            [
                (row.symbol, row.ticks, row.quoted, row.fills, row.maker_share, row.inventory)
                for row in symbols
            ],
        ),
        Table(
            "Net edge, bps of the mid, positive is good for us",
            (
                "symbol",
                *(name.replace("_", " ") for name in edges),
                "fills averaged",
                "excluded",
                "weight in",
            ),
            [
                (
                    row.symbol,
                    *(number(row.edge.means.get(name)) for name in edges),
                    row.edge.fills,
                    row.edge.excluded,
                    row.edge.currency,
                )
                for row in symbols
            ],
            "net = gross + adverse 60s + fees, each averaged over the same fills.",
        ),
        Table("Models that made the fills", ("what", "model"), sorted(log.manifest.models.items())),
        Table("Counts of the bot", ("what", "how many"), sorted(log.manifest.counts.items())),
    ]


def _dataset_tables(result: RunResult) -> list[Table]:
    dataset = result.dataset
    if dataset is None:
        return []
    rows = [(one.symbol, one.arm, one.ticks, number(one.covered_s / 3600)) for one in dataset.coverage]
    kept, dropped = dataset.counts(None)
    text = f"{kept} intervals were kept, {dropped} filtered out."
    return [Table("What it covers", ("symbol", "arm", "ticks", "hours with ticks"), rows, text)]


def _provenance(log: RunLog) -> dict[str, object]:
    """Where the numbers come from, line by line."""
    manifest = log.manifest
    return {
        "run": f"{manifest.run_id}, {manifest.status}, seed {manifest.seed}",
        "digest": manifest.run_digest,
        "market time": f"{iso_time(manifest.started_ns)} to {iso_time(manifest.ended_ns)}",
        "clock": f"{manifest.clock}, mode {manifest.mode}",
        "data": f"{manifest.data.kind}, sha256 {manifest.data.sha256}",
        "config": f"sha256 {manifest.config_sha256}",
        "code": ", ".join(f"{name} {value}" for name, value in sorted(manifest.code.items())),
        "host": ", ".join(f"{name} {value}" for name, value in sorted(manifest.host.items())),
        **({"parts": ", ".join(part.name for part in manifest.parts)} if manifest.parts else {}),
    }
