"""Switchbacks as a market would answer them: many at once, in rows of five minutes.

An arm's effect does not begin at its switch: it approaches with a time constant (carry-over). Noise is white
with heavy tails, a slow part with a half-life of two hours, and a daily swing, at a size that gives the
estimate of 14 days a standard error near 0.064 bps.
"""

from dataclasses import dataclass

import numpy as np

ROWS = 12
"""Of a block of 60 minutes."""
ROW_MIN = 5.0


@dataclass(frozen=True)
class Switchbacks:
    """`arm` is 1 for B, (runs, pairs, 2); `value` in bps, (runs, pairs, 2, ROWS)."""

    arm: np.ndarray
    value: np.ndarray

    def differences(self, washout_rows: int) -> np.ndarray:
        """B less A of each pair, (runs, pairs)."""
        sign = np.where(self.arm == 1, 1.0, -1.0)
        return (self.value[..., washout_rows:].mean(axis=-1) * sign).sum(axis=-1)


def switchbacks(
    runs: int,
    pairs: int,
    *,
    effect_bps: float,
    constant_min: float,
    seed: int,
    white_bps: float = 1.2,
    slow_bps: float = 0.9,
    correlation: float | None = None,
) -> Switchbacks:
    """`correlation`: of the noise from hour to hour, instead of the two hours' half-life."""
    draws = np.random.default_rng(seed)
    coin = draws.random((runs, pairs)) < 0.5
    arm = np.stack([coin, ~coin], axis=-1).astype(float)
    effect = _relaxing(np.repeat(arm.reshape(runs, -1), ROWS, axis=1), constant_min)
    keep = 0.5 ** (ROW_MIN / 120) if correlation is None else correlation ** (1 / ROWS)
    count = effect.shape[1]
    white = draws.standard_t(4, size=(runs, count)) * (white_bps / np.sqrt(2))
    swing = 0.5 * np.sin(2 * np.pi * np.arange(count) * ROW_MIN / 1440)
    value = effect_bps * effect + slow_bps * _autoregressive(draws, runs, count, keep) + white + swing
    return Switchbacks(arm, value.reshape(runs, pairs, 2, ROWS))


def positions(runs: int, blocks: int, *, constant_min: float, elapsed_min: float, seed: int):
    """Of an inventory that forgets with this constant: at the start of each block, and so long after; (runs,
    blocks) each.
    """
    draws = np.random.default_rng(seed)
    rows = _autoregressive(draws, runs, blocks * ROWS + ROWS, float(np.exp(-ROW_MIN / constant_min)))
    at = np.arange(blocks) * ROWS
    return 1_000 * rows[:, at], 1_000 * rows[:, at + round(elapsed_min / ROW_MIN)]


def _relaxing(target: np.ndarray, constant_min: float) -> np.ndarray:
    """Mean over each row of what approaches its target with this constant."""
    if not constant_min:
        return target
    left = np.exp(-ROW_MIN / constant_min)
    mean = constant_min / ROW_MIN * (1 - left)
    found, state = np.empty_like(target), np.zeros(len(target))
    for row in range(target.shape[1]):
        away = state - target[:, row]
        found[:, row] = target[:, row] + away * mean
        state = target[:, row] + away * left
    return found


def _autoregressive(draws: np.random.Generator, runs: int, count: int, keep: float) -> np.ndarray:
    """Standard deviation 1."""
    shocks = draws.standard_normal((count, runs)) * np.sqrt(1 - keep**2)
    found = np.empty((count, runs))
    state = draws.standard_normal(runs)
    for row in range(count):
        state = keep * state + shocks[row]
        found[row] = state
    return found.T
