"""The reader: whole files give every frame, and torn, corrupt or wrong ones an error with file and line."""

import gzip
import hashlib
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS

from mmbot.errors import RecordingError
from mmbot.recording.reader import Frame, frames, sha256

LINES = [b'%d {"n":%d}\n' % (START_NS + number, number) for number in range(200)]
TEXT = b"".join(LINES)


def stored(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def read(*paths: Path) -> list[Frame]:
    return list(frames(paths))


def refused(*paths: Path) -> str:
    """The message of the error, which is one line."""
    with pytest.raises(RecordingError) as caught:
        read(*paths)
    assert "\n" not in str(caught.value)
    return str(caught.value)


PACKED = {"plain": lambda text: text, "gz": gzip.compress, "zst": zstandard.compress}


@pytest.mark.parametrize("suffix", PACKED)
def test_every_packing_gives_the_same_frames(tmp_path: Path, suffix: str):
    path = stored(tmp_path / f"capture.{suffix}", PACKED[suffix](TEXT))
    found = read(path)
    assert [(frame.line, frame.recv_ns) for frame in found] == [(n + 1, START_NS + n) for n in range(200)]
    assert {frame.path for frame in found} == {path}
    assert found[7].payload == b'{"n":7}'


def test_stamps_of_16_digits_are_microseconds_and_of_19_nanoseconds(tmp_path: Path):
    path = stored(tmp_path / "capture.dat", b"1721749182123456 {}\n1721749182123456789 {}\n")
    assert [frame.recv_ns for frame in read(path)] == [1721749182123456000, 1721749182123456789]


def test_an_archive_line_is_stamped_with_its_own_ts(tmp_path: Path):
    line = b'{"topic":"orderbook.500.XRPUSDT","ts":1733011200123,"data":{}}'
    (frame,) = read(stored(tmp_path / "archive.data", line + b"\n"))
    assert (frame.recv_ns, frame.payload) == (1733011200123000000, line)


def test_several_files_are_one_stream_in_the_order_given(tmp_path: Path):
    first = stored(tmp_path / "b.gz", gzip.compress(b"".join(LINES[:50])))
    second = stored(tmp_path / "a", b"".join(LINES[50:]))
    found = read(first, second)
    assert [frame.recv_ns for frame in found] == [START_NS + number for number in range(200)]
    assert (found[50].path, found[50].line) == (second, 1)


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_members_put_one_behind_the_other_are_all_read(tmp_path: Path, suffix: str):
    pack = PACKED[suffix]
    parts = pack(b"".join(LINES[:50])) + pack(b"".join(LINES[50:51])) + pack(b"".join(LINES[51:]))
    assert len(read(stored(tmp_path / f"capture.{suffix}", parts))) == 200


def test_members_larger_than_a_read_are_all_read(tmp_path: Path):
    noise = b"".join(
        b"%d %s\n" % (START_NS + number, hashlib.shake_128(b"%d" % number).hexdigest(500).encode())
        for number in range(2_000)
    )
    packed = zstandard.compress(noise)
    assert len(packed) > 3 << 17
    assert len(read(stored(tmp_path / "capture.zst", packed + zstandard.compress(b"")))) == 2_000


@pytest.mark.parametrize("suffix", ["plain", "gz"])
def test_an_empty_recording_has_no_frames(tmp_path: Path, suffix: str):
    assert read(stored(tmp_path / f"capture.{suffix}", PACKED[suffix](b""))) == []


@pytest.mark.parametrize("suffix", PACKED)
def test_a_torn_last_line_is_an_error_that_names_it(tmp_path: Path, suffix: str):
    path = stored(tmp_path / f"capture.{suffix}", PACKED[suffix](TEXT[:-3]))
    assert refused(path).startswith(f"{path}:200: last line was torn (")


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b" ", b"junk", b'x1767225600000000000 {"n":1}', b"12345 {}", b"-767225600000000000 {}"),
        *(b"1767225600000000000", b"1767225600000000000\t{}", b"17672256000000000000 {}", b"\xff\xfe {}"),
    ],
    ids=repr,
)
def test_a_corrupt_line_in_the_middle_is_an_error_that_names_and_shows_it(tmp_path: Path, line: bytes):
    path = stored(tmp_path / "capture.dat", b"".join(LINES[:3]) + line + b"\n" + b"".join(LINES[4:]))
    message = refused(path)
    assert message.startswith(f"{path}:4: line was '")
    assert "expected '<16 or 19 digits> <JSON>'" in message


