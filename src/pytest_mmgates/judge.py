"""(gate, run) -> verdict. Pure: no file, no clock, no configuration.

Four verdicts. PASS: measured, and the rule holds. FAIL: measured, and it does not. NO_DATA: not measured, or
measured on less than the gate's evidence asks for; never a pass. INCONCLUSIVE: measured, but what was
measured cannot decide (too many fills without a markout). Evidence comes first: where it is not met, every
rule is NO_DATA with that reason and without a value, because a value beside NO_DATA would be read as a
result. Only PASS is green. On synthetic data every label says so.

A stop rule was judged while the run played (`pytest_mmgates.watch`); here its record becomes a verdict. One
that fired is FAIL whatever the evidence: it halted the run, and what was seen cannot be unseen. The others,
and every `require` rule, of a run that was halted are NO_DATA. One that never had a value is NO_DATA, or
INCONCLUSIVE where it had observations, only never as many as it asks for. Of arm B, at a stage for safety, it
is then judged on all that was seen.

Rules about the arms of an experiment are judged by `pytest_mmgates.judgearms`.

A `regress` rule was measured in pairs beside the locked baseline (`pytest_mmgates.baseline`); its value is
the change of the p95 in per cent, its reason the interval, the tail and how the baseline was made to run.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from pytest_mmgates.armrules import CandidateRule, DeltaRule, SlowerRule
from pytest_mmgates.baseline.record import Behaviour, Latency, StageChange
from pytest_mmgates.experiment.log import ExperimentLog
from pytest_mmgates.gatefile import Gate, JudgedRule
from pytest_mmgates.grammar import Bound
from pytest_mmgates.judgearms import judge_delta, judge_slower
from pytest_mmgates.metrics.measurement import Measurement, absent
from pytest_mmgates.outages import length_ns
from pytest_mmgates.regress import RegressRule, SameRule
from pytest_mmgates.rules import Rule
from pytest_mmgates.runlog import RunLog
from pytest_mmgates.subject import Subject
from pytest_mmgates.units import Dimension, Quantity, in_unit, show
from pytest_mmgates.verdict import Verdict
from pytest_mmgates.watch.record import Fired, Held, WatchRecord, clock_text, moment_text
from pytest_mmgates.watchrules import Condition, WatchRule

_MODELLED_ABOVE = 0.5
_NO_LIMIT = Quantity(Decimal(0), "")


@dataclass(frozen=True, slots=True)
class EvidenceVerdict:
    """One line of evidence: what was asked for, what was found."""

    name: str
    asked: str
    found: str
    met: bool


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """One rule's outcome. Value, limit and the two parts are in `unit`, the unit in which the rule is
    written.

    `margin` is relative to the limit, positive = room left; None where the limit is 0 or there is no value.
    `mark` is "MODELLED" when more than half of the value came from a model: it is live evidence only from a
    live run; "PROVISIONAL" when instructions were counted in place of time.
    """

    gate: str
    rule: str
    verdict: Verdict
    data_kind: str | None
    limit: float
    unit: str
    value: float | None = None
    margin: float | None = None
    n: int = 0
    measured: float | None = None
    modelled: float | None = None
    mark: str | None = None
    reason: str | None = None
    section: str = "require"

    @property
    def label(self) -> str:
        return label(self.verdict, self.data_kind)


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """The whole gate file's outcome: the worst of its rules. `warnings` are the `warn` rules that fired; they
    change no verdict.
    """

    gate: Gate
    verdict: Verdict
    data_kind: str | None
    evidence: tuple[EvidenceVerdict, ...]
    rules: tuple[RuleVerdict, ...]
    reason: str | None = None
    warnings: tuple[WatchRecord, ...] = ()

    @property
    def label(self) -> str:
        return label(self.verdict, self.data_kind)

    @property
    def worst_first(self) -> list[RuleVerdict]:
        return sorted(self.rules, key=lambda rule: (-rule.verdict.badness, _room(rule)))


def label(verdict: Verdict, data_kind: str | None) -> str:
    return f"{verdict} (SYNTHETIC)" if data_kind == "synthetic" else str(verdict)


def judge(gate: Gate, run: Subject) -> GateVerdict:
    """Judge the whole gate."""
    evidence = check_evidence(gate, run)
    rules = tuple(judge_rule(rule, gate, run) for rule in gate.judged)
    warnings = [record for record in run.watched if record.section == "warn" and record.fired]
    warnings += [record for rule in gate.cautions if (record := _caution(rule, run))]
    unmet = _unmet(run, evidence)
    return GateVerdict(gate, worst(rules), run.data_kind, evidence, rules, unmet, tuple(warnings))


def judge_rule(rule: JudgedRule, gate: Gate, run: Subject) -> RuleVerdict:
    """Judge one rule, of the gate file or not, on the gate's evidence."""
    match rule:
        case WatchRule():
            return _judge_watched(rule, gate, run)
        case CandidateRule():
            return _judge_candidate(rule, gate, run)
        case RegressRule() | SameRule():
            return _judge_compared(rule, gate, run)
        case DeltaRule() | SlowerRule():
            return _judge_arms(rule, gate, run)
        case Rule():
            return _judge_measured(rule, gate, run)


