"""Step 4 of the release workflow: the feeds of a soak become a dataset that spreads are calibrated from.

    pytest -m dataset                                                     all that the last soak published
    pytest -m dataset --mmgates-from 2025-01-15T00:00:00Z --mmgates-to 2025-01-17T00:00:00Z
    pytest -m dataset --mmgates-feeds artifacts/runs/soak-nexo-24h --mmgates-interval 1m

One item per line of `require` in `gates/dataset.yaml`. Dataset, summary and charts are written before the
first is judged: `artifacts/edge/datasets/calib_*.json`, `artifacts/edge/reports/calib_summary_*.md`.
"""

import pytest

from pytest_mmgates import DatasetLog, GateCheck, Rule


@pytest.mark.dataset
def test_dataset(calibration_dataset: DatasetLog, rule: Rule, gate: GateCheck) -> None:
    """Enough market, all of it numbers, little of it left out: `gates/dataset.yaml`."""
    gate(calibration_dataset, rule)
