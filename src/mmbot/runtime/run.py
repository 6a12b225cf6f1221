"""A replay: scenario and settings in, a run directory out. What `mmbot run` and the gates both drive."""

import functools
import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mmbot.clock import Stopwatch, stopwatch
from mmbot.config.flags import in_force
from mmbot.config.scenario import Scenario, load_scenario
from mmbot.engine.engine import Engine
from mmbot.errors import ConfigError, RecordingError
from mmbot.experiment.arms import BASELINE
from mmbot.experiment.plan import Stage
from mmbot.model.records import Row
from mmbot.runtime import checkpoint
from mmbot.runtime.arming import WHY_FIXED, Armed, open_experiment, plan_again, plan_document
from mmbot.runtime.assemble import build_engine, feature_settings, plain_markets
from mmbot.runtime.checkpointed import CheckpointedRun
from mmbot.runtime.faults import Fault, injected, parse_fault
from mmbot.runtime.filtered import FilteredReplay
from mmbot.runtime.kept_run import models, rss_bytes
from mmbot.runtime.plain_world import PlainWorld
from mmbot.runtime.reload import Reloader, Sources
from mmbot.runtime.replay import Replay, Times
from mmbot.runtime.tape import Part, Tape, cache_folder, held_ns, open_tape, parts_of
from mmbot.runtime.world import FillSeen, World
from mmbot.telemetry.feeds import FeedWriter
from mmbot.telemetry.tails import cut_tails
from mmbot.units import HOUR, MS, SECOND

if TYPE_CHECKING:
    from mmbot.kernels.context import Context

WORTH_COMPILING = 500_000
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
    `horizon_s`: how long it may last instead, until somebody finishes it, as far as the tape goes; None = no
    longer. `part`: the name of a part of the scenario, None = all of it at once. `faults`: put into a copy of
    the tape.
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
    horizon_s: float | None = None
    seed: int | None = None
    engine: EngineKind = EngineKind.AUTO
    wake_filter: bool = False
    part: str | None = None
    faults: tuple[Fault, ...] = ()
    plan: Path | None = None
    """Play both arms of this experiment, in place of `arm`: `config` is that of its arm A, `stage` a live
    stage of it, whose schedule begins with the first tick.
    """
    stage: Stage | None = None
    resume: bool = False
    """Go on with what an interrupted run left in `directory`."""
    plan_hash: str | None = None
    """Of the experiment whose arm it plays."""


