"""What a live run is asked for. Apart from what plays it: whoever asks need not load sockets and kernels."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmbot.runtime.arming import plan_again, plan_document


@dataclass(frozen=True, slots=True)
class LiveRequest:
    """What to run and where to write it. `duration_s`: None = the scenario's own, inf = until halted. `host`:
    None = the scenario's own.
    """

    scenario: str
    scenarios: Path
    config: list[Path]
    run_id: str
    directory: Path
    step: str = "run"
    arm: str = "A"
    duration_s: float | None = None
    seed: int | None = None
    host: str | None = None
    plan: Path | None = None
    """Run both arms of this experiment, in place of `arm`, as its rollout says; `config` is that of arm A."""
    rollouts: Path = Path("artifacts/edge/rollout")
    """Where rollouts lie, a folder each."""
    resume: bool = False
    """Go on with what an interrupted run left in `directory`."""


def live_document(request: LiveRequest, mode: str) -> dict[str, Any]:
    """A request as JSON that can be read from any working directory. `mode`: shadow or live."""
    return {
        "mode": mode,
        "scenario": request.scenario,
        "scenarios": str(request.scenarios.resolve()),
        "config": [str(path.resolve()) for path in request.config],
        "run_id": request.run_id,
        "step": request.step,
        "arm": request.arm,
        "duration_s": "all" if request.duration_s == math.inf else request.duration_s,
        "seed": request.seed,
        "host": request.host,
        **plan_document(request.plan),
        "rollouts": str(request.rollouts.resolve()),
    }


def live_interrupted(document: dict[str, Any], directory: Path) -> LiveRequest:
    """How to go on with the live run that a checkpoint's document asked for."""
    return LiveRequest(
        scenario=document["scenario"],
        scenarios=Path(document["scenarios"]),
        config=[Path(path) for path in document["config"]],
        run_id=document["run_id"],
        directory=directory,
        step=document["step"],
        arm=document["arm"],
        duration_s=math.inf if document["duration_s"] == "all" else document["duration_s"],
        seed=document["seed"],
        host=document["host"],
        plan=plan_again(document, directory),
        rollouts=Path(document["rollouts"]),
        resume=True,
    )
