"""How a session plays the replay stage of an experiment: each arm under each variant is a part of one run, so
workers share them, a killed one is played again, and what was interrupted can be resumed.

    OUT/runs/ab-wider-spread/experiment.json           facts of the plan
    OUT/runs/ab-wider-spread/parts/power-2x@B/         a complete run directory
    OUT/runs/ab-wider-spread.variants/power-2x.yaml    what each variant overrides

Arm B is watched by the rules of `safety` that name it. One that breaks ends the whole.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from pytest_mmgates.armrules import DeltaRule, SlowerRule
from pytest_mmgates.cluster.places import fetch_rows
from pytest_mmgates.errors import ExperimentError
from pytest_mmgates.experiment.concluding import conclude
from pytest_mmgates.experiment.facts import Facts, facts_of, keep_facts
from pytest_mmgates.gatefile import Gate, read_gate
from pytest_mmgates.loader import PARTS
from pytest_mmgates.making import Making
from pytest_mmgates.sut import load_callable


class ExperimentMaking(Making):
    """Of the session's experiment, seen from one of its processes."""

    @cached_property
    def facts(self) -> Facts:
        """Raises ExperimentError, also for a gate that does not ask what the plan was made for."""
        return self._facts()

    def _facts(self, **times: int) -> Facts:
        """`times`: of a live stage, when it began and until when its blocks are asked for."""
        options = self._options
        request: dict[str, object] = {
            "plan": str(options.plan_of(self._spec.scenario)),
            "stage": options.stage,
            "out_dir": str(self._beside("variants")),
            **times,
        }
        facts = facts_of(load_callable("mmgates_experiment", options.experiment_door)(request))
        check_gate(facts, self._whole_gate, options.gates_dir / "ab.yaml")
        return facts

    @property
    def _whole_gate(self) -> Gate:
        path = self._gate_file
        return read_gate(path, shown_as=self._options.shown(path))

    def _parts(self) -> tuple[str, ...]:
        return tuple(run.name for run in self.facts.runs)

    def _put_together(self, played: Sequence[str], /) -> None:
        """Blocks are read from rows: those of parts that were played elsewhere are fetched first."""
        for name in played:
            fetch_rows(self._partial / PARTS / name)
        keep_facts(self._partial, self.facts)
        conclude(self._options, self._whole_gate, self._partial, self._spec.scenario, self._tell)

    def _gate(self, part: str | None, /) -> Gate:
        """Of arm B, with its rules of safety as those that stop a run."""
        gate = self._whole_gate
        return watching(gate) if self._is_candidate(part) else gate

    def _is_candidate(self, part: str | None, /) -> bool:
        return part is not None and part.endswith("@B")

    @property
    def _gate_file(self) -> Path:
        return self._options.gates_dir / "ab.yaml"

    def _replay(self, _part: str) -> str:
        """An experiment is judged whole: what has been played of it is not played again."""
        return f"{self._options.rerun(self._spec.step, self._spec.scenario)} --mmgates-resume"

    def _request(self, run_dir: Path, part: str | None) -> dict[str, object]:
        run = next(run for run in self.facts.runs if run.name == part)
        return {
            **super()._request(run_dir, None),
            "scenario": self.facts.scenario,
            "seed": self.facts.seed if self._options.seed is None else self._options.seed,
            "config": run.config,
            "arm": run.arm,
            "plan_hash": self.facts.plan_hash,
        }


def watching(gate: Gate, *, beside_a: bool = False) -> Gate:
    """With the rules of safety that watch arm B as those that stop a run; `beside_a`: arm A is in it, too."""
    slower = (rule.violation for rule in gate.safety if beside_a and isinstance(rule, SlowerRule))
    return replace(gate, stop=(*gate.of_candidate, *(rule for rule in slower if rule is not None)))


def check_gate(facts: Facts, gate: Gate, path: Path) -> None:
    """The plan names this gate, its numbers are those that the plan was made with, and its rules have one
    confidence.
    """
    if gate.source != "experiment":
        raise ExperimentError(f"{gate.file}: judges a {gate.source}, expected `accept` and `safety`")
    if (path.parent.parent / facts.gate).resolve() != path.resolve():
        raise ExperimentError(f"plan {facts.name}: its gate is {facts.gate}, and this is {gate.file}")
    rule = gate.accept[0]
    planned = {
        "floor_bps": (facts.floor_bps, rule.limit_bps),
        "confidence": (facts.confidence, float(rule.confidence)),
    }
    for name, (of_plan, of_gate) in planned.items():
        if of_plan != of_gate:
            raise ExperimentError(
                f"plan {facts.name}: {name} was {of_plan:g}, expected {of_gate:g} of {gate.file}"
            )
    for other in (*gate.accept, *gate.safety):
        if isinstance(other, DeltaRule) and other.alpha != rule.alpha:
            raise ExperimentError(
                f"{gate.file}: confidence of `{other}` was {other.confidence}, expected {rule.confidence}"
                " of `accept`: one sequence judges both"
            )
