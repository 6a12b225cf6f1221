"""The importer: raw files become columns once, and what cannot become any is an error with file and line."""

import shutil
from pathlib import Path

import msgspec
import pytest
from tests.mmbot.builders import (
    NEXO,
    START_NS,
    capture,
    inverse,
    linear,
    ms,
    wire_depth,
    wire_snapshot,
    wire_trade,
)

from mmbot.errors import OutputError, RecordingError
from mmbot.model.events import BookDelta, BookSnapshot, BookTrouble, Trade, Trouble
from mmbot.model.instrument import Side
from mmbot.recording.importer import columns_of, open_session
from mmbot.units import Ns
from mmbot.venues.binance.session import BinanceSession
from mmbot.venues.bybit.session import BybitSession

FRAMES = [
    (ms(0), wire_snapshot(10, [["1.200", "5.00"]], [["1.202", "4.00"]])),
    (ms(10), wire_depth(11, 12, [["1.201", "1.00"]], [])),
    (ms(20), wire_trade("1.202", "0.50", sold=False)),
    (ms(30), wire_depth(13, 13, [], [["1.202", "3.50"]])),
]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return capture(tmp_path / "data" / "nexo.dat", FRAMES)


def refused(paths: list[Path], cache: Path, **changes: str) -> str:
    with pytest.raises(RecordingError) as caught:
        columns_of(paths, msgspec.structs.replace(NEXO, **changes), cache)
    assert "\n" not in str(caught.value)
    assert not list(cache.rglob("*.bin"))
    return str(caught.value)


def test_columns_hold_what_the_venues_session_yields(raw: Path, tmp_path: Path):
    columns, raw_hash = columns_of([raw], NEXO, tmp_path / "cache")
    assert len(raw_hash) == 64
    assert columns.meta.frames == 4
    assert list(columns.events(NEXO.key)) == [
        BookSnapshot(NEXO.key, Ns(ms(0)), Ns(ms(0)), [(1_200, 500)], [(1_202, 400)]),
        BookDelta(NEXO.key, Ns(START_NS), Ns(ms(10)), [(1_201, 100)], []),
        Trade(NEXO.key, Ns(START_NS), Ns(ms(20)), Side.BUY, 1_202, 50),
        BookDelta(NEXO.key, Ns(START_NS), Ns(ms(30)), [], [(1_202, 350)]),
    ]


def stamps_of(cache: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in cache.rglob("*.bin")}


def test_a_second_opening_reads_the_cache_and_imports_nothing(raw: Path, tmp_path: Path):
    first, raw_hash = columns_of([raw], NEXO, tmp_path / "cache")
    before = stamps_of(tmp_path / "cache")
    again, same_hash = columns_of([raw], NEXO, tmp_path / "cache")
    assert stamps_of(tmp_path / "cache") == before
    assert (list(again.events("x")), same_hash) == (list(first.events("x")), raw_hash)


@pytest.mark.parametrize(
    "changes",
    [{"tick_size": "0.0005"}, {"lot_size": "0.005"}, {"venue": "binance_spot", "symbol": "NEXOUSDT"}],
)
def test_the_cache_is_per_grid_and_shared_where_the_grid_is_the_same(
    raw: Path, tmp_path: Path, changes: dict
):
    columns_of([raw], NEXO, tmp_path / "cache")
    other = msgspec.structs.replace(NEXO, **changes)
    columns_of([raw], other, tmp_path / "cache")
    folders = [path for path in (tmp_path / "cache" / "columns").iterdir() if path.is_dir()]
    assert len(folders) == (1 if other == NEXO else 2)


def test_a_changed_capture_is_imported_anew(raw: Path, tmp_path: Path):
    _, before = columns_of([raw], NEXO, tmp_path / "cache")
    capture(raw, FRAMES[:3])
    columns, after = columns_of([raw], NEXO, tmp_path / "cache")
    assert before != after
    assert columns.meta.frames == 3


