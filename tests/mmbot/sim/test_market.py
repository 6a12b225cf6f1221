"""Synthetic market: what every message must keep, sameness by seed, and that its parameters do what they
say."""

import hashlib
import math
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmbot.model.events import BookDelta, BookSnapshot, Trade
from mmbot.model.instrument import Fees, Instrument, Side
from mmbot.sim.market import MarketSettings, SyntheticMarket
from mmbot.sim.market_draws import Draws
from mmbot.sim.market_flow import Flow
from mmbot.units import BPS, DAY, MS, SECOND, Ns
from mmbot.venues.bybit.feed import BybitFeed
from mmbot.venues.bybit.session import BybitSession

START = Ns(1_785_542_400 * SECOND)

SYNTH = Instrument(
    venue="bybit_linear",
    symbol="SYNTHUSDT",
    base="SYNTH",
    quote="USDT",
    tick_size="0.01",
    lot_size="0.1",
    min_notional=5.0,
    fees=Fees(tier="vip0", maker_bps=2.0, taker_bps=5.5),
)

MarketData = BookSnapshot | BookDelta | Trade

rough = st.builds(
    MarketSettings,
    duration_s=st.sampled_from([0.05, 1.0, 4.0]),
    start_price_ticks=st.sampled_from([600, 7_500, 10**9]),
    depth_levels=st.sampled_from([1, 2, 5, 30]),
    message_interval_ms=st.sampled_from([20, 100, 1_000]),
    volatility_bps_per_sqrt_min=st.sampled_from([0.0, 4.0, 100.0]),
    volatility_log_sigma=st.sampled_from([0.0, 0.5, 2.0]),
    trades_per_s=st.sampled_from([0.0, 3.0, 100.0]),
    informed_ratio=st.floats(0, 1),
    run_persistence_ratio=st.floats(0, 0.999),
    impact_bps=st.sampled_from([0.0, 1.0, 10.0]),
    trade_lots_log_mean=st.sampled_from([0.0, 4.0, 16.0]),
    sweep_levels=st.sampled_from([1, 5, 100]),
    provider_delay_ms=st.sampled_from([0.0, 500.0, 5_000.0]),
    provider_edge_ticks=st.sampled_from([0.0, 0.25, 100.0]),
    pull_ratio=st.floats(0, 1),
    improve_ratio=st.floats(0.001, 1),
    level_changes_per_message=st.sampled_from([0.0, 8.0, 100.0]),
    level_lots_log_mean=st.sampled_from([0.0, 6.0]),
    level_lots_log_sigma=st.sampled_from([0.0, 0.8, 3.0]),
    message_jitter_ms=st.sampled_from([0, 1, 19]),
    price_move_ratio=st.sampled_from([0.0, 0.1, 1.0]),
    reveal_ratio=st.sampled_from([0.0, 0.2, 1.0]),
    stale_share_ratio=st.sampled_from([0.001, 0.5, 1.0]),
    impact_power=st.sampled_from([0.0, 0.5, 1.0]),
    impact_volatility_power=st.sampled_from([msgspec.UNSET, 0.0, 1.0]),
    activity_log_sigma=st.sampled_from([0.0, 1.0, 2.0]),
    activity_half_life_s=st.sampled_from([0.1, 60.0]),
    burst_ratio=st.sampled_from([0.0, 0.3, 0.95]),
    burst_wait_ms=st.sampled_from([0.0, 5.0, 500.0]),
    maker_lots_log_mean=st.sampled_from([None, 0.0, 4.0]),
    improve_room_ratio=st.sampled_from([0.0, 0.5, 1.0]),
    follow_ratio=st.sampled_from([0.0, 0.5, 1.0]),
    level_changes_dispersion=st.sampled_from([0.0, 0.1, 20.0]),
    near_ratio=st.sampled_from([0.0, 0.8, 1.0]),
    near_stop_ratio=st.sampled_from([0.01, 0.3, 1.0]),
    far_ticks=st.sampled_from([1, 50, 500]),
    order_share_ratio=st.sampled_from([0.001, 0.25, 2.0]),
    order_lots_log_sigma=st.sampled_from([None, 0.0, 3.0]),
    new_level_ratio=st.sampled_from([0.0, 0.1, 1.0]),
    gap_stop_ratio=st.sampled_from([0.01, 0.5, 1.0]),
    depth_shape=st.sampled_from([((0, 1.0),), ((0, 1.0), (1, 0.01), (90, 5.0)), ((0, 2.0), (3, 30.0))]),
    latency_min_ms=st.sampled_from([0.0, 5.0]),
    latency_max_ms=st.sampled_from([5.0, 2_000.0]),
)
seeds = st.integers(0, 2**64 - 1)


