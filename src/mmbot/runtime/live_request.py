"""What a live run is asked for. Apart from what plays it: whoever asks need not load sockets and kernels."""

from dataclasses import dataclass
from pathlib import Path


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
