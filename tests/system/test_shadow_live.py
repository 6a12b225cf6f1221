"""A shadow run on real sockets, and the replay of its recording: the same decisions, whatever happened to the
market data and to the machine meanwhile.
"""

import json
import shutil
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from tests.mmbot.builders import REPO
from tests.system.live_market import Bot, PaperVenue, Row, Shadow, live_scenario, notes, read, ticks

from mmbot.model.notes import Happened
from mmbot.runtime.reload import Reload
from mmbot.runtime.run import EngineKind, Run, RunRequest
from mmbot.runtime.shown import shown
from mmbot.telemetry.view import RunState
from mmbot.units import SECOND

STALL_MS = 1_500
OVERLAY = {
    "guards": {"soft_latency_ms": 100, "hard_latency_ms": 300, "hard_resyncs": 3},
    "vitals": {"latency_halflife_s": 1, "resync_window_s": 25},
    "trace": {"sample_rate": 0.2},
    "telemetry": {"sample_interval_s": 1},
}
"""A guard that one stall trips and one that three broken books do, both for some seconds; many rows."""
MEASURED = {
    "fetch_md_ns", "spread_ns", "guards_ns", "inventory_ns", "queue_aware_ns", "emit_ns", "tick_total_ns",
    "deadline_miss", "run_id",
}  # fmt: skip
"""Of a row: what a stopwatch measured, and whose it is."""
OF_THE_MACHINE = {"rss_bytes", "resting_orders"}
"""Samples: memory, and what rests at the venue, which a live run knows later (`runtime.shadow_world`)."""
FEEDS = ("pipeline_ticks", "fills", "events", "trace", "samples")


@pytest.fixture(scope="module")
def venue() -> Iterator[PaperVenue]:
    serving = PaperVenue("--scenario", "demo")
    yield serving
    serving.close()


def rows(directory: Path, feed: str) -> list[Row]:
    """Without what was measured."""
    return [
        {key: value for key, value in row.items() if key not in MEASURED}
        for row in read(directory, feed)
        if row.get("name") not in OF_THE_MACHINE
    ]


@dataclass(frozen=True)
class Replayed:
    directory: Path
    digest: str


def replayed(bot: Bot, engine: EngineKind, folder: Path) -> Replayed:
    """The recording played as its own scenario says, with the bot's configuration files."""
    recording, directory = bot.directory / "recording", folder / engine
    request = RunRequest(
        "recording", recording, bot.config, recording, engine, directory, step="shadow", engine=engine
    )
    run = Run(request)
    for _ in run:
        pass
    return Replayed(directory, run.digest)


def gap(_: Bot, venue: PaperVenue) -> None:
    venue.faults(gap_frames=1)


def cut(_: Bot, venue: PaperVenue) -> None:
    venue.faults(close="public")


def stall(bot: Bot, venue: PaperVenue) -> None:
    """The bot's process stands still."""
    bot.stop()
    venue.pass_time(STALL_MS)
    bot.go_on()


def restart(_: Bot, venue: PaperVenue) -> None:
    venue.faults(restart=True)


def truncate(_: Bot, venue: PaperVenue) -> None:
    venue.faults(truncate_frames=1)


def duplicate(bot: Bot, venue: PaperVenue) -> None:
    venue.faults(duplicate_ratio=0.5)
    ticks(bot.rows, 3)
    venue.faults(duplicate_ratio=0.0)


def played(bot: Bot, venue: PaperVenue, faults: list[Callable[[Bot, PaperVenue], None]], apart: int) -> Row:
    """Faults, so many ticks apart, then the rest of the run. Returns its manifest."""
    for fault in faults:
        ticks(bot.rows, apart)
        fault(bot, venue)
    try:
        assert bot.over() == 0
    finally:
        bot.kill()
    return msgspec.json.decode((bot.directory / "manifest.json").read_bytes())


def check(bot: Bot, manifest: Row, folder: Path) -> None:
    """Every row and the digest, in both engines."""
    for engine in (EngineKind.PLAIN, EngineKind.COMPILED):
        again = replayed(bot, engine, folder)
        for feed in FEEDS:
            assert rows(again.directory, feed) == rows(bot.directory, feed), (engine, feed)
        assert again.digest == manifest["run_digest"], engine


