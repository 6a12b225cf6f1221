"""A receiver of webhooks on loopback: it keeps what it hears, and answers as it was told."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import web


class Receiver:
    """Answers with these, the last one for ever; None: not at all."""

    def __init__(self, answers: Sequence[int | None]) -> None:
        self.heard: list[tuple[str, bytes, str | None]] = []
        self.asked = asyncio.Event()
        self.over = asyncio.Event()
        self._answers = list(answers)

    async def take(self, request: web.Request) -> web.Response:
        self.heard.append((request.path_qs, await request.read(), request.headers.get("Content-Type")))
        self.asked.set()
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if answer is None:
            await self.over.wait()
        return web.Response(status=answer or 200)


@asynccontextmanager
async def receiving(*answers: int | None) -> AsyncIterator[tuple[Receiver, str]]:
    receiver, app = Receiver(answers), web.Application()
    app.router.add_post("/{path:.*}", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield receiver, f"http://127.0.0.1:{runner.addresses[0][1]}/hook?team=mm"
        receiver.over.set()
    finally:
        await runner.cleanup()
