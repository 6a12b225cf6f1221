"""The audit log: every line hangs on to the one before it."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.audit import append, broken_line, records
from mmbot.errors import ConfigError, OutputError


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
def test_what_was_altered_is_found_where_it_was(tmp_path_factory, at: int, how: str):
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
    first_bad = at + 2 if how == "repeat" else at + 1
    assert broken_line(path) == first_bad


def test_a_change_of_the_last_line_is_found_too(tmp_path: Path):
    path = tmp_path / "audit.jsonl"
    log_of(path, 3)
    path.write_bytes(path.read_bytes().replace(b'"number":2', b'"number":3'))
    assert broken_line(path) == 3
    with pytest.raises(ConfigError, match=r"audit.jsonl:3: the audit log was altered"):
        records(path)


def test_a_torn_log_keeps_its_whole_lines_and_goes_on(tmp_path: Path):
    path = tmp_path / "audit.jsonl"
    lines = log_of(path, 2)
    for kept in range(1, len(lines[1]), 13):
        path.write_bytes(lines[0] + lines[1][:kept])
        assert [record["number"] for record in records(path)] == [0]
        append(path, "act", {"number": 9}, 9)
        assert [(one["number"], one.get("torn_bytes")) for one in records(path)] == [(0, None), (9, kept)]
        aside = path.with_name("audit.jsonl.torn")
        assert aside.read_bytes() == lines[1][:kept] + b"\n"
        aside.unlink()


def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"):
        append(tmp_path / "file" / "audit.jsonl", "act", {}, 1)
