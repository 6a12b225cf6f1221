"""The run directory: a manifest that tells how it ended, feeds that exist though empty, nothing half-done."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.mmbot.builders import (
    MARKET,
    NEXO,
    REPO,
    START_NS,
    HandStopwatch,
    capture,
    linear,
    ms,
    recorded_file,
    run_request,
    scenario_file,
    wire_snapshot,
)

from mmbot.errors import ConfigError, MmbotError, OutputError, RecordingError
from mmbot.model.records import Row
from mmbot.runtime.run import Run

FEEDS = ("events", "fills", "pipeline_ticks", "samples", "trace")


def opened(folder: Path, **changes: Any) -> Run:
    return Run(run_request(folder, **changes), HandStopwatch(1_000))


def manifest(folder: Path) -> dict[str, Any]:
    return msgspec.json.decode((folder / "run" / "manifest.json").read_bytes())


def finished(folder: Path, **changes: Any) -> Run:
    run = opened(folder, **changes)
    for _ in run:
        pass
    return run


def test_a_complete_run_says_so_and_where_it_came_from(tmp_path: Path):
    run, found = finished(tmp_path), manifest(tmp_path)
    assert (found["schema"], found["run_id"], found["step"], found["scenario"]) == (1, "run", "run", "short")
    assert (found["status"], found["reason"], found["arm"]) == ("complete", None, "A")
    assert (found["mode"], found["clock"], found["seed"]) == ("replay", "virtual", 1)
    assert (found["started_ns"], found["ended_ns"]) == (ms(100), ms(15_100))
    assert found["run_digest"] == run.digest
    assert found["config_sha256"] == run.settings.sha256()
    assert found["config"]["emit"]["levels"] == 1
    assert found["code"]["version"]
    assert found["host"]["cpus"] >= 1


def test_synthetic_data_says_so_in_manifest_and_in_every_row(tmp_path: Path):
    finished(tmp_path)
    assert manifest(tmp_path)["data"]["kind"] == "synthetic"
    rows = b"".join(path.read_bytes() for path in (tmp_path / "run").glob("*.jsonl")).splitlines()
    assert all(b'"data_kind":"synthetic"' in row for row in rows)
    assert len(rows) > 150


def test_every_number_that_a_model_made_has_its_model_named(tmp_path: Path):
    finished(tmp_path)
    assert manifest(tmp_path)["models"] == {
        "queue": "risk_averse",
        "order_entry_latency": "lognormal(median 5 ms, sigma 0.3)",
        "order_response_latency": "lognormal(median 5 ms, sigma 0.3)",
        "resync_latency": "lognormal(median 60 ms, sigma 0.4)",
        "market_data_latency": "recorded in the tape",
        "market_impact": "none",
    }


def test_counts_are_those_of_the_rows(tmp_path: Path):
    run, counts = finished(tmp_path), manifest(tmp_path)["counts"]
    lines = {feed: (tmp_path / "run" / f"{feed}_20260101.jsonl").read_bytes().splitlines() for feed in FEEDS}
    assert counts["ticks"] == len(lines["pipeline_ticks"]) == run.counts.ticks
    assert counts["fills"] == len(lines["fills"]) == run.counts.fills > 0
    assert counts["rejects"] == sum(b'"kind":"order_reject"' in line for line in lines["events"])
    assert counts["orders"] >= counts["cancels"] > 0


def test_batches_are_the_bytes_of_the_feeds(tmp_path: Path):
    handed = dict.fromkeys(FEEDS, b"")
    for feed, lines in opened(tmp_path):
        handed[feed] += lines
    for feed in FEEDS:
        assert (tmp_path / "run" / f"{feed}_20260101.jsonl").read_bytes() == handed[feed]


def test_a_feed_in_which_nothing_happened_exists_and_is_empty(tmp_path: Path):
    scenario_file(tmp_path / "scenarios", config={"limits": {"max_order_notional_quote": 1.0}})
    run = finished(tmp_path)
    assert run.counts.orders == 0
    assert (tmp_path / "run" / "fills_20260101.jsonl").read_bytes() == b""
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "manifest.json",
        *(f"{feed}_20260101.jsonl" for feed in FEEDS),
    }


def test_while_it_runs_the_manifest_says_so(tmp_path: Path):
    iterator = iter(opened(tmp_path))
    next(iterator)
    found = manifest(tmp_path)
    assert (found["status"], found["ended_ns"], found["reason"]) == ("running", None, None)
    for _ in iterator:
        pass
    assert manifest(tmp_path)["status"] == "complete"


class Failing:
    """An observer that fails after some batches, as a full disk or a bug would."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def rows(self, rows: Sequence[Row]) -> None:
        assert rows
        raise self._error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (
            OutputError("/x: feed fills cannot be written: No space left"),
            "/x: feed fills cannot be written: No space left",
        ),
        (KeyboardInterrupt(), "KeyboardInterrupt: "),
    ],
    ids=["bug", "bad output", "interrupt"],
)
def test_a_run_that_dies_leaves_a_manifest_that_says_why(tmp_path: Path, error: BaseException, reason: str):
    run = opened(tmp_path)
    run.observers.append(Failing(error))
    with pytest.raises(type(error)):
        for _ in run:
            pass
    found = manifest(tmp_path)
    assert (found["status"], found["reason"]) == ("failed", reason)


