"""The red button under load, on the paper exchange: how long until the configuration before the release is in
force, and until the last order is gone.

    pytest -m rehearsal

One item per check. `artifacts/reports/ROLLBACK_REHEARSAL.md` and `artifacts/verdicts/rehearsal.json` are
written before the first is judged; run, logs and order log stay in `artifacts/rehearsal/`. It takes a minute.
"""

import pytest

from mmbot.ops.red_button import CHECKS, Rehearsal


@pytest.mark.rehearsal
@pytest.mark.parametrize("name", CHECKS)
def test_rehearsal(red_button: Rehearsal, name: str) -> None:
    """One check of `mmbot.ops.red_button`."""
    check = red_button.check(name)
    if not check.holds:
        pytest.fail(f"FAIL {name}: {check.found}; expected {check.expected}", pytrace=False)
