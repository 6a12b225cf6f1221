"""Which files a run leaves behind, and under which names.

The run on the first selected scenario writes the workflow's own names; every other run puts its name before
the extension: `stage_budgets.json` and `stage_budgets.btcusdt-8m.json`. Each gate file in play writes its own
verdict. A page lies beside its Markdown. Of the two only what was asked for is written, and an older one in
the other format goes, so that no older PASS stays beside a newer FAIL.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pytest_mmgates.report import experiment_report
from pytest_mmgates.report.budgets import stage_budgets
from pytest_mmgates.report.daily_report import daily_pages
from pytest_mmgates.report.files import pages
from pytest_mmgates.report.pull_request import pull_request_report
from pytest_mmgates.report.result import RunResult
from pytest_mmgates.report.run_page import run_page
from pytest_mmgates.report.run_report import run_report
from pytest_mmgates.report.verdicts import verdict_json
from pytest_mmgates.steps import AB, DOCUMENTS


def _budgets_text(result: RunResult) -> str:
    return _json(stage_budgets(result))


STEP_ARTIFACTS: Mapping[str, Mapping[str, Callable[[RunResult], str]]] = MappingProxyType(
    {
        "shadow": {"baseline/stage_budgets.json": _budgets_text, "md_cache/shadow_report.md": run_report},
        "soak": {"reports/SOAK_REPORT.md": run_report},
        "ci": {"reports/PULL_REQUEST_REPORT.md": pull_request_report},
    }
)


Formats = Callable[[str], Collection[str]]
"""Of the reports of a step."""


def artifacts(
    results: Sequence[RunResult], first: str, out_dir: Path, formats: Formats, stage: str = "replay"
) -> dict[Path, str | None]:
    """Every file with its text, None where an older one has to go. `first` is the name of the run that owns
    the workflow's names; `stage` is that of an experiment, whose verdict is kept beside those of its others.
    """
    files: dict[Path, str | None] = {}
    for result in results:
        asked = formats(result.step)
        suffix = "" if result.name == first or result.step in (*DOCUMENTS, AB) else f".{result.name}"
        for verdict in result.verdicts:
            path = out_dir / "verdicts" / f"{verdict.gate.name}{suffix}.json"
            files[path] = text = _json(verdict_json(result, verdict))
            if result.step == AB:
                files[path.with_name(f"{verdict.gate.name}.{stage}.json")] = text
        for name, render in STEP_ARTIFACTS.get(result.step, {}).items():
            path = out_dir / name
            own = path.with_name(f"{path.stem}{suffix}{path.suffix}")
            files |= (
                {own: render(result)}
                if path.suffix == ".json"
                else pages(own, asked, md=partial(render, result), html=partial(run_page, result))
            )
        files |= _of_dataset(result, out_dir, asked)
        files |= _of_experiment(result, out_dir, asked)
        files |= _of_day(result, out_dir, asked)
    return files


def _of_dataset(result: RunResult, out_dir: Path, asked: Collection[str]) -> dict[Path, str | None]:
    """A page beside the summary that its maker wrote. A dataset that could not be made has no name."""
    if result.dataset is None:
        return {}
    name = result.dataset.path.stem.replace("calib_", "calib_summary_", 1)
    return pages(out_dir / "edge" / "reports" / f"{name}.html", asked, html=partial(run_page, result))


def _of_day(result: RunResult, out_dir: Path, asked: Collection[str]) -> dict[Path, str | None]:
    """The report of a day."""
    if result.daily is None:
        return {}
    path = out_dir / "reports" / "daily" / f"{result.daily.content.day}.md"
    text, page = daily_pages(result, result.daily)
    return pages(path, asked, md=lambda: text, html=lambda: page)


def _of_experiment(result: RunResult, out_dir: Path, asked: Collection[str]) -> dict[Path, str | None]:
    """The report of an experiment, and of a replay what a later stage is held beside."""
    log = result.experiment
    if log is None:
        return {}
    kept = out_dir / "edge" / "experiments" / f"{log.facts.name}.replay.json"
    before = None if log.is_replay else read_before(kept)
    path = out_dir / "edge" / "reports" / f"{experiment_report.stem(log)}.md"
    facts = experiment_report.facts_of(result, log, before)
    made = {"md": partial(experiment_report.text, facts), "html": partial(experiment_report.page, facts)}
    return pages(path, asked, **made) | ({kept: experiment_report.replay_json(log)} if log.is_replay else {})


def read_before(path: Path) -> experiment_report.ReplayBefore | None:
    """What the replay stage said, where there was one."""
    try:
        return experiment_report.ReplayBefore(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, allow_nan=False) + "\n"
