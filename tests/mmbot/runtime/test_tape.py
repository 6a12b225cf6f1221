"""Where derived files lie, and what of a scenario is opened."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.mmbot.builders import MARKET, START_NS, linear, scenario_file

from mmbot.config.scenario import Scenario, load_scenario
from mmbot.runtime.tape import Part, cache_folder, open_tape, parts_of


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("MMBOT_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"


def test_without_a_word_it_is_in_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("MMBOT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "mmbot"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "mmbot"


def two_symbols(folder: Path, **changes: Any) -> Scenario:
    """Seconds of two generated symbols."""
    instrument = msgspec.to_builtins(linear())
    del instrument["symbol"], instrument["base"]
    market = {
        "start_ns": START_NS,
        "instrument": instrument,
        "settings": {name: value for name, value in MARKET.items() if name != "symbol"},
        "symbols": {"ONEUSDT": {"base": "ONE", "seed": 1}, "TWO-USDT": {"base": "TWO", "seed": 2}},
    }
    scenario_file(folder, market=market, **changes)
    return load_scenario("short", folder)[0]


def test_a_scenario_of_parts_has_one_for_each_symbol(tmp_path: Path):
    parts = parts_of(two_symbols(tmp_path, parts=["symbol"]), "short", None, tmp_path / "cache")
    assert parts == [Part("bybit_linear:ONEUSDT"), Part("bybit_linear:TWO-USDT")]
    assert [part.name for part in parts] == ["ONEUSDT", "TWO-USDT"]
    assert not (tmp_path / "cache").exists()


def test_a_scenario_without_parts_is_played_whole(tmp_path: Path):
    assert parts_of(two_symbols(tmp_path), "short", None, tmp_path / "cache") == []


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (Part("bybit_linear:SYNTH01USDT", "2026-01-02"), "SYNTH01USDT-20260102"),
        (Part(day="2026-01-02"), "20260102"),
        (Part("kraken:XBT/USD"), "XBT_USD"),
        (Part("x:../.."), "_____"),
    ],
)
def test_the_name_of_a_part_is_a_folder(part: Part, name: str):
    assert part.name == name


def test_only_what_a_part_needs_is_generated(tmp_path: Path):
    scenario = two_symbols(tmp_path, parts=["symbol"])
    part = parts_of(scenario, "short", None, tmp_path)[1]
    tape = open_tape(scenario, "short", None, tmp_path / "cache", part)
    assert [feed.instrument.symbol for feed in tape.feeds] == ["TWO-USDT"]
    made = len(list((tmp_path / "cache/columns").glob("*/meta.json")))
    whole = open_tape(scenario, "short", None, tmp_path / "cache")
    assert [feed.instrument.symbol for feed in whole.feeds] == ["ONEUSDT", "TWO-USDT"]
    assert (made, len(list((tmp_path / "cache/columns").glob("*/meta.json")))) == (1, 2)
    assert list(whole.feeds[1].events()) == list(tape.feeds[0].events())
    assert whole.feeds[0].sha256 != whole.feeds[1].sha256 == tape.feeds[0].sha256
