"""What a soak starts from: `reports/SOAK_START.md`, `PRE_SOAK_REPORT.md` and `SOAK_DASHBOARD_CHECKLIST.md`.

Written before the run plays, from facts that the caller found: the rules are those of the gate file, the
command is the one that was typed, readiness is what lies on disk. Nothing here knows a bot: how to go back is
said by who does. A start that is not ready is said in the first line, and plays all the same: the soak's own
verdict does not rest on what came before it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from pytest_mmgates.gatefile import Gate
from pytest_mmgates.report.markdown import render
from pytest_mmgates.watch.record import clock_text
from pytest_mmgates.watchrules import Condition, WatchRule

_FILES = {
    "SOAK_START.md": "soak_start.md.j2",
    "PRE_SOAK_REPORT.md": "pre_soak_report.md.j2",
    "SOAK_DASHBOARD_CHECKLIST.md": "soak_dashboard_checklist.md.j2",
}


@dataclass(frozen=True, slots=True)
class Readiness:
    """One thing that ought to be so before a soak. `ready` None: not known, which is not ready."""

    what: str
    found: str
    expected: str
    ready: bool | None

    @property
    def word(self) -> str:
        return {True: "ready", False: "NOT READY", None: "NOT KNOWN"}[self.ready]


@dataclass(frozen=True, slots=True)
class SoakStart:
    """The facts. `launch`: by scenario, the command that makes its run; `runs`: where its rows will lie;
    `versions` and `links`: by name.
    """

    gate: Gate
    at: str
    code: str
    launch: dict[str, str]
    runs: dict[str, PurePath]
    duration: str
    config: Sequence[str]
    readiness: Sequence[Readiness]
    rollback: Sequence[str]
    versions: Mapping[str, str]
    links: Mapping[str, str]

    @property
    def ready(self) -> bool:
        return all(line.ready for line in self.readiness)


def soak_start(start: SoakStart) -> dict[str, str]:
    """Text by file name."""
    rules = [("stop", rule) for rule in start.gate.stop] + [("warn", rule) for rule in start.gate.warn]
    return {
        name: render(template, {"reads": reads, "condition": _condition}, start=start, rules=rules)
        for name, template in _FILES.items()
    }


def reads(rule: WatchRule) -> str:
    """A rule in words."""
    fast = f", or {_condition(rule.fast)}" if rule.fast else ""
    silence = "waits" if rule.no_data_ns is None else f"fires after {clock_text(rule.no_data_ns)}"
    return f"{rule.subject} {_condition(rule.slow)}{fast}; without data it {silence}"


def _condition(condition: Condition) -> str:
    hold = f" for {condition.hold}" if condition.hold else ""
    clear = f", begins anew at {condition.clear}" if condition.clear else ""
    return f"over {condition.window} {condition.bound}{hold}{clear}"
