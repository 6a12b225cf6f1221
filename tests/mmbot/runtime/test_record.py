"""Recording a live market end to end: a venue on loopback, files, and the replay of them."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from tests.mmbot.builders import REPO, START_NS, linear, run_request
from tests.mmbot.venues.loopback_bybit import LoopbackBybit, bybit
from tests.mmbot.venues.test_binance_connector import Capture, usdm

from mmbot.config.scenario import load_scenario
from mmbot.errors import ConfigError, LocalProtocolError, OutputError, TransportError
from mmbot.model.events import BookDelta, BookSnapshot, BookTrouble, MarketEvent, Trade
from mmbot.model.instrument import Instrument
from mmbot.model.notes import Happened
from mmbot.recording.gaps import Gap
from mmbot.recording.importer import columns_of
from mmbot.recording.manifest import RecordingManifest, read_manifest
from mmbot.recording.reader import frames
from mmbot.runtime.record import RecordRequest, record
from mmbot.runtime.record_statistics import RecordStatistics
from mmbot.runtime.run import Run
from mmbot.sim.market import MarketSettings, SyntheticMarket
from mmbot.units import Ns
from mmbot.venues.bybit.feed import BybitFeed

INSTRUMENTS = [linear(), linear(symbol="OTHERUSDT", base="OTHER")]
DEPTH = 50
pytestmark = pytest.mark.asyncio


def market(instrument: Instrument, seed: int) -> list[BookSnapshot | BookDelta | Trade]:
    """Two minutes of a generated market; it begins with a snapshot."""
    settings = MarketSettings(symbol=instrument.key, duration_s=120.0, depth_levels=DEPTH)
    return list(SyntheticMarket(settings, seed, Ns(START_NS)).events())


MARKETS = {instrument.symbol: market(instrument, seed) for seed, instrument in enumerate(INSTRUMENTS, 1)}
TOLD = sum(map(len, MARKETS.values()))


def everything(_: int, topics: list[str]) -> Sequence[bytes]:
    """All of both markets, in the order of their time, once both are asked for."""
    feeds = {instrument.symbol: BybitFeed(instrument, DEPTH) for instrument in INSTRUMENTS}
    assert len(topics) == 4
    pushed = [(event.recv_ns, symbol, event) for symbol, told in MARKETS.items() for event in told]
    return [feeds[symbol].frame(event) for _, symbol, event in sorted(pushed, key=lambda one: one[0])]


def counted(seen: RecordStatistics) -> int:
    return sum(one.snapshots + one.deltas + one.trades for one in seen.symbols.values())


async def recorded(
    venue: LoopbackBybit, out: Path, until: int, symbols: Sequence[str] = ("SYNTHUSDT", "OTHERUSDT")
) -> tuple[RecordingManifest, RecordStatistics]:
    """Record until so many events were seen."""
    request = RecordRequest("bybit", list(symbols), venue.url, out, None, DEPTH)
    stop, last = asyncio.Event(), []

    def seen(statistics: RecordStatistics) -> None:
        last[:] = [statistics]
        if counted(statistics) >= until:
            stop.set()

    async with asyncio.timeout(30):
        return await record(request, stop, seen), last[0]


def timeless(event: MarketEvent) -> MarketEvent:
    """Without our stamps and without what columns leave out."""
    changes = {"recv_ns": 0} if isinstance(event, Trade) else {"recv_ns": 0, "update_id": 0}
    return msgspec.structs.replace(event, **changes)


async def test_what_a_venue_told_is_what_a_replay_of_the_recording_plays(tmp_path: Path) -> None:
    out = tmp_path / "recording"
    async with bybit(INSTRUMENTS, everything) as venue:
        manifest, seen = await recorded(venue, out, TOLD)

    assert (manifest.status, manifest.kind, manifest.gaps) == ("complete", "synthetic", [])
    assert counted(seen) == TOLD
    for instrument in INSTRUMENTS:
        columns, _ = columns_of([out / file.name for file in manifest.files], instrument, tmp_path)
        told = [
            timeless(event)
            for event in columns.events(instrument.key)
            if isinstance(event, BookSnapshot | BookDelta | Trade)
        ]
        assert told == [timeless(event) for event in MARKETS[instrument.symbol]]

    request = run_request(
        tmp_path, scenario="recording", scenarios=out, data=out, config=[REPO / "config.yaml"]
    )
    run = Run(request)
    assert sum(len(lines) for _, lines in run) > 0
    assert run.tape.kind == "synthetic"
    assert [feed.instrument.key for feed in run.tape.feeds] == [one.key for one in INSTRUMENTS]


async def test_the_lines_are_the_frames_our_requests_and_what_happened(tmp_path: Path) -> None:
    async with bybit(INSTRUMENTS, everything) as venue:
        manifest, _ = await recorded(venue, tmp_path / "out", TOLD)
    lines = [frame.payload for frame in frames([tmp_path / "out" / file.name for file in manifest.files])]

    assert lines[0] == b'{"mmbot":"connected"}'
    assert lines[1].startswith(b'{"_sent":{"req_id":"1","op":"subscribe","args":["orderbook.50.SYNTHUSDT",')
    assert b'"op":"subscribe"' in lines[2]
    pushed = everything(0, [""] * 4)
    assert lines[3 : 3 + len(pushed)] == pushed


async def test_a_connection_that_was_lost_is_a_gap_and_the_rest_still_replays(tmp_path: Path) -> None:
    """The second connection starts the market anew; a frame that was cut off ended the first."""
    torn = everything(0, [""] * 4)[5][:40]

    def given(number: int, topics: list[str]) -> Sequence[bytes]:
        return [*everything(number, topics)[:200], torn] if number == 0 else everything(number, topics)

    async with bybit(INSTRUMENTS, given) as venue:
        manifest, seen = await recorded(venue, tmp_path / "out", TOLD + 200)

    assert (seen.happened[Happened.LOST], seen.connected) == (1, True)
    assert {(gap.symbol, gap.kind) for gap in manifest.gaps} == {(one.key, "lost") for one in INSTRUMENTS}
    for gap in manifest.gaps:
        assert isinstance(gap, Gap)
        assert gap.until_ns is not None
        assert "expected a Bybit v5 message" in gap.detail
    paths = [tmp_path / "out" / file.name for file in manifest.files]
    assert torn in [frame.payload for frame in frames(paths)]
    for instrument in INSTRUMENTS:
        events = list(columns_of(paths, instrument, tmp_path)[0].events(instrument.key))
        (lost,) = (event for event in events if isinstance(event, BookTrouble))
        after = [
            event for event in events[events.index(lost) :] if isinstance(event, BookSnapshot | BookDelta)
        ]
        assert isinstance(after[0], BookSnapshot)
        told = [event for event in MARKETS[instrument.symbol] if not isinstance(event, Trade)]
        assert list(map(timeless, after)) == list(map(timeless, told))


async def test_a_refused_symbol_ends_the_recording_and_keeps_it(tmp_path: Path) -> None:
    async with bybit(INSTRUMENTS, everything) as venue:
        venue.refusing = "Invalid symbol :[orderbook.50.SYNTHUSDT]"
        with pytest.raises(LocalProtocolError, match="Invalid symbol"):
            await recorded(venue, tmp_path, TOLD)
    manifest = read_manifest(tmp_path)
    assert manifest.status == "failed"
    assert "Invalid symbol" in manifest.reason
    assert manifest.files[0].frames == 3


async def test_binance_is_recorded_with_its_snapshot_in_place(data_dir: Path, tmp_path: Path) -> None:
    capture = Capture(data_dir / "binance_usdm_20210722" / "sushiusdt.dat.gz")
    told = capture.told()
    out, stop = tmp_path / "out", asyncio.Event()

    def seen(statistics: RecordStatistics) -> None:
        if counted(statistics) == len(told):
            stop.set()

    async with asyncio.timeout(30), usdm(capture) as venue:
        manifest = await record(
            RecordRequest("binance_usdm", ["SUSHIUSDT"], venue.url, out, None), stop, seen
        )

    assert (manifest.status, manifest.gaps) == ("complete", [])
    scenario, _ = load_scenario("recording", out)
    (feed,) = scenario.feeds
    paths = [out / name for name in feed.files]
    columns, _ = columns_of(paths, feed.instrument, tmp_path, feed.trade_stream)
    again = list(columns.events(feed.instrument.key))
    for kind in (BookDelta, Trade):
        of_kind = [timeless(event) for event in told if isinstance(event, kind)]
        assert [timeless(event) for event in again if isinstance(event, kind)] == of_kind
    assert sum(isinstance(event, BookSnapshot) for event in again) == 1


async def test_a_folder_that_cannot_be_written_ends_it_before_it_begins(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    async with bybit(INSTRUMENTS, everything) as venue:
        with pytest.raises(OutputError, match="cannot be written: Not a directory"):
            await recorded(venue, tmp_path / "file" / "out", TOLD)


async def test_what_nobody_has_is_one_line_and_nothing_is_written(tmp_path: Path) -> None:
    async with bybit(INSTRUMENTS, everything) as venue:
        with pytest.raises(ConfigError, match="bybit_linear: NOSUCH: not among the instruments"):
            await recorded(venue, tmp_path / "out", TOLD, ["NOSUCH"])
    with pytest.raises(TransportError, match="no connection"):
        await recorded(venue, tmp_path / "out", TOLD)
    with pytest.raises(ConfigError, match="venue was 'kraken', expected one of bybit, "):
        await record(
            RecordRequest("kraken", ["X"], venue.url, tmp_path / "out", None), asyncio.Event(), lambda _: None
        )
    assert not (tmp_path / "out").exists()
