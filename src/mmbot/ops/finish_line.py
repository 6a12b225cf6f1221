"""Where a release stands: all seven steps from their files, and the finish line's reports.

    OUT/reports/FINISH_LINE_REPORT.md       every step, what it found, what the release still asks for
    OUT/reports/FINISH_LINE_COMPLETE.md     there only while all seven are accepted

Both are written at the end of every session that played a step (`scenarios/conftest.py`), and by `mmbot
status`, `next` and `all`; nobody else writes them.

Decided: when a step is no longer accepted (other code, a file that was edited, too old), the second is
removed, not marked: whoever looks whether the file is there gets the right answer, and the report says which
step is missing. On synthetic data the workflow can be complete and releases nothing: the file says so in its
first line, and `releasable` is false.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmbot.errors import OutputError
from mmbot.ops.evidence import Standing, State, age_text, moment_text, standing
from mmbot.ops.files import write_atomically
from mmbot.ops.workflow import TASKS, WORKFLOW, Step, Task
from mmbot.runtime import provenance

REPORT = "FINISH_LINE_REPORT.md"
COMPLETE = "FINISH_LINE_COMPLETE.md"
_MARK = "SYNTHETIC"


@dataclass(frozen=True, slots=True)
class Release:
    """What the tasks stand at, in their order, in one folder of artifacts."""

    out: Path
    at_ns: int
    standings: tuple[Standing, ...]

    @property
    def next(self) -> Standing | None:
        """The first that is not accepted."""
        return next((one for one in self.standings if not one.accepted), None)

    @property
    def complete(self) -> bool:
        return self.next is None

    @property
    def is_synthetic(self) -> bool:
        return any(one.is_synthetic for one in self.standings)

    @property
    def releasable(self) -> bool:
        """Complete, and nothing of it was found on a generated market."""
        return self.complete and not self.is_synthetic

    @property
    def not_believed(self) -> bool:
        """A file is not what a session wrote."""
        return any(one.state is State.NOT_BELIEVED for one in self.standings)

    def of(self, step: Step) -> list[Standing]:
        return [one for one in self.standings if one.task in step.tasks]

    def before(self, task: Task) -> Standing | None:
        """The first before a task that is not accepted."""
        earlier = self.standings[: TASKS.index(task)]
        return next((one for one in earlier if not one.accepted), None)

    def action(self, one: Standing) -> str:
        """What to do about a task."""
        if one.accepted:
            return ""
        first = self.next
        if first is not None and first is not one:
            return f"after {first.task.name}"
        return "mmbot next"


def look(out: Path, now_ns: int) -> Release:
    """At the files of a folder of artifacts. Nothing is written."""
    source_sha256 = provenance.source_sha256()
    found = (standing(task, out, source_sha256=source_sha256, now_ns=now_ns) for task in TASKS)
    return Release(out, now_ns, tuple(found))


def write(release: Release) -> list[Path]:
    """Both reports as they are due; the files that are there now. Raises OutputError."""
    reports = release.out / "reports"
    files = {reports / REPORT: _report(release)}
    if release.complete:
        files[reports / COMPLETE] = _complete(release)
    write_atomically({path: text.encode() for path, text in files.items()})
    if not release.complete:
        try:
            (reports / COMPLETE).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{error.filename}: cannot be removed: {error.strerror}") from error
    return list(files)


def document(release: Release) -> dict[str, Any]:
    """As built-in types; keys only grow."""
    first = release.next
    return {
        "schema": 1,
        "complete": release.complete,
        "releasable": release.releasable,
        "synthetic": release.is_synthetic,
        "next": None if first is None else first.task.name,
        "steps": [
            {
                "number": step.number,
                "step": step.marker,
                "title": step.title,
                "accepted": all(one.accepted for one in release.of(step)),
                "tasks": [_task(release, one) for one in release.of(step)],
            }
            for step in WORKFLOW
        ],
    }


def _task(release: Release, one: Standing) -> dict[str, Any]:
    record = one.record
    return {
        "task": one.task.name,
        "state": str(one.state),
        "verdict": None if record is None else record.verdict,
        "label": one.label or None,
        "data_kind": None if record is None else record.data_kind,
        "age_s": None if one.age_ns is None else one.age_ns / 1e9,
        "why": one.why or None,
        "evidence": one.task.evidence,
        "commit": None if record is None else record.code.get("commit"),
        "command": None if record is None else record.command,
        "artifacts": {
            pattern: [str(path) for path in files] for pattern, files in one.task.found(release.out)
        },
        "next_action": release.action(one) or None,
    }


def _report(release: Release) -> str:
    title = "complete" if release.complete else f"not complete: {_missing(release)}"
    lines = [
        f"# Finish line: {title}",
        "",
        *_kind_lines(release),
        f"As of {moment_text(release.at_ns)}, from `{release.out}/workflow` and the verdicts beside.",
        "",
        "| step | stands at | verdict | age | evidence | next |",
        "|---|---|---|---|---|---|",
        *(_row(release, one) for one in release.standings),
        "",
        "## The release asks for",
        "",
        *(_criterion(release, step) for step in WORKFLOW),
        "",
        "## What each step found",
        "",
        *(line for one in release.standings for line in _found(release, one)),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _complete(release: Release) -> str:
    kind = f" on {_MARK} data: this releases nothing" if release.is_synthetic else ""
    lines = [
        f"# Finish line: complete{kind}",
        "",
        f"All seven steps were accepted as of {moment_text(release.at_ns)}.",
        "`mmbot status` says whether they still are; this file goes when one is not.",
        "",
        "| step | verdict | ended | found with commit | evidence |",
        "|---|---|---|---|---|",
    ]
    for one in release.standings:
        if one.record is not None:
            commit = one.record.code.get("commit") or "unknown"
            ended = moment_text(one.record.ended_ns)
            lines.append(f"| {_name(one)} | {one.label} | {ended} | {commit} | `{one.task.evidence}` |")
    return "\n".join(lines) + "\n"


def _kind_lines(release: Release) -> Iterator[str]:
    if release.is_synthetic:
        yield f"**{_MARK}: steps below were found on a generated market. They release nothing.**"
        yield ""


def _missing(release: Release) -> str:
    first = release.next
    return "" if first is None else f"{first.task.name} is {first.state}"


def _name(one: Standing) -> str:
    number = next(step.number for step in WORKFLOW if one.task in step.tasks)
    return f"{number} {one.task.name}"


def _row(release: Release, one: Standing) -> str:
    age = "" if one.age_ns is None else age_text(one.age_ns)
    stands = f"{one.state}: {one.why}" if one.why else str(one.state)
    cells = (_name(one), stands, one.label, age, f"`{one.task.evidence}`", release.action(one))
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _criterion(release: Release, step: Step) -> str:
    standings = release.of(step)
    met = all(one.accepted for one in standings)
    mark = f" ({_MARK})" if any(one.is_synthetic for one in standings) else ""
    return f"- [{'x' if met else ' '}] Step {step.number}: {step.title}: {step.done_when}{mark}"


def _found(release: Release, one: Standing) -> Iterator[str]:
    """What the verdict of a task that is believed says, line by line, and its artifacts."""
    record = one.record
    if record is None:
        return
    yield f"### {_name(one)}: {one.label}"
    yield ""
    checks = ", ".join(f"{count} {name}" for name, count in record.checks.items()) or "no checks"
    yield f"`{record.command}`, {checks}, ended {moment_text(record.ended_ns)}."
    yield ""
    yield from _claims(release.out / record.evidence)
    for pattern, files in one.task.found(release.out):
        yield f"- {pattern}: {', '.join(f'`{path}`' for path in files) or 'not there'}"
    yield ""


def _claims(path: Path) -> Iterator[str]:
    """Rules with their values, or checks with what they found; nothing of a file that has neither."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return
    rules = [(rule["rule"], rule["label"], _value(rule)) for rule in content.get("rules", ())]
    checks = [(check["name"], check["verdict"], check["found"]) for check in content.get("checks", ())]
    for name, verdict, value in (*rules, *checks):
        yield f"- {name}: {verdict}{f', {value}' if value else ''}"


def _value(rule: dict[str, Any]) -> str:
    """As measured, else why not."""
    if rule.get("value") is None:
        return rule.get("reason") or ""
    return f"{rule['value']:.6g}{rule['unit']}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
