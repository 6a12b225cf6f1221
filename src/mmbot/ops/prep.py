"""Prep, step 1 of the release workflow: may this configuration go on to a shadow run?

Every check is red or green by itself; a check whose configuration cannot be read is NO_DATA, which is not
green. What is written: `reports/PREP_LOG.md` and `verdicts/prep.json` always,
`release/FEATURE_FLAGS_SNAPSHOT.json` and the smaller steps back beside it only when everything is green, so
that the values to go back to are always those of a release that was prepared.

Files are judged as a run would merge them, without a scenario for flags and requirements, with each asked
scenario's overlay for the money arithmetic. Edge that gates ask for comes in as data: the bot knows no gate.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from mmbot.config.flags import Value, text
from mmbot.config.settings import leaves, load_config, settings_of
from mmbot.config.snapshot import SNAPSHOT, Snapshot, Spelled, encoded, load_snapshot, take
from mmbot.config.strict_yaml import Document
from mmbot.errors import ConfigError, MmbotError, OutputError
from mmbot.ops import machine
from mmbot.ops.files import write_atomically
from mmbot.ops.gradual import GRADUAL, path_of, step_back
from mmbot.ops.plan import Plan, plan
from mmbot.units import SECOND


class Verdict(StrEnum):
    PASS = "PASS"  # noqa: S105 (a verdict)
    FAIL = "FAIL"
    NO_DATA = "NO_DATA"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the log: what was found, where, and what was expected."""

    name: str
    verdict: Verdict
    found: str
    expected: str


@dataclass(frozen=True, slots=True)
class Requirement:
    """A value that a release must have."""

    key: str
    expected: str
    holds: Callable[[Value], bool]


def _on(key: str) -> Requirement:
    return Requirement(key, "true", lambda value: value is True)


_MOST_TAKEN_PCT = 9.0

