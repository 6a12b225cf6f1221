"""A stage of an experiment as the gates see it: facts of its plan, and the runs or blocks that it has."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from mmbot.config.calibrated import window_of
from mmbot.config.scenario import load_scenario, stretch_name
from mmbot.errors import ConfigError
from mmbot.experiment.plan import ARMS, Experiment, Plan, Stage, load_experiment
from mmbot.experiment.switchback import Block, Schedule
from mmbot.experiment.variants import variants
from mmbot.ops.files import write_atomically

_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class ExperimentRequest:
    """`start_ns` and `until_ns` are of a live stage: when it began, and until when its blocks are asked
    for.
    """

    plan: Path
    scenarios: Path
    stage: str
    out: Path
    start_ns: int | None = None
    until_ns: int | None = None


def facts(request: ExperimentRequest) -> dict[str, Any]:
    """Built-in types alone. Of a replay, the overrides of its variants are written into `out`. Raises
    ConfigError.
    """
    try:
        stage = Stage(request.stage)
    except ValueError as error:
        raise ConfigError(f"stage was {request.stage!r}, expected one of {', '.join(Stage)}") from error
    experiment = load_experiment(request.plan, request.scenarios)
    plan, spec = experiment.plan, experiment.plan.stages[stage]
    replay = stage is Stage.REPLAY
    return {
        "schema": _SCHEMA,
        "name": plan.name,
        "title": plan.title,
        "stage": str(stage),
        "plan_hash": experiment.plan_hash,
        "content": experiment.content(),
        "scenario": stage_scenario(plan.scenario, stage, request.scenarios),
        "seed": plan.seed,
        "metric": plan.metric,
        "floor_bps": plan.floor_bps,
        "effect_bps": plan.effect_bps,
        "confidence": plan.confidence,
        "max_pairs": plan.max_pairs,
        "least_pairs": spec.pairs,
        "least_duration_ns": int(spec.duration_ns),
        "block_ns": int(plan.block_ns),
        "washout_ns": int(plan.washout_ns),
        "switch": plan.switch,
        "clusters": plan.clusters,
        "gate": plan.gate,
        "seen": list(_seen(experiment.plan)),
        "runs": list(_runs(experiment, request.out)) if replay else [],
        "blocks": []
        if replay
        else [msgspec.to_builtins(block) for block in _blocks(experiment, stage, request)],
    }


def _seen(plan: Plan) -> Iterator[dict[str, Any]]:
    """Data that the candidate was fitted to: as the plan says, and as calibrated overlays of its arm say."""
    for seen in plan.calibrated_on:
        yield {"sha256": seen.sha256, "from_ns": seen.window_ns[0], "to_ns": seen.window_ns[1]}
    for window in map(window_of, map(Path, plan.arms.B)):
        if window is not None:
            yield {"sha256": window.data_sha256, "from_ns": window.from_ns, "to_ns": window.to_ns}


def stage_scenario(scenario: str, stage: Stage, scenarios: Path) -> str:
    """What a stage plays where nothing is live: the scenario's stretch of the stage's name, if it has one."""
    stretches = load_scenario(scenario, scenarios)[0].stretches
    return stretch_name(scenario, stage) if stage in stretches else scenario


def _runs(experiment: Experiment, out: Path) -> Iterator[dict[str, Any]]:
    """Both arms one after the other under each variant: what the machine does meanwhile falls on both."""
    for name, sim in variants(experiment.settings["A"].sim).items():
        path = out / f"{name}.yaml"
        write_atomically({path: msgspec.json.format(msgspec.json.encode({"sim": sim})) + b"\n"})
        for arm in ARMS:
            files = [*experiment.plan.files(arm), path]
            yield {"variant": name, "arm": arm, "config": [str(file) for file in files]}


def _blocks(experiment: Experiment, stage: Stage, request: ExperimentRequest) -> Iterator[Block]:
    if request.start_ns is None or request.until_ns is None:
        raise ConfigError(
            f"stage {stage}: start_ns and until_ns were absent, expected when it began and ends"
        )
    schedule = Schedule(experiment.plan, stage, request.start_ns)
    for cluster in experiment.plan.clusters:
        yield from schedule.blocks(cluster, request.until_ns)
