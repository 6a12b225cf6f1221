"""The book against a plain model: two dicts, best found by looking at all of them."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.mmbot.builders import book

from mmbot.book.l2 import L2Book

ticks = st.one_of(st.integers(1, 40), st.integers(1, 2_000))
levels = st.lists(st.tuples(ticks, st.integers(0, 3)), max_size=6)


class BookMachine(RuleBasedStateMachine):
    """Snapshots and deltas of any kind: removes, absent removes, crossed, one-sided, a level named twice."""

    def __init__(self) -> None:
        super().__init__()
        self.book = L2Book()
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}

    @rule(bids=levels, asks=levels)
    def snapshot(self, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> None:
        self.book.replace(bids, asks)
        self.bids, self.asks = {}, {}
        self._put(self.bids, [level for level in bids if level[1]])
        self._put(self.asks, [level for level in asks if level[1]])

    @rule(bids=levels, asks=levels)
    def delta(self, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> None:
        self.book.apply(bids, asks)
        self._put(self.bids, bids)
        self._put(self.asks, asks)

    @rule()
    def best_levels_vanish(self) -> None:
        bids = [(max(self.bids), 0)] if self.bids else []
        asks = [(min(self.asks), 0)] if self.asks else []
        self.delta(bids, asks)

    @rule(tick=ticks)
    def absent_level_is_removed(self, tick: int) -> None:
        self.delta([(tick, 0)] if tick not in self.bids else [], [(tick, 0)] if tick not in self.asks else [])

    @staticmethod
    def _put(side: dict[int, int], changes: list[tuple[int, int]]) -> None:
        for tick, lots in changes:
            side[tick] = lots
            if not lots:
                del side[tick]

    @invariant()
    def sides_are_the_models(self) -> None:
        assert self.book.bids == self.bids
        assert self.book.asks == self.asks
        assert self.book.levels() == (sorted(self.bids.items(), reverse=True), sorted(self.asks.items()))

    @invariant()
    def best_prices_are_the_models(self) -> None:
        assert self.book.best_bid == max(self.bids, default=None)
        assert self.book.best_ask == min(self.asks, default=None)

    @invariant()
    def mid_and_cross_follow_from_the_best_prices(self) -> None:
        bid, ask = max(self.bids, default=None), min(self.asks, default=None)
        if bid is None or ask is None:
            assert self.book.mid_x2 is None
            assert not self.book.crossed
        else:
            assert self.book.mid_x2 == bid + ask
            assert self.book.crossed == (bid >= ask)


TestBookAgainstModel = BookMachine.TestCase
TestBookAgainstModel.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_a_new_book_has_no_prices():
    empty = L2Book()
    assert (empty.best_bid, empty.best_ask, empty.mid_x2, empty.crossed) == (None, None, None, False)


def test_a_locked_book_counts_as_crossed():
    assert book([(100, 1)], [(100, 1)]).crossed
    assert not book([(99, 1)], [(100, 1)]).crossed


def test_a_message_may_cross_inside_as_long_as_it_does_not_end_so():
    moving = book([(99, 5)], [(100, 5), (102, 5)])
    moving.apply([(100, 4)], [(100, 0)])
    assert (moving.best_bid, moving.best_ask, moving.crossed) == (100, 102, False)


def test_the_next_best_is_found_far_beyond_the_near_walk():
    sparse = book([(10_000, 1), (3, 1)], [(10_001, 1), (90_000, 1)])
    sparse.apply([(10_000, 0)], [(10_001, 0)])
    assert (sparse.best_bid, sparse.best_ask) == (3, 90_000)


@given(levels, levels)
def test_a_delta_repeated_changes_nothing(bids: list[tuple[int, int]], asks: list[tuple[int, int]]):
    once = book([(20, 1)], [(21, 1)])
    once.apply(bids, asks)
    before = (dict(once.bids), dict(once.asks), once.best_bid, once.best_ask)
    once.apply(bids, asks)
    assert (once.bids, once.asks, once.best_bid, once.best_ask) == before
