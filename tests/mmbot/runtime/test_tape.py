"""Where derived files lie, and what of a scenario is opened."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.mmbot.builders import (
    MARKET,
    NEXO,
    START_NS,
    capture,
    linear,
    recorded_file,
    scenario_file,
    wire_snapshot,
    wire_trade,
)

from mmbot.config.scenario import Scenario, load_scenario
from mmbot.errors import ConfigError, RecordingError
from mmbot.model.events import BookSnapshot, MarketEvent
from mmbot.runtime.tape import Part, Tape, cache_folder, open_tape, parts_of
from mmbot.units import DAY, MS, SECOND

HOUR = 3_600 * SECOND


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


def two_symbols(folder: Path, settings: dict[str, Any] | None = None, **changes: Any) -> Scenario:
    """Seconds of two generated symbols."""
    instrument = msgspec.to_builtins(linear())
    del instrument["symbol"], instrument["base"]
    market = {
        "start_ns": START_NS,
        "instrument": instrument,
        "settings": settings or {name: value for name, value in MARKET.items() if name != "symbol"},
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


SLOW = {"depth_levels": 3, "message_interval_ms": 10_000, "trades_per_s": 0.01}


def test_a_part_that_is_none_is_refused(tmp_path: Path):
    scenario = two_symbols(tmp_path, parts=["symbol", "day"])
    with pytest.raises(
        ConfigError, match="symbol was x:Y, expected one of bybit_linear:ONEUSDT, bybit_linear:T"
    ):
        open_tape(scenario, "short", None, tmp_path / "cache", Part("x:Y"))
    with pytest.raises(ConfigError, match="day was 2027-01-01, expected one of 2026-01-01"):
        open_tape(scenario, "short", None, tmp_path / "cache", Part("bybit_linear:ONEUSDT", "2027-01-01"))


def test_a_symbol_and_day_of_a_generated_market_are_known_without_generating_it(tmp_path: Path):
    scenario = two_symbols(tmp_path, SLOW | {"duration_s": 2.5 * 86_400}, parts=["day", "symbol"])
    parts = parts_of(scenario, "short", None, tmp_path / "cache")
    days = ["20260101", "20260102", "20260103"]
    assert [part.name for part in parts] == [
        f"{name}-{day}" for name in ("ONEUSDT", "TWO-USDT") for day in days
    ]
    assert not (tmp_path / "cache").exists()


STRETCHES = {"early": {"duration": "2h"}, "late": {"begin": "24h", "duration": "3h"}}


def test_a_stretch_is_a_scenario_of_its_own_in_the_same_market(tmp_path: Path):
    two_symbols(tmp_path, SLOW | {"duration_s": 28 * 3_600.0}, stretches=STRETCHES, duration="28h")
    cache = tmp_path / "cache"

    def opened(name: str) -> tuple[Scenario, Tape]:
        scenario = load_scenario(name, tmp_path)[0]
        return scenario, open_tape(scenario, name, None, cache)

    whole, early, late = (opened(name)[1] for name in ("short", "short@early", "short@late"))
    scenario = opened("short@late")[0]
    assert scenario.duration_ns == 3 * HOUR
    assert "3h from 24h on" in scenario.title
    assert list(early.feeds[0].events()) == list(whole.feeds[0].events())
    told = list(late.feeds[0].events())
    first = told[0]
    assert isinstance(first, BookSnapshot)
    assert first.exch_ns == START_NS + DAY
    assert told == list(whole.feeds[0].events())[-len(told) :]
    assert late.feeds[0].sha256 == whole.feeds[0].sha256
    assert len(list((cache / "columns").glob("*/meta.json"))) == 2


@pytest.mark.parametrize("stretch", [{"begin": "23h", "duration": "5h"}, {"begin": "30h", "duration": "1h"}])
def test_a_stretch_that_the_market_does_not_hold_is_no_data(tmp_path: Path, stretch: dict[str, str]):
    stretches = {"late": stretch}
    two_symbols(tmp_path, SLOW | {"duration_s": 28 * 3_600.0}, stretches=stretches, duration="28h")
    scenario = load_scenario("short@late", tmp_path)[0]
    with pytest.raises(
        RecordingError, match=r"short@late: the market ends 28.0 h after its start, expected \dh"
    ):
        open_tape(scenario, "short@late", None, tmp_path / "cache")


def joined(tapes: list[Tape], number: int = 0) -> list[MarketEvent]:
    """Events of one feed, tape behind tape."""
    return [event for tape in tapes for event in tape.feeds[number].events()]


def test_the_days_of_a_generated_market_are_the_market(tmp_path: Path):
    scenario = two_symbols(tmp_path, SLOW | {"duration_s": 2.5 * 86_400}, parts=["day"])
    cache = tmp_path / "cache"
    parts = parts_of(scenario, "short", None, cache)
    assert parts == [Part(day=f"2026-01-0{day}") for day in (1, 2, 3)]
    tapes = [open_tape(scenario, "short", None, cache, part) for part in parts]
    whole = open_tape(scenario, "short", None, cache)
    for number, feed in enumerate(whole.feeds):
        assert joined(tapes, number) == list(feed.events())
        for day, tape in enumerate(tapes):
            first = next(tape.feeds[number].events())
            assert isinstance(first, BookSnapshot)
            assert first.exch_ns == START_NS + day * DAY
        assert sum(tape.feeds[number].columns.meta.frames for tape in tapes) == feed.columns.meta.frames
    assert tapes[-1].last_ns == whole.last_ns
    assert all(tape.last_ns < START_NS + (day + 1) * DAY + SECOND for day, tape in enumerate(tapes))


def test_a_market_that_opens_just_before_midnight_has_that_day(tmp_path: Path):
    """Its first snapshot is received on the next one."""
    instrument = msgspec.to_builtins(linear())
    market = {"seed": 1, "start_ns": START_NS - MS, "instrument": instrument, "settings": MARKET}
    scenario_file(tmp_path, market=market, parts=["day"])
    scenario = load_scenario("short", tmp_path)[0]
    parts = parts_of(scenario, "short", None, tmp_path / "cache")
    assert [part.day for part in parts] == ["2025-12-31", "2026-01-01"]
    tapes = [open_tape(scenario, "short", None, tmp_path / "cache", part) for part in parts]
    first = next(tapes[1].feeds[0].events())
    assert isinstance(first, BookSnapshot)
    assert first.exch_ns >= START_NS
    assert joined(tapes) == joined([open_tape(scenario, "short", None, tmp_path / "cache")])


def taped(folder: Path, name: str, hours: range, *snapshots: int) -> Path:
    """A capture of hourly trades, with snapshots at these hours."""
    frames: list[tuple[int, bytes]] = []
    for hour in hours:
        if hour in snapshots:
            frames.append((START_NS + hour * HOUR, wire_snapshot(hour, [["1.210", "5"]], [["1.212", "7"]])))
        frames.append((START_NS + hour * HOUR + 1, wire_trade("1.212", "1", sold=False)))
    return capture(folder / name, frames)


def test_the_days_of_a_recording_begin_where_its_book_can_be_picked_up(tmp_path: Path):
    taped(tmp_path, "one.dat", range(24), 5, 23)
    taped(tmp_path, "two.dat", range(24, 96), 26, 31, 72)
    path = recorded_file(tmp_path, [(NEXO, "one.dat")], parts=["day"])
    path.write_text(path.read_text().replace('"one.dat"', '"one.dat", "two.dat"'))
    scenario = load_scenario("taped", tmp_path)[0]
    parts = parts_of(scenario, "taped", tmp_path, tmp_path / "cache")
    assert [part.name for part in parts] == ["20260101", "20260102", "20260104"]
    tapes = [open_tape(scenario, "taped", tmp_path, tmp_path / "cache", part) for part in parts]
    starts = [next(tape.feeds[0].events()).recv_ns for tape in tapes]
    assert starts == [START_NS + 1, START_NS + 26 * HOUR, START_NS + 72 * HOUR]
    assert joined(tapes) == joined([open_tape(scenario, "taped", tmp_path, tmp_path / "cache")])


def test_feeds_that_are_played_together_have_the_days_of_all(tmp_path: Path):
    other = linear(venue="binance_spot", symbol="ABCUSDT", tick_size="0.001")
    taped(tmp_path, "one.dat", range(72), 5, 24, 48)
    frames = [
        (START_NS + hour * HOUR, wire_snapshot(hour, [["1", "5"]], [["2", "7"]])) for hour in (9, 30, 31)
    ]
    capture(tmp_path / "other.dat", frames)
    recorded_file(tmp_path, [(NEXO, "one.dat"), (other, "other.dat")], parts=["day"])
    scenario = load_scenario("taped", tmp_path)[0]
    parts = parts_of(scenario, "taped", tmp_path, tmp_path / "cache")
    assert [part.day for part in parts] == ["2026-01-01", "2026-01-02"]
    second = open_tape(scenario, "taped", tmp_path, tmp_path / "cache", parts[1])
    assert [len(feed.columns.meta.snapshots) for feed in second.feeds] == [2, 2]
    by_symbol = msgspec.structs.replace(scenario, parts=["symbol", "day"])
    names = [part.name for part in parts_of(by_symbol, "taped", tmp_path, tmp_path / "cache")]
    days = {"NEXOUSDT": (1, 2, 3), "ABCUSDT": (1, 2)}
    assert names == [f"{symbol}-2026010{day}" for symbol in days for day in days[symbol]]
