"""One run: scenario and settings in, a run directory out. What `mmbot run` and the gates both drive.

The directory holds a manifest (written when the run starts, and again when it ends) and the feeds. A run that
dies leaves a manifest that says so.
"""

import contextlib
import functools
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import msgspec
import psutil

from mmbot.clock import Stopwatch, stopwatch
from mmbot.config.flags import in_force
from mmbot.config.scenario import Scenario, load_scenario
from mmbot.config.settings import Settings
from mmbot.engine.engine import Engine
from mmbot.errors import ConfigError, MmbotError, OutputError
from mmbot.model.instrument import Instrument
from mmbot.model.records import EventRow, Row
from mmbot.runtime import provenance
from mmbot.runtime.assemble import build_engine, feature_settings, plain_markets
from mmbot.runtime.filtered import FilteredReplay
from mmbot.runtime.plain_world import PlainWorld
from mmbot.runtime.player import Counts
from mmbot.runtime.reload import Reload, Reloader, Sources
from mmbot.runtime.replay import Replay, Times
from mmbot.runtime.tape import Part, Tape, cache_folder, open_tape, parts_of
from mmbot.runtime.world import FillSeen, World
from mmbot.telemetry.feeds import Batch, FeedWriter
from mmbot.units import MS, SECOND

SCHEMA = 1


_WORTH_COMPILING = 500_000
"""Rows and ticks: below, importing numba and loading the kernel take longer than they save."""


_WHY_FIXED = "with the wake filter no settings change while running: symbols sleep through ticks"


class EngineKind(StrEnum):
    """What a replay is played in. Orders, fills and rows are the same."""

    AUTO = "auto"
    PLAIN = "plain"
    COMPILED = "compiled"


