"""Guards: what fires, how hard, how long it holds, and that SOFT is never bolder than NONE."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS, inverse, linear, shipped_settings, view

from mmbot.model.instrument import Instrument, Side
from mmbot.strategy.emit import Emit
from mmbot.strategy.guards import Guards, GuardSettings, Level
from mmbot.strategy.vitals import Rest, Vitals
from mmbot.units import MS, SECOND

SETTINGS = GuardSettings(
    soft_volatility_bps=3.0,
    hard_volatility_bps=8.0,
    soft_latency_ms=250.0,
    hard_latency_ms=1000.0,
    soft_drawdown_quote=50.0,
    hard_drawdown_quote=150.0,
    soft_taker_ratio=0.06,
    hard_taker_ratio=0.15,
    hard_resyncs=4,
    soft_inventory_ratio=0.7,
    soft_widen_ratio=1.5,
    soft_size_ratio=0.5,
    clear_ratio=0.8,
    recovery_s=5,
)
REST = Rest(
    SETTINGS.soft_latency_ms, SETTINGS.soft_drawdown_quote, SETTINGS.soft_taker_ratio, SETTINGS.hard_resyncs
)
FRESH_MS = 1_000.0


def vitals_of(
    now_ns: int,
    latency_ms: float | None = None,
    drawdown_quote: float = 0.0,
    taker_ratio: float | None = None,
    *,
    crossed: bool = False,
    resyncs: int = 0,
) -> Vitals:
    vitals = Vitals(shipped_settings().vitals, REST)
    for _ in range(resyncs):
        vitals.whole()
        vitals.broke(now_ns, crossed=False)
    if latency_ms is not None:
        vitals.answered(now_ns, round(latency_ms * MS))
    vitals.marked(now_ns, drawdown_quote, taker_ratio)
    vitals.marked(now_ns, 0.0, taker_ratio)
    vitals.crossed = crossed
    return vitals


def assess(
    guards: Guards,
    at_s: float = 0.0,
    *,
    age_ns: int | None = 0,
    volatility_bps: float | None = None,
    inventory_ratio: float = 0.0,
    priced: bool = True,
    **of_itself: Any,
) -> tuple[Level, tuple[str, ...]]:
    now_ns = START_NS + round(at_s * SECOND)
    vitals = vitals_of(now_ns, **of_itself)
    level = guards(now_ns, age_ns, volatility_bps, inventory_ratio, priced, vitals)
    assert level is guards.level
    return level, guards.reasons


@pytest.fixture
def guards() -> Guards:
    return Guards(SETTINGS, FRESH_MS)


def test_a_fresh_calm_flat_book_has_no_reason(guards: Guards):
    assert assess(guards) == (Level.NONE, ())


@pytest.mark.parametrize(
    ("seen", "level", "reason"),
    [
        ({"age_ns": None}, Level.HARD, "stale"),
        ({"age_ns": 1_000 * MS + 1}, Level.HARD, "stale"),
        ({"priced": False}, Level.HARD, "no_book"),
        ({"priced": False, "crossed": True}, Level.HARD, "crossed"),
        ({"resyncs": 4}, Level.HARD, "resyncs"),
        ({"volatility_bps": 3.0}, Level.SOFT, "volatility"),
        ({"volatility_bps": 7.99}, Level.SOFT, "volatility"),
        ({"volatility_bps": 8.0}, Level.HARD, "volatility"),
        ({"latency_ms": 250.0}, Level.SOFT, "latency"),
        ({"latency_ms": 999.9}, Level.SOFT, "latency"),
        ({"latency_ms": 1_000.0}, Level.HARD, "latency"),
        ({"drawdown_quote": 50.0}, Level.SOFT, "pnl"),
        ({"drawdown_quote": 149.9}, Level.SOFT, "pnl"),
        ({"drawdown_quote": 150.0}, Level.HARD, "pnl"),
        ({"taker_ratio": 0.06}, Level.SOFT, "takers"),
        ({"taker_ratio": 0.149}, Level.SOFT, "takers"),
        ({"taker_ratio": 0.15}, Level.HARD, "takers"),
        ({"inventory_ratio": 0.7}, Level.SOFT, "inventory"),
        ({"inventory_ratio": -0.7}, Level.SOFT, "inventory"),
        ({"inventory_ratio": 4.0}, Level.SOFT, "inventory"),
    ],
    ids=str,
)
def test_each_reason_fires_alone_at_its_bound(guards: Guards, seen: dict, level: Level, reason: str):
    assert assess(guards, **seen) == (level, (reason,))


@pytest.mark.parametrize(
    "seen",
    [
        {"age_ns": 1_000 * MS},
        {"volatility_bps": 2.99},
        {"latency_ms": 249.9},
        {"drawdown_quote": 49.9},
        {"taker_ratio": 0.059},
        {"inventory_ratio": 0.69},
        {"crossed": True},
        {"resyncs": 3},
    ],
    ids=str,
)
def test_below_its_bound_nothing_fires(guards: Guards, seen: dict):
    assert assess(guards, **seen) == (Level.NONE, ())


def test_the_hardest_reason_decides_and_all_are_named(guards: Guards):
    found = assess(guards, age_ns=None, volatility_bps=4.0, inventory_ratio=0.9, priced=False)
    assert found == (Level.HARD, ("inventory", "no_book", "stale", "volatility"))
    assert guards.reasons_at(Level.HARD) == ("no_book", "stale")
    assert guards.reasons_at(Level.SOFT) == ("inventory", "volatility")


def test_a_reason_holds_until_it_was_quiet_for_its_recovery(guards: Guards):
    assess(guards, volatility_bps=4.0)
    assert assess(guards, 5.0) == (Level.SOFT, ("volatility",))
    assert assess(guards, 5.001) == (Level.NONE, ())


def test_a_reason_that_fires_again_starts_its_recovery_anew(guards: Guards):
    assess(guards, volatility_bps=4.0)
    assess(guards, 4.0, volatility_bps=4.0)
    assert assess(guards, 8.9)[0] is Level.SOFT
    assert assess(guards, 9.1)[0] is Level.NONE


def test_hard_volatility_stays_hard_above_its_clear_level_and_through_its_recovery(guards: Guards):
    assert assess(guards, volatility_bps=8.1)[0] is Level.HARD
    assert assess(guards, 6.0, volatility_bps=6.4)[0] is Level.HARD
    assert assess(guards, 11.0, volatility_bps=6.3)[0] is Level.HARD
    assert assess(guards, 11.1, volatility_bps=6.3) == (Level.SOFT, ("volatility",))


@pytest.mark.parametrize(
    ("fires", "holds", "clears"),
    [
        ({"volatility_bps": 3.0}, {"volatility_bps": 2.41}, {"volatility_bps": 2.39}),
        ({"latency_ms": 250.0}, {"latency_ms": 200.1}, {"latency_ms": 199.9}),
        ({"drawdown_quote": 50.0}, {"drawdown_quote": 40.1}, {"drawdown_quote": 39.9}),
        ({"taker_ratio": 0.06}, {"taker_ratio": 0.0481}, {"taker_ratio": 0.0479}),
        ({"inventory_ratio": -0.7}, {"inventory_ratio": -0.561}, {"inventory_ratio": -0.559}),
    ],
    ids=str,
)
def test_between_its_levels_a_reason_stays_as_it_is(guards: Guards, fires: dict, holds: dict, clears: dict):
    assert assess(guards, -1.0, **holds)[0] is Level.NONE
    assert assess(guards, **fires)[0] is Level.SOFT
    assert assess(guards, 100.0, **holds)[0] is Level.SOFT
    assert assess(guards, 105.0, **clears)[0] is Level.SOFT
    assert assess(guards, 105.1, **clears) == (Level.NONE, ())
    assert assess(guards, 106.0, **holds)[0] is Level.NONE


@pytest.mark.parametrize(
    "forgotten", [{"volatility_bps": 4.0}, {"latency_ms": 300}, {"taker_ratio": 0.1}], ids=str
)
def test_what_is_not_known_any_more_recovers(guards: Guards, forgotten: dict):
    assert assess(guards, **forgotten)[0] is Level.SOFT
    assert assess(guards, 5.1) == (Level.NONE, ())


@pytest.mark.parametrize(
    "seen", [{"age_ns": None}, {"priced": False}, {"priced": False, "crossed": True}], ids=str
)
def test_a_book_that_is_back_is_quoted_at_once(guards: Guards, seen: dict):
    assess(guards, **seen)
    assert assess(guards, 0.1) == (Level.NONE, ())


moments = st.fixed_dictionaries(
    {
        "age_ns": st.sampled_from([None, 0, 2_000 * MS]),
        "volatility_bps": st.sampled_from([None, 1.0, 2.5, 4.0, 7.0, 9.0]),
        "inventory_ratio": st.sampled_from([0.0, 0.6, -0.9, 1.2]),
        "priced": st.booleans(),
        "latency_ms": st.sampled_from([None, 10, 210, 300, 900, 2_000]),
        "drawdown_quote": st.sampled_from([0, 45, 60, 130, 200]),
        "taker_ratio": st.sampled_from([None, 0, 0.05, 0.1, 0.13, 0.5]),
        "crossed": st.booleans(),
    }
)
histories = st.lists(st.tuples(st.floats(0.01, 7), moments), min_size=1, max_size=12)
instruments = st.sampled_from([linear(), inverse()])


@given(
    histories,
    instruments,
    st.integers(100, 100_000),
    st.integers(1, 50),
    st.floats(0.1, 50),
    st.floats(-20, 20),
    st.floats(-1.2, 1.2),
)
def test_no_history_makes_a_quote_tighter_or_larger_than_without_guards(
    path: list[tuple[float, dict]],
    instrument: Instrument,
    bid_tick: int,
    spread_ticks: int,
    half_spread_bps: float,
    skew_bps: float,
    inventory_ratio: float,
):
    guards, at_s = Guards(SETTINGS, FRESH_MS), 0.0
    for elapsed_s, seen in path:
        at_s += elapsed_s
        assess(guards, at_s, **seen)
    assert (guards.level is Level.NONE) == (guards.reasons == ())
    assert guards.level is not Level.HARD or guards.reasons_at(Level.HARD)
    emit, book = Emit(shipped_settings().emit, instrument), view(bid_tick, bid_tick + spread_ticks)

    def quotes(half_bps: float, size_ratio: float) -> dict[int, Any]:
        found = emit(book, book.mid, half_bps, skew_bps, size_ratio, inventory_ratio, (None, None))
        return {quote.slot: quote for quote in found}

    free = quotes(half_spread_bps, 1.0)
    guarded = quotes(guards.half_spread_bps(half_spread_bps), guards.size_ratio())
    assert guarded.keys() <= free.keys()
    for slot, quote in guarded.items():
        assert quote.side * quote.tick <= free[slot].side * free[slot].tick
        assert quote.lots <= free[slot].lots


@given(st.data(), st.sampled_from(["volatility_bps", "latency_ms", "drawdown_quote", "taker_ratio"]))
def test_within_the_dead_zone_a_level_changes_at_most_once(data: st.DataObject, name: str):
    """Between the clear level and the threshold, whatever the value does, nothing fires."""
    threshold = {
        "volatility_bps": 3.0, "latency_ms": 250.0, "drawdown_quote": 50.0, "taker_ratio": 0.06,
    }[name]  # fmt: skip
    inside = st.floats(0.81 * threshold, 0.99 * threshold)
    guards, at_s = Guards(SETTINGS, FRESH_MS), 0.0
    fired = data.draw(st.booleans())
    if fired:
        assess(guards, at_s, **{name: threshold})
    expected = Level.SOFT if fired else Level.NONE
    for value in data.draw(st.lists(inside, min_size=1, max_size=20)):
        at_s += data.draw(st.floats(0.1, 20))
        assert assess(guards, at_s, **{name: value})[0] is expected


def test_soft_widens_and_shrinks_by_its_ratios(guards: Guards):
    assess(guards, inventory_ratio=0.8)
    assert guards.half_spread_bps(4.0) == 6.0
    assert guards.size_ratio() == 0.5


@pytest.mark.parametrize(
    ("seen", "spared"),
    [
        ({"inventory_ratio": 0.8}, Side.SELL),
        ({"inventory_ratio": -0.8}, Side.BUY),
        ({"inventory_ratio": 0.8, "volatility_bps": 4.0}, None),
        ({"inventory_ratio": 0.8, "priced": False}, None),
        ({"volatility_bps": 4.0, "inventory_ratio": 0.6}, None),
        ({}, None),
    ],
    ids=str,
)
def test_soft_spares_the_side_that_shrinks_a_position_which_is_all_that_is_wrong(
    guards: Guards, seen: dict, spared: Side | None
):
    assess(guards, **seen)
    assert guards.spared is spared


def test_the_side_that_is_spared_follows_the_position_and_ends_with_the_reason(guards: Guards):
    assess(guards, inventory_ratio=0.8)
    assess(guards, 1.0, inventory_ratio=-0.1)
    assert (guards.level, guards.spared) == (Level.SOFT, Side.BUY)
    assess(guards, 2.0, inventory_ratio=0.0)
    assert (guards.level, guards.spared) == (Level.SOFT, None)
    assess(guards, 99.0, inventory_ratio=0.1)
    assert (guards.level, guards.spared) == (Level.NONE, None)
