"""The door for gates: built-in types in, batches of bytes out, bad requests refused in time."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.mmbot.builders import REPO, scenario_file

from mmbot.errors import ConfigError
from mmbot.sut import open_run


@pytest.fixture
def request_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A request in a working directory that has config.yaml and scenarios/."""
    scenario_file(tmp_path / "scenarios")
    (tmp_path / "config.yaml").write_bytes((REPO / "config.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    return {
        "step": "shadow",
        "scenario": "short",
        "run_id": "r1",
        "run_dir": str(tmp_path / "r1"),
        "data_dir": None,
        "duration_s": 5.0,
        "seed": None,
        "config": [],
    }


def test_a_run_is_batches_of_feed_and_lines(request_of: dict[str, Any], tmp_path: Path):
    batches = list(open_run(request_of))
    assert {feed for feed, _ in batches} >= {"pipeline_ticks", "samples"}
    rows = [msgspec.json.decode(line) for _, lines in batches for line in lines.splitlines()]
    assert {row["run_id"] for row in rows} == {"r1"}
    manifest = msgspec.json.decode((tmp_path / "r1" / "manifest.json").read_bytes())
    assert (manifest["step"], manifest["status"], manifest["counts"]["ticks"]) == ("shadow", "complete", 50)


def test_config_files_are_base_and_overrides(request_of: dict[str, Any], tmp_path: Path):
    (tmp_path / "more.yaml").write_text("emit:\n  levels: 2\n")
    run = open_run(request_of | {"config": ["config.yaml", "more.yaml"], "seed": 4})
    assert run.settings.emit.levels == 2


def test_a_run_can_be_halted(request_of: dict[str, Any], tmp_path: Path):
    run = open_run(request_of)
    run.halt("red button")
    for _ in run:
        pass
    manifest = msgspec.json.decode((tmp_path / "r1" / "manifest.json").read_bytes())
    assert (manifest["status"], manifest["reason"], manifest["counts"]["ticks"]) == (
        "halted",
        "red button",
        0,
    )


def test_an_unknown_key_is_refused_and_the_known_ones_are_listed(request_of: dict[str, Any], tmp_path: Path):
    with pytest.raises(
        ConfigError, match=r"unknown keys \['speed'\], expected \['config', 'data_dir', "
    ) as caught:
        open_run(request_of | {"speed": 9})
    assert caught.value.user_error
    assert not (tmp_path / "r1").exists()


def test_an_unknown_scenario_is_refused_before_anything_is_written(
    request_of: dict[str, Any], tmp_path: Path
):
    with pytest.raises(ConfigError, match="no such scenario; there are: short"):
        open_run(request_of | {"scenario": "long"})
    assert not (tmp_path / "r1").exists()
