"""Columns: events in are events out, 25 bytes a row, and a damaged cache is an error."""

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import KEY, START_NS, columns_of_events, confirmed, delta, snapshot, trade

from mmbot.errors import RecordingError
from mmbot.model.events import (
    BookDelta,
    BookSnapshot,
    BookTrouble,
    Confirmed,
    MarketEvent,
    TopOfBook,
    Trade,
    Trouble,
)
from mmbot.model.instrument import Side
from mmbot.recording.builder import ColumnsBuilder
from mmbot.recording.columns import BLOCK_ROWS, LAST, Columns
from mmbot.units import Lots, Ns, Ticks

NAMES = ("exch_ns", "recv_ns", "tick", "lots", "kind")

stamps = st.integers(START_NS - 10**10, START_NS + 10**10).map(Ns)
int32 = st.integers(0, 2**31 - 1)
levels = st.lists(st.tuples(int32, int32), max_size=5)
events = st.one_of(
    st.builds(BookSnapshot, st.just(KEY), stamps, stamps, levels, levels),
    st.builds(BookDelta, st.just(KEY), stamps, stamps, levels, levels),
    st.builds(Trade, st.just(KEY), stamps, stamps, st.sampled_from(Side), int32.map(Ticks), int32.map(Lots)),
    st.builds(Confirmed, st.just(KEY), stamps),
    st.builds(
        TopOfBook,
        st.just(KEY),
        stamps,
        stamps,
        *(int32.map(kind) for kind in (Ticks, Lots, Ticks, Lots)),
        int32,
    ),
    st.builds(BookTrouble, st.just(KEY), stamps, stamps, st.sampled_from(Trouble), st.text(max_size=9)),
)


def kept(event: MarketEvent) -> MarketEvent:
    """What columns keep of an event: an oracle and an empty delta are signs of life."""
    if isinstance(event, TopOfBook) or (isinstance(event, BookDelta) and not (event.bids or event.asks)):
        return Confirmed(event.symbol, event.recv_ns)
    return event


@given(st.lists(events, max_size=20))
def test_the_events_that_went_in_come_out(stream: list[MarketEvent]):
    assert list(columns_of_events(stream).events(KEY)) == [kept(event) for event in stream]


@given(st.lists(events, max_size=20))
def test_a_level_a_trade_or_a_sign_is_a_row_of_25_bytes(stream: list[MarketEvent]):
    rows = 0
    for event in map(kept, stream):
        rows += isinstance(event, BookSnapshot)
        has_levels = isinstance(event, BookDelta | BookSnapshot)
        rows += len(event.bids) + len(event.asks) if has_levels else 1
    made = columns_of_events(stream)
    assert len(made) == rows
    assert sum(made.arrays[name].nbytes for name in NAMES) == 25 * rows


@given(st.lists(events, max_size=20))
def test_the_last_row_of_every_message_and_no_other_says_so(stream: list[MarketEvent]):
    made = columns_of_events(stream)
    assert int(((made.arrays["kind"] & LAST) > 0).sum()) == len(stream)
    assert len(made) == 0 or made.arrays["kind"][-1] & LAST


def test_a_long_recording_crosses_the_chunks_of_reading_unharmed():
    stream: list[MarketEvent] = [
        delta([(tick, tick + 1) for tick in range(7)], [(9, number)], ns=START_NS + number)
        for number in range(9_000)
    ]
    assert list(columns_of_events(stream).events(KEY)) == stream


def test_a_snapshot_may_lack_a_side_or_both():
    stream: list[MarketEvent] = [
        snapshot([], []),
        snapshot([(1, 1)], []),
        snapshot([], [(2, 2)]),
        confirmed(START_NS),
    ]
    assert list(columns_of_events(stream).events(KEY)) == stream


