"""Edge as the bot sees it over a run: on paths that can be worked out by hand, and against the ledger on
paths that cannot.
"""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS, fill, fill_row, inverse, linear, tick_row

from mmbot.edge.decomposition import Decomposition
from mmbot.edge.fill import Leg
from mmbot.edge.markout import CURVE_S, Markouts
from mmbot.execution.position import Position
from mmbot.model.instrument import Fees, Instrument, Side
from mmbot.model.records import FillRow
from mmbot.units import SECOND


def ns(at_s: float) -> int:
    return START_NS + round(at_s * SECOND)


def markouts(
    mids: list[tuple[float, float | None]], fills: list[FillRow], instrument: Instrument | None = None
) -> Markouts:
    """Ticks as (seconds, mid) and fills, in the order in which they are known; ticks first."""
    found = Markouts(instrument or linear())
    ticks = [(ns(at_s), 0, tick_row(ts_ns=ns(at_s), mid=mid)) for at_s, mid in mids]
    known = [(row.recv_ns, 1, row) for row in fills]
    for _, _, row in sorted([*ticks, *known], key=lambda item: item[:2]):
        if isinstance(row, FillRow):
            found.fill(row)
        else:
            found.tick(row)
    return found


def bought(at_s: float = 0.0, *, learned_s: float | None = None, **changes: object) -> FillRow:
    return fill_row(ts_ns=ns(at_s), recv_ns=ns(at_s if learned_s is None else learned_s), **changes)


def bps(edge: Decomposition) -> dict[str, float | None]:
    legs = {"gross": edge.gross, "fees": edge.fees, "net": edge.net, "slippage": edge.slippage}
    legs |= {f"adverse_{seconds}s": leg for seconds, leg in edge.adverse.items()}
    return {name: leg.bps for name, leg in legs.items()}


def test_one_bought_fill_by_hand():
    mids = [(0, 100.0), (1, 100.1), (5, 100.3), (30, 100.2), (60, 99.95), (61, 99.0)]
    found = markouts(mids, [bought(decision_mid=99.95)])
    assert (found.fills, found.edge.fills) == (1, 1)
    assert bps(found.edge) == pytest.approx(
        {
            "gross": 10.0,
            "fees": -2.0,
            "adverse_1s": 10.0,
            "adverse_5s": 30.0,
            "adverse_60s": -5.0,
            "net": 3.0,
            "slippage": -5.0,
        }
    )
    assert found.edge.bps(found.edge.inventory(99.0)) == pytest.approx(-95.0)
    assert found.edge.bps(found.edge.pnl(99.0)) == pytest.approx(-92.0)
    assert found.pnl() == pytest.approx(99.0 - 99.9 - 0.02)


def test_a_sold_fill_is_its_mirror_image():
    found = markouts([(0, 100.0), (60, 100.05)], [bought(side="sell", price=100.1)])
    assert (found.edge.gross.bps, found.edge.adverse[60].bps) == (pytest.approx(10.0), pytest.approx(-5.0))


def test_the_mid_of_a_moment_is_the_last_one_at_or_before_it():
    found = markouts([(0, 100.0), (59.9, 100.1), (60.1, 105.0)], [bought()])
    assert found.edge.adverse[60].bps == pytest.approx(10.0)


@pytest.mark.parametrize("learned_s", [0.0, 2.5, 59.0, 61.0])
def test_learning_late_of_a_fill_changes_nothing(learned_s: float):
    mids = [(0.5 * step, 100.0 + step * 0.01) for step in range(140)]
    at_once, late = (markouts(mids, [bought(learned_s=when)]) for when in (0.0, learned_s))
    assert bps(late.edge) == bps(at_once.edge)
    assert {leg.fills for leg in late.edge.adverse.values()} == {1}


def test_a_fill_learned_after_the_last_tick_knows_what_the_ticks_told():
    mids = [(0, 100.0), (1, 100.1), (2, 100.2)]
    found = markouts(mids, [bought(learned_s=3.0)])
    assert {seconds: point.fills for seconds, point in found.curve.items() if point.fills} == {1: 1}
    assert found.curve[1].bps == pytest.approx(20.0)


def test_ticks_further_apart_than_a_minute_lose_no_mid():
    found = markouts(
        [(0, 100.0), (100, 101.0), (200, 102.0), (300, 103.0)], [bought(), bought(100, mid=101.0)]
    )
    assert found.edge.adverse[60].bps == pytest.approx(0.0)
    assert found.curve[300].fills == 1


