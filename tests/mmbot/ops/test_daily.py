"""The facts of a day from rows made by hand: what they say of them, and what they do not."""

import json
import math
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mmbot.builders import KEY, START_NS, linear
from tests.mmbot.ops.feeds import at, bought, run_of, ticks

from mmbot.edge.markout import Markouts
from mmbot.errors import DatasetError
from mmbot.execution.position import Position
from mmbot.model.events import Fill
from mmbot.model.instrument import Side
from mmbot.model.records import EventRow, FillRow, Row, SampleRow, TickRow
from mmbot.ops.daily import DailyRequest, day_ns, last_whole_day, make_daily, work_out
from mmbot.units import DAY, SECOND

DAY_1, NEXT = "2026-01-01", "2026-01-02"
MIDNIGHT = 86_400.0
"""Seconds from the beginning of the first day to that of the second."""
NOW_NS = START_NS + 100 * DAY
SYMBOL = linear()


def facts(out: Path, day: str = DAY_1) -> dict[str, Any]:
    return work_out(DailyRequest(day, out), day_ns(day, NOW_NS))


def group(out: Path, day: str = DAY_1) -> dict[str, Any]:
    (found,) = facts(out, day)["groups"]
    return found


def run(out: Path, rows: list[Row], name: str = "run", **changes: Any) -> Path:
    return run_of(out / "runs" / name, rows, run_id=name, **{"mode": "replay"} | changes)


def traded(rows: list[TickRow], fills: list[FillRow]) -> list[Row]:
    """Ticks whose position is what the fills make it."""
    for row in rows:
        lots = sum(
            (1 if fill.side == "buy" else -1) * fill.qty for fill in fills if fill.recv_ns <= row.ts_ns
        )
        row.position = round(lots, 2)
    return sorted([*rows, *fills], key=lambda row: row.ts_ns)


def mid_of(number: int) -> float:
    return 100.0 + 0.01 * (number % 37)


def day_of_fills(fills: list[FillRow], start_s: float = 0.0, seconds: float = 200.0) -> list[Row]:
    rows = ticks(seconds, start_s)
    for number, row in enumerate(rows):
        row.mid = mid_of(number)
    return traded(rows, fills)


def test_profit_of_a_day_is_the_ledgers_to_the_last_digit(tmp_path: Path):
    fills = [
        bought(1.0, 1, price=100.03, qty=3.0, fee=0.06),
        bought(7.0, 2, price=100.07, qty=1.7, fee=0.034, side="sell"),
        bought(80.0, 3, price=100.01, qty=0.9, fee=0.018),
    ]
    rows = day_of_fills(fills)
    run(tmp_path, rows)
    (result,) = group(tmp_path)["results"]
    close = Fraction(SYMBOL.worth(mid_of(1999)))
    terms = [
        Fraction(
            round(fill.qty / SYMBOL.lot)
            * (1 if fill.side == "buy" else -1)
            * (float(close) - SYMBOL.worth(fill.price))
        )
        for fill in fills
    ]
    assert result["pnl"] == float(sum(terms) - sum(Fraction(fill.fee) for fill in fills))
    assert result["fees"] == math.fsum(fill.fee for fill in fills)
    markouts, position = Markouts(SYMBOL), Position(SYMBOL)
    for row in rows:
        if isinstance(row, TickRow):
            markouts.tick(row)
        elif isinstance(row, FillRow):
            markouts.fill(row)
            position.book(as_fill(row))
    assert result["pnl"] == pytest.approx(markouts.pnl(), rel=1e-12)
    assert result["pnl"] == pytest.approx(position.pnl(mid_of(1999)), rel=1e-12)
    assert result["net_bps"] == markouts.edge.net.bps
    assert result["gross_bps"] == markouts.edge.gross.bps
    assert (result["fills"], result["fills_with_net"], result["buys"]) == (3, 3, 2)
    (symbol,) = group(tmp_path)["symbols"]
    assert symbol["position_difference_lots"] == 0
    assert symbol["pnl_difference"] < 1e-12


def as_fill(row: FillRow) -> Fill:
    facts: dict[str, Any] = dict.fromkeys(Fill.__struct_fields__)
    tick, lots = round(row.price / SYMBOL.tick), round(row.qty / SYMBOL.lot)
    side = Side.BUY if row.side == "buy" else Side.SELL
    return Fill(**facts | {"side": side, "tick": tick, "lots": lots, "maker": True, "fee": row.fee})


