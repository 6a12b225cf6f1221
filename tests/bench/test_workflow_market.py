"""The proof that the workflow's candidate is better: other draws of the same market, counted by day."""

from pathlib import Path

import pytest
from tests.bench.workflow_market import HOURS, Arm, Day, report, scenario_of

from mmbot.config.scenario import load_scenario
from mmbot.units import HOUR

ROOT = Path(__file__).parents[2]


def test_a_seed_is_a_day_of_the_same_market_that_no_scenario_has(tmp_path: Path):
    shipped = load_scenario("demo-14d", ROOT / "scenarios")[0]
    drawn = []
    for seed in (1, 2):
        scenario_of(seed, tmp_path)
        day, overlay = load_scenario("day", tmp_path)
        assert day.duration_ns == HOURS * HOUR
        assert overlay.data == load_scenario("demo-14d", ROOT / "scenarios")[1].data
        assert [one.key for one in day.instruments] == [one.key for one in shipped.instruments]
        drawn += [market.seed for market in day.markets]
    assert len({*drawn, *(market.seed for market in shipped.markets)}) == 6


def test_every_day_is_worth_the_same():
    days = [
        Day(1, "overlay", {"A": Arm(-4.0, -100.0, 1_000), "B": Arm(-1.0, -10.0, 10)}),
        Day(2, "overlay", {"A": Arm(-2.0, -50.0, 1_000), "B": Arm(-1.9, -20.0, 500)}),
    ]
    lines = list(report(days))
    assert lines[2].startswith("| net, bps a fill | -3.00 (")
    assert "| +1.55 (" in lines[2]
    assert lines[-1].endswith("Better by more than 0.2 bps in 1 of 2 days.")
    with pytest.raises(SystemExit, match="more than one overlay"):
        list(report([days[0], Day(2, "other", days[1].arms)]))