class Run(CheckpointedRun):
    """A replay, opened: everything was validated and the market is at hand. Iterate once to play it.

    One that is resumed is where its checkpoint was once it is opened: the rows behind are out of the feeds.
    """

    def __init__(self, request: RunRequest, clock: Stopwatch = stopwatch) -> None:
        sources = Sources(tuple(request.config), request.scenario, request.scenarios)
        armed = _armed(request)
        why_fixed = _WHY_FIXED if request.wake_filter else None if armed is None else WHY_FIXED
        reloader = Reloader(sources, why_fixed)
        interval_s = 0 if request.wake_filter else reloader.settings.telemetry.checkpoint_interval_s
        super().__init__(
            request.run_id,
            request.directory,
            request.arm,
            reloader,
            resume=request.resume,
            checkpoint_interval_s=interval_s,
            armed=armed,
        )
        scenario = reloader.scenario
        self._request = request
        part = None if request.part is None else _part(scenario, request)
        tape = open_tape(scenario, request.scenario, request.data, cache_folder(), part)
        self._market_data_recorded = all(feed.exchange_clock for feed in tape.feeds)
        self.tape: Tape = injected(tape, request.faults, self.settings.sim.market_data)
        self.instruments = [feed.instrument for feed in tape.feeds]
        self.data_kind = tape.kind
        self._seed = scenario.seed if request.seed is None else request.seed
        there_ns = held_ns(scenario, self.tape)
        asked_ns = planned_duration_ns(request.duration_s, scenario.duration_ns)
        _check_held(request, asked_ns, there_ns)
        duration_ns = (
            there_ns if asked_ns is None else max(asked_ns, round((request.horizon_s or 0) * SECOND))
        )
        self.planned_ns = min(there_ns, duration_ns)
        self._contexts: dict[str, Context] = {}
        self.engine, world = self._wire(clock)
        rss = rss_bytes()
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
            rss,
            self.tape.timing,
        )
        self._owned = self._owned_by_process(clock, rss)
        self._resumes: list[dict[str, Any]] = []
        if request.resume:
            self._take_up()

    def _wire(self, clock: Stopwatch) -> tuple[Engine, Callable[[FillSeen], World]]:
        """Engine and world: in the kernel or in ordinary Python, which decide and trade the same."""
        settings, tape, arm = in_force(self.settings), self.tape, self._request.arm
        instruments = self.instruments
        if self._compiled():
            from mmbot.runtime.compiled_world import CompiledWorld  # noqa: PLC0415 (numba costs 0.6 s to import)

            features = feature_settings(settings)
            cache, sim = settings.md_cache, settings.sim
            compiled = CompiledWorld(tape.feeds, cache, features, sim, self._drawing_seed)
            self._contexts = compiled.contexts
            engine = build_engine(
                settings, instruments, compiled.markets, arm=arm, clock=clock, armed=self._armed
            )
            return engine, functools.partial(compiled.attach, engine)
        markets = plain_markets(settings, instruments)
        engine = build_engine(settings, instruments, markets, arm=arm, clock=clock, armed=self._armed)
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
        return rows + ticks > WORTH_COMPILING and sim.market_data.model == "constant"

    def suspend(self, reason: str) -> None:
        if self._checkpoint_ns:
            self._player.suspend_asked = self._player.suspend_asked or reason
        else:
            self.halt(reason)

    def unkept(self) -> Iterator[list[Row]]:
        """Play it once and keep nothing: rows in time order, a batch at a time. No directory, no
        checkpoint, no alert.
        """
        return self._rows()

    def _rows(self) -> Iterator[list[Row]]:
        return self._player.run()

    def _wrote(self, writer: FeedWriter) -> None:
        position, reason = self._player.position, self._player.suspend_asked
        if not self._checkpoint_ns or position is None:
            return
        if position[0] >= self._next_checkpoint_ns or reason is not None:
            self._save(writer, position[0])
            writer.close_days(position[0])  # after it: it needs no more than the rows
        if reason is not None:
            self.halt(reason)

    def _state(self) -> dict[str, Any]:
        return {
            "player": self._player,
            "contexts": {key: context.state() for key, context in self._contexts.items()},
            "reloads": self._reloads,
            "first_settings": self._first_settings,
        }

    def _asked(self) -> dict[str, Any]:
        return _document(self._request)

    def _take_up(self) -> None:
        """Be where the checkpoint was. Nothing on the disk changes before everything was checked."""
        header, packed = self._claimed()
        state = checkpoint.restored(packed, self._owned)
        self._player = state["player"]
        self.engine = self._player.engine
        for key, context in self._contexts.items():
            context.restore(state["contexts"][key])
        self._reloads, self._first_settings = state["reloads"], state["first_settings"]
        self._written = header.feeds
        self._next_checkpoint_ns = self._after(header.ts_ns)
        self.resumed_ns = header.ts_ns
        torn = cut_tails(self.directory, header.feeds)
        self._resumes = [
            *checkpoint.resumes(self.directory),
            {"first_tick_ns": header.ts_ns, "torn_rows": torn},
        ]

    def _identity(self) -> dict[str, str]:
        request, scenario = self._request, msgspec.json.encode(self._reloader.scenario)
        return {
            "run": self.run_id,
            "step": request.step,
            "scenario": request.scenario,
            "part": str(request.part),
            "arm": request.arm,
            "plan": str(request.plan_hash),
            "seed": str(self._seed),
            "duration": f"{self.planned_ns} ns",
            "engine": "compiled" if self._contexts else "plain",
            "injected": " ".join(fault.text for fault in request.faults),
            "market": f"{hashlib.sha256(scenario).hexdigest()} on {self._data()['sha256']}",
            "configuration": self.settings.sha256(),
            "experiment": "none"
            if self._armed is None
            else f"{request.stage} of {self._armed.facts['plan_hash']}",
            **checkpoint.code_facts(),
        }

    def _owned_by_process(self, clock: Stopwatch, rss: Callable[[], int]) -> dict[str, object]:
        """What a checkpoint leaves out, by name."""
        owned: dict[str, object] = {"clock": clock, "rss": rss}
        owned |= {f"columns {feed.instrument.key}": feed.columns for feed in self.tape.feeds}
        owned |= {f"feed {feed.instrument.key}": feed for feed in self.tape.feeds}
        for key, context in self._contexts.items():
            owned |= {f"{name} {key}": thing for name, thing in context.owned.items()}
        return owned

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
            "resumes": self._resumes,
            "experiment": self._experiment,
        }

    @property
    def _experiment(self) -> dict[str, Any] | None:
        """For the manifest: what it plays of which plan."""
        if self._armed is not None:
            return self._armed.facts
        plan_hash = self._request.plan_hash
        return None if plan_hash is None else {"plan_hash": plan_hash}

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


