"""A recording cut off at any byte is whole again up to its last whole frame, and nothing is thrown away."""

from pathlib import Path

import msgspec
import pytest
from tests.mmbot.builders import START_NS, linear

from mmbot.errors import RecordingError
from mmbot.recording.gaps import Gap
from mmbot.recording.manifest import MANIFEST, read_manifest
from mmbot.recording.mending import mend, mend_file
from mmbot.recording.reader import frames, sha256
from mmbot.recording.writer import RecordingWriter
from mmbot.units import Ns


def recorded(folder: Path, blocks: int = 5) -> tuple[Path, list[int]]:
    """A finished recording of one file, and where its frames end."""
    writer = RecordingWriter(folder, kind="synthetic", source="a test", instruments=[linear()])
    name, ends = folder / "frames_20260101_001.zst", [0]
    for number in range(blocks):
        for line in range(number + 1):
            writer.add(Ns(START_NS + 10 * number + line), b'{"mmbot":"lost","detail":"%d"}' % number)
        writer.write(writer.take())
        ends.append(name.stat().st_size)
    writer.finish("complete")
    return name, ends


def test_at_every_byte(tmp_path: Path):
    path, ends = recorded(tmp_path / "whole", blocks=2)
    whole = path.read_bytes()
    torn = tmp_path / "torn.zst"
    aside = tmp_path / "torn.zst.torn"
    for length in range(len(whole) + 1):
        torn.write_bytes(whole[:length])
        aside.unlink(missing_ok=True)
        end = max(end for end in ends if end <= length)

        assert mend_file(torn) == length - end
        assert torn.read_bytes() == whole[:end]
        assert (aside.read_bytes() if aside.exists() else b"") == whole[end:length]
        kept = ends.index(end)
        assert not end or len(list(frames([torn]))) == kept * (kept + 1) // 2


def test_the_manifest_is_read_off_the_files_again(tmp_path: Path):
    path, ends = recorded(tmp_path)
    before = read_manifest(tmp_path)
    cut_off = msgspec.structs.replace(before, status="recording", files=[], gaps=[])
    (tmp_path / MANIFEST).write_bytes(msgspec.json.encode(cut_off))
    path.write_bytes(path.read_bytes()[: ends[-1] - 1])

    manifest, moved = mend(tmp_path)

    assert moved == ends[-1] - 1 - ends[-2]
    assert manifest == read_manifest(tmp_path)
    assert (manifest.status, manifest.reason) == ("failed", "cut off, and mended")
    (file,) = manifest.files
    assert (file.frames, file.first_ns, file.last_ns) == (10, START_NS, START_NS + 33)
    assert (file.bytes, file.sha256) == (ends[-2], sha256([path]))
    assert manifest.gaps == [Gap(linear().key, "lost", "0", START_NS, None)]
    assert (tmp_path / "recording.yaml").is_file()


def test_a_recording_that_is_over_is_left_alone(tmp_path: Path):
    path, _ = recorded(tmp_path)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    assert mend(tmp_path) == (read_manifest(tmp_path), 0)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert path in before


def test_corruption_in_the_middle_is_an_error_and_no_tail(tmp_path: Path):
    path, ends = recorded(tmp_path)
    data = bytearray(path.read_bytes())
    data[ends[2]] ^= 0xFF  # the magic number of the third frame
    path.write_bytes(data)
    with pytest.raises(RecordingError, match=f"corrupt in the frame at byte {ends[2]}"):
        mend_file(path)
    assert path.read_bytes() == data


def test_a_folder_that_is_no_recording_is_one_line(tmp_path: Path):
    with pytest.raises(RecordingError, match=r"recording.json: cannot be read: No such file"):
        mend(tmp_path)
    (tmp_path / MANIFEST).write_bytes(b'{"schema": 1}')
    with pytest.raises(RecordingError, match=r"recording.json: was no manifest of a recording"):
        mend(tmp_path)
