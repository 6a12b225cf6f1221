"""Which of many configurations is better than the one in force, when the best of many always looks better.

Each figure is a ratio of sums over blocks of time, played on one market. A difference between two points
has pseudo-values, one a block (jackknife; Quenouille, Biometrika 43, 1956), whose mean is the difference and
whose spread is its error; what both share, the market of a block, falls out. A point's statistic is Student's
t.

**Deflated for the number of trials.** The question is that of White's reality check ("A Reality Check for
Data Snooping", Econometrica 68, 2000): how large is the largest of all t where none of the points differs?
Its distribution is had here by turning the signs of whole blocks, those of all points together, so that their
correlation stays: 200 neighbours on a grid count for as many trials as they are worth (Romano and Wolf,
"Exact and approximate stepdown methods for multiple hypothesis testing", JASA 100, 2005; Canay, Romano and
Shaikh, "Randomization tests under an approximate symmetry assumption", Econometrica 85, 2017). Up to twelve
units every pattern of signs is taken, above that draws from a fixed seed.

**Why this one.** A day has a dozen blocks. By simulation of points that are all equal (docs/sweep.md has the
figures) Hansen's test with a stationary bootstrap ("A Test for Superior Predictive Ability", JBES 23, 2005)
finds an improvement far too often there, since a bootstrap of few blocks is too narrow; the deflated Sharpe
ratio (Bailey and Lopez de Prado, Journal of Portfolio Management 40, 2014) does not, but takes the spread of
the trials for luck: the steeper a true surface, the less it sees.

Neighbouring blocks are merged into one unit while the differences hang together (lag-1 correlation), as long
as enough are left. **The region** is every point that this very test, with that point in the place of the one
in force, finds nothing better than: it holds the one in force exactly where no improvement was told apart.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from mmbot.calibration.paired import left_out
from mmbot.calibration.spread_need import Floats, Interval
from mmbot.units import DAY

LEAST_UNITS = 8
"""Below, not even all signs alike would be rare enough."""
CONFIDENCE = 0.975
"""Of the largest |t| of all points where none differs."""
_HANGS_TOGETHER = 0.1
_EXACT_UNITS = 12
_DRAWS = 1999
_SEED = 20_000
_POINTS_AT_ONCE = 256
_HELD_BACK = 3
"""Days of which one is held back."""
_HAIR = 1e-9


@dataclass(frozen=True, slots=True)
class Surface:
    """Figures of all points and what they are made of: sums above and below by point and block, oriented so
    that more is better.
    """

    above: Floats
    below: Floats

    @property
    def values(self) -> Floats:
        """NaN where nothing stands below."""
        return _ratio(self.above.sum(axis=1), self.below.sum(axis=1))

    def over(self, blocks: npt.NDArray[np.int64]) -> "Surface":
        return Surface(self.above[:, blocks], self.below[:, blocks])

    def of(self, points: Sequence[int]) -> "Surface":
        return Surface(self.above[list(points)], self.below[list(points)])

    def merged(self, count: int) -> "Surface":
        """Neighbouring blocks added up, so many at a time; the last may be of fewer."""
        starts = np.arange(0, self.above.shape[1], count)
        return Surface(
            np.add.reduceat(self.above, starts, axis=1), np.add.reduceat(self.below, starts, axis=1)
        )

    @property
    def pseudo_values(self) -> Floats:
        """By point and block: their mean is the figure, their spread its jackknife error."""
        count = self.above.shape[1]
        without_above = self.above.sum(axis=1, keepdims=True) - self.above
        without_below = self.below.sum(axis=1, keepdims=True) - self.below
        whole = self.values[:, None]
        without = _ratio(without_above, without_below)
        pseudo: Floats = whole + (count - 1) * (without.mean(axis=1, keepdims=True) - without)
        return pseudo


@dataclass(frozen=True, slots=True)
class Selected:
    """What a surface says. Indices are of its points.

    `best` has the highest figure; `proposed` the highest of those that are told to be better than the point
    in force, None if none is. `improvements`: over that point, simultaneous intervals; `luck`: what the best
    of as many points would show on average if all were equal; `p_value`: of the largest t, deflated.
    """

    units: int
    blocks_a_unit: int
    values: Floats
    improvements: tuple[Interval, ...]
    best: int
    proposed: int | None
    luck: float
    p_value: float
    region: tuple[int, ...]


def tellable(surface: Surface) -> npt.NDArray[np.bool_]:
    """Which points have a figure without any one block too, however many blocks are merged."""
    known, count = np.ones(len(surface.above), np.bool_), 1
    while count == 1 or surface.above.shape[1] // count >= LEAST_UNITS:
        known &= np.isfinite(surface.merged(count).pseudo_values).all(axis=1)
        count *= 2
    return known


def select(surface: Surface, in_force: int) -> Selected:
    """Of points that are `tellable`, over at least `LEAST_UNITS` blocks."""
    merged, blocks_a_unit = _units(surface, in_force)
    pseudo = merged.pseudo_values
    signs = _signs(pseudo.shape[1])
    against = pseudo - pseudo[in_force]
    t, error, largest = _statistics(against, signs)
    difference, reach = against.mean(axis=1), _critical(largest)
    values = surface.values
    told = np.flatnonzero(t > reach)
    return Selected(
        units=pseudo.shape[1],
        blocks_a_unit=blocks_a_unit,
        values=values,
        improvements=tuple(
            Interval(float(value), float(value - reach * wide), float(value + reach * wide))
            for value, wide in zip(difference, error, strict=True)
        ),
        best=int(np.argmax(values)),
        proposed=int(told[np.argmax(values[told])]) if len(told) else None,
        luck=_luck(against - difference[:, None], signs),
        p_value=float(np.mean(largest >= t.max() - _HAIR)),
        region=tuple(_region(pseudo, signs)),
    )


def confirm(surface: Surface, chosen: int, in_force: int) -> Interval:
    """Of one point over the one in force, on time that chose neither: one comparison, nothing to deflate."""
    above, below = surface.above, surface.below

    def improvement(times: Floats) -> float:
        values = _ratio(above[[chosen, in_force]] @ times, below[[chosen, in_force]] @ times)
        return float(values[0] - values[1])

    return left_out(above.shape[1], improvement)


def split(starts_ns: Sequence[int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Blocks to select on, and those of the last days, held back to confirm on: a third of the days where
    there are three. The block before those is in neither: its markouts end in them.
    """
    starts = np.asarray(starts_ns, np.int64)
    days = np.unique(starts // DAY)
    every = np.arange(len(starts))
    held_days = len(days) // _HELD_BACK
    if not held_days:
        return every, every[:0]
    held = starts // DAY >= days[-held_days]
    seen = every[~held][:-1]
    if min(len(seen), int(held.sum())) < LEAST_UNITS:
        return every, every[:0]
    return seen, every[held]


def _ratio(above: Floats, below: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Floats = np.where(below > 0, above / below, math.nan)
    return ratio


def _units(surface: Surface, in_force: int) -> tuple[Surface, int]:
    """Blocks merged until they do not hang together, and how many make a unit."""
    merged, count = surface, 1
    while merged.above.shape[1] >= 2 * LEAST_UNITS and _lag_1(merged, in_force) > _HANGS_TOGETHER:
        count *= 2
        merged = surface.merged(count)
    return merged, count


def _lag_1(surface: Surface, in_force: int) -> float:
    """Correlation of a unit's differences with the next one's, over all points; its bias, -1/n, taken off."""
    pseudo = surface.pseudo_values
    rest = pseudo - pseudo[in_force]
    rest = rest - rest.mean(axis=1, keepdims=True)
    spread = (rest**2).sum(axis=1)
    differs = spread > 0
    if not differs.any():
        return 0.0
    together = (rest[differs, 1:] * rest[differs, :-1]).sum(axis=1)
    return float(np.mean(together / spread[differs])) + 1.0 / float(rest.shape[1])


def _signs(units: int) -> Floats:
    """Patterns of signs, one a column, the first all alike; a pattern and its opposite give one |t|."""
    if units <= _EXACT_UNITS:
        rest = np.array(list(product((1.0, -1.0), repeat=units - 1))).T
        return np.vstack([np.ones(rest.shape[1]), rest])
    drawn = np.random.default_rng(_SEED).choice((1.0, -1.0), (units, _DRAWS))
    return np.hstack([np.ones((units, 1)), drawn])


def _statistics(against: Floats, signs: Floats) -> tuple[Floats, Floats, Floats]:
    """Of differences to one point: t and standard error of each, and for each pattern of signs the largest
    |t| of all. A point that never differs has t 0.
    """
    units = against.shape[1]
    squares = (against**2).sum(axis=1)
    t, error = _student(against.mean(axis=1), squares, units)
    largest = np.zeros(signs.shape[1])
    for start in range(0, len(against), _POINTS_AT_ONCE):
        part = slice(start, start + _POINTS_AT_ONCE)
        turned, _ = _student(against[part] @ signs / units, squares[part, None], units)
        np.maximum(largest, np.abs(turned).max(axis=0), out=largest)
    return t, error, largest


def _student(mean: Floats, squares: Floats, units: int) -> tuple[Floats, Floats]:
    """T and standard error; a difference that is the same in every unit is as sure as floats can tell."""
    variance = np.maximum(squares / units - mean**2, _HAIR**2 * squares / units) / (units - 1)
    error = np.sqrt(variance)
    t: Floats = np.divide(mean, error, out=np.zeros_like(mean), where=error > 0)
    return t, error


def _luck(rest: Floats, signs: Floats) -> float:
    """Mean of the largest difference by chance alone."""
    largest = np.full(signs.shape[1], -math.inf)
    smallest = np.full(signs.shape[1], math.inf)
    for start in range(0, len(rest), _POINTS_AT_ONCE):
        turned = rest[start : start + _POINTS_AT_ONCE] @ signs / rest.shape[1]
        np.maximum(largest, turned.max(axis=0), out=largest)
        np.minimum(smallest, turned.min(axis=0), out=smallest)
    return float(np.mean(np.concatenate([largest, -smallest])))


def _region(pseudo: Floats, signs: Floats) -> Iterator[int]:
    """Points than which none is told to be better."""
    for point in range(len(pseudo)):
        against = pseudo - pseudo[point]
        t, _, _ = _statistics(against, signs[:, :1])
        leader = int(np.argmax(t))
        # of more points the largest |t| is larger: who does not lead alone does not lead among all
        if not _better(against[[leader]], signs) or not _better(against, signs):
            yield point


def _better(against: Floats, signs: Floats) -> bool:
    """Whether any of the points is told to be better than the one that all are held against."""
    t, _, largest = _statistics(against, signs)
    return bool(t.max() > _critical(largest))


def _critical(largest: Floats) -> float:
    return float(np.quantile(largest, CONFIDENCE, method="higher"))