def _judge_measured(rule: Rule, gate: Gate, run: Subject) -> RuleVerdict:
    unmet = _unmet(run, check_evidence(gate, run))
    found = absent(unmet) if unmet else _measure(rule, run)
    if found.value is None:
        return _no_data(rule, gate, run.data_kind, found.reason or "not measured", found.n)
    if not math.isfinite(found.value):
        return _no_data(rule, gate, run.data_kind, "the value is not a finite number", found.n)
    if found.n == 0:
        return _no_data(rule, gate, run.data_kind, "nothing was observed")
    return _compare(rule, gate, run.data_kind, found, found.value)


def _caution(rule: Rule, run: Subject) -> WatchRecord | None:
    """The warning of a rule that holds."""
    found = absent(run.unfit) if run.unfit else _measure(rule, run)
    if found.value is None or not rule.bound.holds(found.value, rule.definition.dimension):
        return None
    unit = rule.bound.limit.unit
    why = f"{rule}: was {show(in_unit(found.value, rule.definition.dimension, unit))}{unit}"
    fired = Fired(at_ns=run.duration_ns, by="slow", value=found.value, n=found.n, why=why)
    return WatchRecord(str(rule), "warn", above=rule.bound.op[0] == ">", judged=1, times=1, fired=fired)


def _watched_by(rule: WatchRule, run: Subject) -> WatchRecord | None:
    found = (record for record in run.watched if record.rule == str(rule) and record.section == "stop")
    return next(found, None)


def _judge_watched(rule: WatchRule, gate: Gate, run: Subject) -> RuleVerdict:
    record = _watched_by(rule, run) or WatchRecord(
        str(rule), "stop", above=rule.above, absent_why="the run was not watched by it"
    )
    fired, unmet = record.fired, _unmet(run, check_evidence(gate, run))
    if fired is not None:
        where = "" if fired.part is None else f"part {fired.part}: "
        verdict = _watched(rule, gate, run.data_kind, Verdict.FAIL, f"{where}{fired.why}")
        return _with_value(verdict, rule, fired.value, fired.n)
    if unmet or not record.judged:
        why = unmet or record.absent_why or "never was a window full"
        too_few = record.most_n > 0 and not unmet
        outcome = Verdict.INCONCLUSIVE if too_few else Verdict.NO_DATA
        why = f"never more than {why}" if too_few else why
        return replace(_watched(rule, gate, run.data_kind, outcome, why), n=record.most_n)
    verdict = _watched(rule, gate, run.data_kind, Verdict.PASS, nearest(rule, record))
    return _with_value(verdict, rule, record.worst, record.worst_n)


