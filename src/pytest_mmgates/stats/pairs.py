"""Differences between two arms, pair by pair, and what says whether they may be judged as independent.

A pair is two blocks of one cluster, one an arm, in an order that a coin chose: the coin makes the
differences uncorrelated whatever the noise does (Bojinov, Simchi-Levi, Zhao, "Design and analysis of
switchback experiments", Management Science 2023). A paired replay has no coin: there neighbouring differences
are joined into batches until they are nearly uncorrelated.

The estimand is a ratio of sums, `net_bps` of an arm = 10,000 x net / notional over all of its fills, not a
mean of blocks: a block counts by what it traded. Its value for the analysis is the linearised ratio (delta
method)

    L = R + 10,000 x (net - R x notional) / mean notional,       R = ratio of the arm's sums so far

whose mean over an arm's blocks is exactly R.
"""

from dataclasses import dataclass

import numpy as np

from pytest_mmgates.stats.sequence import Floats

BPS = 10_000.0
UNCORRELATED = 0.1
LEAST_BATCHES = 24


@dataclass(frozen=True, slots=True)
class Sums:
    """What one arm came to, block by block: net after fees and notional, (n,) each, in quote currency."""

    net: Floats
    notional: Floats

    def __post_init__(self) -> None:
        if self.net.shape != self.notional.shape or self.net.ndim != 1:
            raise ValueError(
                f"net has shape {self.net.shape} and notional {self.notional.shape}, expected (n,)"
            )
        if not (np.isfinite(self.net).all() and np.isfinite(self.notional).all()):
            raise ValueError("net and notional must be finite")
        if (self.notional < 0).any():
            raise ValueError("notional must not be negative")

    @property
    def ratio_bps(self) -> float:
        """Of all blocks together; nan where nothing was traded."""
        traded = float(self.notional.sum())
        return BPS * float(self.net.sum()) / traded if traded else float("nan")

    def linearised_bps(self) -> Floats:
        """(n,); nan where nothing was traded at all. A block without a trade counts as the arm's mean."""
        traded = float(self.notional.mean()) if len(self.notional) else 0.0
        if not traded:
            return np.full(len(self.net), np.nan)
        ratio = self.ratio_bps
        return ratio + (BPS * self.net - ratio * self.notional) / traded


def differences_bps(a: Sums, b: Sums) -> Floats:
    """B minus A of each pair, (n,). Their mean is exactly the difference of the two ratios."""
    return b.linearised_bps() - a.linearised_bps()


def lag1(values: Floats) -> float:
    """Correlation of neighbours: sum of products about the mean over the sum of squares; 0 where all are
    equal or there are none.
    """
    if not len(values):
        return 0.0
    centred = values - values.mean()
    squares = float(centred @ centred)
    return float(centred[1:] @ centred[:-1]) / squares if squares else 0.0


def batched(values: Floats, size: int) -> Floats:
    """Means of `size` neighbours; what is left over at the end is dropped."""
    whole = len(values) // size * size
    return np.asarray(values[:whole].reshape(-1, size).mean(axis=1))


@dataclass(frozen=True, slots=True)
class Batching:
    """`size` values make one batch. `lag1` is what is left between neighbouring batches; `usable` says
    whether it is small enough with enough batches left.
    """

    size: int
    batches: int
    lag1: float
    usable: bool


def choose_batch(values: Floats) -> Batching:
    """Doubled until neighbours are nearly uncorrelated; not usable with fewer than LEAST_BATCHES left."""
    size = 1
    while True:
        joined = batched(values, size)
        if len(joined) < LEAST_BATCHES:
            return Batching(size, len(joined), lag1(joined), usable=False)
        if (left := lag1(joined)) <= UNCORRELATED:
            return Batching(size, len(joined), left, usable=True)
        size *= 2


def sign_flip_p(values: Floats, *, flips: int, seed: int) -> float:
    """One-sided p of a mean this high when each pair's order had come out the other way with chance one half:
    the test that the design itself justifies, with no law of large numbers. (1 + as high) / (1 + flips), so
    it is never 0. Raises ValueError for no values.
    """
    if not len(values):
        raise ValueError("expected at least one value")
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=(flips, len(values)))
    as_high = int((signs @ values >= values.sum() - 1e-12 * np.abs(values).sum()).sum())
    return (1 + as_high) / (1 + flips)