def test_meta_says_frames_and_first_and_last_receive_time():
    made = columns_of_events([confirmed(START_NS + 1), trade(Side.BUY, 100, 1, ns=START_NS + 5)])
    assert (made.meta.frames, made.meta.first_ns, made.meta.last_ns) == (2, START_NS + 1, START_NS + 5)
    empty = columns_of_events([]).meta
    assert (empty.frames, empty.rows, empty.first_ns, empty.last_ns, empty.tick_range) == (0, 0, 0, 0, (0, 0))


def test_meta_says_where_the_book_can_be_picked_up():
    made = columns_of_events(
        [
            confirmed(START_NS),
            snapshot([(1, 1)], [(3, 1)], ns=START_NS + 1),
            snapshot([], [], ns=START_NS + 7),
        ]
    )
    assert made.meta.snapshots == [(1, 1, START_NS + 1), (4, 2, START_NS + 7)]
    assert made.meta.rows == len(made) == 5


def test_the_tick_range_is_of_levels_and_trades():
    made = columns_of_events([snapshot([(100, 1)], [(300, 0)]), trade(Side.SELL, 50, 1), confirmed(START_NS)])
    assert made.tick_range == (50, 300)


@pytest.mark.parametrize(
    "event",
    [
        trade(Side.BUY, 2**31, 1),
        trade(Side.BUY, 1, 2**31),
        delta([(1, 2**40)], []),
        snapshot([], [(2**33, 1)]),
    ],
    ids=["tick", "lots", "delta", "snapshot"],
)
def test_a_number_that_does_not_fit_32_bits_is_an_overflow(event: MarketEvent):
    with pytest.raises(OverflowError):
        columns_of_events([event])


