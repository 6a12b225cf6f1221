"""One scenario of 48 shards played four ways: by one process, two of pytest-xdist, two workers of this machine, and
two workers that somebody started, over TCP. The verdict and the digest are the same; what differs is the time.

    python tests/bench/cluster.py                 the four ways, and what a shard costs besides itself
    python tests/bench/cluster.py --kills 10      and ten times with a worker that is killed (kill -9) in the middle

24 symbols by 2 days, ten minutes of market each side of midnight together, in a project of its own: the shipped
configuration and the shadow gate, which asks for five minutes in place of sixty.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from mmcluster import Finished, Task, open_cluster
from tests.mmcluster.own_cluster import OwnCluster, own_cluster

ROOT = Path(__file__).parents[2]
SYMBOLS = 24
SHARDS = 2 * SYMBOLS
_START_NS = 1_767_225_300_000_000_000  # 2025-12-31T23:55:00Z
_EMPTY_TASKS = 500

INI = """[pytest]
mmgates_sut = mmbot.sut:open_run
mmgates_parts = mmbot.sut:parts
mmgates_files = mmbot.sut:files
mmgates_default_scenario = shards
mmgates_source = config.yaml scenarios/*.yaml
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
    began = time.perf_counter()
    process = start(project, way, *arguments)
    said, _ = process.communicate()
    wall_s = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"{way}: exit code {process.returncode}\n{said}")
    return Played(way, wall_s, *came_to(project, way))


def start(project: Path, way: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "-m", "shadow"]
    command += [f"--mmgates-out={out_of(project, way)}", *arguments]
    return subprocess.Popen(command, cwd=project, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def out_of(project: Path, way: str) -> Path:
    return project / f"out-{way.replace(' ', '-')}"


def came_to(project: Path, way: str) -> tuple[dict[str, object], str]:
    """Verdict and digest. What a machine's clock measured is left out of it: two plays of one process differ."""
    out = out_of(project, way)
    verdict = json.loads((out / "verdicts" / "shadow.json").read_text())
    rules = [(rule["rule"], rule["verdict"], rule["n"]) for rule in verdict["rules"]]
    same = {**{key: verdict[key] for key in ("verdict", "data_kind", "parts")}, "rules": rules}
    manifest = json.loads((out / "runs" / "shadow-shards" / "manifest.json").read_text())
    return same, manifest["run_digest"]


def kill_one(own: OwnCluster, out: Path, after: int) -> None:
    """Once so many shards are finished, kill -9 the process that plays, of the first worker."""
    while len(list(out.glob("runs/*.partial-*/parts/*/tally.json"))) < after:
        time.sleep(0.05)
    nanny = psutil.Process(own.workers[0].pid)
    newest = max(nanny.children(recursive=True), key=lambda process: process.cpu_times().user)
    newest.kill()


@contextmanager
def cluster_of(project: Path, workers: int) -> Iterator[OwnCluster]:
    with own_cluster(workers, project, path=ROOT / "src") as own:
        yield own


def empty_task_s(address: str) -> float:
    """Seconds that a task costs besides itself: what scheduling and travelling take, one after the other."""
    with open_cluster(address, {}) as cluster:
        tasks = [Task(f"t{number}", "builtins:dict", {}) for number in range(_EMPTY_TASKS + 2)]
        ends = cluster.run(tasks)
        for _ in range(2):
            next(ends)
        began = time.perf_counter()
        assert all(isinstance(end, Finished) for end in ends)
        return (time.perf_counter() - began) / _EMPTY_TASKS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=0, metavar="N", help="runs with a worker killed in the middle")
    parser.add_argument("--symbols", type=int, default=SYMBOLS, help="two shards each (24)")
    asked = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    with TemporaryDirectory(prefix="mmcluster-bench-") as folder:
        project = Path(folder)
        make_project(project, asked.symbols)
        play(project, "warm-up", "-n", "2")
        played = [
            play(project, "one process"),
            play(project, "xdist -n 2", "-n", "2"),
            play(project, "local:2", "--mmgates-cluster=local:2"),
        ]
        with cluster_of(project, 2) as own:
            shards = f"--mmgates-shards={project / 'shards'}"
            played.append(play(project, "tcp two workers", f"--mmgates-cluster={own.address}", shards))
            print(f"an empty task over TCP: {1e3 * empty_task_s(own.address):.1f} ms")
        for number in range(asked.kills):
            played.append(_killed(project, number, 2 * asked.symbols))
    _print(played, 2 * asked.symbols)


def _killed(project: Path, number: int, shards: int) -> Played:
    way = f"killed {number + 1}"
    with cluster_of(project, 2) as own:
        began = time.perf_counter()
        place = project / "shards-killed"
        process = start(project, way, f"--mmgates-cluster={own.address}", f"--mmgates-shards={place}")
        kill_one(own, out_of(project, way), 1 + number * (shards - 4) // 10)
        said, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"{way}: exit code {process.returncode}\n{said}")
        return Played(way, time.perf_counter() - began, *came_to(project, way))


def _print(played: list[Played], shards: int) -> None:
    first = played[0]
    print(f"{shards} shards, {os.cpu_count()} CPUs; verdict {first.verdict['verdict']}, digest {first.digest[:16]}")
    for one in played:
        same = "same" if (one.verdict, one.digest) == (first.verdict, first.digest) else "DIFFERENT"
        print(f"{one.way:18} {one.wall_s:7.1f} s  {1e3 * one.wall_s / shards:7.0f} ms a shard  verdict and digest {same}")
    if any((one.verdict, one.digest) != (first.verdict, first.digest) for one in played):
        raise SystemExit("verdicts or digests differ")


if __name__ == "__main__":
    main()