class Observer(Protocol):
    """Sees rows as they are written; for progress and closing tables."""

    def rows(self, rows: Sequence[Row]) -> None: ...


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What to run and where to write it. `duration_s`: None = the scenario's own, inf = the whole tape.
    `part`: the name of a part of the scenario, None = all of it at once.
    """

    scenario: str
    scenarios: Path
    config: list[Path]
    data: Path | None
    run_id: str
    directory: Path
    step: str = "run"
    arm: str = "A"
    duration_s: float | None = None
    seed: int | None = None
    engine: EngineKind = EngineKind.AUTO
    wake_filter: bool = False
    part: str | None = None


class Run:
    """Opened: everything was validated and the market is at hand. Iterate once to play it."""

    def __init__(self, request: RunRequest, clock: Stopwatch = stopwatch) -> None:
        self.sources = Sources(tuple(request.config), request.scenario, request.scenarios)
        self._reloader = Reloader(self.sources, _WHY_FIXED if request.wake_filter else None)
        scenario = self._reloader.scenario
        self._request = request
        part = None if request.part is None else _part(scenario, request)
        self.tape: Tape = open_tape(scenario, request.scenario, request.data, cache_folder(), part)
        self._seed = scenario.seed if request.seed is None else request.seed
        self._duration_ns = duration_ns = _duration_ns(request.duration_s, scenario.duration_ns)
        self._first_settings = self._reloader.settings
        self.engine, world = self._wire(clock)
        process = psutil.Process()
        self._replay = (FilteredReplay if request.wake_filter else Replay)(
            self.engine,
            Times(
                first_ns=max(feed.columns.meta.first_ns for feed in self.tape.feeds),
                tape_end_ns=self.tape.last_ns,
                tick_ns=round(self.settings.pipeline.tick_interval_ms * MS),
                sample_ns=round(self.settings.telemetry.sample_interval_s * SECOND),
                duration_ns=duration_ns,
            ),
            world,
            lambda: int(process.memory_info().rss),
        )
        self.observers: list[Observer] = []
        self._halted: str | None = None
        self._reloads: list[Reload] = []
        """Those that changed something."""

    @property
    def run_id(self) -> str:
        return self._request.run_id

    @property
    def directory(self) -> Path:
        return self._request.directory

    @property
    def settings(self) -> Settings:
        """As written, and in force now."""
        return self._reloader.settings

    def _wire(self, clock: Stopwatch) -> tuple[Engine, Callable[[FillSeen], World]]:
        """Engine and world: in the kernel or in ordinary Python, which decide and trade the same."""
        settings, tape, arm = in_force(self.settings), self.tape, self._request.arm
        instruments = [feed.instrument for feed in tape.feeds]
        if self._compiled():
            from mmbot.runtime.compiled_world import CompiledWorld  # noqa: PLC0415 (numba costs 0.6 s to import)

            features = feature_settings(settings)
            cache, sim = settings.md_cache, settings.sim
            compiled = CompiledWorld(tape.feeds, cache, features, sim, self._drawing_seed)
            engine = build_engine(settings, instruments, compiled.markets, arm=arm, clock=clock)
            return engine, functools.partial(compiled.attach, engine)
        markets = plain_markets(settings, instruments)
        engine = build_engine(settings, instruments, markets, arm=arm, clock=clock)
        return engine, functools.partial(PlainWorld, tape, engine, settings.sim, self._drawing_seed)

    @property
    def _drawing_seed(self) -> int:
        """Each part draws its latencies apart from the others, by its name: whoever plays it, and when."""
        part = self._request.part
        if part is None:
            return self._seed
        return int.from_bytes(hashlib.sha256(f"{self._seed} {part}".encode()).digest()[:8])

    def _compiled(self) -> bool:
        """Use the kernel? `auto`: where it saves more than loading costs, and where it knows the models."""
        asked, sim = self._request.engine, self.settings.sim
        if asked is not EngineKind.AUTO:
            return asked is EngineKind.COMPILED
        rows = sum(len(feed.columns) for feed in self.tape.feeds)
        ticks = self.planned_ns / MS / self.settings.pipeline.tick_interval_ms * len(self.tape.feeds)
        return rows + ticks > _WORTH_COMPILING and sim.market_data.model == "constant"

    @property
    def counts(self) -> Counts:
        return self._replay.counts

    @property
    def started_ns(self) -> int | None:
        """Virtual time of the first tick; None before it."""
        return self._replay.started_ns

    @property
    def planned_ns(self) -> int:
        """How much virtual time the run will cover: what was asked for, or what the tape has."""
        tape_ns = self.tape.last_ns - max(feed.columns.meta.first_ns for feed in self.tape.feeds)
        return tape_ns if self._duration_ns is None else min(tape_ns, self._duration_ns)

    @property
    def digest(self) -> str:
        return self._replay.digest

    def halt(self, reason: str) -> None:
        """Stop at the next tick with quotes pulled; the manifest says why."""
        self._halted = self._halted or reason
        self._replay.halt(reason)

    def reload(self, told: Callable[[Reload], None] | None = None) -> None:
        """Before the next tick, read the configuration again and put it in force, or refuse it and go on.
        `told` hears what came of it, at once; the feed of events and the manifest say it, too.

        Does nothing but take the wish: a signal's handler may call it.
        """
        self._replay.between_ticks(functools.partial(self._reload, told))

    def _reload(self, told: Callable[[Reload], None] | None, now_ns: int) -> EventRow:
        reload = self._reloader.reload(now_ns, self.engine)
        if reload.changed and not reload.refused:
            self._reloads.append(reload)
            self._write_manifest("running", None)
        if told is not None:
            told(reload)
        return reload.row

    def __iter__(self) -> Iterator[Batch]:
        """Batches of (feed, bytes written), in time order. Raises OutputError for a directory that cannot be
        written.
        """
        request = self._request
        try:
            request.directory.mkdir(parents=True)
        except OSError as error:
            raise OutputError(
                f"{request.directory}: run directory cannot be made: {error.strerror}"
            ) from error
        self._write_manifest("running", None)
        try:
            yield from self._play()
        except BaseException as error:
            reason = str(error) if isinstance(error, MmbotError) else f"{type(error).__name__}: {error}"
            self._write_manifest("failed", reason)
            raise
        self._write_manifest("halted" if self._halted else "complete", self._halted)

    def _play(self) -> Iterator[Batch]:
        request = self._request
        writer = FeedWriter(
            request.directory, run_id=request.run_id, arm=request.arm, data_kind=self.tape.kind
        )
        with contextlib.closing(writer):
            for index, rows in enumerate(self._replay.run()):
                if index == 0:
                    writer.touch(rows[0].ts_ns)
                for observer in self.observers:
                    observer.rows(rows)
                yield from writer.write(rows)

    def _write_manifest(self, status: str, reason: str | None) -> None:
        path = self._request.directory / "manifest.json"
        partial = path.with_suffix(".partial")
        text = msgspec.json.format(msgspec.json.encode(self._manifest(status, reason)), indent=1)
        try:
            partial.write_bytes(text + b"\n")
            partial.replace(path)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error

    def _manifest(self, status: str, reason: str | None) -> dict[str, Any]:
        request, replay, sim = self._request, self._replay, self.settings.sim
        recorded = all(feed.exchange_clock for feed in self.tape.feeds)
        market_data = "recorded in the tape" if recorded else sim.market_data.name
        return {
            "schema": SCHEMA,
            "run_id": request.run_id,
            "step": request.step,
            "scenario": request.scenario,
            "part": request.part,
            "arm": request.arm,
            "mode": "replay",
            "clock": "virtual",
            "status": status,
            "reason": reason,
            "started_ns": replay.started_ns,
            "ended_ns": None if status == "running" else replay.end_ns,
            "seed": self._seed,
            "data": self._data(),
            "config": msgspec.to_builtins(self._first_settings),
            "config_sha256": self._first_settings.sha256(),
            "configs": self._configs(),
            "code": provenance.code(),
            "host": provenance.host(),
            "models": {
                "queue": sim.queue.name,
                "order_entry_latency": sim.entry.name,
                "order_response_latency": sim.response.name,
                "resync_latency": sim.resync.name,
                "market_data_latency": market_data,
                "market_impact": "none",
            },
            "instruments": [_instrument(feed.instrument) for feed in self.tape.feeds],
            "counts": msgspec.to_builtins(replay.counts),
            "run_digest": self.digest,
        }

    def _configs(self) -> list[dict[str, Any]]:
        """Every configuration that was in force, in order, the first being `config`."""
        first: dict[str, Any] = {
            "first_tick_ns": self._replay.started_ns,
            "config_sha256": self._first_settings.sha256(),
            "changed": {},
        }
        return [
            first,
            *(
                {
                    "first_tick_ns": reload.ts_ns,
                    "config_sha256": reload.found_sha256,
                    "changed": reload.changed,
                }
                for reload in self._reloads
            ),
        ]

    def _data(self) -> dict[str, Any]:
        feeds = [
            {
                "symbol": feed.instrument.key,
                "venue": feed.instrument.venue,
                "files": feed.files,
                "sha256": feed.sha256,
                "frames": feed.columns.meta.frames,
                "first_ns": feed.columns.meta.first_ns,
                "last_ns": feed.columns.meta.last_ns,
            }
            for feed in self.tape.feeds
        ]
        whole = hashlib.sha256("\n".join(feed.sha256 for feed in self.tape.feeds).encode()).hexdigest()
        return {"kind": self.tape.kind, "sha256": whole, "feeds": feeds}


def part_names(scenario: str, scenarios: Path, data: Path | None) -> list[str]:
    """The parts that a scenario is cut into, in a fixed order; none for one that is played whole."""
    opened, _ = load_scenario(scenario, scenarios)
    return [part.name for part in parts_of(opened, scenario, data, cache_folder())]


def _part(scenario: Scenario, request: RunRequest) -> Part:
    parts = parts_of(scenario, request.scenario, request.data, cache_folder())
    for part in parts:
        if part.name == request.part:
            return part
    known = ", ".join(part.name for part in parts) or "none"
    raise ConfigError(f"scenario {request.scenario}: part was {request.part!r}, expected one of: {known}")


def _instrument(instrument: Instrument) -> dict[str, Any]:
    return {
        "symbol": instrument.key,
        "venue": instrument.venue,
        "tick_size": instrument.tick_size,
        "lot_size": instrument.lot_size,
        "min_lots": instrument.min_lots,
        "max_lots": instrument.max_lots,
        "contract": instrument.contract.value,
        "contract_value": instrument.contract_value,
        "base": instrument.base,
        "quote": instrument.quote,
        "fee_tier": instrument.fees.tier,
        "maker_fee_bps": instrument.fees.maker_bps,
        "taker_fee_bps": instrument.fees.taker_bps,
    }


def _duration_ns(asked_s: float | None, scenario_ns: int) -> int | None:
    """None: as long as the tape is."""
    if asked_s is None:
        return scenario_ns
    return None if math.isinf(asked_s) else round(asked_s * SECOND)
