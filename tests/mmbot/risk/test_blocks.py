"""Blocks: what is held back is told when it begins and counted until it ends."""

from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import KEY, START_NS

from mmbot.model.records import EventRow
from mmbot.risk.blocks import Blocked, Blocks, Held
from mmbot.units import MS

FULL: Blocked = (Held.DEFERRED, "cancel", "message_throttle")


def large(notional: float) -> Blocked:
    return Held.REFUSED, "buy", f"max_order_notional_quote: {notional} > 1000"


def test_a_block_is_told_once_and_its_end_counts_it():
    blocks = Blocks(KEY)
    assert blocks.tick(START_NS, [large(1_001)]) == [
        EventRow(
            START_NS, KEY, "order_refused", {"reason": "max_order_notional_quote: 1001 > 1000", "side": "buy"}
        )
    ]
    assert blocks.tick(START_NS + 100 * MS, [large(1_002), large(1_003)]) == []
    assert blocks.lasting
    (row,) = blocks.tick(START_NS + 200 * MS, [])
    assert (row.kind, row.ts_ns) == ("block_ended", START_NS + 200 * MS)
    assert row.detail == {
        "held": "order_refused",
        "limit": "max_order_notional_quote",
        "side": "buy",
        "times": 3,
        "lasted_ms": 200.0,
    }
    assert not blocks.lasting
    assert blocks.tick(START_NS + 300 * MS, []) == []


reasons = st.sampled_from([large(1.0), large(2.0), FULL, (Held.REFUSED, "sell", "self_trade: x")])


@given(st.lists(st.lists(reasons, max_size=5), max_size=30))
def test_every_block_is_counted_and_whatever_began_has_ended(ticks: list[list[Blocked]]):
    blocks = Blocks(KEY)
    rows = [row for number, blocked in enumerate(ticks) for row in blocks.tick(START_NS + number, blocked)]
    rows += blocks.tick(START_NS + len(ticks), [])
    ended = [row for row in rows if row.kind == "block_ended"]
    assert len(ended) == len(rows) - len(ended)
    assert sum(int(row.detail["times"] or 0) for row in ended) == sum(map(len, ticks))
