"""The market in a fed kernel is the plain one: the same events and orders give the same numbers.

The markets are made to be unpleasant, and so is the buffer: a few rows, so that it wraps and grows all the
time.
"""

import re
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mmbot.builders import (
    KEY,
    START_NS,
    confirmed,
    delta,
    linear,
    ms,
    shipped_settings,
    snapshot,
    trade,
)

from mmbot.book.cache import Read
from mmbot.book.fed import FedMarket
from mmbot.book.market import EventMarket, PlainMarket
from mmbot.kernels import growing
from mmbot.kernels import layout as L  # noqa: N812 (a block of constants)
from mmbot.model.commands import CancelOrder, RequestSnapshot, SubmitOrder, unpacked
from mmbot.model.events import (
    BookDelta,
    BookSnapshot,
    BookTrouble,
    Confirmed,
    MarketEvent,
    OrderAck,
    OrderCancelled,
    Tick,
    TopOfBook,
    Trouble,
)
from mmbot.model.instrument import Side
from mmbot.model.records import EventRow
from mmbot.runtime.assemble import build_engine, feature_settings, fed_markets
from mmbot.runtime.shadow_world import ShadowWorld
from mmbot.sim.latency import LatencySettings
from mmbot.units import MS, Lots, Ns, Ticks

SETTINGS = shipped_settings(
    md_cache={
        "ttl_ms": 50.0,
        "fresh_ms_for_pricing": 300.0,
        "invalidate_on_ws_gap_ms": 700.0,
        "stale_ok": True,
    }
)
Step = tuple[int, MarketEvent | tuple[str, int, Side, int]]
"""Milliseconds since the step before, and an event of the market or of an order of ours."""


def pair(rows: int = 16) -> tuple[PlainMarket, FedMarket]:
    features = feature_settings(SETTINGS)
    fed = FedMarket(SETTINGS.md_cache, features, rows=rows)
    return PlainMarket(SETTINGS.md_cache, features), fed


def numbers(market: EventMarket, now_ns: int, prices: Sequence[int], orders: Sequence[str]) -> list[object]:
    """Everything that the protocol promises, at a moment."""
    read = market.observe(now_ns)
    view, transitions = market.view, market.transitions
    priced = None if view is None else [getattr(view, name) for name in view.__slots__]
    return [
        read,
        priced,
        (market.synced, market.updates, market.mid_x2, market.age_ns),
        (market.volatility_bps, market.liquidity_score),
        (transitions.state, transitions.seen, transitions.counts.tolist()),
        [market.displayed(side, tick) for side in Side for tick in prices],
        [market.ahead_lots(order) for order in orders],
        [market.trade_rate(now_ns, side) for side in Side],
    ]


near = st.integers(990, 1010)
sizes = st.integers(0, 400)


def levels(ticks: st.SearchStrategy[int], most: int = 5) -> st.SearchStrategy[list[tuple[int, int]]]:
    return st.dictionaries(ticks, sizes, max_size=most).map(lambda side: sorted(side.items()))


def below(top: int, depth: int) -> st.SearchStrategy[list[tuple[int, int]]]:
    return levels(st.integers(max(top - depth, 1), top), most=20)


snapshots = st.tuples(st.integers(950, 1050), st.sampled_from([5, 30, 3_000])).flatmap(
    lambda place: st.builds(
        snapshot,
        below(place[0], place[1]),
        below(place[0] + place[1] + 1, place[1]),
    )
)
far = st.one_of(near, st.integers(1, 5_000), st.integers(20_000, 40_000))
events = st.one_of(
    st.builds(delta, levels(near), levels(near)),
    st.builds(delta, levels(st.integers(990, 1_000)), levels(st.integers(1_001, 1_010))),
    st.builds(delta, levels(st.integers(1, 1_000)), levels(far)),
    st.builds(trade, st.sampled_from(Side), far, st.integers(1, 300)),
    st.just(confirmed(0)),
    snapshots,
    st.sampled_from(Trouble).map(lambda kind: BookTrouble(KEY, Ns(0), Ns(0), kind, "planted")),
    st.just(TopOfBook(KEY, Ns(0), Ns(0), Ticks(1), Lots(1), Ticks(2), Lots(1), 9)),
)
orders = st.tuples(
    st.sampled_from(["rest", "gone"]), st.integers(1, 6), st.sampled_from(Side), st.one_of(near, near, far)
)
steps = st.lists(
    st.tuples(st.sampled_from([1, 7, 40, 260, 900]), st.one_of(events, orders, orders, snapshots)),
    min_size=10,
    max_size=50,
)
first = snapshot([(tick, 40) for tick in range(990, 1_000)], [(tick, 20) for tick in range(1_001, 1_011)])
opening: list[Step] = [
    (0, first),
    (1, ("rest", 1, Side.BUY, 999)),
    (1, ("rest", 2, Side.SELL, 1_001)),
    (260, ("rest", 3, Side.SELL, 1_003)),
]
"""Every market begins with a whole book, orders that rest in it, and a silence that makes it stale."""


