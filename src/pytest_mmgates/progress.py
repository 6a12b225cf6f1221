"""Lines about a run while it plays, where somebody is there to read them: on a terminal, or under `-v`; and
how far a long one is, on a terminal.

In a worker of xdist there is no terminal: what a rule held stays in the run, and the report shows it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar


class Progress:
    """Writes past pytest's capture, through its own reporter."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._bar: Bar | None = None

    def line(self, text: str) -> None:
        manager = self._config.pluginmanager
        terminal = manager.get_plugin("terminalreporter")
        if terminal is None or not (terminal.isatty or terminal.verbosity > 0):
            return
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
            return
        capture = manager.get_plugin("capturemanager")
        if capture is None:
            self._write(terminal, text)
            return
        with capture.global_and_fixture_disabled():
            self._write(terminal, text)

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Callable[[], None]]:
        """Shown as long as the block runs; what comes of it is called after each of `total`."""
        manager = self._config.pluginmanager
        terminal = manager.get_plugin("terminalreporter")
        capture = manager.get_plugin("capturemanager")
        if terminal is None or capture is None or not terminal.isatty:
            yield _nothing
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with capture.global_and_fixture_disabled(), Bar(*columns, transient=True) as bar:
            task = bar.add_task(what, total=total)
            self._bar = bar
            try:
                yield lambda: bar.advance(task)
            finally:
                self._bar = None

    @staticmethod
    def _write(terminal: pytest.TerminalReporter, text: str) -> None:
        terminal.ensure_newline()
        terminal.write_line(text.encode("ascii", "backslashreplace").decode())


def _nothing() -> None:
    pass
