"""Latency models: order kept, seeds honoured, names that a report can print."""

import math
from itertools import pairwise
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS

from mmbot.errors import ConfigError
from mmbot.sim.latency import Channel, LatencySettings
from mmbot.units import MS

CONSTANT = LatencySettings("constant", 5.0)
NORMAL = LatencySettings("lognormal", 5.0, 0.3)

gaps = st.lists(st.integers(0, 20 * MS), min_size=1, max_size=40)


def moments(steps: list[int]) -> list[int]:
    return [START_NS + sum(steps[: index + 1]) for index in range(len(steps))]


@given(st.sampled_from([CONSTANT, NORMAL, LatencySettings("lognormal", 5.0, 2.0)]), gaps, st.integers(0, 99))
def test_messages_arrive_after_they_were_sent_and_in_order(
    settings: LatencySettings, steps: list[int], seed: int
):
    channel = Channel(settings, (seed,))
    sent = moments(steps)
    due = [channel.due(now_ns) for now_ns in sent]
    assert all(arrived >= now_ns for arrived, now_ns in zip(due, sent, strict=True))
    assert due == sorted(due)


@given(st.sampled_from([CONSTANT, NORMAL]), gaps, st.integers(0, 99))
def test_read_backwards_messages_were_sent_before_they_arrived_and_in_order(
    settings: LatencySettings, steps: list[int], seed: int
):
    channel = Channel(settings, (seed,))
    arrived = moments(steps)
    sent = [channel.sent(now_ns) for now_ns in arrived]
    assert all(left <= now_ns for left, now_ns in zip(sent, arrived, strict=True))
    assert sent == sorted(sent)


def test_a_constant_latency_is_constant():
    channel = Channel(CONSTANT, (1,))
    assert [channel.due(START_NS + step * MS) for step in range(3)] == [
        START_NS + (5 + step) * MS for step in range(3)
    ]
    assert Channel(CONSTANT, (1,)).sent(START_NS) == START_NS - 5 * MS


def drawn(seed: tuple[int, ...], count: int = 4_000, settings: LatencySettings = NORMAL) -> list[float]:
    """Latencies in ms of messages far apart."""
    channel = Channel(settings, seed)
    return [
        (channel.due(START_NS + index * 10**10) - START_NS - index * 10**10) / MS for index in range(count)
    ]


def test_a_lognormal_latency_has_its_median_and_its_sigma():
    latencies = drawn((1,))
    logs = [math.log(latency / 5.0) for latency in latencies]
    assert median(latencies) == pytest.approx(5.0, rel=0.03)
    assert math.sqrt(math.fsum(value * value for value in logs) / len(logs)) == pytest.approx(0.3, rel=0.05)
    assert min(latencies) > 0


def test_the_seed_is_the_stream():
    assert drawn((1, 0, 2), 50) == drawn((1, 0, 2), 50)
    for other in ((2, 0, 2), (1, 1, 2), (1, 0, 3)):
        assert drawn((1, 0, 2), 50) != drawn(other, 50)


def test_a_negative_seed_is_a_config_error():
    with pytest.raises(ConfigError, match=r"seed was \(-1, 0\)"):
        Channel(NORMAL, (-1, 0))


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (CONSTANT, "constant(median 5 ms)"),
        (NORMAL, "lognormal(median 5 ms, sigma 0.3)"),
        (LatencySettings("constant", 0.25), "constant(median 0.25 ms)"),
        (LatencySettings("lognormal", 5.0, 0.3, 20.0), "lognormal(median 5 ms, sigma 0.3, at least 20 ms)"),
    ],
)
def test_a_model_is_named_with_its_parameters(settings: LatencySettings, name: str):
    assert settings.name == name


@pytest.mark.parametrize(
    ("model", "median_ms", "sigma", "floor_ms"),
    [
        ("constant", -1.0, 0.0, 0.0),
        ("constant", math.nan, 0.0, 0.0),
        ("constant", math.inf, 0.0, 0.0),
        ("constant", 5.0, 0.1, 0.0),
        ("lognormal", 5.0, -0.1, 0.0),
        ("lognormal", 5.0, math.nan, 0.0),
        ("lognormal", 5.0, 0.3, -1.0),
        ("constant", 5.0, 0.0, math.nan),
    ],
)
def test_numbers_that_are_no_latency_are_refused(model: str, median_ms: float, sigma: float, floor_ms: float):
    with pytest.raises(ValueError, match="latency"):
        LatencySettings(model, median_ms, sigma, floor_ms)  # type: ignore[arg-type]


def test_no_latency_is_below_its_floor_and_those_above_it_are_what_they_were():
    bounded = drawn((1,), settings=LatencySettings("lognormal", 5.0, 0.3, 5.0))
    assert bounded == [max(latency, 5.0) for latency in drawn((1,))]
    assert set(drawn((1,), 9, LatencySettings("constant", 5.0, 0.0, 20.0))) == {20.0}


def test_latencies_drawn_block_by_block_do_not_repeat():
    assert len(set(drawn((1,), 3_000))) > 2_990
    assert all(one != other for one, other in pairwise(drawn((1,), 3_000)))