def test_fills_learned_out_of_their_order_each_keep_their_own_moment():
    mids = [(float(second), 100.0 + second) for second in range(75)]
    slow, quick = bought(0, learned_s=4.0), bought(2, learned_s=2.5)
    found = markouts(mids, [slow, quick])
    assert found.edge.adverse[1].bps == pytest.approx(1e4 * (1.0 + 3.0) / 2 / 100)
    assert found.edge.adverse[60].bps == pytest.approx(1e4 * (60.0 + 62.0) / 2 / 100)


def test_a_fill_learned_after_its_mids_were_forgotten_has_no_edge_but_its_profit():
    mids = [(float(second), 100.0 + second) for second in range(200)]
    found = markouts(mids, [bought(learned_s=190.0)])
    assert (found.fills, found.edge.fills) == (1, 0)
    assert found.pnl() == pytest.approx(299.0 - 99.9 - 0.02)


def test_a_fill_whose_horizon_was_not_seen_is_counted_apart():
    found = markouts([(0, 100.0), (60, 100.0)], [bought(), bought(0.1), bought(mid=None)])
    assert (found.fills, found.edge.fills) == (3, 1)


@pytest.mark.parametrize("fills", [[], [bought(1.0)], [bought(mid=None)]], ids=["none", "open", "no mid"])
def test_nothing_to_average_is_no_edge(fills: list[FillRow]):
    edge = markouts([(0, 100.0), (60, 100.0)], fills).edge
    assert edge.fills == 0
    assert set(bps(edge).values()) == {None}


def test_what_is_settled_is_not_kept():
    """A thousand seconds of a fill and a tick each; only the fills and mids of some minutes stay."""
    seconds = range(1_000)
    found = markouts(
        [(second, 100.0 + second % 7) for second in seconds], [bought(second) for second in seconds]
    )
    assert (found.fills, found.edge.fills) == (1_000, 940)
    assert len(found._waiting) == 300
    assert len(found._due) == sum(CURVE_S)
    assert len(found._mids) <= 61


def test_a_quiet_mid_lasts_and_a_missing_one_does_not_erase_it():
    found = markouts([(0, 100.0), (30, None), (70, None)], [bought()])
    assert found.edge.adverse[60].bps == 0.0
    assert found.last_mid == 100.0
    silent = markouts([(0, None)], [bought()])
    assert (silent.last_mid, silent.pnl()) == (None, None)


def test_a_run_whose_first_mid_comes_late_knows_the_later_horizons_only():
    found = markouts([(0, None), (3, 100.1), (61, 100.1)], [bought()])
    assert [found.edge.adverse[seconds].fills for seconds in (1, 5, 60)] == [0, 1, 1]
    blind = markouts([(0, None), (61, 100.1)], [bought()])
    assert (blind.edge.fills, blind.pnl()) == (0, pytest.approx(100.1 - 99.9 - 0.02))


def test_the_curve_is_gross_and_what_the_market_did_by_horizon():
    mids = [(float(second), 100.0 + 0.01 * second) for second in range(400)]
    curve = markouts(mids, [bought(), bought(350.0)]).curve
    assert {seconds: point.fills for seconds, point in curve.items()} == {1: 2, 5: 2, 15: 2, 60: 1, 300: 1}
    assert curve[300].bps == pytest.approx(10.0 + 300.0)


def test_each_hour_holds_its_own_fills():
    mids = [(60.0 * minute, 100.0 + minute) for minute in range(130)]
    found = markouts(mids, [bought(0), bought(3_599), bought(3_600)])
    assert {start: edge.fills for start, edge in found.intervals.items()} == {ns(0): 2, ns(3_600): 1}
    total = sum(edge.net.settled for edge in found.intervals.values())
    assert found.edge.net.settled == pytest.approx(total)


def test_what_drove_the_losses_is_counted():
    mids = [(0.0, 100.0), (60.0, 99.85)]
    fills = [bought(), bought(fee=0.3), bought(price=100.1), bought(side="sell", price=100.0)]
    expected: dict[Leg, int] = {"adverse_60s": 2, "fees": 1}
    assert markouts(mids, fills).edge.drivers == expected


INSTRUMENTS = {
    "linear": linear(),
    "inverse": inverse(),
    "rebate": linear(fees=Fees("rebate", -1.5, 5.5)),
    "inverse rebate": inverse(fees=Fees("rebate", -1.0, 5.0)),
}


