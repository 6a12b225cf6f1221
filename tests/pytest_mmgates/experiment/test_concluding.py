"""What a stage that was played means for its rollout."""

import msgspec
import pytest
from tests.pytest_mmgates.experiment.recorded import RULE, SOURCES, live, replay
from tests.pytest_mmgates.experiment.test_blocks import GATE
from tests.pytest_mmgates.experiment.test_judgearms import with_times

from pytest_mmgates.armrules import CandidateRule
from pytest_mmgates.experiment.concluding import action_of
from pytest_mmgates.experiment.log import ExperimentLog
from pytest_mmgates.watch.record import Fired, WatchRecord

FIRED = Fired(at_ns=1, by="slow", value=0.04, n=300, why="4% for 10 min")


def slipping(one):
    """B slips by a basis point more."""
    worse = (0.5 + (one.arm == "B") + 0.01 * (one.index % 7)) * 1e-4 * one.analysed.slippage_notional
    return msgspec.structs.replace(one, analysed=msgspec.structs.replace(one.analysed, slippage=worse))


def concluded(made, fired=None):
    """Every rule that is watched held, but for what fired."""
    known, variants = made
    watched = tuple(
        WatchRecord(str(rule.violation), "stop", above=True, judged=100, worst=0.01, worst_n=300, fired=fired)
        for rule in GATE.safety
        if isinstance(rule, CandidateRule)
    )
    found = action_of(GATE, ExperimentLog(known, tuple(variants), watched, RULE, SOURCES))
    return found and found[0]


@pytest.mark.parametrize(
    ("made", "action"),
    [
        (live(0.5), "passed"),
        (live(-0.5), "rejected"),
        (live(0.0, noise_bps=0.1), "rejected"),
        (live(0.2, noise_bps=1.0), None),
        (live(0.5, change=slipping), "rollback"),
        (with_times(live(0.5), 1.2e6), "rollback"),
        (replay((-0.5, -0.5, -0.5, -0.5)), None),
    ],
)
def test_a_stage_is_passed_goes_on_or_takes_the_candidate_away(made, action):
    assert concluded(made) == action


def test_what_was_broken_while_it_was_played_is_a_rollback():
    assert concluded(live(0.5), FIRED) == "rollback"