def _judge_candidate(rule: CandidateRule, gate: Gate, run: Subject) -> RuleVerdict:
    """Of arm B. At a stage for safety a window may never have as much as the rule asks for: then it is judged
    on everything that was seen. Where that does not hold, so few cannot prove it either.
    """
    found = replace(_judge_watched(rule.violation, gate, run), rule=str(rule), section="safety")
    record = _watched_by(rule.violation, run)
    undecided = found.verdict in (Verdict.NO_DATA, Verdict.INCONCLUSIVE)
    if not undecided or record is None or record.seen is None or _unmet(run, check_evidence(gate, run)):
        return found
    if not (isinstance(run, ExperimentLog) and run.facts.is_for_safety):
        return found
    seen = record.seen
    holds = rule.bound.holds(seen.value, rule.violation.dimension)
    verdict = Verdict.PASS if holds else Verdict.INCONCLUSIVE
    why = f"all that was seen, {seen.n} {rule.violation.windowed.counts}; {found.reason}"
    return _with_value(replace(found, verdict=verdict, reason=why), rule.violation, seen.value, seen.n)


def _judge_compared(rule: RegressRule | SameRule, gate: Gate, run: Subject) -> RuleVerdict:
    unmet = _unmet(run, check_evidence(gate, run))
    found = run.comparison if isinstance(run, RunLog) else None
    if unmet or found is None:
        return _no_data(rule, gate, run.data_kind, unmet or "the run was not compared with a baseline")
    if isinstance(rule, SameRule):
        if found.behaviour is None:
            return _no_data(rule, gate, run.data_kind, found.behaviour_absent or "was not compared")
        outcome, reason = _sameness(found.behaviour)
        return replace(_no_data(rule, gate, run.data_kind, reason, 2), verdict=outcome)
    stage = found.latency.stage(rule.stage) if found.latency else None
    if found.latency is None or stage is None:
        absent_why = found.latency_absent or f"the baseline {found.name} has no stage {rule.stage}"
        return _no_data(rule, gate, run.data_kind, absent_why)
    verdict = _no_data(rule, gate, run.data_kind, _compared(stage, found.latency), stage.rounds)
    mark = "PROVISIONAL" if found.latency.provisional else None
    verdict = replace(verdict, verdict=Verdict(stage.outcome), mark=mark)
    if stage.change is None:
        return verdict
    change, limit = 100 * stage.change, 100 * rule.limit
    return replace(verdict, value=change, margin=(limit - change) / limit, measured=change)


def _judge_arms(rule: DeltaRule | SlowerRule, gate: Gate, run: Subject) -> RuleVerdict:
    if not isinstance(run, ExperimentLog):
        return _no_data(rule, gate, run.data_kind, "compares two arms, and this has one")
    watched = _watched_slower(rule, gate, run) if isinstance(rule, SlowerRule) else None
    if watched is not None and watched.verdict is Verdict.FAIL:
        return watched
    unmet = _unmet(run, check_evidence(gate, run))
    if unmet:
        return _no_data(rule, gate, run.data_kind, unmet)
    if isinstance(rule, DeltaRule):
        found = judge_delta(rule, run, accepts=rule in gate.accept)
    else:
        found = judge_slower(rule, run, "" if watched is None else watched.reason or "")
    verdict = _no_data(rule, gate, run.data_kind, found.reason, found.n)
    verdict = replace(verdict, verdict=found.verdict)
    if found.value is None:
        return verdict
    limit = float(rule.bound.limit.number)
    room = found.value - limit if rule.bound.op == ">=" else limit - found.value
    fills_modelled = run.is_replay and isinstance(rule, DeltaRule)
    return replace(
        verdict,
        value=found.value,
        margin=room / abs(limit) if limit else None,
        measured=None if fills_modelled else found.value,
        modelled=found.value if fills_modelled else None,
        mark="MODELLED" if fills_modelled else None,
    )


