"""Runs on the wall clock: live market data in, a run directory and a recording out. A shadow run, here, has
the simulated venue; `runtime.trade_run` has the real one.

Everything happens in one thread that has an event loop: the connector stamps and records what arrives, the
ticks take it in. Whoever iterates the run sits in another thread and gets rows as they are made, so that a
slow reader delays no tick.

The recording lies in `recording/` of the run directory, with a scenario beside it that has the run's seed and
the overlay of its scenario. That of a shadow run, replayed with the same configuration files, gives the same
decisions: it holds what was received and when, how late the machine was, and when the bot began, was halted
and ended. Only two things it does not know: settings that were reloaded, and events that were dropped unread
because the shell fell behind (`net.intake`); both are told in the run's own rows.
"""

import asyncio
import contextlib
import functools
import hashlib
import math
import queue
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mmbot.book.cache import MdCacheSettings
from mmbot.book.market import FeatureSettings
from mmbot.clock import RisingClock, Stopwatch, sleep_until, stopwatch
from mmbot.config.flags import in_force
from mmbot.config.settings import SimSettings
from mmbot.errors import ConfigError, MmbotError, OutputError
from mmbot.model.commands import Command, RequestSnapshot
from mmbot.model.events import MarketEvent
from mmbot.model.instrument import Instrument
from mmbot.model.notes import Note
from mmbot.model.records import Row
from mmbot.net.http import HttpClient
from mmbot.net.loop import run
from mmbot.recording.writer import RecordingWriter
from mmbot.runtime.arming import WHY_FIXED, Armed, open_experiment
from mmbot.runtime.assemble import build_engine, feature_settings
from mmbot.runtime.kept_run import KeptRun, models, rss_bytes
from mmbot.runtime.live import Live, WallTimes
from mmbot.runtime.live_request import LiveRequest
from mmbot.runtime.record import VENUES, kind_of, running
from mmbot.runtime.reload import Reloader, Sources
from mmbot.runtime.rollout_folder import Follower, RolloutFolder
from mmbot.runtime.run import planned_duration_ns
from mmbot.runtime.shadow_world import ShadowWorld
from mmbot.units import MS, SECOND, Ns
from mmbot.venues.bybit import instruments as bybit
from mmbot.venues.bybit.connector import PublicConnector, fetch_instruments
from mmbot.venues.bybit.hosts import hosts

if TYPE_CHECKING:
    from mmbot.recording.manifest import RecordingManifest

_WRITE_EVERY_S = 0.5


class _ShadowMarket(ShadowWorld):
    """The shadow world of a connector: takes in what it received before it advances, and asks the real venue
    for a book where the simulated one is asked.
    """

    def __init__(
        self,
        connector: PublicConnector,
        saw: Callable[[Iterable[MarketEvent]], None],
        instruments: list[Instrument],
        cache: MdCacheSettings,
        features: FeatureSettings,
        sim: SimSettings,
        seed: int,
    ) -> None:
        super().__init__(instruments, cache, features, sim, seed)
        self._connector = connector
        self._saw = saw

    def advance(self, until_ns: int) -> None:
        events = self._connector.drain().events
        self._saw(events)
        for event in events:
            self.push(event)
        super().advance(until_ns)

    def send(self, now_ns: int, command: Command) -> None:
        super().send(now_ns, command)
        if isinstance(command, RequestSnapshot):
            self._connector.resync(command.symbol)