def stamped(event: MarketEvent, now_ns: int) -> MarketEvent:
    if isinstance(event, Confirmed):
        return confirmed(now_ns)
    return msgspec.structs.replace(event, exch_ns=Ns(now_ns), recv_ns=Ns(now_ns))


def named(step: list[Step]) -> list[int]:
    """All prices of book levels in these steps, and their neighbours."""
    books = [event for _, event in step if isinstance(event, BookDelta | BookSnapshot)]
    ticks = {tick for book in books for tick, _ in [*book.bids, *book.asks]}
    return sorted({tick + by for tick in ticks for by in (-1, 0, 1)})


def play(step: list[Step]) -> None:
    """The same steps to both markets, compared after each."""
    plain, fed = pair()
    prices, working = named(step), [f"mmA-SYNTHUSDT-{number}" for number in range(1, 7)]
    now_ns = START_NS
    for wait_ms, event in step:
        now_ns += wait_ms * MS
        if isinstance(event, tuple):
            what, number, side, tick = event
            for market in (plain, fed):
                client_id = working[number - 1]
                market.rest(client_id, side, tick) if what == "rest" else market.gone(client_id)
        else:
            happened = stamped(event, now_ns)
            assert fed.apply(happened) == plain.apply(happened)
        assert numbers(fed, now_ns, prices, working) == numbers(plain, now_ns, prices, working)


@settings(max_examples=100)
@given(steps)
def test_a_fed_kernel_is_the_plain_market(step: list[Step]) -> None:
    play([*opening, *step])


def test_the_random_markets_are_unpleasant() -> None:
    """A comparison of markets in which nothing happens would prove nothing."""
    seen: set[object] = set()

    @settings(max_examples=100, database=None, derandomize=True)
    @given(steps)
    def collect(step: list[Step]) -> None:
        _, fed = pair()
        context = fed._growing
        now_ns = START_NS
        for wait_ms, event in [*opening, *step]:
            now_ns += wait_ms * MS
            span = fed._c[L.SPAN]
            if not isinstance(event, tuple):
                trouble = fed.apply(stamped(event, now_ns))
                seen.add(trouble and trouble[0])
            elif event[0] == "rest":
                fed.rest(f"a-{event[1]}", event[2], event[3])
            seen.add(("read", fed.observe(now_ns), fed.view is not None))
            seen.add(("widened", 0 < span < fed._c[L.SPAN]))
            seen.add(("dropped", context.dropped_rows > 0))

    collect()

    assert {Trouble.CROSSED, None} <= seen
    assert seen & {Trouble.GAP, Trouble.DEPTH}
    assert {("read", Read.HIT, True), ("read", Read.HIT, False), ("read", Read.MISS, False)} <= seen
    assert {("widened", True), ("dropped", True)} <= seen


def test_a_snapshot_larger_than_the_buffer_is_taken_whole() -> None:
    plain, fed = pair(rows=4)
    whole = snapshot([(tick, tick) for tick in range(1, 1_000)], [(tick, 7) for tick in range(1_000, 2_000)])
    for market in (plain, fed):
        market.apply(whole)
    assert numbers(fed, START_NS, range(2_100), ()) == numbers(plain, START_NS, range(2_100), ())


