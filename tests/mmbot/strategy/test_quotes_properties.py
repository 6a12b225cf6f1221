"""What every set of quotes keeps, through the real stages together: any book, any position, either model, any
contract. `test_emit` holds the same promises of the last stage alone, for inputs that no stage would make.
"""

from collections import Counter
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mmbot.builders import engine_of, fill, inverse, linear, ms, shipped_settings, snapshot

from mmbot.config.settings import Settings
from mmbot.engine.engine import Engine
from mmbot.model.commands import CancelOrder, SubmitOrder, unpacked
from mmbot.model.events import OrderAck, OrderCancelled, Tick
from mmbot.model.instrument import Instrument, Side
from mmbot.model.quotes import Quote
from mmbot.model.records import TickRow
from mmbot.strategy.inventory import tick_shifts
from mmbot.units import BPS, Lots, Ns

COARSE = linear(venue="binance_spot", symbol="NEXOUSDT", tick_size="1", lot_size="0.01")
SIZED = linear(symbol="SIZEDUSDT", min_lots=40, max_lots=400)
INSTRUMENTS = [linear(), COARSE, SIZED, inverse(), inverse(symbol="SIZED_PERP", min_lots=3, max_lots=20)]


class Case(msgspec.Struct, frozen=True):
    """A book and how it moved, a position, orders that wait at the touch, and the settings."""

    instrument: Instrument
    settings: Settings
    bid: int
    ask: int
    moved: int
    lots: tuple[int, int]
    inventory_ratio: float
    waiting: tuple[bool, bool]

    def under(self, **sections: dict[str, Any]) -> "Case":
        """The same with other settings."""
        changed = {
            name: msgspec.structs.replace(getattr(self.settings, name), **values)
            for name, values in sections.items()
        }
        return msgspec.structs.replace(self, settings=msgspec.structs.replace(self.settings, **changed))


