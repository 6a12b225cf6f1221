"""What is predicted of a rule is what its own state machine does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mmgates.rules import parse_rule
from pytest_mmgates.stats import alarms
from pytest_mmgates.units import Dimension
from pytest_mmgates.watch.hold import Hold, Now
from pytest_mmgates.watchrules import parse_watch_rule

MISSES = parse_watch_rule(
    "deadline_miss.ratio[5m] > 5% for 10m clear 4%, n >= 300, fast [2m] > 15% for 1m, n >= 120"
)


def stepped(condition, values):
    """At which looks the machine itself fires; None is a look without a value."""
    hold, fired, at = Hold(condition, Dimension.RATIO), False, []
    for look, value in enumerate(values):
        now = hold.look(look, value)
        if now is Now.CLEARED:
            fired = False
        elif now is Now.HOLDS and hold.fires and not fired:
            fired = True
            at.append(look)
    return at


@given(
    st.lists(st.none() | st.integers(0, 10), min_size=1, max_size=80),
    st.sampled_from(["", " for 10s", " for 50s"]),
    st.sampled_from(["", " clear 30%"]),
)
@settings(max_examples=100)
def test_arrays_fire_when_the_machine_fires(tenths, hold, clear):
    rule = parse_watch_rule(f"deadline_miss.ratio[10s] > 50%{hold}{clear}")
    bad = np.array([[0 if one is None else one for one in tenths]])
    n = np.array([[0 if one is None else 10 for one in tenths]])
    fired = alarms._fires(alarms._codes(rule, rule.slow, bad, n), rule.slow)[0]
    values = [None if one is None else one / 10 for one in tenths]
    assert np.flatnonzero(fired).tolist() == stepped(rule.slow, values)


def test_the_stop_rule_of_the_soak_is_predicted_as_it_was_measured():
    """docs/writing-gates.md: at most one halt in 100 days; medians of 11.5 and 2.8 min at 10 and 20 %."""
    found = alarms.false_alarms(MISSES, days=100)
    assert found.healthy == pytest.approx(0.02)
    assert found.fires <= 1
    assert found.at_most <= 0.03
    by_value = {round(one.value, 3): one for one in alarms.times_to_find(MISSES)}
    assert by_value[0.1].median_s == pytest.approx(11.5 * 60, abs=30)
    assert by_value[0.2].median_s == pytest.approx(2.8 * 60, abs=20)
    assert by_value[0.2].share == 1


def test_a_rule_that_is_too_eager_is_seen_to_cry_wolf():
    eager = parse_watch_rule("deadline_miss.ratio[30s] > 5%")
    found = alarms.false_alarms(eager, days=20)
    assert found.fires > 100
    assert found.at_most > found.fires / 20


@pytest.mark.parametrize(
    ("text", "healthy"),
    [("md_cache.hit_ratio[5m] < 50% for 30m", 0.8), ("taker_share[1h] > 15% for 10m, n >= 100", 0.06)],
)
def test_healthy_is_two_fifths_of_what_may_be_bad(text, healthy):
    assert alarms.false_alarms(parse_watch_rule(text), days=2).healthy == pytest.approx(healthy)


def test_a_whole_run_fails_by_chance_only_where_it_is_short():
    rule = parse_rule("deadline_miss.ratio < 2%")
    short, long = alarms.false_failures(rule, 120, runs=500), alarms.false_failures(rule, 3600, runs=500)
    assert short.fires > 20
    assert long.fires == 0


def test_a_quantile_fails_when_more_ticks_than_it_leaves_out_are_above_its_limit():
    median, p95 = (parse_rule(f"tick_total.{name} <= 150ms") for name in ("p50", "p95"))
    found = [alarms.false_failures(rule, 120, runs=500) for rule in (median, p95)]
    assert [one.healthy for one in found] == pytest.approx([0.2, 0.02])
    share = parse_rule("deadline_miss.ratio <= 5%")
    assert found[1].fires == alarms.false_failures(share, 120, runs=500).fires > 0


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("tick_total.p95 <= 150ms", True),
        ("tick_total.p95 >= 1ms", False),
        ("tick_total.max <= 150ms", False),
        ("net_bps >= 0bps", False),
    ],
)
def test_a_quantile_of_ticks_is_predicted(text, is_one):
    assert alarms.is_predictable(parse_rule(text)) is is_one


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("deadline_miss.ratio[5m] > 5%", True),
        ("deadline_miss.ratio[5m] < 5%", False),
        ("memory.slope[2h] > 100MB/h", False),
        ("md_cache.hit_ratio[5m] < 50%", True),
    ],
)
def test_what_no_rate_describes_is_not_predicted(text, is_one):
    assert alarms.is_predictable(parse_watch_rule(text)) is is_one


def test_a_prediction_is_always_the_same():
    assert alarms.false_alarms(MISSES, days=5) == alarms.false_alarms(MISSES, days=5)
