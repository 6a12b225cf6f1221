"""The page of a dataset for people: what it holds, what was left out and why, and three charts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmbot.calibration.dataset_edge import Columns
from mmbot.ops.dataset_charts import charts

Row = Mapping[str, Any]


def summary_files(name: str, content: Row, fills: Columns) -> dict[str, bytes]:
    """By file name: the page, and its charts as SVG."""
    base = name.replace("calib_", "calib_summary_", 1)
    drawn = {f"{base}.{chart}.svg": svg for chart, svg in charts(content, fills).items()}
    page = "\n".join(_page(name, content, list(drawn))) + "\n"
    return {f"{base}.md": page.encode(), **drawn}


def _page(name: str, content: Row, drawn: Sequence[str]) -> Iterator[str]:
    synthetic = " (SYNTHETIC)" if content["data_kind"] == "synthetic" else ""
    yield f"# Calibration dataset {name}{synthetic}"
    yield ""
    span = f"{content['from']} to {content['to']}"
    yield f"{span}, intervals of {content['interval_s']:g} s, {content['data_kind']} data."
    yield ""
    weights = name.replace("calib_", "calib_weights_", 1)
    yield f"Spread weights fitted to it, once `mmbot calibrate weights` was run: [{weights}]({weights}.md)."
    yield ""
    yield from _filters(content["filters"])
    yield from _coverage(content)
    yield from _targets(content["totals"])
    for file in drawn:
        chart = file.split(".")[-2]
        yield f"![{chart.replace('_', ' ')}]({file})"
        yield ""
    yield from _provenance(content["provenance"])


def _filters(filters: Row) -> Iterator[str]:
    yield "## What was left out"
    yield ""
    kept, intervals = filters["kept"], filters["intervals"]
    yield f"{kept} of {intervals} intervals kept, {filters['filtered_ratio']:.2%} filtered."
    yield "An interval may have more than one reason; none is about what we earned or how fast we were."
    yield ""
    yield from table(("reason", "intervals"), filters["by_reason"].items())


def _coverage(content: Row) -> Iterator[str]:
    yield "## Coverage"
    yield ""
    head = (
        "symbol",
        "arm",
        "first tick",
        "last tick",
        "ticks",
        "hours",
        "of the range",
        "gaps",
        "short gaps",
    )
    yield from table(
        head,
        (
            (
                one["symbol"],
                one["arm"],
                one["first_tick"],
                one["last_tick"],
                one["ticks"],
                f"{one['covered_s'] / 3600:.2f}",
                f"{one['covered_ratio']:.2%}",
                one["gaps"],
                one["short_gaps"],
            )
            for one in content["coverage"]
        ),
    )
    gaps = content["gaps"]
    if gaps:
        longest = sorted(gaps, key=lambda gap: -gap["seconds"])[:_GAPS_SHOWN]
        yield f"The longest of {len(gaps)} stretches of ten ticks and more without any:"
        yield ""
        rows = ((gap["symbol"], gap["from"], gap["to"], f"{gap['seconds']:g}") for gap in longest)
        yield from table(("symbol", "from", "to", "seconds"), rows)


_GAPS_SHOWN = 20


def _targets(totals: Sequence[Row]) -> Iterator[str]:
    yield "## What fills earned"
    yield ""
    yield "All fills of the range, bps by weight, positive = good for us; recomputed from fills and mids."
    yield ""
    bps = ("gross_bps", "fees_bps", "adverse_1s_bps", "adverse_5s_bps", "adverse_60s_bps", "net_bps")
    head = (
        "symbol",
        "arm",
        "fills",
        "with net",
        "notional",
        *(name.removesuffix("_bps") for name in bps),
        "needed",
    )
    yield from table(
        head,
        (
            (
                one["symbol"],
                one["arm"],
                one["fills"],
                one["fills_with_net"],
                f"{one['notional']:.2f} {one['settled_in']}",
                *(_bps(one[name]) for name in bps),
                _bps(one["half_spread_needed_bps"]),
            )
            for one in totals
        ),
    )
    yield "Needed: the gross, from mid to fill, at which net would be zero."
    yield ""


def _provenance(runs: Sequence[Row]) -> Iterator[str]:
    yield "## Made from"
    yield ""
    head = ("run", "scenario", "status", "arm", "digest", "config", "data", "rows", "torn lines")
    yield from table(
        head,
        (
            (
                run["run_id"],
                run["scenario"],
                run["status"],
                run["arm"],
                *(str(run[name])[:12] for name in ("run_digest", "config_sha256", "data_sha256")),
                ", ".join(f"{count} {feed}" for feed, count in run["rows_read"].items()),
                run["torn_lines"],
            )
            for run in runs
        ),
    )


def table(head: Sequence[str], rows: Any) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(str(cell) for cell in row)} |"
    yield ""


def _bps(value: float | None) -> str:
    return "NO_DATA" if value is None else f"{value:+.2f}"
