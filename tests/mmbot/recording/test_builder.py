"""The builder: rows reach the files a block at a time, and the blocks cannot be seen in what comes out."""

import tracemalloc
from pathlib import Path

import pytest
from tests.mmbot.builders import KEY, START_NS, delta, trade

from mmbot.model.events import MarketEvent
from mmbot.model.instrument import Side
from mmbot.recording.builder import ColumnsBuilder
from mmbot.recording.columns import BLOCK_ROWS, Columns


def told(number: int) -> MarketEvent:
    """The numberth event of a market that trends, so that every block has prices of its own."""
    if number % 3:
        return delta([(99_000 - number, 1)], [(200_000 + number, 2), (150_000, 3)], ns=START_NS + number)
    return trade(Side.SELL, 150_000, 1 + number, ns=START_NS + number)


def test_blocks_join_without_a_seam(tmp_path: Path):
    count = BLOCK_ROWS * 3 // 2
    builder = ColumnsBuilder(tmp_path)
    for number in range(count):
        builder.add([told(number)])
    meta = builder.finish()
    assert meta.rows > 3 * BLOCK_ROWS
    assert (meta.frames, meta.first_ns, meta.last_ns) == (count, START_NS, START_NS + count - 1)
    assert meta.tick_range == (99_000 - (count - 1), 200_000 + (count - 1))
    assert list(Columns.load(tmp_path).events(KEY)) == [told(number) for number in range(count)]


def test_a_frame_may_hold_several_events_or_none(tmp_path: Path):
    builder = ColumnsBuilder(tmp_path)
    builder.add([])
    builder.add([told(0), told(1), told(2)])
    assert builder.finish().frames == 2
    assert list(Columns.load(tmp_path).events(KEY)) == [told(0), told(1), told(2)]


def test_a_folder_is_no_recording_before_it_is_finished(tmp_path: Path):
    builder = ColumnsBuilder(tmp_path)
    builder.add([told(0)])
    assert not (tmp_path / "meta.json").exists()


def test_memory_does_not_grow_with_the_recording(tmp_path: Path):
    levels = [(tick, 1) for tick in range(256)]
    peaks = []
    for blocks in (2, 8):
        folder = tmp_path / str(blocks)
        folder.mkdir()
        builder = ColumnsBuilder(folder)
        tracemalloc.start()
        for number in range(blocks * BLOCK_ROWS // len(levels)):
            builder.add([delta(levels, [], ns=START_NS + number)])
        builder.finish()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] == pytest.approx(peaks[0], rel=0.1)
