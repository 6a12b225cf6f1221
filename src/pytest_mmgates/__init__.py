"""Market-making release gates for pytest: thresholds in YAML, verdicts that can be believed.

The plugin knows no bot. It opens the system under test by an import string (`mmgates_sut`), drives it, and
judges only what the run wrote down. See `pytest_mmgates.sut` for the protocol. The names below are for the
annotations of gate authors.
"""

from pytest_mmgates.daily.log import DailyLog
from pytest_mmgates.dataset import DatasetLog
from pytest_mmgates.experiment.log import ExperimentLog
from pytest_mmgates.fixtures import GateCheck
from pytest_mmgates.judge import RuleVerdict
from pytest_mmgates.rules import Rule
from pytest_mmgates.runlog import RunLog
from pytest_mmgates.verdict import Verdict
from pytest_mmgates.watchrules import WatchRule

__all__ = [
    "DailyLog",
    "DatasetLog",
    "ExperimentLog",
    "GateCheck",
    "Rule",
    "RuleVerdict",
    "RunLog",
    "Verdict",
    "WatchRule",
]
