"""Fill intensities of the `glft` model: A exp(-k d) per second and side, fitted to how far the market trades.

A quote at distance d is reached in a window of w seconds with probability 1 - exp(-w A exp(-k d)): waiting
times are exponential. Quotes at several distances are reached together, so what is counted is the farthest
distance reached, in bins between the distances of a grid; its law is the difference of these probabilities,
and the fit is the most likely A and k by Fisher scoring, both sides together.

The grid begins at the nearest distance that matters to whoever asks: most trades happen at the touch, and a
law that describes them need not describe what comes as far as a quote that pays its fees.

Standard errors do not trust the model: activity comes in clusters, so the scores are summed over 50 stretches
of time before their spread is taken (the sandwich of clustered data; Liang and Zeger, Biometrika 73, 1986).

Goodness of fit: Pearson's chi squared a degree of freedom over the bins, 1 where the model holds, and
observed and fitted rates by distance.

Refused: not enough evidence (fewer than 100 times reached, fewer than 3 distances reached 10 times, rates
that do not fall with distance, a standard error above half of its value), and a law that does not hold (a
fitted rate more than twice the observed one, or less than half of it, at a distance reached 10 times).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmbot.calibration.reach import Reach
from mmbot.errors import CalibrationError
from mmbot.units import SECOND

Floats = npt.NDArray[np.float64]

_DISTANCES = 12
_NEAR_SHARE = 0.9
"""The grid ends where this share of what was reached lies nearer."""
_STRETCHES = 50
_LEAST_REACHED, _LEAST_AT_A_DISTANCE, _LEAST_DISTANCES = 100, 10, 3
_WORST_RELATIVE_ERROR = 0.5
_WORST_FACTOR = 2.0
_SCORINGS, _HALVINGS = 100, 20
_LEAST_EXPECTED = 5.0
"""Times in a bin, below which chi squared does not hold."""


class Rate(NamedTuple):
    """At one distance: how often it was reached, and how often a second that is, observed and fitted."""

    distance_bps: float
    reached: int
    observed_per_s: float
    fitted_per_s: float

    @property
    def factor(self) -> float:
        """By how much the fit is off, either way, at least 1."""
        ratio = self.fitted_per_s / self.observed_per_s
        return max(ratio, 1.0 / ratio)


@dataclass(frozen=True, slots=True)
class Intensities:
    """What was fitted. `observations`: windows, of both sides. `rates`: nearest first."""

    intensity_per_s: float
    intensity_error_per_s: float
    decay_per_bps: float
    decay_error_per_bps: float
    window_s: float
    observations: int
    chi2_per_freedom: float
    rates: tuple[Rate, ...]

    @property
    def worst(self) -> Rate:
        """Of the distances that were reached often enough to tell, the one that the fit misses most."""
        told = [rate for rate in self.rates if rate.reached >= _LEAST_AT_A_DISTANCE]
        return max(told, key=lambda rate: rate.factor)


def fit(reach: Reach, nearest_bps: float = 0.0) -> Intensities:
    """Raises CalibrationError naming what was found and what was expected."""
    farthest = reach.bps
    reached = farthest[farthest > nearest_bps]
    if len(reached) < _LEAST_REACHED:
        raise _not_enough(
            f"{len(reached)} times a trade beyond {nearest_bps:g} bps, expected {_LEAST_REACHED}"
        )
    distances = _grid(reached, reach.tick_bps, nearest_bps)
    binned = _Binned(_counts(farthest, distances), distances, reach.window_ns / SECOND)
    told = int((binned.times_reached >= _LEAST_AT_A_DISTANCE).sum())
    if told < _LEAST_DISTANCES:
        raise _not_enough(
            f"{told} distances reached {_LEAST_AT_A_DISTANCE} times, expected {_LEAST_DISTANCES}"
        )
    values = _most_likely(binned)
    errors = values * binned.log_errors(values)
    for name, value, error in zip(("intensity", "decay"), values, errors, strict=True):
        if not error <= _WORST_RELATIVE_ERROR * value:
            raise _not_enough(
                f"{name} was {value:.4g} with a standard error of {error:.2g}, expected half of it"
            )
    fitted = Intensities(
        intensity_per_s=float(values[0]),
        intensity_error_per_s=float(errors[0]),
        decay_per_bps=float(values[1]),
        decay_error_per_bps=float(errors[1]),
        window_s=binned.window_s,
        observations=farthest.size,
        chi2_per_freedom=binned.chi2_per_freedom(values),
        rates=binned.rates(values),
    )
    if fitted.worst.factor > _WORST_FACTOR:
        distance_bps, _, observed, rate = fitted.worst
        raise CalibrationError(
            f"the exponential law does not hold: at {distance_bps:.3g} bps it says {rate:.3g} a second,"
            f" observed were {observed:.3g}; look from farther away"
        )
    return fitted


class _Binned(NamedTuple):
    """Windows by stretch of time (rows) and by how many of the distances were reached (columns)."""

    counts: Floats
    distances: Floats
    window_s: float

    @property
    def times_reached(self) -> npt.NDArray[np.int64]:
        """How often each distance was reached."""
        return np.asarray(self.counts.sum(axis=0)[::-1].cumsum()[::-1][1:], np.int64)

    @property
    def observed_per_s(self) -> Floats:
        """Rate at which each distance was reached; one reached in every window counts as missed in half of
        one.
        """
        observations = self.counts.sum()
        share = np.minimum(self.times_reached / observations, 1.0 - 0.5 / observations)
        return np.asarray(-np.log1p(-share) / self.window_s)

    def probabilities(self, values: Floats) -> tuple[Floats, Floats]:
        """Of each bin, and their slopes in ln A and ln k."""
        intensity, decay = values
        expected = self.window_s * intensity * np.exp(-decay * self.distances)
        below = np.concatenate(([0.0], np.exp(-expected), [1.0]))
        slopes = np.zeros((2, len(below)))
        slopes[0, 1:-1] = -expected * below[1:-1]
        slopes[1, 1:-1] = expected * decay * self.distances * below[1:-1]
        return np.maximum(np.diff(below), np.finfo(float).tiny), np.diff(slopes)

    def log_likelihood(self, values: Floats) -> float:
        return float(self.counts.sum(axis=0) @ np.log(self.probabilities(values)[0]))

    def scoring_step(self, values: Floats) -> Floats:
        """Where ln A and ln k should go."""
        shares, slopes = self.probabilities(values)
        gradient = slopes @ (self.counts.sum(axis=0) / shares)
        return np.asarray(np.linalg.solve(self.counts.sum() * (slopes / shares) @ slopes.T, gradient))

    def log_errors(self, values: Floats) -> Floats:
        """Standard errors of ln A and ln k, clustered by stretch."""
        shares, slopes = self.probabilities(values)
        bread = np.linalg.inv(self.counts.sum() * (slopes / shares) @ slopes.T)
        scores = self.counts @ (slopes / shares).T
        meat = scores.T @ scores * (_STRETCHES / (_STRETCHES - 1))
        return np.asarray(np.sqrt(np.diag(bread @ meat @ bread)))

    def chi2_per_freedom(self, values: Floats) -> float:
        """Bins in which few are expected count as one; NaN without a degree of freedom."""
        seen = self.counts.sum(axis=0)
        expected = seen.sum() * self.probabilities(values)[0]
        few = expected < _LEAST_EXPECTED
        if few.any():
            seen = np.append(seen[~few], seen[few].sum())
            expected = np.append(expected[~few], expected[few].sum())
        freedom = len(seen) - 1 - len(values)
        return float(((seen - expected) ** 2 / expected).sum() / freedom) if freedom > 0 else math.nan

    def rates(self, values: Floats) -> tuple[Rate, ...]:
        fitted = values[0] * np.exp(-values[1] * self.distances)
        columns = (self.distances, self.times_reached, self.observed_per_s, fitted)
        return tuple(Rate(*row) for row in zip(*(column.tolist() for column in columns), strict=True))


def _grid(reached: Floats, tick_bps: float, nearest_bps: float) -> Floats:
    """Distances a quarter of a tick beyond whole ticks: prices lie half ticks from a mid, so none lies on a
    distance, and each stands for what is between the two beside it.
    """
    first_tick = math.ceil(nearest_bps / tick_bps)
    span_ticks = float(np.quantile(reached, _NEAR_SHARE)) / tick_bps - first_tick
    step_ticks = max(math.ceil(span_ticks / _DISTANCES), 1)
    count = max(math.ceil(span_ticks / step_ticks), _LEAST_DISTANCES)
    return np.asarray((first_tick + np.arange(count) * step_ticks + 0.25) * tick_bps)


def _counts(farthest: Floats, distances: Floats) -> Floats:
    stretch = np.arange(len(farthest)) * _STRETCHES // len(farthest)
    counts = np.zeros((_STRETCHES, len(distances) + 1))
    for side in farthest.T:
        np.add.at(counts, (stretch, np.searchsorted(distances, side, side="right")), 1.0)
    return counts


def _most_likely(binned: _Binned) -> Floats:
    """A and k: Fisher scoring from a straight line, each step halved until it leads upwards."""
    values = _straight_line(binned)
    for _ in range(_SCORINGS):
        step, likelihood = binned.scoring_step(values), binned.log_likelihood(values)
        tries = (values * np.exp(np.clip(step / 2**halving, -1.0, 1.0)) for halving in range(_HALVINGS))
        better = next((one for one in tries if binned.log_likelihood(one) > likelihood), None)
        if better is None:
            break
        values = better
    return values


def _straight_line(binned: _Binned) -> Floats:
    """A and k of a line through the logarithms of the observed rates, weighted by how often they were
    reached. Raises CalibrationError for one that does not fall.
    """
    told = binned.times_reached > 0
    weights = np.sqrt(binned.times_reached[told])
    slope, level = np.polyfit(binned.distances[told], np.log(binned.observed_per_s[told]), 1, w=weights)
    if not slope < 0:
        raise _not_enough("rates do not fall with distance")
    return np.array([math.exp(level), -slope])


def _not_enough(found: str) -> CalibrationError:
    return CalibrationError(f"not enough evidence: {found}")
