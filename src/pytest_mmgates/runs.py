"""The runs of one session, in one process: made once (`pytest_mmgates.making`), loaded once."""

from collections.abc import Callable

from pytest_mmgates.errors import MmgatesError
from pytest_mmgates.loader import load_tallied
from pytest_mmgates.making import Making, RunSpec
from pytest_mmgates.options import Options
from pytest_mmgates.runlog import RunLog


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

    def run(self, spec: RunSpec) -> RunLog:
        """The finished run, made now if this session has none yet."""
        if spec not in self._loaded:
            making = self._making(spec)
            outcome = making.make_once()
            if outcome.error is not None:
                raise RunFailedError(outcome.detail or outcome.error)
            self._loaded[spec] = load_tallied(making.directory, run_id=making.run_id)
        return self._loaded[spec]

    def finished(self, spec: RunSpec) -> RunLog | str | None:
        """What this session has of the run: its log, one line that says why not, or None if it never ran."""
        outcome = self._making(spec).outcome()
        if outcome is None:
            return None
        if outcome.error is not None:
            return outcome.error
        try:
            return self.run(spec)
        except MmgatesError as error:
            return str(error)

    def _making(self, spec: RunSpec) -> Making:
        return Making(self._options, self._session_id, spec, self._tell)