REQUIRED: tuple[Requirement, ...] = (
    _on("pipeline.enabled"),
    _on("md_cache.enabled"),
    _on("guards.enabled"),
    _on("async_batch.enabled"),
    _on("trace.enabled"),
    _on("taker_cap.enabled"),
    Requirement("taker_cap.max_taker_share_pct", "at most 9", lambda value: value <= _MOST_TAKEN_PCT),
)
MACHINE = ("directories", "disk", "clock", "versions", "secrets")
CHECKS: tuple[str, ...] = (
    "configuration",
    *(one.key for one in REQUIRED),
    "economics",
    "gates",
    *MACHINE,
    "snapshot",
    "steps back",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Edge that a gate asks for: the least mean net_bps that its rule lets pass. `symbol` None: of all."""

    rule: str
    where: str
    net_bps: float
    symbol: str | None = None


@dataclass(frozen=True, slots=True)
class PrepRequest:
    """What to prepare. `config`: base, then overrides. `out`: the folder of artifacts. `soak_s`: the longest
    soak that there has to be room for. `steps_back`: values by key, by name of the step.
    `distribution`: the installed package.
    """

    config: Sequence[Path]
    scenarios: Sequence[str]
    folder: Path
    data: Path | None
    out: Path
    asked: Sequence[Asked]
    code: Mapping[str, Any]
    now_ns: int
    soak_s: float = 72 * 3600.0
    steps_back: Mapping[str, Mapping[str, Value]] = field(default_factory=lambda: GRADUAL)
    distribution: str = "mmbot"


@dataclass(frozen=True, slots=True)
class Prep:
    """What came of it. `snapshot` is None unless every check is green."""

    request: PrepRequest
    checks: tuple[Check, ...]
    plans: tuple[Plan, ...]
    snapshot: Snapshot | None
    steps_back: Mapping[str, Snapshot] = field(default_factory=dict)
    """By name; none unless every check is green."""

    @property
    def verdict(self) -> Verdict:
        return Verdict.PASS if all(one.verdict is Verdict.PASS for one in self.checks) else Verdict.FAIL

    def check(self, name: str) -> Check:
        return next(one for one in self.checks if one.name == name)


@dataclass
class _Desk:
    """What the checks look at, as far as it could be had."""

    document: Document | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    plans: tuple[Plan, ...] = ()
    taken: Snapshot | None = None
    steps_back: Mapping[str, Snapshot] = field(default_factory=dict)


def prepare(request: PrepRequest) -> Prep:
    """Run every check. What is wrong with the files is a red check, never an exception; writes nothing."""
    desk = _Desk()
    checks = (
        _read(request, desk),
        *(_required(one, desk) for one in REQUIRED),
        _economics(desk),
        _gates(request.asked, desk),
        *_machine(request, desk),
        _snapshot(request, desk),
        _steps_back(request, desk),
    )
    green = all(one.verdict is Verdict.PASS for one in checks)
    if not green:
        return Prep(request, checks, desk.plans, None)
    return Prep(request, checks, desk.plans, desk.taken, desk.steps_back)


def write(prep: Prep) -> None:
    """The artifacts. Raises OutputError."""
    out = prep.request.out
    files = {
        out / "reports" / "PREP_LOG.md": log_markdown(prep).encode(),
        out / "verdicts" / "prep.json": _verdict_json(prep),
    }
    if prep.snapshot is not None:
        files[out / "release" / SNAPSHOT] = encoded(prep.snapshot)
    files |= {path_of(name, out): encoded(snapshot) for name, snapshot in prep.steps_back.items()}
    write_atomically(files)
    if prep.snapshot is not None:
        _make_folders(out)


def _make_folders(out: Path) -> None:
    try:
        machine.make_folders(out)
    except OSError as error:
        raise OutputError(f"{out}: its folders cannot be made: {error}") from error


def _read(request: PrepRequest, desk: _Desk) -> Check:
    """The files as they merge, and with each scenario."""
    expected = "files and scenarios that merge and convert"
    try:
        document = load_config(request.config)
        settings = settings_of(document)
        desk.document, desk.values = document, leaves(msgspec.to_builtins(settings))
        desk.plans = tuple(
            plan(name, request.folder, request.config, request.data) for name in request.scenarios
        )
    except MmbotError as error:
        return Check("configuration", Verdict.FAIL, str(error), expected)
    files = " + ".join(str(path) for path in request.config)
    return Check("configuration", Verdict.PASS, f"{files}: config_sha256 {settings.sha256()}", expected)


def _required(one: Requirement, desk: _Desk) -> Check:
    if desk.document is None:
        return _no_data(one.key, one.expected)
    value = desk.values[one.key]
    verdict = Verdict.PASS if one.holds(value) else Verdict.FAIL
    where = desk.document.where(tuple(one.key.split(".")))
    return Check(one.key, verdict, f"{text(value)} at {where}", one.expected)


def _economics(desk: _Desk) -> Check:
    expected = "a widest half spread that pays the maker fee, and orders that venue and limits let pass"
    if not desk.plans:
        return _no_data("economics", expected)
    wrong = [
        f"{planned.scenario}: {one.instrument.key}: {problem}"
        for planned in desk.plans
        for one in planned.economics
        for problem in one.problems
    ]
    earned = [
        f"{planned.scenario}: {one.instrument.key}: {one.widest.arithmetic}"
        for planned in desk.plans
        for one in planned.economics
    ]
    verdict = Verdict.FAIL if wrong else Verdict.PASS
    return Check("economics", verdict, "; ".join(wrong or earned), expected)


def _gates(asked: Sequence[Asked], desk: _Desk) -> Check:
    """A gate that asks for more than the widest half spread earns can never be green."""
    expected = "no gate asks for more edge than the widest half spread minus the maker fee"
    if not desk.plans:
        return _no_data("gates", expected)
    impossible = [
        f"{rule.where}: {rule.rule}: {planned.scenario} earns at most {one.widest.arithmetic}"
        for rule in asked
        for planned in desk.plans
        for one in planned.economics
        if rule.symbol in (None, one.instrument.key) and rule.net_bps > one.widest.net_bps
    ]
    verdict = Verdict.FAIL if impossible else Verdict.PASS
    return Check("gates", verdict, "; ".join(impossible) or f"{len(asked)} rules ask for edge", expected)


def _machine(request: PrepRequest, desk: _Desk) -> Iterator[Check]:
    """What the release stands on."""
    out, files = request.out, [*request.config, *sorted(request.folder.rglob("*.yaml"))]
    yield _told("directories", machine.folders(out), "folders that can be written")
    yield _disk(request, desk)
    yield _told(
        "clock",
        machine.clock(request.now_ns, files, _taken_ns(request)),
        "later than what is read was written",
    )
    yield _told(
        "versions", machine.versions(request.distribution), "every requirement of the package, installed"
    )
    yield _told("secrets", machine.secrets(files), "nothing that looks like a key or a password")


def _disk(request: PrepRequest, desk: _Desk) -> Check:
    expected = "room for the longest soak of the largest scenario"
    if not desk.plans:
        return _no_data("disk", expected)
    found = [
        machine.disk(request.out, len(one.economics), one.settings.pipeline.tick_interval_ms, request.soak_s)
        for one in desk.plans
    ]
    return _told("disk", next((one for one in found if one.wrong), found[0]), expected)


def _taken_ns(request: PrepRequest) -> int | None:
    """When the snapshot before was taken; None without one that can be read."""
    try:
        return load_snapshot(request.out / "release" / SNAPSHOT).taken_ns
    except ConfigError:
        return None


def _told(name: str, finding: machine.Finding, expected: str) -> Check:
    verdict = Verdict.FAIL if finding.wrong else Verdict.PASS
    return Check(name, verdict, "; ".join(finding.wrong) or finding.found, expected)


def _snapshot(request: PrepRequest, desk: _Desk) -> Check:
    """What there is to go back to: the snapshot of the release before, if any, must be whole."""
    expected = "the snapshot of the release before as it was taken, or none"
    path = request.out / "release" / SNAPSHOT
    if desk.document is None:
        return _no_data("snapshot", expected)
    try:
        earlier = load_snapshot(path) if path.exists() else None
        desk.taken = take(request.config, request.code, request.now_ns, earlier)
    except ConfigError as error:
        return Check("snapshot", Verdict.FAIL, str(error), expected)
    found = "none yet" if earlier is None else f"{path}, of config_sha256 {earlier.config_sha256}"
    return Check("snapshot", Verdict.PASS, found, expected)


def _steps_back(request: PrepRequest, desk: _Desk) -> Check:
    """Smaller steps than the whole way back, each as a running bot could take it."""
    expected = "each a configuration that a running bot can take"
    if desk.document is None:
        return _no_data("steps back", expected)
    try:
        desk.steps_back = {
            name: step_back(name, values, request.config, request.code, request.now_ns)
            for name, values in request.steps_back.items()
        }
    except ConfigError as error:
        return Check("steps back", Verdict.FAIL, str(error), expected)
    return Check("steps back", Verdict.PASS, ", ".join(desk.steps_back), expected)


def _no_data(name: str, expected: str) -> Check:
    return Check(name, Verdict.NO_DATA, "the configuration cannot be read", expected)


def log_markdown(prep: Prep) -> str:
    """`PREP_LOG.md`."""
    request, code = prep.request, prep.request.code
    at = datetime.fromtimestamp(request.now_ns // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    dirty = ", with uncommitted changes" if code.get("dirty") else ""
    lines = [
        f"# Prep: {prep.verdict}",
        "",
        f"{at}, version {code.get('version')}, commit {code.get('commit') or 'unknown'}{dirty}.",
        "",
        "| check | verdict | found | expected |",
        "|---|---|---|---|",
        *(f"| {one.name} | {one.verdict} | {_cell(one.found)} | {one.expected} |" for one in prep.checks),
        "",
        "## Flags",
        "",
        *_flag_lines(prep.snapshot),
        "",
        "## What can be earned",
        "",
        *_economics_lines(prep.plans),
    ]
    return "\n".join(lines) + "\n"


def _flag_lines(snapshot: Snapshot | None) -> Iterator[str]:
    if snapshot is None:
        yield f"No snapshot was taken: a check is not green. An older {SNAPSHOT} is as it was."
        return
    yield "| flag | key | previous | new |"
    yield "|---|---|---|---|"
    for flag in snapshot.flags:
        yield f"| {flag.name} | {flag.key} | {_value(flag.previous)} | {_value(flag.new)} |"


def _value(spelled: Spelled | None) -> str:
    return "not known" if spelled is None else text(spelled.value)


def _economics_lines(plans: Sequence[Plan]) -> Iterator[str]:
    for planned in plans:
        yield f"Scenario {planned.scenario}, config_sha256 {planned.settings.sha256()}:"
        yield ""
        for one in planned.economics:
            yield from (f"    {line}" for line in one.lines)
        yield ""


def _cell(found: str) -> str:
    return found.replace("|", "\\|")


def _verdict_json(prep: Prep) -> bytes:
    """For whoever started prep: keys only grow."""
    facts = {
        "schema": 1,
        "step": "prep",
        "verdict": prep.verdict,
        "config_sha256": prep.snapshot.config_sha256 if prep.snapshot else None,
        "checks": [
            {"name": one.name, "verdict": one.verdict, "found": one.found, "expected": one.expected}
            for one in prep.checks
        ],
    }
    return msgspec.json.format(msgspec.json.encode(facts), indent=1) + b"\n"