@given(
    st.lists(
        st.tuples(st.integers(1, 199), st.booleans(), st.integers(9_990, 10_010), st.integers(1, 500)),
        max_size=8,
    )
)
@settings(max_examples=5, deadline=None)
def test_days_add_up_to_the_run(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[int, bool, int, int]]
):
    """A run over midnight: what was held there is marked by both days at the same mid."""
    out = tmp_path_factory.mktemp("out")
    start_s = MIDNIGHT - 100.0
    fills = [
        bought(
            start_s + when, number, side="buy" if buys else "sell", price=tick / 100, qty=lots / 100, fee=0.01
        )
        for number, (when, buys, tick, lots) in enumerate(sorted(moves), 1)
    ]
    run(out, day_of_fills(fills, start_s))
    days = [group(out, day) for day in (DAY_1, NEXT)]
    worth = SYMBOL.worth(mid_of(1999))
    whole = math.fsum(
        (1 if fill.side == "buy" else -1) * round(fill.qty / SYMBOL.lot) * (worth - SYMBOL.worth(fill.price))
        - fill.fee
        for fill in fills
    )
    assert math.fsum(day["results"][0]["pnl"] for day in days) == pytest.approx(whole, abs=1e-9)
    for day in days:
        (symbol,) = day["symbols"]
        assert symbol["position_difference_lots"] == 0
        assert symbol["pnl_difference"] < 1e-9


def test_a_position_that_no_fill_explains_is_told(tmp_path: Path):
    rows = day_of_fills([bought(1.0, qty=2.0)])
    for row in rows:
        if isinstance(row, TickRow) and row.ts_ns > at(100.0):
            row.position += 0.05
    run(tmp_path, rows)
    (symbol,) = group(tmp_path)["symbols"]
    assert symbol["position_difference_lots"] == round(0.05 / SYMBOL.lot)


def test_times_reads_and_guards_by_hand(tmp_path: Path):
    rows = ticks(100.0, tick_total_ns=2_000_000, wait_ns=1_000_000, bid=99.9, ask=100.1)
    for number, row in enumerate(rows):
        row.tick_total_ns += number * 1_000
        row.cache = "stale" if number < 100 else "hit"
        row.deadline_miss = number == 7
        if number < 30:
            row.guard, row.reasons = "HARD", ("volatility", "stale") if number < 10 else ("volatility",)
    rows[40].guard = "HARD"
    run(tmp_path, list(rows))
    found = group(tmp_path)
    times = {one["stage"]: one for one in found["latency"]}
    assert (times["tick_total"]["p95_ns"], times["tick_total"]["max_ns"]) == (3_949_000, 3_999_000)
    assert (times["tick_total"]["measured_p95_ns"], times["wait"]["p50_ns"]) == (2_949_000, 1_000_000)
    assert (found["ticks"]["hits"], found["ticks"]["stale"], found["ticks"]["deadline_misses"]) == (
        900,
        100,
        1,
    )
    assert found["guards"]["levels"] == {"HARD": 31, "NONE": 969}
    assert found["guards"]["reasons"] == [
        {"level": "HARD", "reason": "volatility", "ticks": 30},
        {"level": "HARD", "reason": "stale", "ticks": 10},
    ]
    assert found["guards"]["hard_without_reason"] == 1
    assert [(hour["ticks"], hour["fills"]) for hour in found["hours"]] == [(1000, 0)] + [(0, 0)] * 23


def test_a_day_with_gaps_names_each_and_the_ends_of_the_day(tmp_path: Path):
    run(tmp_path, [*ticks(10.0), *ticks(10.0, 60.0)])
    (coverage,) = group(tmp_path)["coverage"]
    assert (coverage["ticks"], coverage["covered_s"]) == (200, 20.0)
    assert [(gap["from"], gap["to"]) for gap in coverage["gaps"]] == [
        ("2026-01-01T00:00:09.900000Z", "2026-01-01T00:01:00Z"),
        ("2026-01-01T00:01:09.900000Z", "2026-01-02T00:00:00Z"),
    ]


def test_a_day_without_fills_has_a_profit_of_zero_and_no_edge(tmp_path: Path):
    run(tmp_path, list(ticks(10.0)))
    (result,) = group(tmp_path)["results"]
    assert (result["fills"], result["pnl"], result["fees"]) == (0, 0.0, 0.0)
    assert result["net_bps"] is result["taker_share"] is None


