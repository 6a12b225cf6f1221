"""`mmbot config`: what the bot is told, where from, and whether it can earn."""

import re
from pathlib import Path

import pytest
from tests.mmbot.builders import REPO, Command, shipped_settings

from mmbot.config.flags import FLAGS, registry_markdown

CONFIG = ("--config", REPO / "config.yaml")


def test_show_prints_every_value_and_the_hash(mmbot: Command):
    code, out, err = mmbot("config", "show", *CONFIG)
    assert (code, err) == (0, "")
    assert "spread.base_bps = 3.0\n" in out
    assert out.endswith(f"config_sha256 = {shipped_settings().sha256()}\n")


def test_explain_adds_file_and_line_and_what_a_flag_replaces(mmbot: Command, tmp_path: Path):
    (tmp_path / "top.yaml").write_text("inventory:\n  enabled: false\n")
    _, out, _ = mmbot("config", "show", "--explain", *CONFIG, "--config-override", tmp_path / "top.yaml")
    assert re.search(rf"^inventory.enabled = false +{tmp_path}/top.yaml:2$", out, re.MULTILINE)
    assert re.search(
        r"^inventory.max_skew_bps = 3.0 +\S+config.yaml:\d+, but inventory.enabled is off: 0$",
        out,
        re.MULTILINE,
    )
    assert re.search(r"^sim.market_data.sigma = 0.0 +default$", out, re.MULTILINE)


def test_check_prints_the_arithmetic_and_is_green(mmbot: Command, tmp_path: Path):
    code, out, err = mmbot(
        "config", "check", *CONFIG, "--scenario", "short", "--scenarios", tmp_path / "scenarios"
    )
    assert (code, err) == (0, "")
    assert "widest: spread.max_bps 30 - maker fee 2 = 28 bps a fill" in out
    assert out.endswith("configuration is sound\n")


def test_check_is_red_where_nothing_can_be_earned(mmbot: Command, tmp_path: Path):
    (tmp_path / "top.yaml").write_text("spread: {min_bps: 1.0, max_bps: 2.0}\n")
    code, out, _ = mmbot(
        *("config", "check", *CONFIG, "--config-override", tmp_path / "top.yaml"),
        *("--scenario", "short", "--scenarios", tmp_path / "scenarios"),
    )
    assert code == 1
    assert "PROBLEM: even the widest half spread earns nothing: spread.max_bps 2 - maker fee 2 = 0 bps" in out


def test_check_of_a_bad_value_is_one_line_with_its_place(mmbot: Command, tmp_path: Path):
    (tmp_path / "top.yaml").write_text("spread:\n  enabled: 1\n")
    arguments = (*CONFIG, "--config-override", tmp_path / "top.yaml", "--scenario", "short")
    code, out, err = mmbot("config", "check", *arguments, "--scenarios", tmp_path / "scenarios")
    assert (code, out) == (2, "")
    assert err == f"mmbot: {tmp_path}/top.yaml:2: spread.enabled: Expected `bool`, got `int`\n"


def test_flags_lists_each_with_its_value(mmbot: Command, tmp_path: Path):
    (tmp_path / "top.yaml").write_text("guards: {enabled: false}\n")
    _, out, _ = mmbot("config", "flags", *CONFIG, "--config-override", tmp_path / "top.yaml")
    assert "risk_guards: guards.enabled = false (default true, rollback true, risk)\n" in out
    assert all(flag.effect in out for flag in FLAGS)


def test_flags_as_markdown_is_the_document(mmbot: Command):
    assert mmbot("config", "flags", "--markdown") == (0, registry_markdown(), "")


@pytest.mark.parametrize("command", ["show", "check", "flags"])
def test_help_names_the_options(mmbot: Command, command: str):
    code, out, _ = mmbot("config", command, "--help")
    assert code == 0
    assert "--config-override" in out
