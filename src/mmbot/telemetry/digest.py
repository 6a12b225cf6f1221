"""Run digest: one hash over every decision and every fill of a symbol, in order, integers and ids only.

The digest of a run is a hash over its symbols' digests, so that symbols may be played apart and put together
again. Measured durations are left out: two runs with equal digests decided the same and traded the same, on
whatever machine.
"""

import hashlib
from collections.abc import Mapping

from mmbot.model.commands import CancelOrder, Command, RequestSnapshot
from mmbot.model.events import Fill


class RunDigest:
    """Running SHA-256."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def command(self, now_ns: int, command: Command) -> None:
        match command:
            case CancelOrder():
                text = f"{now_ns} cancel {command.symbol} {command.client_id}\n"
            case RequestSnapshot():
                text = f"{now_ns} refresh {command.symbol}\n"
            case _:
                price = f"{command.side:d} {command.tick} {command.lots}"
                order = f"{command.client_id} {price} {command.post_only:d}"
                text = f"{now_ns} submit {command.symbol} {order}\n"
        self._hash.update(text.encode())

    def fill(self, fill: Fill) -> None:
        what = f"{fill.client_id} {fill.side:d} {fill.tick} {fill.lots} {fill.maker:d}"
        self._hash.update(f"{fill.venue_ns} {fill.recv_ns} fill {fill.symbol} {what}\n".encode())

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def combined(digests: Mapping[str, RunDigest]) -> str:
    """Digest of a run from those of its symbols, whatever order they were played in."""
    lines = (f"{symbol} {digests[symbol].hexdigest()}\n" for symbol in sorted(digests))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