def test_a_run_that_nobody_reads_to_its_end_is_no_complete_one(tmp_path: Path):
    iterator = iter(opened(tmp_path))
    next(iterator)
    iterator.close()
    assert manifest(tmp_path)["status"] == "failed"


def test_a_directory_that_exists_is_not_written_into(tmp_path: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious").write_bytes(b"x")
    with pytest.raises(OutputError, match="run: run directory cannot be made: File exists"):
        finished(tmp_path)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["precious"]


def test_a_directory_that_cannot_be_made_is_an_error_in_one_line(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="run directory cannot be made: ") as caught:
        finished(tmp_path, directory=tmp_path / "file" / "run")
    assert "\n" not in str(caught.value)


def test_opening_writes_nothing_into_the_run_directory(tmp_path: Path):
    run = opened(tmp_path)
    assert run.started_ns is None
    assert run.planned_ns == 15 * 10**9
    assert not (tmp_path / "run").exists()


NEXO_TAPE = [
    (ms(0), wire_snapshot(1, [["1.200", "5"]], [["1.202", "5"]])),
    (ms(900), b'{"_sent":{"op":"ping"}}'),
]


def test_a_recorded_run_says_so_and_names_files_hash_and_span(tmp_path: Path):
    capture(tmp_path / "data" / "nexo.dat", NEXO_TAPE)
    recorded_file(tmp_path / "scenarios", [(NEXO, "nexo.dat")])
    finished(tmp_path, scenario="taped", data=tmp_path / "data")
    data = manifest(tmp_path)["data"]
    (feed,) = data["feeds"]
    assert data["kind"] == "recorded"
    assert (feed["symbol"], feed["venue"], feed["files"]) == (NEXO.key, "binance_spot", ["nexo.dat"])
    assert (feed["frames"], feed["first_ns"], feed["last_ns"]) == (2, ms(0), ms(900))
    assert len(feed["sha256"]) == len(data["sha256"]) == 64
    assert manifest(tmp_path)["models"]["market_data_latency"] == "constant(median 20 ms)"


def refused(folder: Path, **changes: Any) -> str:
    with pytest.raises(MmbotError) as caught:
        finished(folder, **changes)
    assert caught.value.user_error
    assert "\n" not in str(caught.value)
    assert not (folder / "run").exists()
    return str(caught.value)


def test_recorded_data_that_is_not_there_is_said_before_anything_is_written(tmp_path: Path):
    recorded_file(tmp_path / "scenarios", [(NEXO, "nexo.dat")])
    assert "needs recorded data" in refused(tmp_path, scenario="taped")
    message = refused(tmp_path, scenario="taped", data=tmp_path / "data")
    assert message == f"scenario taped: {tmp_path}/data/nexo.dat: no such capture; is the data folder right?"


def test_a_capture_that_is_torn_is_said_before_anything_is_written(tmp_path: Path):
    path = capture(tmp_path / "data" / "nexo.dat", NEXO_TAPE)
    path.write_bytes(path.read_bytes()[:-5])
    recorded_file(tmp_path / "scenarios", [(NEXO, "nexo.dat")])
    assert f"{path}:2: last line was torn" in refused(tmp_path, scenario="taped", data=tmp_path / "data")


def test_a_market_of_another_symbol_is_refused(tmp_path: Path):
    facts = {
        "seed": 7,
        "start_ns": START_NS,
        "instrument": msgspec.to_builtins(linear(symbol="OTHER")),
        "settings": MARKET,
    }
    scenario_file(tmp_path / "scenarios", market=facts)
    assert "market symbol was bybit_linear:SYNTHUSDT, expected bybit_linear:OTHER" in refused(tmp_path)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"scenario": "none"}, ConfigError),
        ({"config": [REPO / "none.yaml"]}, ConfigError),
        ({"seed": -1}, ConfigError),
        ({"scenario": "taped"}, RecordingError),
    ],
    ids=["scenario", "config", "seed", "data"],
)
def test_bad_input_is_an_error_of_its_kind(tmp_path: Path, changes: dict[str, Any], kind: type[Exception]):
    recorded_file(tmp_path / "scenarios", [(NEXO, "nexo.dat")])
    with pytest.raises(kind):
        opened(tmp_path, **changes)


