"""How often a sweep finds an improvement where there is none, and where there is one: ours, and two others.

    python -m tests.bench.sweep_selection --draws 400          the table of docs/sweep.md

A draw is a sweep of points on a line over blocks of one market: fills come by chance, blocks differ in how
many and in what the market did (Student's t with 4 degrees of freedom: fat tails), points share the market,
and what is a point's own hangs together with its neighbour's. The point in force is the first.

Hansen's test of superior predictive ability uses a stationary bootstrap of mean length 2; the deflated Sharpe
ratio is that of the best point's differences, with the spread of all trials.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from mmbot.calibration.selection import Surface, select

Floats = npt.NDArray[np.float64]
LEVEL = 0.05
_BETWEEN_NEIGHBOURS = 0.7
_OWN_BPS, _FILL_BPS = 10.0, 5.0
_FILL_QUOTE = 100.0
_RESAMPLES = 199


@dataclass(frozen=True, slots=True)
class Case:
    """`lag_1`: of what is a point's own, block by block. `shape`: all equal, one that is better by `bps`, or
    a slope on which the best is that much better.
    """

    points: int
    blocks: int
    fills_a_block: float
    lag_1: float = 0.0
    shape: str = "equal"
    bps: float = 0.0

    @property
    def means(self) -> Floats:
        best, every = self.points // 2, np.arange(self.points)
        if self.shape == "one":
            return np.where(every == best, self.bps, 0.0)
        if self.shape == "slope":
            return self.bps * (1 - ((every - best) / best) ** 2)
        return np.zeros(self.points)


CASES = (
    Case(20, 12, 10),
    Case(200, 12, 10),
    Case(100, 24, 3),
    Case(50, 24, 5, 0.3),
    Case(50, 96, 5, 0.3),
    Case(50, 168, 5),
    Case(50, 24, 10, shape="one", bps=8.0),
    Case(50, 72, 10, shape="one", bps=8.0),
    Case(50, 72, 10, shape="slope", bps=8.0),
    Case(50, 72, 10, shape="slope", bps=16.0),
)


def drawn(case: Case, rng: np.random.Generator) -> Surface:
    """Net in bps times notional above, notional below."""
    own = _neighbours(rng.standard_t(4, (case.points, case.blocks)) / math.sqrt(2))
    for block in range(1, case.blocks):
        own[:, block] = case.lag_1 * own[:, block - 1] + math.sqrt(1 - case.lag_1**2) * own[:, block]
    market = 10 * rng.standard_t(4, case.blocks) / math.sqrt(2)
    fills = rng.poisson(case.fills_a_block * np.exp(rng.normal(0, 0.5, case.blocks)), own.shape)
    of_fills = _FILL_BPS * np.sqrt(fills) * rng.standard_t(4, own.shape) / math.sqrt(2)
    per_fill = case.means[:, None] + market + _OWN_BPS * own
    return Surface(_FILL_QUOTE * (fills * per_fill + of_fills), _FILL_QUOTE * fills)


def _neighbours(noise: Floats) -> Floats:
    """The same noise, correlated from point to point."""
    smooth = noise.copy()
    for point in range(1, len(noise)):
        rest = math.sqrt(1 - _BETWEEN_NEIGHBOURS**2)
        smooth[point] = _BETWEEN_NEIGHBOURS * smooth[point - 1] + rest * noise[point]
    return smooth


def superior(surface: Surface, rng: np.random.Generator) -> float:
    """P value of Hansen's test, studentised, points that are clearly worse left out of the null."""
    against = surface.pseudo_values - surface.pseudo_values[0]
    blocks = against.shape[1]
    mean = against.mean(axis=1)
    resampled = (against - mean[:, None]) @ _stationary(blocks, rng) / blocks
    error = resampled.std(axis=1)
    differs = error > 0
    t = mean[differs] / error[differs]
    kept = t > -math.sqrt(2 * math.log(math.log(blocks)))
    by_chance = (resampled[differs][kept] / error[differs][kept, None]).max(axis=0)
    return float(np.mean(by_chance >= t.max()))


def _stationary(blocks: int, rng: np.random.Generator) -> Floats:
    """How often each block is taken, by resample."""
    counts = np.zeros((blocks, _RESAMPLES))
    for resample in range(_RESAMPLES):
        fresh = rng.integers(blocks, size=blocks)
        jumps = rng.random(blocks) < 0.5
        at = fresh[0]
        for jump, start in zip(jumps, fresh, strict=True):
            at = start if jump else (at + 1) % blocks
            counts[at, resample] += 1
    return counts


def deflated_sharpe(surface: Surface) -> float:
    """One less the deflated Sharpe ratio (equations 1 and 2 of the paper) of the best point's differences."""
    against = (surface.pseudo_values - surface.pseudo_values[0])[1:]
    error = against.std(axis=1, ddof=1)
    ratios = against.mean(axis=1) / error
    trials, blocks = against.shape
    quantiles = norm.ppf(1 - 1 / trials), norm.ppf(1 - 1 / (trials * math.e))
    expected = ratios.std(ddof=1) * ((1 - np.euler_gamma) * quantiles[0] + np.euler_gamma * quantiles[1])
    best = int(ratios.argmax())
    unit = (against[best] - against[best].mean()) / error[best]
    skew, kurtosis, ratio = float((unit**3).mean()), float((unit**4).mean()), float(ratios[best])
    wide = math.sqrt(max(1 - skew * ratio + (kurtosis - 1) / 4 * ratio**2, 1e-9))
    return float(1 - norm.cdf((ratio - expected) * math.sqrt(blocks - 1) / wide))


def shares(case: Case, draws: int) -> tuple[float, float, float, float]:
    """Of draws: told apart by us, by the two others, and the best point in our region."""
    rng = np.random.default_rng([case.points, case.blocks, round(case.bps), round(10 * case.lag_1)])
    told = np.zeros(4)
    for _ in range(draws):
        surface = drawn(case, rng)
        if not np.isfinite(surface.pseudo_values).all():
            continue  # a point without fills, which a sweep would not compare
        found = select(surface, 0)
        told += (
            found.proposed is not None,
            superior(surface, rng) <= LEVEL,
            deflated_sharpe(surface) <= LEVEL,
            int(case.means.argmax()) in found.region,
        )
    return tuple(told / draws)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=400)
    asked = parser.parse_args(arguments)
    head = (
        "points",
        "blocks",
        "fills a block",
        "lag 1",
        "truth",
        "ours",
        "SPA",
        "deflated Sharpe",
        "best in region",
    )
    sys.stdout.write(f"| {' | '.join(head)} |\n{'|---' * len(head)}|\n")
    for case in CASES:
        truth = "all equal" if case.shape == "equal" else f"{case.shape}, {case.bps:g} bps"
        cells = (case.points, case.blocks, f"{case.fills_a_block:g}", f"{case.lag_1:g}", truth)
        found = (f"{share:.1%}" for share in shares(case, asked.draws))
        sys.stdout.write(f"| {' | '.join(map(str, (*cells, *found)))} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
