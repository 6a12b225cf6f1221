"""A heartbeat: a file that holds a number, which moves for as long as somebody is alive."""

from pathlib import Path

from mmbot.errors import OutputError


class Heartbeat:
    """One file, written by one process and watched by others."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def beat(self, number: int) -> None:
        """Move it. Raises OutputError."""
        partial = self._path.with_suffix(".partial")
        try:
            partial.write_text(f"{number}\n", encoding="utf-8")
            partial.replace(self._path)
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {error.strerror}") from error

    @property
    def number(self) -> int | None:
        """The number last written; None if there is none that can be read."""
        try:
            return int(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