def _watched_slower(rule: SlowerRule, gate: Gate, run: ExperimentLog) -> RuleVerdict | None:
    """What became of it while a live stage ran, if it was watched."""
    if rule.violation is None or _watched_by(rule.violation, run) is None:
        return None
    return replace(_judge_watched(rule.violation, gate, run), rule=str(rule), section="safety")


def _sameness(behaviour: Behaviour) -> tuple[Verdict, str]:
    if behaviour.is_same:
        return Verdict.PASS, f"digest {behaviour.candidate[:12]} on both sides"
    differ = f"digest {behaviour.candidate[:12]}, baseline {behaviour.baseline[:12]}"
    if behaviour.acknowledged is not None:
        return Verdict.PASS, f"{differ}; acknowledged: {behaviour.acknowledged}"
    return Verdict.FAIL, differ


def _compared(stage: StageChange, latency: Latency) -> str:
    """The interval of the change and of the tail, and how both were had."""
    texts = (
        "" if latency.provisional else f"95 % CI {_interval(stage.low, stage.high)}",
        f"tail {_percent(stage.tail)}"
        + ("" if latency.provisional else f" {_interval(stage.tail_low, stage.tail_high)}"),
        f"gated in {stage.gated_in}" if stage.gated_in else "",
        "second attempt" if latency.attempts > 1 else "",
        latency.rung,
        "" if latency.rung.startswith(stage.note) else stage.note,
    )
    return "; ".join(text for text in texts if text)


def _interval(low: float | None, high: float | None) -> str:
    return f"[{_percent(low)}, {_percent(high)}]"


def _percent(share: float | None) -> str:
    return "?" if share is None else f"{100 * share:+.1f}"


def nearest(rule: WatchRule, record: WatchRecord) -> str:
    """How near a rule came to firing, and how often it could not be judged."""
    looks = f"{record.judged} looks, {record.absent} without data"
    held = _held("held", rule.slow, record.slow)
    fast = _held("fast held", rule.fast, record.fast) if rule.fast and record.fast else None
    return "; ".join(text for text in (held, fast, looks) if text)


def _held(word: str, condition: Condition, held: Held) -> str | None:
    if held.at_ns is None:
        return None
    hold = f" of {clock_text(condition.hold_ns)}" if condition.hold else ""
    return f"{word} {clock_text(held.longest_ns)}{hold} until {moment_text(held.at_ns)}"


def _watched(rule: WatchRule, gate: Gate, data_kind: str, verdict: Verdict, reason: str) -> RuleVerdict:
    return replace(_no_data(rule, gate, data_kind, reason), verdict=verdict)


def _with_value(verdict: RuleVerdict, rule: WatchRule, value: float | None, n: int) -> RuleVerdict:
    """The value that decided, or the worst seen; its margin is room to the limit."""
    if value is None:
        return replace(verdict, n=n)
    unit, dimension = rule.bound.limit.unit, rule.dimension
    room = _margin(rule.bound, dimension, value)
    return replace(
        verdict, n=n, value=in_unit(value, dimension, unit), margin=None if room is None else -room
    )


def judge_failed_run(gate: Gate, reason: str) -> GateVerdict:
    """The verdict on a run that did not come to an end: NO_DATA throughout, so that no older PASS stays."""
    rules = tuple(_no_data(rule, gate, None, reason) for rule in gate.judged)
    return GateVerdict(gate, Verdict.NO_DATA, None, (), rules, reason)


def worst(rules: Sequence[RuleVerdict]) -> Verdict:
    return max((rule.verdict for rule in rules), key=lambda verdict: verdict.badness)


