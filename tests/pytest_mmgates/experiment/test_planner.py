"""Whether a plan is worth its time: from runs of arm A alone."""

from pathlib import Path

import numpy as np
import pytest
from tests.pytest_mmgates.experiment.recorded import HOUR, START_NS, S, fill, tick

from pytest_mmgates.errors import ExperimentError
from pytest_mmgates.experiment.planner import Noise, PlanFile, forecast, noise_of, read_plan

PLAN = """
name: wider
block: 60m
washout: 15m
clusters: {one: ["paper:ABCUSDT"]}
switch: apart
max_pairs: 336
floor_bps: 0.2
effect_bps: 0.3
confidence: 0.975
seed: 1
title: keys that the planner does not need
"""
HOURS = 40


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "wider.yaml"
    path.write_text(PLAN)
    return path


@pytest.fixture
def run(foreign_bot, tmp_path):
    """A run of arm A whose hours earn 2 bps with a standard deviation of 0.5."""

    def make(deviation=0.5, hours=HOURS):
        nets = 2.0 + np.random.default_rng(7).normal(0, deviation, hours)
        times = range(START_NS, START_NS + (hours * HOUR + 1200 * S), 60 * S)
        feeds = {
            "pipeline_ticks": [tick(at, "paper:ABCUSDT", "A") for at in times],
            "fills": [
                fill(START_NS + hour * HOUR + at * S, "paper:ABCUSDT", "A", net)
                for hour, net in enumerate(nets)
                for at in range(1000, 3600, 500)
            ],
        }
        manifest = foreign_bot.manifest_of(foreign_bot.SETTINGS, {}) | {
            "run_id": "r1",
            "scenario": "demo",
            "step": "soak",
            "started_ns": START_NS,
            "ended_ns": feeds["pipeline_ticks"][-1]["ts_ns"],
        }
        manifest["config"]["pipeline"]["tick_interval_ms"] = 60_000
        directory = tmp_path / f"run-{deviation}-{hours}"
        foreign_bot.write_feeds(directory, feeds, manifest)
        return directory, nets

    return make


def test_noise_is_what_was_put_in(plan, run):
    directory, nets = run()
    found = noise_of(read_plan(plan), [directory])
    assert found.blocks == HOURS
    assert found.deviation_bps == pytest.approx(nets.std(ddof=1), rel=1e-4)
    assert found.pair_bps == pytest.approx(np.diff(nets)[::2].std(ddof=1), rel=1e-4)


def test_a_plan_says_what_it_takes(plan, run, mmgates):
    code, out, err = mmgates("plan", plan, run(0.5)[0])
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("noise: 0.")
    assert "+0.3 bps at 80 % power takes" in lines[1]
    pairs = int(lines[1].split(" takes ")[1].split(" ")[0])
    assert f"{2 * pairs} h" in lines[1]
    assert [line.split()[0] for line in lines[-6:]] == ["-0.2", "+0.0", "+0.1", "+0.2", "+0.3", "+0.4"]


def test_a_hopeless_plan_is_refused_with_what_could_be_shown(plan, run, mmgates):
    code, _, err = mmgates("plan", plan, run(4.0)[0])
    assert code == 1
    assert "not testable at 0.3; smallest testable effect is " in err
    smallest = float(err.split("effect is ")[1].split(" ")[0])
    assert smallest > 0.5


def test_more_clusters_take_less_time():
    noise = Noise(100, 0.5, 0.0, 0.6)

    def planned(clusters: str, switch: str) -> PlanFile:
        named = {name: [f"paper:{name}"] for name in clusters}
        return PlanFile("p", "60m", "15m", named, switch, 120, 0.2, 0.45, 0.975, 1)

    one, four, together = planned("a", "apart"), planned("abcd", "apart"), planned("abcd", "together")
    hours = [forecast(plan, noise).hours for plan in (one, four, together)]
    assert hours[0] == hours[2] == 4 * hours[1]
    replay = list(forecast(one, noise).replay_hours.values())
    assert replay == sorted(replay, reverse=True)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("60m", "60 minutes", "'60 minutes' is not a duration"),
        ("60m", "60", "Expected `str`, got `int`"),
        ("seed: 1", "", "missing required field `seed`"),
        ("effect_bps: 0.3", "effect_bps: 0.2", "expected effect > floor"),
        ("name: wider", "{", "wider.yaml: "),
        ("max_pairs: 336", "max_pairs: 23", "at least 24 pairs"),
    ],
)
def test_a_plan_that_cannot_be_is_one_line(plan, old, new, message):
    plan.write_text(PLAN.replace(old, new))
    with pytest.raises(ExperimentError) as caught:
        read_plan(plan)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_runs_that_say_nothing_are_refused(plan, run, tmp_path):
    read = read_plan(plan)
    with pytest.raises(ExperimentError, match="11 blocks of 60m in 1 runs"):
        noise_of(read, [run(hours=11)[0]])
    with pytest.raises(ExperimentError, match="0 blocks of 60m in 0 runs"):
        noise_of(read, [])
    plan.write_text(PLAN.replace("ABCUSDT", "XYZUSDT"))
    with pytest.raises(ExperimentError, match="paper:ABCUSDT in no cluster of plan wider"):
        noise_of(read_plan(plan), [run(0.4)[0]])
    with pytest.raises(ExperimentError, match="cannot be read"):
        read_plan(Path(tmp_path / "none.yaml"))
