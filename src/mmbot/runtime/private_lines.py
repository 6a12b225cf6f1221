"""What the venue said about the account, exactly as received: `private.log` in the run directory, a line
`<recv_ns> <payload>` each. Only what came in: what we say there is signed, and is not kept.
"""

from pathlib import Path

from mmbot.errors import OutputError
from mmbot.units import Ns


class PrivateLines:
    """Lines wait in memory until `take`; `write` may run in another thread."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "private.log"
        self._lines: list[bytes] = []

    def add(self, recv_ns: Ns, payload: bytes) -> None:
        self._lines.append(b"%d %s\n" % (recv_ns, payload.replace(b"\n", b" ")))

    def take(self) -> bytes:
        lines, self._lines = self._lines, []
        return b"".join(lines)

    def write(self, lines: bytes) -> None:
        """Raises OutputError."""
        if not lines:
            return
        try:
            with self._path.open("ab") as file:
                file.write(lines)
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {error.strerror}") from error