NEVER = {"soft_volatility_bps": 1e12, "hard_volatility_bps": 1e12, "soft_inventory_ratio": 1e12}
ALWAYS_SOFT = NEVER | {"soft_volatility_bps": 0.0}
TOO_MUCH = NEVER | {"soft_inventory_ratio": 0.0}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    joining = draw(st.booleans())
    """Quotes wish for the touch of a market at rest, where orders of ours wait: what may be nudged."""
    bid = draw(st.one_of(st.integers(20, 300), st.integers(300, 10**6)))
    reach = max(bid // 40, 1)
    ask = bid + draw(st.integers(2, 4) if joining else st.one_of(st.integers(1, 4), st.integers(1, reach)))
    touch_bps = (ask - bid) / (ask + bid) * BPS
    spread = {
        "model": "adaptive" if joining else draw(st.sampled_from(["adaptive", "glft"])),
        "base_bps": touch_bps * draw(st.floats(0.9, 1.0)) if joining else draw(st.floats(0.1, 50)),
        "min_bps": 0.1,
        "max_bps": touch_bps if joining else draw(st.floats(0.1, 500)),
        "slew_bps_per_s": 1e9,
    }
    glft = {
        "risk_aversion_per_quote": draw(st.floats(1e-3, 10)),
        "intensity_per_s": draw(st.floats(0.01, 5)),
        "decay_per_bps": draw(st.floats(0.02, 5)),
    }
    chosen = shipped_settings(
        fetch_md={"fair_value": draw(st.sampled_from(["mid", "weighted_mid", "microprice"]))},
        spread=spread,
        glft=glft,
        fast_cancel={"move_bps": 1e12},
        guards=NEVER
        | {"soft_size_ratio": draw(st.floats(0.1, 1)), "soft_widen_ratio": draw(st.floats(1, 3))},
        inventory={"max_skew_bps": draw(st.floats(0, 300))},
        queue_aware={
            "max_eta_s": 0.0,
            "max_reprice_bps": draw(st.sampled_from([0.0, 5.0, 1000.0])),
            "min_edge_bps": draw(st.floats(-20, 20)),
        },
        emit={
            "order_notional_quote": draw(st.floats(1, 3_000)),
            "levels": draw(st.integers(1, 3)),
            "level_step_bps": draw(st.floats(0, 20)),
        },
    )
    return Case(
        draw(st.sampled_from(INSTRUMENTS)),
        chosen,
        bid,
        ask,
        0 if joining else draw(st.integers(-min(reach, 10), reach)),
        (draw(st.integers(1, 500)), draw(st.integers(1, 500))),
        draw(st.one_of(st.just(0.0), st.floats(-1.5, 1.5))),
        (True, True) if joining else (draw(st.booleans()), draw(st.booleans())),
    )


class Wanted(msgspec.Struct):
    """What one tick wanted, and what it was made from."""

    quotes: list[Quote]
    row: TickRow
    fair_ticks: float
    shifts: tuple[int, int]

    def of(self, side: Side) -> list[Quote]:
        return [quote for quote in self.quotes if quote.side is side]


def wanted(case: Case) -> Wanted:
    """The second tick on that market: the first has seen the book before it moved."""
    engine, key = engine_of(case.settings, case.instrument), case.instrument.key
    bot = engine.bots[key]
    quotes: list[Quote] = []

    def book(shift: int, at_ms: float) -> None:
        bids, asks = [(case.bid + shift, case.lots[0])], [(case.ask + shift, case.lots[1])]
        engine.step(snapshot(bids, asks, ns=ms(at_ms), symbol=key))

    def tick(at_ms: float) -> TickRow:
        cap_quote = case.settings.inventory.max_position_quote
        position_quote = case.inventory_ratio * cap_quote
        bids, asks = (
            (name, touch + case.moved) if waits else None
            for name, touch, waits in zip(("b-1", "a-2"), (case.bid, case.ask), case.waiting, strict=True)
        )
        row, _ = bot._pipeline.tick(
            ms(at_ms),
            1.0,
            position_quote,
            (bids, asks),
            lambda _, found: quotes.__setitem__(slice(None), found),
            [],
        )
        return row

    book(0, 0)
    tick(0)
    book(case.moved, 90)
    for name, side, touch in (("b-1", Side.BUY, case.bid), ("a-2", Side.SELL, case.ask)):
        bot.market.rest(name, side, touch + case.moved)
    row = tick(100)
    stages = bot._pipeline._stages
    fair_ticks = stages.fetch_md.fair_ticks
    return Wanted(quotes, row, fair_ticks, tick_shifts(stages.inventory(case.inventory_ratio), fair_ticks))


@given(cases())
@settings(max_examples=150)
def test_no_quote_meets_the_book_or_lies_beyond_fair_value_whatever_the_skew(case: Case):
    found = wanted(case)
    for quote in found.quotes:
        opposite = case.moved + (case.ask if quote.side > 0 else case.bid)
        assert (opposite - quote.tick) * quote.side > 0
        assert (found.fair_ticks - quote.tick) * quote.side >= 0


@given(cases())
@settings(max_examples=150)
def test_no_quote_is_better_than_the_exact_wish_but_for_a_nudge_that_pays(case: Case):
    found, emit, nudge = wanted(case), case.settings.emit, case.settings.queue_aware
    for quote in found.quotes:
        half = found.row.half_spread_bps
        assert half is not None
        away = found.fair_ticks * (half + quote.level * emit.level_step_bps) / BPS
        exact = found.fair_ticks - quote.side * away + found.shifts[0 if quote.side > 0 else 1]
        better = (quote.tick - exact) * quote.side
        if better > 1e-9 * found.fair_ticks:
            assert better <= 1
            assert quote.level == 0
            assert case.waiting[0 if quote.side > 0 else 1]
            assert BPS / found.fair_ticks <= nudge.max_reprice_bps
            edge_bps = (found.fair_ticks - quote.tick) * quote.side / found.fair_ticks * BPS
            assert edge_bps >= nudge.min_edge_bps


@given(cases())
@settings(max_examples=100)
def test_sizes_are_the_venues_and_never_above_what_is_asked_for(case: Case):
    instrument, found = case.instrument, wanted(case)
    asked = case.settings.emit.order_notional_quote
    for quote in found.quotes:
        assert quote.lots == instrument.allowed_lots(quote.lots) > 0
        at_fair = instrument.notional_quote(quote.lots, instrument.price(found.fair_ticks))
        assert at_fair <= asked * (1 + 1e-9)
        at_its_own = instrument.notional_quote(quote.lots, instrument.price(quote.tick))
        assert at_its_own >= instrument.min_notional * (1 - 1e-12)


@given(cases())
@settings(max_examples=100)
def test_levels_of_a_side_step_away_from_the_touch(case: Case):
    found = wanted(case)
    for side in Side:
        ladder = found.of(side)
        assert [quote.level for quote in ladder] == list(range(len(ladder)))
        assert all((near.tick - far.tick) * side >= 1 for near, far in pairwise(ladder))


@given(cases())
@settings(max_examples=100)
def test_soft_never_quotes_tighter_or_larger_than_no_guard(case: Case):
    none, soft = wanted(case), wanted(case.under(guards=ALWAYS_SOFT))
    assert (none.row.guard, soft.row.guard) == ("NONE", "SOFT")
    unguarded = {quote.slot: quote for quote in none.quotes}
    for quote in soft.quotes:
        assert quote.slot in unguarded
        assert (unguarded[quote.slot].tick - quote.tick) * quote.side >= 0
        assert quote.lots <= unguarded[quote.slot].lots


@given(cases())
@settings(max_examples=100)
def test_too_much_of_a_position_softens_the_side_that_would_add_to_it_and_no_other(case: Case):
    none, soft = wanted(case), wanted(case.under(guards=TOO_MUCH))
    assert (soft.row.guard, soft.row.reasons) == ("SOFT", ("inventory",))
    shrinks = case.inventory_ratio and (Side.SELL if case.inventory_ratio > 0 else Side.BUY)
    unguarded = {quote.slot: quote for quote in none.quotes}
    assert [quote.level for quote in soft.quotes] == sorted(quote.level for quote in soft.quotes)
    for side in Side:
        if side is shrinks:
            assert soft.of(side) == none.of(side)
            continue
        for quote in soft.of(side):
            assert (unguarded[quote.slot].tick - quote.tick) * side >= 0
            assert quote.lots <= unguarded[quote.slot].lots


@given(cases(), st.floats(-1.5, 1.5))
@settings(max_examples=100)
def test_more_long_never_raises_a_quote(case: Case, other_ratio: float):
    low, high = sorted((case.inventory_ratio, other_ratio))
    still = msgspec.structs.replace(case, waiting=(False, False))
    short, long = (wanted(msgspec.structs.replace(still, inventory_ratio=ratio)) for ratio in (low, high))
    for slot in {quote.slot for quote in short.quotes} & {quote.slot for quote in long.quotes}:
        ticks = [next(quote.tick for quote in one.quotes if quote.slot == slot) for one in (short, long)]
        assert ticks[1] <= ticks[0]
    if high >= 1:
        assert not long.of(Side.BUY)
    if low <= -1:
        assert not short.of(Side.SELL)


def acknowledged(case: Case, filled_share: float) -> tuple[Engine, set[str]]:
    """An engine whose orders all rest, one of them filled in part; and their ids."""
    engine, key = engine_of(case.settings, case.instrument), case.instrument.key
    engine.step(snapshot([(case.bid, case.lots[0])], [(case.ask, case.lots[1])], symbol=key))
    orders = [one for one in unpacked(engine.step(Tick(Ns(ms(0))))) if isinstance(one, SubmitOrder)]
    for order in orders:
        engine.step(OrderAck(key, order.client_id, Ns(ms(10))))
    part = Lots(int(orders[0].lots * filled_share)) if orders else Lots(0)
    if part:
        first = orders[0]
        engine.step(fill(first.side, first.tick, part, client_id=first.client_id, symbol=key, ns=ms(20)))
    return engine, {order.client_id for order in orders}


@given(cases(), st.floats(0, 0.9), st.sampled_from(["stale", "volatility"]))
@settings(max_examples=60)
def test_hard_leaves_no_working_quote_after_one_tick(case: Case, filled_share: float, reason: str):
    guarded = case.under(guards={"soft_volatility_bps": 3.0, "hard_volatility_bps": 8.0})
    engine, working = acknowledged(guarded, filled_share)
    key, at_ms = case.instrument.key, 100.0
    if reason == "stale":
        at_ms = case.settings.md_cache.fresh_ms_for_pricing + 1
    else:
        far = case.bid // 2
        engine.step(snapshot([(case.bid + far, 5)], [(case.ask + far, 5)], ns=ms(90), symbol=key))
    engine.drain()
    commands = list(unpacked(engine.step(Tick(Ns(ms(at_ms))))))
    (row,) = [row for row in engine.drain() if isinstance(row, TickRow)]
    assert row.guard == "HARD"
    assert reason in row.reasons
    assert (row.bid, row.ask) == (None, None)
    assert {type(command) for command in commands} <= {CancelOrder}
    assert {command.client_id for command in commands} == working
    for client_id in working:
        engine.step(OrderCancelled(key, client_id, Ns(ms(at_ms + 5)), Lots(1)))
    assert not engine.bots[key].working


def test_the_cases_do_quote_skew_and_nudge():
    """A promise about quotes that nobody makes would prove nothing."""
    seen: Counter[str] = Counter()

    @settings(max_examples=300, database=None, derandomize=True)
    @given(cases())
    def collect(case: Case) -> None:
        found, still = wanted(case), wanted(msgspec.structs.replace(case, waiting=(False, False)))
        seen["both sides"] += bool(found.of(Side.BUY) and found.of(Side.SELL))
        seen["skewed"] += bool(found.quotes) and found.shifts != (0, 0)
        seen["skewed by half a tick"] += bool(found.quotes) and found.shifts[0] != found.shifts[1]
        seen["nudged"] += found.quotes != still.quotes
        seen["model"] += bool(found.quotes) and case.settings.spread.model == "glft"

    collect()
    assert min(seen.values()) > 0, seen
    assert len(seen) == 5
