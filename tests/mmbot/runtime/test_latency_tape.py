"""The latency tape: the ticks of a run, again and again, the same work each time."""

import itertools
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.mmbot.builders import MARKET, REPO, START_NS, linear, run_request, scenario_file

from mmbot.errors import ConfigError
from mmbot.runtime.latency_tape import READINGS, STAGES, LatencyTape
from mmbot.runtime.run import Run
from mmbot.sut import open_tape
from mmbot.units import MS

TICKS, LEAD = 80, 20


@pytest.fixture
def request_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A request in a working directory that has config.yaml and scenarios/."""
    scenario_file(tmp_path / "scenarios")
    (tmp_path / "config.yaml").write_bytes((REPO / "config.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    return {"scenario": "short", "ticks": TICKS, "lead_ticks": LEAD, "repeats": 3}


def outputs(tape: LatencyTape, first: int, stop: int) -> list[str]:
    return [output for output, _ in tape.step(first, stop)]


def test_each_tick_is_timed_by_stage_and_repeat(request_of: dict[str, Any]):
    tape = open_tape(request_of)
    played = tape.step(0, tape.ticks)
    assert (len(played), tape.kind) == (TICKS, "synthetic")
    for _, repeats in played:
        assert len(repeats) == 3
        for times in repeats:
            assert len(times) == len(tape.stages)
            assert times[-1] == sum(times[:-1])  # the stopwatch is read once between two stages


def test_the_readings_within_each_stage_are_those_that_the_pipeline_makes(request_of: dict[str, Any]):
    """Time is what the clock says: one that counts its own readings."""
    tape = open_tape(request_of | {"clock": itertools.count().__next__})
    assert {times for _, repeats in tape.step(0, TICKS) for times in repeats} == {READINGS}
    assert len(READINGS) == len(STAGES)


def test_ticks_are_the_same_in_every_pass_and_however_they_are_cut(request_of: dict[str, Any]):
    tape = open_tape(request_of)
    whole = outputs(tape, 0, TICKS)
    assert outputs(tape, 0, 30) + outputs(tape, 30, TICKS) == whole
    assert outputs(tape, 17, 40) == whole[17:40]
    again = open_tape(request_of | {"sha256": tape.sha256, "repeats": 1})
    assert outputs(again, 0, TICKS) == whole
    assert len(set(whole)) > TICKS // 2


def test_it_is_a_run_that_is_timed(request_of: dict[str, Any], tmp_path: Path):
    """The engines stand where those of a replay of the same length stand."""
    tape = open_tape(request_of)
    tape.step(0, TICKS)
    run = Run(run_request(tmp_path, duration_s=(TICKS + LEAD) / 10))
    fills = [
        msgspec.json.decode(line) for feed, lines in run for line in lines.splitlines() if feed == "fills"
    ]
    counts = msgspec.json.decode((run.directory / "manifest.json").read_bytes())["counts"]
    assert counts["orders"] > 10
    for engine in tape._engines:
        (bot,) = engine.bots.values()
        assert bot._sender.orders_sent == counts["orders"]
        played = tape._now_ns[-1]
        signed = {"buy": 1, "sell": -1}
        assert bot.position.base == pytest.approx(
            sum(signed[fill["side"]] * fill["qty"] for fill in fills if fill["recv_ns"] <= played)
        )


def test_engines_that_disagree_are_noticed(request_of: dict[str, Any]):
    tape = open_tape(request_of)
    tape.step(0, 10)
    tape._engines[1].halt(tape._now_ns[LEAD + 9], "one of three")
    with pytest.raises((RuntimeError, ConfigError), match="latency tape"):
        tape.step(10, TICKS)


def test_a_tick_that_decides_otherwise_than_before_is_noticed(request_of: dict[str, Any]):
    tape = open_tape(request_of)
    tape.step(0, 10)
    tape._events = [events if index < LEAD + 5 else () for index, events in enumerate(tape._events)]
    with pytest.raises(RuntimeError, match="decided otherwise"):
        tape.step(0, 10)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"speed": 2}, r"unknown keys \['speed'\]"),
        ({"ticks": 0}, "ticks was 0, expected a whole number from 1"),
        ({"repeats": 2.5}, "repeats was 2.5, expected a whole number from 1"),
        ({"lead_ticks": -1}, "lead_ticks was -1, expected a whole number from 0"),
        ({"ticks": 100_000}, r"scenario short has \d+ ticks, expected 100020"),
        ({"market": "fast"}, "market was 'fast', expected plain or compiled"),
        ({"sha256": "0" * 64}, "is [0-9a-f]{64}, expected 0000"),
    ],
)
def test_a_bad_request_is_refused(request_of: dict[str, Any], changes: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        open_tape(request_of | changes)


def test_of_several_symbols_the_first_is_timed(request_of: dict[str, Any], tmp_path: Path):
    del request_of["scenario"]
    with pytest.raises(ConfigError, match="no scenario"):
        open_tape(request_of)
    facts = msgspec.to_builtins(linear())
    del facts["symbol"], facts["base"]
    settings = {key: value for key, value in MARKET.items() if key != "symbol"}
    symbols = {name: {"base": name, "seed": seed} for seed, name in enumerate(("AUSDT", "BUSDT"))}
    market = {"start_ns": START_NS, "instrument": facts, "settings": settings, "symbols": symbols}
    scenario_file(tmp_path / "scenarios", "two", market=market)
    scenario_file(tmp_path / "scenarios", "one", market=market | {"symbols": {"AUSDT": symbols["AUSDT"]}})
    of_two, of_one = (open_tape(request_of | {"scenario": name}) for name in ("two", "one"))
    assert of_two.sha256 == of_one.sha256


@pytest.mark.parametrize(("first", "stop"), [(-1, 3), (3, 3), (0, TICKS + 1)])
def test_a_step_is_within_the_tape(request_of: dict[str, Any], first: int, stop: int):
    with pytest.raises(ConfigError, match=r"expected within \[0, 80\)"):
        open_tape(request_of).step(first, stop)


def test_the_shipped_tape_has_bursts(monkeypatch: pytest.MonkeyPatch):
    """1,000 ticks and more of the market that is fitted to BTCUSDT, some with many times the usual events."""
    monkeypatch.chdir(REPO)
    tape = open_tape({"scenario": "btc-like", "repeats": 1})
    assert tape.ticks >= 1_000
    assert {b - a for a, b in itertools.pairwise(tape._now_ns)} == {100 * MS}
    counts = sorted(len(events) for events in tape._events)
    assert counts[-1] > 5 * counts[len(counts) // 2]
