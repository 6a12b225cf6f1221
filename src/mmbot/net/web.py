"""A small HTTP server for what a run tells about itself: pages and streams, on loopback by default.

Routes are data: a path and the function that answers it. The server has a thread and an event loop of its
own, so a replay that never waits and a live run whose loop is busy are served alike, and a slow reader delays
no tick. Handlers run in that thread: they read what the run has published (an immutable value, swapped
whole), and never the run's own objects.

Only GET (and HEAD) is answered; there is nothing here to be changed, and no authentication: it listens where
only this machine is, and who binds it elsewhere puts a proxy before it.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from aiohttp import web

from mmbot.errors import ConfigError

LOOPBACK = "127.0.0.1"
_SECURITY = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
_STOP_WITHIN_S = 1.0
"""How long a request may still take when the server stops."""


class Asked(NamedTuple):
    """A request: its path, the last value of each query field, and its headers by any case."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Page:
    """An answer that is at hand."""

    body: bytes
    content_type: str = "text/html; charset=utf-8"
    status: int = 200


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that goes on, chunk by chunk, until the chunks end, the reader leaves, or the server stops.
    The generator runs in the server's loop, and is closed in each case.
    """

    chunks: AsyncGenerator[bytes, None]
    content_type: str = "text/event-stream"


Handler = Callable[[Asked], Page | Stream]
Routes = Mapping[str, Handler]
"""Path (`/metrics`) to handler."""


class WebServer:
    """Serves routes in a thread of its own, between `start` and `stop`. `with serving(...)` does both."""

    def __init__(self, routes: Routes, port: int, *, option: str, host: str = LOOPBACK) -> None:
        """`port`: 0 takes a free one. `option` names the setting in the error of a port that is taken."""
        self.host = host
        self.port = port
        self._routes = routes
        self._option = option
        self._loop: asyncio.AbstractEventLoop
        self._stopping = asyncio.Event()
        self._started = threading.Event()
        self._failed: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="mmbot-web", daemon=True)

    @property
    def url(self) -> str:
        """`http://127.0.0.1:9100`, without a slash at the end; of a started server."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def start(self) -> Self:
        """Listen; then `port` is the real one. Raises ConfigError for a port that cannot be listened on."""
        self._thread.start()
        self._started.wait()
        if self._failed is not None:
            self._thread.join()
            reason = self._failed.strerror or str(self._failed)
            raise ConfigError(
                f"{self._option}: was {self.port}, expected a free port of {self.host}: {reason}"
            ) from self._failed
        return self

    def stop(self) -> None:
        """Close the port and every connection, and wait until the thread has ended."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            runner.run(self._serve())

    async def _serve(self) -> None:
        app = web.Application()
        for path, handler in self._routes.items():
            app.router.add_get(path, self._answering(handler))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_WITHIN_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, self.host, self.port).start()
            self.port = int(runner.addresses[0][1])
            self._started.set()
            await self._stopping.wait()
        except OSError as error:
            self._failed = error
        finally:
            await runner.cleanup()
            self._started.set()

    def _answering(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            found = handler(Asked(request.path, dict(request.query), request.headers))
            if isinstance(found, Page):
                headers = {**_SECURITY, "Content-Type": found.content_type}
                return web.Response(body=found.body, status=found.status, headers=headers)
            return await self._streamed(request, found)

        return answer

    async def _streamed(self, request: web.Request, stream: Stream) -> web.StreamResponse:
        response = web.StreamResponse(headers={**_SECURITY, "Content-Type": stream.content_type})
        await response.prepare(request)
        sending = asyncio.create_task(_send(response, stream.chunks))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((sending, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending
        return response


async def _send(response: web.StreamResponse, chunks: AsyncGenerator[bytes, None]) -> None:
    async with contextlib.aclosing(chunks):
        with contextlib.suppress(ConnectionError):  # the reader has left
            async for chunk in chunks:
                await response.write(chunk)


@contextlib.contextmanager
def serving(routes: Routes, port: int, *, option: str, host: str = LOOPBACK) -> Iterator[WebServer]:
    """The routes are served inside. Raises ConfigError for a port that cannot be listened on."""
    server = WebServer(routes, port, option=option, host=host).start()
    try:
        yield server
    finally:
        server.stop()