def test_events_breakers_memory_and_alerts_by_hand(tmp_path: Path):
    told: list[Row] = [
        EventRow(at(10.0), None, "breaker", {"venue": "bybit", "state": "open"}),
        EventRow(at(20.0), None, "breaker", {"venue": "bybit", "state": "half_open"}),
        EventRow(at(25.0), None, "breaker", {"venue": "bybit", "state": "closed"}),
        EventRow(at(30.0), KEY, "order_reject", {"client_id": "a", "reason": "too late: 5"}),
        EventRow(at(31.0), KEY, "order_reject", {"client_id": "b", "reason": "too late: 6"}),
        EventRow(at(40.0), KEY, "funding", {"rate": 0.0001, "payment": 0.25}),
        EventRow(at(50.0), None, "halt", {"reason": "red button"}),
        SampleRow(at(5.0), None, "rss_bytes", 5e7),
        SampleRow(at(3_700.0), None, "rss_bytes", 4e7),
        SampleRow(at(3_800.0), None, "rss_bytes", 6e7),
    ]
    folder = run(tmp_path, [*ticks(60.0), *told], status="halted", reason="red button", ended_ns=at(60.0))
    fired = {"at_ns": at(20.0), "by": "slow", "value": 0.1, "n": 9, "why": "10 % for 10m"}
    rules = [
        {"rule": "a > 1", "section": "stop", "above": True, "times": 1, "fired": fired},
        {
            "rule": "b > 1",
            "section": "warn",
            "above": True,
            "times": 1,
            "fired": fired | {"at_ns": at(MIDNIGHT)},
        },
        {"rule": "c > 1", "section": "warn", "above": True},
    ]
    (folder / "watch.json").write_text(json.dumps(rules))
    found = group(tmp_path)
    assert found["breakers"] == [{"venue": "bybit", "opened": 1, "not_closed_s": 15.0, "state": "closed"}]
    assert {"kind": "order_reject", "reason": "too late", "count": 2} in found["events"]
    assert (found["results"][0]["funding"], found["results"][0]["pnl"]) == (0.25, -0.25)
    (one,) = found["runs"]
    assert (one["halts"], one["ended_on_day"]) == (
        [{"at": "2026-01-01T00:00:50Z", "reason": "red button"}],
        True,
    )
    (process,) = found["processes"]
    assert (process["rss_max_bytes"], process["rss_floors"]) == (6e7, [[6, 4e7]])
    assert [(alert["section"], alert["why"]) for alert in found["alerts"]] == [("stop", "10 % for 10m")]
    assert found["watched_runs"] == 1


def test_kinds_and_modes_are_never_added_up_and_the_most_believable_comes_first(tmp_path: Path):
    run(tmp_path, list(ticks(10.0)), "replayed")
    synthetic = {"kind": "synthetic", "sha256": "d" * 64}
    run(tmp_path, list(ticks(20.0)), "made", data=synthetic)
    live = {"kind": "live", "sha256": "d" * 64}
    run(tmp_path, list(ticks(30.0)), "shadowed", data=live, mode="shadow")
    run(tmp_path, list(ticks(40.0)), "traded", data=live, mode="live")
    found = facts(tmp_path)["groups"]
    assert [(one["data_kind"], one["mode"], one["ticks"]["ticks"]) for one in found] == [
        ("live", "live", 400),
        ("live", "shadow", 300),
        ("recorded", "replay", 100),
        ("synthetic", "replay", 200),
    ]


def test_simulated_fills_of_one_market_are_counted_once_and_real_ones_always(tmp_path: Path):
    run(tmp_path, day_of_fills([bought(1.0)]), "long")
    run(tmp_path, day_of_fills([bought(1.0)], seconds=100.0), "short")
    run(tmp_path, day_of_fills([bought(1_001.0)], 1_000.0), "later")
    found = group(tmp_path)
    assert [one["run_id"] for one in found["runs"]] == ["later", "long"]
    assert found["left_out"] == [{"run_id": "short", "reason": f"run long has {KEY} at the same time"}]
    assert found["results"][0]["fills"] == 2
    for name in ("long", "short", "later"):
        path = tmp_path / "runs" / name / "manifest.json"
        path.write_bytes(path.read_bytes().replace(b'"mode":"replay"', b'"mode":"live"'))
    assert group(tmp_path)["results"][0]["fills"] == 3


def test_a_failed_run_counts_only_where_no_other_played_its_market(tmp_path: Path):
    run(tmp_path, list(ticks(20.0)), "failed", status="failed", reason="a bug")
    assert [one["reason"] for one in group(tmp_path)["runs"]] == ["a bug"]
    run(tmp_path, list(ticks(10.0)), "again")
    found = group(tmp_path)
    assert [one["run_id"] for one in found["runs"]] == ["again"]
    assert [one["run_id"] for one in found["left_out"]] == ["failed"]


