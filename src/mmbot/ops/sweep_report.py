"""What a sweep is written as: `SWEEP_<name>` as Markdown, HTML and JSON, and its surface as SVG.

Markdown and HTML are one page, written twice. Keys of the JSON only grow.
"""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import msgspec
import yaml

from mmbot.calibration.block_sums import METRICS
from mmbot.calibration.selection import CONFIDENCE
from mmbot.calibration.spread_need import Interval
from mmbot.config.grid import text
from mmbot.ops.dataset_feeds import moment
from mmbot.ops.files import write_atomically
from mmbot.ops.sweep import Sweep
from mmbot.ops.sweep_charts import surface
from mmbot.ops.sweep_verdict import Figures, Judged, Verdict
from mmbot.runtime import provenance
from mmbot.units import SECOND

SCHEMA = 1
_ROWS = 60
"""Points that a page lists; the JSON has all."""
_HEADS = {
    "fills": "fills an hour",
    "net_quote": "net an hour",
    "taker_share": "taker share",
    "slippage_bps": "slippage bps",
}
"""Metrics that are listed beside the one swept for."""


@dataclass(frozen=True, slots=True)
class Section:
    """Of a page: paragraphs, then a table, then lines to copy."""

    title: str
    paragraphs: Sequence[str] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    code: Sequence[str] = ()


def write(judged: Judged) -> Path:
    """All files into OUT/reports, and the proposed point as an overlay beside the shards; the path of the
    Markdown. Raises OutputError.
    """
    sweep = judged.sweep
    base = sweep.request.out / "reports" / f"SWEEP_{sweep.name}"
    drawn, sections = surface(judged), list(_sections(judged))
    chart = f"{base.name}.svg"
    files = {
        _with(base, "md"): _markdown(judged, sections, chart).encode(),
        _with(base, "html"): _html(judged, sections, drawn).encode(),
        _with(base, "json"): _json(judged),
        _with(base, "svg"): drawn,
    }
    if judged.verdict is Verdict.PASS:
        files[overlay_path(sweep)] = _overlay(judged)
    write_atomically(files)
    if judged.verdict is not Verdict.PASS:
        overlay_path(sweep).unlink(missing_ok=True)  # no older one may be taken for the answer
    return _with(base, "md")


def overlay_path(sweep: Sweep) -> Path:
    """Of the proposed point, for --config-override."""
    return sweep.folder / "proposed.yaml"


def replay_line(sweep: Sweep, shard: str) -> str:
    """The command that plays one shard here, and shows what goes wrong."""
    request = sweep.request
    words = ["mmbot", "sweep", "--scenario", request.scenario, "--scenarios", str(request.scenarios)]
    for number, path in enumerate(request.config):
        words += ["--config-override" if number else "--config", str(path)]
    for one in request.sets:
        words += ["--set", one]
    words += [] if request.data is None else ["--data", str(request.data)]
    if request.duration_s is not None:
        words += ["--duration", "all" if request.duration_s == float("inf") else f"{request.duration_s:g}s"]
    words += ["--seeds", str(request.seeds), "--block", f"{sweep.block_ns // SECOND}s", "--shard", shard]
    return shlex.join(words)


def _with(base: Path, suffix: str) -> Path:
    return base.with_name(f"{base.name}.{suffix}")


def _title(judged: Judged) -> str:
    mark = " (SYNTHETIC)" if judged.sweep.kind == "synthetic" else ""
    return f"Sweep {judged.sweep.name}: {judged.verdict}{mark}"


def _markdown(judged: Judged, sections: Sequence[Section], chart: str) -> str:
    lines = [f"# {_title(judged)}", "", f"{judged.reason}.", "", f"![surface]({chart})", ""]
    for section in sections:
        lines += [f"## {section.title}", ""]
        for paragraph in section.paragraphs:
            lines += [paragraph, ""]
        if section.rows:
            lines += [f"| {' | '.join(section.head)} |", f"|{'---|' * len(section.head)}"]
            lines += [f"| {' | '.join(map(_cell, row))} |" for row in section.rows]
            lines += [""]
        lines += [f"    {line}" for line in section.code]
        lines += [""] if section.code else []
    return "\n".join(lines)


def _cell(found: str) -> str:
    return found.replace("|", "\\|")


def _html(judged: Judged, sections: Sequence[Section], drawn: bytes) -> str:
    chart = drawn.decode().partition("<svg")
    return _template().render(
        title=_title(judged),
        verdict=judged.verdict,
        reason=judged.reason,
        sections=sections,
        chart="".join(chart[1:]),
    )


