"""Spread weights from a calibration dataset: what each regime needs, checked, and confirmed before it holds.

**Proposed** is a half spread that covers what each regime needs (`spread_need`), and in calm times earns what
it earns there now: the base is the one configured, or what a calm fill needs if that is more; each score adds
what it adds to the need. So every regime is asked for the margin of the calm one. (Where fills come at rate
A exp(-k d) with one k, the best half spread is the need plus 1 / k: one margin for all regimes; Ho and Stoll,
Journal of Financial Economics 9, 1981; Gueant, Lehalle and Fernandez-Tapia, 2013.)

**In rounds.** Fills tell what was needed at the spreads that were quoted; wider quotes are filled by worse
trades, so the first fit asks for too little. What was fitted is quoted in a replay of the window and fitted
again, until the two agree, twice at most, and each time it goes half of the way: the fewer fills are left,
the less one fit of them says. Where a market's losses grow as fast as the spread, no spread covers them, and
fills run out first: then the old weights stay.

**Three doors**, in this order; one that stays closed keeps the old weights:

1. *Walk-forward* on the fills that were recorded: the past must tell the next stretch better than the old
   spread does (`walk_forward`).
2. *Rounds*: fills enough at what is proposed.
3. *Confirmation*: old and new weights replayed over the same held-back time, which no fit has seen: the
   interval of the difference in net_bps must lie above zero. Wider quotes earn more a fill and are filled
   less, so what is earned an hour must not fall either (its mean; its interval is told).

`replay` is injected: a calibration reads no file and plays no market itself. Between the calibration window
and the time held back lies an embargo, so that no markout of the one ends in the other.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mmbot.calibration.dataset_columns import SCORES
from mmbot.calibration.paired import Compared, compare, left_out
from mmbot.calibration.spread_need import (
    Bounds,
    Fills,
    Floats,
    Interval,
    Weights,
    fit_need,
    half_spread_bps,
    need_intervals,
    needed_at,
    told_scores,
)
from mmbot.calibration.walk_forward import Splits, WalkForward, walk_forward
from mmbot.edge.fill import NET_HORIZON_S
from mmbot.errors import CalibrationError
from mmbot.units import SECOND

Replay = Callable[[Weights], Fills]
"""All fills of the recording under these weights, everything else being equal."""

BLOCK_NS, EMBARGO_NS, FOLDS = 1_800 * SECOND, 300 * SECOND, 4
"""Of a Plan, where nothing else is asked for."""
_LEAST_BLOCKS = 8
"""Held back."""
_LEAST_CONFIRMING = 30
"""Fills of either side in the time held back."""
_ROUNDS = 2
_STEP = 0.5
"""Of the way from what is quoted to what that needed."""
_CLOSE_RATIO = 0.05
"""Rounds end when the half spread moves by less than this share of itself, on average over the fills."""
_DIGITS = 2
"""Of a basis point: what is written is what was replayed."""
_NOTHING_NEW = "what is needed is what is configured"
_REGIMES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class Plan:
    """Which time is fitted and which is held back, ns, ends not in it."""

    from_ns: int
    to_ns: int
    confirm_from_ns: int
    confirm_to_ns: int
    block_ns: int = BLOCK_NS
    embargo_ns: int = EMBARGO_NS
    folds: int = FOLDS

    def __post_init__(self) -> None:
        if self.embargo_ns < NET_HORIZON_S * SECOND:
            raise CalibrationError(
                f"embargo was {self.embargo_ns / SECOND:g} s, expected {NET_HORIZON_S} s at least:"
                " a markout takes so long"
            )
        if self.block_ns <= self.embargo_ns:
            raise CalibrationError(
                f"blocks were {self.block_ns / SECOND:g} s, expected more than the embargo of"
                f" {self.embargo_ns / SECOND:g} s"
            )
        if self.folds < 1:
            raise CalibrationError(f"folds were {self.folds}, expected at least 1")
        length_ns = self.to_ns - self.from_ns
        if length_ns < (self.folds + 1) * self.block_ns:
            raise CalibrationError(
                f"calibration window was {length_ns / SECOND:g} s, expected {self.folds + 1} blocks of"
                f" {self.block_ns / SECOND:g} s at least"
            )
        if self.confirm_from_ns < self.to_ns + self.embargo_ns and self.confirm_to_ns > self.from_ns:
            raise CalibrationError(
                f"calibration window was {self.from_ns} to {self.to_ns} ns, which overlaps the confirmation"
                f" from {self.confirm_from_ns} ns on; expected {self.embargo_ns / SECOND:g} s between the two"
            )
        if self.confirm_to_ns - self.confirm_from_ns < _LEAST_BLOCKS * self.block_ns:
            raise CalibrationError(
                f"confirmation was {(self.confirm_to_ns - self.confirm_from_ns) / SECOND:g} s, expected"
                f" {_LEAST_BLOCKS} blocks of {self.block_ns / SECOND:g} s at least"
            )


@dataclass(frozen=True, slots=True)
class Regime:
    """Fills of the window with one score in (above, upto]; -inf: those at zero. Means by weight."""

    score: str
    above: float
    upto: float
    fills: int
    mean_score: float
    asked_bps: float
    markout_bps: float
    """60 s, before fees."""
    needed_bps: Interval
    fitted_bps: float
    proposed_bps: float


@dataclass(frozen=True, slots=True)
class Round:
    """One replay of the window: what was quoted, how it was filled, what that needed."""

    quoted: Weights
    fills: int
    net_bps: float
    need: Weights


@dataclass(frozen=True, slots=True)
class Calibration:
    """What came of it. `reason` says why the old weights are kept; empty where the new are."""

    plan: Plan
    old: Weights
    new: Weights
    """Proposed; whether they are kept is `reason`."""
    reason: str
    fills: int
    net_bps: float
    """Of the window, as recorded."""
    kept: tuple[str, ...]
    """Scores that said nothing, and kept their weights."""
    need: Weights
    intervals: tuple[Interval, ...]
    """Of the need, as recorded."""
    new_intervals: tuple[Interval, ...]
    """Of the last need that the proposal was made of."""
    walk: WalkForward
    regimes: tuple[Regime, ...]
    rounds: tuple[Round, ...] = ()
    confirmation: Compared | None = None

    @property
    def kept_old(self) -> bool:
        return bool(self.reason)


def calibrate(fills: Fills, old: Weights, bounds: Bounds, plan: Plan, replay: Replay) -> Calibration:
    """`fills`: as recorded under the old weights, of any time. Raises CalibrationError where they cannot
    tell.
    """
    window = fills.within(plan.from_ns, plan.to_ns)
    told = told_scores(window, plan.block_ns)
    need = fit_need(window, old, bounds, told)
    new = _proposed(old, need, bounds)
    intervals = need_intervals(window, old, bounds, told, plan.block_ns)
    splits = Splits(plan.from_ns, plan.to_ns, plan.folds, plan.embargo_ns, plan.block_ns)
    found = Calibration(
        plan=plan,
        old=old,
        new=new,
        reason="",
        fills=len(window),
        net_bps=_mean(window.net_bps, window.weight),
        kept=tuple(name for name, one in zip(SCORES, told, strict=True) if not one),
        need=need,
        intervals=intervals,
        new_intervals=intervals,
        walk=walk_forward(window, old, bounds, splits, told),
        regimes=(),
    )
    if new == old:
        found = replace(found, reason=_NOTHING_NEW)
    elif found.walk.better:
        found = _in_rounds(found, bounds, told, window, replay)
    else:
        found = replace(found, reason=_not_foretold(found.walk))
    found = replace(found, regimes=tuple(_regimes(window, found, bounds, told)))
    return found if found.reason else _confirmed(found, replay)


def _proposed(old: Weights, need: Weights, bounds: Bounds) -> Weights:
    """Rounded to what is written."""
    base_bps = min(max(old.base_bps, need.base_bps), bounds.max_bps)
    return Weights(*(round(value, _DIGITS) for value in (base_bps, *need[1:])))


def _not_foretold(walk: WalkForward) -> str:
    if walk.gain_bps2 is None:
        return f"not enough evidence: no stretch could be predicted: {walk.folds[-1].reason}"
    gain = walk.gain_bps2
    return (
        "walk-forward: what fills needed is not foretold better than by the old weights: gain"
        f" {gain.value:+.3g} bps2 ({gain.low:+.3g} to {gain.high:+.3g}), expected above 0"
    )


def _in_rounds(
    found: Calibration, bounds: Bounds, told: list[bool], window: Fills, replay: Replay
) -> Calibration:
    """Quote what was fitted, and fit what that needed."""
    plan, new, rounds = found.plan, found.new, list(found.rounds)
    for _ in range(_ROUNDS):
        played = replay(new).within(plan.from_ns, plan.to_ns)
        try:
            need = fit_need(played, found.old, bounds, told)
        except CalibrationError as error:
            reason = f"no spread was found that covers what its fills lose: quoting {_text(new)}, {error}"
            return replace(found, new=new, rounds=tuple(rounds), reason=reason)
        rounds.append(Round(new, len(played), _mean(played.net_bps, played.weight), need))
        halfway = [(1.0 - _STEP) * here + _STEP * there for here, there in zip(new, need, strict=True)]
        before, new = new, _proposed(found.old, Weights(*halfway), bounds)
        found = replace(found, new=new, rounds=tuple(rounds))
        if _moved_ratio(before, new, bounds, window.scores) < _CLOSE_RATIO:
            break
    if new == found.old:
        return replace(found, reason=_NOTHING_NEW)
    last = replay(rounds[-1].quoted).within(plan.from_ns, plan.to_ns)
    return replace(found, new_intervals=need_intervals(last, found.old, bounds, told, plan.block_ns))


def _moved_ratio(before: Weights, after: Weights, bounds: Bounds, scores: Floats) -> float:
    one, other = (half_spread_bps(weights, bounds, scores) for weights in (before, after))
    return float(np.abs(other - one).mean() / one.mean())


def _confirmed(found: Calibration, replay: Replay) -> Calibration:
    plan = found.plan
    within = (plan.confirm_from_ns, plan.confirm_to_ns)
    compared = compare(replay(found.old), replay(found.new), within, plan.block_ns)
    return replace(found, confirmation=compared, reason=_not_confirmed(compared))


def _not_confirmed(compared: Compared) -> str:
    """Empty where it is."""
    for side, fills in (("old", compared.old_fills), ("new", compared.new_fills)):
        if fills < _LEAST_CONFIRMING:
            return (
                f"not enough evidence: {fills} fills under the {side} weights in the time held back, expected"
                f" {_LEAST_CONFIRMING}"
            )
    net, earned = compared.net_bps, compared.earned_per_hour
    if not net.low > 0:
        return (
            f"confirmation: net_bps {net.value:+.2f} against the old weights ({net.low:+.2f} to"
            f" {net.high:+.2f}), expected above 0"
        )
    if not earned.value >= 0:
        return f"confirmation: {earned.value:+.4g} earned an hour against the old weights, expected no less"
    return ""


def _regimes(window: Fills, found: Calibration, bounds: Bounds, told: list[bool]) -> Iterator[Regime]:
    """Fills of the window by each score that was told."""
    asked, fitted = window.asked_bps, needed_at(found.need, window.scores)
    proposed = half_spread_bps(found.new, bounds, window.scores)
    for at, name in enumerate(SCORES):
        if not told[at]:
            continue
        score = window.scores[:, at]
        for above, upto in pairwise((-math.inf, *_REGIMES)):
            here = (score > above) & (score <= upto)
            if here.any():
                weight = window.weight[here]
                yield Regime(
                    score=name,
                    above=above,
                    upto=upto,
                    fills=int(here.sum()),
                    mean_score=_mean(score[here], weight),
                    asked_bps=_mean(asked[here], weight),
                    markout_bps=_mean(window.markout_bps[here], weight),
                    needed_bps=_by_block(window, here, found.plan.block_ns),
                    fitted_bps=_mean(fitted[here], weight),
                    proposed_bps=_mean(proposed[here], weight),
                )


def _by_block(window: Fills, here: npt.NDArray[np.bool_], block_ns: int) -> Interval:
    """Mean of what these fills needed, and how sure it is."""
    _, block = np.unique(window.ts_ns[here] // block_ns, return_inverse=True)
    weight = np.bincount(block, weights=window.weight[here])
    needed = np.bincount(block, weights=(window.weight * window.needed_bps)[here])
    return left_out(len(weight), lambda times: float(needed @ times / (weight @ times)))


def _mean(values: Floats, weight: Floats) -> float:
    return float(np.average(values, weights=weight))


def _text(weights: Weights) -> str:
    """On one line."""
    return ", ".join(f"{name} {value:g}" for name, value in weights._asdict().items())
