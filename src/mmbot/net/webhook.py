"""Posts to one address, in order, from a thread of its own: whoever has something to say never waits.

A message is tried again, with rising waits, after no connection, no answer, and answers that may be better
next time (5xx, 408, 429); any other refusal is final. What came of each is told in the thread of the poster.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from mmbot.clock import sleep
from mmbot.errors import TransportError
from mmbot.net.backoff import FIRST_NS, Backoff
from mmbot.net.http import HttpClient, HttpReply
from mmbot.units import Ns

MOST_TRIES = 6
"""With the waits between them, a quarter of a minute and what the host takes to answer."""
_OVER = "there was no time left"
_MAY_PASS = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


@dataclass(frozen=True, slots=True)
class Posted:
    """What came of a message. `refusal` None: it was taken, at the last of `tries`."""

    subject: str
    tries: int
    refusal: str | None


class Webhook:
    """Sends JSON to a URL until it is closed. `told` hears of each message, in this object's own thread."""

    def __init__(
        self, url: str, told: Callable[[Posted], None], *, seed: int = 0, first_wait_ns: Ns = FIRST_NS
    ) -> None:
        """`url`: http(s)://HOST/PATH. Raises ValueError for others."""
        parts = urlsplit(url)
        self._target = parts.path or "/"
        if parts.query:
            self._target += f"?{parts.query}"
        self._client = HttpClient(f"{parts.scheme}://{parts.netloc}")
        self._told = told
        self._seed, self._first_wait_ns = seed, first_wait_ns
        self._waiting: queue.SimpleQueue[tuple[str, bytes] | None] = queue.SimpleQueue()
        self._given_up = False
        self._sending: asyncio.Task[None] | None = None
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=self._run, name="mmbot-webhook", daemon=True)
        self._thread.start()

    def post(self, subject: str, body: bytes) -> None:
        """Send it, after what was said before. Returns at once."""
        self._waiting.put((subject, body))

    def close(self, within_s: float) -> None:
        """Let what waits be sent, for so long at most; what is left then is told as not sent."""
        self._waiting.put(None)
        self._thread.join(within_s)
        if self._thread.is_alive():
            self._started.wait()
            with contextlib.suppress(RuntimeError):  # it has just ended
                self._loop.call_soon_threadsafe(self._give_up)
            self._thread.join()

    def _give_up(self) -> None:
        self._given_up = True
        if self._sending is not None:
            self._sending.cancel()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            self._started.set()
            runner.run(self._send_all())

    async def _send_all(self) -> None:
        async with self._client:
            while (message := await asyncio.to_thread(self._waiting.get)) is not None:
                subject, body = message
                if self._given_up:
                    self._told(Posted(subject, 0, _OVER))
                    continue
                self._sending = asyncio.create_task(self._send(subject, body))
                await asyncio.wait([self._sending])

    async def _send(self, subject: str, body: bytes) -> None:
        backoff, tries, refusal = Backoff(self._seed, self._first_wait_ns), 0, _OVER
        try:
            while tries < MOST_TRIES:
                if tries:
                    await sleep(backoff.next_ns())
                tries += 1
                refusal, final = await self._try(body)
                if final:
                    break
        except asyncio.CancelledError:
            refusal = refusal or _OVER
        self._told(Posted(subject, tries, refusal or None))

    async def _try(self, body: bytes) -> tuple[str, bool]:
        """Why it was not taken (empty if it was), and whether that is the last word."""
        headers = {"Content-Type": "application/json"}
        try:
            reply: HttpReply = await self._client.request("POST", self._target, body=body, headers=headers)
        except TransportError as error:
            return str(error), False
        if reply.status < HTTPStatus.MULTIPLE_CHOICES:
            return "", True
        may_pass = reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR or reply.status in _MAY_PASS
        return f"answered {reply.status}", not may_pass
