"""What a pull request shows on GitHub: the job summary and the annotations, of verdict files alone.

Limits of the service that matter here: a step's summary may hold 1 MiB and a comment 64 KiB, so one text of
at most 60 KiB serves both; of one step, 10 errors and 10 warnings are shown. Workflow commands end at the
line: `%`, CR and LF are escaped, in properties `:` and `,` too.
(https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands)

Needs no token and calls nothing: it writes to standard output and to the file that the runner names.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_mmgates.errors import CommandError, GateError
from pytest_mmgates.gatefile import read_gate

LARGEST_BYTES = 60 * 1024
MOST_ANNOTATIONS = 10
EDITS_GATES = "This change edits gates"
_CUT = "\n\n(cut: the whole report is in the artifact of this run)\n"
_VERDICT = Mapping[str, Any]


def read_verdicts(out: Path) -> list[dict[str, Any]]:
    """Every gate's verdict below `out`, the worst first. CommandError for none, or one that is not JSON."""
    found: list[dict[str, Any]] = []
    for path in sorted((out / "verdicts").glob("*.json")):
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise CommandError(f"{path}: cannot be read: {error}") from error
        if isinstance(content, dict) and "rules" in content:
            found.append(content)
    if not found:
        raise CommandError(f"{out / 'verdicts'}: found no verdict of a gate: was pytest run with this --out?")
    return sorted(found, key=lambda verdict: _badness(verdict["verdict"]), reverse=True)


def summary(verdicts: list[dict[str, Any]], reports: list[str]) -> str:
    """Markdown: what fails first, then the reports, at most 60 KiB."""
    lines = ["| verdict | gate | scenario |", "|---|---|---|"]
    lines += [f"| {cell(one['label'])} | {cell(one['gate'])} | {cell(one['scenario'])} |" for one in verdicts]
    edits = [f"> - {cell(line)}" for one in verdicts for line in edits_of(one)]
    head = [f"> **{EDITS_GATES}.**", *edits, ""] if edits else []
    return cut("\n".join([*head, *lines, "", *_failed(verdicts), *reports]))


def annotations(verdicts: list[dict[str, Any]], gates: Path) -> list[str]:
    """Workflow commands: an error at the line of each rule that is not green, a warning for edits of gates.
    What is beyond ten is counted in the tenth.
    """
    errors = [line for verdict in verdicts for line in _errors(verdict, gates)]
    warnings = [
        command("warning", f"{gates.name}/{edited_file(line)}", 1, EDITS_GATES, line)
        for verdict in verdicts
        for line in edits_of(verdict)
    ]
    return [*_at_most(errors, "error"), *_at_most(warnings, "warning")]


def edits_of(verdict: _VERDICT) -> list[str]:
    comparison = verdict.get("comparison")
    return list(comparison["edits"]) if comparison else []


def edited_file(edit: str) -> str:
    """The file that a line of edits begins with: `ci.yaml: ...`, `ci.yaml was deleted`."""
    return edit.split(" ", 1)[0].rstrip(":")


def cut(text: str) -> str:
    """At a line end, so that it and the note that it was cut fit."""
    content = text.encode()
    if len(content) <= LARGEST_BYTES:
        return text
    kept = content[: LARGEST_BYTES - len(_CUT.encode())]
    return kept[: kept.rindex(b"\n")].decode() + _CUT


def cell(text: object) -> str:
    """As it may stand in a Markdown table: no HTML, no break."""
    escaped = str(text).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return " ".join(escaped.split())


def command(kind: str, file: str, line: int, title: str, message: str) -> str:
    """One workflow command."""
    where = f"file={_property(file)},line={line},title={_property(title)}"
    return f"::{kind} {where}::{_data(message)}"


def _failed(verdicts: list[dict[str, Any]]) -> Iterator[str]:
    """Each rule that is not green, on its own line, before any report."""
    for verdict in verdicts:
        for rule in verdict["rules"]:
            if rule["verdict"] != "PASS":
                where = f"`{rule['rule']}` of {cell(verdict['gate'])}"
                yield f"- **{cell(rule['label'])}** {where}: {cell(_why(rule))}"
    yield ""


def _errors(verdict: _VERDICT, gates: Path) -> Iterator[str]:
    lines = _lines(gates / f"{verdict['gate']}.yaml")
    for rule in verdict["rules"]:
        if rule["verdict"] != "PASS":
            title = f"{rule['label']}: {rule['rule']}"
            file = f"{gates.name}/{verdict['gate']}.yaml"
            yield command("error", file, lines.get(rule["rule"], 1), title, _why(rule))


def _lines(path: Path) -> dict[str, int]:
    """Where each rule stands; nothing of a file that is gone or broken."""
    try:
        gate = read_gate(path)
    except GateError:
        return {}
    return {str(rule): line for rule, line in zip(gate.judged, gate.lines, strict=True)}


def _why(rule: _VERDICT) -> str:
    value = "no value" if rule["value"] is None else f"{rule['value']:.4g}{rule['unit']}"
    return f"{value}; {rule['reason']}" if rule["reason"] else value


def _at_most(commands: list[str], kind: str) -> list[str]:
    if len(commands) <= MOST_ANNOTATIONS:
        return commands
    rest = len(commands) - MOST_ANNOTATIONS + 1
    return [*commands[: MOST_ANNOTATIONS - 1], f"::{kind}::{rest} more: see the summary of the job"]


def _badness(verdict: str) -> int:
    return ("PASS", "INCONCLUSIVE", "NO_DATA", "FAIL").index(verdict)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
