"""A latency tape: a stretch of a market, the same for every process that plays it, on which the pipeline is
timed tick by tick.

What the engine hears (market data, and the answers of a simulated venue to its own orders) is found once, by
a replay of this very code, and then played to several engines that know nothing of each other. All of them
take every event and every tick, so each is in the state that the tick has in a run: no state is copied or put
back, and what a stage keeps, and where, is its own affair. A stage of a microsecond is repeated by the
engines taking the same tick one after the other.

The times are those that the pipeline itself writes into its rows, with the stopwatch that the request brings:
a stopwatch that counts something else than time gets that counted per stage.

Every engine must command the same at a tick, in every pass; the hash of a tick says what that was.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from mmbot.clock import Stopwatch, stopwatch
from mmbot.config.flags import in_force
from mmbot.config.scenario import Scenario
from mmbot.config.settings import Settings
from mmbot.engine.engine import Engine
from mmbot.errors import ConfigError
from mmbot.model.commands import Message, unpacked
from mmbot.model.events import Event, MarketEvent
from mmbot.model.records import TickRow
from mmbot.runtime.assemble import build_engine, fed_markets, plain_markets
from mmbot.runtime.plain_world import PlainWorld
from mmbot.runtime.reload import Sources
from mmbot.runtime.tape import Part, Tape, cache_folder, open_tape
from mmbot.units import MS, SECOND

STAGES = ("fetch_md", "spread", "guards", "inventory", "queue_aware", "emit", "tick_total")
READINGS = (1, 1, 1, 1, 1, 1, 6)
"""How many readings of the stopwatch lie within each stage's time."""
_SPARE_S = 60
"""Market beyond the last tick: a book may take some time to come."""

Step = tuple[str, list[tuple[int, ...]]]
"""A tick: the hash of what it decided, and by engine the time of each stage."""


@dataclass(frozen=True, slots=True)
class LatencyRequest:
    """`lead_ticks` are played before the tape's first, so that features and quotes are those of a run;
    `repeats`: how many engines take each tick. `compiled`: markets are kernels that are fed with events, as
    live, else ordinary Python.
    """

    sources: Sources
    data: Path | None
    seed: int | None = None
    ticks: int = 1_200
    lead_ticks: int = 100
    repeats: int = 4
    compiled: bool = False
    clock: Stopwatch = stopwatch

    def __post_init__(self) -> None:
        for name, least in (("ticks", 1), ("lead_ticks", 0), ("repeats", 1)):
            found = getattr(self, name)
            if isinstance(found, bool) or not isinstance(found, int) or found < least:
                raise ConfigError(f"latency tape: {name} was {found!r}, expected a whole number from {least}")


