"""What half spread a regime needs: fitted to what fills lost, by the scores of the adaptive spread.

The half spread at which a fill would have netted nothing is the one that was asked less what it netted
(`dataset.net_bps`: 60 s later, after its fee). Its mean, given the scores, is

    need(scores) = base + sum of weight * score,    weights from 0 to max_bps - min_bps

by least squares, each fill worth its notional as in net_bps (scipy's `lsq_linear`). Least squares because a
mean is what has to be covered: a quantile would cover most fills and not their losses. Rounding of prices,
skew and guards widen or tighten what is quoted; they stand in the need as they stood in the quotes.

Errors: fills within minutes of each other share a market, so what is drawn again is blocks of time, whole
(Carlstein, Annals of Statistics 14, 1986; Kuensch, Annals of Statistics 17, 1989): 400 samples of as many
blocks as there are, from a fixed seed, and the middle 95 % of what they fit.

A score that was above zero at fewer than 20 fills, or in fewer than 4 blocks, says nothing: its weight stays
as configured, and what it adds counts as asked for.

Assumed: the need is linear in the scores, and the same for all symbols. Fills are a biased sample of quotes,
more of them where we quote too tight, and a wider quote is filled by worse trades; a fit to them says what
was needed *at the spreads that were quoted*. `mmbot.calibration.weights` therefore quotes what was fitted in
a replay and fits again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import lsq_linear

from mmbot.calibration.dataset_columns import SCORES
from mmbot.errors import CalibrationError
from mmbot.strategy.spread import SpreadSettings

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEAST_FILLS = 40
"""To fit anything."""
LEAST_AT_A_SCORE, LEAST_BLOCKS_AT_A_SCORE = 20, 4
_SAMPLES, _SEED = 400, 20_250_115
_MIDDLE = (0.025, 0.975)
_RIDGE = 1e-9
"""Of the mean square: a sample of blocks in which a score never moved still has one best fit."""


class Weights(NamedTuple):
    """The half spread as configured: base, and what each score adds at 1, in the order of `SCORES`; bps."""

    base_bps: float
    volatility_weight_bps: float
    liquidity_weight_bps: float
    latency_weight_bps: float
    pnl_weight_bps: float

    @classmethod
    def of(cls, settings: SpreadSettings) -> "Weights":
        return cls(*(getattr(settings, name) for name in cls._fields))


class Bounds(NamedTuple):
    """Least and widest half spread that is quoted whatever the scores, bps."""

    min_bps: float
    max_bps: float


def half_spread_bps(weights: Weights, bounds: Bounds, scores: Floats) -> Floats:
    """What is asked at rows of scores, before it is slowed and guarded."""
    return np.asarray(np.clip(weights.base_bps + scores @ np.array(weights[1:]), *bounds))


@dataclass(frozen=True, slots=True)
class Fills:
    """Fills that have a net and scores, in any order. `scores`: a row a fill, columns as `SCORES`."""

    ts_ns: Ints
    weight: Floats
    net_bps: Floats
    markout_bps: Floats
    """Of the same 60 s, before fees."""
    asked_bps: Floats
    """Half spread before guards."""
    scores: Floats

    def __post_init__(self) -> None:
        for field in fields(self):
            values = getattr(self, field.name)
            wrong = int(np.count_nonzero(~np.isfinite(values)))
            if wrong:
                raise CalibrationError(
                    f"fills: {wrong} values of {field.name} were NaN or infinite, expected numbers"
                )
            if len(values) != len(self.ts_ns):
                raise CalibrationError(
                    f"fills: {len(values)} values of {field.name}, expected {len(self.ts_ns)}, one a fill"
                )

    def __len__(self) -> int:
        return len(self.ts_ns)

    @property
    def needed_bps(self) -> Floats:
        """Half spread at which each would have netted nothing."""
        return self.asked_bps - self.net_bps

    def within(self, from_ns: int, to_ns: int) -> Self:
        """Those of a stretch of time, its end not in it."""
        at = (self.ts_ns >= from_ns) & (self.ts_ns < to_ns)
        return type(self)(*(getattr(self, field.name)[at] for field in fields(self)))


class Interval(NamedTuple):
    """A value, and between what it lies with 95 % confidence."""

    value: float
    low: float
    high: float


def needed_at(need: Weights, scores: Floats) -> Floats:
    """Fitted half spread at rows of scores, bps: not bounded, nobody quotes it."""
    return np.asarray(need.base_bps + scores @ np.array(need[1:]))


def told_scores(fills: Fills, block_ns: int) -> list[bool]:
    """Which of the scores were above zero often enough. Raises CalibrationError if none was, or never not."""
    _check_enough(fills)
    blocks = fills.ts_ns // block_ns
    above = fills.scores > 0
    told = [
        int(np.count_nonzero(column)) >= LEAST_AT_A_SCORE
        and len(np.unique(blocks[column])) >= LEAST_BLOCKS_AT_A_SCORE
        and bool(np.ptp(fills.scores[:, at]) > 0)
        for at, column in enumerate(above.T)
    ]
    if not any(told):
        seen = ", ".join(
            f"{name} above 0 at {int(np.count_nonzero(column))}"
            for name, column in zip(SCORES, above.T, strict=True)
        )
        raise CalibrationError(
            f"one regime only: of {len(fills)} fills {seen}; expected one of them at {LEAST_AT_A_SCORE}"
            f" and in {LEAST_BLOCKS_AT_A_SCORE} blocks of time, and not always the same"
        )
    return told


def fit_need(fills: Fills, old: Weights, bounds: Bounds, told: Sequence[bool]) -> Weights:
    """The need; a score that was not told keeps its weight. Raises CalibrationError for too few fills."""
    _check_enough(fills)
    return _with(old, told, _Problem.of(fills, old, bounds, told, _WHOLE_NS).solved(np.ones(1)))


def need_intervals(
    fills: Fills, old: Weights, bounds: Bounds, told: Sequence[bool], block_ns: int
) -> tuple[Interval, ...]:
    """As the fields of the need; a weight that was kept has no width."""
    best = fit_need(fills, old, bounds, told)
    problem = _Problem.of(fills, old, bounds, told, block_ns)
    even, draws = np.full(problem.blocks, 1.0 / problem.blocks), np.random.default_rng(_SEED)
    samples = [problem.solved(draws.multinomial(problem.blocks, even)) for _ in range(_SAMPLES)]
    low, high = (_with(old, told, end) for end in np.quantile(samples, _MIDDLE, axis=0))
    return tuple(
        Interval(value, min(least, value), max(most, value))
        for value, least, most in zip(best, low, high, strict=True)
    )


_WHOLE_NS = 2**63 - 1
"""All of time as one block."""


def _check_enough(fills: Fills) -> None:
    if len(fills) < LEAST_FILLS:
        raise CalibrationError(f"not enough evidence: {len(fills)} fills, expected {LEAST_FILLS}")


def _with(old: Weights, told: Sequence[bool], fitted: Floats) -> Weights:
    values = np.array(old)
    values[[True, *told]] = fitted
    return Weights(*values.tolist())


@dataclass(frozen=True, slots=True)
class _Problem:
    """Least squares by its sums of each block: what a sample of blocks fits needs no fills any more."""

    squares: Floats
    """Sum of weight x x' by block."""
    products: Floats
    """Sum of weight x need by block."""
    upper: Floats

    @classmethod
    def of(cls, fills: Fills, old: Weights, bounds: Bounds, told: Sequence[bool], block_ns: int) -> Self:
        fitted = np.array([True, *told])
        columns = np.column_stack([np.ones(len(fills)), fills.scores])
        wanted = fills.needed_bps - columns[:, ~fitted] @ np.array(old)[~fitted]
        columns, share = columns[:, fitted], fills.weight / fills.weight.sum()
        _, block = np.unique(fills.ts_ns // block_ns, return_inverse=True)
        count, width = int(block.max()) + 1, columns.shape[1]
        squares, products = np.zeros((count, width, width)), np.zeros((count, width))
        np.add.at(squares, block, share[:, None, None] * columns[:, :, None] * columns[:, None, :])
        np.add.at(products, block, (share * wanted)[:, None] * columns)
        widest = [bounds.max_bps, *[bounds.max_bps - bounds.min_bps] * (width - 1)]
        return cls(squares, products, np.array(widest))

    @property
    def blocks(self) -> int:
        return len(self.squares)

    def solved(self, times: npt.NDArray[np.float64] | Ints) -> Floats:
        """The best fit to each block that many times."""
        squares = np.tensordot(times, self.squares, axes=1)
        products = times @ self.products
        squares += _RIDGE * np.trace(squares) * np.eye(len(squares))
        root = np.linalg.cholesky(squares)
        found = lsq_linear(root.T, np.linalg.solve(root, products), bounds=(0.0, self.upper), method="bvls")
        return np.asarray(found.x)
