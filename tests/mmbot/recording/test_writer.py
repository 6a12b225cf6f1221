"""The writer: what it wrote reads back at any time, and trouble with the disk loses none of it."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mmbot.builders import KEY, START_NS, linear

from mmbot.config.scenario import load_scenario
from mmbot.errors import OutputError
from mmbot.model.events import BookSnapshot, BookTrouble, Trouble
from mmbot.recording.gaps import Gap
from mmbot.recording.manifest import read_manifest
from mmbot.recording.reader import frames, sha256
from mmbot.recording.writer import RecordingWriter
from mmbot.units import DAY, SECOND, Ns

payloads = st.binary(min_size=1, max_size=60).filter(lambda payload: b"\n" not in payload)
streams = st.lists(st.tuples(st.integers(0, 10**9), payloads, st.booleans()), min_size=1, max_size=20)


def opened(folder: Path, file_bytes: int = 1 << 20) -> RecordingWriter:
    return RecordingWriter(
        folder, kind="synthetic", source="a test", instruments=[linear()], file_bytes=file_bytes
    )


def read_back(folder: Path) -> list[tuple[Ns, bytes]]:
    return [(frame.recv_ns, frame.payload) for frame in frames(sorted(folder.glob("frames_*.zst")))]


@settings(max_examples=25)  # each closes files to the disk
@given(streams)
def test_lines_come_back_exactly_as_they_were_received(
    tmp_path_factory: pytest.TempPathFactory, stream: list[tuple[int, bytes, bool]]
):
    folder = tmp_path_factory.mktemp("raw") / "recording"
    writer, sent, now_ns = opened(folder, file_bytes=100), [], START_NS
    for elapsed_ns, payload, written in stream:
        now_ns += elapsed_ns
        sent.append((Ns(now_ns), payload))
        writer.add(Ns(now_ns), payload)
        if written:
            writer.write(writer.take())
            assert read_back(folder) == sent
    manifest = writer.finish("complete")

    assert read_back(folder) == sent
    assert sum(file.frames for file in manifest.files) == len(sent)
    for file in manifest.files:
        assert (file.sha256, file.bytes) == (
            sha256([folder / file.name]),
            (folder / file.name).stat().st_size,
        )


def test_a_line_is_the_receive_time_a_space_and_the_payload(tmp_path: Path):
    writer = opened(tmp_path)
    writer.add(Ns(START_NS + 5), b'{"n": 1}')
    (file,) = writer.finish("complete").files
    with zstandard.open(tmp_path / file.name, "rb") as text:
        assert text.read() == b'%d {"n": 1}\n' % (START_NS + 5)


def test_a_file_ends_with_its_day_and_with_its_length(tmp_path: Path):
    writer = opened(tmp_path, file_bytes=200)
    for number in range(4):
        writer.add(Ns(START_NS + number), os.urandom(150).hex().encode())
        writer.write(writer.take())
    writer.add(Ns(START_NS + DAY - 1), b"last of the day")
    writer.add(Ns(START_NS + DAY), b"first of the next")
    manifest = writer.finish("complete")

    assert [file.name for file in manifest.files] == [
        *(f"frames_20260101_00{number}.zst" for number in (1, 2, 3, 4, 5)),
        "frames_20260102_006.zst",
    ]
    assert manifest.files[-1].first_ns == START_NS + DAY


def test_the_manifest_is_there_from_the_beginning_and_ends_with_the_gaps(tmp_path: Path):
    writer = opened(tmp_path)
    assert read_manifest(tmp_path).status == "recording"
    for offset, event in enumerate(
        [
            BookTrouble(KEY, Ns(0), Ns(START_NS + 1), Trouble.LOST, "cut"),
            BookTrouble(KEY, Ns(0), Ns(START_NS + 2), Trouble.BEFORE_SNAPSHOT, "no"),
            BookSnapshot(KEY, Ns(0), Ns(START_NS + 3), [], []),
            BookTrouble(KEY, Ns(0), Ns(START_NS + 4), Trouble.DUPLICATE, "twice"),
            BookTrouble(KEY, Ns(0), Ns(START_NS + 5), Trouble.GAP, "5 after 3"),
        ]
    ):
        writer.add(Ns(START_NS + offset), b"{}")
        writer.saw([event])
    writer.finish("failed", "the disk is full")

    found = read_manifest(tmp_path)
    assert (found.status, found.reason, found.kind) == ("failed", "the disk is full", "synthetic")
    assert found.gaps == [
        Gap(KEY, "lost", "cut", START_NS + 1, START_NS + 3),
        Gap(KEY, "gap", "5 after 3", START_NS + 5, None),
    ]


def test_the_scenario_beside_it_names_its_files_instruments_and_kind(tmp_path: Path):
    writer = opened(tmp_path)
    writer.add(Ns(START_NS), b"{}")
    writer.add(Ns(START_NS + 90 * SECOND), b"{}")
    writer.finish("complete")

    scenario, _ = load_scenario("recording", tmp_path)
    assert (scenario.kind, scenario.duration) == ("synthetic", "90s")
    (feed,) = scenario.feeds
    assert (feed.instrument, feed.files) == (linear(), ["frames_20260101_001.zst"])


def test_a_folder_with_a_recording_is_left_alone(tmp_path: Path):
    opened(tmp_path).finish("complete")
    with pytest.raises(OutputError, match="there is a recording in it, expected another folder"):
        opened(tmp_path)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match=r"file/here: cannot be written: Not a directory"):
        opened(tmp_path / "file" / "here")


@pytest.mark.parametrize(
    ("recv_ns", "payload", "message"),
    [
        (START_NS + 1, b"a\nb", "a payload had a line break"),
        (START_NS - 1, b"late", f"received at {START_NS - 1}, expected at least {START_NS}"),
    ],
)
def test_a_line_that_no_reader_could_read_is_refused(
    tmp_path: Path, recv_ns: int, payload: bytes, message: str
):
    writer = opened(tmp_path)
    writer.add(Ns(START_NS), b"first")
    with pytest.raises(OutputError, match=message):
        writer.add(Ns(recv_ns), payload)
    writer.finish("complete")
    assert read_back(tmp_path) == [(START_NS, b"first")]


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process may be longer than 100 kB: a write beyond it is short, the next fails."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.usefixtures("small_files")
def test_a_file_that_cannot_grow_stops_the_recording_and_keeps_what_was_written(tmp_path: Path):
    writer, written = opened(tmp_path), 0
    with pytest.raises(OutputError, match=r"frames_20260101_001.zst: cannot be written: File too large"):  # noqa: PT012
        while True:
            writer.add(Ns(START_NS + written), os.urandom(10_000).hex().encode())
            writer.write(writer.take())
            written += 1
    writer.abandon("File too large")

    assert 0 < written == len(read_back(tmp_path))
    manifest = read_manifest(tmp_path)
    assert (manifest.status, manifest.reason) == ("failed", "File too large")
    assert [file.frames for file in manifest.files] == [written]
    assert manifest.files[0].sha256 == sha256([tmp_path / manifest.files[0].name])


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """/dev/full takes the place of the file's descriptor."""
    writer = opened(tmp_path)
    opening = os.open
    monkeypatch.setattr(
        "mmbot.recording.writer.os.open",
        lambda path, flags, *mode: (
            opening("/dev/full", os.O_WRONLY) if flags & os.O_EXCL else opening(path, flags, *mode)
        ),
    )
    writer.add(Ns(START_NS), b"{}")
    with pytest.raises(OutputError, match="cannot be written: No space left on device"):
        writer.write(writer.take())


CHILD = """
import sys
from pathlib import Path

from tests.mmbot.builders import START_NS, linear

from mmbot.recording.writer import RecordingWriter

writer = RecordingWriter(Path(sys.argv[1]), kind="synthetic", source="a test", instruments=[linear()])
number = 0
while True:
    writer.add(START_NS + number, b'{"mmbot":"connected","detail":"%d"}' % number)
    number += 1
    if number % 50 == 0:
        writer.write(writer.take())
        print(number, flush=True)
"""


def test_a_process_that_is_killed_leaves_all_that_it_had_written(tmp_path: Path):
    child = subprocess.Popen([sys.executable, "-c", CHILD, tmp_path], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    told = [int(child.stdout.readline()) for _ in range(40)][-1]
    child.send_signal(signal.SIGKILL)
    child.communicate()

    from mmbot.recording.mending import mend  # noqa: PLC0415 (what the next one does)

    manifest, _ = mend(tmp_path)
    kept = read_back(tmp_path)
    assert len(kept) >= told
    assert [recv_ns for recv_ns, _ in kept] == [START_NS + number for number in range(len(kept))]
    assert (manifest.status, sum(file.frames for file in manifest.files)) == ("failed", len(kept))
