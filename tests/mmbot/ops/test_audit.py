"""The audit log: every line hangs on to the one before it."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.errors import OutputError
from mmbot.ops.audit import append, broken_line


def log_of(path: Path, count: int) -> list[bytes]:
    for number in range(count):
        append(path, "act", {"number": number}, number)
    return path.read_bytes().splitlines(keepends=True)


def test_a_whole_log_is_whole_and_says_what_was_done(tmp_path: Path):
    lines = log_of(tmp_path / "deep" / "audit.jsonl", 3)
    assert [msgspec.json.decode(line)["number"] for line in lines] == [0, 1, 2]
    assert broken_line(tmp_path / "deep" / "audit.jsonl") is None
    assert broken_line(tmp_path / "none.jsonl") is None


@given(st.integers(0, 3), st.sampled_from(["change", "remove", "swap", "repeat"]))
def test_what_was_altered_breaks_the_chain_at_the_next_line(tmp_path_factory, at: int, how: str):
    path = tmp_path_factory.mktemp("log") / "audit.jsonl"
    lines = log_of(path, 5)
    if how == "change":
        lines[at] = lines[at].replace(b'"act"', b'"axt"')
    elif how == "remove":
        del lines[at]
    elif how == "swap":
        lines[at], lines[at + 1] = lines[at + 1], lines[at]
    else:
        lines.insert(at, lines[at])
    path.write_bytes(b"".join(lines))
    first_bad = at + 2 if how in ("change", "repeat") else at + 1
    assert broken_line(path) == first_bad


def test_a_torn_tail_stays_visible_and_stops_nothing(tmp_path: Path):
    path = tmp_path / "audit.jsonl"
    lines = log_of(path, 2)
    path.write_bytes(lines[0] + lines[1][:20])
    append(path, "act", {"number": 9}, 9)
    assert msgspec.json.decode(path.read_bytes().splitlines()[-1])["number"] == 9
    assert broken_line(path) == 2


def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"):
        append(tmp_path / "file" / "audit.jsonl", "act", {}, 1)
