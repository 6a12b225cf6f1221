"""Our kernel and its peers on the same market with the same quoter, in turn: A B C ... A B C ...

Every replay runs in a process of its own and is measured in CPU time, so other work on the machine costs
noise and not truth; ratios are taken within a round and their median is what counts.

    python -m tests.bench.compare --rounds 5 --tick-ms 100 1000
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
HERE = "tests.bench"
Result = dict[str, Any]


class MissingPeer(Exception):  # noqa: N818 (a fact of the machine)
    """What an engine needs is not here; says what to do about it."""


@dataclass(frozen=True)
class Engine:
    """One line of the comparison. `home`: its environment's folder, None for our own."""

    name: str
    module: str
    variant: str
    home: str | None = None
    repeat: int = 5

    def python(self) -> str:
        """Its interpreter, or MissingPeer."""
        if self.module.endswith("c_floor") and shutil.which("cc") is None:
            raise MissingPeer("no C compiler: install cc")
        if self.home is None:
            return sys.executable
        python = peers_folder() / self.home / "bin" / "python"
        if not python.exists():
            raise MissingPeer(f"{self.home} is not installed: run tests/bench/peers/install")
        return str(python)

    def replay(self, columns: Path, tick_ms: int, *, order_lots: int = 1, fills: bool = False) -> Result:
        """Run it once, in a process of its own."""
        asked = ["--columns", columns, "--tick-ms", tick_ms, "--order-lots", order_lots]
        asked += ["--variant", self.variant, "--repeat", 1 if fills else self.repeat]
        command = [self.python(), "-m", self.module, *map(str, asked), *["--fills"] * fills]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{self.name} failed:\n{done.stderr[-2000:]}")
        found: Result = json.loads(done.stdout.splitlines()[-1])
        return found


KERNEL = Engine("mmbot kernel, Python quoter", f"{HERE}.kernel_replay", "every_tick")
KERNEL_BAND = Engine("mmbot kernel, Python quoter, quiet band", f"{HERE}.kernel_replay", "quiet_band")
KERNEL_ALONE = Engine("mmbot kernel, no strategy", f"{HERE}.kernel_replay", "no_strategy")
PIPELINE = Engine("mmbot, six stages and rows", f"{HERE}.pipeline_replay", "compiled", repeat=3)
PIPELINE_FILTERED = Engine(
    "mmbot, six stages and rows, quiet band", f"{HERE}.pipeline_replay", "filtered", repeat=3
)
PIPELINE_PLAIN = Engine("mmbot, six stages without kernel", f"{HERE}.pipeline_replay", "plain", repeat=1)
HFT_JITTED = Engine("hftbacktest, jitted", f"{HERE}.peers.hftbacktest_replay", "jitted", "hftbacktest")
HFT_PLAIN = Engine("hftbacktest, Python", f"{HERE}.peers.hftbacktest_replay", "plain", "hftbacktest", 3)
NAUTILUS_RUST = Engine("nautilus_trader, Rust engine", f"{HERE}.peers.nautilus_replay", "rust", "nautilus", 1)
NAUTILUS = Engine("nautilus_trader, Cython engine", f"{HERE}.peers.nautilus_replay", "cython", "nautilus", 1)
FLOOR = Engine("C floor", f"{HERE}.peers.c_floor", "floor")
ENGINES = (
    KERNEL,
    KERNEL_BAND,
    KERNEL_ALONE,
    PIPELINE,
    PIPELINE_FILTERED,
    PIPELINE_PLAIN,
    HFT_JITTED,
    HFT_PLAIN,
    NAUTILUS_RUST,
    NAUTILUS,
    FLOOR,
)


def peers_folder() -> Path:
    """Where `peers/install` puts them."""
    return Path(os.environ.get("MMBOT_PEERS") or Path(tempfile.gettempdir()) / "mmbot-peers")


def rounds(engines: Sequence[Engine], columns: Path, tick_ms: int, count: int) -> dict[str, list[Result]]:
    """Results by engine, round by round; engines that are missing are left out and named on stderr."""
    present: list[Engine] = []
    for engine in engines:
        try:
            engine.python()
        except MissingPeer as missing:
            sys.stderr.write(f"{engine.name}: left out, {missing}\n")
        else:
            present.append(engine)
    found: dict[str, list[Result]] = {engine.name: [] for engine in present}
    for number in range(count):
        for engine in present:
            found[engine.name].append(engine.replay(columns, tick_ms))
        sys.stderr.write(f"tick {tick_ms} ms: round {number + 1} of {count}\n")
    return found


def ratios(results: dict[str, list[Result]], slower: str, faster: str) -> list[float]:
    """How many times as long one took as the other, per round."""
    pairs = zip(results[slower], results[faster], strict=True)
    return [other["median_cpu_s"] / ours["median_cpu_s"] for other, ours in pairs]


def table(results: dict[str, list[Result]]) -> Iterable[str]:
    """Markdown, fastest first, with how many times as long as our kernel with the quoter each took: called at
    every tick, and with its quiet band.
    """
    yield (
        "| engine | CPU s | M events/s | times every tick (range) | times quiet band (range)"
        " | process CPU s | MB | orders, ticks |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    cpu = {name: statistics.median(run["median_cpu_s"] for run in runs) for name, runs in results.items()}
    for name in sorted(cpu, key=lambda name: cpu[name]):
        runs = results[name]
        first = runs[0]
        process_s = statistics.median(_one_replay(run) for run in runs)
        memory = statistics.median(run["rss_mb"] for run in runs)
        did = f"{first['orders']}, {first['ticks']}"
        slower = [_spread(ratios(results, name, ours.name)) for ours in (KERNEL, KERNEL_BAND)]
        speed = first["events"] / cpu[name] / 1e6
        cells = (name, f"{cpu[name]:.4f}", f"{speed:.1f}", *slower, f"{process_s:.2f}", f"{memory:.0f}", did)
        yield f"| {' | '.join(cells)} |"


def _spread(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _one_replay(run: Result) -> float:
    """CPU seconds of a process that replays once."""
    return run["process_cpu_s"] - sum(run["cpu_s"]) + run["median_cpu_s"]


def versions(results: dict[str, list[Result]]) -> Iterable[str]:
    """What was measured, one line an engine."""
    for name, runs in results.items():
        yield f"- {name}: " + ", ".join(f"{what} {number}" for what, number in runs[0]["versions"].items())


def main() -> None:
    """Measure and print tables."""
    from tests.bench.reference_market import hours  # noqa: PLC0415 (needs numba; the rest does not)

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tick-ms", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--hours", type=float, default=1.0)
    asked = parser.parse_args()
    columns = hours(asked.hours)
    lines: list[str] = []
    for tick_ms in asked.tick_ms:
        results = rounds(ENGINES, columns, tick_ms, asked.rounds)
        lines += [f"**Tick every {tick_ms} ms**", "", *table(results), ""]
        lines += versions(results) if tick_ms == asked.tick_ms[-1] else []
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
