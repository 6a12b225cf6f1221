"""What a live run left: its account booked again from its rows, exactly, and how far it came."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS, fill_row, inverse, linear, tick_row

from mmbot.errors import RecordingError
from mmbot.execution.position import Position
from mmbot.model.events import Fill, Funding
from mmbot.model.instrument import Instrument, Side
from mmbot.model.records import EventRow, FillRow, Row
from mmbot.runtime.live import outage_row
from mmbot.runtime.remains import Outage, read_remains
from mmbot.telemetry.feeds import FeedWriter
from mmbot.units import DAY, SECOND, Lots, Ns, Ticks

LATE_NS = (START_NS // DAY + 1) * DAY - SECOND
TRADES = st.lists(
    st.tuples(
        st.sampled_from(Side), st.integers(1, 2**31 - 1), st.integers(1, 2**31 - 1), st.booleans(),
        st.none() | st.floats(-1.0, 1.0),
    ),
    max_size=20,
)  # fmt: skip
PAYMENTS = st.lists(st.floats(-1e3, 1e3), max_size=3)


def written(folder: Path, rows: list[Row]) -> Path:
    writer = FeedWriter(folder, run_id="r", arm="A", data_kind="synthetic", at_once=True)
    writer.write(rows)
    writer.close()
    return folder


def booked(position: Position, instrument: Instrument, number: int, trade: tuple) -> FillRow:
    """As a run books a fill and writes it down, over a midnight."""
    side, tick, lots, maker, charged = trade
    at_ns = LATE_NS + number * SECOND // 4
    fill = Fill(
        instrument.key, f"c-{number}", number, Ns(at_ns), Ns(at_ns), side, Ticks(tick), Lots(lots), maker,
        None, charged,
    )  # fmt: skip
    return fill_row(
        ts_ns=at_ns,
        recv_ns=at_ns,
        symbol=instrument.key,
        fill_id=number,
        side=side.word,
        price=instrument.price(tick),
        qty=instrument.quantity(lots),
        liquidity="maker" if maker else "taker",
        fee=position.book(fill),
    )


@settings(max_examples=60, deadline=None)
@given(TRADES, TRADES, PAYMENTS)
def test_an_account_that_is_booked_again_is_the_same_to_the_last_bit(
    some: list[tuple], others: list[tuple], payments: list[float]
) -> None:
    rows: list[Row] = []
    positions = {instrument.key: Position(instrument) for instrument in (linear(), inverse())}
    for instrument, trades in ((linear(), some), (inverse(), others)):
        position = positions[instrument.key]
        rows += [booked(position, instrument, number, trade) for number, trade in enumerate(trades, 1)]
    for payment in payments:
        position.fund(Funding(inverse().key, Ns(LATE_NS), Ns(LATE_NS), 0.01, payment))
        rows.append(EventRow(LATE_NS, inverse().key, "funding", {"rate": 0.01, "payment": payment}))
    with TemporaryDirectory() as folder:
        remains = read_remains(written(Path(folder), rows), [linear(), inverse()])
    assert remains.positions == {key: position.state() for key, position in positions.items()}
    assert remains.fill_ids == {linear().key: len(some), inverse().key: len(others)}
    assert remains.fills == len(some) + len(others)


def test_how_far_it_came(tmp_path: Path) -> None:
    key = linear().key
    ticks = [tick_row(ts_ns=START_NS + number * SECOND, symbol=key, seq=number) for number in (1, 2, 9, 10)]
    rows = [
        *ticks,
        outage_row(START_NS + 2 * SECOND, START_NS + 9 * SECOND),
        EventRow(START_NS, key, "gap", {"detail": "expected 8, found 9"}),
        EventRow(START_NS, None, "ticks_dropped", {"ticks": 3}),
        EventRow(START_NS, key, "order_reject", {"client_id": "c", "reason": "r"}),
    ]
    remains = read_remains(written(tmp_path, rows), [linear(), inverse()])
    assert (remains.ticks, remains.dropped_ticks, remains.rejects, remains.fills) == (4, 6, 1, 0)
    assert remains.seqs == {key: 10, inverse().key: 0}
    assert remains.newest_ns == START_NS + 10 * SECOND
    assert remains.outages == [Outage(START_NS + 2 * SECOND, START_NS + 9 * SECOND)]
    assert remains.covered_ns(START_NS + SECOND) == 2 * SECOND


def test_a_line_that_was_being_written_is_not_there(tmp_path: Path) -> None:
    written(tmp_path, [tick_row(seq=1), tick_row(ts_ns=START_NS + SECOND, seq=2)])
    (path,) = tmp_path.glob("pipeline_ticks_*.jsonl")
    path.write_bytes(path.read_bytes()[:-1])
    assert read_remains(tmp_path, [linear()]).ticks == 1


@pytest.mark.parametrize(
    "row",
    [
        fill_row(symbol="bybit_linear:ELSEUSDT"),
        EventRow(START_NS, "bybit_linear:ELSEUSDT", "funding", {"rate": 0.1, "payment": 1.0}),
        EventRow(START_NS, linear().key, "funding", {"rate": 0.1, "payment": None}),
        EventRow(START_NS, None, "gap", {"reason": "outage", "from_ns": "soon", "until_ns": START_NS}),
    ],
)
def test_rows_that_cannot_be_its_own_are_refused(tmp_path: Path, row: Row) -> None:
    with pytest.raises(RecordingError, match=r"expected"):
        read_remains(written(tmp_path, [row]), [linear()])
