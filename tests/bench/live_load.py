"""A shadow run under load: ten symbols at a hundred frames a second each, over real sockets.

    python -m tests.bench.live_load                     ten minutes; the table of docs/benchmarks.md
    python -m tests.bench.live_load --duration 60s --symbols 4

The paper exchange plays generated markets at speed 1 in a process of its own, the bot is another; both are
the shipped commands. Every number is read off what the run wrote, and off the accounts that the kernel keeps
of the two processes.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import yaml

from mmbot.model.notes import Happened, noted
from mmbot.recording.manifest import read_manifest
from mmbot.recording.reader import frames
from mmbot.units import MS, SECOND, parse_duration

ROOT = Path(__file__).parents[2]
MMBOT = Path(sys.executable).with_name("mmbot")
MESSAGE_MS, TRADES_PER_S = 12, 17.0
"""83 books and 17 trades a second."""
_START_NS = 1_767_225_600 * SECOND
_SLACK_S = 30
"""The market begins before the bot does, and ends after it."""
_CTS = re.compile(rb'"(?:cts|T)":(\d{13})')
_OF_A_MARKET = (b'{"topic":"orderbook', b'{"topic":"publicTrade')


class Used(NamedTuple):
    """What a process used, from its first moment to its last."""

    cpu_s: float
    peak_mb: float


def market(symbols: int, duration_s: float) -> dict[str, Any]:
    """A scenario of that many busy symbols."""
    return {
        "title": f"{symbols} busy synthetic perpetuals",
        "kind": "synthetic",
        "duration": f"{round(duration_s)}s",
        "seed": 1,
        "market": {
            "start_ns": _START_NS,
            "instrument": {
                "venue": "bybit_linear", "quote": "USDT", "tick_size": "0.01", "lot_size": "0.01",
                "min_notional": 5, "fees": {"tier": "plain", "maker_bps": 2.0, "taker_bps": 5.5},
            },
            "settings": {
                "duration_s": duration_s, "message_interval_ms": MESSAGE_MS, "trades_per_s": TRADES_PER_S,
            },
            "symbols": {
                f"BUSY{number:02}USDT": {"base": f"BUSY{number:02}", "seed": 200 + number}
                for number in range(1, symbols + 1)
            },
        },
    }  # fmt: skip


def live(symbols: list[str], url: str) -> dict[str, Any]:
    shipped = yaml.safe_load((ROOT / "scenarios/live/bybit.yaml").read_text(encoding="utf-8"))
    venue = {"venue": "bybit_linear", "symbols": symbols, "depth": 50, "host": url}
    return {**shipped, "title": "under load", "live": venue}


def measure(folder: Path, symbols: int, duration: str) -> None:
    """Play, and print the table."""
    duration_s = parse_duration(duration) / SECOND
    spec = market(symbols, duration_s + _SLACK_S)
    (folder / "scenarios/live").mkdir(parents=True)
    (folder / "scenarios/busy.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    common = ["--scenarios", folder / "scenarios", "--config", ROOT / "config.yaml"]
    paper = subprocess.Popen(
        [MMBOT, "paper", "--scenario", "busy", *common], stdout=subprocess.PIPE, text=True, cwd=folder
    )
    assert paper.stdout is not None
    url = "http://" + paper.stdout.readline().strip().rpartition("http://")[2]
    names = list(spec["market"]["symbols"])
    (folder / "scenarios/live/busy.yaml").write_text(yaml.safe_dump(live(names, url)), encoding="utf-8")
    shadow = ["--mode", "shadow", "--venue", "busy", "--duration", duration, "--out", folder / "run"]
    bot = subprocess.Popen([MMBOT, "run", *shadow, *common], stdout=subprocess.DEVNULL, cwd=folder)
    bot_used = waited(bot.pid)
    paper.terminate()
    paper_used = waited(paper.pid)
    sys.stdout.write(table(folder / "run", symbols, duration_s, bot_used, paper_used) + "\n")


def waited(pid: int) -> Used:
    """Wait for a process to end."""
    _, _, usage = os.wait4(pid, 0)
    return Used(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)


def table(run: Path, symbols: int, duration_s: float, bot: Used, paper: Used) -> str:
    manifest = msgspec.json.decode((run / "manifest.json").read_bytes())
    received, lags_ms, late_ms, lost = recording(run / "recording")
    ticks = rows(run, "pipeline_ticks")
    took_ms = np.array([row["tick_total_ns"] for row in ticks]) / MS
    rss_mb = [row["value"] / 1e6 for row in rows(run, "samples") if row["name"] == "rss_bytes"]
    kinds = [row["kind"] for row in rows(run, "events")]
    hits = sum(row["cache"] == "hit" for row in ticks)
    counts = manifest["counts"]
    lines = {
        "status": f"{manifest['status']}, {counts['orders']} orders, {counts['fills']} fills",
        "frames received": f"{received}, {received / duration_s / symbols:.0f} a second and symbol",
        "frames lost": f"{kinds.count('gap')} gaps, {lost} lost connections",
        "match to receipt, p50 / p99 / max": quantiles(lags_ms),
        "tick of one symbol, p50 / p95 / p99 / max": quantiles(took_ms, 95),
        "lateness of ticks, worst of each second, p50 / p99 / max": quantiles(late_ms),
        "ticks": f"{len(ticks)}, {counts['dropped_ticks']} dropped",
        "deadline misses": f"{sum(row['deadline_miss'] for row in ticks)}",
        "cache hits": f"{hits / len(ticks):.2%}",
        "memory of the bot": f"{rss_mb[0]:.0f} MB first, {rss_mb[-1]:.0f} MB last, peak {bot.peak_mb:.0f} MB",
        "CPU of the bot": f"{bot.cpu_s:.0f} s, {bot.cpu_s / duration_s:.0%} of a core",
        "CPU of the exchange": f"{paper.cpu_s:.0f} s, making the market included",
    }
    return "\n".join(f"| {name} | {text} |" for name, text in lines.items())


def recording(folder: Path) -> tuple[int, npt.NDArray[np.float64], npt.NDArray[np.float64], int]:
    """Frames of markets, ms from match to receipt of each, ms late of each second, connections lost."""
    lags_ms: list[float] = []
    late_ms: list[float] = []
    lost = 0
    for frame in frames([folder / file.name for file in read_manifest(folder).files]):
        if frame.payload.startswith(_OF_A_MARKET):
            stamp = _CTS.search(frame.payload)
            if stamp is not None:
                lags_ms.append((frame.recv_ns - int(stamp[1]) * MS) / MS)
            continue
        note = noted(frame.payload)
        if note is not None:
            lost += note.mmbot is Happened.LOST
            late_ms += [note.latency_ns / MS] if note.mmbot is Happened.LATE else []
    return len(lags_ms), np.array(lags_ms), np.array(late_ms), lost


def rows(run: Path, feed: str) -> list[dict[str, Any]]:
    paths = sorted(run.glob(f"{feed}_*.jsonl"))
    return [msgspec.json.decode(line) for path in paths for line in path.read_bytes().splitlines()]


def quantiles(values_ms: npt.NDArray[np.float64], *more: int) -> str:
    parts = [f"{np.quantile(values_ms, percent / 100):.3g}" for percent in (50, *more, 99, 100)]
    return f"{' / '.join(parts)} ms"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--duration", default="10m", help="of the run (10m)")
    parser.add_argument("--symbols", type=int, default=10, help="how many (10)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), arguments.symbols, arguments.duration)


if __name__ == "__main__":
    main()
