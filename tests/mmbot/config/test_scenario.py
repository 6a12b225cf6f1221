"""Scenario files: those that ship load, and a wrong one is an error naming file, line and key."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.mmbot.builders import MARKET, REPO, START_NS, linear, scenario_file

from mmbot.config.scenario import load_scenario
from mmbot.config.settings import load_settings
from mmbot.errors import ConfigError
from mmbot.units import SECOND

SHIPPED = sorted(path.stem for path in (REPO / "scenarios").glob("*.yaml"))


def refused(folder: Path, name: str = "short") -> str:
    with pytest.raises(ConfigError) as caught:
        load_scenario(name, folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def line_of(path: Path, key: str) -> int:
    return next(n for n, line in enumerate(path.read_text().splitlines(), start=1) if f'"{key}"' in line)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_scenario_loads_with_its_settings(name: str):
    scenario, overlay = load_scenario(name, REPO / "scenarios")
    assert load_settings([REPO / "config.yaml"], overlay)
    assert scenario.duration_ns == 3_600 * SECOND
    assert (scenario.kind == "synthetic") == (scenario.market is not None) == (not scenario.feeds)


def test_the_four_scenarios_of_the_workflow_ship():
    assert {"demo", "nexo-24h", "btcusdt-8m", "eth-3venues"} <= set(SHIPPED)


def test_an_unknown_scenario_lists_what_there_is(tmp_path: Path):
    scenario_file(tmp_path, "beta")
    scenario_file(tmp_path, "alpha")
    assert refused(tmp_path, "gamma") == f"{tmp_path}/gamma.yaml: no such scenario; there are: alpha, beta"
    assert refused(tmp_path / "none", "gamma").endswith("; there are: none")


@pytest.mark.parametrize("duration", ["0s", "60", "-5m", "forever", "²m"])
def test_a_duration_that_is_none_is_refused_with_its_line(tmp_path: Path, duration: str):
    path = scenario_file(tmp_path, duration=duration)
    assert refused(tmp_path).startswith(f"{path}:{line_of(path, 'duration')}: duration was {duration!r}")


FEED: dict[str, Any] = {
    "instrument": msgspec.to_builtins(linear()),
    "files": ["a.gz"],
    "exchange_clock": "recorded",
}


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "recorded"},
        {"kind": "synthetic", "market": None},
        {"feeds": [FEED]},
        {"kind": "recorded", "feeds": [FEED]},
    ],
    ids=["no feeds", "no market", "both", "both, recorded"],
)
def test_a_kind_needs_what_it_plays_and_nothing_else(tmp_path: Path, changes: dict[str, Any]):
    scenario_file(tmp_path, **changes)
    assert "expected feeds for recorded, market for synthetic, not both" in refused(tmp_path)


def test_an_instrument_listed_twice_is_refused(tmp_path: Path):
    path = scenario_file(tmp_path, kind="recorded", market=None, feeds=[FEED, FEED])
    assert refused(tmp_path) == f"{path}:{line_of(path, 'feeds')}: feeds: an instrument was listed twice"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"titel": "x"}, "titel"),
        ({"seed": "one"}, "seed"),
        ({"kind": "live"}, "kind"),
        ({"config": 3}, "config"),
    ],
)
def test_a_wrong_key_or_type_is_refused_with_its_line(tmp_path: Path, changes: dict[str, Any], key: str):
    path = scenario_file(tmp_path, **changes)
    assert refused(tmp_path).startswith(f"{path}:{line_of(path, key)}: {key}: ")


def market(**changes: Any) -> dict[str, Any]:
    facts = {"seed": 7, "start_ns": START_NS, "instrument": msgspec.to_builtins(linear()), "settings": MARKET}
    return {"market": facts | changes}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (market(settings=MARKET | {"informed_ratio": 2.0}), "market.settings: informed_ratio was 2.0"),
        (
            market(settings=MARKET | {"nonsense": 1}),
            "market.settings.nonsense: Object contains unknown field",
        ),
        (market(seed=-1), "market: seed was -1"),
        (market(start_ns=START_NS + 1), "market: start_ns was "),
        (market(start_ns=5), "market: start_ns was 5"),
    ],
    ids=["range", "unknown", "seed", "start", "epoch"],
)
def test_a_market_that_cannot_be_generated_is_refused_before_it_is_tried(
    tmp_path: Path, changes: dict[str, Any], expected: str
):
    path = scenario_file(tmp_path, **changes)
    message = refused(tmp_path)
    assert message.startswith(f"{path}:")
    assert expected in message


def test_an_overlay_in_a_scenario_keeps_the_lines_of_its_file(tmp_path: Path):
    path = scenario_file(tmp_path, config={"emit": {"levels": "many"}})
    _, overlay = load_scenario("short", tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_settings([REPO / "config.yaml"], overlay)
    assert str(caught.value).startswith(f"{path}:{line_of(path, 'levels')}: emit.levels: Expected `int`")
