"""The writer: what it wrote reads back, and a half-written recording never appears under its name."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS, linear

from mmbot.errors import OutputError
from mmbot.recording.reader import frames, sha256
from mmbot.recording.writer import RecordingManifest, write_recording
from mmbot.units import Ns

payloads = st.binary(min_size=1, max_size=60).filter(lambda payload: b"\n" not in payload)
streams = st.lists(st.tuples(st.integers(0, 10**9), payloads), max_size=20)


def stamped(stream: list[tuple[int, bytes]]) -> list[tuple[Ns, bytes]]:
    now_ns, found = START_NS, []
    for elapsed_ns, payload in stream:
        now_ns += elapsed_ns
        found.append((Ns(now_ns), payload))
    return found


def write(path: Path, stream: list[tuple[Ns, bytes]] | Iterator[tuple[Ns, bytes]]) -> RecordingManifest:
    return write_recording(path, stream, kind="synthetic", source="a test", instruments=[linear()])


@given(streams)
def test_frames_come_back_exactly_as_they_were_received(
    tmp_path_factory: pytest.TempPathFactory, stream: list[tuple[int, bytes]]
):
    path, sent = tmp_path_factory.mktemp("raw") / "capture.zst", stamped(stream)
    write(path, sent)
    assert [(frame.recv_ns, frame.payload) for frame in frames([path])] == sent


def test_a_line_is_the_receive_time_a_space_and_the_payload(tmp_path: Path):
    write(tmp_path / "capture.zst", stamped([(5, b'{"n": 1}')]))
    with zstandard.open(tmp_path / "capture.zst", "rb") as file:
        assert file.read() == b'%d {"n": 1}\n' % (START_NS + 5)


def test_the_manifest_says_what_the_recording_holds(tmp_path: Path):
    path = tmp_path / "capture.zst"
    manifest = write(path, stamped([(0, b"a"), (7, b"b"), (2, b"c")]))
    assert manifest == RecordingManifest(
        kind="synthetic",
        source="a test",
        instruments=[linear()],
        frames=3,
        first_ns=START_NS,
        last_ns=START_NS + 9,
        sha256=sha256([path]),
    )
    assert msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=RecordingManifest) == manifest


def test_the_same_frames_make_the_same_bytes(tmp_path: Path):
    stream = stamped([(number, b"x" * number) for number in range(300)])
    assert write(tmp_path / "a.zst", stream).sha256 == write(tmp_path / "b.zst", stream).sha256


def test_a_source_that_fails_leaves_nothing(tmp_path: Path):
    def failing() -> Iterator[tuple[Ns, bytes]]:
        yield Ns(START_NS), b"a"
        raise RuntimeError("connection lost")

    with pytest.raises(RuntimeError, match="connection lost"):
        write(tmp_path / "capture.zst", failing())
    assert list(tmp_path.iterdir()) == []


def test_an_existing_recording_stays_until_its_successor_is_whole(tmp_path: Path):
    path = tmp_path / "capture.zst"
    write(path, stamped([(0, b"old")]))

    def failing() -> Iterator[tuple[Ns, bytes]]:
        yield Ns(START_NS), b"new"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write(path, failing())
    assert [frame.payload for frame in frames([path])] == [b"old"]


def test_a_folder_that_cannot_be_written_is_an_error_in_one_line(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match=r"capture.zst: cannot be written: ") as caught:
        write(tmp_path / "file" / "capture.zst", stamped([(0, b"a")]))
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208 (names alone)
