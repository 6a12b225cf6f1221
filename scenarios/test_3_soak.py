"""Step 3 of the release workflow: the bot through a day or three of market, watched while it plays.

    pytest -m soak --mmgates-duration 72h --mmgates-scenario soak-72h     synthetic, two symbols
    pytest -m soak --mmgates-duration all --mmgates-scenario nexo-24h     recorded
    pytest -m soak --mmgates-config config.yaml                           without config.soak_overrides.yaml

One item per line of `require` and of `stop` in `gates/soak.yaml`. A stop rule that fires halts the run: its
item fails, the others have no data. What a soak starts from is written before it plays, feeds and report when
the session ends.
"""

import pytest

from pytest_mmgates import GateCheck, Rule, RunLog, WatchRule


@pytest.mark.soak
@pytest.mark.usefixtures("soak_start")
def test_soak(soak_run: RunLog, rule: Rule | WatchRule, gate: GateCheck) -> None:
    """Drift, leak and decay over a long run: `gates/soak.yaml`."""
    gate(soak_run, rule)
