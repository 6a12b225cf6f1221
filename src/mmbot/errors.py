"""Errors: bad input and broken protocols. Expected trouble is an event, a bug is any other exception.

`user_error` tells a door (command line, gate plugin) that the message alone is the report: one line, with
what was found, what was expected, and where.
"""


class MmbotError(Exception):
    """Root of what the bot raises on purpose."""

    user_error = True


class ConfigError(MmbotError):
    """A configuration or scenario file that cannot be used."""


class RecordingError(MmbotError):
    """A recording that cannot be read: missing, torn, corrupt, or of something else."""


class RemoteProtocolError(MmbotError):
    """The venue broke its own wire rules."""


class LocalProtocolError(MmbotError):
    """We broke the venue's rules; the order state table says which move was illegal."""


class OutputError(MmbotError):
    """A run directory that cannot be written."""


class AccountError(MmbotError):
    """An account that may not be traded: in use, halted, or not as our books say."""
