"""What a pull request must hold: every rule of `gates/ci.yaml`, beside the locked baseline.

    pytest -m ci                          edits of gates are told beside the lock
    pytest -m ci --mmgates-base HEAD^1    beside the commit that the change is made on

The baseline's code comes from its archive and plays the same market here, so that neither decisions nor times
of another machine are compared. Leave the machine alone meanwhile, and do not use `-n`.
"""

import pytest

from pytest_mmgates import GateCheck, RunLog
from pytest_mmgates.gatefile import JudgedRule


@pytest.mark.ci
def test_pull_request(ci_run: RunLog, rule: JudgedRule, gate: GateCheck) -> None:
    """One item per rule of `gates/ci.yaml`, and of the lock beyond it."""
    gate(ci_run, rule)
