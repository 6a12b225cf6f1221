"""The captures of a worker are the driver's, byte for byte, wherever they lie."""

import hashlib
from pathlib import Path

import pytest

from pytest_mmgates.cluster.captures import DATA, data_of_worker, hashes
from pytest_mmgates.errors import RunlogError

CONTENT = b"1700000000000000000 {}\n"


@pytest.fixture
def captures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(DATA, raising=False)
    (tmp_path / "drivers" / "day").mkdir(parents=True)
    (tmp_path / "drivers" / "day" / "one.zst").write_bytes(CONTENT)
    return tmp_path / "drivers"


def test_a_file_that_is_not_there_is_left_to_whoever_reads_it(captures: Path) -> None:
    found = hashes(captures, ["day/one.zst", "day/two.zst"])

    assert found == {"day/one.zst": hashlib.sha256(CONTENT).hexdigest()}


def test_a_worker_reads_where_the_driver_does_unless_it_has_a_folder_of_its_own(
    captures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = hashes(captures, ["day/one.zst"])
    assert data_of_worker(str(captures), expected) == str(captures)

    own = captures.with_name("own")
    (own / "day").mkdir(parents=True)
    (own / "day" / "one.zst").write_bytes(CONTENT)
    monkeypatch.setenv(DATA, str(own))

    assert data_of_worker(str(captures), expected) == str(own)
    assert data_of_worker(None, {}) == str(own)


@pytest.mark.parametrize("content", [b"other", None])
def test_other_data_is_refused_by_name(
    captures: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    expected = hashes(captures, ["day/one.zst"])
    own = captures.with_name("own")
    (own / "day").mkdir(parents=True)
    if content is not None:
        (own / "day" / "one.zst").write_bytes(content)
    monkeypatch.setenv(DATA, str(own))
    found = "no such file" if content is None else hashlib.sha256(content).hexdigest()

    with pytest.raises(RunlogError) as refused:
        data_of_worker(str(captures), expected)

    assert str(refused.value) == (
        f"data day/one.zst was {found} in {own} of the worker, expected {expected['day/one.zst']}"
    )