def interrupted(directory: Path) -> RunRequest:
    """How to go on with the run that was interrupted in this directory, as it was asked for. Raises
    ConfigError.
    """
    header, _ = checkpoint.read(directory)
    return _request(header.request, directory)


def _document(request: RunRequest) -> dict[str, Any]:
    """A request as JSON that can be read from any working directory."""
    return {
        "scenario": request.scenario,
        "scenarios": str(request.scenarios.resolve()),
        "config": [str(path.resolve()) for path in request.config],
        "data": None if request.data is None else str(request.data.resolve()),
        "run_id": request.run_id,
        "step": request.step,
        "arm": request.arm,
        "duration_s": "all" if request.duration_s == math.inf else request.duration_s,
        "horizon_s": request.horizon_s,
        "seed": request.seed,
        "engine": str(request.engine),
        "part": request.part,
        **plan_document(request.plan),
        "stage": request.stage,
        "faults": [fault.text for fault in request.faults],
        "plan_hash": request.plan_hash,
    }


def _request(document: dict[str, Any], directory: Path) -> RunRequest:
    return RunRequest(
        scenario=document["scenario"],
        scenarios=Path(document["scenarios"]),
        config=[Path(path) for path in document["config"]],
        data=None if document["data"] is None else Path(document["data"]),
        run_id=document["run_id"],
        directory=directory,
        step=document["step"],
        arm=document["arm"],
        duration_s=math.inf if document["duration_s"] == "all" else document["duration_s"],
        horizon_s=document["horizon_s"],
        seed=document["seed"],
        engine=EngineKind(document["engine"]),
        part=document["part"],
        plan=plan_again(document, directory),
        stage=None if document["stage"] is None else Stage(document["stage"]),
        faults=tuple(map(parse_fault, document["faults"])),
        resume=True,
        plan_hash=document["plan_hash"],
    )


def _armed(request: RunRequest) -> Armed | None:
    """Both arms, where they are asked for. Raises ConfigError."""
    if request.plan is None:
        return None
    if request.stage is None or request.stage is Stage.REPLAY:
        raise ConfigError(f"{request.plan}: stage was {request.stage}, expected 10, 50 or 100")
    if request.wake_filter:
        raise ConfigError(f"{request.plan}: arms change at ticks: expected no wake filter")
    experiment = open_experiment(request.plan, request.scenario, request.scenarios, live=False)
    expected = [path.resolve() for path in experiment.plan.files(BASELINE)]
    if [path.resolve() for path in request.config] != expected:
        found = " ".join(map(str, request.config))
        raise ConfigError(f"{request.plan}: config was {found}, expected that of arm A")
    return Armed(experiment, request.stage)


def part_names(scenario: str, scenarios: Path, data: Path | None) -> list[str]:
    """The parts that a scenario is cut into, in a fixed order; none for one that is played whole."""
    opened, _ = load_scenario(scenario, scenarios)
    return [part.name for part in parts_of(opened, scenario, data, cache_folder())]


def capture_files(scenario: str, scenarios: Path) -> list[str]:
    """The files of a recording that a scenario is made of, below the data folder; none of a generated one."""
    opened, _ = load_scenario(scenario, scenarios)
    return [file for feed in opened.feeds for file in feed.files]


def _part(scenario: Scenario, request: RunRequest) -> Part:
    parts = parts_of(scenario, request.scenario, request.data, cache_folder())
    for part in parts:
        if part.name == request.part:
            return part
    known = ", ".join(part.name for part in parts) or "none"
    raise ConfigError(f"scenario {request.scenario}: part was {request.part!r}, expected one of: {known}")


def _check_held(request: RunRequest, asked_ns: int | None, there_ns: int) -> None:
    """A time that somebody asked for is there. A scenario's own may be longer than its recording: it ends
    there, and gates see how long it was. Raises RecordingError.
    """
    if request.duration_s is not None and asked_ns is not None and asked_ns > there_ns:
        raise RecordingError(
            f"scenario {request.scenario}: holds {there_ns / HOUR:.4g} h of market, was asked for"
            f" {asked_ns / HOUR:.4g} h: no tape is looped"
        )


def planned_duration_ns(asked_s: float | None, scenario_ns: int) -> int | None:
    """None: as long as the tape is."""
    if asked_s is None:
        return scenario_ns
    return None if math.isinf(asked_s) else round(asked_s * SECOND)