def test_more_market_than_there_is_is_refused_and_never_looped(tmp_path: Path):
    with pytest.raises(
        RecordingError, match=r"holds 0.0055\d+ h of market, was asked for 72 h: no tape is looped"
    ):
        opened(tmp_path, duration_s=72 * 3_600)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("horizon_s", "lasts_s"), [(None, 5), (8.0, 8), (3.0, 5), (72 * 3600.0, 19.9)])
def test_a_horizon_is_as_far_as_the_tape_goes(tmp_path: Path, horizon_s: float | None, lasts_s: float):
    run = opened(tmp_path, duration_s=5.0, horizon_s=horizon_s)
    list(run)
    found = manifest(tmp_path)
    assert (found["ended_ns"] - found["started_ns"]) / 1e9 == pytest.approx(lasts_s, abs=0.2)
    with pytest.raises(RecordingError, match="no tape is looped"):
        opened(tmp_path, run_id="longer", duration_s=72 * 3600.0, horizon_s=horizon_s)


def test_the_whole_of_a_stretch_ends_with_it(tmp_path: Path):
    scenario_file(tmp_path / "scenarios", stretches={"early": {"duration": "5s"}})
    finished(tmp_path, scenario="short@early", duration_s=math.inf)
    found = manifest(tmp_path)
    assert (found["started_ns"], found["ended_ns"]) == (ms(100), ms(5_100))
    assert found["scenario"] == "short@early"
    with pytest.raises(RecordingError, match="short@early: holds"):
        opened(tmp_path, scenario="short@early", duration_s=6)


def test_an_instrument_that_is_none_is_refused(tmp_path: Path):
    for change in ({"tick_size": "0"}, {"lot_size": "1e-5"}, {"venue": "kraken"}):
        facts = msgspec.to_builtins(linear()) | change
        settings = MARKET | {"symbol": f"{facts['venue']}:SYNTHUSDT"}
        market = {"seed": 7, "start_ns": START_NS, "instrument": facts, "settings": settings}
        scenario_file(tmp_path / "scenarios", market=market)
        refused(tmp_path)
