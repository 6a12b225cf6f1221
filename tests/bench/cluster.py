"""One scenario of 48 shards played four ways: by one process, two of pytest-xdist, two workers of this
machine, and two workers that somebody started, over TCP. Verdict and digest are the same, the time is not.

    python -m tests.bench.cluster                the four ways, and what a task costs besides itself
    python -m tests.bench.cluster --kills 10     and ten times with a worker killed (kill -9) in the middle

24 symbols by 2 days, five minutes of market each side of midnight, in a project of its own: the shipped
configuration, and the shadow gate, which asks for five minutes in place of sixty.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from tests.mmcluster.own_cluster import own_cluster

from mmbot.clock import stopwatch
from mmbot.units import SECOND
from mmcluster import Finished, Task, open_cluster

ROOT = Path(__file__).parents[2]
SYMBOLS = 24
_START_NS = 1_767_225_300_000_000_000  # 2025-12-31T23:55:00Z
_TASKS, _ROUNDS = 100, 200_000

INI = """[pytest]
mmgates_sut = mmbot.sut:open_run
mmgates_parts = mmbot.sut:parts
mmgates_files = mmbot.sut:files
mmgates_default_scenario = shards
mmgates_source =
    config.yaml
    scenarios/*.yaml
"""
GATED = """import pytest

@pytest.mark.shadow
def test_shadow(shadow_run, rule, gate):
    gate(shadow_run, rule)
"""


@dataclass(frozen=True)
class Played:
    """`verdict` is without the name of its session."""

    way: str
    wall_s: float
    verdict: dict[str, object]
    digest: str


def scenario(symbols: int) -> dict[str, object]:
    """Each symbol is cut at midnight into two shards of five minutes."""
    fees = {"tier": "Bybit linear VIP 0", "maker_bps": 2.0, "taker_bps": 5.5}
    venue = {"venue": "bybit_linear", "quote": "USDT", "tick_size": "0.01", "lot_size": "0.01"}
    names = [f"SYNTH{number:02}" for number in range(symbols)]
    return {
        "title": f"{symbols} seeded synthetic perpetuals, five minutes each side of midnight",
        "kind": "synthetic",
        "duration": "5m",
        "seed": 1,
        "parts": ["symbol", "day"],
        "market": {
            "start_ns": _START_NS,
            "instrument": {**venue, "min_notional": 5, "fees": fees},
            "settings": {"duration_s": 610},
            "symbols": {f"{name}USDT": {"base": name, "seed": 500 + n} for n, name in enumerate(names)},
        },
    }


def make_project(folder: Path, symbols: int = SYMBOLS) -> None:
    """What a worker has as well: configuration, gate, scenario, in its working directory."""
    (folder / "gates").mkdir()
    (folder / "scenarios").mkdir()
    shutil.copy(ROOT / "config.yaml", folder)
    gate = (ROOT / "gates" / "shadow.yaml").read_text()
    (folder / "gates" / "shadow.yaml").write_text(gate.replace(">= 60m", ">= 5m"))
    (folder / "scenarios" / "shards.yaml").write_text(json.dumps(scenario(symbols)))
    (folder / "test_gates.py").write_text(GATED)
    (folder / "pytest.ini").write_text(INI)


def play(project: Path, way: str, *arguments: str) -> Played:
    began_ns = stopwatch()
    process = start(project, way, *arguments)
    return ended(project, way, process, began_ns)


def start(project: Path, way: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio"]
    command += ["-m", "shadow", f"--mmgates-out={out_of(project, way)}", *arguments]
    return subprocess.Popen(command, cwd=project, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def ended(project: Path, way: str, process: "subprocess.Popen[str]", began_ns: int) -> Played:
    """Verdict and digest. What a clock measured is left out of the verdict: no two plays agree on it."""
    said, _ = process.communicate()
    wall_s = (stopwatch() - began_ns) / SECOND
    if process.returncode:
        raise SystemExit(f"{way}: exit code {process.returncode}\n{said}")
    out = out_of(project, way)
    verdict = json.loads((out / "verdicts" / "shadow.json").read_text())
    rules = [(rule["rule"], rule["verdict"], rule["n"]) for rule in verdict["rules"]]
    same = {**{key: verdict[key] for key in ("verdict", "data_kind", "parts")}, "rules": rules}
    manifest = json.loads((out / "runs" / "shadow-shards" / "manifest.json").read_text())
    return Played(way, wall_s, same, manifest["run_digest"])


def out_of(project: Path, way: str) -> Path:
    return project / f"out-{way.replace(' ', '-')}"


def play_killed(project: Path, number: int, after: int) -> Played:
    """With two workers over TCP, of which one is killed when so many shards are finished."""
    way = f"killed {number}"
    with own_cluster(2, project) as own:
        began_ns = stopwatch()
        process = start(
            project, way, f"--mmgates-cluster={own.address}", f"--mmgates-shards={project}/killed"
        )
        while _finished(out_of(project, way)) < after:
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        nanny = psutil.Process(own.workers[number % 2].pid)
        max(nanny.children(), key=lambda child: child.cpu_times().user).kill()
        return ended(project, way, process, began_ns)


def _finished(out: Path) -> int:
    return len(list(out.glob("runs/*.partial-*/parts/*/tally.json")))


def cost_of_a_task_s(address: str) -> float:
    """Seconds of a worker that a task costs besides its own, while all are busy."""
    with open_cluster(address, {}) as cluster:
        tasks = [Task(f"t{number}", "cluster_tasks:busy", {"rounds": _ROUNDS}) for number in range(_TASKS)]
        list(cluster.run(tasks[:4]))
        began_ns = stopwatch()
        ends = [end for end in cluster.run(tasks) if isinstance(end, Finished)]
        wall_s = (stopwatch() - began_ns) / SECOND
    workers = len({end.worker for end in ends})
    return (wall_s * workers - sum(end.seconds for end in ends)) / len(ends)


def main() -> None:
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=text)
    parser.add_argument("--kills", type=int, default=0, metavar="N", help="runs with a worker killed")
    parser.add_argument("--symbols", type=int, default=SYMBOLS, help="two shards each (24)")
    asked = parser.parse_args()
    shards = 2 * asked.symbols
    with TemporaryDirectory(prefix="mmcluster-bench-") as folder:
        project = Path(folder)
        make_project(project, asked.symbols)
        play(project, "warm-up", "-n", "2")
        played = list(_ways(project))
        for number in range(asked.kills):
            played.append(play_killed(project, number, 1 + number * (shards - 3) // 10))  # noqa: PERF401
    _write(played, shards)


def _ways(project: Path) -> Iterator[Played]:
    yield play(project, "one process")
    yield play(project, "xdist -n 2", "-n", "2")
    yield play(project, "local:2", "--mmgates-cluster=local:2")
    with own_cluster(2, project, path=ROOT / "tests" / "mmcluster") as own:
        place = f"--mmgates-shards={project / 'shards'}"
        yield play(project, "tcp", f"--mmgates-cluster={own.address}", place)
        sys.stdout.write(
            f"a task costs a worker {1e3 * cost_of_a_task_s(own.address):.1f} ms besides its own\n"
        )


def _write(played: list[Played], shards: int) -> None:
    first = played[0]
    came_to = f"verdict {first.verdict['verdict']}, digest {first.digest[:16]}"
    sys.stdout.write(f"{shards} shards, {os.cpu_count()} CPUs; {came_to}\n")
    others = [one.way for one in played if (one.verdict, one.digest) != (first.verdict, first.digest)]
    for one in played:
        same = "DIFFERENT" if one.way in others else "same"
        cost = f"{1e3 * one.wall_s / shards:6.0f} ms a shard"
        sys.stdout.write(f"{one.way:12} {one.wall_s:7.1f} s {cost}  verdict and digest {same}\n")
    if others:
        raise SystemExit(f"verdict or digest differ: {', '.join(others)}")


if __name__ == "__main__":
    main()
