"""Market data goes wrong on real sockets: how soon quotes are pulled, how soon they are back, and that no
quote ever comes from a book that cannot be believed.

The figures of the fault table: a tick is 150 ms at most; pulled within a tick of what is seen, back within
5 s. Every time is read off rows and notes of the recording, which are on one clock. The venue is the paper
exchange in a process of its own, or a loopback server where frames must be said that no exchange would say.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.mmbot.builders import REPO, linear
from tests.mmbot.venues.loopback_bybit import LoopbackBybit, bybit
from tests.system.live_market import Fed, PaperVenue, Row, Shadow, read, ticks, until

from mmbot.clock import RisingClock, stopwatch
from mmbot.errors import RemoteProtocolError
from mmbot.model.events import BookDelta, BookSnapshot, BookTrouble, Confirmed, Trouble
from mmbot.model.notes import Happened, noted
from mmbot.recording.manifest import read_manifest
from mmbot.recording.reader import frames
from mmbot.recording.writer import RecordingWriter
from mmbot.runtime.run import Run, RunRequest
from mmbot.units import MS, SECOND, Lots, Ns, Ticks
from mmbot.venues.bybit.codec import Codec
from mmbot.venues.bybit.connector import PublicConnector
from mmbot.venues.bybit.hosts import hosts

TICK_NS = 150 * MS
BACK_NS = 5 * SECOND
SILENCE_NS = 5 * SECOND


@pytest.fixture(scope="module")
def venue() -> Iterator[PaperVenue]:
    serving = PaperVenue("--scenario", "demo")
    yield serving
    serving.close()


@pytest.fixture
def shadow(venue: PaperVenue, tmp_path: Path) -> Iterator[Shadow]:
    """A bot that quotes."""
    bot = Shadow(tmp_path, venue.url)
    quotes(bot.rows)
    yield bot
    bot.over()


def quoting(row: Row) -> bool:
    return row["bid"] is not None or row["ask"] is not None


def quotes(rows: Iterator[Fed]) -> Row:
    """The next tick that quotes."""
    return until(rows, "pipeline_ticks", quoting)


def trouble(rows: Iterator[Fed], kind: str) -> Row:
    return until(rows, "events", lambda row: row["kind"] == kind)


@dataclass(frozen=True)
class Outage:
    """From the moment that the book broke: the first tick after it, and the first that quoted again."""

    pulled_ns: int
    back_ns: int
    missed: int
    """Ticks without a quote."""


def outage(directory: Path, broke_ns: int) -> Outage:
    after = [row for row in read(directory, "pipeline_ticks") if row["ts_ns"] > broke_ns]
    missed = next(place for place, row in enumerate(after) if quoting(row))
    assert all(row["cache"] == "miss" for row in after[:missed]), "no book is served meanwhile"
    return Outage(after[0]["ts_ns"] - broke_ns, after[missed]["ts_ns"] - broke_ns, missed)


def tick_ns(shadow: Shadow) -> int:
    """A tick, and what this machine was late by its own measure: it runs other tests meanwhile."""
    return TICK_NS + max(note.latency_ns for _, note in shadow.notes() if note.mmbot is Happened.LATE)


def happened(shadow: Shadow, what: Happened) -> list[int]:
    return [recv_ns for recv_ns, note in shadow.notes() if note.mmbot is what]


def test_a_closed_socket_pulls_quotes_within_a_tick_and_they_are_back_within_five_seconds(
    venue: PaperVenue, shadow: Shadow
) -> None:
    cancels = shadow.run.counts.cancels
    venue.faults(close="public")
    lost = trouble(shadow.rows, "lost")
    quotes(shadow.rows)
    shadow.over()

    seen = outage(shadow.directory, lost["ts_ns"])
    assert happened(shadow, Happened.LOST) == [lost["ts_ns"]]
    assert seen.pulled_ns <= tick_ns(shadow)
    assert seen.missed >= 3, "the first wait is half a second"
    assert seen.back_ns <= BACK_NS
    assert shadow.run.counts.cancels > cancels


def test_an_open_socket_that_says_nothing_is_as_good_as_closed(venue: PaperVenue, shadow: Shadow) -> None:
    """Quotes are pulled long before the watchdog: from a book of a second nobody prices."""
    venue.faults(silent=True)
    old = until(shadow.rows, "pipeline_ticks", lambda row: "stale" in row["reasons"])
    lost = trouble(shadow.rows, "lost")
    venue.faults(silent=False)
    quotes(shadow.rows)
    shadow.over()

    assert 1_000 * MS < old["age_ns"] <= 1_000 * MS + tick_ns(shadow)
    last_ns = max(recv_ns for recv_ns, payload in lines(shadow) if payload.startswith(b'{"topic"')
                  and recv_ns < lost["ts_ns"])  # fmt: skip
    assert SILENCE_NS <= lost["ts_ns"] - last_ns <= SILENCE_NS + tick_ns(shadow)
    assert outage(shadow.directory, lost["ts_ns"]).back_ns <= BACK_NS
    silent = [row for row in read(shadow.directory, "pipeline_ticks") if row["ts_ns"] >= old["ts_ns"]]
    assert not any(quoting(row) for row in silent if row["ts_ns"] < lost["ts_ns"])


def lines(shadow: Shadow) -> list[tuple[int, bytes]]:
    recording = shadow.directory / "recording"
    paths = [recording / file.name for file in read_manifest(recording).files]
    return [(frame.recv_ns, frame.payload) for frame in frames(paths)]


def test_no_quote_comes_from_a_book_with_a_gap(venue: PaperVenue, shadow: Shadow) -> None:
    """The venue is far away: what it is asked for takes longer than a tick."""
    venue.faults(delay_ms=200, gap_frames=1)
    gap = trouble(shadow.rows, "gap")
    quotes(shadow.rows)
    venue.faults(delay_ms=0)
    shadow.over()

    seen = outage(shadow.directory, gap["ts_ns"])
    assert seen.pulled_ns <= tick_ns(shadow)
    assert seen.missed >= 2, "there and back"
    assert seen.back_ns <= BACK_NS
    (resubscribed_ns,) = happened(shadow, Happened.RESUBSCRIBED)
    assert gap["ts_ns"] < resubscribed_ns <= gap["ts_ns"] + seen.back_ns


def test_a_truncated_frame_ends_the_connection_and_nothing_else(venue: PaperVenue, shadow: Shadow) -> None:
    venue.faults(truncate_frames=1)
    lost = trouble(shadow.rows, "lost")
    quotes(shadow.rows)
    shadow.over()

    assert "expected a Bybit v5 message: Input data was truncated" in lost["detail"]["detail"]
    seen = outage(shadow.directory, lost["ts_ns"])
    assert seen.pulled_ns <= tick_ns(shadow)
    assert seen.back_ns <= BACK_NS


def test_a_restart_of_the_service_is_a_fresh_book_and_no_outage(venue: PaperVenue, shadow: Shadow) -> None:
    venue.faults(restart=True)
    ticks(shadow.rows, 10)
    shadow.over()

    restarts = [payload for _, payload in lines(shadow) if b'"u":1,' in payload]
    assert [b'"type":"snapshot"' in payload for payload in restarts] == [True]
    assert {row["cache"] for row in read(shadow.directory, "pipeline_ticks")} == {"hit"}
    assert [row for row in read(shadow.directory, "events") if row["kind"] != "halt"] == []


def test_the_fourth_broken_book_in_five_minutes_stops_quoting_and_the_third_does_not(
    venue: PaperVenue, shadow: Shadow
) -> None:
    gap, cut = ({"gap_frames": 1}, "gap"), ({"close": "public"}, "lost")
    for switches, kind in (gap, cut, gap):
        venue.faults(**switches)
        trouble(shadow.rows, kind)
        ticks(shadow.rows, 2)
        quotes(shadow.rows)
    venue.faults(close="public")
    trouble(shadow.rows, "lost")
    until(shadow.rows, "pipeline_ticks", lambda row: row["cache"] == "miss")
    whole = until(shadow.rows, "pipeline_ticks", lambda row: row["cache"] == "hit")
    later = ticks(shadow.rows, 20)
    shadow.over()

    assert not any(quoting(row) for row in [whole, *later])
    assert {tuple(row["reasons"]) for row in later} == {("resyncs",)}
    assert {row["guard"] for row in later} == {"HARD"}


def test_what_is_told_twice_changes_no_decision(venue: PaperVenue, shadow: Shadow, tmp_path: Path) -> None:
    """The recording, and the same without what was told twice, give one digest: of books and of trades."""
    venue.faults(duplicate_ratio=1.0)
    ticks(shadow.rows, 30)
    venue.faults(duplicate_ratio=0.0)
    ticks(shadow.rows, 10)
    shadow.over()

    recording, once = shadow.directory / "recording", tmp_path / "once"
    dropped = written_once(recording, once)
    assert sum(b"orderbook" in payload for payload in dropped) >= 20
    assert any(b"publicTrade" in payload for payload in dropped)
    duplicates = [row for row in read(shadow.directory, "events") if row["kind"] == "duplicate"]
    assert len(duplicates) == sum(b"orderbook" in payload for payload in dropped)
    assert replayed(once, tmp_path / "replay-once") == replayed(recording, tmp_path / "replay-twice")
    assert replayed(recording, tmp_path / "replay-again") == shadow.run.digest


def written_once(recording: Path, out: Path) -> list[bytes]:
    """A copy of a recording without market frames that repeat one; returns those left out."""
    manifest = read_manifest(recording)
    writer = RecordingWriter(
        out, kind=manifest.kind, source=manifest.source, instruments=manifest.instruments,
        seed=manifest.seed, config=manifest.config,
    )  # fmt: skip
    told: set[bytes] = set()
    dropped = []
    for frame in frames([recording / file.name for file in manifest.files]):
        if frame.payload.startswith(b'{"topic"') and frame.payload in told:
            dropped.append(frame.payload)
        else:
            told.add(frame.payload)
            writer.add(frame.recv_ns, frame.payload)
    writer.finish("complete")
    return dropped


def replayed(recording: Path, directory: Path) -> str:
    config = [REPO / "config.yaml"]
    run = Run(RunRequest("recording", recording, config, recording, directory.name, directory))
    for _ in run:
        pass
    return run.digest


def test_a_venue_that_is_too_busy_at_the_start_is_asked_again(venue: PaperVenue, tmp_path: Path) -> None:
    asked_at = stopwatch()
    venue.faults(http_429=2)
    shadow = Shadow(tmp_path, venue.url)
    assert stopwatch() - asked_at >= 2 * SECOND, "it says Retry-After: 1, twice"
    quotes(shadow.rows)
    shadow.over()


def test_a_venue_that_stays_too_busy_is_one_clear_error(venue: PaperVenue, tmp_path: Path) -> None:
    venue.faults(http_429=5)
    with pytest.raises(RemoteProtocolError, match=r"instruments-info: HTTP status was 429 after 5 tries$"):
        Shadow(tmp_path, venue.url)
    assert not (tmp_path / "run").exists()


Said = Callable[[Coroutine[Any, Any, Any]], Any]
"""Does something on the loop of a loopback server, and waits for it."""
INSTRUMENT = linear()
DEPTH = 50


@contextlib.contextmanager
def loopback(given: Callable[[int, list[str]], Sequence[bytes]]) -> Iterator[tuple[LoopbackBybit, Said]]:
    """A server in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def said(what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, loop).result(timeout=30)

    serving = bybit([INSTRUMENT], given)
    try:
        yield said(serving.__aenter__()), said
        said(serving.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def snapshot(update_id: int) -> bytes:
    """50 levels a side around 75.00."""
    bids = [(Ticks(7_500 - place), Lots(500)) for place in range(DEPTH)]
    asks = [(Ticks(7_501 + place), Lots(500)) for place in range(DEPTH)]
    return encoded(BookSnapshot(INSTRUMENT.key, Ns(MS), Ns(MS), bids, asks, update_id))


def delta(update_id: int, bids: list[tuple[int, int]]) -> bytes:
    levels = [(Ticks(tick), Lots(lots)) for tick, lots in bids]
    return encoded(BookDelta(INSTRUMENT.key, Ns(MS), Ns(MS), levels, [], update_id))


def encoded(event: BookSnapshot | BookDelta) -> bytes:
    return Codec(INSTRUMENT).encode_book(event, depth=DEPTH, seq=1, ts_ms=1)


CROSSED = [(7_501, 5), (7_451, 0)]
"""A bid at the best ask; the last bid goes, so that there are as many levels as before."""


def test_a_crossed_book_is_quoted_from_by_nobody_however_long_it_takes(tmp_path: Path) -> None:
    """The venue lets us wait for a whole book for more than a second."""
    with loopback(lambda number, _: [] if number else [snapshot(10)]) as (venue, said):
        shadow = Shadow(tmp_path, venue.url)
        quotes(shadow.rows)
        said(venue.push(delta(11, CROSSED)))
        crossed = trouble(shadow.rows, "crossed")
        without = ticks(shadow.rows, 15)
        said(venue.push(snapshot(20)))
        quotes(shadow.rows)
        shadow.over()

    seen = outage(shadow.directory, crossed["ts_ns"])
    assert seen.pulled_ns <= tick_ns(shadow)
    assert seen.missed >= 15
    assert all("crossed" in row["reasons"] for row in without)
    assert [asked["op"] for asked in venue.requests if asked["op"] != "ping"] == [
        *("subscribe", "unsubscribe", "subscribe")
    ]


@pytest.mark.parametrize(
    ("price", "size", "expected"),
    [
        ("99999999999.00", "1.00", "price was '99999999999.00', expected at most 2^31 - 1 steps of 0.01"),
        ("75.00", "1e308", "size was '1e308', expected a plain decimal of at most 2 places"),
        ("NaN", "1.00", "price was 'NaN', expected a plain decimal"),
        ("-1.00", "1.00", "price was '-1.00', expected a plain decimal"),
        ("0.00", "1.00", "book had a level at price 0"),
        ("75.005", "1.00", "price was '75.005', expected a plain decimal of at most 2 places"),
    ],
)
def test_a_number_that_cannot_be_is_refused_where_it_is_read(
    tmp_path: Path, price: str, size: str, expected: str
) -> None:
    bad = delta(11, [(7_500, 7)]).replace(b'["75.00","0.07"]', f'["{price}","{size}"]'.encode())
    assert f'"{price}"'.encode() in bad
    with loopback(lambda number, _: [snapshot(10 * number + 10)]) as (venue, said):
        shadow = Shadow(tmp_path, venue.url)
        quotes(shadow.rows)
        said(venue.push(bad))
        lost = trouble(shadow.rows, "lost")
        quotes(shadow.rows)
        shadow.over()

    assert expected in lost["detail"]["detail"]
    seen = outage(shadow.directory, lost["ts_ns"])
    assert (seen.pulled_ns <= tick_ns(shadow), seen.back_ns <= BACK_NS) == (True, True)


def test_a_venue_that_answers_with_errors_at_the_start_is_asked_again(tmp_path: Path) -> None:
    with loopback(lambda number, _: [snapshot(10 * number + 10)]) as (venue, _):
        venue.statuses = [502, 503]
        shadow = Shadow(tmp_path, venue.url)
        quotes(shadow.rows)
        shadow.over()
        assert venue.statuses == []


def test_a_consumer_that_falls_behind_loses_market_data_is_told_so_and_starts_from_a_fresh_book() -> None:
    """50,000 events may wait; nobody takes them."""
    flood = [snapshot(10), *(delta(11 + place, [(7_500, 5 + place % 7)]) for place in range(50_010))]

    async def slow(url: str) -> list[Any]:
        recorded: list[bytes] = []
        again = asyncio.Event()

        def record(_: Ns, payload: bytes) -> None:
            recorded.append(payload)
            if payload == snapshot(20):
                again.set()

        connector = PublicConnector([INSTRUMENT], hosts(url), record, clock=RisingClock(), depth=DEPTH)
        task = asyncio.create_task(connector.run())
        await asyncio.wait_for(again.wait(), 60)
        batch = connector.drain()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        told = [noted(payload) for payload in recorded]
        return [
            batch.events,
            [note.detail for note in told if note and note.mmbot is Happened.LOST],
            recorded,
        ]

    with loopback(lambda number, _: [snapshot(20)] if number else flood) as (venue, said):
        events, lost, recorded = said(slow(venue.url))

    assert lost == ["the consumer fell 50001 events behind; they were dropped"]
    assert [type(event) for event in events] == [BookTrouble, Confirmed, BookSnapshot], "the ack confirms"
    assert events[0].trouble is Trouble.LOST
    assert recorded.count(flood[49_999]) == 1, "what was dropped has been recorded"
