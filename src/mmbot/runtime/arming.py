"""A run of both arms: what a plan makes of it, and whether its arms can change places while it runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmbot.config.flags import in_force
from mmbot.config.scenario import base_of
from mmbot.config.settings import Settings
from mmbot.errors import ConfigError
from mmbot.experiment.arms import ArmSettings, Course, course_name, shared_differences
from mmbot.experiment.plan import ARMS, Arm, Experiment, Stage, load_experiment
from mmbot.runtime.reload import changeable, differences

BOTH = "AB"
"""The arm of a run that has both: its ticks and fills name their own."""
WHY_FIXED = "an experiment runs on these settings: `mmbot rollout rollback` returns to the baseline"


@dataclass(frozen=True, slots=True)
class Armed:
    """An experiment that a run plays, and the course that it begins with."""

    experiment: Experiment
    course: Course | Stage

    def arms(self, in_force: Callable[[Settings], Settings] = in_force) -> dict[Arm, ArmSettings]:
        """`in_force`: what the rooms get of settings as written."""
        settings = self.experiment.settings
        return {arm: ArmSettings(settings[arm], in_force(settings[arm])) for arm in ARMS}

    @property
    def facts(self) -> dict[str, Any]:
        """For the manifest."""
        plan = self.experiment.plan
        course = self.course
        return {
            "plan": plan.name,
            "plan_hash": self.experiment.plan_hash,
            "course": course.value if isinstance(course, Stage) else course_name(course),
            "seed": plan.seed,
            "switch": plan.switch,
            "clusters": plan.clusters,
            "config_sha256": {arm: self.experiment.settings[arm].sha256() for arm in ARMS},
        }


def open_experiment(plan: Path, scenario: str, scenarios: Path, *, live: bool) -> Experiment:
    """The experiment of a plan file, to be played on a scenario. Raises ConfigError for one of another
    scenario, and for arms that cannot change places between two ticks.
    """
    experiment = load_experiment(plan, scenarios, live=live)
    planned = experiment.plan.live if live else experiment.plan.scenario
    if planned != base_of(scenario):
        raise ConfigError(f"{plan}: is planned on scenario {planned}, was asked to run on {scenario}")
    _check_change(plan, experiment)
    return experiment


def plan_document(plan: Path | None) -> dict[str, str | None]:
    """Of a request that may be gone on with; files of a plan are named from the working directory."""
    if plan is None:
        return {"plan": None}
    return {"plan": str(plan.resolve()), "plan_folder": str(Path.cwd())}


def plan_again(document: Mapping[str, Any], directory: Path) -> Path | None:
    """The plan of the run that goes on in a directory. Raises ConfigError in another working directory."""
    if document["plan"] is None:
        return None
    named_from, here = document.get("plan_folder"), str(Path.cwd())
    if named_from not in (here, None):
        raise ConfigError(
            f"{directory}: cannot be resumed here: files of its plan are named from {named_from}, and the"
            f" working directory is {here}"
        )
    return Path(document["plan"])


def _check_change(path: Path, experiment: Experiment) -> None:
    changed = differences(experiment.settings["A"], experiment.settings["B"])
    fixed = [key for key in changed if not changeable(key)]
    if fixed:
        raise ConfigError(f"{path}: arms differ in {', '.join(fixed)}, which cannot change while a bot runs")
    shared = shared_differences(experiment, changed)
    if shared:
        raise ConfigError(
            f"{path}: arms differ in {', '.join(shared)}, which all symbols share: expected switch: together"
        )