class _Listening:
    """Stands before an engine and keeps what it hears."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.heard: list[Event] = []

    def step(self, event: Event) -> Sequence[Message]:
        self.heard.append(event)
        return self._engine.step(event)

    def taken(self) -> tuple[Event, ...]:
        """What it heard since the last time."""
        heard, self.heard = tuple(self.heard), []
        return heard


class LatencyTape:
    """The tape, opened. `ticks` and `stages` say what it holds, `sha256` names the market, `kind` its origin;
    `outputs` is what every tick decided.
    """

    stages = STAGES
    readings = READINGS

    def __init__(self, request: LatencyRequest) -> None:
        """Raises ConfigError and RecordingError for what cannot be played."""
        scenario, settings = request.sources.load()
        self._settings, self._request = in_force(settings), request
        self._instrument = scenario.instruments[0]
        tape = _market(scenario, self._settings, request)
        seed = scenario.seed if request.seed is None else request.seed
        self._now_ns, self._events = self._found(tape, seed)
        self.kind = tape.kind
        self.ticks = request.ticks
        self.sha256 = _digest(self._now_ns, self._events)
        self.outputs: list[str | None] = [None] * self.ticks
        self._engines: list[Engine] = []
        self._next = -request.lead_ticks

    def step(self, first: int, stop: int) -> list[Step]:
        """Play ticks [first, stop) from the state that they have in a run: going on where the last step
        ended, else anew from the beginning.

        Raises ConfigError for ticks that are not on the tape, RuntimeError where engines disagree, or decide
        otherwise than in an earlier pass: what is timed would not be the same work.
        """
        if not 0 <= first < stop <= self.ticks:
            raise ConfigError(f"latency tape: step was [{first}, {stop}), expected within [0, {self.ticks})")
        if not self._engines or first != self._next:
            self._engines = [self._engine(self._request.clock) for _ in range(self._request.repeats)]
            self._next = -self._request.lead_ticks
            while self._next < first:
                self._tick()
        return [self._tick() for _ in range(first, stop)]

    def _tick(self) -> Step:
        tick, at = self._next, self._next + self._request.lead_ticks
        engines, events, now_ns = self._engines, self._events[at], self._now_ns[at]
        for engine in engines:
            for event in events:
                engine.step(event)
        commanded = [engine.tick(now_ns) for engine in engines]
        rows = [_row(engine, now_ns) for engine in engines]
        self._next += 1
        if any(commands != commanded[0] for commands in commanded):
            raise RuntimeError(f"latency tape: engines commanded different things at tick {tick}")
        output = _output(commanded[0], rows[0])
        if tick >= 0:
            if self.outputs[tick] not in (None, output):
                raise RuntimeError(f"latency tape: tick {tick} decided otherwise than in an earlier pass")
            self.outputs[tick] = output
        return output, [_times(row) for row in rows]

    def _engine(self, clock: Stopwatch) -> Engine:
        instruments = [self._instrument]
        markets = (fed_markets if self._request.compiled else plain_markets)(self._settings, instruments)
        return build_engine(self._settings, instruments, markets, arm="A", clock=clock)

    def _found(self, tape: Tape, seed: int) -> tuple[list[int], list[tuple[Event, ...]]]:
        """Times of the ticks, lead included, and what the engine heard before each: a replay in the simulated
        venue.
        """
        engine = self._engine(stopwatch)
        ear = _Listening(engine)
        world = PlainWorld(tape, ear, self._settings.sim, seed, _not_counted)
        step_ns = round(self._settings.pipeline.tick_interval_ms * MS)
        now_ns = -(-tape.first_ns // step_ns) * step_ns
        world.advance(now_ns)
        while not engine.ready and now_ns < tape.last_ns:
            now_ns += step_ns
            world.advance(now_ns)
        times: list[int] = []
        heard: list[tuple[Event, ...]] = []
        wanted = self._request.lead_ticks + self._request.ticks
        while len(times) < wanted and now_ns <= tape.last_ns:
            world.advance(now_ns)
            times.append(now_ns)
            heard.append(ear.taken())
            for command in unpacked(engine.tick(now_ns)):
                world.send(now_ns, command)
            engine.drain()
            now_ns += step_ns
        if len(times) < wanted:
            name = self._request.sources.scenario
            raise ConfigError(f"latency tape: scenario {name} has {len(times)} ticks, expected {wanted}")
        return times, heard


def _market(scenario: Scenario, settings: Settings, request: LatencyRequest) -> Tape:
    """What is played: the first symbol, and of a generated market that is no stretch of another only as much
    as the ticks need.
    """
    part = Part(scenario.instruments[0].key)
    if scenario.stretch is not None:
        return open_tape(scenario, request.sources.scenario, request.data, cache_folder(), part)
    ticks_s = (request.lead_ticks + request.ticks) * settings.pipeline.tick_interval_ms * MS / SECOND
    needed_s = ticks_s + _SPARE_S
    markets = [
        replace(spec, settings=replace(spec.settings, duration_s=min(needed_s, spec.settings.duration_s)))
        for spec in scenario.markets
    ]
    short = replace(scenario, markets=markets)
    return open_tape(short, request.sources.scenario, request.data, cache_folder(), part)


def _digest(now_ns: list[int], events: list[tuple[Event, ...]]) -> str:
    """Names the market that is played: every tick's time and every market event before it."""
    digest = hashlib.sha256()
    for at_ns, heard in zip(now_ns, events, strict=True):
        market = [event for event in heard if isinstance(event, MarketEvent)]
        digest.update(repr((at_ns, market)).encode())
    return digest.hexdigest()


def _row(engine: Engine, now_ns: int) -> TickRow:
    rows = [row for row in engine.drain() if isinstance(row, TickRow) and row.ts_ns == now_ns]
    if len(rows) != 1:
        raise ConfigError(f"latency tape: the tick at {now_ns} found no book, expected a tape without gaps")
    return rows[0]


def _times(row: TickRow) -> tuple[int, ...]:
    return (
        row.fetch_md_ns,
        row.spread_ns,
        row.guards_ns,
        row.inventory_ns,
        row.queue_aware_ns,
        row.emit_ns,
        row.tick_total_ns,
    )


def _output(commands: Sequence[Message], row: TickRow) -> str:
    decided = (
        row.cache, row.guard, row.reasons, row.mid, row.bid, row.ask, row.half_spread_bps, row.position
    )  # fmt: skip
    return hashlib.blake2b(repr((commands, decided)).encode(), digest_size=8).hexdigest()


def _not_counted(_fill: object) -> None:
    """A tape counts no fills."""