def test_a_bare_line_without_ts_is_an_error_that_names_it(tmp_path: Path):
    path = stored(tmp_path / "archive.data", b'{"ts":1733011200123}\n{"ts":17}\n')
    assert refused(path) == f"{path}:2: line had neither a receive time nor a ts of 13 digits"


@pytest.mark.parametrize("suffix", ["gz", "zst"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_an_error_and_never_half_a_market(tmp_path: Path, suffix: str, kept: float):
    packed = PACKED[suffix](TEXT)
    path = stored(tmp_path / f"capture.{suffix}", packed[: round(len(packed) * kept)])
    message = refused(path)
    assert message.startswith(f"{path}:")
    assert "truncated or corrupt" in message


@given(st.data())
def test_no_truncation_passes_for_a_whole_file(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    suffix = data.draw(st.sampled_from(["gz", "zst"]))
    packed = PACKED[suffix](TEXT)
    kept = data.draw(st.integers(1, len(packed) - 1))
    refused(stored(tmp_path_factory.mktemp("cut") / f"capture.{suffix}", packed[:kept]))


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_a_file_that_is_not_what_its_suffix_says_is_an_error(tmp_path: Path, suffix: str):
    path = stored(tmp_path / f"capture.{suffix}", TEXT)
    assert refused(path).startswith(f"{path}:1: ")


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_a_damaged_byte_inside_is_an_error(tmp_path: Path, suffix: str):
    packed = bytearray(PACKED[suffix](TEXT))
    packed[len(packed) // 2] ^= 0xFF
    assert f"capture.{suffix}:" in refused(stored(tmp_path / f"capture.{suffix}", bytes(packed)))


def test_garbage_behind_a_zstd_member_is_an_error(tmp_path: Path):
    path = stored(tmp_path / "capture.zst", zstandard.compress(TEXT) + b"garbage")
    assert "truncated or corrupt" in refused(path)


def test_time_that_runs_backwards_is_an_error_that_names_both_stamps(tmp_path: Path):
    path = stored(tmp_path / "capture.dat", LINES[5] + LINES[4])
    assert refused(path) == f"{path}:2: receive time was {START_NS + 4}, expected at least {START_NS + 5}"


def test_files_in_the_wrong_order_are_an_error(tmp_path: Path):
    early, late = stored(tmp_path / "early", LINES[0]), stored(tmp_path / "late", LINES[9])
    assert refused(late, early).startswith(f"{early}:1: receive time was ")


def test_equal_stamps_are_in_order(tmp_path: Path):
    assert len(read(stored(tmp_path / "capture.dat", LINES[5] + LINES[5]))) == 2


@pytest.mark.parametrize("suffix", ["dat", "gz", "zst"])
def test_a_file_that_is_missing_is_an_error_that_names_it(tmp_path: Path, suffix: str):
    path = tmp_path / f"missing.{suffix}"
    assert refused(path) == f"{path}:1: cannot be read: No such file or directory"
    with pytest.raises(RecordingError, match="cannot be read: No such file"):
        sha256([path])


def test_frames_before_a_bad_one_are_given_first(tmp_path: Path):
    stream = frames([stored(tmp_path / "capture.dat", LINES[0] + LINES[1] + b"junk\n")])
    assert [next(stream).line, next(stream).line] == [1, 2]
    with pytest.raises(RecordingError, match=":3: line was 'junk'"):
        next(stream)


@given(st.lists(st.binary(max_size=50), max_size=4))
def test_the_hash_is_of_the_raw_bytes_in_order(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]
):
    folder = tmp_path_factory.mktemp("raw")
    paths = [stored(folder / str(number), content) for number, content in enumerate(contents)]
    assert sha256(paths) == hashlib.sha256(b"".join(contents)).hexdigest()