def market(seed: int = 1, **changes: object) -> SyntheticMarket:
    return SyntheticMarket(MarketSettings(**changes), seed, START)


class Watcher:
    """A plain book that holds every message to what the module promises."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.eaten: defaultdict[tuple[Side, int], int] = defaultdict(int)

    def see(self, event: MarketData) -> None:
        if isinstance(event, Trade):
            self._trade(event)
        else:
            self._book(event)

    def _trade(self, event: Trade) -> None:
        shown = self.asks if event.side is Side.BUY else self.bids
        self.eaten[event.side, event.tick] += event.lots
        assert 0 < self.eaten[event.side, event.tick] <= shown[event.tick]

    def _book(self, event: BookSnapshot | BookDelta) -> None:
        for taker, side, levels in (
            (Side.SELL, self.bids, event.bids),
            (Side.BUY, self.asks, event.asks),
        ):
            assert len({tick for tick, _ in levels}) == len(levels)
            for tick, lots in levels:
                assert lots != side.get(tick, 0) or (taker, tick) in self.eaten  # says only what happened
                side[tick] = lots
                if not lots:
                    del side[tick]
        assert len(self.bids) == len(self.asks) == self.depth
        assert min(self.bids) > 0
        assert max(self.bids) < min(self.asks)
        assert min(*self.bids.values(), *self.asks.values()) > 0
        self.eaten.clear()


REFILLED = MarketSettings(
    duration_s=1.0,
    depth_levels=2,
    message_interval_ms=20,
    volatility_log_sigma=0.0,
    trades_per_s=100.0,
    trade_lots_log_mean=0.0,
    trade_lots_log_sigma=0.0,
    sweep_levels=1,
    provider_edge_ticks=0.0,
    pull_ratio=0.0,
    improve_ratio=1.0,
    level_changes_per_message=0.0,
    level_lots_log_mean=0.0,
    level_lots_log_sigma=0.0,
)
"""One lot eaten and one lot back within a message, again and again."""


@given(rough, seeds)
@example(REFILLED, 0)
def test_every_message_keeps_the_book_whole_and_trades_within_it(some, seed):
    events = list(SyntheticMarket(some, seed, START).events())

    watcher = Watcher(some.depth_levels)
    for event in events:
        watcher.see(event)
    assert isinstance(events[0], BookSnapshot)
    assert not any(isinstance(event, BookSnapshot) for event in events[1:])


def days(count: float, start_ns: int = START) -> SyntheticMarket:
    """A slow market of some days."""
    slow = {
        "depth_levels": 3,
        "message_interval_ms": 10_000,
        "trades_per_s": 0.02,
        "level_changes_per_message": 0.5,
    }
    return SyntheticMarket(MarketSettings(duration_s=count * 86_400, **slow), 3, Ns(start_ns))


def test_the_first_message_after_a_midnight_tells_the_whole_book():
    watcher, found = Watcher(3), []
    for event in days(3.5).events():
        if isinstance(event, BookSnapshot) and watcher.bids:
            found.append(event)
            asks, bids = dict(event.asks), dict(event.bids)
            assert (list(event.asks), list(event.bids)) == (
                sorted(asks.items()),
                sorted(bids.items(), reverse=True),
            )
            assert len(asks) == len(bids) == 3
            watcher.bids, watcher.asks, before = bids, asks, (watcher.bids, watcher.asks)
            assert len(before[0].items() & bids.items()) + len(before[1].items() & asks.items()) >= 3
            watcher.eaten.clear()
        else:
            watcher.see(event)  # every delta fits the book that the snapshot told
    assert [event.exch_ns for event in found] == [START + day * DAY for day in (1, 2, 3)]
    assert list(days(3.5).midnights) == [START + day * DAY for day in (1, 2, 3)]


@pytest.mark.parametrize(
    ("count", "start_ns", "midnights"),
    [(1.0, START, 0), (0.9, START, 0), (1.0, START + DAY // 2, 1), (1.01, START, 1), (2.0, START, 1)],
)
def test_a_midnight_counts_inside_the_market_alone(count: float, start_ns: int, midnights: int):
    market = days(count, start_ns)
    assert len(market.midnights) == midnights
    assert sum(isinstance(event, BookSnapshot) for event in market.events()) == 1 + midnights


@given(rough, seeds)
def test_times_and_ids_are_in_order(some, seed):
    events = list(SyntheticMarket(some, seed, START).events())

    books = [event for event in events if not isinstance(event, Trade)]
    first_id = books[0].update_id
    assert first_id > 1
    assert [book.update_id for book in books] == list(range(first_id, first_id + len(books)))
    least, most = ((some.message_interval_ms + side * some.message_jitter_ms) * MS for side in (-1, 1))
    for opened, closed in pairwise(book.exch_ns for book in books):
        silent = (closed - opened) // least  # messages that had nothing to say leave whole intervals out
        assert any(least * count <= closed - opened <= most * count for count in range(1, silent + 1))
    assert all(event.exch_ns % MS == 0 and event.symbol == some.symbol for event in events)
    assert events[0].exch_ns == START
    assert events[-1].exch_ns <= START + round(some.duration_s * SECOND)
    for earlier, later in pairwise(events):
        assert earlier.exch_ns <= later.exch_ns
        assert earlier.recv_ns < later.recv_ns


@given(rough, seeds)
def test_latency_stays_within_its_bounds_but_for_waiting_in_line(some, seed):
    events = list(SyntheticMarket(some, seed, START).events())

    least, most = int(some.latency_min_ms) * MS, int(some.latency_max_ms) * MS
    waited = START
    for event in events:
        assert event.exch_ns + least <= event.recv_ns <= max(event.exch_ns + most, waited + 1)
        waited = event.recv_ns


@given(seeds)
@settings(max_examples=20)
def test_the_market_survives_the_wire(seed):
    """Encoded as the venue's frames and read by our session: the same events, and no trouble."""
    events = list(market(seed, duration_s=10.0).events())
    feed = BybitFeed(SYNTH, 50)
    session = BybitSession([SYNTH], 50)

    read = [found for event in events for found in session.receive(feed.frame(event), event.recv_ns)]

    assert read == events


