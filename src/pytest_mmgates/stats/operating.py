"""What a plan would do if the truth were known: how often it accepts, and when, by simulation.

A plan that accepts a useless change too often, or a good one too seldom, is seen to do so before it starts.
Differences of pairs are drawn with the heavy tails of markets (Student's t with 4 degrees of freedom) and the
standard deviation that was measured; seeds are fixed, so the table of a plan is always the same.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_mmgates.stats.acceptance import Acceptance, Decision
from pytest_mmgates.stats.sequence import Floats

EFFECTS_BPS = (-0.2, 0.0, 0.1, 0.2, 0.3, 0.4)
RUNS = 2_000
_TAILS = 4
_SD_OF_T = math.sqrt(_TAILS / (_TAILS - 2))
_CODES = (Decision.ACCEPT, Decision.HARM, Decision.FUTILE)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """First final decisions of experiments, (runs,) each: which, after how many values, the estimate then and
    its lower bound.
    """

    decisions: NDArray[np.str_]
    n: NDArray[np.int64]
    estimates: Floats
    lows: Floats

    def share(self, *decisions: Decision) -> float:
        return float(np.isin(self.decisions, [str(decision) for decision in decisions]).mean())

    @property
    def accepted(self) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = self.decisions == str(Decision.ACCEPT)
        return found

    @property
    def estimate_of_accepted(self) -> float:
        """Mean of those that were accepted; nan where none was. Less the truth it is the winner's curse."""
        return float(self.estimates[self.accepted].mean()) if self.accepted.any() else float("nan")


@dataclass(frozen=True, slots=True)
class Characteristic:
    """What a plan does at one true effect. `pairs`: the median until it ends."""

    effect_bps: float
    accept: float
    reject: float
    undecided: float
    pairs: float


def first_decisions(values: Floats, rule: Acceptance) -> Outcomes:
    """Of experiments side by side, (runs, n) in bps, each looked at after every value from the first look
    on: what `Acceptance.run` says of each row.
    """
    values = values[:, : rule.most]
    counts = np.arange(1, values.shape[1] + 1)
    means = np.cumsum(values, axis=1) / counts
    before = np.concatenate((np.zeros((len(values), 1)), means[:, :-1]), axis=1)
    squares = np.cumsum((values - before) * (values - means), axis=1)
    reach = np.sqrt(squares / np.maximum(counts - 1, 1)) * rule.sequence.widths(counts)
    may = counts >= rule.first_look
    accept = (means - reach > 0) & (means >= rule.floor_bps) & may
    harm = (means + reach < 0) & may & ~accept
    futile = (means + reach < rule.floor_bps) & may & ~accept & ~harm
    ended = accept | harm | futile
    at = np.where(ended.any(axis=1), ended.argmax(axis=1), values.shape[1] - 1)
    rows = np.arange(len(values))
    last = Decision.INCONCLUSIVE if values.shape[1] >= rule.most else Decision.GO_ON
    decisions = np.full(len(values), str(last), dtype="<U16")
    for decision, found in zip(_CODES, (accept, harm, futile), strict=True):
        decisions[found[rows, at]] = str(decision)
    return Outcomes(decisions, at + 1, means[rows, at], (means - reach)[rows, at])


def heavy_tailed(shape: tuple[int, int], *, deviation_bps: float, seed: int) -> Floats:
    """Draws with mean 0 and this standard deviation."""
    draws: Floats = np.random.default_rng(seed).standard_t(_TAILS, size=shape) * (deviation_bps / _SD_OF_T)
    return draws


def characteristics(
    rule: Acceptance,
    *,
    deviation_bps: float,
    seed: int,
    effects_bps: Sequence[float] = EFFECTS_BPS,
    runs: int = RUNS,
) -> list[Characteristic]:
    """One line for each true effect; the same draws for all, so lines differ by the effect alone."""
    noise = heavy_tailed((runs, rule.most), deviation_bps=deviation_bps, seed=seed)
    return [_at(rule, noise, effect_bps) for effect_bps in effects_bps]


def pairs_to_accept(
    rule: Acceptance, *, effect_bps: float, deviation_bps: float, seed: int, asked: float = 0.8
) -> int | None:
    """After how many pairs the asked share of experiments was accepted, None: not even after the most."""
    noise = heavy_tailed((RUNS, rule.most), deviation_bps=deviation_bps, seed=seed)
    return _pairs_at(rule, noise + effect_bps, asked)


def smallest_accepted_bps(rule: Acceptance, *, deviation_bps: float, seed: int, asked: float = 0.8) -> float:
    """The smallest effect that is accepted in the asked share of experiments, to a hundredth of the
    floor.
    """
    noise = heavy_tailed((RUNS, rule.most), deviation_bps=deviation_bps, seed=seed)
    low, high = rule.floor_bps, rule.floor_bps + 4 * deviation_bps
    while high - low > 0.01 * rule.floor_bps:
        middle = (low + high) / 2
        low, high = (low, middle) if _pairs_at(rule, noise + middle, asked) else (middle, high)
    return high


def _pairs_at(rule: Acceptance, values: Floats, asked: float) -> int | None:
    found = first_decisions(values, rule)
    ended = np.sort(found.n[found.accepted])
    last = math.ceil(asked * len(values)) - 1
    return int(ended[last]) if len(ended) > last else None


def _at(rule: Acceptance, noise: Floats, effect_bps: float) -> Characteristic:
    found = first_decisions(noise + effect_bps, rule)
    return Characteristic(
        effect_bps,
        accept=found.share(Decision.ACCEPT),
        reject=found.share(Decision.HARM, Decision.FUTILE),
        undecided=found.share(Decision.INCONCLUSIVE, Decision.GO_ON),
        pairs=float(np.median(found.n)),
    )
