"""Lines about a run while it plays, where somebody is there to read them: on a terminal, or under `-v`.

In a worker of xdist there is no terminal: what a rule held stays in the run, and the report shows it.
"""

import sys

import pytest


class Progress:
    """Writes past pytest's capture, through its own reporter."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def line(self, text: str) -> None:
        manager = self._config.pluginmanager
        terminal = manager.get_plugin("terminalreporter")
        if terminal is None or not ((sys.__stdout__ and sys.__stdout__.isatty()) or terminal.verbosity > 0):
            return
        capture = manager.get_plugin("capturemanager")
        if capture is None:
            self._write(terminal, text)
            return
        with capture.global_and_fixture_disabled():
            self._write(terminal, text)

    @staticmethod
    def _write(terminal: pytest.TerminalReporter, text: str) -> None:
        terminal.ensure_newline()
        terminal.write_line(text.encode("ascii", "backslashreplace").decode())
