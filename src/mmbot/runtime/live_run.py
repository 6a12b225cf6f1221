"""A shadow run: live market data, the simulated venue, the wall clock; a run directory and a recording out.

Everything happens in one thread that has an event loop: the connector stamps and records what arrives, the
ticks take it in. Whoever iterates the run sits in another thread and gets rows as they are made, so that a
slow reader delays no tick.

The recording lies in `recording/` of the run directory, with a scenario beside it. Replayed with the same
configuration and seed it gives the same decisions: it holds what was received and when, and how late the
machine was.
"""

import asyncio
import contextlib
import functools
import math
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmbot.clock import RisingClock, Stopwatch, sleep_until, stopwatch
from mmbot.config.flags import in_force
from mmbot.config.scenario import LiveSpec
from mmbot.errors import ConfigError
from mmbot.model.commands import Command, RequestSnapshot
from mmbot.model.events import LatencySample
from mmbot.model.instrument import Instrument
from mmbot.model.notes import Happened, Note
from mmbot.model.records import Row
from mmbot.net.http import HttpClient
from mmbot.net.loop import run_on_uvloop
from mmbot.recording.writer import RecordingWriter
from mmbot.runtime.assemble import build_engine, feature_settings
from mmbot.runtime.kept_run import KeptRun, models, rss_bytes
from mmbot.runtime.live import Live, WallTimes
from mmbot.runtime.player import Timing
from mmbot.runtime.reload import Reloader, Sources
from mmbot.runtime.run import planned_duration_ns
from mmbot.runtime.shadow_world import ShadowWorld
from mmbot.units import MS, SECOND
from mmbot.venues.bybit.connector import PublicConnector, fetch_instruments
from mmbot.venues.bybit.hosts import Hosts, hosts

_WRITE_EVERY_S = 0.5
_END = None


@dataclass(frozen=True, slots=True)
class LiveRequest:
    """What to run and where to write it. `duration_s`: None = the scenario's own, inf = until halted. `host`:
    None = the scenario's own.
    """

    scenario: str
    scenarios: Path
    config: list[Path]
    run_id: str
    directory: Path
    step: str = "run"
    arm: str = "A"
    duration_s: float | None = None
    seed: int | None = None
    host: str | None = None


class ShadowRun(KeptRun):
    """Opened: the venue was asked for its instruments. Iterate once to play it."""

    def __init__(self, request: LiveRequest, clock: Stopwatch = stopwatch) -> None:
        """Raises ConfigError; TransportError and RemoteProtocolError for a venue that does not answer."""
        sources = Sources(tuple(request.config), request.scenario, request.scenarios)
        super().__init__(request.run_id, request.directory, request.arm, Reloader(sources))
        scenario = self._reloader.scenario
        if scenario.live is None:
            raise ConfigError(f"scenario {request.scenario}: kind was {scenario.kind}, expected live")
        self._request, self._live = request, scenario.live
        self._hosts = hosts(request.host or self._live.host)
        self.data_kind = "live" if kind_of(self._hosts) == "recorded" else "synthetic"
        self.instruments = asyncio.run(_instruments(self._hosts, self._live))
        self._seed = scenario.seed if request.seed is None else request.seed
        duration_ns = planned_duration_ns(request.duration_s, scenario.duration_ns)
        self.planned_ns = math.inf if duration_ns is None else duration_ns
        self._rising = RisingClock()
        self._writer = RecordingWriter(
            self.directory / "recording",
            kind=kind_of(self._hosts),
            source=f"{self._hosts.stream} {', '.join(self._live.symbols)}, {self._live.depth} levels",
            instruments=self.instruments,
        )
        self._connector = PublicConnector(
            self.instruments, self._hosts, self._writer.add, clock=self._rising, depth=self._live.depth,
            seed=self._seed,
        )  # fmt: skip
        self._player = self._wire(duration_ns, clock)

    def _wire(self, duration_ns: int | None, clock: Stopwatch) -> Live:
        settings = in_force(self.settings)
        features = feature_settings(settings)
        world = LiveShadow(
            self._connector, self.instruments, settings.md_cache, features, settings.sim, self._seed
        )
        self.engine = build_engine(
            settings, self.instruments, world.markets, arm=self._request.arm, clock=clock
        )
        times = WallTimes(
            tick_ns=round(settings.pipeline.tick_interval_ms * MS),
            sample_ns=round(settings.telemetry.sample_interval_s * SECOND),
            deadline_ns=round(settings.pipeline.deadline_ms * MS),
            duration_ns=duration_ns,
        )
        attach = functools.partial(world.attach, self.engine)
        return Live(self.engine, times, attach, rss_bytes(), self._rising, sleep_until, self._keep)

    def _keep(self, timing: Timing) -> None:
        """Into the recording, at the place where it became known."""
        self._writer.add(timing.recv_ns, note_of(timing).encoded())

    def _rows(self) -> Iterator[list[Row]]:
        made: queue.SimpleQueue[list[Row] | BaseException | None] = queue.SimpleQueue()
        shell = threading.Thread(target=self._shell, args=(made.put,), name="shell")
        shell.start()
        try:
            while (item := made.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self._player.halt("nobody reads the run any longer")
            shell.join()

    def _shell(self, put: Callable[[list[Row] | BaseException | None], None]) -> None:
        """The shell's thread. What ends it is handed on, and then nothing."""
        try:
            run_on_uvloop(self._main(put))
        except BaseException as error:  # noqa: BLE001 (raised again where the run is iterated)
            put(error)
        put(None)

    async def _main(self, put: Callable[[list[Row]], None]) -> None: ...
