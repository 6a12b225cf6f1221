"""What is exported equals what the rows add up to: of made rows, of a run's own files, however cut."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from tests.mmbot.builders import (
    KEY,
    START_NS,
    HandStopwatch,
    fill,
    fill_row,
    inverse,
    linear,
    run_request,
    tick_row,
)

from mmbot.execution.position import Position
from mmbot.model.instrument import Instrument, Side
from mmbot.model.records import EventRow, FillRow, Row, SampleRow, TickRow
from mmbot.runtime.faults import parse_fault
from mmbot.runtime.run import Run
from mmbot.telemetry.metrics import METRICS, STAGES
from mmbot.telemetry.registry import RunMetrics

Exported = dict[tuple[str, frozenset[tuple[str, str]]], float]


def metrics_of(*instruments: Instrument) -> RunMetrics:
    return RunMetrics(instruments or [linear()], run_id="r1", arm="A", data_kind="synthetic")


def read(text: bytes) -> Exported:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def exported(rows: Sequence[Row], *instruments: Instrument) -> Exported:
    metrics = metrics_of(*instruments)
    metrics.rows(rows)
    return read(metrics.exposed("")[0])


def value(found: Exported, name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


def total(found: Exported, name: str, **labels: str) -> float:
    return sum(
        number for (of, values), number in found.items() if of == name and values >= set(labels.items())
    )


def test_counts_and_gauges_of_ticks():
    found = exported(
        [
            tick_row(cache="miss", age_ns=None, deadline_miss=True, guard="HARD", reasons=("stale", "pnl")),
            tick_row(ts_ns=START_NS + 1, mid=None, bid=99.0, half_spread_bps=2.5, position=-3.0),
        ]
    )
    assert value(found, "mmbot_ticks_total", symbol=KEY, arm="A") == 2
    assert value(found, "mmbot_deadline_misses_total", symbol=KEY, arm="A") == 1
    assert value(found, "mmbot_md_cache_reads_total", symbol=KEY, arm="A", outcome="miss") == 1
    assert value(found, "mmbot_guard_ticks_total", symbol=KEY, level="HARD") == 1
    assert value(found, "mmbot_guard_reason_ticks_total", symbol=KEY, reason="pnl") == 1
    assert value(found, "mmbot_mid_price", symbol=KEY) is None
    assert value(found, "mmbot_half_spread_bps", symbol=KEY) == 2.5
    assert value(found, "mmbot_quoting", symbol=KEY, side="bid") == 1
    assert value(found, "mmbot_quoting", symbol=KEY, side="ask") == 0
    assert value(found, "mmbot_position", symbol=KEY) == -3
    assert value(found, "mmbot_book_age_seconds_count") == 1


def test_durations_are_of_the_time_that_gates_judge():
    found = exported([tick_row(fetch_md_ns=1_000, tick_total_ns=150_000_000 - 2_000_000, wait_ns=2_000_000)])
    assert value(found, "mmbot_tick_duration_seconds_bucket", le="0.15") == 1
    assert value(found, "mmbot_tick_duration_seconds_bucket", le="0.1") == 0
    assert value(found, "mmbot_tick_duration_seconds_sum") == 0.15
    assert value(found, "mmbot_stage_duration_seconds_sum", stage="fetch_md") == 0.002001
    assert value(found, "mmbot_fetch_md_wait_seconds_sum") == 0.002


def test_a_duration_beyond_every_edge_is_counted():
    found = exported([tick_row(emit_ns=7_000_000_000)])
    assert value(found, "mmbot_stage_duration_seconds_bucket", stage="emit", le="1.0") == 0
    assert value(found, "mmbot_stage_duration_seconds_bucket", stage="emit", le="+Inf") == 1


def test_events_and_samples():
    found = exported(
        [
            EventRow(START_NS, None, "breaker", {"venue": "bybit_linear", "state": "half_open"}),
            EventRow(START_NS, None, "ticks_dropped", {"ticks": 3}),
            EventRow(START_NS, None, "daily_loss", {"loss_quote": 501.0, "reduce_only": 1}),
            EventRow(START_NS, KEY, "funding", {"rate": 1e-4, "payment": -0.5}),
            EventRow(START_NS, None, "halt", {"reason": "test"}),
            SampleRow(START_NS, None, "rss_bytes", 5e8),
            SampleRow(START_NS, KEY, "book_updates", 77),
            SampleRow(START_NS, KEY, "resting_orders", 2),
            SampleRow(START_NS, None, "account_equity_usd", 1234.5),
            SampleRow(START_NS, KEY, "order_send_us", 40.0),
        ]
    )
    assert value(found, "mmbot_breaker_not_closed", venue="bybit_linear") == 1
    assert value(found, "mmbot_ticks_dropped_total") == 3
    assert value(found, "mmbot_reduce_only") == 1
    assert value(found, "mmbot_funding_paid", symbol=KEY, currency="USDT") == -0.5
    assert value(found, "mmbot_halted") == 1
    assert value(found, "mmbot_events_total", symbol="", kind="halt") == 1
    assert value(found, "mmbot_resident_memory_bytes") == 5e8
    assert value(found, "mmbot_book_updates_total", symbol=KEY) == 77
    assert value(found, "mmbot_resting_orders", symbol=KEY) == 2
    assert value(found, "mmbot_account_equity_usd") == 1234.5
    assert value(found, "mmbot_order_path_seconds_sum", step="send") == 4e-5


def test_ticks_and_fills_of_two_arms_are_counted_apart():
    metrics = RunMetrics([linear()], run_id="r1", arm="AB", data_kind="synthetic")
    assert value(read(metrics.exposed("")[0]), "mmbot_ticks_total", symbol=KEY, arm="B") == 0
    candidate = fill_row()
    candidate.arm = "B"
    ticks = [tick_row(), tick_row(deadline_miss=True), tick_row()]
    for row, arm in zip(ticks, "ABB", strict=True):
        row.arm = arm
    metrics.rows([*ticks, candidate])
    found = read(metrics.exposed("")[0])
    assert [value(found, "mmbot_ticks_total", symbol=KEY, arm=arm) for arm in "AB"] == [1, 2]
    assert [value(found, "mmbot_deadline_misses_total", symbol=KEY, arm=arm) for arm in "AB"] == [0, 1]
    assert [total(found, "mmbot_fills_total", arm=arm) for arm in "AB"] == [0, 1]


def test_before_the_first_row_what_is_counted_is_zero_and_what_is_measured_is_absent():
    found = exported([])
    assert value(found, "mmbot_run_info", run_id="r1", arm="A", data_kind="synthetic") == 1
    assert value(found, "mmbot_deadline_misses_total", symbol=KEY, arm="A") == 0
    assert (
        value(
            found, "mmbot_fills_total", symbol=KEY, arm="A", currency="USDT", side="sell", liquidity="taker"
        )
        == 0
    )
    assert value(found, "mmbot_breaker_not_closed", venue="bybit_linear") == 0
    for absent in ("mmbot_mid_price", "mmbot_pnl", "mmbot_resident_memory_bytes", "mmbot_run_clock_seconds"):
        assert [name for name, _ in found if name == absent] == []


@pytest.mark.parametrize("instrument", [linear(), inverse()], ids=lambda instrument: instrument.key)
def test_profit_is_that_of_the_ledger(instrument: Instrument):
    ledger, key = Position(instrument), instrument.key
    rows: list[Row] = []
    for side, price_ticks, lots in ((Side.BUY, 200_000, 7), (Side.SELL, 200_300, 4), (Side.SELL, 199_900, 9)):
        ledger.book(fill(side, price_ticks, lots, symbol=key))
        price, qty = instrument.price(price_ticks), instrument.quantity(lots)
        fee = instrument.fee(lots, price, maker=True)
        rows.append(fill_row(symbol=key, side=side.word, price=price, qty=qty, fee=fee))
    rows.append(tick_row(symbol=key, mid=2001.0, position=ledger.base))
    found, currency = exported(rows, instrument), instrument.settled_in
    assert value(found, "mmbot_pnl", symbol=key, currency=currency) == pytest.approx(ledger.pnl(2001.0))
    assert value(found, "mmbot_fees_paid", symbol=key, currency=currency) == pytest.approx(ledger.fees)
    assert total(found, "mmbot_fill_notional_total", currency=instrument.quote) == pytest.approx(
        sum(
            instrument.notional_quote(round(row.qty / instrument.lot), row.price)
            for row in rows
            if isinstance(row, FillRow)
        )
    )


ROWS = st.one_of(
    st.builds(
        lambda ns, missed, age, mid: tick_row(fetch_md_ns=ns, deadline_miss=missed, age_ns=age, mid=mid),
        st.integers(0, 10**10), st.booleans(), st.none() | st.integers(0, 10**11), st.none() | st.just(50.0),
    ),
    st.builds(lambda side: fill_row(side=side), st.sampled_from(["buy", "sell"])),
    st.builds(lambda kind: EventRow(START_NS, KEY, kind, {}), st.sampled_from(["gap", "lost"])),
)  # fmt: skip


@given(st.lists(st.lists(ROWS, max_size=20), max_size=6), st.data())
def test_it_does_not_matter_how_rows_are_cut_into_batches_nor_when_somebody_looks(
    batches: list[list[Row]], data: st.DataObject
):
    # the profit of a symbol is marked at its newest tick: the same for both only once the last tick is in
    last = [tick_row(mid=60.0)]
    cut = metrics_of()
    for batch in [*batches, last]:
        cut.rows(batch)
        if data.draw(st.booleans()):
            cut.exposed("")
    whole = metrics_of()
    whole.rows([row for batch in [*batches, last] for row in batch])
    assert read(cut.exposed("")[0]) == pytest.approx(read(whole.exposed("")[0]))


def test_totals_of_a_run_equal_the_sums_of_the_rows_in_its_files(tmp_path: Path):
    faults = (parse_fault("gap@5s"),)
    run = Run(run_request(tmp_path, engine="plain", faults=faults), HandStopwatch(1_000))
    metrics = RunMetrics(run.instruments, run_id=run.run_id, arm="A", data_kind=run.data_kind)
    run.observers.append(metrics)
    for _ in run:
        pass
    found = read(metrics.exposed("")[0])
    ticks = rows_of(run.directory, "pipeline_ticks", TickRow)
    fills = rows_of(run.directory, "fills", FillRow)
    events = rows_of(run.directory, "events", EventRow)
    assert ticks
    assert fills
    assert total(found, "mmbot_ticks_total") == len(ticks)
    assert total(found, "mmbot_deadline_misses_total") == sum(row.deadline_miss for row in ticks)
    for outcome, count in Counter(row.cache for row in ticks).items():
        assert total(found, "mmbot_md_cache_reads_total", outcome=outcome) == count
    for reason, count in Counter(reason for row in ticks for reason in row.reasons).items():
        assert total(found, "mmbot_guard_reason_ticks_total", reason=reason) == count
    for kind, count in Counter(row.kind for row in events).items():
        assert total(found, "mmbot_events_total", kind=kind) == count
    assert total(found, "mmbot_events_total", kind="gap") == 1
    for stage in STAGES[1:]:
        times_ns = sum(getattr(row, f"{stage}_ns") for row in ticks)
        assert value(found, "mmbot_stage_duration_seconds_sum", stage=stage) == times_ns / 1e9
    totals_ns = sum(row.tick_total_ns + row.wait_ns for row in ticks)
    assert value(found, "mmbot_tick_duration_seconds_sum") == totals_ns / 1e9
    assert value(found, "mmbot_tick_duration_seconds_count") == len(ticks)
    for side, count in Counter(row.side for row in fills).items():
        assert total(found, "mmbot_fills_total", side=side) == count
    assert total(found, "mmbot_fees_paid") == pytest.approx(sum(row.fee for row in fills))
    [bot] = run.engine.bots.values()
    mid = next(row.mid for row in reversed(ticks) if row.mid is not None)
    assert total(found, "mmbot_pnl") == pytest.approx(bot.position.pnl(mid))
    assert total(found, "mmbot_position") == ticks[-1].position


def rows_of(folder: Path, feed: str, kind: type) -> list:
    lines = b"".join(path.read_bytes() for path in sorted(folder.glob(f"{feed}_*.jsonl")))
    return msgspec.json.Decoder(kind).decode_lines(lines)


def test_every_metric_of_the_table_has_its_family():
    text, kind = metrics_of().exposed("")
    families = {family.name: family.type for family in text_string_to_metric_families(text.decode())}
    assert families == {metric.name.removesuffix("_total"): metric.kind for metric in METRICS}
    assert kind.startswith("text/plain")


def test_open_metrics_is_spoken_to_whom_asks_for_it():
    text, kind = metrics_of().exposed("application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


def test_nothing_is_put_into_the_registry_of_the_process():
    metrics_of()
    assert [family.name for family in REGISTRY.collect() if family.name.startswith("mmbot")] == []
