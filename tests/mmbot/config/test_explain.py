"""Every effective value with the line that wrote it."""

from pathlib import Path

import msgspec
from tests.mmbot.builders import REPO

from mmbot.config.explain import Explained, explain
from mmbot.config.settings import leaves, load_config, settings_of
from mmbot.config.strict_yaml import load


def explained(folder: Path, override: str = "") -> dict[str, Explained]:
    (folder / "scenario.yaml").write_text("emit:\n  levels: 2\n  level_step_bps: 3.0\n")
    (folder / "top.yaml").write_text(f"emit: {{level_step_bps: 4.0}}\n{override}")
    document = load_config([REPO / "config.yaml", folder / "top.yaml"], load(folder / "scenario.yaml"))
    lines = explain(document, settings_of(document))
    assert [line.key for line in lines] == list(leaves(msgspec.to_builtins(settings_of(document))))
    return {line.key: line for line in lines}


def test_every_value_comes_from_the_line_that_says_it(tmp_path: Path):
    files = {
        str(path): path.read_text().splitlines()
        for path in [REPO / "config.yaml", tmp_path / "top.yaml"]
        if path.is_file()
    }
    for line in explained(tmp_path).values():
        if line.where is None:
            assert line.key.split(".")[-1] in {"sigma", "floor_ms", "power"}
            continue
        file, _, number = line.where.rpartition(":")
        if file in files:
            assert line.key.split(".")[-1] in files[file][int(number) - 1]


def test_the_last_file_that_says_a_value_is_named(tmp_path: Path):
    lines = explained(tmp_path)
    assert (lines["emit.levels"].written, lines["emit.levels"].where) == ("2", f"{tmp_path}/scenario.yaml:2")
    step = lines["emit.level_step_bps"]
    assert (step.written, step.where, step.instead) == ("4.0", f"{tmp_path}/top.yaml:1", None)


def test_a_flag_that_is_off_says_what_is_in_force_instead(tmp_path: Path):
    lines = explained(tmp_path, "spread: {enabled: false}\n")
    instead = {key: line.instead for key, line in lines.items() if line.instead}
    assert {key: (flag.name, value) for key, (flag, value) in instead.items()} == {
        "spread.model": ("adaptive_spread", "adaptive"),
        "spread.volatility_weight_bps": ("adaptive_spread", 0.0),
        "spread.liquidity_weight_bps": ("adaptive_spread", 0.0),
        "spread.latency_weight_bps": ("adaptive_spread", 0.0),
        "spread.pnl_weight_bps": ("adaptive_spread", 0.0),
    }
    assert lines["spread.volatility_weight_bps"].written == "3.0"
