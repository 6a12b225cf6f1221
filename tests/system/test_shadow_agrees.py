"""What a shadow run received, pushed event by event through growing kernels, gives what the replay of its
columns gives: every order, fill, tick and event, to the last digit.

The buffers are so small that they wrap all the time. The stopwatch stands still, as in `test_engines_agree`.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.mmbot.builders import REPO, linear, run_request
from tests.system.test_engines_agree import caches, configured, feed, instrument, models, streams

from mmbot.config.settings import Settings, SimSettings
from mmbot.errors import ConfigError
from mmbot.kernels.context import Context
from mmbot.model.commands import Command
from mmbot.model.events import Confirmed, MarketEvent
from mmbot.model.records import Row, SampleRow
from mmbot.runtime.assemble import build_engine, feature_settings
from mmbot.runtime.compiled_world import CompiledWorld, KernelWorld
from mmbot.runtime.player import Counts
from mmbot.runtime.replay import Replay, Times
from mmbot.runtime.run import Run
from mmbot.runtime.shadow_world import ShadowWorld, in_time
from mmbot.runtime.tape import TapeFeed
from mmbot.runtime.world import World
from mmbot.units import MS, SECOND, Ns

SMALL = 64
"""Rows of a buffer at first."""


class Pushed:
    """A live shell in small: the clock was read; push all that was received until then, then advance."""

    def __init__(self, world: ShadowWorld, events: Iterator[MarketEvent]) -> None:
        self._world = world
        self._events = events
        self._next = next(events, None)

    def advance(self, until_ns: int) -> None:
        while self._next is not None and self._next.recv_ns <= until_ns:
            self._world.push(self._next)
            self._next = next(self._events, None)
        self._world.advance(until_ns)

    def send(self, now_ns: int, command: Command) -> None:
        self._world.send(now_ns, command)

    def resting(self, symbol: str) -> int:
        return self._world.resting(symbol)


@dataclass
class Played:
    """What a run decided and saw."""

    rows: list[Row]
    digest: str
    counts: Counts
    queues: list[int | None]
    """Size in front of each working order, sample by sample."""


def play(
    feeds: list[TapeFeed],
    chosen: Settings,
    world: KernelWorld,
    delivered: Callable[[], World],
    duration_s: float | None,
) -> Played:
    """`delivered`: the world as the shell sees it, once it is attached."""
    engine = build_engine(
        chosen, [each.instrument for each in feeds], world.markets, arm="A", clock=lambda: 0
    )
    queues: list[int | None] = []

    def each_sample() -> int:
        for bot in engine.bots.values():
            working = bot._blotter.slots.values()
            queues.extend(bot.market.ahead_lots(order.client_id) for order in working)
        return 0

    times = Times(
        first_ns=max(each.columns.meta.first_ns for each in feeds),
        tape_end_ns=min(each.columns.meta.last_ns for each in feeds),
        tick_ns=round(chosen.pipeline.tick_interval_ms * MS),
        sample_ns=SECOND,
        duration_ns=None if duration_s is None else round(duration_s * SECOND),
    )

    def attached(on_fill: Callable[..., None]) -> World:
        world.attach(engine, on_fill)
        return delivered()

    run = Replay(engine, times, attached, each_sample)
    rows = [row for batch in run.run() for row in batch]
    return Played(rows, run.digest, run.counts, queues)


def both(
    feeds: list[TapeFeed], chosen: Settings, duration_s: float | None = None, rows: int = SMALL
) -> tuple[Played, Played, float]:
    """The replay of columns, the same events pushed, and how many times the buffers wrapped."""
    feeds = [replace(each, exchange_clock=False) for each in feeds]  # a live clock is not the venue's
    cache, features, sim = chosen.md_cache, feature_settings(chosen), chosen.sim
    recorded = CompiledWorld(feeds, cache, features, sim, 3)
    live = ShadowWorld([each.instrument for each in feeds], cache, features, sim, 3, rows)
    events = heapq.merge(*(each.events() for each in feeds), key=lambda event: event.recv_ns)
    replayed = play(feeds, chosen, recorded, lambda: recorded, duration_s)
    pushed = play(feeds, chosen, live, lambda: Pushed(live, events), duration_s)
    return replayed, pushed, min(_wraps(symbol.context) for symbol in live._symbols.values())


def _wraps(context: Context) -> float:
    """How many times its length a buffer has dropped."""
    return context.dropped_rows / len(context._columns["kind"])


def without_resting(played: Played) -> Played:
    """Without the count of what rests at the venue, which is known late."""
    rows = [row for row in played.rows if not (isinstance(row, SampleRow) and row.name == "resting_orders")]
    return replace(played, rows=rows)


def timely(chosen: Settings) -> Settings:
    return msgspec.structs.replace(chosen, sim=in_time(chosen.sim))


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(streams(), models, caches, st.integers(1, 3), st.booleans())
def test_any_market_and_any_models_give_the_same_rows(
    events: list[MarketEvent],
    sim: dict[str, object],
    cache: dict[str, object],
    levels: int,
    amend: bool,  # noqa: FBT001
) -> None:
    chosen = timely(
        configured(
            sim=sim,
            md_cache=cache,
            emit={"order_notional_quote": 50.0, "levels": levels},
            async_batch={"amend": amend},
        )
    )

    replayed, pushed, _ = both([feed(events, instrument(), exchange_clock=False)], chosen, rows=8)

    assert without_resting(pushed) == without_resting(replayed)
    if not chosen.sim.market_data.median_ms:
        assert pushed == replayed


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(streams(), streams("bybit_linear:YUSDT"))
def test_two_symbols_do_not_disturb_each_other(one: list[MarketEvent], two: list[MarketEvent]) -> None:
    feeds = [
        feed(one, instrument(), exchange_clock=False),
        feed(two, instrument("YUSDT"), exchange_clock=False),
    ]

    replayed, pushed, _ = both(feeds, timely(configured()))

    assert without_resting(pushed) == without_resting(replayed)


@pytest.mark.parametrize("scenario", ["demo", "nexo-24h", "btcusdt-8m", "eth-3venues"])
def test_a_scenario_gives_the_same_digest_and_rows(scenario: str, tmp_path: Path) -> None:
    data = REPO.parent / "shared/data"
    if scenario != "demo" and not data.is_dir():
        pytest.skip("captures are not here: no ../shared/data")
    request = run_request(tmp_path, scenario=scenario, scenarios=REPO / "scenarios", data=data)
    opened = Run(request)

    amending = msgspec.structs.replace(opened.settings.async_batch, amend=True)
    chosen = msgspec.structs.replace(opened.settings, async_batch=amending)
    replayed, pushed, wraps = both(opened.tape.feeds, timely(chosen), duration_s=240.0)

    assert pushed.digest == replayed.digest
    assert without_resting(pushed) == without_resting(replayed)
    assert replayed.counts.orders > 0
    assert (replayed.counts.amends > 0) is (scenario == "demo"), "the only venue here that amends"
    assert any(replayed.queues)
    assert wraps > 20 or scenario == "nexo-24h"  # whose four minutes fit into one buffer


@pytest.fixture
def sim() -> SimSettings:
    return in_time(configured().sim)


def opened_world(sim: SimSettings) -> ShadowWorld:
    chosen = configured()
    return ShadowWorld([linear()], chosen.md_cache, feature_settings(chosen), sim, 1)


@pytest.mark.parametrize("name", ["response", "resync"])
def test_an_answer_before_its_market_is_refused(name: str, sim: SimSettings) -> None:
    model = msgspec.structs.replace(getattr(sim, name), floor_ms=19.0)
    with pytest.raises(ConfigError, match=rf"sim\.{name}: was .* expected a floor_ms of 20 or more"):
        opened_world(msgspec.structs.replace(sim, **{name: model}))


def test_models_that_are_in_time_stay_what_they_are(sim: SimSettings) -> None:
    assert in_time(sim) == sim
    assert (sim.response.floor_ms, sim.resync.floor_ms) == (20.0, 20.0)


def test_an_event_from_before_the_world_is_refused(sim: SimSettings) -> None:
    """The rule: push all that was received, then advance."""
    world = opened_world(sim)
    world.advance(SECOND)
    world.push(Confirmed(linear().key, Ns(SECOND + 1)))
    with pytest.raises(RuntimeError, match=f"received at {SECOND} was pushed after the world had advanced"):
        world.push(Confirmed(linear().key, Ns(SECOND)))
