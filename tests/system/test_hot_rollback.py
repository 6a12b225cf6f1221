"""The red button under a running bot, as an operator presses it: other processes, real signals."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.mmbot.builders import MARKET, REPO, linear, ms, scenario_file

from mmbot.audit import broken_line
from mmbot.clock import pause, stopwatch
from mmbot.config.snapshot import SNAPSHOT, encoded, take
from mmbot.runtime.running import Status, read_status
from mmbot.units import SECOND

MMBOT = Path(sys.executable).with_name("mmbot")
QUICK = {"pipeline": {"tick_interval_ms": 1}, "telemetry": {"sample_interval_s": 1}}
"""Many ticks of little market: a run that outlasts what is done to it."""
_PATIENCE_S = 60


class Desk:
    """A folder of an operator, and one bot that runs in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copy(REPO / "config.yaml", folder)
        self.config = folder / "config.yaml"
        scenario_file(
            folder / "scenarios",
            name="long",
            duration="600s",
            config=QUICK,
            market={
                "seed": 7,
                "start_ns": ms(0),
                "instrument": msgspec.to_builtins(linear()),
                "settings": {**MARKET, "duration_s": 600.0, "trades_per_s": 1.0},
            },
        )
        run = [MMBOT, "run", "--scenario", "long", "--engine", "plain", "--out", "run"]
        self.bot = subprocess.Popen(
            run, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def mmbot(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [MMBOT, *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE_S,
        )

    def snapshot(self) -> None:
        """Of the shipped configuration, as prep takes it."""
        folder = self.folder / "artifacts" / "release"
        folder.mkdir(parents=True)
        (folder / SNAPSHOT).write_bytes(encoded(take([self.config], {}, 1, None)))

    def edit(self, old: str, new: str) -> None:
        text = self.config.read_text(encoding="utf-8")
        assert text.count(old) == 1
        self.config.write_text(text.replace(old, new), encoding="utf-8")

    def manifest(self) -> dict[str, Any]:
        return msgspec.json.decode((self.folder / "run" / "manifest.json").read_bytes())

    def status(self) -> Status:
        """Of the bot, as soon as it has said that it runs."""
        give_up_ns = stopwatch() + _PATIENCE_S * SECOND
        while stopwatch() < give_up_ns and self.bot.poll() is None:
            for path in (self.folder / "artifacts" / "running").glob("*.json"):
                status = read_status(path)
                if status is not None and (self.folder / "run" / "manifest.json").exists():
                    return status
            pause(0.01)
        raise AssertionError(f"the bot does not run: {self.bot.communicate()[1]!r}")

    def rows(self, feed: str) -> list[dict[str, Any]]:
        """Whole lines that have reached the disk."""
        content = b"".join(
            path.read_bytes() for path in sorted((self.folder / "run").glob(f"{feed}_*.jsonl"))
        )
        return [msgspec.json.decode(line) for line in content[: content.rfind(b"\n")].splitlines()]

    def audit(self) -> list[dict[str, Any]]:
        log = self.folder / "artifacts" / "release" / "audit.jsonl"
        assert broken_line(log) is None
        return [msgspec.json.decode(line) for line in log.read_bytes().splitlines()]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.bot.kill()
    desk.bot.wait()
    assert desk.bot.stderr is not None
    desk.bot.stderr.close()


def test_a_rollback_is_in_force_before_it_returns_and_so_is_the_way_back(desk: Desk):
    shipped, before = desk.config.read_bytes(), desk.status()
    desk.snapshot()
    looked = desk.mmbot("rollback", "--values", "registry", "--dry-run")
    assert f"{before.run_id} (process {desk.bot.pid}): would be asked to reload" in looked.stdout
    assert (desk.config.read_bytes(), desk.status().answer) == (shipped, None)

    pressed, off = desk.mmbot("rollback", "--values", "registry"), desk.status()
    assert (pressed.returncode, pressed.stderr) == (0, "")
    assert f"reports config_sha256 {off.config_sha256}, as expected" in pressed.stdout
    back, on = desk.mmbot("rollback", "--values", "new"), desk.status()
    assert (back.returncode, back.stderr) == (0, "")
    assert desk.config.read_bytes() == shipped
    assert on.config_sha256 == before.config_sha256 != off.config_sha256
    actions = ["rollback_begun", "rollback_done", "reload_verified"]
    assert [record["action"] for record in desk.audit()] == actions * 2
    (bot,) = desk.audit()[2]["bots"]
    assert (bot["pid"], bot["outcome"]) == (desk.bot.pid, "in_force")
    assert bot["expected_sha256"] == bot["reported_sha256"] == off.config_sha256

    desk.bot.kill()
    desk.bot.wait()
    again = desk.mmbot("rollback", "--values", "new")
    assert (again.returncode, again.stderr) == (0, "")
    assert "its process is gone; its status file was removed" in again.stdout
    assert list((desk.folder / "artifacts" / "running").iterdir()) == []
    _, off_again, _ = desk.manifest()["configs"]
    assert off_again["changed"]["pipeline.enabled"] == [True, False]
    _see_no_quotes_between(desk, *(config["first_tick_ns"] for config in desk.manifest()["configs"][1:]))


def _see_no_quotes_between(desk: Desk, off_ns: int, on_ns: int) -> None:
    """What the killed process had not written is lost: at most some of the last rows."""
    ticks = desk.rows("pipeline_ticks")
    between = [row for row in ticks if off_ns <= row["ts_ns"] < on_ns]
    assert between
    assert all(row["bid"] is row["ask"] is None for row in between)
    assert any(row["bid"] is not None for row in ticks if row["ts_ns"] < off_ns)
    assert all(row["bid"] is not None for row in ticks if row["ts_ns"] >= on_ns)


def test_a_bot_that_cannot_take_the_files_is_named_and_the_exit_code_says_so(desk: Desk):
    desk.snapshot()
    before = desk.status()
    desk.edit("median_ms: 60", "median_ms: 61")
    pressed = desk.mmbot("rollback", "--values", "registry")
    assert pressed.returncode == 1
    assert "refused: cannot change while running: sim.resync.median_ms 60.0 -> 61.0" in pressed.stderr
    assert "1 of 1 running bots are NOT on these files" in pressed.stderr
    assert desk.status().config_sha256 == before.config_sha256
    assert desk.audit()[-1]["action"] == "reload_failed"
    assert len(desk.manifest()["configs"]) == 1

    desk.edit("median_ms: 61", "median_ms: 60")
    again = desk.mmbot("rollback", "--values", "registry")
    assert (again.returncode, again.stderr) == (0, "")
    assert "nothing to change" in again.stdout
    assert desk.status().config_sha256 != before.config_sha256
