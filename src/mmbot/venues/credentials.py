"""API credentials: a key that may be shown and a secret that cannot be.

The secret is turned into a keyed HMAC the moment it arrives, and only that is kept: there is no attribute
that a log line, a traceback, a serialiser or a debugger session could print. `sign` is all that it can do; a
copy of the keyed state also costs less than keying it again.
"""

import hmac
from typing import NoReturn

from mmbot.errors import ConfigError

_LONGEST = 256


class Secret:
    """Signs, and shows itself to nobody: not to repr, str, format, pickle, copy or an encoder."""

    __slots__ = ("_keyed",)

    def __init__(self, text: str) -> None:
        """Raises ConfigError, without the text, for what cannot be a secret."""
        _check(text, "API secret")
        self._keyed = hmac.new(text.encode(), digestmod="sha256")

    def sign(self, message: bytes) -> str:
        """HMAC-SHA256 of the message, lower-case hex."""
        keyed = self._keyed.copy()
        keyed.update(message)
        return keyed.hexdigest()

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is never copied, pickled or sent to another process")


class Credentials:
    """Key and secret of one account at one venue."""

    __slots__ = ("key", "secret")

    def __init__(self, key: str, secret: Secret) -> None:
        _check(key, "API key")
        self.key = key
        self.secret = secret

    def __repr__(self) -> str:
        return f"Credentials({self.key[:4]}..., {self.secret!r})"


def _check(text: str, what: str) -> None:
    """Keys are plain words of the venue; a quote mark or a line end is a slip of the clipboard."""
    plain = text.isascii() and text.isprintable() and not set(text) & set(" \"'\\")
    if not (plain and 0 < len(text) <= _LONGEST):
        raise ConfigError(
            f"{what} was {len(text)} characters, expected 1 to {_LONGEST}, printable, no spaces, no quotes"
        )
