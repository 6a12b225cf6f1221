"""One seed, played: a bot that trades live, a venue, and between them everything that the seed's plan holds.

*Safety*: for most of the time faults happen, the bot is killed and started again, halted and resumed, and
after every event the witness looks. *Liveness*: then they end, and within a minute the bot has to quote
again; it does so to the end, when it is halted, and all that it sent has to be resolved.

Whoever operates it is played, too: a process that was killed is started again within seconds, as a supervisor
does; one that ended by itself (a halt, a full disk, a ban) after its cause is gone, as a person does.

Everything follows from the seed: one heap of events on virtual time, no clock, no threads.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from mmbot.config.scenario import SyntheticSpec
from mmbot.config.settings import Settings
from mmbot.errors import OutputError
from mmbot.execution.invariants import InvariantError
from mmbot.model.events import MarketEvent
from mmbot.model.notes import Happened, Note
from mmbot.model.orders import OWN_PREFIXES
from mmbot.model.records import EventRow, Row
from mmbot.runtime.reload import Reload, Reloader, Sources
from mmbot.runtime.simulation.network import Kind, Network
from mmbot.runtime.simulation.process import Process, as_live
from mmbot.runtime.simulation.trace import Trace
from mmbot.runtime.simulation.witness import Truth, ViolationError, Watch
from mmbot.sim.disk import Cut, Killed, SimDisk
from mmbot.sim.event_heap import Act, EventHeap
from mmbot.sim.fault_plan import Episode, Fault, FaultPlan
from mmbot.sim.market import SyntheticMarket
from mmbot.units import MS, SECOND, Ns
from mmbot.venues.credentials import Credentials, Secret
from mmbot.venues.paper.exchange import PaperExchange
from mmbot.venues.paper.settings import ApiKey, PaperSettings
from mmbot.venues.paper.tape import Feed

SIMULATED_NS = 300 * SECOND
LIVENESS_NS = 60 * SECOND
"""Faults have ended: so soon the bot quotes again."""
CALM_NS = 80 * SECOND
"""From the end of the faults to the halt."""
_BETWEEN_QUOTES_NS = 10 * SECOND
"""Who quotes has had an order at the venue so lately."""
SETTLING_NS = 20 * SECOND
"""From the halt to the end."""
_MARKETS = 16
"""Different tapes: a seed's market is one of them."""
_REPLAYED_EVERY_NS = 20 * SECOND
_SUPERVISOR_NS = (500 * MS, 4 * SECOND)
_OPERATOR_NS = 3 * SECOND
_KEY, _SECRET = "simulation", "s3cret-of-nobody"
_BALANCE_USDT = 1_000_000.0
_FOREIGN = {"orderLinkId": "human-1", "side": "Buy", "orderType": "Limit", "timeInForce": "GTC", "qty": "0.1"}
_BASELINE = "queue_aware: {enabled: true}\nfast_cancel: {enabled: true}\n"
_CANDIDATE = "queue_aware: {enabled: false}\nfast_cancel: {enabled: false}\n"
"""Another configuration, in flags alone: all that may change while real orders are out."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What all seeds share. `scenario` names a file in `scenarios` with one market."""

    config: tuple[Path, ...]
    scenario: str
    scenarios: Path
    only: frozenset[Fault] | None = None
    """The classes that may happen, whatever the seed says."""
    simulated_ns: int = SIMULATED_NS


@dataclass(slots=True)
class Result:
    """What a seed came to. `broken`: the promise that was broken, None if none was."""

    seed: int
    broken: str | None = None
    at_s: float = 0.0
    """How far it came, simulated."""
    digest: str = ""
    reached: Counter[str] = field(default_factory=Counter)
    branches: Counter[str] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    simulated_ns: int = 0


def simulate(setup: Setup, seed: int) -> Result:
    """Play one seed. Raises ConfigError for a setup that cannot be played."""
    with TemporaryDirectory(prefix="mmbot-sim-") as folder:
        return Simulation(setup, seed, Path(folder)).play()


class Folder:
    """The account's folder, of which the shell sees a marker and a heartbeat."""

    def __init__(self) -> None:
        self.halted: str | None = None
        self.heartbeat = 0

    def beat(self, number: int) -> None:
        self.heartbeat = number


