"""What the venue said about the account: `private.log` in the run directory, lines `<recv_ns> <payload>`.

Messages of sockets stand as received, but for the API key if one should name it; answers of REST as
`{"_rest":"GET /v5/...","status":200,"body":{...}}`, a request without one as `{"_rest":...,"failed":"..."}`.
Only what came in: what we say there is signed, and is not kept.
"""

from pathlib import Path

from mmbot.errors import OutputError
from mmbot.units import Ns


class PrivateLines:
    """Lines wait in memory until `take`; `write` may run in another thread."""

    def __init__(self, directory: Path, key: str) -> None:
        """`key` never stands in a line."""
        self._path = directory / "private.log"
        self._key = key.encode()
        self._lines: list[bytes] = []

    def add(self, recv_ns: Ns, payload: bytes) -> None:
        shown = payload.replace(b"\n", b" ").replace(self._key, b"***")
        self._lines.append(b"%d %s\n" % (recv_ns, shown))

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
