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

**A live run goes on** where its process died (`LiveRequest.resume`), under its name and in its directory,
though its market went on without it and cannot be played again. Kept are: every row that was written, whole
line by whole line; position and money of the shadow account, booked again from its rows (`runtime.remains`;
of real orders, those of the order log); numbers of ticks, orders and fills; reloads; and the time that is
left, since a duration counts what was covered, never an outage. Lost are: books; all that stages and risk
rooms remember (volatility, drawdown, taker share, breaker, the day's loss), which counts anew as after any
start; the simulated venue with the orders in it and what it had not told yet; and of `orders`, `amends`,
`cancels` and the digest what came after the last checkpoint. The time between is an outage in the feed of
events. Each process makes a recording of its own, `recording`, `recording-2`, ...; a later one does not know
the position that it began with, so its replay decides otherwise than the run did.
"""

import asyncio
import contextlib
import dataclasses
import functools
import hashlib
import math
import queue
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from mmbot.model.records import EventRow, Row
from mmbot.net.http import HttpClient
from mmbot.net.loop import run
from mmbot.recording.manifest import RecordedFile
from mmbot.recording.mending import mend
from mmbot.recording.writer import RecordingWriter
from mmbot.runtime import checkpoint
from mmbot.runtime.arming import WHY_FIXED, Armed, open_experiment
from mmbot.runtime.assemble import build_engine, feature_settings
from mmbot.runtime.checkpointed import CheckpointedRun
from mmbot.runtime.kept_run import models, rss_bytes
from mmbot.runtime.live import Live, WallTimes
from mmbot.runtime.live_request import LiveRequest, live_document
from mmbot.runtime.player import Counts
from mmbot.runtime.record import VENUES, kind_of, running
from mmbot.runtime.reload import Reload, Reloader, Sources
from mmbot.runtime.remains import Remains, read_remains
from mmbot.runtime.rollout_folder import Follower, RolloutFolder
from mmbot.runtime.run import planned_duration_ns
from mmbot.runtime.shadow_world import ShadowWorld
from mmbot.telemetry.feeds import FeedWriter
from mmbot.telemetry.tails import cut_tails, whole_lines
from mmbot.units import MS, SECOND, Ns
from mmbot.venues.bybit import instruments as bybit
from mmbot.venues.bybit.connector import PublicConnector, fetch_instruments
from mmbot.venues.bybit.hosts import hosts

_WRITE_EVERY_S = 0.5
_RECORDING = "recording"
_ORDERS_APART = 1_000_000_000
"""Between the numbers that two processes give to orders of one run: those of the last tick stand nowhere."""


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


class LiveRun(CheckpointedRun):
    """A run on the wall clock. Opened: the venue was asked for its instruments. Iterate once to play it."""

    mode: str
    writes_at_once = True
    _player: Live

    def __init__(self, request: LiveRequest, clock: Stopwatch = stopwatch) -> None:
        """Raises ConfigError; TransportError and RemoteProtocolError for a venue that does not answer; of a
        run that goes on, RecordingError and OutputError for rows that cannot be believed.
        """
        self._follower = _follower(request)
        follower = self._follower
        armed = None if follower is None else Armed(follower.experiment, follower.course)
        reloader = self._reloader_of(Sources(tuple(request.config), request.scenario, request.scenarios))
        super().__init__(
            request.run_id,
            request.directory,
            request.arm,
            reloader,
            resume=request.resume,
            checkpoint_interval_s=reloader.settings.telemetry.checkpoint_interval_s,
            armed=armed,
        )
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
        self._recorded: list[RecordedFile] | None = None
        self._before = self._take_up() if request.resume else None
        self._player = self._wire(self._left_ns(duration_ns), clock)
        if self._before is not None:
            self._go_on(self._before)

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
            broken_off_ns=None if self._before is None else self._before.remains.newest_ns,
        )

    def _record(self, recv_ns: Ns, payload: bytes) -> None:
        self._writer.add(recv_ns, payload)

    def _saw(self, events: Iterable[MarketEvent]) -> None:
        self._writer.saw(events)

    def _keep(self, recv_ns: Ns, note: Note) -> None:
        """Into the recording, at the place where it became known."""
        self._writer.add(recv_ns, note.encoded())

    def _rows(self) -> Iterator[list[Row]]:
        begun = len(self._recordings())
        self._writer = RecordingWriter(
            self.directory / (f"{_RECORDING}-{begun + 1}" if begun else _RECORDING),
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
        writer.finish("complete")
        self._recorded = await asyncio.to_thread(self._mended)

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

    def _mended(self) -> list[RecordedFile]:
        """The files of all recordings, after what killed processes left of theirs was made whole. Raises
        RecordingError and OutputError.
        """
        return [
            msgspec.structs.replace(file, name=f"{folder.name}/{file.name}")
            for folder in self._recordings()
            for file in mend(folder)[0].files
        ]

    def _recordings(self) -> list[Path]:
        """Those that are there, in order."""
        return sorted(self.directory.glob(f"{_RECORDING}*"), key=lambda path: (len(path.name), path.name))

    def suspend(self, reason: str) -> None:
        """Halt, and keep the checkpoint: the run can go on as if it had been killed."""
        if self._player.halt_reason is None:
            self._player.suspend_asked = reason
        self.halt(reason)

    def _reload(self, told: Callable[[Reload], None] | None, now_ns: int) -> EventRow:
        self._next_checkpoint_ns = 0  # a run goes on with the settings that its checkpoint knows
        return super()._reload(told, now_ns)

    def _wrote(self, writer: FeedWriter) -> None:
        went_on_ns, now_ns = self._player.went_on_ns, self._clock()
        if went_on_ns != self.resumed_ns:
            self.resumed_ns = went_on_ns
            self._write_manifest("running", None)
        if self.started_ns is None or not self._checkpoint_ns:
            return
        if now_ns >= self._next_checkpoint_ns or self._player.halt_reason is not None:
            self._save(writer, now_ns)

    def _state(self) -> dict[str, Any]:
        return {
            "started_ns": self.started_ns,
            "counts": dataclasses.replace(self.counts),
            "digest": self.digest,
            "reloads": self._reloads,
            "first_settings": self._first_settings,
        }

    def _asked(self) -> dict[str, Any]:
        return live_document(self._request, self.mode)

    def _take_up(self) -> "_Before":
        """What was there before. Nothing on the disk changes before everything was checked."""
        header, packed = self._claimed()
        state = checkpoint.restored(packed, {})
        remains = read_remains(self.directory, self.instruments)
        if self._clock() <= remains.newest_ns:
            raise ConfigError(
                f"{self.directory}: cannot be resumed: its newest row is of {remains.newest_ns} ns, "
                f"the clock says {self._clock()}"
            )
        self._reloads, self._first_settings = state["reloads"], state["first_settings"]
        self._written = whole_lines(self.directory, header.feeds)
        torn = cut_tails(self.directory, self._written)
        told = {resume["first_tick_ns"]: resume for resume in checkpoint.resumes(self.directory)}
        return _Before(
            started_ns=state["started_ns"],
            counts=dataclasses.replace(
                state["counts"],
                ticks=remains.ticks,
                dropped_ticks=remains.dropped_ticks,
                fills=remains.fills,
                rejects=remains.rejects,
                outages=len(remains.outages),
            ),
            digest=state["digest"],
            remains=remains,
            resumes=[
                told.get(outage.until_ns) or _resume(outage.until_ns, outage.from_ns, {})
                for outage in remains.outages
            ],
            torn=torn,
        )

    def _left_ns(self, duration_ns: int | None) -> int | None:
        """Of the duration, what was not covered yet; a tick at least, at which the run can end."""
        before = self._before
        if duration_ns is None or before is None:
            return duration_ns
        left_ns = duration_ns - self.played_ns(0)
        return max(left_ns, round(self.settings.pipeline.tick_interval_ms * MS))

    def _go_on(self, before: "_Before") -> None:
        """Engine and world count on from there."""
        self._player.counts = before.counts
        for key, bot in self.engine.bots.items():
            bot.number_ticks_behind(before.remains.seqs[key])

    def _identity(self) -> dict[str, str]:
        request = self._request
        return {
            "run": self.run_id,
            "step": request.step,
            "mode": self.mode,
            "scenario": request.scenario,
            "arm": request.arm,
            "seed": str(self._seed),
            "duration": f"{self.planned_ns} ns",
            "symbols": ", ".join(instrument.key for instrument in self.instruments),
            "market": f"{_sha256(self._reloader.scenario)} at {self._hosts.stream}",
            "instruments": _sha256(self.instruments),
            "configuration": self.settings.sha256(),
            **checkpoint.code_facts(),
        }

    @property
    def started_ns(self) -> int | None:
        return self._player.started_ns if self._before is None else self._before.started_ns

    def played_ns(self, now_ns: int) -> int:
        before = self._before
        if before is None:
            return super().played_ns(now_ns)
        since_ns = 0 if self.resumed_ns is None else now_ns - self.resumed_ns
        return before.remains.covered_ns(before.started_ns) + since_ns

    @property
    def digest(self) -> str:
        """Of a run that went on: a hash over what its last checkpoint knew, and what was decided since."""
        before, own = self._before, self._player.digest
        return own if before is None else hashlib.sha256(f"{before.digest} {own}".encode()).hexdigest()

    @property
    def _ended_ns(self) -> int | None:
        return self._player.end_ns

    def _facts(self) -> dict[str, Any]:
        request = self._request
        return {
            "step": request.step,
            "scenario": request.scenario,
            "part": None,
            "mode": self.mode,
            "clock": "wall",
            "experiment": None if self._armed is None else self._armed.facts,
            "seed": self._seed,
            "data": self._data(),
            "resumes": self._resumes(),
        }

    def _resumes(self) -> list[dict[str, Any]]:
        before = self._before
        if before is None:
            return []
        if self.resumed_ns is None:
            return before.resumes
        return [*before.resumes, _resume(self.resumed_ns, before.remains.newest_ns, before.torn)]

    def _data(self) -> dict[str, Any]:
        """What was received; its hash is known when the recording is complete, and empty before."""
        recorded = self._recorded or []
        whole = "\n".join(file.sha256 for file in recorded)
        feeds = [
            {
                "symbol": instrument.key,
                "venue": instrument.venue,
                "files": [file.name for file in recorded],
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


@dataclass(frozen=True, slots=True)
class _Before:
    """Of a run that goes on: what the processes before came to."""

    started_ns: int
    counts: Counts
    digest: str
    remains: Remains
    resumes: list[dict[str, Any]]
    torn: dict[str, int]


def _resume(first_tick_ns: int, outage_from_ns: int, torn_rows: dict[str, int]) -> dict[str, Any]:
    return {"first_tick_ns": first_tick_ns, "outage_from_ns": outage_from_ns, "torn_rows": torn_rows}


def _sha256(facts: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(facts)).hexdigest()


class ShadowRun(LiveRun):
    """The venue's market, and a simulated venue for our orders."""

    mode = "shadow"

    def _wire(self, duration_ns: int | None, clock: Stopwatch) -> Live:
        settings = in_force(self.settings)
        self._world = _ShadowMarket(
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
            self._world.markets,
            arm=self._request.arm,
            clock=clock,
            armed=self._armed,
        )
        times = self._times(duration_ns)
        attach = functools.partial(self._world.attach, self.engine)
        return Live(self.engine, times, attach, rss_bytes(), self._clock, sleep_until, self._keep)

    def _go_on(self, before: _Before) -> None:
        super()._go_on(before)
        orders = (len(before.resumes) + 1) * _ORDERS_APART
        for key, bot in self.engine.bots.items():
            bot.resume(before.remains.positions[key], orders)
            self._world.number_fills_behind(key, before.remains.fill_ids[key])

    def _facts(self) -> dict[str, Any]:
        return {**super()._facts(), "models": models(self.settings.sim, "live")}
