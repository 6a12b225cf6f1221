"""Events as rows: what each kind looks like in integers."""

import pytest
from tests.mmbot.builders import KEY, START_NS, confirmed, delta, ms, snapshot, trade

from mmbot.model.events import BookTrouble, MarketEvent, TopOfBook, Trade, Trouble
from mmbot.model.instrument import Side
from mmbot.model.market_rows import ASK, BID, BUY, CONFIRMED, LAST, SELL, SNAPSHOT, TROUBLE, rows_of
from mmbot.units import Lots, Ns, Ticks


def trouble(kind: Trouble, *, ours_alone: bool = False) -> BookTrouble:
    return BookTrouble(KEY, Ns(START_NS), Ns(START_NS), kind, "planted", ours_alone)


def top_of_book() -> TopOfBook:
    return TopOfBook(KEY, Ns(1), Ns(START_NS), Ticks(99), Lots(1), Ticks(101), Lots(1), 7)


@pytest.mark.parametrize(
    ("event", "kinds", "levels"),
    [
        (delta([(99, 1), (98, 0)], [(101, 2)]), [BID, BID, ASK | LAST], [99, 1, 98, 0, 101, 2]),
        (delta([(99, 1)], []), [BID | LAST], [99, 1]),
        (delta([], []), [CONFIRMED | LAST], [0, 0]),
        (snapshot([(99, 1)], [(101, 2)]), [SNAPSHOT, BID, ASK | LAST], [0, 0, 99, 1, 101, 2]),
        (snapshot([], []), [SNAPSHOT | LAST], [0, 0]),
        (trade(Side.BUY, 101, 3), [BUY | LAST], [101, 3]),
        (trade(Side.SELL, 99, 3), [SELL | LAST], [99, 3]),
        (confirmed(START_NS), [CONFIRMED | LAST], [0, 0]),
        (top_of_book(), [CONFIRMED | LAST], [0, 0]),
        (trouble(Trouble.GAP), [TROUBLE | LAST], [1, 5]),
        (trouble(Trouble.DUPLICATE), [TROUBLE | LAST], [0, 5]),
        (trouble(Trouble.GAP, ours_alone=True), [TROUBLE | LAST], [2, 5]),
        (trouble(Trouble.DUPLICATE, ours_alone=True), [TROUBLE | LAST], [0, 5]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_event_as_rows(event: MarketEvent, kinds: list[int], levels: list[int]) -> None:
    exch_ns, recv_ns, found_kinds, found_levels = rows_of(event, 5)
    assert (exch_ns, recv_ns) == (START_NS, START_NS)
    assert list(found_kinds) == kinds
    assert found_levels.tolist() == levels


def test_the_two_stamps_are_kept_apart() -> None:
    event = Trade(KEY, Ns(ms(2)), Ns(ms(7)), Side.BUY, Ticks(1), Lots(1))
    exch_ns, recv_ns, *_ = rows_of(event, 0)
    assert (exch_ns, recv_ns) == (ms(2), ms(7))


def test_what_does_not_fit_32_bits_is_an_error() -> None:
    with pytest.raises(OverflowError):
        rows_of(delta([(1, 1 << 31)], []), 0)
