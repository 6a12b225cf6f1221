"""Edge as the bot sees it: the definitions of the design, on paths that can be worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS, fill_row, linear, tick_row

from mmbot.edge.markout import Markouts
from mmbot.model.records import FillRow
from mmbot.units import SECOND


def markouts(mids: list[tuple[float, float | None]], fills: list[FillRow]) -> Markouts:
    """Ticks as (seconds, mid) and fills, in time order; a fill is known after the tick of its moment."""
    found = Markouts(linear())
    ticks = [tick_row(ts_ns=START_NS + round(at_s * SECOND), mid=mid) for at_s, mid in mids]
    for row in sorted([*ticks, *fills], key=lambda row: row.ts_ns):
        if isinstance(row, FillRow):
            found.fill(row)
        else:
            found.tick(row)
    return found


def fill(at_s: float = 0.0, **changes: object) -> FillRow:
    return fill_row(ts_ns=START_NS + round(at_s * SECOND), **changes)


def test_one_bought_fill_by_hand():
    edge = markouts([(0, 100.0), (30, 100.2), (60, 99.95), (61, 99.0)], [fill()]).edge()
    assert edge is not None
    assert (edge.fills, edge.open_fills) == (1, 0)
    assert edge.gross_bps == pytest.approx(10.0)
    assert edge.fees_bps == pytest.approx(-2.0)
    assert edge.adverse_bps == pytest.approx(-5.0)
    assert edge.net_bps == pytest.approx(3.0)


def test_a_sold_fill_is_its_mirror_image():
    edge = markouts([(0, 100.0), (60, 100.05)], [fill(side="sell", price=100.1)]).edge()
    assert edge is not None
    assert (edge.gross_bps, edge.adverse_bps) == (pytest.approx(10.0), pytest.approx(-5.0))


def test_the_mid_of_a_moment_is_the_last_one_at_or_before_it():
    edge = markouts([(0, 100.0), (59.9, 100.1), (60.1, 105.0)], [fill()]).edge()
    assert edge is not None
    assert edge.adverse_bps == pytest.approx(10.0)


def test_a_fill_whose_horizon_was_not_seen_is_counted_apart():
    found = markouts([(0, 100.0), (60, 100.0)], [fill(), fill(0.1), fill(mid=None)]).edge()
    assert found is not None
    assert (found.fills, found.open_fills) == (1, 2)


@pytest.mark.parametrize("fills", [[], [fill(1.0)], [fill(mid=None)]], ids=["none", "open", "no mid"])
def test_nothing_to_average_is_no_edge(fills: list[FillRow]):
    assert markouts([(0, 100.0), (60, 100.0)], fills).edge() is None


def test_what_is_settled_is_not_kept():
    """A thousand seconds of a fill and a tick each; only the last minute's fills wait for their mid."""
    seconds = range(1_000)
    found = markouts([(second, 100.0) for second in seconds], [fill(second) for second in seconds])
    edge = found.edge()
    assert edge is not None
    assert (edge.fills, edge.open_fills) == (940, 60)
    assert len(found._waiting) == 60


def test_a_quiet_mid_lasts_and_a_missing_one_does_not_erase_it():
    found = markouts([(0, 100.0), (30, None), (70, None)], [fill()])
    edge = found.edge()
    assert edge is not None
    assert edge.adverse_bps == 0.0
    assert found.last_mid == 100.0
    assert markouts([(0, None)], []).last_mid is None


@given(
    st.lists(
        st.tuples(st.floats(0, 100), st.floats(90, 110), st.floats(0.01, 9), st.booleans()),
        min_size=1,
        max_size=8,
    )
)
def test_net_edge_times_notional_is_the_markout_net_of_fees(path: list[tuple[float, float, float, bool]]):
    mids = [(float(second), 100.0 + (second * 7 % 13) / 10) for second in range(0, 170, 5)]
    fills = []
    for at_s, price, qty, bought in path:
        lots = max(round(qty / 0.01), 1)
        mid = next(mid for second, mid in reversed(mids) if second <= at_s)
        fee = lots * 0.01 * price * 2e-4
        fills.append(
            fill(at_s, side="buy" if bought else "sell", price=price, qty=lots * 0.01, fee=fee, mid=mid)
        )
    edge = markouts(mids, fills).edge()
    assert edge is not None
    weight = sum(row.qty * row.mid for row in fills if row.mid)
    gained = 0.0
    for row in fills:
        later = next(mid for second, mid in reversed(mids) if second <= (row.ts_ns - START_NS) / SECOND + 60)
        gained += (1 if row.side == "buy" else -1) * row.qty * (later - row.price) - row.fee
    assert edge.net_bps * weight / 1e4 == pytest.approx(gained, rel=1e-9, abs=1e-9 * weight)
