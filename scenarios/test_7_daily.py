"""Step 7 of the release workflow, every day: what all runs did on a UTC day, and what to do about it.

    pytest -m daily                                  the last whole day
    pytest -m daily --mmgates-date 2026-01-31

One item per line of `require` in `gates/daily.yaml`. The facts are of every run below `--mmgates-out`;
report, page and verdict are `artifacts/reports/daily/DATE.md`, `.html` and `artifacts/verdicts/daily.json`.
"""

import pytest

from pytest_mmgates import DailyLog, GateCheck, Rule


@pytest.mark.daily
@pytest.mark.usefixtures("alert_rules")
def test_daily(daily_facts: DailyLog, rule: Rule, gate: GateCheck) -> None:
    """The market was covered, the books agree, and the day held its limits: `gates/daily.yaml`."""
    gate(daily_facts, rule)
