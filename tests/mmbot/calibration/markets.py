"""Fills of a market whose need is known, by the weights that are quoted: what a replay would bring."""

from dataclasses import dataclass

import numpy as np
from tests.mmbot.builders import START_NS

from mmbot.calibration.spread_need import Bounds, Fills, Weights, half_spread_bps
from mmbot.units import SECOND

BOUNDS = Bounds(2.0, 40.0)
HOUR_NS = 3_600 * SECOND


@dataclass(frozen=True)
class Market:
    """A fill needs `need` at its scores, `selection` more for each bps that is asked, and noise of
    `noise_bps`. Quotes are filled the less the wider they are. Volatility moves from stretch to stretch,
    liquidity from fill to fill; the other scores stay at 0.
    """

    need: Weights
    selection: float = 0.0
    noise_bps: float = 5.0
    hours: int = 36
    fills_per_hour: float = 60.0
    decay_per_bps: float = 0.08
    seed: int = 1

    def __call__(self, quoted: Weights) -> Fills:
        draws = np.random.default_rng(self.seed)
        count = round(self.hours * self.fills_per_hour)
        ts_ns = START_NS + np.sort(draws.integers(0, self.hours * HOUR_NS, count))
        stretch = (ts_ns - START_NS) // (HOUR_NS // 4)
        moods = np.clip(draws.uniform(-0.4, 1.2, self.hours * 4), 0.0, 1.0)
        scores = np.zeros((count, 4))
        scores[:, 0] = moods[stretch]
        scores[:, 1] = np.clip(draws.uniform(-0.5, 0.5, count), 0.0, 1.0)
        asked_bps = half_spread_bps(quoted, BOUNDS, scores)
        needed_bps = self.need.base_bps + scores @ np.array(self.need[1:]) + self.selection * asked_bps
        needed_bps += self.noise_bps * draws.standard_normal(count)
        filled = draws.uniform(size=count) < np.exp(-self.decay_per_bps * asked_bps)
        weight = draws.uniform(50.0, 150.0, count)
        columns = (ts_ns, weight, asked_bps - needed_bps, asked_bps - needed_bps + 2.0, asked_bps, scores)
        return Fills(*(column[filled] for column in columns))
