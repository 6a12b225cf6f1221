"""A thin HTTP client: bytes in, bytes out, and errors that say how far a request came.

It knows no venue, retries nothing and follows no redirect: whether a request may be sent again is a question
of trading. The target goes out exactly as given, since a signature covers its very bytes.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Literal, NamedTuple, Self

import aiohttp
from yarl import URL

from mmbot.errors import TransportError

Phase = Literal["connect", "answer", "body"]


class HttpTimeouts(NamedTuple):
    """Seconds to reach the host (name, TCP, TLS), then to be answered in full."""

    connect_s: float = 3.0
    answer_s: float = 5.0


class HttpReply(NamedTuple):
    """What the host said, whatever the status. Names of headers are found in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """Requests to one host, over connections that are kept. Use it as `async with`."""

    def __init__(self, base_url: str, timeouts: HttpTimeouts = HttpTimeouts()) -> None:  # noqa: B008 (immutable)
        """`base_url`: scheme, host and port (`https://api.bybit.com`). Raises ValueError for others."""
        url = URL(base_url)
        if url.scheme not in ("http", "https") or not url.host or url.raw_path_qs not in ("", "/"):
            raise ValueError(f"host was {base_url!r}, expected http(s)://HOST[:PORT]")
        self.base_url = str(url.origin())
        self._timeouts = timeouts
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connect_s, answer_s = self._timeouts
        limits = aiohttp.ClientTimeout(total=connect_s + answer_s, connect=connect_s, sock_read=answer_s)
        self._session = aiohttp.ClientSession(
            timeout=limits, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, target: str, headers: Mapping[str, str] | None = None) -> HttpReply:
        """`target`: path and query, encoded, as in `/v5/market/time`. Raises TransportError."""
        return await self.request("GET", target, headers=headers)

    async def request(
        self, method: str, target: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> HttpReply:
        """One request, one try. Raises TransportError whose `phase` says whether the host may have it: not
        after `connect`; perhaps after `answer` (no status came) and `body` (a status came).
        """
        if self._session is None:
            raise RuntimeError("the HTTP client was not entered: use it as `async with`")
        url = URL(self.base_url + target, encoded=True)
        async with _Attempt(f"{method} {url.origin()}{url.raw_path}").explained() as attempt:
            request = self._session.request(method, url, data=body, headers=headers, allow_redirects=False)
            async with request as reply:
                attempt.phase = "body"
                return HttpReply(reply.status, reply.headers, await reply.read())


class _Attempt:
    """One request on its way: what it is (without the query, which may be signed), how far it came."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.phase: Phase = "answer"

    @contextlib.asynccontextmanager
    async def explained(self) -> AsyncIterator["_Attempt"]:
        try:
            yield self
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
            raise TransportError(f"{self._name}: no connection: {_reason(error)}", "connect") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            waiting = "no answer" if self.phase == "answer" else "the answer broke off"
            raise TransportError(f"{self._name}: {waiting}: {_reason(error)}", self.phase) from error


def _reason(error: BaseException) -> str:
    """In a few words; the library's own text of a broken answer would repeat the query."""
    if isinstance(error, TimeoutError):
        return "time is up"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"it was no HTTP: {error.message}"
    return str(error) or type(error).__name__
