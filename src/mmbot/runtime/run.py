"""A replay: scenario and settings in, a run directory out. What `mmbot run` and the gates both drive."""

import functools
import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from mmbot.clock import Stopwatch, stopwatch
from mmbot.config.flags import in_force
from mmbot.config.scenario import Scenario, load_scenario
from mmbot.engine.engine import Engine
from mmbot.errors import ConfigError
from mmbot.model.records import Row
from mmbot.runtime.assemble import build_engine, feature_settings, plain_markets
from mmbot.runtime.faults import Fault, injected
from mmbot.runtime.filtered import FilteredReplay
from mmbot.runtime.kept_run import KeptRun, models, rss_bytes
from mmbot.runtime.plain_world import PlainWorld
from mmbot.runtime.reload import Reloader, Sources
from mmbot.runtime.replay import Replay, Times
from mmbot.runtime.tape import Part, Tape, cache_folder, open_tape, parts_of
from mmbot.runtime.world import FillSeen, World
from mmbot.units import MS, SECOND

_WORTH_COMPILING = 500_000
"""Rows and ticks: below, importing numba and loading the kernel take longer than they save."""


_WHY_FIXED = "with the wake filter no settings change while running: symbols sleep through ticks"


class EngineKind(StrEnum):
    """What a replay is played in. Orders, fills and rows are the same."""

    AUTO = "auto"
    PLAIN = "plain"
    COMPILED = "compiled"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What to run and where to write it. `duration_s`: None = the scenario's own, inf = the whole tape.
    `part`: the name of a part of the scenario, None = all of it at once. `faults`: put into a copy of the
    tape.
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
    faults: tuple[Fault, ...] = ()


class Run(KeptRun):
    """A replay, opened: everything was validated and the market is at hand. Iterate once to play it."""

    def __init__(self, request: RunRequest, clock: Stopwatch = stopwatch) -> None:
        sources = Sources(tuple(request.config), request.scenario, request.scenarios)
        reloader = Reloader(sources, _WHY_FIXED if request.wake_filter else None)
        super().__init__(request.run_id, request.directory, request.arm, reloader)
        scenario = reloader.scenario
        self._request = request
        part = None if request.part is None else _part(scenario, request)
        tape = open_tape(scenario, request.scenario, request.data, cache_folder(), part)
        self._market_data_recorded = all(feed.exchange_clock for feed in tape.feeds)
        self.tape: Tape = injected(tape, request.faults, self.settings.sim.market_data)
        self.instruments = [feed.instrument for feed in tape.feeds]
        self.data_kind = tape.kind
        self._seed = scenario.seed if request.seed is None else request.seed
        duration_ns = planned_duration_ns(request.duration_s, scenario.duration_ns)
        tape_ns = self.tape.last_ns - self.tape.first_ns
        self.planned_ns = tape_ns if duration_ns is None else min(tape_ns, duration_ns)
        self.engine, world = self._wire(clock)
        self._player: Replay = (FilteredReplay if request.wake_filter else Replay)(
            self.engine,
            Times(
                first_ns=self.tape.first_ns,
                tape_end_ns=self.tape.last_ns,
                tick_ns=round(self.settings.pipeline.tick_interval_ms * MS),
                sample_ns=round(self.settings.telemetry.sample_interval_s * SECOND),
                duration_ns=duration_ns,
            ),
            world,
            rss_bytes(),
            self.tape.timing,
        )

    def _wire(self, clock: Stopwatch) -> tuple[Engine, Callable[[FillSeen], World]]:
        """Engine and world: in the kernel or in ordinary Python, which decide and trade the same."""
        settings, tape, arm = in_force(self.settings), self.tape, self._request.arm
        instruments = self.instruments
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

    def _rows(self) -> Iterator[list[Row]]:
        return self._player.run()

    @property
    def _ended_ns(self) -> int | None:
        return self._player.end_ns

    def _facts(self) -> dict[str, Any]:
        request, sim = self._request, self.settings.sim
        market_data = "recorded in the tape" if self._market_data_recorded else sim.market_data.name
        return {
            "step": request.step,
            "scenario": request.scenario,
            "part": request.part,
            "mode": "replay",
            "clock": "virtual",
            "seed": self._seed,
            "data": self._data(),
            "models": models(sim, market_data),
        }

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
        faults = [fault.text for fault in self._request.faults]
        return {"kind": self.tape.kind, "sha256": whole, "feeds": feeds, "injected": faults}


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


def planned_duration_ns(asked_s: float | None, scenario_ns: int) -> int | None:
    """None: as long as the tape is."""
    if asked_s is None:
        return scenario_ns
    return None if math.isinf(asked_s) else round(asked_s * SECOND)