@dataclass(frozen=True)
class Path:
    """A market of one mid a second, and our executions in it, as the ledger and as the rows have them."""

    instrument: Instrument
    mids: list[tuple[float, float | None]]
    executions: list[tuple[float, float, Side, int, int, bool, int | None]]
    """(second, second learned, side, ticks, lots, maker, best bid + best ask)."""

    def ledger(self) -> Position:
        position = Position(self.instrument)
        for _, _, side, tick, lots, maker, mid_x2 in self.executions:
            position.book(fill(side, tick, lots, maker=maker, mid_x2=mid_x2))
        return position

    def rows(self) -> list[FillRow]:
        priced = self.instrument.price
        return [
            bought(
                at_s,
                learned_s=learned_s,
                side=side.word,
                price=priced(tick),
                qty=self.instrument.quantity(lots),
                fee=self.instrument.fee(lots, priced(tick), maker=maker),
                mid=None if mid_x2 is None else priced(mid_x2 / 2),
            )
            for at_s, learned_s, side, tick, lots, maker, mid_x2 in self.executions
        ]


@st.composite
def paths(draw: st.DrawFn) -> Path:
    """Partial fills (many lots sizes at one price), flips through zero, takers and makers, one-sided books,
    fills learned late, fills near the end.
    """
    instrument = INSTRUMENTS[draw(st.sampled_from(sorted(INSTRUMENTS)))]
    seconds = draw(st.integers(1, 150))
    ticks = draw(st.lists(st.integers(9_000, 11_000), min_size=seconds, max_size=seconds))
    holes = draw(st.sets(st.integers(1, seconds)))
    mids: list[tuple[float, float | None]] = [
        (float(at), None if at in holes else instrument.price(tick)) for at, tick in enumerate(ticks)
    ]
    executions = draw(
        st.lists(
            st.tuples(
                st.floats(0, seconds),
                st.sampled_from([0.0, 0.005, 3.0]),
                st.sampled_from(Side),
                st.integers(9_000, 11_000),
                st.integers(1, 300),
                st.booleans(),
                st.none() | st.integers(18_000, 22_000),
            ),
            max_size=12,
        )
    )
    learned = [(at_s, at_s + late_s, *rest) for at_s, late_s, *rest in executions]
    return Path(instrument, mids, sorted(learned, key=lambda item: item[1]))


@given(paths())
def test_net_and_inventory_of_all_fills_are_the_ledgers_mark_to_market_profit(path: Path):
    found = markouts(path.mids, path.rows(), path.instrument)
    ledger, mark = path.ledger(), found.last_mid
    assert mark is not None
    attributed = found.pnl()
    assert attributed is not None
    turnover = ledger.notional or 1.0
    assert attributed == pytest.approx(ledger.pnl(mark), rel=1e-9, abs=1e-13 * turnover)


@given(paths())
def test_components_sum_to_net_and_net_with_inventory_to_pnl(path: Path):
    found = markouts(path.mids, path.rows(), path.instrument)
    for edge in (found.edge, *found.intervals.values()):
        legs = bps(edge)
        if not edge.fills:
            assert legs["net"] is None
            continue
        assert legs["net"] == pytest.approx(
            sum(legs[name] or 0.0 for name in ("gross", "fees", "adverse_60s")), rel=1e-9, abs=1e-9
        )
        mark = found.last_mid or 0.0
        pnl = edge.bps(edge.pnl(mark))
        assert pnl == pytest.approx((legs["net"] or 0.0) + edge.bps(edge.inventory(mark)), rel=1e-9, abs=1e-9)
    assert found.edge.fills == sum(edge.fills for edge in found.intervals.values()) <= found.fills


@given(paths())
def test_every_mid_after_a_fill_is_that_of_its_definition(path: Path):
    rows = path.rows()
    found = markouts(path.mids, rows, path.instrument)
    end_ns = ns(path.mids[-1][0])
    worth = path.instrument.worth
    for seconds, point in found.curve.items():
        settled = fills = 0.0
        for row in (row for row in rows if row.mid is not None):
            until = row.ts_ns + seconds * SECOND
            known = [mid for at_s, mid in path.mids if ns(at_s) <= until and mid is not None]
            if until <= end_ns and known:
                lots = round(row.qty / path.instrument.lot) * (1 if row.side == "buy" else -1)
                settled += lots * (worth(known[-1]) - worth(row.price))
                fills += 1
        assert point.fills == fills
        assert point.settled == pytest.approx(settled, rel=1e-9, abs=1e-12 * max(point.weight, 1e-12))