def test_a_bad_quarter_of_a_minute_replays_to_the_last_row(venue: PaperVenue, tmp_path: Path) -> None:
    bot = Bot(tmp_path, venue.url, 13.0, OVERLAY)

    manifest = played(bot, venue, [gap, cut, stall], 20)

    assert (manifest["mode"], manifest["data"]["kind"]) == ("shadow", "synthetic")
    assert manifest["counts"]["dropped_ticks"] >= STALL_MS // 100 - 1
    assert manifest["counts"]["orders"] > 0
    happened = [note.mmbot for _, note in notes(bot.directory / "recording")]
    assert {Happened.LOST, Happened.RESUBSCRIBED, Happened.DROPPED, Happened.BEGAN, Happened.ENDED} <= set(
        happened
    )
    guarded = [row["ts_ns"] for row in read(bot.directory, "pipeline_ticks") if "latency" in row["reasons"]]
    (dropped,) = (row for row in read(bot.directory, "events") if row["kind"] == "ticks_dropped")
    assert guarded
    assert min(guarded) > dropped["ts_ns"]
    check(bot, manifest, tmp_path)


@pytest.mark.slow
def test_ten_minutes_of_every_fault_replay_to_the_last_row(venue: PaperVenue, tmp_path: Path) -> None:
    faults = [gap, stall, duplicate, restart, cut, truncate]
    bot = Bot(tmp_path, venue.url, 620.0, OVERLAY)

    manifest = played(bot, venue, faults * 8, 110)

    happened = [note.mmbot for _, note in notes(bot.directory / "recording")]
    assert happened.count(Happened.LOST) >= 16
    assert happened.count(Happened.DROPPED) >= 8
    reasons = Counter(reason for row in read(bot.directory, "pipeline_ticks") for reason in row["reasons"])
    assert min(reasons["latency"], reasons["resyncs"], reasons["no_book"]) > 100, reasons
    assert manifest["counts"]["fills"] > 10
    check(bot, manifest, tmp_path)


def test_a_live_run_reads_its_configuration_again_between_two_ticks(
    venue: PaperVenue, tmp_path: Path
) -> None:
    shadow = Shadow(tmp_path, venue.url)
    ticks(shadow.rows, 2)
    told: list[Reload] = []
    shadow.run.reload(told.append)
    ticks(shadow.rows, 2)
    shadow.over()
    assert [(reload.changed, reload.refused) for reload in told] == [({}, None)]


def test_a_live_run_is_shown_while_it_plays(venue: PaperVenue, tmp_path: Path) -> None:
    shadow = Shadow(tmp_path, venue.url)
    with shown(shadow.run, 0, "--status-port") as (_, url):
        ticks(shadow.rows, 2)
        first = shown_at(url)
        ticks(shadow.rows, 2)
        assert shown_at(url).ticks > first.ticks > 0
        shadow.over()
        last = shown_at(url)
    assert (first.facts.mode, first.facts.clock, first.facts.planned_ns) == ("shadow", "wall", 30 * SECOND)
    assert first.state in ("quoting", "pulled")
    assert (last.state, last.reason) == ("halted", "seen enough")
    assert last.ticks == len(read(shadow.directory, "pipeline_ticks"))


def shown_at(url: str) -> RunState:
    with urllib.request.urlopen(f"{url}status.json", timeout=60) as reply:  # noqa: S310 (ours)
        return msgspec.json.decode(reply.read(), type=RunState)


def test_a_halted_run_replays_halted(venue: PaperVenue, tmp_path: Path) -> None:
    shadow = Shadow(tmp_path, venue.url)
    ticks(shadow.rows, 20)
    shadow.over()
    recording = shadow.directory / "recording"
    config = [REPO / "config.yaml"]
    again = Run(RunRequest("recording", recording, config, recording, "again", tmp_path / "again"))
    for _ in again:
        pass
    assert again.digest == shadow.run.digest
    assert again.counts.orders > 0
    for directory in (shadow.directory, tmp_path / "again"):
        manifest = msgspec.json.decode((directory / "manifest.json").read_bytes())
        assert (manifest["status"], manifest["reason"]) == ("halted", "seen enough")
    assert rows(tmp_path / "again", "events") == rows(shadow.directory, "events")


