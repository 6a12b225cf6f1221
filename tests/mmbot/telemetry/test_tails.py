"""Whole lines of feeds, wherever a process was killed while it wrote."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import KEY, START_NS, fill_row, tick_row

from mmbot.errors import OutputError
from mmbot.model.records import EventRow, Row
from mmbot.telemetry.feeds import FeedWriter
from mmbot.telemetry.tails import TORN, cut_tails, whole_lines

LINES = st.lists(st.binary(max_size=90).map(lambda line: line.replace(b"\n", b"")), max_size=5)


@given(LINES, st.data())
def test_a_feed_that_was_cut_at_any_byte_ends_with_its_last_whole_line(
    lines: list[bytes], data: st.DataObject
) -> None:
    content = b"".join(line + b"\n" for line in lines)
    cut = content[: data.draw(st.integers(0, len(content)))]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "events_20260101.jsonl"
        path.write_bytes(cut)
        whole = whole_lines(Path(folder), {})
        torn = cut_tails(Path(folder), whole)
        kept = path.read_bytes()
        assert kept == cut[: cut.rfind(b"\n") + 1]
        assert torn == ({path.name: 1} if kept != cut else {})
        aside = [torn.read_bytes() for torn in Path(folder).glob(f"{TORN}/1/*")]
        assert kept + b"".join(aside) == cut


def test_a_line_longer_than_what_is_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "events_20260101.jsonl"
    path.write_bytes(b"short\n" + b"x" * 200_000)
    assert whole_lines(tmp_path, {path.name: 6}) == {path.name: 6}


def test_fewer_lines_than_a_checkpoint_counts_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "events_20260101.jsonl"
    path.write_bytes(b"one\ntwo\nthr")
    with pytest.raises(OutputError, match=r"holds 8 bytes, expected the 12 that its checkpoint counts"):
        whole_lines(tmp_path, {path.name: 12})


def test_a_tick_is_never_there_without_what_its_position_rests_on(tmp_path: Path) -> None:
    """Feeds of which one cannot be written: the ticks come last, and are not there either."""
    writer = FeedWriter(tmp_path, run_id="r", arm="A", data_kind="synthetic", at_once=True)
    first: list[Row] = [tick_row(), fill_row(), EventRow(START_NS, KEY, "gap", {})]
    batches = writer.write(first)
    assert [feed for feed, _ in batches] == ["pipeline_ticks", "fills", "events"]
    for feed, lines in batches:
        assert (tmp_path / f"{feed}_20260101.jsonl").read_bytes() == lines
    next_day = [tick_row(), fill_row(ts_ns=START_NS + 86_400 * 10**9)]
    (tmp_path / "fills_20260102.jsonl").mkdir()
    with pytest.raises(OutputError, match="feed fills cannot be written"):
        writer.write(next_day)
    writer.close()
    assert (tmp_path / "pipeline_ticks_20260101.jsonl").read_bytes() == batches[0][1]
