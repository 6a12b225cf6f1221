"""When a live stage is over, and what is to be told of its end.

At 50 % a stage is played until it is decided. At 10 % nothing is: it is over when its time is. At 100 % it is
over sooner where the pairs that are held back exclude the floor: nothing that comes later would be looked at,
and the candidate is not worth having. Harm is another matter: it takes the candidate away.
"""

from pytest_mmgates.experiment.decide import most_pairs
from pytest_mmgates.experiment.facts import ACCEPTING, Facts
from pytest_mmgates.experiment.log import ExperimentLog
from pytest_mmgates.units import NS_PER_S, show

_HOUR_S = 3600


def done_of(log: ExperimentLog) -> str | None:
    """Why a live stage has all that it is for, harm apart; None: it goes on. One of 50 % that is void is no
    more use.
    """
    facts, decision = log.facts, log.decision
    if decision.void:
        due = facts.stage == ACCEPTING and decision.duration_ns >= facts.decides_from_ns
        return f"void: {decision.void[0]}" if due else None
    return f"decided: {decided_after(log)}: {decision.reason}" if decision.decision.final else None


def decided_after(log: ExperimentLog) -> str:
    """What a live stage came to, and after how many pairs."""
    facts, decision = log.facts, log.decision
    most = f" of at most {most_pairs(facts, log.rule)}" if facts.stage == ACCEPTING else ""
    return f"{decision.decision} after {decision.variants[0].looks}{most} pairs"


def lasts(facts: Facts) -> str:
    """How long a live stage is played."""
    if not facts.horizon_ns:
        return (
            f"for {span(facts.least_duration_ns)} and {facts.least_pairs} pairs, or as long as was asked for"
        )
    least, most = span(facts.decides_from_ns), span(facts.horizon_ns)
    return f"until it is decided, after {least} at the earliest and {most} at the latest"


def ended(log: ExperimentLog) -> str | None:
    """Why a live stage ended; None: nothing was recorded, it has not ended, or it is a replay."""
    if log.is_replay or not log.variants:
        return None
    last = max(log.variants[0].origins, key=lambda origin: origin.ended_ns)
    if last.status != "complete":
        return None if last.status == "running" else f"{last.status}: {last.reason}"
    return last.reason or _by_itself(log)


def _by_itself(log: ExperimentLog) -> str:
    """Of a run that nobody ended: its time was over."""
    facts, decision = log.facts, log.decision
    if not facts.horizon_ns:
        return "its time was over"
    played_out = log.duration_ns >= facts.horizon_ns
    end = "all that was planned is played" if played_out else "the market ended, and no tape is looped"
    if decision.void or not decision.decision.final:
        return end
    more = decision.variants[0].pairs - decision.variants[0].looks
    told = f", and was played for {more} pairs more: this bot has no finish(reason)" if more else ""
    return f"decided: {decided_after(log)}{told}; {end}"


def span(ns: int) -> str:
    """In hours, or in seconds below one."""
    seconds = ns / NS_PER_S
    return f"{show(seconds / _HOUR_S)} h" if seconds >= _HOUR_S else f"{show(seconds)} s"
