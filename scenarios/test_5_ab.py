"""Step 5 of the release workflow: a candidate against the baseline, by the plan of an experiment.

    pytest -m ab --mmgates-stage replay                                   the only plan in experiments/
    pytest -m ab --mmgates-stage replay --mmgates-experiment wider-spread
    pytest -m ab --mmgates-rollout 50                                     a live stage, on the virtual clock
    pytest -m ab --mmgates-rollout 10 --mmgates-live paper                a live stage (docs/rollout.md)

The replay stage comes before any money: both arms replay the same recording, under both queue models, at the
latencies of the configuration and at twice those. One item per line of `accept` and `safety` in
`gates/ab.yaml`. What it decides stands in `artifacts/edge/reports/ab_replay_*.md`. See docs/experiments.md.
"""

import pytest

from pytest_mmgates import ExperimentLog, GateCheck
from pytest_mmgates.gatefile import JudgedRule


@pytest.mark.ab
def test_ab(ab_experiment: ExperimentLog, rule: JudgedRule, gate: GateCheck) -> None:
    """Better by what is worth having, and no worse in what must not be: `gates/ab.yaml`."""
    gate(ab_experiment, rule)