def test_a_deleted_cache_is_made_again(raw: Path, tmp_path: Path):
    first, _ = columns_of([raw], NEXO, tmp_path / "cache")
    expected = list(first.events(NEXO.key))
    shutil.rmtree(tmp_path / "cache")
    again, _ = columns_of([raw], NEXO, tmp_path / "cache")
    assert list(again.events(NEXO.key)) == expected


def test_a_corrupt_cache_is_an_error_that_says_what_to_do(raw: Path, tmp_path: Path):
    columns_of([raw], NEXO, tmp_path / "cache")
    (tick,) = (tmp_path / "cache").rglob("tick.bin")
    tick.write_bytes(b"junk")
    with pytest.raises(RecordingError, match=r"columnar cache cannot be read .*; delete it and run again"):
        columns_of([raw], NEXO, tmp_path / "cache")


def test_no_snapshot_is_an_error_that_names_files_and_instrument(tmp_path: Path):
    raw = capture(tmp_path / "nexo.dat", FRAMES[1:])
    assert refused([raw], tmp_path / "cache") == (
        "nexo.dat: no book snapshot in 3 frames of binance_spot:NEXOUSDT; a book cannot be built"
    )


def test_an_empty_recording_is_an_error(tmp_path: Path):
    assert "no book snapshot in 0 frames" in refused([capture(tmp_path / "nexo.dat", [])], tmp_path / "cache")


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (wire_depth(14, 14, [], [], symbol="BTCUSDT"), "symbol was BTCUSDT, expected NEXOUSDT"),
        (wire_depth(14, 14, [["1.2005", "1"]], []), "NEXOUSDT price was '1.2005', expected"),
        (wire_depth(14, 14, [["1.200", "0.001"]], []), "NEXOUSDT size was '0.001', expected"),
        (wire_depth(14, 14, [["1.200", "-1"]], []), "NEXOUSDT size was '-1', expected"),
        (wire_depth(14, 14, [["1.200", "99999999999"]], []), "expected at most 2^31 - 1 steps"),
        (b'{"topic":"orderbook.200.BTCUSDT"}', "expected a Binance message"),
        (b'{"stream":"nexousdt@depth@100ms","data":{"s":"NEXO', "frame was not a Binance message"),
        (b'{"stream":"nexousdt@kline_1m","data":{"s":"\xff"}}', "frame was not a Binance message"),
        (b"junk", "frame was not a Binance message"),
    ],
    ids=["symbol", "off grid", "off lot", "negative", "overflow", "venue", "torn", "not UTF-8", "junk"],
)
def test_a_frame_that_cannot_be_believed_is_an_error_with_file_and_line(
    tmp_path: Path, frame: bytes, expected: str
):
    raw = capture(tmp_path / "nexo.dat", [*FRAMES, (ms(40), frame)])
    message = refused([raw], tmp_path / "cache")
    assert message.startswith(f"{raw}:5: ")
    assert expected in message


def test_a_gap_is_an_event_and_no_error(tmp_path: Path):
    raw = capture(tmp_path / "nexo.dat", [*FRAMES, (ms(40), wire_depth(20, 21, [], []))])
    columns, _ = columns_of([raw], NEXO, tmp_path / "cache")
    *_, last = columns.events(NEXO.key)
    assert isinstance(last, BookTrouble)
    assert (last.trouble, last.detail) == (Trouble.GAP, "U=20 u=21 after u=13")


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path):
    assert refused([tmp_path / "nexo.dat"], tmp_path / "cache").startswith(
        f"{tmp_path}/nexo.dat: cannot be read"
    )


def test_an_unknown_venue_is_an_error_that_names_the_known_ones(raw: Path, tmp_path: Path):
    message = refused([raw], tmp_path / "cache", venue="kraken")
    assert message.startswith("venue was 'kraken', expected one of binance_spot, ")


def test_a_cache_that_cannot_be_written_is_an_error_in_one_line(raw: Path, tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="columnar cache cannot be written: ") as caught:
        columns_of([raw], NEXO, tmp_path / "file")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("instrument", "kind"), [(NEXO, BinanceSession), (inverse(), BinanceSession), (linear(), BybitSession)]
)
def test_a_venue_is_read_by_its_own_session(instrument, kind: type):
    assert isinstance(open_session([instrument]), kind)
