"""The seven steps of a release, as a table: what `mmbot status`, `next` and `all` and the finish line read.

A step is a pytest session of its own, the A/B four of them. Each leaves a verdict, artifacts by the names
that people know, and a record (`mmbot.ops.evidence`).

Decided, where nobody said: what prep and a shadow run found is good for a week, a soak and its dataset for
two, an A/B for a month, a daily report until the next day is over and another two hours have passed. A
baseline does not age. All of them end with the code, the configuration or the gate that they were found with.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmbot.config.scenario import load_scenario, stretch_name
from mmbot.units import DAY, HOUR

ARMED = "ab"
_OF_THE_PROJECT = "docs/"


@dataclass(frozen=True, slots=True)
class Task:
    """One session. `evidence` is the file with its verdict, from the folder of artifacts, as `artifacts` are,
    patterns all; those in `docs/` lie in the project. `gate`: the file whose rules judge it.
    `stretch`: of a scenario that has them, what the session plays; None: it plays nothing itself.
    `default_scenario`: what it plays where nobody says; None: the session's own default.
    """

    name: str
    step: str
    evidence: str
    artifacts: tuple[str, ...]
    good_for_ns: int | None
    gate: str | None = None
    stretch: str | None = None
    flags: tuple[str, ...] = ()
    default_scenario: str | None = None

    def found(self, out: Path) -> Iterator[tuple[str, list[Path]]]:
        """Each artifact with the files that are there."""
        for pattern in self.artifacts:
            root = Path() if pattern.startswith(_OF_THE_PROJECT) else out
            yield pattern, sorted(root.glob(pattern))


@dataclass(frozen=True, slots=True)
class Step:
    """One of the seven. `marker` is pytest's. `done_when`: what the release asks of it."""

    number: int
    marker: str
    title: str
    done_when: str
    tasks: tuple[Task, ...]


def _one(step: str, *artifacts: str, days: int | None, **more: object) -> tuple[Task, ...]:
    facts = {"evidence": f"verdicts/{step}.json", "good_for_ns": None if days is None else days * DAY, **more}
    return (Task(step, step, artifacts=artifacts, **facts),)  # type: ignore[arg-type]


def _ab(stage: str, flag: str, report: str) -> Task:
    return Task(
        name=f"{ARMED}.{stage}",
        step=ARMED,
        evidence=f"verdicts/{ARMED}.{stage}.json",
        artifacts=(f"edge/reports/{report}_*.md",),
        good_for_ns=30 * DAY,
        gate="gates/ab.yaml",
        stretch=stage,
        flags=(flag, stage),
    )


WORKFLOW: tuple[Step, ...] = (
    Step(
        1,
        "prep",
        "Prep and overrides",
        "configuration validated, snapshots created",
        _one(
            "prep",
            "release/FEATURE_FLAGS_SNAPSHOT.json",
            "reports/PREP_LOG.md",
            days=7,
            stretch="prep",
        ),
    ),
    Step(
        2,
        "shadow",
        "Shadow, 60 minutes",
        "all 4 gates PASS",
        _one(
            "shadow",
            "baseline/stage_budgets.json",
            "md_cache/shadow_report.md",
            days=7,
            gate="gates/shadow.yaml",
            stretch="shadow",
        ),
    ),
    Step(
        3,
        "soak",
        "Soak, 24 to 72 hours",
        "no critical stop, green metrics",
        _one(
            "soak",
            "reports/SOAK_START.md",
            "reports/PRE_SOAK_REPORT.md",
            "reports/SOAK_DASHBOARD_CHECKLIST.md",
            "edge/feeds/fills_*.jsonl",
            "edge/feeds/pipeline_ticks_*.jsonl",
            days=14,
            gate="gates/soak.yaml",
            stretch="soak",
            default_scenario="soak-72h",
        ),
    ),
    Step(
        4,
        "dataset",
        "Dataset aggregation",
        "24 hours or more, sanity checks PASS",
        _one(
            "dataset",
            "edge/datasets/calib_*.json",
            "edge/reports/calib_summary_*.md",
            days=14,
            gate="gates/dataset.yaml",
        ),
    ),
    Step(
        5,
        ARMED,
        "A/B, in stages",
        "at 100 %: net_bps better by 0.2 or more, no regression",
        (
            _ab("replay", "--mmgates-stage", "ab_replay"),
            _ab("10", "--mmgates-rollout", "ab_run_online"),
            _ab("50", "--mmgates-rollout", "ab_run_online"),
            _ab("100", "--mmgates-rollout", "ab_run_online"),
        ),
    ),
    Step(
        6,
        "lock",
        "Baseline lock",
        "baseline locked, gates of pull requests active",
        _one(
            "lock",
            "baseline/stage_budgets.locked.json",
            "reports/BASELINE_LOCK_REPORT.md",
            "reports/CI_GATES_STATUS.md",
            "docs/FEATURE_FLAGS_REGISTRY.md",
            days=None,
            evidence="baseline/stage_budgets.locked.json",
            gate="gates/ci.yaml",
            stretch="shadow",
            flags=("--mmgates-lock",),
        ),
    ),
    Step(
        7,
        "daily",
        "Daily report",
        "daily reports generated, alerts working",
        _one(
            "daily",
            "reports/daily/????-??-??.md",
            "reports/ALERT_RULES.md",
            days=None,
            good_for_ns=DAY + 2 * HOUR,
            gate="gates/daily.yaml",
        ),
    ),
)
TASKS: tuple[Task, ...] = tuple(task for step in WORKFLOW for task in step.tasks)


def task_named(name: str) -> Task | None:
    return next((task for task in TASKS if task.name == name), None)


def step_of(task: Task) -> Step:
    return next(step for step in WORKFLOW if task in step.tasks)


def played(task: Task, scenario: str, scenarios: Path) -> str | None:
    """The scenario that a session is told to play: the task's stretch of it where it has one. None where it
    plays nothing, or where the plan of an experiment says what.
    """
    if task.stretch is None or task.step == ARMED:
        return None
    there = load_scenario(scenario, scenarios)[0].stretches
    return stretch_name(scenario, task.stretch) if task.stretch in there else scenario


def arguments(task: Task, out: Path, scenario: str | None) -> list[str]:
    """Of pytest behind `-m STEP`. A path stands in one word with its option."""
    words = [*task.flags, f"--mmgates-out={out}"]
    return words if scenario is None else [*words, "--mmgates-scenario", scenario]
