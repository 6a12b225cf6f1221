"""What one pytest process knows: options, runs, gates, and on the controller which runs its items used.

It lives in `config.stash`. The session id is drawn once, by the controller, and handed to xdist's workers, so
that all of them mean the same runs.
"""

from dataclasses import dataclass, field

import pytest

from pytest_mmgates.baseline import in_force
from pytest_mmgates.baseline.in_force import with_locked
from pytest_mmgates.baseline.lockfile import Lock
from pytest_mmgates.gatefile import Gate, read_gate
from pytest_mmgates.judge import RuleVerdict
from pytest_mmgates.making import RunSpec
from pytest_mmgates.options import Options
from pytest_mmgates.report.result import RunResult
from pytest_mmgates.runs import RunStore


@dataclass
class State:
    """Mutable, one per process."""

    options: Options
    session_id: str
    runs: RunStore
    gates: dict[str, Gate] = field(default_factory=dict)
    in_play: dict[RunSpec, list[str]] = field(default_factory=dict)
    inline: list[tuple[str, RuleVerdict]] = field(default_factory=list)
    results: list[RunResult] = field(default_factory=list)
    locked: list[Lock] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    error: str | None = None

    def gate(self, name: str) -> Gate:
        """A gate file, read once; GateError if it cannot be."""
        if name not in self.gates:
            path = self.options.gates_dir / f"{name}.yaml"
            gate = read_gate(path, shown_as=self.options.shown(path))
            self.gates[name] = with_locked(gate, self.options) if name == in_force.GATE else gate
        return self.gates[name]


STATE = pytest.StashKey[State]()
