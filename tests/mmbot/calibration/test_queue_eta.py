"""Waits drawn at a known speed are measured at it; what says nothing is refused."""

import numpy as np
import pytest

from mmbot.calibration.queue_eta import Waits, measure
from mmbot.errors import CalibrationError
from mmbot.units import SECOND

BLOCK_NS = 600 * SECOND


def waits(speed: float, looks: int = 20_000, seed: int = 1, **etas: float) -> Waits:
    """A look a second at an order whose queue is gone in 2 to 90 s; `etas`: by how much faster above 20 s."""
    draws = np.random.default_rng(seed)
    eta_s = draws.uniform(2.0, 90.0, looks)
    real = speed * np.where(eta_s > 20.0, etas.get("above_20_s", 1.0), 1.0)
    filled = draws.exponential(eta_s / real) < 1.0
    return Waits(np.arange(looks) * SECOND, eta_s, np.ones(looks), filled)


@pytest.mark.parametrize("speed", [0.2, 1.0, 3.0])
def test_a_known_speed_lies_within_its_interval(speed: float):
    found = measure(waits(speed), BLOCK_NS)
    assert found.speed.low < speed < found.speed.high < 1.4 * found.speed.low
    assert found.off == (speed != 1.0)
    assert found.max_eta_s(20.0) == pytest.approx(20.0 * speed, rel=0.15)
    assert sum(one.looks for one in found.stretches) == found.looks == 20_000
    assert sum(one.fills for one in found.stretches) == found.fills


def test_looks_that_are_long_against_the_eta_do_not_hide_fills():
    """A look a minute: most orders fill in between, and only once each."""
    draws = np.random.default_rng(2)
    eta_s = draws.uniform(20.0, 90.0, 5_000)
    filled = draws.exponential(eta_s / 2.0) < 60.0
    found = measure(Waits(np.arange(5_000) * 60 * SECOND, eta_s, np.full(5_000, 60.0), filled), 60 * BLOCK_NS)
    assert found.speed.value == pytest.approx(2.0, rel=0.1)


def test_without_an_eta_a_look_says_nothing():
    known = waits(1.0)
    more = Waits(*(np.concatenate([column, column[:500]]) for column in known))
    more.eta_s[-500:] = np.repeat([np.nan, np.inf, 0.0, -1.0, np.nan], 100)
    assert measure(more, BLOCK_NS) == measure(known, BLOCK_NS)


def test_an_eta_that_is_off_by_another_factor_for_long_queues_is_no_law():
    with pytest.raises(CalibrationError, match="ETA and wait are not proportional: from 0 to 5 s"):
        measure(waits(1.0, above_20_s=6.0), BLOCK_NS)


def test_few_fills_or_little_time_are_no_evidence():
    with pytest.raises(CalibrationError, match=r"not enough evidence: [0-9]+ fills .*, expected 40 in 8"):
        measure(waits(0.01, looks=5_000), BLOCK_NS)
    with pytest.raises(CalibrationError, match=r"not enough evidence: .* in 1 blocks"):
        measure(waits(1.0), 10**15)
    with pytest.raises(CalibrationError, match="not enough evidence: 0 fills"):
        measure(waits(1.0, looks=0), BLOCK_NS)
