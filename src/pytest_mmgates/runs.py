"""The runs of one session, in one process: made once (`pytest_mmgates.making`), loaded once."""

from pathlib import Path

from pytest_mmgates.daily.log import DailyLog, read_daily
from pytest_mmgates.dataset import DatasetLog, read_dataset
from pytest_mmgates.errors import MmgatesError
from pytest_mmgates.experiment.facts import REPLAY
from pytest_mmgates.experiment.log import ExperimentLog
from pytest_mmgates.experiment.making import ExperimentMaking
from pytest_mmgates.experiment.reading import read_experiment
from pytest_mmgates.experiment.staging import StageMaking
from pytest_mmgates.gatefile import read_gate
from pytest_mmgates.loader import load_tallied
from pytest_mmgates.making import DocumentMaking, Making, Outcome, RunSpec
from pytest_mmgates.options import Options
from pytest_mmgates.progress import Progress
from pytest_mmgates.runlog import RunLog
from pytest_mmgates.steps import AB, DAILY, DATASET, DOCUMENTS


class RunFailedError(MmgatesError):
    """A run that failed before, in this process or another: the same message again."""


class RunStore:
    """The runs of one session, in one process."""

    def __init__(self, options: Options, session_id: str, progress: Progress) -> None:
        """`progress` is shown what a run says of itself while it plays."""
        self._options = options
        self._progress = progress
        self._session_id = session_id
        self._loaded: dict[RunSpec, RunLog] = {}
        self._dataset: DatasetLog | None = None
        self._daily: DailyLog | None = None
        self._experiment: ExperimentLog | None = None

    def run(self, spec: RunSpec) -> RunLog:
        """The finished run, made now if this session has none yet."""
        if spec not in self._loaded:
            making = self._making(spec)
            _raise_failure(making.make_once())
            self._loaded[spec] = load_tallied(making.directory, run_id=making.run_id)
        return self._loaded[spec]

    def dataset(self, spec: RunSpec) -> DatasetLog:
        """The dataset, made now if this session has none yet."""
        if self._dataset is None:
            self._dataset = read_dataset(self._document(spec))
        return self._dataset

    def daily(self, spec: RunSpec) -> DailyLog:
        """The facts of a day, put together now if this session has none yet."""
        if self._daily is None:
            self._daily = read_daily(self._document(spec))
        return self._daily

    def _document(self, spec: RunSpec) -> Path:
        outcome = DocumentMaking(self._options, self._session_id, spec).make_once()
        _raise_failure(outcome)
        return Path(outcome.made)

    def experiment(self, spec: RunSpec) -> ExperimentLog:
        """The experiment's stage, played now if this session has not yet."""
        if self._experiment is None:
            making = self._making(spec)
            _raise_failure(making.make_once())
            path = self._options.gates_dir / f"{AB}.yaml"
            gate = read_gate(path, shown_as=self._options.shown(path))
            self._experiment = read_experiment(making.directory, gate)
        return self._experiment

    def finished(self, spec: RunSpec) -> RunLog | DatasetLog | DailyLog | ExperimentLog | str | None:
        """What this session has of the run: its log, one line that says why not, or None if it never ran."""
        of_document = spec.step in DOCUMENTS
        making = DocumentMaking(self._options, self._session_id, spec) if of_document else self._making(spec)
        outcome = making.outcome()
        if outcome is None:
            return None
        if outcome.error is not None:
            return outcome.error
        try:
            return self._log(spec)
        except MmgatesError as error:
            return str(error)

    def _log(self, spec: RunSpec) -> RunLog | DatasetLog | DailyLog | ExperimentLog:
        if spec.step == DATASET:
            return self.dataset(spec)
        if spec.step == DAILY:
            return self.daily(spec)
        return self.experiment(spec) if spec.step == AB else self.run(spec)

    def _making(self, spec: RunSpec) -> Making:
        making: type[Making] = Making
        if spec.step == AB:
            making = ExperimentMaking if self._options.stage == REPLAY else StageMaking
        return making(self._options, self._session_id, spec, self._progress)


def _raise_failure(outcome: Outcome) -> None:
    if outcome.error is not None:
        raise RunFailedError(outcome.detail or outcome.error)
