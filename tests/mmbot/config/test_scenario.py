"""Scenario files: those that ship load, and a wrong one is an error naming file, line and key."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.mmbot.builders import MARKET, REPO, START_NS, linear, scenario_file

from mmbot.config.scenario import load_scenario
from mmbot.config.settings import load_settings
from mmbot.errors import ConfigError
from mmbot.units import HOUR, SECOND

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
    hours = {"ten-symbols": 72, "soak-72h": 72, "demo-14d": 14 * 24}
    assert scenario.duration_ns == hours.get(name, 1) * HOUR
    given = {"synthetic": scenario.markets, "recorded": scenario.feeds, "live": scenario.live}
    assert [kind for kind, value in given.items() if value] == [scenario.kind]


def test_the_stretches_of_14_days_are_apart_and_fill_the_market():
    scenario, _ = load_scenario("demo-14d", REPO / "scenarios")
    order = ("shadow", "soak", "replay", "10", "50", "100")
    ends = []
    for name in order:
        stretch = load_scenario(f"demo-14d@{name}", REPO / "scenarios")[0]
        assert stretch.stretch is not None
        assert not ends or ends[-1] <= stretch.stretch.begin_ns
        ends.append(stretch.stretch.begin_ns + stretch.duration_ns)
    assert tuple(scenario.stretches) == order
    assert ends[-1] == scenario.duration_ns < scenario.markets[0].settings.duration_s * SECOND


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stretches": {"soak": {"begin": "0s", "duration": "1h"}}}, "duration was '0s', expected more than"),
        ({"stretches": {"soak": {"begin": "1h"}}}, "missing required field `duration`"),
        ({"stretches": {"soak": {"duration": "1h"}}, "parts": ["day"]}, "none beside parts by day"),
        ({}, "no stretch 'soak'; there are: none"),
    ],
)
def test_a_stretch_that_is_none_is_refused(tmp_path: Path, changes: dict[str, Any], said: str):
    scenario_file(tmp_path, **changes)
    assert said in refused(tmp_path, "short@soak")


def test_the_shipped_live_scenario_is_of_the_testnet():
    scenario, overlay = load_scenario("bybit", REPO / "scenarios" / "live")
    assert load_settings([REPO / "config.yaml"], overlay)
    assert scenario.live is not None
    assert scenario.live.host == "testnet"


def test_ten_symbols_are_ten_markets_of_one_kind():
    scenario, _ = load_scenario("ten-symbols", REPO / "scenarios")
    assert scenario.parts == ["symbol"]
    assert len({market.seed for market in scenario.markets}) == len(scenario.instruments) == 10
    assert len({msgspec.structs.replace(market.settings, symbol="") for market in scenario.markets}) == 1
    assert all(market.settings.duration_s * SECOND > scenario.duration_ns for market in scenario.markets)


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
    assert "live for live, and none of the others" in refused(tmp_path)


def test_an_instrument_listed_twice_is_refused(tmp_path: Path):
    path = scenario_file(tmp_path, kind="recorded", market=None, feeds=[FEED, FEED])
    assert refused(tmp_path) == f"{path}:{line_of(path, 'feeds')}: feeds: an instrument was listed twice"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"titel": "x"}, "titel"),
        ({"seed": "one"}, "seed"),
        ({"kind": "paper"}, "kind"),
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


def several(**changes: Any) -> dict[str, Any]:
    """A market of two symbols, as written."""
    instrument = {
        name: value for name, value in msgspec.to_builtins(linear()).items() if name not in ("symbol", "base")
    }
    settings = {name: value for name, value in MARKET.items() if name != "symbol"}
    symbols = {"ONEUSDT": {"base": "ONE", "seed": 1}, "TWOUSDT": {"base": "TWO", "seed": 2}}
    facts = {"start_ns": START_NS, "instrument": instrument, "settings": settings, "symbols": symbols}
    return {"market": facts | changes}


def test_symbols_share_a_market_but_for_name_and_seed(tmp_path: Path):
    scenario_file(tmp_path, **several())
    one, two = load_scenario("short", tmp_path)[0].markets
    assert one.instrument == linear(symbol="ONEUSDT", base="ONE")
    assert (one.seed, one.settings.symbol) == (1, "bybit_linear:ONEUSDT")
    assert two.instrument == linear(symbol="TWOUSDT", base="TWO")
    assert (two.seed, two.settings.symbol) == (2, "bybit_linear:TWOUSDT")
    assert one.settings == msgspec.structs.replace(two.settings, symbol="bybit_linear:ONEUSDT")


@pytest.mark.parametrize(
    ("changes", "key", "expected"),
    [
        (several(symbols={}), "symbols", "market.symbols: was empty"),
        (
            several(symbols={"A": {"base": "A", "seed": 5}, "B": {"base": "B", "seed": 5}}),
            "B",
            "market.symbols.B: seed was 5 as of A",
        ),
        (several(symbols={"A": {"base": "A", "seed": -5}}), "A", "market: seed was -5"),
        (
            several(symbols={"A": {"seed": 5}}),
            "symbols",
            "market.symbols: Object missing required field `base`",
        ),
        (several(seed=7), "seed", "market.seed: Object contains unknown field"),
        (
            several(instrument=msgspec.to_builtins(linear())),
            "symbol",
            "market.instrument.symbol: was shared, expected under symbols",
        ),
        (several(settings=MARKET), "symbol", "market.settings.symbol: was shared"),
        (several(settings={"trades_per_s": -1}), "settings", "market.settings: trades_per_s was -1"),
        (several(settings={"nonsense": 1}), "nonsense", "market.settings.nonsense: Object contains unknown"),
    ],
    ids=["none", "one seed", "negative", "no base", "seed", "symbol", "key", "range", "unknown"],
)
def test_symbols_that_cannot_be_told_apart_or_made_are_refused_with_their_line(
    tmp_path: Path, changes: dict[str, Any], key: str, expected: str
):
    path = scenario_file(tmp_path, **changes)
    message = refused(tmp_path)
    lines = [n for n, line in enumerate(path.read_text().splitlines(), start=1) if f'"{key}"' in line]
    assert any(message.startswith(f"{path}:{line}: {expected}") for line in lines)


def test_a_symbol_written_twice_is_refused(tmp_path: Path):
    path = scenario_file(tmp_path, **several())
    path.write_text(path.read_text().replace("TWOUSDT", "ONEUSDT"))
    assert "key market.symbols.ONEUSDT was written twice in one mapping" in refused(tmp_path)


def test_parts_are_known_words_each_once_and_name_one_feed(tmp_path: Path):
    path = scenario_file(tmp_path, parts=["symbol"], **several())
    assert load_scenario("short", tmp_path)[0].parts == ["symbol"]
    scenario_file(tmp_path, parts=["symbol", "day"], **several())
    assert load_scenario("short", tmp_path)[0].parts == ["symbol", "day"]
    for parts, expected in (
        (["hour"], "parts.0: Invalid enum value"),
        (["symbol"] * 2, "parts: symbol, symbol"),
    ):
        scenario_file(tmp_path, parts=parts)
        assert expected in refused(tmp_path)
    other = FEED | {"instrument": msgspec.to_builtins(linear(venue="bybit_spot"))}
    scenario_file(tmp_path, kind="recorded", market=None, feeds=[FEED, other], parts=["symbol"])
    assert refused(tmp_path).startswith(f"{path}:{line_of(path, 'parts')}: parts: symbol, but SYNTHUSDT")


def test_an_overlay_in_a_scenario_keeps_the_lines_of_its_file(tmp_path: Path):
    path = scenario_file(tmp_path, config={"emit": {"levels": "many"}})
    _, overlay = load_scenario("short", tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_settings([REPO / "config.yaml"], overlay)
    assert str(caught.value).startswith(f"{path}:{line_of(path, 'levels')}: emit.levels: Expected `int`")


LIVE = {"venue": "bybit_linear", "symbols": ["BTCUSDT"], "depth": 50, "host": "testnet"}


def live_file(folder: Path, **live: Any) -> Path:
    path = folder / "short.yaml"
    spec = {**LIVE, **live}
    path.write_bytes(
        msgspec.json.format(
            msgspec.json.encode({"title": "live", "kind": "live", "duration": "1m", "seed": 1, "live": spec}),
            indent=1,
        )
    )
    return path


@pytest.mark.parametrize(
    ("live", "said"),
    [
        ({"symbols": []}, "at least one"),
        ({"symbols": ["BTCUSDT", "BTCUSDT"]}, "each once"),
        ({"host": 1}, "host"),
    ],
)
def test_a_venue_that_cannot_be_connected_to_is_refused(tmp_path: Path, live: dict[str, Any], said: str):
    path = live_file(tmp_path, **live)
    message = refused(tmp_path)
    assert message.startswith(f"{path}:")
    assert said in message


def test_only_one_kind_of_market_is_written(tmp_path: Path):
    path = scenario_file(tmp_path, live=LIVE)
    assert "none of the others" in refused(tmp_path)
    assert path.exists()
