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

from pytest_mmgates.report.budgets import stage_budgets
from pytest_mmgates.report.pull_request import pull_request_report
from pytest_mmgates.report.result import RunResult
from pytest_mmgates.report.run_report import run_report
from pytest_mmgates.report.verdicts import verdict_json
from pytest_mmgates.steps import AB, DATASET


def _budgets_text(result: RunResult) -> str:
    return _json(stage_budgets(result))


STEP_ARTIFACTS: Mapping[str, Mapping[str, Callable[[RunResult], str]]] = MappingProxyType(
    {
        "shadow": {"baseline/stage_budgets.json": _budgets_text, "md_cache/shadow_report.md": run_report},
        "soak": {"reports/SOAK_REPORT.md": run_report},
        "ci": {"reports/PULL_REQUEST_REPORT.md": pull_request_report},
    }
)


def artifacts(results: Sequence[RunResult], first: str, out_dir: Path) -> dict[Path, str]:
    """Every file with its text. `first` is the name of the run that owns the workflow's names."""
    files: dict[Path, str] = {}
    for result in results:
        suffix = "" if result.name == first or result.step in (DATASET, AB) else f".{result.name}"
        for verdict in result.verdicts:
            path = out_dir / "verdicts" / f"{verdict.gate.name}{suffix}.json"
            files[path] = _json(verdict_json(result, verdict))
        for name, render in STEP_ARTIFACTS.get(result.step, {}).items():
            path = out_dir / name
            files[path.with_name(f"{path.stem}{suffix}{path.suffix}")] = render(result)
    return files


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, allow_nan=False) + "\n"
