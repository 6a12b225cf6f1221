"""Sums by block are the figures of the run, however they are cut and added up again."""

from typing import Any

import numpy as np
import pytest
from tests.mmbot.builders import START_NS, fill_row, linear, tick_row

from mmbot.calibration.block_sums import METRICS, SUMS, BlockSums, PointSums
from mmbot.edge.markout import Markouts
from mmbot.model.records import FillRow, Row, TickRow
from mmbot.units import HOUR, SECOND

BLOCK_NS, TICK_NS = 60 * SECOND, SECOND


def rows(seconds: int = 300, seed: int = 4) -> list[Row]:
    """A tick a second on a walk, a fill every seventh, one in three taken."""
    rng = np.random.default_rng(seed)
    mids = 100.0 + np.cumsum(rng.normal(0.0, 0.01, seconds))
    found: list[Row] = []
    for at, mid in enumerate(mids.tolist()):
        now_ns = START_NS + at * SECOND
        found.append(tick_row(ts_ns=now_ns, mid=mid))
        if at % 7 == 3:
            facts: dict[str, Any] = {"side": "buy" if at % 2 else "sell", "mid": mid, "decision_mid": mid}
            facts["liquidity"] = "maker" if at % 3 else "taker"
            found.append(fill_row(ts_ns=now_ns, fill_id=at, price=mid - 0.02, qty=1.0 + at % 4, **facts))
    return found


def summed(of: list[Row], block_ns: int = BLOCK_NS) -> BlockSums:
    sums = BlockSums([linear()], block_ns, TICK_NS)
    sums.rows(of)
    return sums


def total(blocks: dict[int, list[float]]) -> dict[str, float]:
    return dict(zip(SUMS, np.sum(list(blocks.values()), axis=0).tolist(), strict=True))


@pytest.mark.parametrize("block_ns", [BLOCK_NS, 7 * SECOND, HOUR])
def test_net_bps_of_all_blocks_is_that_of_the_markouts(block_ns: int):
    markouts, every = Markouts(linear()), rows()
    for row in every:
        if isinstance(row, TickRow):
            markouts.tick(row)
        elif isinstance(row, FillRow):
            markouts.fill(row)
    found = total(summed(every, block_ns).blocks())
    assert 1e4 * found["net"] / found["weight"] == pytest.approx(markouts.edge.net.bps, rel=1e-12)
    assert found["fills_with_net"] == markouts.edge.fills < markouts.fills == found["fills"]
    assert found["gross"] + found["fees"] + found["adverse_60s"] == pytest.approx(found["net"])


def test_a_row_by_hand():
    """Bought one at 99.9 with the mid at 100, fee 0.02; a minute later the mid is 100.5."""
    of = [tick_row(mid=100.0), fill_row(decision_mid=100.1)]
    of += [tick_row(ts_ns=START_NS + seconds * SECOND, mid=100.5) for seconds in (1, 60, 61)]
    (first, second) = summed(of).blocks().values()
    found = dict(zip(SUMS, first, strict=True))
    assert found == pytest.approx(
        {
            "net": 0.1 + 0.5 - 0.02,
            "weight": 100.0,
            "gross": 0.1,
            "fees": -0.02,
            "adverse_60s": 0.5,
            "slippage": -0.2,
            "slippage_weight": 100.0,
            "fills_with_net": 1,
            "fills": 1,
            "notional": 99.9,
            "taker_notional": 0.0,
            "ticks": 2,
            "hours": 2 / 3600,
        }
    )
    assert second == pytest.approx([0.0] * 11 + [2, 2 / 3600])


def test_a_fill_counts_in_the_block_in_which_it_happened():
    """Its markout ends in the next."""
    blocks = summed(rows()).blocks()
    fills = [row[SUMS.index("fills_with_net")] for row in blocks.values()]
    assert [start_ns - START_NS for start_ns in blocks] == [at * BLOCK_NS for at in range(5)]
    assert fills[-1] == 0  # of the last minute nothing is known
    assert min(fills[:-1]) > 0


def test_shards_add_up():
    one, other = summed(rows(seed=1)).blocks(), summed(rows(seed=2)).blocks()
    point = PointSums()
    point.fold(one)
    point.fold(other)
    starts_ns = sorted(point.starts_ns)
    assert point.table(starts_ns) == pytest.approx(np.array([*one.values()]) + np.array([*other.values()]))
    assert point.table([0]).tolist() == [[0.0] * len(SUMS)]


def test_every_metric_is_a_ratio_of_sums_that_are_kept():
    table = np.array([summed(rows()).blocks()[START_NS]])
    for name, metric in METRICS.items():
        above, below = metric.of(table)
        assert metric.name == name
        assert np.isfinite(above / below).all()
    above, below = METRICS["taker_share"].of(table)
    assert 0 < float(above[0] / below[0]) < 1