class Simulation:
    """The machine that the bot runs on, its supervisor and its operator."""

    def __init__(self, setup: Setup, seed: int, folder: Path) -> None:
        self._seed = seed
        market, self._settings = _read(setup)
        self._instrument = market.instrument
        self._override = folder / "override.yaml"
        self._sources = Sources((*setup.config, self._override), setup.scenario, setup.scenarios)
        self._reloader: Reloader | None = None
        self._baseline = self._settings.sha256()
        start_ns = market.start_ns
        self._start_ns = start_ns
        self._end_ns = start_ns + setup.simulated_ns
        self._halt_ns = self._end_ns - SETTLING_NS
        self._calm_ns = self._halt_ns - CALM_NS
        self.heap = EventHeap(start_ns)
        self.plan = FaultPlan(seed, start_ns, self._calm_ns, setup.only)
        self.disk = SimDisk()
        self.wall_offset_ns = 0
        self._trace = Trace()
        tape = _tape(market, seed % _MARKETS, setup.simulated_ns)
        keys = [ApiKey(_KEY, _SECRET, {"USDT": _BALANCE_USDT})]
        exchange = PaperExchange([Feed(self._instrument, tape)], keys, PaperSettings(), start_ns)
        self._member = exchange.members[_KEY]
        desk = next(iter(self._member.account.desks.values()))
        self._truth = Truth(self._member, desk, OWN_PREFIXES)
        settings = self._settings
        self._watch = Watch(
            self.heap,
            self._truth,
            self.disk,
            self._instrument,
            own_prefix=OWN_PREFIXES,
            cap_lots=_cap_lots(settings, market, tape),
            fresh_ns=round(settings.md_cache.fresh_ms_for_pricing * MS),
        )
        self.network = Network(self.heap, self.plan, exchange, self._watch, self._trace)
        self._exchange = exchange
        self._folder = Folder()
        self._process: Process | None = None
        self._starts = 0
        self._rested_ns = 0
        """When an order of ours was last seen at the venue, after the faults."""
        self._wait_until_ns = start_ns
        """Whoever starts the bot again knows that it could not run before."""
        self._result = Result(seed, simulated_ns=setup.simulated_ns)

    def play(self) -> Result:
        result = self._result
        try:
            self._play()
        except (ViolationError, InvariantError) as error:
            result.broken = str(error)
        except Exception as error:  # noqa: BLE001 (a fault of the bot's is what is looked for)
            result.broken = f"{type(error).__name__}: {error}"
        finally:
            if self._process is not None:
                self._process.kill()
        result.at_s = (self.heap.now_ns - self._start_ns) / SECOND
        result.digest = self._trace.hexdigest()
        result.reached = Counter({fault.value: times for fault, times in self.plan.reached.items()})
        result.checks = self._watch.checks
        result.counts["messages"] = self._trace.messages
        result.counts["acts"] = self.heap.acts
        result.counts["starts"] = self._starts
        result.counts["executions"] = len(self._truth.executions)
        return result

    # the machine

    def guarded(self, act: Act) -> Act:
        def run() -> None:
            try:
                act()
            except Killed:
                self._crashed(Fault.CRASH_IN_WRITE)
            except OutputError:
                if not self.disk.refused:
                    raise
                self._ended("disk_full")

        return run

    def linked(self, kind: Kind, *, up: bool) -> None:
        if not up:
            self._watch.disconnected(kind)

    def noted(self, note: Note) -> None:
        if note.mmbot is Happened.HALTED:
            self._watch.forbidden = self._watch.forbidden or f"the halt by {note.detail}"

    def wrote(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if isinstance(row, EventRow):
                self._result.branches[_branch(row)] += 1

    # the play

    def _play(self) -> None:
        for episode in self.plan.episodes:
            self.heap.at(episode.at_ns, lambda episode=episode: self._begins(episode))  # type: ignore[misc]
        self.network.play_market()
        self.heap.after(0, self._start)
        self.heap.after(_REPLAYED_EVERY_NS, self._replay)
        self._run(self._calm_ns)
        self._calm()
        self._run(self._calm_ns + LIVENESS_NS)
        self._alive(f"{LIVENESS_NS // SECOND} s after the last fault")
        self._run(self._halt_ns)
        self._alive("at the end")
        self._press("the end of the simulation")
        self._run(self._end_ns)
        self._watch.settled()

    def _run(self, until_ns: int) -> None:
        self.heap.run(until_ns, self._after)

    def _after(self) -> None:
        self._watch.check()
        process = self._process
        if process is not None and process.alive and process.over and self.heap.now_ns < self._halt_ns:
            self._ended("halt")
        if self.heap.now_ns > self._calm_ns and self._truth.own_orders():
            self._rested_ns = self.heap.now_ns

    def _alive(self, when: str) -> None:
        process = self._process
        if process is None or not process.alive:
            raise ViolationError(f"liveness: no bot runs {when}")
        if not process.quoting or self.heap.now_ns - self._rested_ns > _BETWEEN_QUOTES_NS:
            why = process.world.refusal(process.clock()) or "no order of ours rests at the venue"
            raise ViolationError(f"liveness: does not quote {when}: {why}")

    def _calm(self) -> None:
        """What was set wrong is set right."""
        self.disk.full = False
        self.disk.cut = None
        self._set_skew(0)
        self.wall_offset_ns = 0

    def _replay(self) -> None:
        self._watch.replays()
        self._watch.bounded()
        self.heap.after(_REPLAYED_EVERY_NS, self._replay)

    # processes

    def _start(self) -> None:
        if self._process is not None and self._process.alive:
            return
        if self.heap.now_ns < self._wait_until_ns:
            self.heap.at(self._wait_until_ns, self._start)
            return
        self._starts += 1
        self._watch.forbidden = None
        self._folder.halted = None
        credentials = Credentials(_KEY, Secret(_SECRET))
        reloader = self._reloader
        settings = self._settings if reloader is None else reloader.settings
        recovers = self.disk.has_log
        torn = self._result.counts["torn_bytes"]
        try:
            process = Process(
                self,
                self._instrument,
                settings,
                credentials,
                self._folder,
                self._seed * 1_000 + self._starts * 3,
            )
        except Killed:
            self.plan.reached[Fault.CRASH_IN_RECOVERY] += 1
            self.disk.process_died()
            self._start_again()
            return
        except OutputError:
            if not self.disk.refused:
                raise
            self.disk.process_died()
            self._operate("disk_full")
            return
        self._result.counts["torn_bytes"] = torn + process.log.torn_bytes
        self._result.branches["torn tail cut off"] += bool(process.log.torn_bytes)
        self._result.branches["orphans found"] += bool(process.lifecycle.open)
        self._process = process
        self._watch.begins(process)
        process.start()
        if recovers and Fault.CRASH_IN_RECOVERY in self.plan.classes and self.heap.now_ns < self._calm_ns:
            wait_ns = int(self.plan.random() * SECOND)
            self.heap.after(wait_ns, lambda: self._dies_recovering(process))

    def _dies_recovering(self, process: Process) -> None:
        """Once more, before it has agreed with the venue."""
        if process.alive and not process.world.agreed and self.plan.random() < 0.5:  # noqa: PLR2004 (a coin)
            self._crashed(Fault.CRASH_IN_RECOVERY)

    def _crashed(self, fault: Fault, *, kept_ratio: float | None = None) -> None:
        process = self._process
        if process is None or not process.alive:
            return
        self.plan.reached[fault] += 1
        process.kill()
        if kept_ratio is not None:
            lost = self.disk.machine_died(kept_ratio)
            self._result.branches["unsynced records lost"] += bool(lost)
        self._watch.ends()
        self._start_again()

    def _start_again(self) -> None:
        self.heap.after(self.plan.between(*_SUPERVISOR_NS), self._start)

    def _ended(self, why: str) -> None:
        """The process ended by itself."""
        process = self._process
        if process is None or not process.alive:
            return
        process.kill()
        self._watch.ends()
        self._operate(why)

    def _operate(self, why: str) -> None:
        """A person sees to it, when what made it end is over."""
        self._result.branches[f"ended by {why}"] += 1
        over_ns = max(self.network.banned_ns, self._wait_until_ns, self.heap.now_ns)
        self.heap.at(over_ns + _OPERATOR_NS, self._start)

    def _press(self, reason: str) -> None:
        """The red button, as `mmbot kill` presses it: from outside."""
        self._folder.halted = reason
        self._watch.forbidden = "the red button"

    # episodes

    def _begins(self, episode: Episode) -> None:
        fault = episode.fault
        over_ns = min(self.heap.now_ns + episode.length_ns, self.plan.end_ns)
        match fault:
            case Fault.CRASH | Fault.CRASH_IN_RECOVERY | Fault.MACHINE_CRASH | Fault.CRASH_IN_WRITE:
                self._kill(episode)
            case Fault.RED_BUTTON | Fault.DISK_FULL | Fault.CLOCK_SKEW | Fault.CLOCK_JUMP:
                self.plan.reached[fault] += 1
                self._wait_until_ns = max(self._wait_until_ns, over_ns)
                self._spoil(episode, over_ns)
            case Fault.CONFIG_ROLLBACK:
                self._reconfigure()
                self.heap.at(over_ns, self._roll_back)
            case Fault.FOREIGN_ORDER:
                self._foreign_order()
            case _:
                self.network.episode(fault, over_ns)

    def _kill(self, episode: Episode) -> None:
        match episode.fault:
            case Fault.CRASH_IN_WRITE:
                self.disk.cut = list(Cut)[int(episode.draw * len(Cut))]
            case Fault.MACHINE_CRASH:
                self._crashed(episode.fault, kept_ratio=episode.draw)
            case _:
                self._crashed(Fault.CRASH)

    def _spoil(self, episode: Episode, over_ns: int) -> None:
        """What a person has to see to, or what has to pass, before the bot can run again."""
        match episode.fault:
            case Fault.RED_BUTTON:
                self._press("an operator")
            case Fault.DISK_FULL:
                self.disk.full, self.disk.refused = True, 0
                self.heap.at(over_ns, lambda: setattr(self.disk, "full", False))
            case Fault.CLOCK_SKEW:  # half a second to eight: worth a warning, a halt, or the venue refuses
                self._set_skew(int((episode.draw - 0.5) * 16_000))
                self.heap.at(over_ns, lambda: self._set_skew(0))
            case _:  # our wall clock is wrong for a while, by up to ten seconds
                self.wall_offset_ns = int((episode.draw - 0.5) * 20 * SECOND)
                self.heap.at(over_ns, lambda: setattr(self, "wall_offset_ns", 0))

    def _set_skew(self, skew_ms: int) -> None:
        self._exchange.faults.set({"clock_skew_ms": skew_ms})

    def _foreign_order(self) -> None:
        """Somebody else's, far from the market, on our account."""
        desk = self._truth.desk
        mark = desk.market.mark
        if mark is None or any(order.link_id == _FOREIGN["orderLinkId"] for order in desk.open.values()):
            return
        price = desk.grid.price(round(mark * 0.7 / self._instrument.tick))
        args = {**_FOREIGN, "category": "linear", "symbol": self._instrument.symbol, "price": price}
        self._member.entry.one("create", args, self.heap.now_ns)
        self._exchange.publish()
        self.network.pump()
        self.plan.reached[Fault.FOREIGN_ORDER] += 1

    def _reconfigure(self) -> None:
        """Other files, and the bot reads them before its next tick."""
        self._override.write_text(_BASELINE)
        if self._reloader is None:
            self._reloader = Reloader(self._sources, only_flags="real orders are out", in_force=as_live)
        self._override.write_text(_CANDIDATE)
        self._reload()

    def _roll_back(self) -> None:
        """The files are as they were; a bot that is between two starts reads them when it starts."""
        self._override.write_text(_BASELINE)
        self._reload()

    def _reload(self) -> None:
        process, reloader = self._process, self._reloader
        if process is None or not process.alive or reloader is None:
            return
        process.trading.between_ticks(lambda now_ns: self._reloaded(reloader.reload(now_ns, process.engine)))

    def _reloaded(self, done: Reload) -> EventRow:
        self.plan.reached[Fault.CONFIG_ROLLBACK] += 1
        if self._override.read_text() == _BASELINE:
            self._watch.rolled_back(self._baseline, done.in_force_sha256)
        return done.row


def _branch(row: EventRow) -> str:
    """Which way of coping a row tells of."""
    if row.kind in ("order_reject", "stand_aside", "halt"):
        return f"{row.kind}: {str(row.detail.get('reason', '')).split(':')[0][:60]}"
    return row.kind


@lru_cache(maxsize=1)
def _read(setup: Setup) -> tuple[SyntheticSpec, Settings]:
    scenario, settings = Sources(setup.config, setup.scenario, setup.scenarios).load()
    return scenario.markets[0], settings


@lru_cache(maxsize=_MARKETS)
def _tape(market: SyntheticSpec, number: int, simulated_ns: int) -> Sequence[MarketEvent]:
    """The market of one seed in sixteen, a little longer than the simulation."""
    settings = msgspec.structs.replace(market.settings, duration_s=simulated_ns / SECOND + 10)
    return list(SyntheticMarket(settings, number, Ns(market.start_ns)).events())


def _cap_lots(settings: Settings, market: SyntheticSpec, tape: Sequence[MarketEvent]) -> int:
    """What a position may come to, at the lowest price that the collar allows in this market."""
    ticks = [tick for event in tape for tick, _ in getattr(event, "bids", ())]
    collar = 1 - settings.limits.collar_bps / 1e4
    lowest = market.instrument.price(min(ticks)) * collar
    return int(settings.limits.max_position_quote / market.instrument.notional_quote(1, lowest))