FAR = delta([], [(1 << 26, 1)], ns=ms(1))
WIDE = delta([(1, 1 << 31)], [], ns=ms(1))


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (FAR, rf"prices were from \d+ to {1 << 26} ticks, expected at most {1 << 25} of them"),
        (WIDE, "a price or size did not fit 32 bits, in ticks and lots"),
    ],
)
def test_numbers_that_no_market_could_have_break_the_book_until_the_next_snapshot(
    event: BookDelta, why: str
) -> None:
    _, fed = pair()
    fed.apply(first)
    before = numbers(fed, START_NS, range(990, 1_010), ())
    found = fed.apply(event)
    assert found is not None
    assert (found[0], bool(re.fullmatch(why, found[1]))) == (Trouble.RANGE, True)
    assert not fed.synced
    assert fed.observe(ms(2)) is Read.MISS
    fed.apply(delta([(1_001, 7)], [], ns=ms(3)))
    assert not fed.synced
    fed.apply(msgspec.structs.replace(first, recv_ns=ms(4)))
    assert fed.synced
    assert numbers(fed, ms(4), range(990, 1_010), ())[1] == before[1]


def test_the_longest_ladder_still_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing, "MAX_SPAN", 1 << 12)
    _, fed = pair()
    assert fed.apply(snapshot([(1, 5)], [(1 << 12, 6)])) is None
    assert (fed.displayed(Side.BUY, 1), fed.displayed(Side.SELL, 1 << 12)) == (5, 6)
    found = fed.apply(delta([], [((1 << 12) + 1, 1)]))
    assert found is not None
    assert "expected at most 4096" in found[1]


def test_a_bot_whose_book_holds_such_a_price_asks_for_it_anew_and_quotes_nothing_meanwhile() -> None:
    instrument = linear()
    engine = build_engine(SETTINGS, [instrument], fed_markets(SETTINGS, [instrument]), arm="A")
    whole = snapshot([(9_999, 500)], [(10_001, 500)], ns=ms(0))
    engine.step(whole)
    quoted = list(unpacked(engine.step(Tick(ms(0)))))
    assert [type(one) for one in quoted] == [SubmitOrder, SubmitOrder]
    for order in quoted:
        engine.step(OrderAck(KEY, order.client_id, ms(1)))
    engine.step(msgspec.structs.replace(FAR, recv_ns=ms(50)))
    pulled = [type(one) for one in unpacked(engine.step(Tick(ms(100))))]
    assert sorted(pulled, key=str) == [CancelOrder, CancelOrder, RequestSnapshot]
    events = [row.kind for row in engine.drain() if isinstance(row, EventRow)]
    assert events == ["range", "resync_request"]
    for order in quoted:
        engine.step(OrderCancelled(KEY, order.client_id, ms(150), Lots(order.lots)))
    assert [type(one) for one in engine.step(Tick(ms(200)))] == []
    engine.step(msgspec.structs.replace(whole, recv_ns=ms(250)))
    assert [type(one) for one in unpacked(engine.step(Tick(ms(300))))] == [SubmitOrder, SubmitOrder]


def test_a_shadow_market_takes_the_trouble_in_its_place() -> None:
    features = feature_settings(SETTINGS)
    at_once = LatencySettings(model="constant", median_ms=0.0)
    sim = msgspec.structs.replace(SETTINGS.sim, market_data=at_once)
    world = ShadowWorld([linear()], SETTINGS.md_cache, features, sim, seed=1)
    engine = build_engine(SETTINGS, [linear()], world.markets, arm="A")
    world.attach(engine, lambda _fill: None)
    world.push(snapshot([(9_999, 500)], [(10_001, 500)], ns=ms(0)))
    world.push(msgspec.structs.replace(FAR, recv_ns=ms(50)))
    world.advance(ms(500))
    rows = [row for row in engine.drain() if isinstance(row, EventRow)]
    assert [row.kind for row in rows] == ["range"]
    assert "expected at most" in str(rows[0].detail["detail"])
    assert not engine.bots[KEY].market.synced


def test_more_orders_than_the_kernel_holds_are_an_error() -> None:
    _, fed = pair()
    for number in range(L.SLOTS):
        fed.rest(f"a-{number}", Side.BUY, 1_000)
    fed.rest("a-7", Side.SELL, 1_001)  # again: it has its slot
    with pytest.raises(BufferError, match="orders at one time were 65, expected at most 64"):
        fed.rest("a-64", Side.BUY, 1_000)
    fed.gone("a-7")
    fed.rest("a-64", Side.BUY, 1_000)