def test_a_run_that_is_finished_is_complete_and_replays_to_its_end(venue: PaperVenue, tmp_path: Path) -> None:
    shadow = Shadow(tmp_path, venue.url)
    ticks(shadow.rows, 20)
    shadow.run.finish("decided")
    list(shadow.rows)
    recording = shadow.directory / "recording"
    again = Run(
        RunRequest("recording", recording, [REPO / "config.yaml"], recording, "again", tmp_path / "again")
    )
    list(again)
    assert again.digest == shadow.run.digest
    first, second = (
        msgspec.json.decode((directory / "manifest.json").read_bytes())
        for directory in (shadow.directory, tmp_path / "again")
    )
    assert (first["status"], first["reason"]) == ("complete", "decided")
    assert (second["status"], second["ended_ns"]) == ("complete", first["ended_ns"])
    assert first["ended_ns"] - first["started_ns"] < 25 * SECOND


GATE = """
gate: shadow
evidence:
  duration: ">= 5s"
  ticks: ">= 50"
  source: [live, synthetic]
owner: trading-infra
runbook: docs/runbooks/latency.md
require:
  - md_cache.hit_ratio >= 0.70
  - tick_total.p95 <= 150ms
  - fills.count >= 0
"""
INI = """
[pytest]
mmgates_sut = mmbot.sut:open_run
mmgates_parts = mmbot.sut:parts
"""


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with the shipped shadow test and configuration, and a gate for a few seconds of market."""
    (tmp_path / "gates").mkdir()
    (tmp_path / "gates" / "shadow.yaml").write_text(GATE)
    (tmp_path / "pytest.ini").write_text(INI)
    shutil.copy(REPO / "config.yaml", tmp_path)
    text = (REPO / "scenarios" / "test_2_shadow.py").read_text()
    (tmp_path / "test_2_shadow.py").write_text(text.partition("@pytest.mark.shadow(gate=")[0])
    return tmp_path


def gates(desk: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`pytest -m shadow` on the live venue, as a person runs it."""
    command = [sys.executable, "-m", "pytest", "-p", "no:asyncio", "-m", "shadow", *arguments]
    return subprocess.run(command, cwd=desk, capture_output=True, text=True, check=False, timeout=120)


def test_the_gates_judge_live_data_and_say_what_it_was(venue: PaperVenue, desk: Path) -> None:
    live_scenario(desk / "scenarios" / "live", "testnet")

    done = gates(desk, "--mmgates-live=paper", f"--mmgates-host={venue.url}", "--mmgates-duration=6s")

    assert done.returncode == 0, done.stdout
    assert "PASS (SYNTHETIC)  shadow  paper     md_cache.hit_ratio >= 0.7" in done.stdout
    run = desk / "artifacts" / "runs" / "shadow-paper"
    manifest = msgspec.json.decode((run / "manifest.json").read_bytes())
    assert (manifest["mode"], manifest["clock"]) == ("shadow", "wall")
    assert manifest["data"]["from"]["host"] == venue.url.replace("http", "ws")
    assert len(read(run, "pipeline_ticks")) == 60
    assert {row["data_kind"] for row in read(run, "pipeline_ticks")} == {"synthetic"}


def test_a_venue_that_cannot_be_reached_is_one_clear_line(desk: Path) -> None:
    live_scenario(desk / "scenarios" / "live", "testnet")

    done = gates(desk, "--mmgates-live=paper", "--mmgates-host=http://127.0.0.1:1", "--mmgates-duration=6s")

    assert done.returncode == 1
    words = "GET http://127.0.0.1:1/v5/market/instruments-info: no connection: "
    assert [line for line in done.stdout.splitlines() if words in line]
    assert "Traceback" not in done.stdout
    verdict = json.loads((desk / "artifacts" / "verdicts" / "shadow.json").read_text())
    assert verdict["verdict"] == "NO_DATA"
