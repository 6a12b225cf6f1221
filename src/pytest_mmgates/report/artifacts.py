"""Which files a run leaves behind, and under which names.

The run on the first selected scenario writes the workflow's own names; every other run puts its name before
the extension: `stage_budgets.json` and `stage_budgets.btcusdt-8m.json`. Each gate file in play writes its own
verdict.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pytest_mmgates.report import experiment_report
from pytest_mmgates.report.budgets import stage_budgets
from pytest_mmgates.report.daily_report import daily_pages
from pytest_mmgates.report.pull_request import pull_request_report
from pytest_mmgates.report.result import RunResult
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


def artifacts(
    results: Sequence[RunResult], first: str, out_dir: Path, stage: str = "replay"
) -> dict[Path, str]:
    """Every file with its text. `first` is the name of the run that owns the workflow's names; `stage` is
    that of an experiment, whose verdict is kept beside those of its other stages.
    """
    files: dict[Path, str] = {}
    for result in results:
        suffix = "" if result.name == first or result.step in (*DOCUMENTS, AB) else f".{result.name}"
        for verdict in result.verdicts:
            path = out_dir / "verdicts" / f"{verdict.gate.name}{suffix}.json"
            files[path] = text = _json(verdict_json(result, verdict))
            if result.step == AB:
                files[path.with_name(f"{verdict.gate.name}.{stage}.json")] = text
        for name, render in STEP_ARTIFACTS.get(result.step, {}).items():
            path = out_dir / name
            files[path.with_name(f"{path.stem}{suffix}{path.suffix}")] = render(result)
        files |= _of_experiment(result, out_dir)
        files |= _of_day(result, out_dir)
    return files


def _of_day(result: RunResult, out_dir: Path) -> dict[Path, str]:
    """The report of a day."""
    if result.daily is None:
        return {}
    path = out_dir / "reports" / "daily" / f"{result.daily.content.day}.md"
    text, page = daily_pages(result, result.daily)
    return {path: text, path.with_suffix(".html"): page}


def _of_experiment(result: RunResult, out_dir: Path) -> dict[Path, str]:
    """The report of an experiment, and of a replay what a later stage is held beside."""
    log = result.experiment
    if log is None:
        return {}
    kept = out_dir / "edge" / "experiments" / f"{log.facts.name}.replay.json"
    before = None if log.is_replay else read_before(kept)
    path = out_dir / "edge" / "reports" / experiment_report.stem(log)
    text, page = experiment_report.pages(result, log, before)
    files = {path.with_suffix(".md"): text, path.with_suffix(".html"): page}
    return files | ({kept: experiment_report.replay_json(log)} if log.is_replay else {})


def read_before(path: Path) -> experiment_report.ReplayBefore | None:
    """What the replay stage said, where there was one."""
    try:
        return experiment_report.ReplayBefore(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, allow_nan=False) + "\n"
