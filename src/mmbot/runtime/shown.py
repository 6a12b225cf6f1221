"""A run that is looked at while it plays: its state on a loopback port, as a page, as events and as JSON.

    /              the page, readable as it comes
    /events        server-sent events: the page's fragment, at most once a second
    /status.json   the state (`telemetry.view.RunState`)
    /metrics       the run's metrics, for Prometheus

The thread that plays folds its rows in, the server's thread asks for the state; a lock stands between them.
The tick of a live run is in neither: it hands its rows on. Whoever asks pays, a run that nobody looks at only
counts. Requests under another name than this machine's own are refused: a page of somebody else's that has
its name point here reads nothing.
"""

import contextlib
import math
import threading
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from mmbot.clock import sleep
from mmbot.errors import ConfigError
from mmbot.model.records import Row
from mmbot.net.web import Asked, Handler, Page, Routes, Stream, serving
from mmbot.runtime.kept_run import KeptRun
from mmbot.runtime.running import announced
from mmbot.telemetry.feeds import Batch
from mmbot.telemetry.page import event, page
from mmbot.telemetry.view import RuleState, RunFacts, RunState, View
from mmbot.units import SECOND

_LOCAL = ("127.0.0.1", "::1", "localhost")
_JSON, _TEXT = "application/json", "text/plain; charset=utf-8"


class Board:
    """The view of a run, for several threads."""

    def __init__(self, facts: RunFacts) -> None:
        self._view = View(facts)
        self._lock = threading.Lock()
        self._version = 0

    def rows(self, rows: Sequence[Row]) -> None:
        with self._lock:
            self._view.rows(rows)
            self._version += 1

    def watched(self, rules: Sequence[Mapping[str, Any]]) -> None:
        """What rules that watch the run say now. Raises ConfigError for what is no `RuleState`."""
        try:
            told = msgspec.convert(rules, list[RuleState])
        except msgspec.ValidationError as error:
            raise ConfigError(f"watched rules were not as mmbot.sut says: {error}") from error
        with self._lock:
            self._view.rules = told
            self._version += 1

    def state(self) -> RunState:
        with self._lock:
            return self._view.state()

    def routes(self) -> Routes:
        return {
            "/": _local(lambda _: Page(page(self.state()))),
            "/events": _local(lambda _: Stream(self._events())),
            "/status.json": _local(lambda _: Page(msgspec.json.encode(self.state()), _JSON)),
        }

    async def _events(self) -> AsyncGenerator[bytes, None]:
        """What stands on the page, whenever it is another than a second ago; a comment otherwise, by which
        the server notices that the reader has left.
        """
        sent = -1
        while True:
            version = self._version
            yield b": the same\n\n" if version == sent else event(self.state())
            sent = version
            await sleep(SECOND)


@contextlib.contextmanager
def shown(run: KeptRun, port: int, option: str) -> Iterator[tuple[Board, str]]:
    """The run is shown inside: its board, and the page's address. Port 0 takes a free one. Raises ConfigError
    for a port that is taken; `option` names the setting.
    """
    board = Board(facts_of(run))
    run.observers.append(board)
    with serving({**board.routes(), "/metrics": run.metrics()}, port, option=option) as server:
        yield board, f"{server.url}/"


class ShownRun:
    """A run that is shown (`port` None: is not), and says that it runs, while it is iterated. All else is the
    run's own. Main thread only.
    """

    def __init__(self, run: KeptRun, port: int | None, option: str, running: Path) -> None:
        self._run, self._port, self._option, self._running = run, port, option, running
        self._board: Board | None = None

    def __iter__(self) -> Iterator[Batch]:
        with contextlib.ExitStack() as stack:
            url = None
            if self._port is not None:
                self._board, url = stack.enter_context(shown(self._run, self._port, self._option))
            stack.enter_context(announced(self._run, self._running, url))
            yield from self._run

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run, name)

    def watched(self, rules: Sequence[Mapping[str, Any]]) -> None:
        if self._board is not None:
            self._board.watched(rules)


def facts_of(run: KeptRun) -> RunFacts:
    """Of an opened run."""
    told, planned_ns = run.facts, run.planned_ns
    return RunFacts(
        run_id=run.run_id,
        step=told["step"],
        scenario=told["scenario"],
        part=told["part"],
        mode=told["mode"],
        clock=told["clock"],
        data_kind=run.data_kind,
        instruments=run.instruments,
        planned_ns=None if math.isinf(planned_ns) else int(planned_ns),
    )


def _local(handler: Handler) -> Handler:
    """Answer only who asked this machine by a name that only this machine has."""

    def answer(asked: Asked) -> Page | Stream:
        named = urlsplit(f"//{asked.headers.get('Host', '')}").hostname
        if named not in _LOCAL:
            return Page(f"host was {named}, expected {', '.join(_LOCAL)}\n".encode(), _TEXT, 403)
        return handler(asked)

    return answer
