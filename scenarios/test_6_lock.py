"""Step 6 of the release workflow: the baseline that every pull request is held against.

    pytest -m shadow && pytest -m lock --mmgates-lock                         lock the embedded market
    pytest -m lock --mmgates-lock --mmgates-scenario nexo-24h                 a release, after an accepted A/B
    pytest -m lock --mmgates-lock --mmgates-scenario nexo-24h --mmgates-without-ab "first release"
    pytest -m lock                                                            is the lock whole and in force?

What is written: `gates/baselines/<scenario>.locked.json` and the code beside it, to be committed; in
`artifacts/`, the same file as `baseline/stage_budgets.locked.json`, and `reports/BASELINE_LOCK_REPORT.md` and
`reports/CI_GATES_STATUS.md`.
"""

import pytest

from pytest_mmgates.baseline.lockfile import Lock


@pytest.mark.lock
def test_baseline_is_locked(locked_baseline: Lock) -> None:
    """Its digest, its stages, its market and its code are those that were locked."""
    assert locked_baseline.status == "locked"
