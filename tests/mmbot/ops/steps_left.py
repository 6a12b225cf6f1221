"""A folder in which steps of the workflow have ended, as their sessions leave it."""

import json
from pathlib import Path
from typing import Any

from mmbot.ops.evidence import Record, found, keep
from mmbot.ops.workflow import TASKS, Task

OUT = Path("artifacts")
CODE = {"version": "1", "commit": "c0ffee" * 6, "dirty": False, "source_sha256": "5" * 64}
NOW_NS = 1_800_000_000 * 10**9
GATE = "gates/shadow.yaml"


def left(
    task: Task, *, ended: int = 0, checks: dict[str, int] | None = None, ended_ns: int = NOW_NS, **said: Any
) -> Record:
    """Verdict, artifacts and record of a session, in the working directory. `said` changes the verdict."""
    content = {"verdict": "PASS", "data_kind": "recorded", "reason": None, "rules": []} | said
    path = OUT / task.evidence
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    for pattern in task.artifacts:
        root = Path() if pattern.startswith("docs/") else OUT
        artifact = root / pattern.replace("????-??-??", "2026-01-04").replace("*", "20260104")
        artifact.parent.mkdir(parents=True, exist_ok=True)
        if not artifact.exists():
            artifact.write_text("something\n", encoding="utf-8")
    gate = Path(GATE)
    if not gate.exists():
        gate.parent.mkdir(exist_ok=True)
        gate.write_text("gate: shadow # four\nrequire: [a]\n", encoding="utf-8")
    counted = {"passed": 4} if checks is None else checks
    return keep(
        task,
        OUT,
        said=found(task, OUT, counted, ended),
        checks=counted,
        command=f"pytest -m {task.step}",
        inputs=[gate],
        code=CODE,
        now_ns=ended_ns,
    )


def all_left(**said: Any) -> None:
    for task in TASKS:
        left(task, **said)
