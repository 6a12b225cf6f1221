"""A scheduler and workers in processes of their own, over TCP, as a team's cluster has them."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

ALLOWED_FAILURES = "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES"


@dataclass(frozen=True)
class OwnCluster:
    address: str
    scheduler: "subprocess.Popen[str]"
    workers: "list[subprocess.Popen[str]]"


@contextmanager
def own_cluster(
    workers: int, cwd: Path, *, path: Path | None = None, allowed_failures: int = 1, nthreads: int = 1
) -> Iterator[OwnCluster]:
    """`path`: put on the workers' path. Everything is gone at the end."""
    env = {**os.environ, ALLOWED_FAILURES: str(allowed_failures), "PYTHONUNBUFFERED": "1"}
    if path is not None:
        env["PYTHONPATH"] = os.pathsep.join([str(path), env.get("PYTHONPATH", "")])
    with ExitStack() as stack:
        arguments = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0"]
        scheduler = stack.enter_context(_process(arguments, cwd, env))
        address = _said(scheduler, r"Scheduler at:\s+(tcp://\S+)")
        of_worker = ["worker", address, "--nthreads", str(nthreads), "--memory-limit", "0", "--no-dashboard"]
        started = [stack.enter_context(_process(of_worker, cwd, env)) for _ in range(workers)]
        for worker in started:
            _said(worker, r"Registered to:\s+(tcp://\S+)")
        yield OwnCluster(address, scheduler, started)


@contextmanager
def _process(arguments: list[str], cwd: Path, env: dict[str, str]) -> "Iterator[subprocess.Popen[str]]":
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments], cwd=cwd, env=env, text=True, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


def _said(process: "subprocess.Popen[str]", pattern: str) -> str:
    """The first group of the first line that says so."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(pattern, line):
            return found[1]
    raise AssertionError(f"{process.args} ended without {pattern}")
