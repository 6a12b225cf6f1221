"""A run in play, asked over a real socket: what it says is what its rows say."""

import asyncio
import signal
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from tests.mmbot.builders import run_request

from mmbot.errors import ConfigError
from mmbot.model.records import EventRow, FillRow, Row, TickRow
from mmbot.net.http import HttpClient
from mmbot.runtime.run import Run
from mmbot.runtime.running import read_status
from mmbot.runtime.shown import ShownRun, shown
from mmbot.telemetry.view import RunState

FEEDS: Mapping[str, type[Row]] = {"pipeline_ticks": TickRow, "fills": FillRow, "events": EventRow}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(run_request(tmp_path))


@pytest.fixture
def _hangup() -> Iterator[None]:
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


def asked(url: str, target: str, **headers: str) -> tuple[int, bytes]:
    async def ask() -> tuple[int, bytes]:
        async with HttpClient(url) as http:
            reply = await http.request("GET", target, headers=headers)
            return reply.status, reply.body

    return asyncio.run(ask())


def state_at(url: str) -> RunState:
    return msgspec.json.decode(asked(url, "/status.json")[1], type=RunState)


def written(batches: Iterator[tuple[str, bytes]], rows: list[Any]) -> Iterator[None]:
    """Play on, batch by batch, and keep the rows that went to the disk."""
    for feed, lines in batches:
        if feed in FEEDS:
            rows += msgspec.json.Decoder(FEEDS[feed]).decode_lines(lines)
        yield


def test_what_it_says_while_it_plays_is_what_it_wrote(run: Run):
    rows: list[Any] = []
    with shown(run, 0, "--status-port") as (_, url):
        assert state_at(url).state == "starting"
        for _ in written(iter(run), rows):
            pass
        state = state_at(url)
        metrics = asked(url, "/metrics")[1].decode()
    ticks = [row for row in rows if isinstance(row, TickRow)]
    fills = [row for row in rows if isinstance(row, FillRow)]
    assert (state.ticks, state.now_ns) == (len(ticks), ticks[-1].ts_ns) == (run.counts.ticks, ticks[-1].ts_ns)
    assert state.results[0].fills == len(fills) > 0
    assert f'mmbot_ticks_total{{arm="A",symbol="bybit_linear:SYNTHUSDT"}} {len(ticks)}.0\n' in metrics
    assert state.facts.planned_ns == run.planned_ns
    (bot,) = run.engine.bots.values()
    last = state.symbols[0].last
    assert last is not None
    assert last.mid is not None
    assert state.results[0].pnl == pytest.approx(bot.position.pnl(last.mid))


def test_the_page_changes_as_the_run_goes_on(run: Run):
    with shown(run, 0, "--status-port") as (_, url):
        batches = iter(run)
        next(batches)
        status, before = asked(url, "/")
        assert (status, before[:15]) == (200, b"<!doctype html>")
        for _ in batches:
            pass
        assert asked(url, "/")[1] != before


def test_an_open_page_is_sent_the_state_as_events(run: Run):
    async def first_event(url: str) -> bytes:
        async with aiohttp.ClientSession() as session, session.get(f"{url}events") as response:
            assert response.content_type == "text/event-stream"
            return await response.content.readuntil(b"\n\n")

    with shown(run, 0, "--status-port") as (_, url):
        for _ in run:
            pass
        sent = asyncio.run(first_event(url))
    assert sent.startswith(b'data: <h1 class="')
    assert b"SYNTHETIC DATA" in sent


def test_a_taken_port_is_one_line_and_nothing_is_written(run: Run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        message = rf"--status-port: was {port}, expected a free port of 127\.0\.0\.1: [^\n]+$"
        with pytest.raises(ConfigError, match=message), shown(run, port, "--status-port"):
            pass
    assert not run.directory.exists()


@pytest.mark.parametrize(
    ("host", "status"), [("localhost:80", 200), ("[::1]", 200), ("evil.example:80", 403), ("", 403)]
)
def test_a_foreign_name_for_this_machine_reads_nothing(run: Run, host: str, status: int):
    with shown(run, 0, "--status-port") as (_, url):
        for target in ("/", "/status.json"):
            assert asked(url, target, Host=host)[0] == status


@pytest.mark.usefixtures("_hangup")
def test_a_run_of_the_door_says_where_it_is_shown_and_what_watches_it(tmp_path: Path, run: Run):
    shown_run = ShownRun(run, 0, "status_port", tmp_path / "running")
    rule = {"rule": "taker_share[1h] > 15%", "section": "stop", "says": "3%", "fired": False}
    shown_run.watched([rule])  # before it plays nobody looks
    batches = iter(shown_run)
    next(batches)
    status = read_status(tmp_path / "running" / "run.json")
    assert status is not None
    assert status.status_url is not None
    assert state_at(status.status_url).rules is None
    shown_run.watched([rule])
    (told,) = state_at(status.status_url).rules or []
    assert msgspec.to_builtins(told) == rule
    with pytest.raises(ConfigError, match=r"watched rules were not as mmbot\.sut says: .*says"):
        shown_run.watched([{**rule, "says": 1}])
    shown_run.halt("stop rule")
    for _ in batches:
        pass
    assert list((tmp_path / "running").iterdir()) == []
    assert run.counts.ticks < 150
