"""Seeds on a cluster: a few at a time are a task, and what each came to is handed back as it finishes.

The texts of the configuration travel; the scenario is the worker's own copy of the project's, which whoever
opened the cluster found to be the same.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mmbot.errors import ShardError
from mmbot.runtime.simulation.simulation import Result, Setup, simulate
from mmbot.sim.fault_plan import Fault
from mmcluster import Cluster, Failed, Task

_CALL = "mmbot.runtime.simulation.shards:play_seeds"
_AT_ONCE = 4
_COUNTERS = ("reached", "branches", "checks", "counts")


def play_on(cluster: Cluster, setup: Setup, seeds: Sequence[int]) -> Iterator[Result]:
    """Every seed, as they finish. `setup.scenarios` is a path below the working directory. Raises ShardError,
    and what the cluster raises.
    """
    chunks = (seeds[first : first + _AT_ONCE] for first in range(0, len(seeds), _AT_ONCE))
    for end in cluster.run(_task(setup, chunk) for chunk in chunks):
        if isinstance(end, Failed):
            raise ShardError("\n".join(filter(None, (f"{end.name}: {end.error}", end.detail))))
        yield from map(_result, end.value)


def play_seeds(payload: dict[str, Any]) -> list[dict[str, Any]]:
    """On a worker. Raises ConfigError for a setup that cannot be played."""
    with TemporaryDirectory(prefix="mmbot-seeds-") as folder:
        setup = Setup(
            config=tuple(_written(payload["config"], Path(folder))),
            scenario=payload["scenario"],
            scenarios=Path(payload["scenarios"]),
            only=None if payload["only"] is None else frozenset(map(Fault, payload["only"])),
            simulated_ns=payload["simulated_ns"],
        )
        return [_document(simulate(setup, seed)) for seed in payload["seeds"]]


def _task(setup: Setup, seeds: Sequence[int]) -> Task:
    payload = {
        "config": [path.read_text(encoding="utf-8") for path in setup.config],
        "scenario": setup.scenario,
        "scenarios": setup.scenarios.as_posix(),
        "only": None if setup.only is None else sorted(setup.only),
        "simulated_ns": setup.simulated_ns,
        "seeds": list(seeds),
    }
    return Task(f"seeds {seeds[0]} to {seeds[-1]}", _CALL, payload)


def _written(texts: list[str], folder: Path) -> Iterator[Path]:
    for number, text in enumerate(texts):
        path = folder / f"config.{number}.yaml"
        path.write_text(text, encoding="utf-8")
        yield path


def _document(result: Result) -> dict[str, Any]:
    return {**asdict(result), **{name: dict(getattr(result, name)) for name in _COUNTERS}}


def _result(document: dict[str, Any]) -> Result:
    counters = {name: Counter(document[name]) for name in _COUNTERS}
    return Result(**{**document, **counters})
