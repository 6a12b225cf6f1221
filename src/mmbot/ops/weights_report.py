"""What a calibration of spread weights is written as: the overlay for machines, the page for people."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mmbot.calibration.spread_need import Interval, Weights
from mmbot.calibration.walk_forward import Fold
from mmbot.calibration.weights import Calibration
from mmbot.config.calibrated import Window, sealed
from mmbot.ops.calibrate_weights import Calibrated
from mmbot.ops.dataset_feeds import moment
from mmbot.ops.dataset_summary import table
from mmbot.ops.files import write_atomically
from mmbot.ops.weights_charts import charts
from mmbot.units import SECOND

MADE_BY = "mmbot calibrate weights"
OVERLAY = "calibrated_weights.yaml"


def write(done: Calibrated, out: Path) -> Path:
    """All of it into the folder of artifacts; the path of the overlay. Raises OutputError."""
    edge = out / "edge"
    pages = {edge / "reports" / name: content for name, content in report_files(done).items()}
    write_atomically({edge / OVERLAY: overlay(done).encode(), **pages})
    return edge / OVERLAY


def overlay(done: Calibrated) -> str:
    """For --config-override, sealed: a changed value is refused. It sets nothing where the old are kept."""
    source, found = done.source, done.result
    window = Window(
        data_sha256=source.made.data_sha256,
        from_ns=found.plan.from_ns,
        to_ns=found.plan.to_ns,
        symbols=list(source.symbols),
    )
    named = {f"spread.{name}": interval for name, interval in _intervals(found).items()}
    facts = {
        "made_by": MADE_BY,
        "outcome": "old" if found.kept_old else "new",
        "reason": found.reason,
        "data_kind": source.kind,
        "dataset": source.name,
        "dataset_sha256": source.sha256,
        "config_sha256": done.config_sha256,
        "window": {name: getattr(window, name) for name in window.__struct_fields__},
        "window_sha256": window.sha256,
        "intervals": {key: [round(one.low, 4), round(one.high, 4)] for key, one in named.items()},
    }
    values: dict[str, Any] = {} if found.kept_old else {"spread": found.new._asdict()}
    mark = " (SYNTHETIC DATA)" if source.kind == "synthetic" else ""
    told = f"keep the old: {found.reason}" if found.kept_old else "new weights, confirmed on held-back time"
    head = [f"# {MADE_BY}{mark}: {told}", f"# edge/reports/{report_name(source.name)}.md says how"]
    body = yaml.safe_dump(sealed(facts, values), sort_keys=False, allow_unicode=True, width=1_000)
    return "\n".join([*head, body])


def _intervals(found: Calibration) -> dict[str, Interval]:
    return dict(zip(Weights._fields, found.new_intervals, strict=True))


def report_name(dataset: str) -> str:
    return dataset.replace("calib_", "calib_weights_", 1)


def report_files(done: Calibrated) -> dict[str, bytes]:
    """By file name: the page, and its charts as SVG."""
    base = report_name(done.source.name)
    drawn = {f"{base}.{chart}.svg": svg for chart, svg in charts(done.result).items()}
    return {f"{base}.md": ("\n".join(_page(done)) + "\n").encode(), **drawn}


def _page(done: Calibrated) -> Iterator[str]:
    source, found = done.source, done.result
    synthetic = " (SYNTHETIC)" if source.kind == "synthetic" else ""
    base = report_name(source.name)
    yield f"# Spread weights from {source.name}{synthetic}"
    yield ""
    yield f"**Keep the old weights**: {found.reason}." if found.kept_old else "**New weights**, confirmed."
    yield ""
    yield from _data(done)
    yield from _weights(found)
    yield "## What regimes need"
    yield ""
    yield "Fills of the calibration window by one score at a time; means by notional, bps, 95 % intervals."
    yield ""
    yield from _regimes(found)
    yield f"![regimes]({base}.regimes.svg)"
    yield ""
    yield from _walk_forward(found)
    yield f"![walk-forward]({base}.walk_forward.svg)"
    yield ""
    yield from _rounds(found)
    yield from _confirmation(found)
    yield f"![confirmation]({base}.confirmation.svg)"


def _data(done: Calibrated) -> Iterator[str]:
    source, plan = done.source, done.result.plan
    yield f"{source.kind.capitalize()} data: {', '.join(source.symbols)}."
    yield ""
    rows = [
        ("dataset", f"{source.name}, sha256 {source.sha256[:12]}"),
        ("recording", f"scenario {source.made.scenario}, sha256 {source.made.data_sha256[:12]}"),
        ("configuration", f"sha256 {done.config_sha256[:12]}"),
        ("calibration window", f"{moment(plan.from_ns)} to {moment(plan.to_ns)}"),
        ("held back", f"{moment(plan.confirm_from_ns)} to {moment(plan.confirm_to_ns)}"),
        ("blocks, embargo", f"{plan.block_ns / SECOND:g} s, {plan.embargo_ns / SECOND:g} s"),
        ("fills of the window", f"{done.result.fills}, net {done.result.net_bps:+.2f} bps"),
        ("fills left out of the dataset", f"{source.left_out}: filtered, or without net or scores"),
    ]
    yield from table(("", ""), rows)


def _weights(found: Calibration) -> Iterator[str]:
    yield "## Weights"
    yield ""
    yield "Needed: what fills at the recorded quotes needed to net nothing. Proposed: after rounds of replay."
    yield ""
    head = ("spread.", "old", "needed", "95 %", "proposed", "95 % of the last round")
    values = zip(found.old, found.need, found.intervals, found.new, found.new_intervals, strict=True)
    yield from table(
        head,
        (
            (name, f"{old:g}", f"{need:.2f}", _ends(interval), f"{new:.2f}", _ends(last))
            for name, (old, need, interval, new, last) in zip(Weights._fields, values, strict=True)
        ),
    )
    if found.kept:
        yield f"Seldom above zero, so that it tells nothing and its weight stays: {', '.join(found.kept)}."
        yield ""


def _regimes(found: Calibration) -> Iterator[str]:
    head = ("score", "of", "fills", "asked", "markout 60 s", "needed", "95 %", "fitted", "proposed")
    yield from table(
        head,
        (
            (
                one.score,
                "0" if one.upto == 0 else f"{one.above:g} to {one.upto:g}",
                one.fills,
                f"{one.asked_bps:.2f}",
                f"{one.markout_bps:+.2f}",
                f"{one.needed_bps.value:.2f}",
                _ends(one.needed_bps),
                f"{one.fitted_bps:.2f}",
                f"{one.proposed_bps:.2f}",
            )
            for one in found.regimes
        ),
    )


def _walk_forward(found: Calibration) -> Iterator[str]:
    walk = found.walk
    yield "## Walk-forward"
    yield ""
    yield "Each stretch is predicted from what lay before it, but for the embargo. Gain above 0: better than"
    yield "by the old weights (mean squared error, less the noise that a fit follows; bps squared)."
    yield ""
    head = ("from", "to", "fills before", "fills", "needed", "old said", "new said", "gain", "95 %", "")
    yield from table(head, [_fold(fold) for fold in walk.folds])
    if walk.gain_bps2 is not None and walk.raw_gain_bps2 is not None:
        gain = walk.gain_bps2
        yield f"Of all: gain {gain.value:+.3g} ({_ends(gain)}); mean squared error {walk.old_error_bps2:.4g}"
        yield f"by the old, {walk.raw_gain_bps2:+.3g} smaller by the new before noise is allowed for."
        yield ""


def _fold(fold: Fold) -> tuple[str, ...]:
    span = (moment(fold.from_ns), moment(fold.to_ns), str(fold.fitted_fills), str(fold.test_fills))
    if fold.gain_bps2 is None or fold.needed_bps is None:
        return (*span, "", "", "", "NO_DATA", "", fold.reason)
    told = (f"{value:.2f}" for value in (fold.needed_bps, fold.old_bps, fold.new_bps))
    return (*span, *told, f"{fold.gain_bps2.value:+.3g}", _ends(fold.gain_bps2), "")


def _rounds(found: Calibration) -> Iterator[str]:
    yield "## Rounds"
    yield ""
    if not found.rounds:
        yield "None was played."
        yield ""
        return
    yield "The window replayed with what was fitted: wider quotes are filled by worse trades."
    yield ""
    rows = (
        (*_plain(one.quoted), one.fills, f"{one.net_bps:+.2f}", *_plain(one.need)) for one in found.rounds
    )
    names = [name.removesuffix("_bps").removesuffix("_weight") for name in Weights._fields]
    head = (*(f"{name} quoted" for name in names), "fills", "net bps", *(f"{name} needed" for name in names))
    yield from table(head, rows)


def _confirmation(found: Calibration) -> Iterator[str]:
    yield "## Confirmation"
    yield ""
    if found.confirmation is None:
        yield "None was played."
        yield ""
        return
    compared = found.confirmation
    net, earned = compared.net_bps, compared.earned_per_hour
    yield "Both over the time held back, the same market and the same draws; new less old."
    yield ""
    rows = (
        ("fills", compared.old_fills, compared.new_fills, "", ""),
        ("net bps", _bps(compared.old_net_bps), _bps(compared.new_net_bps), _bps(net.value), _ends(net)),
        ("earned an hour", "", "", f"{earned.value:+.4g}", _ends(earned, "+.4g")),
    )
    yield from table(("", "old", "new", "difference", "95 %"), rows)
    yield from table(
        ("block", "fills old", "fills new", "net old", "net new", "earned old", "earned new"),
        (
            (
                moment(block.start_ns),
                block.old_fills,
                block.new_fills,
                _bps(block.old_net_bps),
                _bps(block.new_net_bps),
                f"{block.old_earned:+.4g}",
                f"{block.new_earned:+.4g}",
            )
            for block in compared.blocks
        ),
    )


def _plain(weights: Weights) -> tuple[str, ...]:
    return tuple(f"{value:.2f}" for value in weights)


def _bps(value: float | None) -> str:
    return "NO_DATA" if value is None or value != value else f"{value:+.2f}"  # noqa: PLR0124 (NaN)


def _ends(interval: Interval, form: str = ".3g") -> str:
    return f"{interval.low:{form}} to {interval.high:{form}}"
