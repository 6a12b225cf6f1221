"""Step 2 of the release workflow: the bot quotes through a market without sending an order, and must hold its
gates.

    pytest -m shadow                                the embedded synthetic market, 60 minutes
    pytest -m shadow --mmgates-scenario nexo-24h    a recorded market

One item per line of `require` in the gate file. The run itself happens once per scenario. Verdicts, the stage
budgets and the report are written to `artifacts/` when the session ends.
"""

import pytest

from pytest_mmgates import GateCheck, Rule, RunLog


@pytest.mark.shadow
def test_shadow(shadow_run: RunLog, rule: Rule, gate: GateCheck) -> None:
    """Cache and latency over 60 minutes of market: `gates/shadow.yaml`."""
    gate(shadow_run, rule)


@pytest.mark.shadow(gate="capture", scenarios=("btcusdt-8m", "eth-3venues"))
def test_capture(shadow_run: RunLog, rule: Rule, gate: GateCheck) -> None:
    """Correctness on short captures: `gates/capture.yaml`. For the 60-minute gate they are NO_DATA."""
    gate(shadow_run, rule)