def check_evidence(gate: Gate, run: Subject) -> tuple[EvidenceVerdict, ...]:
    """Duration, ticks and source. The ticks of every symbol must also span its duration: a run that stalls
    early is not a long run. Outages count as neither.
    """
    asked, ticks, stalled = gate.evidence, run.tick_count, run.stalled
    found = f"{_minutes(run.duration_ns)}m"
    if stalled is not None:
        found = f"{_minutes(stalled[0])}m, of which ticks span {_minutes(stalled[1])}m"
    if run.outages:
        found += f", not counting {_minutes(length_ns(run.outages))}m without a process"
    long_enough = stalled is None and asked.duration.holds(run.duration_ns, Dimension.TIME)
    return (
        EvidenceVerdict("duration", str(asked.duration), found, long_enough),
        EvidenceVerdict("ticks", str(asked.ticks), str(ticks), asked.ticks.holds(ticks, Dimension.COUNT)),
        EvidenceVerdict("source", " or ".join(asked.source), run.data_kind, run.data_kind in asked.source),
    )


def _minutes(ns: int) -> str:
    return show(ns / 60e9)


def _unmet(run: Subject, evidence: Sequence[EvidenceVerdict]) -> str | None:
    if run.unfit:
        return run.unfit
    missing = [f"{line.name} is {line.found}, asked for {line.asked}" for line in evidence if not line.met]
    return "; ".join(missing) or None


def _measure(rule: Rule, run: Subject) -> Measurement:
    if rule.definition.source != run.source:
        return absent(f"{rule.metric} is of a {rule.definition.source}, and this is a {run.source}")
    if rule.symbol is not None and rule.symbol not in run.symbols:
        return absent(f"no symbol {rule.symbol} in this run, which has {', '.join(run.symbols) or 'none'}")
    return rule.definition.measure(run, rule.symbol)


def _no_data(rule: JudgedRule, gate: Gate, data_kind: str | None, reason: str, n: int = 0) -> RuleVerdict:
    limit = _NO_LIMIT if isinstance(rule, SameRule) else rule.bound.limit
    return RuleVerdict(
        gate=gate.name,
        rule=str(rule),
        verdict=Verdict.NO_DATA,
        data_kind=data_kind,
        limit=float(limit.number),
        unit=limit.unit,
        n=n,
        reason=reason,
        section=section_of(rule),
    )


def section_of(rule: JudgedRule) -> str:
    """The section of a gate file that a rule of its kind stands in."""
    if isinstance(rule, WatchRule):
        return "stop"
    if isinstance(rule, DeltaRule):
        return "accept" if rule.bound.op == ">=" else "safety"
    if isinstance(rule, SlowerRule | CandidateRule):
        return "safety"
    return "require" if isinstance(rule, Rule) else "regress"


def _compare(rule: Rule, gate: Gate, data_kind: str, found: Measurement, value: float) -> RuleVerdict:
    dimension, limit = rule.definition.dimension, rule.bound.limit
    verdict = Verdict.PASS if rule.bound.holds(value, dimension) else Verdict.FAIL
    return RuleVerdict(
        gate=gate.name,
        rule=str(rule),
        verdict=Verdict.INCONCLUSIVE if found.doubt else verdict,
        data_kind=data_kind,
        limit=float(limit.number),
        unit=limit.unit,
        value=in_unit(value, dimension, limit.unit),
        margin=_margin(rule.bound, dimension, value),
        n=found.n,
        measured=_part(found.measured, dimension, limit.unit),
        modelled=_part(found.modelled, dimension, limit.unit),
        mark="MODELLED" if _modelled_share(found, value) > _MODELLED_ABOVE else None,
        reason=found.doubt,
    )


def _part(value: float | None, dimension: Dimension, unit: str) -> float | None:
    return None if value is None else in_unit(value, dimension, unit)


def _margin(bound: Bound, dimension: Dimension, value: float) -> float | None:
    limit = bound.limit.base(dimension)
    if limit == 0:
        return None
    room = {"<": limit - value, ">": value - limit, "=": -abs(value - limit)}[bound.op[0]]
    return room / abs(limit)


def _modelled_share(measurement: Measurement, value: float) -> float:
    """How much smaller the value would be without the model."""
    if measurement.measured is None or value == 0:
        return 0.0
    return (value - measurement.measured) / value


def _room(rule: RuleVerdict) -> float:
    return math.inf if rule.margin is None else rule.margin