@cache
def _template() -> jinja2.Template:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("mmbot.ops"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("sweep.html.j2")


def _sections(judged: Judged) -> Iterator[Section]:
    yield _what_is_known(judged)
    yield _points(judged)
    if judged.outcome.troubles:
        yield _failed(judged)
    yield _made_of(judged)


def _what_is_known(judged: Judged) -> Section:
    sweep, selected = judged.sweep, judged.selected
    name = sweep.metric.name
    in_force = " ".join(f"{key}={text(value)}" for key, value in sweep.values_in_force.values.items())
    rows = [("in force", in_force, _value(judged.of(0), name))]
    paragraphs: list[str] = []
    if selected is not None and judged.best is not None:
        region = [one for one in judged.figures if one.in_region]
        values = [one.metrics[name] for one in region]
        known = [value for value in values if value is not None]
        best = judged.of(judged.best)
        improvement = _interval(selected.improvements[selected.best])
        rows += [
            ("best", best.candidate.label, _value(best, name)),
            ("best over in force", improvement, "for all points together"),
            *_proposed(judged),
            ("best by luck alone", f"{selected.luck:+.4g}", f"of {judged.trials} points that are all equal"),
            ("p of the largest t", f"{selected.p_value:.3g}", f"told apart below {1 - CONFIDENCE:.3g}"),
            (
                "best region",
                f"{_count(region)} of {len(judged.figures) - 1} points",
                f"{name} {min(known):.4g} to {max(known):.4g}",
            ),
            ("the configuration in force", "is in it" if 0 in judged.region else "is not in it", ""),
            *_region_by_setting(judged),
        ]
        units = (
            "" if selected.blocks_a_unit == 1 else f", {selected.blocks_a_unit} a unit: they hang together"
        )
        paragraphs.append(
            f"Selected on {len(judged.blocks)} blocks of {sweep.block_ns / SECOND:g} s{units}. Differences"
            " are paired block by block on one market and one set of seeds; positive = better. The region is"
            " every point than which none is told to be better; intervals hold for all points together."
        )
    if judged.confirmation is not None:
        rows.append(_confirmed(judged))
    elif not judged.held_back:
        paragraphs.append("No days were held back: that takes three, with blocks enough on either side.")
    return Section("What is known", paragraphs, ("", "", ""), rows)


def _proposed(judged: Judged) -> Iterator[tuple[str, str, str]]:
    """The point that is told to be better, if one is."""
    if judged.proposed is not None:
        one = judged.of(judged.proposed)
        told = "" if one.improvement is None else f"{_interval(one.improvement)} over in force"
        yield "proposed", one.candidate.label, told


def _count(region: Sequence[Figures]) -> int:
    """Of the grid: the point in force is beside it."""
    return sum(one.candidate.number > 0 for one in region)


def _region_by_setting(judged: Judged) -> Iterator[tuple[str, str, str]]:
    """Of each setting: the values that points of the region have."""
    inside = [one.candidate.point.values for one in judged.figures[1:] if one.in_region]
    for axis in judged.sweep.axes:
        there = [value for value in axis.values if any(point[axis.key] == value for point in inside)]
        told = ", ".join(map(text, there)) or "none"
        if axis.is_scale and len(there) > 2:  # noqa: PLR2004 (two ends are a list, too)
            told = f"{text(there[0])} to {text(there[-1])}"
        yield "in the region", axis.key, f"{told} ({len(there)} of {len(axis.values)} values)"


def _confirmed(judged: Judged) -> tuple[str, str, str]:
    found = judged.confirmation
    assert found is not None  # noqa: S101 (asked for where there is one)
    detail = f"{found.blocks} blocks; {found.fills[0]} fills in force, {found.fills[1]} proposed"
    return "on held-back days", _interval(found.improvement), detail


def _points(judged: Judged) -> Section:
    """The best first, then what is not known."""
    name, sign = judged.sweep.metric.name, judged.sweep.metric.sign

    def order(one: Figures) -> tuple[bool, float, int]:
        value = one.metrics[name]
        return value is None, 0.0 if value is None else -sign * value, one.candidate.number

    ranked = sorted(judged.figures, key=order)
    more = len(ranked) - _ROWS
    paragraphs = [f"The first {_ROWS} of {len(ranked)}; all are in the JSON."] if more > 0 else []
    others = [other for other in _HEADS if other != name]
    head = ("point", name, "over in force", "fills with net", *(_HEADS[other] for other in others), "")
    rows = [
        (
            one.candidate.label,
            _value(one, name),
            "" if one.improvement is None else _interval(one.improvement),
            str(one.fills),
            *(_value(one, other) for other in others),
            _remark(one),
        )
        for one in ranked[:_ROWS]
    ]
    return Section("Points", paragraphs, head, rows)


def _remark(one: Figures) -> str:
    said = []
    if one.in_region:
        said.append("in the best region")
    if one.candidate.same:
        said.append("the settings in force")
    elif one.same_orders:
        said.append("the very orders of the configuration in force")
    if one.no_data is not None and not one.candidate.same:
        said.append(one.no_data if one.candidate.refused is not None else f"NO_DATA: {one.no_data}")
    return ", ".join(said)


def _failed(judged: Judged) -> Section:
    troubles = judged.outcome.troubles.values()
    rows = [(one.shard, one.error) for one in troubles]
    lines = [replay_line(judged.sweep, one.shard) for one in troubles]
    told = ["Each is played again here by its line."]
    return Section("Failed shards", told, ("shard", "error"), rows, lines)


def _made_of(judged: Judged) -> Section:
    sweep, outcome = judged.sweep, judged.outcome
    code = provenance.code()
    stretch = "none"
    if judged.blocks:
        stretch = f"{moment(judged.blocks[0])} to {moment(judged.blocks[-1] + sweep.block_ns)}"
    dirty = ", with uncommitted changes" if code["dirty"] else ""
    rows = [
        ("scenario", f"{sweep.request.scenario}, {sweep.kind}"),
        ("configuration in force", f"sha256 {str(sweep.candidates[0].config_sha256)[:12]}"),
        ("sweep", f"sha256 {sweep.sha256[:12]}"),
        ("time", f"{stretch}; {len(judged.held_back)} blocks held back"),
        ("seeds", f"{len(sweep.seeds)} from {sweep.seeds[0]} on, of the latency models"),
        ("shards", f"{outcome.finished} finished, {len(outcome.troubles)} points with failures"),
        ("played in", f"{outcome.seconds:.0f} s of workers, {len(outcome.workers)} of them"),
        ("code", f"version {code['version']}, commit {code['commit'] or 'unknown'}{dirty}"),
    ]
    return Section("Made of", (), ("", ""), rows)


def _value(one: Figures, name: str) -> str:
    value = one.metrics[name]
    return "NO_DATA" if value is None else f"{value:.4g}"


def _interval(interval: Interval) -> str:
    return f"{interval.value:+.4g} ({interval.low:+.3g} to {interval.high:+.3g})"


def _overlay(judged: Judged) -> bytes:
    assert judged.proposed is not None  # noqa: S101 (only a sweep that passed is asked)
    sweep = judged.sweep
    mark = " (SYNTHETIC DATA)" if sweep.kind == "synthetic" else ""
    head = [f"# mmbot sweep{mark}: {judged.reason}", f"# reports/SWEEP_{sweep.name}.md says how"]
    body = yaml.safe_dump(judged.of(judged.proposed).candidate.point.overlay.data, sort_keys=False)
    return "\n".join([*head, body]).encode()


def _json(judged: Judged) -> bytes:
    sweep, selected = judged.sweep, judged.selected
    facts: dict[str, Any] = {
        "schema": SCHEMA,
        "sweep": sweep.name,
        "sha256": sweep.sha256,
        "verdict": judged.verdict,
        "reason": judged.reason,
        "data_kind": sweep.kind,
        "scenario": sweep.request.scenario,
        "metric": sweep.metric.name,
        "more_is_better": sweep.metric.sign > 0,
        "settled_in": sweep.settled_in,
        "axes": {axis.key: list(axis.values) for axis in sweep.axes},
        "in_force": dict(sweep.values_in_force.values),
        "block_s": sweep.block_ns / SECOND,
        "blocks": list(judged.blocks),
        "held_back": list(judged.held_back),
        "trials": judged.trials,
        "best": judged.best,
        "proposed": judged.proposed,
        "region": sorted(judged.region),
        "units": None if selected is None else selected.units,
        "luck": None if selected is None else selected.luck,
        "p_value": None if selected is None else selected.p_value,
        "confirmation": _confirmation_json(judged),
        "shards": {
            "finished": judged.outcome.finished,
            "of": len(sweep.played) * sweep.shards_a_point,
            "seconds": judged.outcome.seconds,
        },
        "points": [_point_json(one) for one in judged.figures],
        "code": provenance.code(),
        "host": provenance.host(),
    }
    return msgspec.json.format(msgspec.json.encode(facts), indent=1) + b"\n"


def _confirmation_json(judged: Judged) -> dict[str, Any] | None:
    found = judged.confirmation
    if found is None:
        return None
    fills = dict(zip(("in_force", "proposed"), found.fills, strict=True))
    return {"blocks": found.blocks, "fills": fills, "improvement": found.improvement._asdict()}


def _point_json(one: Figures) -> dict[str, Any]:
    candidate = one.candidate
    return {
        "number": candidate.number,
        "values": dict(candidate.point.values),
        "config_sha256": candidate.config_sha256,
        "refused": candidate.refused,
        "no_data": one.no_data,
        "same_settings": candidate.same,
        "same_orders": one.same_orders,
        "in_region": one.in_region,
        "fills_with_net": one.fills,
        "improvement": None if one.improvement is None else one.improvement._asdict(),
        **{name: one.metrics[name] for name in METRICS},
    }
