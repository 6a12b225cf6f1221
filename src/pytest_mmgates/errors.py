"""What a person can put right: one line with place and reason, shown without a traceback.

A gate that is *broken* (FAIL) is a result. A gate that *cannot be checked* (bad text, unknown metric), a run
directory that cannot be read and a system under test that cannot be opened are errors, and they live here.
Everything else that is raised is a bug and keeps its traceback.
"""

from dataclasses import dataclass


class MmgatesError(Exception):
    """Root. `user_error` is the mark that the system under test uses too: `str()` is the whole message."""

    user_error = True


class RunlogError(MmgatesError):
    """A run directory that cannot be believed: `file:line: reason`, or `directory: reason`."""


class SutError(MmgatesError):
    """The system under test cannot be opened, or does not keep the protocol of `pytest_mmgates.sut`."""


class OutputError(MmgatesError):
    """The output directory cannot be written."""


class CommandError(MmgatesError):
    """`mmgates` was asked for what it cannot do."""


class BaselineError(MmgatesError):
    """A baseline that cannot be locked, believed or played."""


class ExperimentError(MmgatesError):
    """A plan of an experiment that cannot be read, believed or hoped for."""


class Suspended(BaseException):
    """The process was told to end while a run was played: that run can be resumed."""


class MarkError(MmgatesError):
    """A marker with an argument that cannot be honoured."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text begins: `column` counts from 1; `source` is the whole line, for the caret."""

    file: str
    line: int
    column: int
    source: str

    def after(self, offset: int) -> "Place":
        return Place(self.file, self.line, self.column + offset, self.source)


class GateError(MmgatesError):
    """A gate text that cannot be checked: place, reason, the line and a caret under the offending column."""

    def __init__(self, message: str, place: Place) -> None:
        self.message = message
        self.place = place
        super().__init__(f"{place.file}:{place.line}:{place.column}: {message}\n{_caret(place)}")


def _caret(place: Place) -> str:
    """The source line with a caret below; characters that do not print become `?` so that the caret stays in
    place.
    """
    shown = "".join(char if char.isprintable() else "?" for char in place.source.expandtabs(1))
    return f"  {shown}\n  {' ' * (place.column - 1)}^"
