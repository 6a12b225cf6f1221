"""Smaller steps back: what they set, what they refuse, and that each is undone to the byte."""

import shutil
from pathlib import Path

import pytest
from tests.mmbot.builders import REPO

from mmbot.config.settings import load_settings
from mmbot.config.snapshot import encoded
from mmbot.errors import ConfigError
from mmbot.ops.gradual import GRADUAL, load_step_back, path_of, step_back
from mmbot.ops.rollback import Values, apply, targets, work_out
from mmbot.runtime.reload import differences


@pytest.fixture
def config(tmp_path: Path) -> list[Path]:
    for name in ("config.yaml", "config.soak_overrides.yaml"):
        shutil.copy(REPO / name, tmp_path)
    return [tmp_path / "config.yaml", tmp_path / "config.soak_overrides.yaml"]


@pytest.mark.parametrize("name", GRADUAL)
def test_a_step_sets_its_flags_and_no_other_value_and_is_undone_to_the_byte(
    tmp_path: Path, config: list[Path], name: str
):
    before = load_settings(config)
    texts = [path.read_bytes() for path in config]
    path = path_of(name, tmp_path)
    path.parent.mkdir()
    path.write_bytes(encoded(step_back(name, GRADUAL[name], config, {}, 1)))
    step = load_step_back(name, tmp_path)
    apply(work_out(targets(Values.NEW, step), config), tmp_path / "audit.jsonl", 2)
    after = load_settings(config)
    changed = differences(before, after)
    assert {key: new for key, (_, new) in changed.items()} == GRADUAL[name]
    assert after.sha256() == step.config_sha256
    apply(work_out(targets(Values.PREVIOUS, step), config), tmp_path / "audit.jsonl", 3)
    assert [path.read_bytes() for path in config] == texts


def test_the_cap_stays_below_what_pulls_quotes():
    (raised,) = GRADUAL["raise-cap"].values()
    settings = load_settings([REPO / "config.yaml"])
    assert settings.taker_cap.max_taker_share_pct < raised < 100 * settings.guards.hard_taker_ratio


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("breaker.window_s", 60.0, "x: breaker.window_s is no feature flag"),
        ("spread.base_bps", 9.0, "x: spread.base_bps is no feature flag"),
    ],
)
def test_what_a_running_bot_cannot_take_is_refused(config: list[Path], key: str, value: float, message: str):
    with pytest.raises(ConfigError, match=message):
        step_back("x", {key: value}, config, {}, 1)


def test_a_value_that_no_configuration_may_have_is_refused_when_it_is_made(config: list[Path]):
    with pytest.raises(ConfigError, match=r"taker_cap\.max_taker_share_pct"):
        step_back("x", {"taker_cap.max_taker_share_pct": -1.0}, config, {}, 1)


def test_one_that_was_edited_is_refused(tmp_path: Path, config: list[Path]):
    path = path_of("raise-cap", tmp_path)
    path.parent.mkdir()
    content = encoded(step_back("raise-cap", GRADUAL["raise-cap"], config, {}, 1))
    path.write_bytes(content.replace(b"12.0", b"99.0"))
    with pytest.raises(ConfigError, match="the snapshot was changed after it was taken"):
        load_step_back("raise-cap", tmp_path)
