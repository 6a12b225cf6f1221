"""What to do about a day: one line a metric, taken when a rule of the gate on it is broken, when its warning
holds, or when a figure of it moved for the worse. Thresholds stand in the gate alone, runbooks too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pytest_mmgates.daily.compare import Compared, Moved
from pytest_mmgates.gatefile import Gate
from pytest_mmgates.judge import GateVerdict
from pytest_mmgates.verdict import Verdict

ACTIONS: Mapping[str, str] = MappingProxyType(
    {
        "daily.coverage": "find out why no bot ran in the gaps, and whether orders were at the venue then",
        "daily.unreadable_runs": "mend or move aside what cannot be read, and make the report again",
        "daily.failed_runs": "read the reason of the run that failed before it is started again",
        "daily.unexplained_stops": "find out who stopped the bot: look for the kernel out of memory first",
        "daily.position_difference": "stop, and compare position and fills with the venue before going on",
        "daily.pnl_difference": "believe neither figure: report a bug, with this day's feeds",
        "daily.md_cache.hit_ratio": "look at gaps of the feed first, then at ttl_ms for this market",
        "daily.fetch_md.p95": "tell measured time from waits for resyncs: look at the stage, or at the feed",
        "daily.tick_total.p95": "find the stage that grew, and roll the last change of it back",
        "daily.deadline_miss.ratio": "find the stage or wait that is late, and what else ran on the machine",
        "daily.stop_alerts": "read why the run was halted before the next one is started",
        "daily.warn_alerts": "read what the warning says: the same rule halts the run at its stop level",
        "daily.lost_alerts": "make the receiver of alerts answer: nobody was told",
        "daily.taker_share": "look for late cancels, then at aligner.post_only and the taker cap",
        "daily.net_bps": "compare gross, adverse and fees with the days before; consider a rollback",
        "daily.hard_ratio": "look at the reasons of the guards, the most frequent first",
        "daily.memory.slope": "restart in a quiet hour, and look for what is kept per tick or per order",
        "daily.breaker.open_time": "look at the venue's status, then at the reasons of rejects",
        "daily.errors": "look at the kinds of errors, the most frequent first",
        "daily.moved_worse": "look at the figures that moved, and at what was changed since the day before",
    }
)


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do. `because`: every condition that asks for it."""

    metric: str
    because: tuple[str, ...]
    todo: str
    runbook: str


def actions(verdict: GateVerdict, comparison: Sequence[Compared]) -> tuple[Action, ...]:
    """In the order of the gate's rules; none where no condition holds."""
    gate = verdict.gate
    because: dict[str, list[str]] = {metric: [] for metric in _metrics(gate)}
    for rule in verdict.rules:
        if rule.verdict is Verdict.FAIL:
            because[rule.rule.split(" ", 1)[0].partition("{")[0]].append(f"{rule.rule} is broken")
    for record in verdict.warnings:
        metric = record.rule.split(" ", 1)[0].partition("{")[0]
        because[metric].append(record.fired.why if record.fired else record.rule)
    for one in comparison:
        if one.moved is Moved.WORSE and one.figure.metric is not None:
            because[one.figure.metric].append(f"{one.name} moved for the worse")
    return tuple(
        Action(metric, tuple(why), ACTIONS[metric], gate.runbook_of(metric))
        for metric, why in because.items()
        if why
    )


def _metrics(gate: Gate) -> list[str]:
    """Of its rules, then those that only figures ask for."""
    return list(dict.fromkeys([*(rule.metric for rule in (*gate.require, *gate.cautions)), *ACTIONS]))