class LiveRun(KeptRun):
    """A run on the wall clock. Opened: the venue was asked for its instruments. Iterate once to play it."""

    flushes_rows = True
    _player: Live

    def __init__(self, request: LiveRequest, clock: Stopwatch = stopwatch) -> None:
        """Raises ConfigError; TransportError and RemoteProtocolError for a venue that does not answer."""
        sources = Sources(tuple(request.config), request.scenario, request.scenarios)
        self._follower = _follower(request)
        follower = self._follower
        armed = None if follower is None else Armed(follower.experiment, follower.course)
        super().__init__(request.run_id, request.directory, request.arm, self._reloader_of(sources), armed)
        if follower is not None:
            self.observers.append(follower)
        scenario = self._reloader.scenario
        if scenario.live is None:
            raise ConfigError(f"scenario {request.scenario}: kind was {scenario.kind}, expected live")
        self._request, self._live = request, scenario.live
        self._hosts = hosts(request.host or self._live.host)
        self._kind = kind_of(self._hosts)
        self.data_kind = "live" if self._kind == "recorded" else self._kind
        if follower is not None:
            follower.check_evidence(self.data_kind)
        self.instruments = run(self._instruments())
        self._seed = scenario.seed if request.seed is None else request.seed
        duration_ns = planned_duration_ns(request.duration_s, scenario.duration_ns)
        self.planned_ns = math.inf if duration_ns is None else duration_ns
        self._clock = RisingClock()
        self._connector = PublicConnector(
            self.instruments,
            self._hosts,
            self._record,
            clock=self._clock,
            depth=self._live.depth,
            seed=self._seed,
        )
        self._recorded: RecordingManifest | None = None
        self._player = self._wire(duration_ns, clock)

    @property
    def rollout(self) -> Path | None:
        return None if self._follower is None else self._follower.folder.path

    def _reloader_of(self, sources: Sources) -> Reloader:
        return Reloader(sources, self._why_fixed)

    @property
    def _why_fixed(self) -> str | None:
        return None if self._follower is None else WHY_FIXED

    async def _instruments(self) -> list[Instrument]:
        live = self._live
        if live.venue not in VENUES:
            raise ConfigError(f"live venue was {live.venue!r}, expected one of {', '.join(VENUES)}")
        category = VENUES[live.venue]
        async with HttpClient(self._hosts.rest) as http:
            return await fetch_instruments(http, category, live.symbols, bybit.PUBLISHED_FEES[category])

    @abstractmethod
    def _wire(self, duration_ns: int | None, clock: Stopwatch) -> Live:
        """The shell over its world; sets `engine`."""

    def _times(self, duration_ns: int | None) -> WallTimes:
        settings = self.settings
        return WallTimes(
            tick_ns=round(settings.pipeline.tick_interval_ms * MS),
            sample_ns=round(settings.telemetry.sample_interval_s * SECOND),
            deadline_ns=round(settings.pipeline.deadline_ms * MS),
            duration_ns=duration_ns,
        )

    def _record(self, recv_ns: Ns, payload: bytes) -> None:
        self._writer.add(recv_ns, payload)

    def _saw(self, events: Iterable[MarketEvent]) -> None:
        self._writer.saw(events)

    def _keep(self, recv_ns: Ns, note: Note) -> None:
        """Into the recording, at the place where it became known."""
        self._writer.add(recv_ns, note.encoded())

    def _rows(self) -> Iterator[list[Row]]:
        self._writer = RecordingWriter(
            self.directory / "recording",
            kind=self._kind,
            source=f"{self._hosts.stream} {', '.join(self._live.symbols)}, {self._live.depth} levels",
            instruments=self.instruments,
            seed=self._seed,
            config=self._reloader.scenario.config,
        )
        made: queue.SimpleQueue[list[Row] | BaseException | None] = queue.SimpleQueue()
        shell = threading.Thread(target=self._shell, args=(made.put,), name="shell")
        shell.start()
        try:
            while isinstance(item := made.get(), list):
                yield item
        except BaseException:
            self._player.halt("nobody reads the run any longer")
            raise
        finally:
            shell.join()
        if item is not None:
            raise item

    def _shell(self, put: Callable[[list[Row] | BaseException | None], None]) -> None:
        """The shell's thread. What ends it is handed on, and then nothing."""
        try:
            run(self._main(put))
        except BaseException as error:  # noqa: BLE001 (raised again by whoever iterates the run)
            put(error)
        put(None)

    async def _main(self, put: Callable[[list[Row]], None]) -> None:
        """Connect, tick and record until the run is over."""
        writer = self._writer
        try:
            await self._connected(put)
        except OutputError as error:
            writer.abandon(str(error))
            raise
        except MmbotError as error:
            writer.finish("failed", str(error))
            raise
        self._recorded = writer.finish("complete")

    async def _connected(self, put: Callable[[list[Row]], None]) -> None:
        """Tick while everything is connected."""
        async with running(self._connector) as public:
            await self._tick(put, {public})

    async def _tick(self, put: Callable[[list[Row]], None], connected: set[asyncio.Task[None]]) -> None:
        """Tick until the run is over, and write meanwhile. Raises what ends a connector."""
        ticking = asyncio.create_task(self._player.run(put))
        try:
            while not ticking.done():
                await asyncio.wait(
                    {ticking, *connected}, timeout=_WRITE_EVERY_S, return_when=asyncio.FIRST_COMPLETED
                )
                for ended in connected:
                    if ended.done():
                        ended.result()
                await self._write()
                await self._follow()
            ticking.result()
        finally:
            ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticking

    def rollback(self, reason: str) -> None:
        """The same, and the rollout's log says so: it is over. Where it cannot be written, the run rolls
        back all the same, and its rows say so.
        """
        follower = self._follower
        try:
            if follower is not None:
                follower.rolled_back(reason)
        finally:
            super().rollback(reason)

    def beat(self) -> None:
        """Whoever judges this run is alive: called after every batch of rows, heard once a second."""
        if self._follower is not None:
            self._follower.beat(stopwatch())

    async def _follow(self) -> None:
        """Do what the rollout says now, if there is one."""
        if self._follower is not None:
            wanted = await asyncio.to_thread(self._follower.look, stopwatch())
            if wanted is not None:
                self.follow(*wanted)

    async def _write(self) -> None:
        """What waits, in a thread of its own: a slow disk delays no tick."""
        await asyncio.to_thread(self._writer.write, self._writer.take())

    @property
    def _ended_ns(self) -> int | None:
        return self._player.end_ns

    def _facts(self) -> dict[str, Any]:
        request = self._request
        return {
            "step": request.step,
            "scenario": request.scenario,
            "part": None,
            "clock": "wall",
            "experiment": None if self._armed is None else self._armed.facts,
            "seed": self._seed,
            "data": self._data(),
        }

    def _data(self) -> dict[str, Any]:
        """What was received; its hash is known when the recording is complete, and empty before."""
        recorded = self._recorded
        files = [] if recorded is None else [f"recording/{file.name}" for file in recorded.files]
        whole = "" if recorded is None else "\n".join(file.sha256 for file in recorded.files)
        feeds = [
            {
                "symbol": instrument.key,
                "venue": instrument.venue,
                "files": [f"recording/{name}" for name in files],
            }
            for instrument in self.instruments
        ]
        return {
            "kind": self.data_kind,
            "sha256": whole and hashlib.sha256(whole.encode()).hexdigest(),
            "feeds": feeds,
            "from": {**msgspec.to_builtins(self._live), "host": self._hosts.stream},
        }


