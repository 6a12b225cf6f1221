"""The lock file is believed whole, or not at all."""

import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_mmgates.baseline.lockfile import (
    InstructionProfile,
    digest_of,
    encoded_lock,
    read_lock,
    read_locked,
)
from pytest_mmgates.baseline.locking import unlock_baseline
from pytest_mmgates.errors import BaselineError
from pytest_mmgates.perflab.instructions import Instructions


def _same(_content):
    """No change."""


@pytest.fixture
def locked(lock, tmp_path):
    """`locked(change, seal=True)`: the file with its content changed, and the digest made to fit or not."""

    def write(change=_same, *, seal=True):
        content = json.loads(encoded_lock(lock))
        change(content)
        if seal:
            content["digest"] = digest_of(content)
        path = tmp_path / "demo.locked.json"
        path.write_text(json.dumps(content))
        return path

    return write


def refused(path):
    with pytest.raises(BaselineError) as caught:
        read_locked(path, shown_as="demo.locked.json")
    [line] = str(caught.value).splitlines()
    return line


def test_what_is_written_is_read_back(lock, locked):
    assert read_locked(locked(), shown_as="x") == lock


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.data())
def test_any_digit_that_is_edited_is_an_error(lock, tmp_path, data):
    text = encoded_lock(lock)
    at = data.draw(st.sampled_from([index for index, char in enumerate(text) if char.isdigit()]))
    other = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != text[at]]))
    path = tmp_path / "demo.locked.json"
    path.write_text(text[:at] + other + text[at + 1 :])
    with pytest.raises(BaselineError):
        read_lock(path, shown_as="x")


def test_instructions_survive_the_file(lock, tmp_path):
    counted = Instructions({"valgrind": "valgrind-3.19.0"}, "ab" * 32, {"emit": [17, 9_000_000]}, 41.0)
    held = msgspec.structs.replace(lock, instructions=InstructionProfile.of(counted))
    path = tmp_path / "demo.locked.json"
    path.write_text(encoded_lock(held))
    assert read_lock(path, shown_as="x").instructions.counted() == counted


def test_a_lock_older_than_the_counting_says_so(locked):
    def older(content):
        del content["instructions"], content["instructions_absent"]

    held = read_locked(locked(older), shown_as="x")
    assert held.instructions is None
    assert held.instructions_absent == "this lock is older than the counting of instructions"


def test_an_edited_figure_names_both_digests(locked):
    def faster(content):
        content["stages"]["emit"]["p95_ms"] = 0.24

    assert refused(locked(faster, seal=False)).startswith("demo.locked.json: was edited: its digest is ")


def test_another_schema_is_said_before_anything_else(locked):
    assert "schema was 2, expected 1" in refused(locked(lambda content: content.update(schema=2), seal=False))


def test_a_missing_stage_is_named_even_with_a_digest_that_fits(locked):
    line = refused(locked(lambda content: content["stages"].pop("emit")))
    assert line == "demo.locked.json: stages: lacks emit"


def test_a_renamed_stage_is_named_both_ways(locked):
    def rename(content):
        content["stages"]["send"] = content["stages"].pop("emit")

    assert refused(locked(rename)) == (
        "demo.locked.json: stages: lacks emit; has send, which is no stage of the pipeline"
    )


def test_an_unknown_key_is_an_error(locked):
    assert "unknown field `tolerance`" in refused(locked(lambda content: content.update(tolerance=2)))


@pytest.mark.parametrize(
    ("text", "reason"),
    [("[1]", "found list, expected an object"), ("{", "cannot be read"), (None, "no such baseline")],
)
def test_what_is_no_lock_is_one_line(tmp_path, text, reason):
    path = tmp_path / "demo.locked.json"
    if text is not None:
        path.write_text(text)
    assert reason in refused(path)


def test_unlocking_is_on_the_record_and_happens_once(lock, locked):
    path = locked()
    unlock_baseline(path, "twice as long by design", "d" * 40)
    unlocked = read_lock(path, shown_as="x")
    assert unlocked.status == "unlocked"
    last = unlocked.history[-1]
    assert (last.action, last.reason, last.commit) == ("unlock", "twice as long by design", "d" * 40)
    assert last.digest == lock.digest
    assert "is unlocked: twice as long by design" in refused(path)
    with pytest.raises(BaselineError, match="is unlocked already"):
        unlock_baseline(path, "again", "d" * 40)


def test_no_reason_unlocks_nothing(locked):
    path = locked()
    before = path.read_bytes()
    with pytest.raises(BaselineError, match="--reason: found nothing"):
        unlock_baseline(path, "  ", "d" * 40)
    assert path.read_bytes() == before
