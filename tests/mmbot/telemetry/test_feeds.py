"""Feeds: constants first, one file per feed and day, the bytes handed back are the bytes on disk."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import KEY, START_NS, fill_row, tick_row

from mmbot.errors import OutputError
from mmbot.model.records import EventRow, Row, SampleRow, TickRow
from mmbot.telemetry.feeds import Batch, FeedWriter
from mmbot.units import SECOND

DAY_NS = 86_400 * SECOND


def writer(folder: Path) -> FeedWriter:
    return FeedWriter(folder, run_id="run-1", arm="A", data_kind="synthetic")


def sample(ns: int = START_NS, value: float = 1.0) -> SampleRow:
    return SampleRow(ns, KEY, "rss_bytes", value)


def event(ns: int = START_NS, kind: str = "gap") -> EventRow:
    return EventRow(ns, None, kind, {"detail": "expected 8, found 9"})


def written(folder: Path, rows: list[Row]) -> list[Batch]:
    feeds = writer(folder)
    batches = feeds.write(rows)
    feeds.close()
    return batches


def lines(path: Path) -> list[dict]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def test_each_kind_of_row_has_its_feed(tmp_path: Path):
    batches = written(tmp_path, [tick_row(), fill_row(), sample(), event()])
    assert sorted(feed for feed, _ in batches) == ["events", "fills", "pipeline_ticks", "samples"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "events_20260101.jsonl",
        "fills_20260101.jsonl",
        "pipeline_ticks_20260101.jsonl",
        "samples_20260101.jsonl",
    ]


def test_every_line_starts_with_what_is_constant_over_the_run(tmp_path: Path):
    for _, lines_of in written(tmp_path, [tick_row(), fill_row(), sample(), event()]):
        assert lines_of.startswith(b'{"run_id":"run-1","arm":"A","data_kind":"synthetic","ts_ns":')
        assert list(msgspec.json.decode(lines_of))[:4] == ["run_id", "arm", "data_kind", "ts_ns"]


@pytest.mark.parametrize(
    "row", [tick_row(), fill_row(), sample(), event()], ids=lambda row: type(row).__name__
)
def test_a_line_is_the_row(tmp_path: Path, row: Row):
    ((_, line),) = written(tmp_path, [row])
    found = msgspec.json.decode(line)
    constants = {"run_id": "run-1", "arm": "A", "data_kind": "synthetic"}
    assert found == constants | msgspec.to_builtins(row, builtin_types=()) | (
        {"reasons": []} if isinstance(row, TickRow) else {}
    )


def test_braces_and_line_breaks_inside_a_row_start_no_new_one(tmp_path: Path):
    rows = [EventRow(START_NS, "{x", "gap", {"detail": 'a"{\n{b'}) for _ in range(3)]
    ((_, text),) = written(tmp_path, rows)
    found = [msgspec.json.decode(line) for line in text.splitlines()]
    assert [(row["symbol"], row["detail"], row["run_id"]) for row in found] == [
        ("{x", {"detail": 'a"{\n{b'}, "run-1")
    ] * 3


def test_a_day_ends_at_midnight_utc(tmp_path: Path):
    last, first = START_NS + DAY_NS - 1, START_NS + DAY_NS
    written(tmp_path, [sample(last), sample(first), sample(last)])
    assert [row["ts_ns"] for row in lines(tmp_path / "samples_20260101.jsonl")] == [last, last]
    assert [row["ts_ns"] for row in lines(tmp_path / "samples_20260102.jsonl")] == [first]


rows = st.lists(
    st.builds(sample, st.integers(START_NS, START_NS + 3 * DAY_NS), st.floats(-1e9, 1e9))
    | st.builds(event, st.integers(START_NS, START_NS + 3 * DAY_NS), st.text(max_size=5)),
    max_size=20,
)


@given(st.lists(rows, max_size=4))
def test_the_bytes_handed_back_are_the_content_of_the_files(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[Row]]
):
    folder = tmp_path_factory.mktemp("feeds")
    feeds = writer(folder)
    handed: dict[str, bytes] = {}
    for batch in batches:
        for feed, lines_of in feeds.write(batch):
            day = msgspec.json.decode(lines_of.splitlines()[0])["ts_ns"] // DAY_NS - START_NS // DAY_NS + 1
            name = f"{feed}_2026010{day}.jsonl"
            handed[name] = handed.get(name, b"") + lines_of
    feeds.close()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == handed


def test_an_existing_file_grows(tmp_path: Path):
    written(tmp_path, [sample(value=1.0)])
    written(tmp_path, [sample(value=2.0)])
    assert [row["value"] for row in lines(tmp_path / "samples_20260101.jsonl")] == [1.0, 2.0]


def test_touched_feeds_exist_though_nothing_happened(tmp_path: Path):
    feeds = writer(tmp_path)
    feeds.touch(START_NS)
    feeds.close()
    assert {path.name: path.stat().st_size for path in tmp_path.iterdir()} == {
        f"{feed}_20260101.jsonl": 0 for feed in ("pipeline_ticks", "fills", "samples", "events")
    }


def test_a_directory_that_cannot_be_written_is_an_error_in_one_line(tmp_path: Path):
    folder = tmp_path / "file"
    folder.write_bytes(b"")
    with pytest.raises(OutputError, match=r"file: feed samples cannot be written: ") as caught:
        writer(folder).write([sample()])
    assert "\n" not in str(caught.value)
