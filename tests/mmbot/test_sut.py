"""The door for gates: built-in types in, batches of bytes out, bad requests refused in time."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.mmbot.builders import MARKET, REPO, START_NS, linear, scenario_file

from mmbot.errors import ConfigError
from mmbot.sut import files, open_run, parts


@pytest.fixture
def request_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A request in a working directory that has config.yaml and scenarios/."""
    scenario_file(tmp_path / "scenarios")
    (tmp_path / "config.yaml").write_bytes((REPO / "config.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    return {
        "step": "shadow",
        "scenario": "short",
        "run_id": "r1",
        "run_dir": str(tmp_path / "r1"),
        "data_dir": None,
        "duration_s": 5.0,
        "seed": None,
        "config": [],
    }


def test_a_run_is_batches_of_feed_and_lines(request_of: dict[str, Any], tmp_path: Path):
    batches = list(open_run(request_of))
    assert {feed for feed, _ in batches} >= {"pipeline_ticks", "samples"}
    rows = [msgspec.json.decode(line) for _, lines in batches for line in lines.splitlines()]
    assert {row["run_id"] for row in rows} == {"r1"}
    manifest = msgspec.json.decode((tmp_path / "r1" / "manifest.json").read_bytes())
    assert (manifest["step"], manifest["status"], manifest["counts"]["ticks"]) == ("shadow", "complete", 50)


def test_config_files_are_base_and_overrides(request_of: dict[str, Any], tmp_path: Path):
    (tmp_path / "more.yaml").write_text("emit:\n  levels: 2\n")
    run = open_run(request_of | {"config": ["config.yaml", "more.yaml"], "seed": 4})
    assert run.settings.emit.levels == 2


def test_a_run_can_be_halted(request_of: dict[str, Any], tmp_path: Path):
    run = open_run(request_of)
    run.halt("red button")
    for _ in run:
        pass
    manifest = msgspec.json.decode((tmp_path / "r1" / "manifest.json").read_bytes())
    assert (manifest["status"], manifest["reason"], manifest["counts"]["ticks"]) == (
        "halted",
        "red button",
        0,
    )


def test_a_run_of_an_experiment_says_whose_it_is(request_of: dict[str, Any], tmp_path: Path):
    batches = list(open_run(request_of | {"arm": "B", "plan_hash": "f00d", "duration_s": 15.0}))
    rows = [msgspec.json.decode(line) for _, lines in batches for line in lines.splitlines()]
    assert {row["arm"] for row in rows} == {"B"}
    assert all(row["client_id"].startswith("mmB-") for row in rows if "client_id" in row)
    manifest = msgspec.json.decode((tmp_path / "r1" / "manifest.json").read_bytes())
    assert (manifest["arm"], manifest["experiment"]) == ("B", {"plan_hash": "f00d"})


def test_a_run_of_none_says_so(request_of: dict[str, Any], tmp_path: Path):
    list(open_run(request_of))
    assert msgspec.json.decode((tmp_path / "r1" / "manifest.json").read_bytes())["experiment"] is None


def test_an_unknown_key_is_refused_and_the_known_ones_are_listed(request_of: dict[str, Any], tmp_path: Path):
    with pytest.raises(
        ConfigError, match=r"unknown keys \['speed'\], expected \['arm', 'config', 'data_dir', "
    ) as caught:
        open_run(request_of | {"speed": 9})
    assert caught.value.user_error
    assert not (tmp_path / "r1").exists()


def test_an_unknown_scenario_is_refused_before_anything_is_written(
    request_of: dict[str, Any], tmp_path: Path
):
    with pytest.raises(ConfigError, match="no such scenario; there are: short"):
        open_run(request_of | {"scenario": "long"})
    assert not (tmp_path / "r1").exists()


def parts_scenario(folder: Path, *symbols: str) -> None:
    """Some seconds of symbols that are played apart; the first has the same market whatever its name."""
    instrument = msgspec.to_builtins(linear())
    del instrument["symbol"], instrument["base"]
    market = {
        "start_ns": START_NS,
        "instrument": instrument,
        "settings": {name: value for name, value in MARKET.items() if name != "symbol"},
        "symbols": {symbol: {"base": symbol[:3], "seed": seed} for seed, symbol in enumerate(symbols)},
    }
    scenario_file(folder / "scenarios", market=market, parts=["symbol"])


@pytest.fixture
def parts_request(request_of: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """The same, of two symbols that are played apart."""
    parts_scenario(tmp_path, "ONEUSDT", "TWOUSDT")
    return request_of


def manifest_of_part(request: dict[str, Any], part: str) -> dict[str, Any]:
    directory = Path(request["run_dir"]).with_name(part)
    for _ in open_run(request | {"part": part, "run_dir": str(directory)}):
        pass
    manifest: dict[str, Any] = msgspec.json.decode((directory / "manifest.json").read_bytes())
    return manifest


def test_a_scenario_names_its_parts_and_each_is_a_run(parts_request: dict[str, Any]):
    assert parts(parts_request) == ["ONEUSDT", "TWOUSDT"]
    manifest = manifest_of_part(parts_request, "TWOUSDT")
    assert (manifest["part"], manifest["status"]) == ("TWOUSDT", "complete")
    assert [item["symbol"] for item in manifest["instruments"]] == ["bybit_linear:TWOUSDT"]
    assert manifest["counts"]["ticks"] == 50


def test_a_scenario_without_parts_is_played_whole(request_of: dict[str, Any]):
    assert parts(request_of) == []


def test_parts_draw_latencies_of_their_own(parts_request: dict[str, Any], tmp_path: Path):
    """One market under two names: what differs was drawn by the name of the part."""

    def received(part: str) -> list[int]:
        manifest_of_part(parts_request, part)
        lines = next((tmp_path / part).glob("fills_*")).read_bytes().splitlines()
        return [msgspec.json.decode(line)["recv_ns"] for line in lines]

    first = received("ONEUSDT")
    parts_scenario(tmp_path, "SIXUSDT")
    second = received("SIXUSDT")
    assert first
    assert first != second


def test_the_captures_of_a_run_are_those_that_its_scenario_names(parts_request: dict[str, Any]):
    assert files(parts_request) == []  # its market is generated
    assert files({**parts_request, "scenario": "venue", "live": True}) == []
    with pytest.raises(ConfigError, match="no such scenario"):
        files({**parts_request, "scenario": "absent"})


def test_a_part_that_is_not_there_is_refused(parts_request: dict[str, Any]):
    with pytest.raises(ConfigError, match="part was 'SIX', expected one of: ONEUSDT, TWOUSDT"):
        open_run(parts_request | {"part": "SIX"})