def test_the_same_seed_tells_the_same_and_another_another():
    first = market(1, duration_s=30.0)

    told = list(first.events())

    assert told == list(first.events())
    assert told == list(market(1, duration_s=30.0).events())
    assert told != list(market(2, duration_s=30.0).events())


def test_a_longer_market_begins_like_a_shorter_one():
    short = list(market(duration_s=10.0).events())
    long = list(market(duration_s=20.0).events())

    assert long[: len(short)] == short


DIGEST = """
import hashlib
from mmbot.sim.market import MarketSettings, SyntheticMarket
from mmbot.units import Ns
digest = hashlib.sha256()
for event in SyntheticMarket(MarketSettings(duration_s=60.0), 1, Ns(%d)).events():
    digest.update(repr(event).encode())
print(digest.hexdigest())
"""


@pytest.mark.parametrize("hash_seed", ["0", "4242"])
def test_another_process_tells_the_same_whatever_its_hash_seed(hash_seed):
    here = hashlib.sha256()
    for event in market(duration_s=60.0).events():
        here.update(repr(event).encode())

    there = subprocess.run(
        [sys.executable, "-c", DIGEST % START],
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )

    assert there.stdout.strip() == here.hexdigest()


class Hour:
    """A stretch of market as a maker would look at it."""

    def __init__(self, events: Iterator[MarketData]) -> None:
        self.messages = 0
        self.mids: dict[int, float] = {}
        self.spreads: Counter[int] = Counter()
        self.touch_lots: list[int] = []
        self.trades: list[Trade] = []
        book = Watcher(50)
        for event in events:
            book.see(event)
            if isinstance(event, Trade):
                self.trades.append(event)
                continue
            self.messages += 1
            bid, ask = max(book.bids), min(book.asks)
            self.mids[event.exch_ns // MS] = (bid + ask) / 2
            self.spreads[ask - bid] += 1
            self.touch_lots += [book.bids[bid], book.asks[ask]]

    def volatility(self, step_s: int) -> float:
        """Of the mid, bps a square root minute, from changes over `step_s`."""
        mids = [mid for ms, mid in self.mids.items() if ms % (step_s * 1_000) == 0]
        moves = [math.log(later / earlier) for earlier, later in pairwise(mids)]
        return math.sqrt(sum(move**2 for move in moves) / len(moves) * 60 / step_s) * BPS

    def markouts(self) -> tuple[float, float]:
        """Mean over trades: what the maker earned against the mid before, and what the next 5 s cost it;
        bps."""
        earned, cost, count = 0.0, 0.0, 0
        for trade in self.trades:
            before = self.mids.get((trade.exch_ns - MS) // (100 * MS) * 100)
            after = self.mids.get((trade.exch_ns - MS) // (100 * MS) * 100 + 5_000)
            if before is not None and after is not None:
                earned += trade.side * (trade.tick - before) / before * BPS
                cost += trade.side * (after - before) / before * BPS
                count += 1
        return earned / count, cost / count

    def turns(self) -> float:
        """Share of trades whose side is not the last one's."""
        pairs = list(pairwise(trade.side for trade in self.trades))
        return sum(one is not other for one, other in pairs) / len(pairs)


@pytest.fixture(scope="module")
def hour() -> Hour:
    return Hour(market(seed=7).events())


def test_a_default_hour_has_the_size_it_says(hour):
    assert 35_900 <= hour.messages <= 36_001
    assert 9_000 < len(hour.trades) < 13_000


def test_a_default_hour_has_a_tight_spread_that_sometimes_widens(hour):
    tight = (hour.spreads[1] + hour.spreads[2]) / hour.messages
    assert 0.75 < tight < 0.95
    assert max(hour.spreads) >= 4


def test_a_default_hour_moves_like_a_liquid_perpetual(hour):
    assert 5.0 < hour.volatility(5) < 12.0
    assert 5.0 < hour.volatility(60) < 12.0


def test_queues_at_the_touch_deplete_and_refill(hour):
    lots = sorted(hour.touch_lots)
    assert lots[len(lots) // 10] * 3 < lots[len(lots) // 2] < lots[-len(lots) // 10]


def test_a_maker_pays_adverse_selection_but_not_everything(hour):
    earned, cost = hour.markouts()
    assert 0.2 * earned < cost < earned


def test_without_information_and_impact_a_maker_keeps_what_it_earned():
    calm = Hour(
        market(
            duration_s=1_200.0, informed_ratio=0.0, impact_bps=0.0, volatility_bps_per_sqrt_min=0.0
        ).events()
    )
    earned, cost = calm.markouts()

    assert earned > 0.5
    assert abs(cost) < 0.1 * earned


def test_volatility_moves_the_mid():
    quiet, wild = (
        Hour(market(duration_s=600.0, volatility_bps_per_sqrt_min=bps, impact_bps=0.0).events()).volatility(5)
        for bps in (1.0, 20.0)
    )
    assert quiet * 5 < wild
    assert 12.0 < wild < 35.0


def test_volatility_clusters():
    """Squared moves of neighbouring half minutes go together, more than without clustering."""
    steady, clustered = (
        _clustering(Hour(market(3, duration_s=3_600.0, volatility_log_sigma=sigma, impact_bps=0.0).events()))
        for sigma in (0.0, 1.0)
    )
    assert clustered > steady + 0.1


def test_an_order_moves_the_price_further_in_volatile_times():
    """Only orders move it here. At one volatility alone the power is no matter."""
    only_orders = {"volatility_bps_per_sqrt_min": 0.0, "informed_ratio": 0.0, "duration_s": 3_600.0}
    plain, growing = (
        _clustering(Hour(market(3, volatility_log_sigma=1.0, **power, **only_orders).events()))
        for power in ({}, {"impact_volatility_power": 1.0})
    )
    assert growing > plain + 0.1
    steady = {"volatility_log_sigma": 0.0, "informed_ratio": 0.0}
    assert lists(**steady, impact_volatility_power=1.0) == lists(**steady)


def test_a_tape_keeps_its_name_while_a_later_parameter_is_unset():
    assert b"impact_volatility_power" not in msgspec.json.encode(MarketSettings())
    assert b"impact_volatility_power" in msgspec.json.encode(MarketSettings(impact_volatility_power=0.0))


def _clustering(hour: Hour) -> float:
    mids = [mid for ms, mid in hour.mids.items() if ms % 10_000 == 0]
    sizes = [abs(math.log(later / earlier)) for earlier, later in pairwise(mids)]
    mean = sum(sizes) / len(sizes)
    spread = sum((size - mean) ** 2 for size in sizes)
    return sum((one - mean) * (other - mean) for one, other in pairwise(sizes)) / spread


def test_runs_get_longer_with_persistence():
    fickle, steady = (
        Hour(market(duration_s=600.0, run_persistence_ratio=ratio).events()).turns() for ratio in (0.5, 0.95)
    )
    assert steady < fickle / 2


def lists(**changes: object) -> list[MarketData]:
    return list(market(3, duration_s=300.0, **changes).events())


def trades_of(events: list[MarketData]) -> list[Trade]:
    return [event for event in events if isinstance(event, Trade)]


def messages_of(events: list[MarketData]) -> list[BookSnapshot | BookDelta]:
    return [event for event in events if not isinstance(event, Trade)]


def mean_ms(events: list[MarketData]) -> float:
    return (events[-1].exch_ns - events[0].exch_ns) / MS / (len(events) - 1)


def test_jitter_scatters_the_messages_and_keeps_their_pace():
    steady, jittery = (messages_of(lists(message_jitter_ms=jitter)) for jitter in (0, 30))
    gaps = {(later.exch_ns - earlier.exch_ns) // MS for earlier, later in pairwise(jittery)}

    assert mean_ms(jittery) == pytest.approx(mean_ms(steady), rel=0.02)
    assert {70, 130} <= gaps
    assert min(gaps) == 70


def test_a_price_that_never_becomes_known_does_not_move_the_book():
    """Of a thousand typical touches, none is ever eaten or cancelled away."""
    calm = {"price_move_ratio": 0.0, "level_lots_log_mean": 12.0, "order_share_ratio": 0.0001}
    hidden, known = (
        {(max(b.bids), min(b.asks)) for b in tops(lists(**calm | {"reveal_ratio": ratio}))}
        for ratio in (0.0, 0.1)
    )

    assert len(hidden) <= 2  # the first message may still better the opening book
    assert len(known) > 5


def tops(events: list[MarketData]) -> Iterator[Watcher]:
    book = Watcher(50)
    for event in events:
        book.see(event)
        if not isinstance(event, Trade):
            yield book


def test_revealing_orders_lead_the_moves():
    """With nobody else to tell, and quick providers, the mid moves only in the message after an order."""
    quick = {"provider_delay_ms": 0.0, "pull_ratio": 1.0, "improve_ratio": 1.0, "improve_room_ratio": 1.0}
    still = {"provider_edge_ticks": 0.0, "level_changes_per_message": 0.0, "price_move_ratio": 0.0}
    book, mid, traded, led = Watcher(50), 0, False, []
    for event in lists(**quick | still | {"reveal_ratio": 1.0}):
        book.see(event)
        if isinstance(event, Trade):
            traded = True
            continue
        now = max(book.bids) + min(book.asks)
        if mid and now != mid:
            led.append(traded)
        mid, traded = now, False

    assert len(led) > 100
    assert sum(led) > 0.95 * len(led)


def test_stale_liquidity_that_is_gone_makes_the_informed_sweep():
    gone, there = (
        trades_of(lists(stale_share_ratio=share, informed_ratio=1.0, volatility_bps_per_sqrt_min=30.0))
        for share in (0.01, 1.0)
    )
    assert sweeps(gone) > 1.5 * sweeps(there)


def sweeps(trades: list[Trade]) -> float:
    """Share of orders at more than one price; an order is known by its moment and side."""
    prices: defaultdict[tuple[Ns, Side], set[int]] = defaultdict(set)
    for trade in trades:
        prices[trade.exch_ns, trade.side].add(trade.tick)
    return sum(len(each) > 1 for each in prices.values()) / len(prices)


def test_bursts_draw_orders_together_and_keep_their_number():
    even, bursty = (trades_of(lists(burst_ratio=ratio, burst_wait_ms=5.0)) for ratio in (0.0, 0.6))

    def close(trades: list[Trade]) -> float:
        gaps = [later.exch_ns - earlier.exch_ns for earlier, later in pairwise(trades)]
        return sum(0 < gap <= 20 * MS for gap in gaps) / len(gaps)

    assert len(bursty) == pytest.approx(len(even), rel=0.25)
    assert close(bursty) > 3 * close(even)


def test_busy_times_have_more_trades_and_more_changes():
    def unevenness(counts: Counter[int]) -> float:
        mean = sum(counts.values()) / 30
        return sum((counts[window] - mean) ** 2 for window in range(30)) / 30 / mean**2

    found = []
    for sigma in (0.0, 1.0):
        events = lists(activity_log_sigma=sigma, activity_half_life_s=20.0, volatility_log_sigma=0.0)
        trades = Counter((trade.exch_ns - START) // (10 * SECOND) for trade in trades_of(events))
        changes: Counter[int] = Counter()
        for book in messages_of(events)[1:]:
            changes[(book.exch_ns - START - 1) // (10 * SECOND)] += len(book.bids) + len(book.asks)
        found.append((unevenness(trades), unevenness(changes)))
    (trades_even, changes_even), (trades_busy, changes_busy) = found

    assert trades_busy > 4 * trades_even
    assert changes_busy > 4 * changes_even


def test_makers_get_a_print_each():
    whole, split = (
        trades_of(lists(informed_ratio=0.0, impact_bps=0.0, maker_lots_log_mean=mean)) for mean in (None, 2.0)
    )
    assert len(split) > 3 * len(whole)
    assert sum(t.lots for t in split) == sum(t.lots for t in whole)


def test_the_depth_has_the_shape_asked_for():
    thick, thin = (
        list(tops(lists(depth_shape=((0, 1.0), (1, size), (50, size)))))[-1] for size in (4.0, 0.1)
    )
    deep = [sorted(book.asks.items())[5:] for book in (thick, thin)]

    assert sum(lots for _, lots in deep[0]) > 10 * sum(lots for _, lots in deep[1])


def test_gaps_make_the_book_wide():
    spans = [
        max(book.asks) - min(book.asks)
        for book in (
            list(tops(lists(gap_stop_ratio=stop, new_level_ratio=new)))[-1]
            for stop, new in ((1.0, 1.0), (0.3, 0.0))
        )
    ]

    assert 49 <= spans[0] < 60
    assert spans[1] > 90


def test_providers_who_follow_keep_the_touch_thick():
    """After moves; the rest of the flow is switched off."""
    quiet = {
        "level_changes_per_message": 0.0,
        "trades_per_s": 0.0,
        "improve_room_ratio": 1.0,
        "pull_ratio": 1.0,
    }
    thin, thick = (
        [
            min(b.bids[max(b.bids)], b.asks[min(b.asks)])
            for b in tops(lists(**quiet | {"follow_ratio": ratio}))
        ]
        for ratio in (0.0, 1.0)
    )
    assert sum(thick) > 1.3 * sum(thin)


def test_uneven_changes_leave_more_messages_out():
    even, uneven = (
        len(messages_of(lists(level_changes_per_message=1.0, level_changes_dispersion=d, trades_per_s=0.0)))
        for d in (0.0, 20.0)
    )
    assert uneven < 0.7 * even


def test_a_day_of_market_keeps_nothing_that_was_told():
    """Neither the flow nor its ladders grow: what an hour holds, a minute holds too."""
    some = MarketSettings(burst_ratio=0.5)
    flow = Flow(some, Draws(some, 1))
    flow.changes()  # the snapshot

    def held() -> int:
        ladders = (flow._bids, flow._asks)
        return len(flow._orders_ms) + sum(len(ladder._shown) + len(ladder.lots) for ladder in ladders)

    sizes = []
    for _ in range(20_000):
        list(flow.takers(100))
        flow.providers()
        flow.changes()
        sizes.append(held())

    assert max(sizes[10_000:]) <= max(sizes[:600]) + 20


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("message_jitter_ms", 100),
        ("burst_ratio", 0.96),
        ("reveal_ratio", 1.1),
        ("maker_lots_log_mean", math.nan),
        ("duration_s", 0.0),
        ("duration_s", math.nan),
        ("duration_s", math.inf),
        ("depth_levels", 0),
        ("message_interval_ms", 0),
        ("informed_ratio", 1.1),
        ("run_persistence_ratio", 1.0),
        ("trades_per_s", -1.0),
        ("volatility_bps_per_sqrt_min", math.nan),
        ("latency_max_ms", 1.0),
        ("start_price_ticks", 999),
    ],
)
def test_settings_that_make_no_market_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"{name} was {value}, expected"):
        MarketSettings(**{name: value})


@pytest.mark.parametrize("shape", [(), ((1, 1.0),), ((0, 1.0), (0, 2.0)), ((0, 1.0), (10_001, 1.0))])
def test_a_shape_that_does_not_rise_from_the_touch_is_refused(shape):
    with pytest.raises(ValueError, match=r"depth_shape was at .* expected rising from 0"):
        MarketSettings(depth_shape=shape)


@pytest.mark.parametrize("size", [0.0, -1.0, math.nan, math.inf])
def test_a_shape_of_no_size_is_refused(size):
    with pytest.raises(ValueError, match=r"depth_shape was .* at 2 ticks"):
        MarketSettings(depth_shape=((0, 1.0), (2, size)))


def test_settings_from_a_file_are_strict():
    with pytest.raises(msgspec.ValidationError, match="unknown field `spread`"):
        msgspec.convert({"spread": 1}, MarketSettings)
    with pytest.raises(msgspec.ValidationError, match=r"pull_ratio was 2\.0"):
        msgspec.convert({"pull_ratio": 2.0}, MarketSettings)
    with pytest.raises(msgspec.ValidationError, match="Expected `int`"):
        msgspec.convert({"depth_levels": "50"}, MarketSettings)


def test_a_start_finer_than_a_millisecond_is_refused():
    with pytest.raises(ValueError, match="start_ns was 1, expected whole milliseconds"):
        SyntheticMarket(MarketSettings(), 1, Ns(1))
