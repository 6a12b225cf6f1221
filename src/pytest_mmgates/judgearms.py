"""Rules about arms -> verdicts: PASS, FAIL, INCONCLUSIVE, NO_DATA, as for any rule of a gate.

`accept` is PASS for ACCEPT, FAIL for a rejection (harm or futility), INCONCLUSIVE for everything that decides
nothing. At 10 and 100 %, where nothing is accepted, it is PASS once the stage has lasted as long and has as
many pairs as was planned, without harm.

Safety rules hold until they are broken. `delta(slippage_bps)` is broken when the sequence says so, at any
look from `SAFETY_LOOK` pairs on, and stays so; until the first look of its stage it is INCONCLUSIVE.
`regress` compares times of ticks that a replay plays one arm after the other, on a machine with other work in
between: its value is the median over the models, it is broken when they all say so, and INCONCLUSIVE when
only most do.
"""

from dataclasses import dataclass
from statistics import median

from pytest_mmgates.armrules import DeltaRule, SlowerRule
from pytest_mmgates.experiment.decide import (
    SAFETY_LOOK,
    ExperimentDecision,
    VariantDecision,
    first_look_of,
    most_pairs,
    pairs_asked,
)
from pytest_mmgates.experiment.ending import ended
from pytest_mmgates.experiment.facts import Facts
from pytest_mmgates.experiment.log import ExperimentLog
from pytest_mmgates.stats.acceptance import Decision
from pytest_mmgates.stats.sequence import Bounds
from pytest_mmgates.units import show
from pytest_mmgates.verdict import Verdict

_OF_DECISION = {
    Decision.ACCEPT: Verdict.PASS,
    Decision.HARM: Verdict.FAIL,
    Decision.FUTILE: Verdict.FAIL,
    Decision.GO_ON: Verdict.INCONCLUSIVE,
    Decision.INCONCLUSIVE: Verdict.INCONCLUSIVE,
}


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule came to; `value` in bps, or per cent of `regress`."""

    verdict: Verdict
    reason: str
    value: float | None = None
    n: int = 0


def judge_delta(rule: DeltaRule, log: ExperimentLog, *, accepts: bool) -> Found:
    """`accepts`: it stands in `accept`, not in `safety`."""
    decision = log.decision
    if not decision.variants:
        return Found(Verdict.NO_DATA, decision.reason)
    return _accepted(rule, log, decision) if accepts else _harmed(rule, log.facts, decision)


def harm_of(rule: DeltaRule, log: ExperimentLog, *, accepts: bool) -> Found | None:
    """What a live stage has to end for, at once and whatever else is asked of it; None: nothing."""
    if log.is_replay:
        return None
    found = judge_delta(rule, log, accepts=accepts)
    harm = found.verdict is Verdict.FAIL and (not accepts or log.decision.decision is Decision.HARM)
    return found if harm else None


def judge_slower(rule: SlowerRule, log: ExperimentLog, watched: str = "") -> Found:
    """`watched`: how near it came while the stage ran."""
    found = log.slower()
    shares = [share for _, share in found if share is not None]
    if not shares or len(shares) < len(found):
        return Found(Verdict.NO_DATA, "an arm has no ticks")
    middle = median(shares)
    if middle <= rule.limit:
        verdict = Verdict.PASS
    else:
        verdict = Verdict.FAIL if min(shares) > rule.limit else Verdict.INCONCLUSIVE
    each = ", ".join(f"{name or 'live'} {share:+.1%}" for name, share in found if share is not None)
    reason = "; ".join(text for text in (f"B's p95 beside A's: {each}", watched) if text)
    return Found(verdict, reason, 100 * middle, log.tick_count)


def _accepted(rule: DeltaRule, log: ExperimentLog, decision: ExperimentDecision) -> Found:
    facts, weakest = log.facts, _weakest(decision)
    bounds = weakest.bounds
    value, n = (None, 0) if bounds is None else (bounds.estimate, bounds.n)
    verdict, reason = _OF_DECISION[decision.decision], f"{decision.decision}: {decision.reason}"
    if facts.is_for_safety and decision.decision is Decision.GO_ON:
        verdict, reason = _safe(facts, pairs_asked(facts, rule), decision, weakest)
    elif facts.horizon_ns and not decision.decision.final:
        so_far = f"{reason} in {weakest.pairs} of at most {most_pairs(facts, rule)} pairs"
        reason = ": ".join(text for text in (so_far, ended(log)) if text)
    return Found(verdict, "; ".join(text for text in (reason, _interval(bounds)) if text), value, n)


def _safe(
    facts: Facts, asked: int, decision: ExperimentDecision, found: VariantDecision
) -> tuple[Verdict, str]:
    """A stage that accepts nothing: over when it was as long as planned, and was looked at."""
    done = found.pairs >= asked and decision.duration_ns >= facts.least_duration_ns
    done = done and found.traded >= SAFETY_LOOK
    hours, least_hours = (ns / 3600e9 for ns in (decision.duration_ns, facts.least_duration_ns))
    so_far = (
        f"{found.pairs} of {asked} pairs, traded in {found.traded}, {show(hours)} of {show(least_hours)} h"
    )
    return (Verdict.PASS if done else Verdict.INCONCLUSIVE), f"a stage for safety: no harm seen, {so_far}"


def _harmed(rule: DeltaRule, facts: Facts, decision: ExperimentDecision) -> Found:
    first_look = first_look_of(facts, rule) if facts.is_for_safety else rule.pairs
    known = [_look(rule, variant) for variant in decision.variants]
    bounds = [one for one in known if one is not None]
    if len(bounds) < len(known):
        return Found(Verdict.NO_DATA, "too few fills say at which mid their orders were decided")
    worst = max(bounds, key=lambda one: one.low)
    n = min(one.n for one in bounds)
    if n < SAFETY_LOOK or (n < first_look and worst.low <= rule.limit_bps):
        too_few = f"{n} pairs, the first look is after {first_look}"
        return Found(Verdict.INCONCLUSIVE, too_few, worst.estimate, n)
    verdict = Verdict.FAIL if worst.low > rule.limit_bps else Verdict.PASS
    said = "B is worse than the limit" if verdict is Verdict.FAIL else "no harm shown"
    seen = f"of {n} pairs, the rule asks for {rule.pairs}; " if n < rule.pairs else ""
    return Found(verdict, f"{said}; {seen}{_interval(worst)}", worst.estimate, n)


def _look(rule: DeltaRule, variant: VariantDecision) -> Bounds | None:
    """The first that broke the rule, else the last: what was broken once stays so."""
    broken = (one for one in variant.slippage if one.n >= SAFETY_LOOK and one.low > rule.limit_bps)
    return next(broken, variant.slippage[-1] if variant.slippage else None)


def _weakest(decision: ExperimentDecision) -> VariantDecision:
    """The variant that stands in the way, or the least good one."""

    def rank(one: VariantDecision) -> tuple[int, float]:
        good = [Decision.HARM, Decision.FUTILE, Decision.INCONCLUSIVE, Decision.GO_ON, Decision.ACCEPT]
        return good.index(one.decision), one.bounds.low if one.bounds else float("-inf")

    return min(decision.variants, key=rank)


def _interval(bounds: Bounds | None) -> str:
    return "" if bounds is None else f"bounds {bounds.low:+.3f} and {bounds.high:+.3f} bps"
