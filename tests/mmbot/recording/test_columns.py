"""Columns: events in are events out, 25 bytes a row, and a damaged cache is an error."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import KEY, START_NS, confirmed, delta, snapshot, trade

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
from mmbot.recording.columns import LAST, Columns, ColumnsBuilder
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


def columns(stream: list[MarketEvent]) -> Columns:
    builder = ColumnsBuilder()
    builder.add(stream)
    return builder.build(len(stream))


def kept(event: MarketEvent) -> MarketEvent:
    """What columns keep of an event: an oracle and an empty delta are signs of life."""
    if isinstance(event, TopOfBook) or (isinstance(event, BookDelta) and not (event.bids or event.asks)):
        return Confirmed(event.symbol, event.recv_ns)
    return event


@given(st.lists(events, max_size=20))
def test_the_events_that_went_in_come_out(stream: list[MarketEvent]):
    assert list(columns(stream).events(KEY)) == [kept(event) for event in stream]


@given(st.lists(events, max_size=20))
def test_saved_columns_load_as_they_were(tmp_path_factory: pytest.TempPathFactory, stream: list[MarketEvent]):
    folder, made = tmp_path_factory.mktemp("columns"), columns(stream)
    made.save(folder)
    loaded = Columns.load(folder)
    assert list(loaded.events(KEY)) == list(made.events(KEY))
    assert loaded.meta == made.meta


@given(st.lists(events, max_size=20))
def test_a_level_a_trade_or_a_sign_is_a_row_of_25_bytes(stream: list[MarketEvent]):
    rows = 0
    for event in map(kept, stream):
        rows += isinstance(event, BookSnapshot)
        has_levels = isinstance(event, BookDelta | BookSnapshot)
        rows += len(event.bids) + len(event.asks) if has_levels else 1
    made = columns(stream)
    assert len(made) == rows
    assert sum(made.arrays[name].nbytes for name in NAMES) == 25 * rows


@given(st.lists(events, max_size=20))
def test_the_last_row_of_every_message_and_no_other_says_so(stream: list[MarketEvent]):
    made = columns(stream)
    assert int(((made.arrays["kind"] & LAST) > 0).sum()) == len(stream)
    assert len(made) == 0 or made.arrays["kind"][-1] & LAST


def test_a_long_recording_crosses_the_chunks_of_reading_unharmed():
    stream: list[MarketEvent] = [
        delta([(tick, tick + 1) for tick in range(7)], [(9, number)], ns=START_NS + number)
        for number in range(9_000)
    ]
    assert list(columns(stream).events(KEY)) == stream


def test_a_snapshot_may_lack_a_side_or_both():
    stream: list[MarketEvent] = [
        snapshot([], []),
        snapshot([(1, 1)], []),
        snapshot([], [(2, 2)]),
        confirmed(START_NS),
    ]
    assert list(columns(stream).events(KEY)) == stream


def test_meta_says_frames_and_first_and_last_receive_time():
    made = columns([confirmed(START_NS + 1), trade(Side.BUY, 100, 1, ns=START_NS + 5)])
    assert (made.meta.frames, made.meta.first_ns, made.meta.last_ns) == (2, START_NS + 1, START_NS + 5)
    assert columns([]).meta == msgspec.structs.replace(made.meta, frames=0, first_ns=0, last_ns=0)


def test_the_tick_range_is_of_levels_and_trades():
    made = columns([snapshot([(100, 1)], [(300, 0)]), trade(Side.SELL, 50, 1), confirmed(START_NS)])
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
        columns([event])


def saved(folder: Path) -> Path:
    columns([snapshot([(100, 1)], [(102, 1)]), trade(Side.BUY, 102, 1)]).save(folder)
    return folder


def refused(folder: Path) -> str:
    with pytest.raises(RecordingError) as caught:
        Columns.load(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", [*(f"{name}.npy" for name in NAMES), "meta.json"])
def test_a_column_that_is_missing_cut_or_junk_is_an_error_that_says_what_to_do(tmp_path: Path, name: str):
    whole = (saved(tmp_path) / name).read_bytes()
    for content in (None, b"", whole[: len(whole) // 2], whole[:-1], b"junk" * 40):
        saved(tmp_path)
        (tmp_path / name).unlink()
        if content is not None:
            (tmp_path / name).write_bytes(content)
        message = refused(tmp_path)
        assert message.startswith(f"{tmp_path}: columnar cache cannot be read (")
        assert message.endswith("; delete it and run again")


@pytest.mark.parametrize("name", NAMES)
def test_a_column_of_another_length_or_type_is_an_error_and_never_half_read(tmp_path: Path, name: str):
    column = np.load(saved(tmp_path) / f"{name}.npy")
    for other in (
        column[:-1],
        np.append(column, column[:1]),
        column.astype(np.float64),
        column.reshape(1, -1),
    ):
        np.save(tmp_path / f"{name}.npy", other)
        assert "columnar cache cannot be read" in refused(tmp_path)


def test_a_folder_that_is_missing_is_an_error(tmp_path: Path):
    assert "columnar cache cannot be read" in refused(tmp_path / "missing")
