"""The fit finds what a market was made with, says how sure it is, and refuses what does not show it."""

from collections.abc import Iterator

import numpy as np
import pytest
from tests.mmbot.builders import START_NS, confirmed, snapshot, trade

from mmbot.calibration.glft import CalibrationError, Intensities, fit
from mmbot.calibration.reach import Reach
from mmbot.model.events import MarketEvent
from mmbot.model.instrument import Side
from mmbot.units import SECOND

MID = 1_000_000
"""Ticks; a tick is 0.01 bps."""


def market(
    intensity_per_s: float, decay_per_bps: float, seconds: int, seed: int, quiet_share: float = 0.0
) -> Iterator[MarketEvent]:
    """Trades of each side arrive at random and go as far from a fixed mid as an exponential draw says.

    `quiet_share`: of every 1000 s nothing arrives in this share, and more in the rest; the mean is the same.
    """
    draws = np.random.default_rng(seed)
    yield snapshot([(MID - 1, 1)], [(MID + 1, 1)])
    prints = []
    for side in Side:
        count = draws.poisson(intensity_per_s * seconds)
        at_s = draws.uniform(0, seconds, count)
        at_s = at_s // 1_000 * 1_000 + at_s % 1_000 * (1 - quiet_share)
        far = draws.exponential(1 / decay_per_bps, count)
        prints += [(moment, side, distance) for moment, distance in zip(at_s, far, strict=True)]
    for moment, side, distance in sorted(prints):
        tick = MID + side * round(distance * 100)
        yield trade(side, tick, 1, ns=START_NS + int(moment * SECOND))
    yield confirmed(START_NS + seconds * SECOND)


def fitted(events: Iterator[MarketEvent], nearest_bps: float = 0.0, window_s: float = 1.0) -> Intensities:
    reach = Reach(round(window_s * SECOND))
    reach.take(events)
    return fit(reach, nearest_bps)


@pytest.mark.parametrize(
    ("intensity", "decay", "window_s"), [(0.5, 0.4, 1.0), (0.05, 0.1, 1.0), (3.0, 2.0, 1.0), (0.5, 0.4, 5.0)]
)
def test_known_intensities_are_found_within_their_stated_errors(
    intensity: float, decay: float, window_s: float
):
    found = fitted(market(intensity, decay, 20_000, 1), window_s=window_s)
    assert found.intensity_per_s == pytest.approx(intensity, abs=3 * found.intensity_error_per_s)
    assert found.decay_per_bps == pytest.approx(decay, abs=3 * found.decay_error_per_bps)
    assert found.intensity_error_per_s < 0.06 * intensity
    assert found.decay_error_per_bps < 0.06 * decay
    assert 0.1 < found.chi2_per_freedom < 3
    assert found.worst.factor < 1.2


def test_stated_errors_are_those_of_many_markets():
    """Over thirty markets the errors made are as large as the errors stated."""
    off = []
    for seed in range(30):
        found = fitted(market(0.3, 0.5, 2_000, seed))
        off.append((found.intensity_per_s - 0.3) / found.intensity_error_per_s)
        off.append((found.decay_per_bps - 0.5) / found.decay_error_per_bps)
    assert 0.5 < np.mean(np.square(off)) < 1.8


def test_a_market_in_bursts_is_known_less_well_than_one_that_trades_as_much_all_the_time():
    steady, bursts = (fitted(market(0.05, 0.4, 20_000, 3, quiet_share)) for quiet_share in (0.0, 0.8))
    assert bursts.intensity_per_s == pytest.approx(steady.intensity_per_s, rel=0.25)
    assert bursts.intensity_error_per_s > 2 * steady.intensity_error_per_s


def test_a_law_that_begins_away_from_the_touch_is_fitted_from_there():
    """Beside it, a hundred times as many trades at the touch."""

    def two_laws() -> Iterator[MarketEvent]:
        first, *far = market(0.2, 0.5, 10_000, 5)
        *near, last = list(market(5.0, 50.0, 10_000, 6))[1:]
        yield first
        yield from sorted([*far[:-1], *near], key=lambda event: event.recv_ns)
        yield last

    with pytest.raises(CalibrationError, match="the exponential law does not hold: at"):
        fitted(two_laws())
    found = fitted(two_laws(), nearest_bps=0.5)
    assert found.decay_per_bps == pytest.approx(0.5, abs=3 * found.decay_error_per_bps)
    assert found.intensity_per_s == pytest.approx(0.2, abs=3 * found.intensity_error_per_s)
    assert found.rates[0].distance_bps >= 0.5


def test_a_market_that_hardly_trades_is_not_enough_evidence():
    with pytest.raises(CalibrationError, match=r"not enough evidence: \d+ times .* expected 100"):
        fitted(market(0.01, 0.4, 1_000, 1))


def far_trades(distances_ticks: list[int], each: int) -> Iterator[MarketEvent]:
    """Every distance that often, a window each, on one side."""
    yield snapshot([(MID - 1, 1)], [(MID + 1, 1)])
    seconds = 1
    for _ in range(each):
        for distance in distances_ticks:
            yield trade(Side.BUY, MID + distance, 1, ns=START_NS + seconds * SECOND)
            seconds += 1
    yield confirmed(START_NS + seconds * SECOND)


def test_trades_at_one_distance_say_nothing_of_how_rates_fall():
    with pytest.raises(CalibrationError, match="not enough evidence"):
        fitted(far_trades([1], 200))


def test_rates_that_do_not_fall_are_refused():
    with pytest.raises(CalibrationError, match="not enough evidence: rates do not fall with distance"):
        fitted(far_trades([500], 200))


def test_the_rates_are_those_of_the_counts():
    found = fitted(market(0.5, 0.4, 5_000, 2))
    for rate in found.rates:
        share = rate.reached / found.observations
        assert rate.observed_per_s == pytest.approx(-np.log(1 - share))
        law = found.intensity_per_s * np.exp(-found.decay_per_bps * rate.distance_bps)
        assert rate.fitted_per_s == pytest.approx(law)
    assert [rate.reached for rate in found.rates] == sorted(
        (rate.reached for rate in found.rates), reverse=True
    )
