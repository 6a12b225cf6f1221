"""Errors: bad input and broken protocols. Expected trouble is an event, a bug is any other exception.

`user_error` tells a door (command line, gate plugin) that the message alone is the report: one line, with
what was found, what was expected, and where.
"""

from typing import Literal


class MmbotError(Exception):
    """Root of what the bot raises on purpose."""

    user_error = True
    exit_code = 2
    """Of a command that ends with it."""


class ConfigError(MmbotError):
    """A configuration or scenario file that cannot be used."""


class RecordingError(MmbotError):
    """A recording that cannot be read: missing, torn, corrupt, or of something else."""


class RemoteProtocolError(MmbotError):
    """The venue broke its own wire rules."""


class LocalProtocolError(MmbotError):
    """We broke the venue's rules; the order state table says which move was illegal."""


class TransportError(MmbotError):
    """A connection or a request that the network did not carry to its end.

    `phase` says how far it came: `connect` (nothing of ours left), `send`, `answer` (of a request: it may
    have arrived, the outcome is unknown), `body`, or `lost` (a connection that was open).
    """

    def __init__(self, message: str, phase: Literal["connect", "send", "answer", "body", "lost"]) -> None:
        super().__init__(message)
        self.phase = phase


class DatasetError(MmbotError):
    """Feeds that no dataset can be made of, or a range of time that they do not hold."""


class CalibrationError(MmbotError):
    """What was to be measured did not show: too little evidence, or none that can be believed."""


class ShardError(MmbotError):
    """A part of a campaign that a worker of a cluster could not play."""


class OutputError(MmbotError):
    """A run directory that cannot be written."""


class AccountError(MmbotError):
    """An account that may not be traded: in use, halted, or not as our books say."""


class OrdersLeftError(AccountError):
    """Orders of ours are at the venue, or may be, and nobody watches them any longer."""

    exit_code = 3
