"""What a session has to report about one run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_mmgates.daily.log import DailyLog
from pytest_mmgates.dataset import DatasetLog
from pytest_mmgates.experiment.log import ExperimentLog
from pytest_mmgates.judge import GateVerdict, label
from pytest_mmgates.runlog import RunLog
from pytest_mmgates.subject import Subject
from pytest_mmgates.tally import RELATIVE_ERROR
from pytest_mmgates.verdict import Verdict

_NO_RUN = dict.fromkeys(("run_id", "run_digest", "config_sha256", "data_sha256", "parts"))
QUANTILES = {"never_below_exact": True, "relative_error_at_most": RELATIVE_ERROR}


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run and the gates that were in play on it. `log` is None, and `failure` one line, where there is
    nothing to judge.
    """

    step: str
    name: str
    scenario: str
    rerun: str
    log: RunLog | None
    failure: str | None
    verdicts: Sequence[GateVerdict]
    dataset: DatasetLog | None = None
    experiment: ExperimentLog | None = None
    daily: DailyLog | None = None

    @property
    def headline(self) -> GateVerdict:
        """The gate of the step's own name where it was in play, else the worst."""
        own = [verdict for verdict in self.verdicts if verdict.gate.name == self.step]
        return own[0] if own else max(self.verdicts, key=lambda verdict: verdict.verdict.badness)

    @property
    def judged(self) -> Subject | None:
        """The one of them that there is."""
        return self.log or self.dataset or self.experiment or self.daily

    @property
    def data_kind(self) -> str | None:
        return self.judged.data_kind if self.judged else None

    @property
    def label(self) -> str:
        return label(self.headline.verdict, self.data_kind)

    @property
    def verdict(self) -> Verdict:
        return self.headline.verdict

    @property
    def identity(self) -> dict[str, Any]:
        """Which run, dataset or experiment made these numbers, and how near they are."""
        return {
            "scenario": self.scenario,
            **(_NO_RUN if self.judged is None else self.judged.identity),
            "quantiles": QUANTILES,
            "failure": self.failure,
        }
