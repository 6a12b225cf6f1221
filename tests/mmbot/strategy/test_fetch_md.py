"""fetch_md: which fair value is named, and what a miss leaves."""

import pytest
from tests.mmbot.builders import START_NS, confirmed, delta, market_of, ms, shipped_settings, snapshot

from mmbot.book.cache import Read
from mmbot.strategy.fetch_md import FetchMd


def stage(fair_value: str, refit: int = 3_000):
    settings = shipped_settings(fetch_md={"fair_value": fair_value, "microprice_refit_ticks": refit}).fetch_md
    market = market_of()
    return market, FetchMd(settings, market)


@pytest.mark.parametrize(
    ("fair_value", "ticks"), [("mid", 102.0), ("weighted_mid", 103.0), ("microprice", 102.0)]
)
def test_the_fair_value_is_the_one_that_the_settings_name(fair_value: str, ticks: float):
    market, fetch_md = stage(fair_value)
    market.apply(snapshot([(100, 30)], [(104, 10)]))
    read, view = fetch_md(START_NS)
    assert read is Read.HIT
    assert view is market.view
    assert fetch_md.fair_ticks == ticks


def test_a_microprice_that_has_learned_leaves_the_mid_but_not_the_touch():
    market, fetch_md = stage("microprice", refit=50)
    market.apply(snapshot([(100, 90)], [(101, 10)]))
    off = 0.0
    for step in range(1, 60):
        up = step % 2
        market.apply(
            snapshot([(100 + up, 10 if up else 90)], [(101 + up, 90 if up else 10)], ns=ms(step * 100))
        )
        _, view = fetch_md(ms(step * 100))
        assert view is not None
        off = max(off, abs(fetch_md.fair_ticks - view.mid))
        if step < 50:
            assert off == 0.0
    assert off == 0.5, "the estimate wants to go further and is held at the touch"


def test_a_miss_has_no_view():
    market, fetch_md = stage("mid")
    assert fetch_md(START_NS) == (Read.MISS, None)
    market.apply(snapshot([(100, 30)], []))
    assert fetch_md(START_NS) == (Read.HIT, None)


def test_a_book_gone_stale_is_served_as_stale():
    market, fetch_md = stage("mid")
    market.apply(snapshot([(100, 30)], [(104, 10)]))
    read, view = fetch_md(ms(251))
    assert read is Read.STALE
    assert view is not None
    market.apply(confirmed(ms(260)))
    market.apply(delta([(101, 1)], [], ns=ms(270)))
    assert fetch_md(ms(300))[0] is Read.HIT
    assert fetch_md.fair_ticks == 102.5