def _follower(request: LiveRequest) -> Follower | None:
    """Of the rollout, where a plan is asked for. Raises ConfigError."""
    if request.plan is None:
        return None
    experiment = open_experiment(request.plan, request.scenario, request.scenarios.parent, live=True)
    folder = RolloutFolder(request.rollouts / experiment.plan.name)
    return Follower(folder, experiment, request.run_id, stopwatch())


class ShadowRun(LiveRun):
    """The venue's market, and a simulated venue for our orders."""

    def _wire(self, duration_ns: int | None, clock: Stopwatch) -> Live:
        settings = in_force(self.settings)
        world = _ShadowMarket(
            self._connector,
            self._saw,
            self.instruments,
            settings.md_cache,
            feature_settings(settings),
            settings.sim,
            self._seed,
        )
        self.engine = build_engine(
            settings,
            self.instruments,
            world.markets,
            arm=self._request.arm,
            clock=clock,
            armed=self._armed,
        )
        times = self._times(duration_ns)
        attach = functools.partial(world.attach, self.engine)
        return Live(self.engine, times, attach, rss_bytes(), self._clock, sleep_until, self._keep)

    def _facts(self) -> dict[str, Any]:
        return {**super()._facts(), "mode": "shadow", "models": models(self.settings.sim, "live")}
