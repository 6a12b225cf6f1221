"""Playing until it is decided, after a time at the least: how often that is wrong, and how much sooner it
ends. `pytest -m stats tests/pytest_mmgates/stats/test_until_decided.py -rP` tells counts, with exact limits.

The noise of a pair is that of `test_demands.py`; 336 pairs are 14 days of one symbol, 7 of two.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import beta
from tests.pytest_mmgates.experiment.recorded import HOUR, RULE, SOURCES, block, facts, planned, variant

from pytest_mmgates.experiment.decide import decide
from pytest_mmgates.stats.acceptance import Acceptance, Decision
from pytest_mmgates.stats.operating import first_decisions, heavy_tailed
from pytest_mmgates.stats.sequence import Sequence

PAIRS = 336
DEVIATION_BPS = 0.0714 * math.sqrt(PAIRS)
FIRST_LOOK = 24
ALLOWED = 0.025
"""Of two equal arms."""


@dataclass(frozen=True)
class Ended:
    """Of many stages: which were accepted, and after how many pairs each ended."""

    accepted: np.ndarray
    pairs: np.ndarray


def played(values: np.ndarray, minimum: int) -> Ended:
    """Stages of differences in bps, (runs, pairs), each played until it is decided: before `minimum` pairs
    nothing but harm is.
    """
    sequence = Sequence.tuned(1 - 0.975, PAIRS)
    looks = Acceptance(sequence, 0.2, max(FIRST_LOOK, minimum), values.shape[1])
    found = first_decisions(values, looks)
    counts = np.arange(1, minimum)
    means = values[:, : minimum - 1].cumsum(axis=1) / counts
    squares = (values[:, : minimum - 1] ** 2).cumsum(axis=1) - counts * means**2
    reach = np.sqrt(squares / np.maximum(counts - 1, 1)) * sequence.widths(counts)
    harm = (means + reach < 0) & (counts >= FIRST_LOOK)
    early = harm.any(axis=1)
    return Ended(found.accepted & ~early, np.where(early, harm.argmax(axis=1) + 1, found.n))


@pytest.mark.parametrize("minimum", [24, 40])
@pytest.mark.parametrize("effect_bps", [-0.8, 0.0, 0.6])
def test_it_is_what_the_product_decides(effect_bps: float, minimum: int) -> None:
    """Of one symbol in blocks of an hour: a pair takes two."""
    values = heavy_tailed((6, 60), deviation_bps=1.0, seed=31) + effect_bps
    found = played(values, minimum)
    blocks = planned(60)
    known = facts(
        blocks=blocks, max_pairs=PAIRS, least_duration_ns=0, minimum_ns=2 * minimum * HOUR, washout_ns=0
    )
    for row, accepted, pairs in zip(values, found.accepted, found.pairs, strict=True):
        records = [block(one, float(row[one.pair]) * (one.arm == "B")) for one in blocks]
        [decided] = decide(known, RULE, SOURCES, [variant(known, records, status="running")]).variants
        assert (decided.decision is Decision.ACCEPT, decided.looks) == (accepted, pairs)


def limits(hits: int, runs: int) -> str:
    """Exact 95 % (Clopper, Pearson, Biometrika 1934)."""
    low = 0.0 if not hits else beta.ppf(0.025, hits, runs - hits + 1)
    high = 1.0 if hits == runs else beta.ppf(0.975, hits + 1, runs - hits)
    return f"{hits} of {runs} ({low:.2%} to {high:.2%})"


def test_two_equal_arms_are_seldom_accepted() -> None:
    values = heavy_tailed((2_000, PAIRS), deviation_bps=DEVIATION_BPS, seed=32)
    accepted = played(values, 72).accepted.mean()
    assert accepted <= ALLOWED
    assert played(values + 0.4, 72).accepted.mean() > 0.98, "it would be seen"


@pytest.mark.stats
@pytest.mark.parametrize("minimum", [24, 72, 168])
def test_two_equal_arms_whatever_the_minimum(record_property: Callable[..., None], minimum: int) -> None:
    runs = 20_000
    found = played(heavy_tailed((runs, PAIRS), deviation_bps=DEVIATION_BPS, seed=33), minimum)
    hits = int(found.accepted.sum())
    told = f"accepted {limits(hits, runs)}, ended after {np.median(found.pairs):.0f} pairs (median)"
    record_property(f"A/A, at least {minimum} pairs", told)
    print(f"A/A, at least {minimum} pairs: {told}")  # noqa: T201
    assert hits / runs <= ALLOWED + 2.576 * math.sqrt(ALLOWED * (1 - ALLOWED) / runs)


@pytest.mark.stats
@pytest.mark.parametrize("effect_bps", [0.3, 0.4, 1.0])
def test_a_good_change_is_accepted_sooner_than_at_the_end(
    record_property: Callable[..., None], effect_bps: float
) -> None:
    """Beside the stages that play all 336 pairs, or 24 h of two symbols, and are looked at once, then."""
    runs = 5_000
    values = heavy_tailed((runs, PAIRS), deviation_bps=DEVIATION_BPS, seed=34) + effect_bps
    found, at_the_end, day = played(values, 24), played(values, PAIRS), played(values[:, :24], 24)
    told = (
        f"accepted {limits(int(found.accepted.sum()), runs)}, after"
        f" {np.median(found.pairs[found.accepted]):.0f} of {PAIRS} pairs (median; mean of all stages"
        f" {found.pairs.mean():.0f}); at the end of all pairs {limits(int(at_the_end.accepted.sum()), runs)};"
        f" after 24 pairs {limits(int(day.accepted.sum()), runs)}"
    )
    record_property(f"{effect_bps:+}", told)
    print(f"{effect_bps:+}: {told}")  # noqa: T201
    assert found.accepted.mean() > 0.9
    assert found.pairs.mean() < 0.7 * PAIRS
