"""Does the past say what the next stretch of time needs, better than the spread that is configured?

The window is cut into equal stretches. Each but the first is predicted by a fit to all fills before it, but
for an embargo: the last of them are left out, so that none of their markouts ends in the time that is
predicted, and no feature of one reaches into the other. Predicted is the half spread that each fill needed,
by the fit, and by the old spread: what it asks at these scores, less what the fills before it earned with it
(nothing, where they lost: then it claims to cover what it does not).

The gain is how much smaller the mean squared error is, by weight, positive where the fit is better. The old
spread is one of those that could have been fitted, so where it is right the fit can only do worse, by the
noise that it follows; the gain adds that back, the mean square of what the two predictions differ by, and is
zero on average there (Clark and West, Journal of Econometrics 138, 2007). Its error leaves out one block of
time after the other. What is not added back stands beside it: the smaller error itself (`raw_gain_bps2`).
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from mmbot.calibration.paired import left_out
from mmbot.calibration.spread_need import (
    Bounds,
    Fills,
    Floats,
    Interval,
    Weights,
    fit_need,
    half_spread_bps,
    needed_at,
)
from mmbot.errors import CalibrationError


@dataclass(frozen=True, slots=True)
class Fold:
    """One stretch and its prediction. `gain_bps2` None: not predicted, `reason` says why."""

    from_ns: int
    to_ns: int
    fitted_fills: int
    test_fills: int
    weights: Weights | None = None
    needed_bps: float | None = None
    """Mean over the stretch; beside it what was predicted."""
    old_bps: float | None = None
    new_bps: float | None = None
    gain_bps2: Interval | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WalkForward:
    """All stretches. `gain_bps2` is over the fills of all that were predicted, None without any."""

    folds: tuple[Fold, ...]
    gain_bps2: Interval | None
    raw_gain_bps2: float | None
    old_error_bps2: float | None
    """Mean squared error of the old spread over the same fills."""

    @property
    def better(self) -> bool:
        """The fit predicts better, and not by luck."""
        return self.gain_bps2 is not None and self.gain_bps2.low > 0


@dataclass(frozen=True, slots=True)
class Splits:
    """How a window is cut. All ns; `folds` stretches are predicted."""

    from_ns: int
    to_ns: int
    folds: int
    embargo_ns: int
    block_ns: int


def walk_forward(fills: Fills, old: Weights, bounds: Bounds, splits: Splits, told: list[bool]) -> WalkForward:
    """`told`: scores whose weights are fitted."""
    cuts = np.linspace(splits.from_ns, splits.to_ns, splits.folds + 2).astype(np.int64).tolist()
    folds: list[Fold] = []
    losses: list[_Losses] = []
    for start_ns, end_ns in pairwise(cuts[1:]):
        past = fills.within(splits.from_ns, start_ns - splits.embargo_ns)
        test = fills.within(start_ns, end_ns)
        fold = Fold(start_ns, end_ns, len(past), len(test))
        try:
            need = fit_need(past, old, bounds, told)
        except CalibrationError as error:
            folds.append(replace(fold, reason=str(error)))
            continue
        if not len(test):
            folds.append(replace(fold, weights=need, reason="no fills to predict"))
            continue
        earned_bps = max(_mean(past.net_bps, past.weight), 0.0)
        old_bps = half_spread_bps(old, bounds, test.scores) - earned_bps
        new_bps = needed_at(need, test.scores)
        losses.append(_Losses.of(test, old_bps, new_bps, splits.block_ns))
        folds.append(
            replace(
                fold,
                weights=need,
                needed_bps=_mean(test.needed_bps, test.weight),
                old_bps=_mean(old_bps, test.weight),
                new_bps=_mean(new_bps, test.weight),
                gain_bps2=losses[-1].gain,
            )
        )
    if not losses:
        return WalkForward(tuple(folds), None, None, None)
    every = _Losses.joined(losses)
    weight = every.weight.sum()
    raw_bps2, old_bps2 = (every.old - every.new).sum() / weight, every.old.sum() / weight
    return WalkForward(tuple(folds), every.gain, float(raw_bps2), float(old_bps2))


class _Losses(NamedTuple):
    """By block of time: squared errors times weight, and weight."""

    old: Floats
    new: Floats
    apart: Floats
    """Of the two predictions."""
    weight: Floats

    @classmethod
    def joined(cls, parts: list["_Losses"]) -> "_Losses":
        old, new, apart, weight = map(np.concatenate, zip(*parts, strict=True))
        return cls(old, new, apart, weight)

    @classmethod
    def of(cls, test: Fills, old_bps: Floats, new_bps: Floats, block_ns: int) -> "_Losses":
        _, block = np.unique(test.ts_ns // block_ns, return_inverse=True)

        def summed(values: Floats) -> Floats:
            return np.bincount(block, weights=test.weight * values).astype(np.float64)

        old, new = (summed(np.square(test.needed_bps - told)) for told in (old_bps, new_bps))
        return cls(old, new, summed(np.square(old_bps - new_bps)), summed(np.ones(len(test))))

    @property
    def gain(self) -> Interval:
        """Mean squared error of the old less that of the new, and what the new follows of noise."""
        smaller = self.old - self.new + self.apart
        return left_out(len(self.weight), lambda times: float(smaller @ times / (self.weight @ times)))


def _mean(values: Floats, weight: Floats) -> float:
    return float(np.average(values, weights=weight))