def saved(folder: Path) -> Path:
    """A small recording, made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    builder = ColumnsBuilder(folder)
    for event in (snapshot([(100, 1)], [(102, 1)]), trade(Side.BUY, 102, 1)):
        builder.add([event])
    builder.finish()
    return folder


def refused(folder: Path) -> str:
    with pytest.raises(RecordingError) as caught:
        Columns.load(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", [*(f"{name}.bin" for name in NAMES), "meta.json"])
def test_a_column_that_is_missing_cut_or_junk_is_an_error_that_says_what_to_do(tmp_path: Path, name: str):
    folder = tmp_path / "columns"
    whole = (saved(folder) / name).read_bytes()
    for content in (None, b"", whole[: len(whole) // 2], whole[:-1], b"junk" * 40):
        saved(folder)
        (folder / name).unlink()
        if content is not None:
            (folder / name).write_bytes(content)
        message = refused(folder)
        assert message.startswith(f"{folder}: columnar cache cannot be read (")
        assert message.endswith("; delete it and run again")


def test_a_column_of_another_length_says_what_it_was(tmp_path: Path):
    folder = saved(tmp_path / "columns")
    (folder / "tick.bin").write_bytes(bytes(12))
    assert "(tick.bin was 12 bytes, expected 16)" in refused(folder)


def test_a_folder_that_is_missing_is_an_error(tmp_path: Path):
    assert "columnar cache cannot be read" in refused(tmp_path / "missing")


def long_recording() -> list[MarketEvent]:
    """Four blocks of rows."""
    return [trade(Side.BUY, 100, number + 1, ns=START_NS + number) for number in range(4 * BLOCK_ROWS)]


def resident_bytes(made: Columns) -> int:
    """Memory that the columns' files take in this process, by the kernel's own account."""
    addresses = {array.ctypes.data for array in made.arrays.values()}
    total, wanted = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        head = line.split()
        if "-" in head[0] and not head[0].endswith(":"):
            start, end = (int(part, 16) for part in head[0].split("-"))
            wanted = any(start <= address < end for address in addresses)
        elif wanted and head[0] == "Rss:":
            total += int(head[1]) * 1024
    return total


linux = pytest.mark.skipif(not Path("/proc/self/smaps").is_file(), reason="no /proc/self/smaps here")


@linux
def test_what_was_played_is_let_go_and_can_be_read_again():
    made = columns_of_events(long_recording())
    total = int(made.arrays["lots"].sum(dtype=np.int64))
    for name in NAMES:
        made.arrays[name].max()
    read = resident_bytes(made)
    made.forget(BLOCK_ROWS - 1)
    assert resident_bytes(made) == read >= 25 * len(made)
    made.forget(3 * BLOCK_ROWS)
    assert resident_bytes(made) < read / 2
    assert int(made.arrays["lots"].sum(dtype=np.int64)) == total


@linux
def test_events_let_go_of_what_they_told_every_time():
    """At most a block, and in each column a huge page, which the system may map at once."""
    levels, huge_page = [(tick, 1) for tick in range(64)], 1 << 21
    a_block = BLOCK_ROWS // len(levels)
    made = columns_of_events(delta(levels, [], ns=START_NS + number) for number in range(32 * a_block))
    most_allowed = 25 * BLOCK_ROWS + len(NAMES) * huge_page
    assert most_allowed < 25 * len(made) / 4
    for _ in range(2):
        told = enumerate(made.events(KEY))
        assert max(resident_bytes(made) for number, _ in told if number % a_block == 9) <= most_allowed


def three_snapshots() -> list[MarketEvent]:
    """Snapshots at 0, 10 and 20 ns, and something behind each."""
    return [
        event
        for ns in (0, 10, 20)
        for event in (
            snapshot([(100 + ns, 1)], [(200, 1)], ns=START_NS + ns),
            delta([(90, ns)], [], ns=START_NS + ns + 1),
            trade(Side.BUY, 200, 1, ns=START_NS + ns + 2),
        )
    ]


@pytest.mark.parametrize(
    ("start", "stop", "first", "last"),
    [(None, None, 0, 9), (None, 10, 0, 3), (3, 20, 3, 6), (10, 11, 3, 6), (11, None, 6, 9), (0, None, 3, 9)],
)
def test_a_cut_goes_from_snapshot_to_snapshot(start: int | None, stop: int | None, first: int, last: int):
    """Of the very first snapshot nobody says that it came after a midnight."""
    stream = three_snapshots()
    whole = columns_of_events(stream)
    start_ns, stop_ns = (None if ns is None else START_NS + ns for ns in (start, stop))
    part, expected = whole.cut(start_ns, stop_ns), columns_of_events(stream[first:last])
    assert list(part.events(KEY)) == stream[first:last]
    assert part.meta == msgspec.structs.replace(expected.meta, tick_range=whole.tick_range)
    assert all(part.arrays[name].flags.c_contiguous for name in NAMES)


@pytest.mark.parametrize(("start", "stop"), [(21, None), (None, 21), (12, 13), (20, 10)])
def test_a_cut_without_a_snapshot_is_refused(start: int | None, stop: int | None):
    start_ns, stop_ns = (None if ns is None else START_NS + ns for ns in (start, stop))
    with pytest.raises(ValueError, match="no snapshot"):
        columns_of_events(three_snapshots()).cut(start_ns, stop_ns)


@linux
def test_a_cut_lets_go_of_its_own_rows():
    stream = long_recording()
    half = 2 * BLOCK_ROWS
    stream[0] = snapshot([], [], ns=START_NS)
    stream[half] = snapshot([], [], ns=START_NS + half)
    part = columns_of_events(stream).cut(START_NS + half, None)
    for name in NAMES:
        part.arrays[name].max()
    read = resident_bytes(part)
    part.forget(len(part))
    assert read >= 25 * len(part)
    assert resident_bytes(part) < read / 3
    assert list(part.events(KEY)) == stream[half:]


def test_columns_that_are_no_files_have_nothing_to_let_go():
    made = columns_of_events(long_recording())
    held = Columns(made.meta, {name: array.copy() for name, array in made.arrays.items()})
    held.forget(len(made))
    assert held.arrays["lots"][-1] == len(made)
