"""A project in which a soak of the shipped bot is played, cut off and resumed, as a process of its own."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from mmbot.runtime import checkpoint
from mmbot.telemetry.tails import TORN

ROOT = Path(__file__).parents[2]
FILES = ("config.yaml", "pyproject.toml", "conftest.py")
SETTINGS = """
pipeline: {tick_interval_ms: 200}
telemetry: {sample_interval_s: 10, checkpoint_interval_s: 300}
trace: {sample_rate: 0.1}
"""


PARTS = """
title: Three seeded synthetic perpetuals, 50 minutes, each played by itself
kind: synthetic
duration: 50m
seed: 1
parts: [symbol]
market:
  start_ns: 1767225600000000000
  instrument:
    venue: bybit_linear
    quote: USDT
    tick_size: "0.01"
    lot_size: "0.01"
    min_notional: 5
    fees: {tier: test, maker_bps: 2.0, taker_bps: 5.5}
  settings: {duration_s: 3010}
  symbols:
    ONEUSDT: {base: ONE, seed: 101}
    TWOUSDT: {base: TWO, seed: 102}
    SIXUSDT: {base: SIX, seed: 103}
"""


class SoakProject:
    """Fifty minutes of `demo`, a checkpoint every five; the gate is content with half an hour."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in FILES:
            shutil.copy(ROOT / name, folder)
        (folder / "tests").mkdir()
        shutil.copytree(ROOT / "gates", folder / "gates")
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "scenarios", folder / "scenarios", ignore=ignored)
        (folder / "scenarios" / "parts.yaml").write_text(PARTS, encoding="utf-8")
        (folder / "config.soak_overrides.yaml").write_text(SETTINGS, encoding="utf-8")
        gate = folder / "gates" / "soak.yaml"
        gate.write_text(gate.read_text(encoding="utf-8").replace(">= 24h", ">= 30m"), encoding="utf-8")

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Begin `pytest -m soak`."""
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", "soak"]
        return subprocess.Popen(
            [*command, "--mmgates-duration", "50m", *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            **options,
        )

    def soak(self, *arguments: str, **options: Any) -> tuple[int, str]:
        """Exit code and what it said."""
        process = self.start(*arguments, **options)
        out, _ = process.communicate()
        return process.returncode, out

    @property
    def judged(self) -> bool:
        return (self.folder / "artifacts" / "verdicts" / "soak.json").exists()

    @property
    def resume(self) -> list[str]:
        """The option that goes on with what was interrupted, if there is anything to go on with."""
        ended = [path for path in self.runs.glob("*/manifest.json") if b'"complete"' in path.read_bytes()]
        checkpoints = [*self.runs.glob(f"*.partial-*/**/{checkpoint.NAME}")]
        return ["--mmgates-resume"] if ended or checkpoints else []

    def killed(self, after_s: float, *arguments: str, playing: bool) -> bool:
        """Begin, and kill -9 every process of it so long after it has begun, or begun to play; whether it was
        there still.
        """
        before = self._begun()
        process = self.start(*arguments)
        if playing:
            while process.poll() is None and self._begun() <= before:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.01)
        try:
            process.communicate(timeout=after_s)
        except subprocess.TimeoutExpired:
            kill(process)
            return True
        return False

    def _begun(self) -> set[int]:
        """When runs in the making wrote that they are running: before their first row, and when resumed."""
        with contextlib.suppress(FileNotFoundError):
            return {path.stat().st_mtime_ns for path in self.runs.glob("*.partial-*/manifest.json")}
        return set()

    def killed_behind(self, checkpoints: int, *arguments: str) -> None:
        """Begin, and kill -9 every process of it when it has written that many checkpoints."""
        process = self.start(*arguments)
        until_checkpoints(process, self.runs, checkpoints)
        kill(process)

    @property
    def runs(self) -> Path:
        return self.folder / "artifacts" / "runs"

    def directories(self, scenario: str = "demo") -> list[Path]:
        """What stands of the run, finished or not."""
        return sorted(path for path in self.runs.glob(f"soak-{scenario}*") if path.is_dir())

    def manifest(self, below: str = "soak-demo") -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.runs / below / "manifest.json").read_bytes())
        return found

    def verdicts(self) -> dict[str, str]:
        """Verdict by rule, and of the gate."""
        found = json.loads((self.folder / "artifacts" / "verdicts" / "soak.json").read_bytes())
        return {"gate": found["verdict"]} | {rule["rule"]: rule["verdict"] for rule in found["rules"]}

    def check_synced(self) -> None:
        """No byte is missing that a checkpoint counts."""
        for path in self.runs.glob(f"soak-*.partial-*/**/{checkpoint.NAME}"):
            header, _ = checkpoint.read(path.parent)
            for name, size in header.feeds.items():
                assert (path.parent / name).stat().st_size >= size


def until_checkpoints(process: subprocess.Popen[Any], folder: Path, count: int) -> None:
    """Wait until the runs below a folder have written that many checkpoints more."""
    before = seen = _checkpoints(folder)
    while len(seen - before) < count:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
            raise AssertionError(f"ended behind {len(seen - before)} checkpoints: {process.returncode}")
        seen = seen | _checkpoints(folder)


def _checkpoints(folder: Path) -> set[int]:
    """When those that are there were written."""
    with contextlib.suppress(FileNotFoundError):
        return {path.stat().st_mtime_ns for path in folder.glob(f"**/{checkpoint.NAME}")}
    return set()


def kill(process: subprocess.Popen[str]) -> None:
    """-9, and every process of its session."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


_MEASURED = ("run_id", "deadline_miss", "tick_total_ns")


def rows(directory: Path) -> dict[str, list[dict[str, Any]]]:
    """Every row by file, what was measured of this machine left out."""
    return {
        str(path.relative_to(directory)): list(map(_decided, path.read_text(encoding="utf-8").splitlines()))
        for path in sorted(directory.glob("**/*.jsonl"))
        if TORN not in path.parts
    }


def _decided(line: str) -> dict[str, Any]:
    row = json.loads(line)
    stages = ("fetch_md_ns", "spread_ns", "guards_ns", "inventory_ns", "queue_aware_ns", "emit_ns")
    measured = {*_MEASURED, *stages, *(["value"] if row.get("name") == "rss_bytes" else [])}
    return {key: value for key, value in row.items() if key not in measured}