def test_a_run_that_cannot_be_read_is_named_and_the_others_are_told(tmp_path: Path):
    run(tmp_path, list(ticks(10.0)), "good")
    run(tmp_path, list(ticks(10.0, 100.0)), "foreign", data={"kind": "recorded", "sha256": "d" * 64})
    manifest = tmp_path / "runs" / "foreign" / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"run_id":"foreign"', b'"run_id":"other"'))
    run(tmp_path, list(ticks(10.0)), "shared")
    part = tmp_path / "runs" / "shared" / "parts" / "ONE"
    part.mkdir(parents=True)
    (part / "rows_elsewhere.txt").write_text("s3://soaks/shared/ONE\n")
    (tmp_path / "runs" / "torn").mkdir()
    (tmp_path / "runs" / "torn" / "manifest.json").write_text("{")
    told = facts(tmp_path)
    assert [one["run_id"] for one in told["groups"][0]["runs"]] == ["good"]
    reasons = {Path(one["place"]).name: one["reason"] for one in told["unreadable"]}
    assert "a row of run foreign, arm A" in reasons["foreign"]
    assert reasons.keys() == {"foreign", "shared", "torn"}
    assert reasons["shared"] == f"{part}: its rows are in s3://soaks/shared/ONE"


def test_fills_without_a_tick_are_not_left_out_in_silence(tmp_path: Path):
    run(tmp_path, [*ticks(10.0, MIDNIGHT), bought(1.0)])
    (unreadable,) = facts(tmp_path)["unreadable"]
    assert unreadable["reason"] == f"run run: 1 fills of {KEY} on a day without a tick of it"
    assert facts(tmp_path, NEXT)["unreadable"] == []


def test_a_run_that_was_killed_counts_to_its_last_whole_line_and_fell_silent(tmp_path: Path):
    folder = run(tmp_path, list(ticks(10.0)), status="running", ended_ns=None)
    path = folder / "pipeline_ticks_20260101.jsonl"
    path.write_bytes(path.read_bytes()[:-7])
    (one,) = group(tmp_path)["runs"]
    assert (one["ticks"], one["torn_files"], one["fell_silent"]) == (99, 1, True)


def test_a_run_that_goes_on_over_midnight_did_not_fall_silent(tmp_path: Path):
    run(tmp_path, list(ticks(20.0, MIDNIGHT - 10.0)), status="running", ended_ns=None)
    (one,) = group(tmp_path)["runs"]
    assert one["fell_silent"] is False


def test_what_a_soak_published_is_told_where_its_run_is_gone(tmp_path: Path):
    folder = run(tmp_path, list(ticks(10.0)), "soak")
    shutil.copytree(folder, tmp_path / "edge" / "feeds")
    assert [one["ticks"] for one in group(tmp_path)["runs"]] == [100]
    shutil.rmtree(folder)
    assert [one["ticks"] for one in group(tmp_path)["runs"]] == [100]


def test_compressed_days_are_read_where_that_is_all_that_is_left(tmp_path: Path):
    import zstandard  # noqa: PLC0415

    folder = run(tmp_path, day_of_fills([bought(1.0)]))
    before = group(tmp_path)
    for path in list(folder.glob("*.jsonl")):
        path.with_name(f"{path.name}.zst").write_bytes(zstandard.compress(path.read_bytes()))
        path.unlink()
    after = group(tmp_path)
    assert after["runs"][0].pop("feed_bytes") < before["runs"][0].pop("feed_bytes")
    assert after == before


@pytest.mark.parametrize("day", ["2026-13-01", "20260101", "yesterday", "2026-1-1"])
def test_what_is_no_day_is_refused(day: str):
    with pytest.raises(DatasetError, match="expected a day such as 2026-01-31"):
        day_ns(day, NOW_NS)


def test_a_day_that_is_not_over_is_refused():
    today = last_whole_day(NOW_NS + DAY)
    assert last_whole_day(NOW_NS) < today
    with pytest.raises(
        DatasetError, match=f"{today} is not over: expected {last_whole_day(NOW_NS)} or a day before"
    ):
        day_ns(today, NOW_NS)
    assert day_ns(today, NOW_NS + DAY) == NOW_NS


def test_days_before_are_written_once_and_facts_outlive_their_runs(tmp_path: Path):
    folder = run(tmp_path, list(ticks(20.0, MIDNIGHT - 10.0)))
    path = make_daily(DailyRequest(NEXT, tmp_path), NOW_NS)
    written = sorted(one.name for one in path.parent.iterdir())
    assert written == ["2026-01-01.json", "2026-01-02.json"]
    kept = path.read_bytes()
    shutil.rmtree(folder)
    assert make_daily(DailyRequest(NEXT, tmp_path), NOW_NS).read_bytes() == kept
    empty = make_daily(DailyRequest("2026-01-05", tmp_path), NOW_NS)
    assert msgspec.json.decode(empty.read_bytes())["groups"] == []


def test_equal_rows_make_equal_bytes(tmp_path: Path):
    run(tmp_path, day_of_fills([bought(1.0)]))
    first = make_daily(DailyRequest(DAY_1, tmp_path), NOW_NS).read_bytes()
    assert make_daily(DailyRequest(DAY_1, tmp_path), NOW_NS + SECOND).read_bytes() == first
