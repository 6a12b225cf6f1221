"""What came of one stage of an experiment, for people: `edge/reports/ab_run_online_*.md` and `.html` of a
live stage, `edge/reports/ab_replay_*` of a replay. The name ends with the moment, by the run's own clock, at
which what it tells of ended, so equal input gives equal names and equal bytes.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from pytest_mmgates.experiment.decide import COMPONENTS, VariantDecision
from pytest_mmgates.experiment.ending import ended, lasts, span
from pytest_mmgates.experiment.facts import ARMS, REPLAY
from pytest_mmgates.experiment.log import ExperimentLog
from pytest_mmgates.history import ticks as spark
from pytest_mmgates.judge import GateVerdict
from pytest_mmgates.report.axes import linear
from pytest_mmgates.report.columns import kept
from pytest_mmgates.report.markdown import number, render
from pytest_mmgates.report.page import Banner, Table, render_page
from pytest_mmgates.report.result import RunResult
from pytest_mmgates.report.svg import Band, Chart, Limit, Line, Mark, charted
from pytest_mmgates.report.table import RULE_FILTERS
from pytest_mmgates.stats.acceptance import Acceptance, Decision, shrunk_bps
from pytest_mmgates.stats.operating import Characteristic, characteristics
from pytest_mmgates.stats.sequence import FEWEST
from pytest_mmgates.stats.sequence import Sequence as ConfidenceSequence
from pytest_mmgates.units import NS_PER_S
from pytest_mmgates.verdict import Verdict

_LONGEST_SPARK = 60
DEVIATIONS = (
    (
        "The note accepts at an estimate of +0.2 bps. Looked at hourly, that accepts a useless change in 43 %"
        " of experiments; here the lower bound of a confidence sequence has to be above 0, too: 2 %."
    ),
    (
        "The note accepts at every stage. One treated block in ten has 2.8 times the noise of one in two:"
        " 10 % is for safety alone, 50 % accepts, and at 100 % one block in ten stays with the baseline."
    ),
    (
        "The note compares slippage by its estimate, which at no difference at all is above 0 every second"
        " time: here it is held by the same kind of sequence, and broken when that says so."
    ),
    (
        "The note asks every rule for as much at every stage. At 10 and 100 % arms are compared in one block"
        " of ten: they are judged on what was seen, 8 pairs at least and however many fills; n is on show."
    ),
    (
        "At 100 % the note compares with nothing. Pairs that are held back must not exclude the floor: then"
        " the candidate is rejected."
    ),
    "Before any money both arms replay one recording; the note knows no such stage.",
)
_NEXT = {
    (REPLAY, Decision.ACCEPT): "go on to 10 % live: `pytest -m ab --mmgates-rollout 10`",
    ("10", Decision.GO_ON): "when its time and pairs are there: 50 %",
    ("50", Decision.ACCEPT): "go on to 100 %, with one block in ten held back",
    ("50", Decision.GO_ON): "undecided: it begins anew when it is played again, and needs more market",
    ("100", Decision.GO_ON): "when its time is there: make the candidate the baseline",
}


@dataclass(frozen=True, slots=True)
class ReplayBefore:
    """What the replay stage of the same plan said, variant by variant, in bps."""

    plan_hash: str
    estimates: dict[str, float]


def replay_json(log: ExperimentLog) -> str:
    """What a later stage reads as `ReplayBefore`."""
    estimates = {one.name: one.bounds.estimate for one in log.decision.variants if one.bounds}
    return json.dumps({"plan_hash": log.facts.plan_hash, "estimates": estimates}, indent=1) + "\n"


def stem(log: ExperimentLog) -> str:
    """Of both files."""
    ended_ns = max((variant.ended_ns for variant in log.variants), default=0)
    moment = datetime.fromtimestamp(ended_ns // NS_PER_S, tz=UTC)
    return f"{'ab_replay' if log.is_replay else 'ab_run_online'}_{moment:%Y%m%d_%H%M%S}"


def facts_of(result: RunResult, log: ExperimentLog, before: ReplayBefore | None = None) -> dict[str, Any]:
    """What both formats tell."""
    decision = log.decision
    variants = decision.variants
    return {
        "result": result,
        "gate": result.headline,
        "facts": log.facts,
        "log": log,
        "decision": decision,
        "variants": variants,
        "next": _next_action(log, result.headline),
        "arms": ARMS,
        "components": COMPONENTS,
        "exclusions": [
            (one.name or "live", reason, arms) for one in variants for reason, arms in one.excluded.items()
        ],
        "sparks": {one.name: _spark(one) for one in variants},
        "shrunk": {
            one.name: shrunk_bps(one.bounds)
            for one in variants
            if one.bounds and one.decision is Decision.ACCEPT
        },
        "operating": _operating(log),
        "gap": _gap(log, before),
        "lasted": None if log.is_replay else _lasted(log),
        "deviations": DEVIATIONS,
        "origins": [
            (variant.name or "live", origin) for variant in log.variants for origin in variant.origins
        ],
        "clock": "replay, virtual" if log.is_replay else "that of the run",
    }


def text(facts: Mapping[str, Any]) -> str:
    """As Markdown."""
    return render("experiment.md.j2", _FILTERS, **facts)


def page(facts: Mapping[str, Any]) -> str:
    """As a page, with charts."""
    result, log, decision = facts["result"], facts["log"], facts["decision"]
    banner = Banner(
        title=f"Experiment {log.facts.name}, stage {log.facts.stage}",
        verdict=result.verdict,
        label=result.label,
        reason=f"{decision.decision}: {decision.reason}",
        next=facts["next"].replace("`", ""),
        rerun=result.rerun,
        data_kind=result.data_kind,
    )
    charts = {one.name: _chart(log, one) for one in decision.variants}
    tables = {"parts": _parts(facts), "plan": _operating_table(facts), "runs": _runs(facts)}
    return render_page("experiment.html.j2", _FILTERS, banner=banner, charts=charts, **tables, **facts)


def _parts(facts: Mapping[str, Any]) -> Table:
    rows = [
        (
            one.name or "live",
            arm,
            one.arms[arm].blocks,
            one.arms[arm].fills,
            one.arms[arm].unmarked,
            *(_signed(one.arms[arm].components.get(name)) for name in COMPONENTS),
        )
        for one in facts["variants"]
        for arm in ARMS
    ]
    heads = ("models", "arm", "blocks", "fills", "without net", *(f"{name}, bps" for name in COMPONENTS))
    return Table("What it is made of", heads, rows)


def _operating_table(facts: Mapping[str, Any]) -> Table:
    rows = [
        (
            _signed(line.effect_bps),
            *(_percent(share) for share in (line.accept, line.reject, line.undecided)),
            number(line.pairs),
        )
        for line in facts["operating"]
    ]
    heads = ("true effect, bps", "accepted", "rejected", "undecided", "median pairs")
    return Table("What this plan does", heads, rows, "At the noise that was measured.")


def _runs(facts: Mapping[str, Any]) -> Table:
    rows = [
        (
            name,
            origin.arm,
            origin.run_id,
            *((sha or "")[:12] for sha in (origin.run_digest, origin.config_sha256, origin.data_sha256)),
        )
        for name, origin in facts["origins"]
    ]
    return Table("Provenance", ("models", "arm", "run", "digest", "configuration", "data"), rows)


def _next_action(log: ExperimentLog, gate: GateVerdict) -> str:
    decision = log.decision
    why_not = _why_not(log, gate)
    if why_not is not None:
        return why_not
    if decision.decision is Decision.ACCEPT and gate.verdict is not Verdict.PASS:
        return f"not yet: it is accepted, and {gate.worst_first[0].rule} is {gate.worst_first[0].verdict}"
    if any(variant.too_short for variant in decision.variants):
        return "make another plan with a longer wash-out"
    undecided = "nothing is decided: another plan, with more market or a larger effect (`mmgates plan`)"
    return _NEXT.get((log.facts.stage, decision.decision), undecided)


def _why_not(log: ExperimentLog, gate: GateVerdict) -> str | None:
    """What to do about a candidate that does not go on, or about nothing that can be believed."""
    broken = [rule.rule for rule in gate.rules if rule.section == "safety" and rule.verdict is Verdict.FAIL]
    if broken:
        return f"take the candidate away, a rule of safety is broken: {'; '.join(broken)}"
    if log.decision.void:
        return "nothing: what was recorded is void. Put right what made it so, and record again"
    if log.decision.decision in (Decision.HARM, Decision.FUTILE):
        return "reject the candidate: return to the baseline"
    return None


def _chart(log: ExperimentLog, found: VariantDecision) -> Chart:
    """Bounds of the first half are far wider than where they end, and leave the picture at its edge."""
    path, floor = found.path, log.facts.floor_bps
    title = f"{found.name or 'live'}: {found.decision}"
    if not path.estimate or found.bounds is None:
        return Chart(title, found.reason)
    at = kept(path.estimate)
    estimate, low, high = (
        np.array(one, dtype=np.float64)[at] for one in (path.estimate, path.low, path.high)
    )
    over = (at + FEWEST).astype(np.float64)
    joined = bool(found.batching and found.batching.size > 1)
    half = len(estimate) // 2
    x = linear("batches" if joined else "pairs", [over[0], over[-1]])
    y = linear("B - A, bps", [*estimate, *low[half:], *high[half:], 0.0, floor])
    marks: list[Mark] = [
        Band(over, low, high, "band", "bounds at every look"),
        Limit(0.0, "0"),
        Limit(floor, f"{floor:+g} bps"),
        Line(over, estimate, "s0", "estimate"),
    ]
    ends = f"Estimate {_signed(estimate[-1])} bps, bounds {_signed(low[-1])} and {_signed(high[-1])}"
    text = f"{found.reason}. {ends}, after {found.looks} looks."
    return charted(title, text, x, y, marks)


def _spark(found: VariantDecision) -> str:
    """The estimate over the pairs, in as many heights as fit a line."""
    estimates = found.path.estimate
    step = -(-len(estimates) // _LONGEST_SPARK) or 1
    return spark(estimates[::step]) if estimates else ""


def _operating(log: ExperimentLog) -> list[Characteristic]:
    """Of this plan, at the noise that was measured: that of the noisiest variant."""
    noise = max((one.deviation_bps for one in log.decision.variants), default=0.0)
    if not noise:
        return []
    most = max(log.facts.max_pairs, log.rule.pairs)
    sequence = ConfidenceSequence.tuned(log.rule.alpha, most)
    rule = Acceptance(sequence, log.rule.limit_bps, log.rule.pairs, most)
    return characteristics(rule, deviation_bps=noise, seed=log.facts.seed)


def _gap(log: ExperimentLog, before: ReplayBefore | None) -> dict[str, float] | None:
    """Live less replay, by variant of the replay; None unless both are of this plan."""
    live = log.decision.variants[0].bounds if log.decision.variants else None
    if log.is_replay or before is None or live is None or before.plan_hash != log.facts.plan_hash:
        return None
    return {name: live.estimate - estimate for name, estimate in before.estimates.items()}


def _lasted(log: ExperimentLog) -> str:
    """How long a live stage was to be played, how long it was, and why it ended."""
    end = ended(log)
    return f"Played {lasts(log.facts)}" + (f". Ended after {span(log.duration_ns)}: {end}" if end else "")


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"


def _percent(value: float) -> str:
    return f"{value:.1%}"


_FILTERS: Mapping[str, Callable[..., str]] = {
    "number": number,
    **RULE_FILTERS,
    "signed": _signed,
    "percent": _percent,
}
