"""Run digest: one hash over every decision and every fill of a symbol, in order, integers and ids only.

The digest of a run is a hash over its symbols' digests, so that symbols may be played apart and put together
again. Measured durations are left out: two runs with equal digests decided the same and traded the same, on
whatever machine.

A digest is a chain: each block of lines is hashed behind the hash of what came before, so that a run can be
continued from 32 bytes and the lines of the last block (`runtime.checkpoint`).
"""

import hashlib
from collections.abc import Mapping

from mmbot.model.commands import AmendOrder, CancelOrder, Command, SubmitOrder
from mmbot.model.events import Fill

_LINES = 512


class RunDigest:
    """Running chain of SHA-256, over many lines at a time."""

    def __init__(self) -> None:
        self._chain: tuple[bytes, list[str]] = b"", []
        """Replaced as one: another thread may ask meanwhile."""

    def command(self, now_ns: int, command: Command) -> None:
        if type(command) is SubmitOrder:
            price = f"{command.side:d} {command.tick} {command.lots}"
            text = f"{now_ns} submit {command.symbol} {command.client_id} {price} {command.post_only:d}\n"
        elif type(command) is CancelOrder:
            text = f"{now_ns} cancel {command.symbol} {command.client_id}\n"
        elif type(command) is AmendOrder:
            price = f"{command.tick} {command.lots}"
            text = f"{now_ns} amend {command.symbol} {command.client_id} {price}\n"
        else:
            text = f"{now_ns} refresh {command.symbol}\n"
        self._line(text)

    def fill(self, fill: Fill) -> None:
        what = f"{fill.client_id} {fill.side:d} {fill.tick} {fill.lots} {fill.maker:d}"
        self._line(f"{fill.venue_ns} {fill.recv_ns} fill {fill.symbol} {what}\n")

    def hexdigest(self) -> str:
        return self._chained().hex()

    def _line(self, text: str) -> None:
        lines = self._chain[1]
        lines.append(text)
        if len(lines) >= _LINES:
            self._chain = self._chained(), []

    def _chained(self) -> bytes:
        head, lines = self._chain
        return hashlib.sha256(head + "".join(lines).encode()).digest()


def combined(digests: Mapping[str, RunDigest]) -> str:
    """Digest of a run from those of its symbols, whatever order they were played in."""
    lines = (f"{symbol} {digests[symbol].hexdigest()}\n" for symbol in sorted(digests))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
