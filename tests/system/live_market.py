"""Live market data for system tests: the paper exchange in a process of its own, and a bot that shadows it.

Time passes by events alone: rows that a bot makes, answers that the exchange gives.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml
from tests.mmbot.builders import REPO

from mmbot.model.notes import Note, noted
from mmbot.recording.manifest import read_manifest
from mmbot.recording.reader import frames
from mmbot.runtime.live_request import LiveRequest
from mmbot.runtime.live_run import ShadowRun

MMBOT = Path(sys.executable).with_name("mmbot")
Row = dict[str, Any]
Fed = tuple[str, Row]
"""A row and the feed that it is of."""
IN_TIME = {
    "sim": {
        "response": {"model": "lognormal", "median_ms": 5, "sigma": 0.3, "floor_ms": 20},
        "resync": {"model": "lognormal", "median_ms": 60, "sigma": 0.4, "floor_ms": 20},
    }
}
"""Models that know no answer before the market that it depends on."""


class PaperVenue:
    """`mmbot paper` as a process."""

    def __init__(self, *arguments: str | Path) -> None:
        self._process = subprocess.Popen(
            [MMBOT, "paper", "--config", REPO / "config.yaml", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        first = self._process.stdout.readline()
        self.url = "http://" + first.strip().rpartition("http://")[2]

    def faults(self, **switches: object) -> Row:
        """Set them; returns how all of them stand."""
        return self._asked("/paper/faults", json.dumps(switches).encode())

    def pass_time(self, ms: int) -> None:
        """The exchange takes so long to answer."""
        self.faults(rest_delay_ms=ms)
        self._asked("/v5/market/time", None)
        self.faults(rest_delay_ms=0)

    def close(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=30)

    def _asked(self, path: str, body: bytes | None) -> Row:
        with urllib.request.urlopen(self.url + path, body, timeout=60) as reply:  # noqa: S310 (ours)
            return json.loads(reply.read())


def live_scenario(
    folder: Path, url: str, *, symbols: tuple[str, ...] = ("SYNTHUSDT",), **changes: Any
) -> None:
    """`folder`/paper.yaml: a live scenario of that exchange, 50 levels."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = {
        "title": "paper exchange",
        "kind": "live",
        "duration": "30s",
        "seed": 7,
        "live": {"venue": "bybit_linear", "symbols": list(symbols), "depth": 50, "host": url},
        "config": IN_TIME,
    }
    (folder / "paper.yaml").write_text(yaml.safe_dump(facts | changes), encoding="utf-8")


class Shadow:
    """A shadow run of this process, row by row. Its shell runs in a thread of its own."""

    def __init__(self, folder: Path, url: str, duration_s: float = 30.0, **changes: Any) -> None:
        live_scenario(folder / "scenarios", url, **changes)
        self.directory = folder / "run"
        self.run = ShadowRun(
            LiveRequest("paper", folder / "scenarios", [REPO / "config.yaml"], "run", self.directory,
                        duration_s=duration_s)
        )  # fmt: skip
        self.rows = self._rows()

    def _rows(self) -> Iterator[Fed]:
        for feed, lines in self.run:
            for line in lines.splitlines():
                yield feed, msgspec.json.decode(line)

    def over(self) -> None:
        """Halt it, and see it end."""
        self.run.halt("seen enough")
        for _ in self.rows:
            pass

    def notes(self) -> list[tuple[int, Note]]:
        return notes(self.directory / "recording")


class Bot:
    """A shadow run in a process of its own (`shadow_bot`), through the door for gates."""

    def __init__(self, folder: Path, url: str, duration_s: float, overlay: Row, **changes: Any) -> None:
        live_scenario(folder / "scenarios" / "live", url, **changes)
        shutil.copy(REPO / "config.yaml", folder)
        self.config = [folder / "config.yaml", folder / "overlay.yaml"]
        self.config[1].write_text(yaml.safe_dump(overlay), encoding="utf-8")
        self.directory = folder / "run"
        self._request = {
            "step": "shadow", "scenario": "paper", "run_id": "run", "run_dir": str(self.directory),
            "data_dir": None, "duration_s": duration_s, "seed": None, "config": list(map(str, self.config)),
            "live": True, "host": None,
        }  # fmt: skip
        self._start(self._request)

    def again(self) -> None:
        """Go on where it was killed."""
        self._start({**self._request, "resume": True})

    def _start(self, request: Row) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.system.shadow_bot", json.dumps(request)],
            cwd=self.directory.parent, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPO), *sys.path])},
        )  # fmt: skip
        self.rows = self._rows()

    def _rows(self) -> Iterator[Fed]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            feed, _, row = line.partition(b" ")
            yield feed.decode(), msgspec.json.decode(row)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def over(self) -> int:
        """See it end; returns its exit code."""
        for _ in self.rows:
            pass
        return self._process.wait(timeout=30)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.communicate()


def until(rows: Iterator[Fed], feed: str, seen: Callable[[Row], object] = lambda _: True) -> Row:
    """The next row of a feed of which that holds. Fails when the run ends before."""
    for name, row in rows:
        if name == feed and seen(row):
            return row
    raise AssertionError(f"the run ended without the row of {feed} that was waited for")


def ticks(rows: Iterator[Fed], count: int) -> list[Row]:
    """The next so many ticks."""
    return [until(rows, "pipeline_ticks") for _ in range(count)]


def read(directory: Path, feed: str) -> list[Row]:
    """All rows of a feed."""
    return [
        msgspec.json.decode(line)
        for path in sorted(directory.glob(f"{feed}_*.jsonl"))
        for line in path.read_bytes().splitlines()
    ]


def notes(recording: Path) -> list[tuple[int, Note]]:
    """What happened between the frames of a recording."""
    paths = [recording / file.name for file in read_manifest(recording).files]
    found = [(frame.recv_ns, noted(frame.payload)) for frame in frames(paths)]
    return [(recv_ns, note) for recv_ns, note in found if note is not None]
