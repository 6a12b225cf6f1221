"""The published view of a run."""

import json
import os

import pytest

from pytest_mmgates.errors import OutputError
from pytest_mmgates.report.publish import publish


def stamps(path):
    rows = [json.loads(line) for line in path.read_bytes().splitlines()]
    return [row.get("recv_ns", row["ts_ns"]) for row in rows]


def test_files_of_a_whole_run_are_linked(make_run, tmp_path):
    run = make_run(minutes=2)
    target = tmp_path / "edge" / "feeds"
    publish(run, target)
    assert sorted(path.name for path in target.iterdir()) == [
        "fills_20231114.jsonl",
        "manifest.json",
        "pipeline_ticks_20231114.jsonl",
    ]
    for path in target.glob("*.jsonl"):
        assert path.samefile(run.directory / path.name)
    assert json.loads((target / "manifest.json").read_text())["run_id"] == run.manifest.run_id


def test_what_cannot_be_linked_is_copied(make_run, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    run = make_run(minutes=2)
    publish(run, tmp_path / "feeds")
    path = tmp_path / "feeds" / "pipeline_ticks_20231114.jsonl"
    assert path.read_bytes() == (run.directory / path.name).read_bytes()
    assert not path.samefile(run.directory / path.name)


def test_a_second_run_replaces_the_folder_whole(make_run, tmp_path):
    target = tmp_path / "feeds"
    publish(make_run(minutes=2), target)
    (target / "fills_20200101.jsonl").write_text("stale\n")
    later = make_run(minutes=3)
    publish(later, target)
    assert not (target / "fills_20200101.jsonl").exists()
    assert (target / "pipeline_ticks_20231114.jsonl").samefile(
        later.directory / "pipeline_ticks_20231114.jsonl"
    )
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_parts_that_share_a_day_are_merged_in_time(make_run, tmp_path):
    one, two = make_run(minutes=2, symbol="ONE"), make_run(minutes=3, symbol="TWO")
    whole = type(one)(one.directory, one.manifest, one.tally, (one, two))
    publish(whole, tmp_path / "feeds")
    for feed in ("pipeline_ticks", "fills"):
        name = f"{feed}_20231114.jsonl"
        merged = tmp_path / "feeds" / name
        assert stamps(merged) == sorted(stamps(merged))
        lines = [(part.directory / name).read_bytes().splitlines() for part in (one, two)]
        assert sorted(merged.read_bytes().splitlines()) == sorted(lines[0] + lines[1])


def test_a_folder_that_cannot_be_written_is_one_error_and_leaves_no_half(make_run, tmp_path):
    (tmp_path / "edge").write_text("a file")
    with pytest.raises(OutputError, match="cannot be written"):
        publish(make_run(minutes=2), tmp_path / "edge" / "feeds")
