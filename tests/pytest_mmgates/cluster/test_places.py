"""What a worker keeps in the shared place comes back byte for byte."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mmgates.cluster.places import fetch_rows, put
from pytest_mmgates.errors import OutputError, RunlogError
from pytest_mmgates.loader import SUMMARY, keep_summary
from pytest_mmgates.rows import feed_files

pytest.importorskip("fsspec")
FILES = ["fills_20260101.jsonl", "pipeline_ticks_20260101.jsonl", "torn/1/fills_20260101.jsonl"]


@settings(max_examples=20)
@given(st.lists(st.binary(max_size=40), min_size=3, max_size=3))
def test_a_run_directory_comes_back_whole(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    written = dict(zip(FILES, contents, strict=True)) | dict.fromkeys(SUMMARY, b"{}")
    for name, content in written.items():
        path = folder / "worker" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    place = put(folder / "worker", str(folder / "shared" / "run" / "ONE"))
    keep_summary(folder / "here", dict.fromkeys(SUMMARY, "{}"), place)
    with pytest.raises(RunlogError, match=r"its rows are in \S+/shared/run/ONE/"):
        feed_files(folder / "here", "fills")
    fetch_rows(folder / "here")

    here = folder / "here"
    found = {p.relative_to(here).as_posix(): p.read_bytes() for p in here.rglob("*") if p.is_file()}
    assert found == written
    assert [path.name for path in feed_files(here, "fills")] == ["fills_20260101.jsonl"]


def test_what_a_dead_worker_left_is_not_mixed_with_what_comes_after(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "fills_20260101.jsonl").write_bytes(b"1\n")
    first = put(tmp_path / "run", str(tmp_path / "shared"))
    (tmp_path / "run" / "fills_20260101.jsonl").rename(tmp_path / "run" / "fills_20260102.jsonl")

    second = put(tmp_path / "run", str(tmp_path / "shared"))

    assert first == second
    assert [path.name for path in Path(second).iterdir()] == ["fills_20260102.jsonl"]


def test_a_place_that_cannot_be_written_or_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "fills_20260101.jsonl").write_bytes(b"1\n")
    with pytest.raises(OutputError, match=r"^\S+/file/\S+: cannot be written: \w+Error: .*$"):
        put(tmp_path / "run", str(tmp_path / "file"))

    keep_summary(tmp_path / "here", dict.fromkeys(SUMMARY, "{}"), "no-such-protocol://x")
    with pytest.raises(RunlogError, match=r"^no-such-protocol://x: cannot be read: ValueError: .*$"):
        fetch_rows(tmp_path / "here")
