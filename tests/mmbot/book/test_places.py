"""Queue places as we estimate them: behind the display, eaten by trades, clipped by displays, never back."""

from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import book

from mmbot.book.places import Places
from mmbot.model.instrument import Side

BID, ASK = 100, 103


def resting(side: Side = Side.BUY, ahead_lots: int = 50) -> Places:
    places = Places()
    places.rest("a", side, BID if side is Side.BUY else ASK, ahead_lots)
    return places


def test_trades_at_our_price_against_our_side_take_from_the_front():
    places = resting()
    places.on_trade(Side.SELL, BID, 20)
    assert places.ahead_lots("a") == 30
    places.on_trade(Side.SELL, BID, 99)
    assert places.ahead_lots("a") == 0


def test_trades_elsewhere_or_against_the_other_side_move_nothing():
    for side in Side:
        places = resting(side)
        at = BID if side is Side.BUY else ASK
        places.on_trade(side, at, 20)
        places.on_trade(Side(-side), at + 1, 20)
        places.on_trade(Side(-side), at - 1, 20)
        assert places.ahead_lots("a") == 50


def test_a_display_smaller_than_the_estimate_clips_it_and_a_larger_one_stands_behind_us():
    places = resting()
    places.on_book(book([(BID, 80)], [(ASK, 1)]))
    assert places.ahead_lots("a") == 50
    places.on_book(book([(BID, 10)], [(ASK, 1)]))
    assert places.ahead_lots("a") == 10
    places.on_book(book([], [(ASK, 1)]))
    assert places.ahead_lots("a") == 0


def test_a_trade_and_the_display_that_follows_count_once():
    places = resting()
    places.on_trade(Side.SELL, BID, 20)
    places.on_book(book([(BID, 30)], [(ASK, 1)]))
    assert places.ahead_lots("a") == 30


def test_a_place_that_is_gone_is_unknown_and_may_go_twice():
    places = resting()
    places.gone("a")
    places.gone("a")
    assert places.ahead_lots("a") is None


happenings = st.lists(
    st.tuples(st.sampled_from(["trade", "bid", "ask"]), st.integers(99, 104), st.integers(0, 90)), max_size=25
)


@given(st.sampled_from(Side), st.integers(0, 100), happenings)
def test_the_size_ahead_never_grows_and_is_never_negative(
    side: Side, ahead_lots: int, path: list[tuple[str, int, int]]
):
    places, shown = resting(side, ahead_lots), book([(BID, 100)], [(ASK, 100)])
    before = ahead_lots
    for what, tick, lots in path:
        if what == "trade":
            places.on_trade(Side(-side), tick, lots)
        else:
            shown.apply([(tick, lots)] if what == "bid" else [], [(tick, lots)] if what == "ask" else [])
            places.on_book(shown)
        now = places.ahead_lots("a")
        assert now is not None
        assert 0 <= now <= before
        before = now
