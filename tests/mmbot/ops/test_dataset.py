"""A dataset from rows made by hand: what it says of them, and what it refuses."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
import pytest
import zstandard
from tests.mmbot.builders import KEY, START_NS, linear
from tests.mmbot.ops.feeds import TICK_NS, at, bought, run_of, ticks, trace

from mmbot.calibration.dataset_columns import FILL_COLUMNS, INTERVAL_COLUMNS
from mmbot.calibration.dataset_edge import Columns
from mmbot.calibration.dataset_filters import SPIKE_COLUMNS
from mmbot.errors import DatasetError, OutputError
from mmbot.ops.dataset import Dataset, DatasetRequest, make_dataset, read_moment, work_out
from mmbot.units import DAY, SECOND


def request(folder: Path, *runs: Path, **changes: Any) -> DatasetRequest:
    facts: dict[str, Any] = {"interval_ns": 60 * SECOND}
    return DatasetRequest([str(run) for run in runs], folder / "out", **facts | changes)


def made(folder: Path, *runs: Path, **changes: Any) -> Dataset:
    return work_out(request(folder, *runs, **changes))


def rows_of(columns: Columns) -> list[dict[str, Any]]:
    """None where a number is missing."""
    lists = [np.ma.masked_invalid(values) if values.dtype == float else values for values in columns.values()]
    return [
        dict(zip(columns, row, strict=True))
        for row in zip(*(values.tolist() for values in lists), strict=True)
    ]


def every_interval(dataset: Dataset) -> list[dict[str, Any]]:
    """Kept and filtered."""
    return rows_of(dataset.intervals)


def every_fill(dataset: Dataset) -> list[dict[str, Any]]:
    return rows_of(dataset.fills)


def dropped(dataset: Dataset) -> dict[int, list[str]]:
    """Reasons by the number of the interval."""
    found = dataset.content["filters"]["dropped"]
    return {(one["start_ns"] - START_NS) // (60 * SECOND): one["reasons"] for one in found}


def test_features_of_ticks_by_hand(tmp_path: Path):
    rows = ticks(60.0, age_ns=5_000_000, tick_total_ns=2_000_000, wait_ns=1_000_000, bid=99.9, ask=100.1)
    for number, row in enumerate(rows):
        row.cache = "stale" if number < 60 else "hit"
        row.ask = None if number < 150 else row.ask
        row.tick_total_ns += number * 1_000
    (first,) = every_interval(made(tmp_path, run_of(tmp_path / "run", rows)))
    assert (first["ticks"], first["hit_ratio"], first["quote_uptime_ratio"]) == (600, 0.9, 0.75)
    assert (first["book_age_ms_p95"], first["coverage_ratio"]) == (5.0, 1.0)
    assert first["tick_total_ms_p95"] == pytest.approx(3.0 + 0.569)
    assert first["tick_total_ms_p50"] == pytest.approx(3.0 + 0.299)
    move_bps = math.log(100.01 / 100.0) * 1e4
    assert first["mid_jump_bps"] == pytest.approx(move_bps)
    assert first["mid_volatility_bps"] == pytest.approx(move_bps * math.sqrt(10))


def test_features_of_the_trace_by_hand(tmp_path: Path):
    told = [
        trace(
            1.0, touch_bps=1.0, imbalance=0.25, depth_lots=100, bid_eta_s=4.0, ask_eta_s=9.0, bid_ahead_lots=1
        ),
        trace(
            2.0,
            touch_bps=3.0,
            imbalance=0.75,
            depth_lots=300,
            bid_eta_s=8.0,
            bid_ahead_lots=1,
            ask_ahead_lots=2,
            bid_trade_lots_per_s=5.0,
            volatility_score=1.0,
            latency_ms=7.0,
        ),
    ]
    (first,) = every_interval(made(tmp_path, run_of(tmp_path / "run", [*ticks(60.0), *told])))
    assert (first["traced"], first["touch_bps"], first["imbalance"]) == (2, 2.0, 0.5)
    assert first["depth_quote"] == pytest.approx(200 * 0.01 * 100.0)
    assert first["absorb_bid_quote_per_s"] == pytest.approx(2.5 * 0.01 * 100.0)
    assert (first["queue_eta_s_p50"], first["resting_ratio"]) == (4.0, 0.5)
    assert (first["volatility_score"], first["order_latency_ms"]) == (0.5, 7.0)
    assert first["volatility_bps"] is None


def test_targets_by_hand(tmp_path: Path):
    rows = ticks(300.0, mid=100.0)
    for row in rows:
        if row.ts_ns >= at(70.5):
            row.mid = 100.1
        if row.ts_ns >= at(129.0):
            row.mid = 99.95
    fill = bought(70.0, decision_mid=100.0, order_price=99.9)
    taken = bought(71.0, 2, price=100.1, side="sell", liquidity="taker", fee=0.05, mid=100.1)
    told = trace(69.5, volatility_score=0.5, liquidity_score=0.25, spread_bps=4.0)
    dataset = made(tmp_path, run_of(tmp_path / "run", [*rows, fill, taken, told]))
    second = every_interval(dataset)[1]
    assert (second["fills"], second["buys"], second["fills_with_net"]) == (2, 1, 2)
    assert second["notional"] == pytest.approx(200.0)
    assert second["taker_share"] == pytest.approx(0.5005)
    first, other = every_fill(dataset)
    assert {name: first[name] for name in ("gross_bps", "adverse_1s_bps", "adverse_5s_bps", "net_bps")} == (
        pytest.approx({"gross_bps": 10.0, "adverse_1s_bps": 10.0, "adverse_5s_bps": 10.0, "net_bps": 3.0})
    )
    assert first["half_spread_needed_bps"] == pytest.approx(7.0)
    assert first["markout_60s_bps"] == pytest.approx(5.0)
    assert first["quoted_bps"] == pytest.approx(10.0)
    scores = (
        first["score_age_s"],
        first["volatility_score"],
        first["liquidity_score"],
        first["unguarded_bps"],
    )
    assert scores == (0.5, 0.5, 0.25, 4.0)
    assert (other["quoted_bps"], other["score_age_s"]) == (None, 1.5)
    assert second["volatility_score_at_fills"] == pytest.approx(0.5)
    total = dataset.content["totals"][0]
    assert (total["fills"], total["net"]) == (2, pytest.approx(second["net"]))


def test_a_fill_that_no_mid_follows_has_no_net_and_is_counted(tmp_path: Path):
    dataset = made(tmp_path, run_of(tmp_path / "run", [*ticks(60.0), bought(5.0), bought(6.0, 2, mid=None)]))
    (total,) = dataset.content["totals"]
    assert (total["fills"], total["fills_with_net"], total["fills_without_net"]) == (2, 0, 2)
    assert (total["net_bps"], total["net"]) == (None, 0.0)


def test_ticks_without_fills_have_no_targets_and_no_zeros(tmp_path: Path):
    dataset = made(tmp_path, run_of(tmp_path / "run", ticks(60.0)))
    (first,) = every_interval(dataset)
    assert (first["fills"], first["notional"], first["taker_share"], first["net_bps"]) == (0, 0.0, None, None)
    assert every_fill(dataset) == []


def test_a_trace_older_than_a_minute_says_nothing_of_a_fill(tmp_path: Path):
    rows = [*ticks(200.0), trace(1.0, volatility_score=0.5), bought(61.0), bought(61.1, 2)]
    fills = every_fill(made(tmp_path, run_of(tmp_path / "run", rows)))
    assert [(one["score_age_s"], one["volatility_score"]) for one in fills] == [(60.0, 0.5), (None, None)]


def test_run_edges_gaps_and_warm_up_are_filtered_and_listed(tmp_path: Path):
    rows = [row for row in ticks(900.0, start_s=30.0) if not at(630.0) <= row.ts_ns < at(650.0)]
    dataset = made(tmp_path, run_of(tmp_path / "run", rows))
    warming = {number: ["warm_up"] for number in range(1, 9)}
    assert dropped(dataset) == {0: ["run_edge", "warm_up"], **warming, 10: ["gap"], 15: ["run_edge"]}
    (gap,) = dataset.content["gaps"]
    assert (gap["from"], gap["to"]) == ("2026-01-01T00:10:29.900000Z", "2026-01-01T00:10:50Z")
    (covered,) = dataset.content["coverage"]
    assert (covered["ticks"], covered["covered_s"], covered["gaps"]) == (8_800, 880.0, 1)
    assert dataset.content["filters"]["by_reason"]["warm_up"] == 9
    assert dataset.content["filters"]["filtered_ratio"] == 11 / 16


def test_a_bad_book_and_numbers_that_are_none_are_filtered(tmp_path: Path):
    run = run_of(tmp_path / "run", [*ticks(660.0), *ticks(60.0, 660.0, cache="miss"), *ticks(60.0, 720.0)])
    path = run / "pipeline_ticks_20260101.jsonl"
    lines = path.read_text().splitlines()
    lines[7_300] = lines[7_300].replace('"mid":100.0,', '"mid":NaN,')
    assert "NaN" in lines[7_300]
    path.write_text("\n".join(lines) + "\n")
    dataset = made(tmp_path, run)
    assert {number: reasons for number, reasons in dropped(dataset).items() if number > 8} == {
        11: ["low_hit_ratio"],
        12: ["not_finite"],
    }
    assert dataset.content["filters"]["not_finite_rows"] == 1


def test_a_spike_of_the_mid_is_filtered_with_its_z(tmp_path: Path):
    rows = ticks(1_500.0)
    for number, row in enumerate(rows):
        row.mid = 100.0 + 0.01 * (number % (2 + row.ts_ns // (60 * SECOND) % 3))
    rows[12_345].mid = 150.0
    dataset = made(tmp_path, run_of(tmp_path / "run", rows))
    assert {number: reasons for number, reasons in dropped(dataset).items() if number > 8} == {20: ["spike"]}
    (spike,) = [one for one in dataset.content["filters"]["dropped"] if one["spikes"]]
    assert set(spike["spikes"]) <= set(SPIKE_COLUMNS)
    assert max(spike["spikes"].values()) > 8.0


def test_days_are_read_on_over_midnight(tmp_path: Path):
    night_s = DAY / SECOND - 600.0
    rows = ticks(1_200.0, start_s=night_s)
    for row in rows:
        if row.ts_ns >= START_NS + DAY:
            row.mid = 101.0
    fill = bought(night_s + 580.0, mid=100.0)
    told = trace(night_s + 599.0, volatility_score=1.0)
    after = bought(night_s + 601.0, 2, mid=101.0)
    run = run_of(tmp_path / "run", [*rows, fill, after, told])
    assert len(list(run.glob("pipeline_ticks_*.jsonl"))) == 2
    dataset = made(tmp_path, run)
    assert dataset.name == "calib_20260101_20260102"
    assert dataset.content["gaps"] == []
    first, second = every_fill(dataset)
    assert first["adverse_60s_bps"] == pytest.approx(100.0)
    assert (second["adverse_60s_bps"], second["score_age_s"]) == (0.0, 2.0)
    jumps = [one["mid_jump_bps"] for one in every_interval(dataset)]
    assert jumps.index(max(jumps)) == 10


def test_the_order_of_rows_in_a_file_does_not_matter(tmp_path: Path):
    rows = [*ticks(120.0), bought(3.0), bought(2.0, 2), trace(1.0)]
    in_order = made(tmp_path / "a", run_of(tmp_path / "a/run", rows))
    run = run_of(tmp_path / "b/run", rows)
    for path in run.glob("*.jsonl"):
        path.write_bytes(b"".join(reversed(path.read_bytes().splitlines(keepends=True))))
    other = made(tmp_path / "b", run)
    assert other.content["intervals"] == in_order.content["intervals"]
    assert every_fill(other) == every_fill(in_order)


def files(folder: Path, run: Path) -> dict[str, bytes]:
    edge = make_dataset(request(folder, run)).parents[1]
    return {
        str(path.relative_to(edge)): path.read_bytes() for path in sorted(edge.rglob("*")) if path.is_file()
    }


def test_equal_feeds_give_equal_bytes_under_the_names_of_the_workflow(tmp_path: Path):
    rows = [
        *ticks(1_200.0),
        *[bought(500.0 + n, n, decision_mid=100.0 + n % 7) for n in range(40)],
        trace(1.0),
    ]
    one = files(tmp_path / "a", run_of(tmp_path / "a/run", rows))
    assert one == files(tmp_path / "b", run_of(tmp_path / "b/run", rows))
    summary = "reports/calib_summary_20260101_20260101"
    assert list(one) == [
        "datasets/calib_20260101_20260101.json",
        "datasets/calib_20260101_20260101.parquet",
        "datasets/calib_20260101_20260101_fills.parquet",
        f"{summary}.coverage.svg",
        f"{summary}.features.svg",
        f"{summary}.half_spread.svg",
        f"{summary}.md",
    ]
    page = one[f"{summary}.md"].decode()
    assert "| warm_up | 8 |" in page
    assert "(calib_weights_20260101_20260101.md)" in page  # there once weights were calibrated
    for link in re.findall(r"!\[[^]]*\]\((.+?)\)", page):
        assert f"reports/{link}" in one


@pytest.mark.parametrize("form", ["jsonl.zst", "parquet"])
def test_a_closed_day_may_lie_there_packed(tmp_path: Path, form: str):
    rows = [*ticks(120.0), bought(3.0), trace(1.0)]
    plain = made(tmp_path / "a", run_of(tmp_path / "a/run", rows))
    run = run_of(tmp_path / "b/run", rows)
    for path in list(run.glob("*.jsonl")):
        packed = path.with_suffix(f".{form}")
        if form == "parquet":
            duckdb.read_json(str(path), format="newline_delimited").write_parquet(str(packed))
        else:
            packed.write_bytes(zstandard.compress(path.read_bytes()))
        if path.name.startswith("fills"):
            path.unlink()  # the others lie there in both forms, and are read once
    assert made(tmp_path / "b", run).content["intervals"] == plain.content["intervals"]


def test_a_run_in_parts_is_one_run(tmp_path: Path):
    other = linear(symbol="OTHERUSDT")
    whole = run_of(
        tmp_path / "run", [], instruments=[linear(), other], parts=[{"name": "a"}, {"name": "b"}],
        counts={"ticks": 1_800, "fills": 0}, started_ns=START_NS,
    )  # fmt: skip
    run_of(whole / "parts/a", ticks(60.0))
    run_of(whole / "parts/b", ticks(120.0, symbol=other.key))
    dataset = made(tmp_path, whole)
    assert {one["symbol"]: one["ticks"] for one in dataset.content["coverage"]} == {
        KEY: 600,
        other.key: 1_200,
    }


def test_two_runs_stand_side_by_side_and_the_time_between_is_a_gap(tmp_path: Path):
    one = run_of(tmp_path / "one", ticks(60.0))
    other = run_of(tmp_path / "other", ticks(60.0, 90.0), run_id="run-2")
    dataset = made(tmp_path, one, other)
    assert [(gap["from"], gap["seconds"]) for gap in dataset.content["gaps"]] == [
        ("2026-01-01T00:00:59.900000Z", 30.1)
    ]
    assert [run["run_id"] for run in dataset.content["provenance"]] == ["run-1", "run-2"]


def test_a_range_is_cut_out_and_what_follows_it_still_counts(tmp_path: Path):
    rows = ticks(240.0, mid=100.0)
    for row in rows:
        if row.ts_ns >= at(121.0):
            row.mid = 101.0
    run = run_of(tmp_path / "run", [*rows, bought(110.0), bought(130.0, 2), bought(20.0, 3)])
    dataset = made(tmp_path, run, from_ns=at(60.0), to_ns=at(120.0))
    (only,) = every_interval(dataset)
    assert (only["start_ns"], only["ticks"], only["fills"]) == (at(60.0), 600, 1)
    assert only["adverse_60s_bps"] == pytest.approx(100.0)
    assert dataset.content["coverage"][0]["covered_ratio"] == 1.0


def test_half_written_last_lines_are_counted_and_left_out(tmp_path: Path):
    run = run_of(tmp_path / "run", ticks(60.0), status="running", ended_ns=None)
    for name, torn in (("pipeline_ticks", b'{"run_id":"run-1","arm"'), ("fills", b"{")):
        with (run / f"{name}_20260101.jsonl").open("ab") as file:
            file.write(torn)
    dataset = made(tmp_path, run)
    (read,) = dataset.content["provenance"]
    assert (read["torn_lines"], read["rows_read"]["pipeline_ticks"], read["status"]) == (2, 600, "running")


def spoiled(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


TICKS = "pipeline_ticks_20260101.jsonl"


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (TICKS, '{"run_id"', 'x{"run_id"', "Malformed JSON"),
        (
            TICKS,
            '"tick_total_ns":11',
            '"tick_total_ns":"eleven"',
            'Failed to cast value to numerical: "eleven"',
        ),
        (
            TICKS,
            '"cache":"hit",',
            "",
            "1 rows of pipeline_ticks without cache, the first at 2026-01-01T00:00:00Z",
        ),
        (TICKS, '"run-1"', '"run-2"', "rows of run run-2, arm A, recorded data, expected run run-1"),
        (TICKS, '"recorded"', '"live"', "rows of run run-1, arm A, live data, expected"),
        (TICKS, str(START_NS), str(START_NS + TICK_NS), "1 ticks stand there twice, the first at"),
        (TICKS, KEY, "bybit_linear:NEWUSDT", "manifest.json names no instrument bybit_linear:NEWUSDT"),
        ("manifest.json", '"schema":1', '"schema":2', "schema was 2, expected 1"),
        (
            "manifest.json",
            '"complete"',
            '"failed"',
            "run run-1 is failed, expected complete, halted, running",
        ),
        ("manifest.json", '"injected":[]', '"injected":["gap@5m"]', "faults were put into the data"),
        ("manifest.json", '"skipped_ticks":0', '"skipped_ticks":7', "a wake filter left 7 ticks out"),
        ("manifest.json", '"ticks":1200', '"ticks":1201', "counts 1201 ticks, the files hold 1200"),
        ("manifest.json", '"arm":"A",', "", "missing required field `arm`"),
        (
            "manifest.json",
            '"tick_interval_ms":100.0',
            '"tick_interval_ms":0',
            "pipeline.tick_interval_ms was 0",
        ),
        ("fills_20260101.jsonl", '"price":99.9', '"price":NaN', "1 fills with a price of NaN or infinity"),
    ],
)
def test_bad_input_is_an_error_with_its_name(tmp_path: Path, file: str, old: str, new: str, message: str):
    run = run_of(tmp_path / "run", [*ticks(120.0), bought(3.0)])
    spoiled(run / file, old, new)
    with pytest.raises(DatasetError) as raised:
        made(tmp_path, run)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not list((tmp_path / "out").rglob("*calib*"))


def test_runs_of_different_kinds_or_at_the_same_time_are_refused(tmp_path: Path):
    one = run_of(tmp_path / "one", ticks(60.0))
    live = run_of(
        tmp_path / "live",
        ticks(60.0, 60.0),
        run_id="run-2",
        data={"kind": "live", "sha256": "", "injected": []},
    )
    again = run_of(tmp_path / "again", ticks(60.0, 59.9), run_id="run-3")
    with pytest.raises(DatasetError, match=r"data kinds were mixed: recorded \(run-1\), live \(run-2\)"):
        made(tmp_path, one, live)
    with pytest.raises(DatasetError, match=r"runs run-1 and run-3 both have ticks at 2026-01-01T00:00:59\.9"):
        made(tmp_path, one, again)
    with pytest.raises(DatasetError, match="run run-1 was given twice"):
        made(tmp_path, one, one)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"interval_ns": 7 * 60 * SECOND}, "interval was 420 s, expected a divisor of a day, 60 s at least"),
        ({"interval_ns": SECOND}, "interval was 1 s, expected"),
        ({"from_ns": at(60.0), "to_ns": at(60.0)}, "expected its end after its begin"),
        ({"from_ns": at(600.0)}, "found no tick in 2026-01-01T00:10:00Z to the first tick"),
    ],
)
def test_a_range_or_interval_that_cannot_be_is_refused(
    tmp_path: Path, changes: Mapping[str, Any], message: str
):
    run = run_of(tmp_path / "run", ticks(60.0))
    with pytest.raises(DatasetError, match=message):
        made(tmp_path, run, **changes)


def test_a_folder_without_feeds_or_manifest_is_refused(tmp_path: Path):
    run = run_of(tmp_path / "run", ticks(60.0))
    (run / TICKS).unlink()
    with pytest.raises(DatasetError, match=r"found no pipeline_ticks_YYYYMMDD\.jsonl"):
        made(tmp_path, run)
    with pytest.raises(DatasetError, match=r"nothing/manifest\.json: no such file"):
        made(tmp_path, tmp_path / "nothing")
    with pytest.raises(DatasetError, match="expected at least one folder"):
        made(tmp_path)


@pytest.mark.parametrize("text", ["yesterday", "2025-01-15", "2025-01-15T00:00:00"])
def test_a_moment_needs_its_offset(text: str):
    with pytest.raises(DatasetError, match=r"moment was '.*', expected"):
        read_moment(text)


def test_a_moment_is_exact():
    assert read_moment("2026-01-01T00:00:00Z") == START_NS
    assert read_moment("2026-01-01T01:00:00.000001+01:00") == START_NS + 1_000


def test_files_hold_the_columns_that_the_table_names(tmp_path: Path):
    run = run_of(tmp_path / "run", [*ticks(1_200.0), bought(3.0), bought(700.0, 2)])
    path = make_dataset(request(tmp_path, run))
    dataset, content = made(tmp_path, run), json.loads(path.read_bytes())
    names = [column.name for column in INTERVAL_COLUMNS]
    assert content == msgspec.to_builtins(dataset.content)
    assert list(content["intervals"][0]) == names
    for suffix, rows, expected in (
        ("", every_interval(dataset), [*names, "filtered_for"]),
        ("_fills", every_fill(dataset), [column.name for column in FILL_COLUMNS]),
    ):
        packed = duckdb.read_parquet(str(path.with_name(f"{path.stem}{suffix}.parquet")))
        assert packed.columns == expected
        assert [dict(zip(expected, row, strict=True)) for row in packed.fetchall()] == rows


def test_an_output_that_cannot_be_written_is_an_error(tmp_path: Path):
    run = run_of(tmp_path / "run", ticks(60.0))
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="cannot be written"):
        make_dataset(request(tmp_path, run))
