"""The listen key of a Binance USD-M user stream: when to create it, renew it, give it up. Sans-IO.

https://developers.binance.com/docs/derivatives/usds-margined-futures/user-data-streams: valid for 60 minutes
after it was created or renewed; renewed here every 30. It is dead 60 minutes after its last renewal, when the
venue says so (`listenKeyExpired`), and when a renewal is refused with -1125. What fails is asked again after
a minute. A new key means a new connection and everything by REST again.
"""

import re
from enum import Enum, auto

import msgspec

from mmbot.errors import RemoteProtocolError
from mmbot.units import SECOND


class KeyRequest(Enum):
    """What is to be asked of `/fapi/v1/listenKey`, with the API key's header and no signature."""

    CREATE = auto()
    """POST; its answer is the key."""
    RENEW = auto()
    """PUT; valid for another 60 minutes."""

    @property
    def method(self) -> str:
        return "POST" if self is KeyRequest.CREATE else "PUT"


class _KeyReply(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    listen_key: str = ""
    code: int = 0
    msg: str = ""


_key_reply = msgspec.json.Decoder(_KeyReply)
_UNKNOWN_KEY = -1125
_OK = 200
_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")


class ListenKey:
    """One key at a time. Times are of a steady clock."""

    VALID_NS = 3_600 * SECOND
    RENEW_NS = 1_800 * SECOND
    RETRY_NS = 60 * SECOND

    def __init__(self) -> None:
        self.key: str | None = None
        """To connect with; a connection of another key is to be given up."""
        self._renewed_ns = 0
        self._next_ns = 0
        self._asked: tuple[KeyRequest, int] | None = None

    def due(self, now_ns: int) -> KeyRequest | None:
        """What to ask now, once; nothing while an answer is awaited."""
        if self.key is not None and now_ns >= self._renewed_ns + self.VALID_NS:
            self.expired(now_ns)
        if self._asked is not None or now_ns < self._next_ns:
            return None
        self._asked = (KeyRequest.CREATE if self.key is None else KeyRequest.RENEW, now_ns)
        return self._asked[0]

    def answered(self, status: int, body: bytes, now_ns: int) -> None:
        """Raises RemoteProtocolError for an answer that is none; it counts as failed."""
        asked, asked_ns = self._asked or (None, 0)
        if asked is None:
            return  # the key expired meanwhile
        self.failed(now_ns)
        try:
            reply = _key_reply.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RemoteProtocolError(f"listen key was {body[:120]!r}, expected one: {error}") from error
        if reply.code == _UNKNOWN_KEY:
            self.expired(now_ns)
        elif status == _OK:
            if asked is KeyRequest.CREATE and _KEY.fullmatch(reply.listen_key) is None:
                raise RemoteProtocolError(
                    f"listen key was {reply.listen_key[:40]!r}, expected letters, digits"
                )
            self.key = reply.listen_key if asked is KeyRequest.CREATE else self.key
            self._renewed_ns, self._next_ns = asked_ns, asked_ns + self.RENEW_NS

    def failed(self, now_ns: int) -> None:
        """No answer came."""
        self._asked, self._next_ns = None, now_ns + self.RETRY_NS

    def expired(self, now_ns: int) -> None:
        """The venue said so, or time did: create one now."""
        self.key, self._asked, self._next_ns = None, None, now_ns
