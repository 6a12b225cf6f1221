"""The runs of one session, in one process: made once (`pytest_mmgates.making`), loaded once."""

from collections.abc import Callable
from pathlib import Path

from pytest_mmgates.dataset import DatasetLog, read_dataset
from pytest_mmgates.errors import MmgatesError
from pytest_mmgates.loader import load_tallied
from pytest_mmgates.making import DatasetMaking, Making, Outcome, RunSpec
from pytest_mmgates.options import Options
from pytest_mmgates.runlog import RunLog
from pytest_mmgates.steps import DATASET


class RunFailedError(MmgatesError):
    """A run that failed before, in this process or another: the same message again."""


class RunStore:
    """The runs of one session, in one process."""

    def __init__(self, options: Options, session_id: str, tell: Callable[[str], None]) -> None:
        """`tell` is shown what a run says of itself while it plays, a line at a time."""
        self._options = options
        self._tell = tell
        self._session_id = session_id
        self._loaded: dict[RunSpec, RunLog] = {}
        self._dataset: DatasetLog | None = None

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
            outcome = self._dataset_making(spec).make_once()
            _raise_failure(outcome)
            self._dataset = read_dataset(Path(outcome.made))
        return self._dataset

    def finished(self, spec: RunSpec) -> RunLog | DatasetLog | str | None:
        """What this session has of the run: its log, one line that says why not, or None if it never ran."""
        of_dataset = spec.step == DATASET
        outcome = (self._dataset_making(spec) if of_dataset else self._making(spec)).outcome()
        if outcome is None:
            return None
        if outcome.error is not None:
            return outcome.error
        try:
            return self.dataset(spec) if of_dataset else self.run(spec)
        except MmgatesError as error:
            return str(error)

    def _making(self, spec: RunSpec) -> Making:
        return Making(self._options, self._session_id, spec, self._tell)

    def _dataset_making(self, spec: RunSpec) -> DatasetMaking:
        return DatasetMaking(self._options, self._session_id, spec)


def _raise_failure(outcome: Outcome) -> None:
    if outcome.error is not None:
        raise RunFailedError(outcome.detail or outcome.error)
