"""Every metric against a plain computation over the rows themselves."""

import json
import math

import numpy as np
import pytest

from pytest_mmgates.loader import load
from pytest_mmgates.metrics import METRICS
from pytest_mmgates.metrics.edge import edge_summary
from pytest_mmgates.tables import DURATIONS
from pytest_mmgates.tally import RELATIVE_ERROR
from pytest_mmgates.tally.edge import COMPONENTS, DRIVERS

LINEAR, INVERSE = "paper:ABCUSDT", "paper:ABCUSD_PERP"
START = 1_700_000_040_000_000_000


def rows_of(run_dir, feed):
    text = (run_dir / f"{feed}_20231114.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def random_dir(foreign_bot, tmp_path_factory):
    """Two contracts, 400 ticks each, jittery figures, holes in the mids, 60 fills."""
    rng = np.random.default_rng(5)
    settings = {**foreign_bot.SETTINGS, "tick_ms": 500}
    ticks, fills = [], []
    for index in range(400):
        for symbol in (LINEAR, INVERSE):
            row = foreign_bot.tick(settings, index, START + index * 500_000_000)
            durations = {f"{name}_ns": int(rng.integers(1, 10**8)) for name in DURATIONS}
            row |= {"symbol": symbol, **durations, "wait_ns": int(rng.choice([0, 10**8]))}
            row |= {
                "cache": str(rng.choice(["hit", "stale", "miss"])),
                "deadline_miss": bool(rng.random() < 0.3),
            }
            row |= {
                "mid": None if rng.random() < 0.2 else 100 + float(rng.normal()),
                "position_quote": rng.normal(),
            }
            row |= {"age_ns": None if rng.random() < 0.1 else int(rng.integers(0, 10**9))}
            ticks.append(row)
    for index in range(60):
        row = foreign_bot.fill(index, START + index * 3_100_000_000 + 1)
        row |= {
            "symbol": LINEAR if index % 3 else INVERSE,
            "fee": float(rng.normal()),
            "qty": float(rng.uniform(1, 9)),
        }
        row |= {"price": 100 + float(rng.normal()), "mid": None if index == 7 else 100 + float(rng.normal())}
        row |= {"decision_mid": None if index == 8 else 100 + float(rng.normal())}
        fills.append(row)
    late = {"ts_ns": START + 10**11}
    samples = [
        {**late, "symbol": symbol, "name": "book_updates", "value": 900} for symbol in (LINEAR, INVERSE)
    ]
    samples.append({**late, "symbol": None, "name": "rss_bytes", "value": 5e8})
    manifest = foreign_bot.manifest_of(settings, {"ticks": len(ticks), "fills": len(fills)})
    manifest |= {"run_id": "r1", "scenario": "demo"}
    inverse = {"symbol": "ABCUSD_PERP", "contract": "inverse", "contract_value": 10.0, "quote": "USD"}
    manifest["instruments"].append({**manifest["instruments"][0], **inverse})
    manifest["data"]["feeds"].append({**manifest["data"]["feeds"][0], "symbol": "ABCUSD_PERP"})
    directory = tmp_path_factory.mktemp("metrics") / "r"
    feeds = {
        "pipeline_ticks": ticks,
        "fills": fills,
        "samples": samples,
        "events": foreign_bot.events(settings),
    }
    foreign_bot.write_feeds(directory, feeds, manifest)
    return directory


def measure(run_dir, metric, symbol=None):
    return METRICS[metric].measure(load(run_dir), symbol)


def quantile(values, percent):
    """Smallest value with at least that share of all values not above it."""
    ordered = sorted(values)
    return next(
        value for value in ordered if 100 * sum(item <= value for item in ordered) >= percent * len(ordered)
    )


def is_near(found, values, percent):
    """What a histogram may answer: never below the quantile, and within the stated error above it."""
    exact = quantile(values, percent)
    return exact <= found <= exact * (1 + RELATIVE_ERROR)


@pytest.mark.parametrize("symbol", [None, LINEAR, INVERSE])
@pytest.mark.parametrize("stage", DURATIONS)
def test_latency_is_the_statistic_of_the_sum_with_its_parts_apart(random_dir, stage, symbol):
    rows = [row for row in rows_of(random_dir, "pipeline_ticks") if symbol in (None, row["symbol"])]
    own = [row[f"{stage}_ns"] for row in rows]
    wait = [row["wait_ns"] if stage in ("fetch_md", "tick_total") else 0 for row in rows]
    for name, percent in (("p50", 50), ("p95", 95), ("p99", 99)):
        found = measure(random_dir, f"{stage}.{name}", symbol)
        assert is_near(found.value, [a + b for a, b in zip(own, wait, strict=True)], percent)
        assert is_near(found.measured, own, percent)
        assert is_near(found.modelled, wait, percent)
        assert found.n == len(rows)
    both = [a + b for a, b in zip(own, wait, strict=True)]
    assert measure(random_dir, f"{stage}.mean", symbol).value == sum(both) / len(rows)
    assert measure(random_dir, f"{stage}.max", symbol).value == max(both)


def test_under_a_wall_clock_the_wait_was_measured(make_run):
    virtual = METRICS["fetch_md.p95"].measure(make_run(minutes=1, wait_ms=30), None)
    assert (virtual.value, virtual.measured, virtual.modelled) == (34e6, 4e6, 30e6)
    wall = METRICS["fetch_md.p95"].measure(make_run(minutes=1, wait_ms=30, clock="wall"), None)
    assert (wall.value, wall.measured, wall.modelled) == (34e6, 34e6, 0)


def test_a_deadline_missed_only_by_waiting_is_modelled(random_dir):
    rows = rows_of(random_dir, "pipeline_ticks")
    found = measure(random_dir, "deadline_miss.ratio")
    assert found.value == sum(row["deadline_miss"] for row in rows) / len(rows)
    assert (found.measured, found.modelled) == (0, found.value)  # no tick takes 200 ms by itself


@pytest.mark.parametrize("outcome", ["hit", "stale", "miss"])
def test_cache_shares(random_dir, outcome):
    rows = [row for row in rows_of(random_dir, "pipeline_ticks") if row["symbol"] == INVERSE]
    found = measure(random_dir, f"md_cache.{outcome}_ratio", INVERSE)
    assert found.value == sum(row["cache"] == outcome for row in rows) / len(rows)


def test_cache_ages_leave_out_reads_without_a_view(random_dir):
    ages = [row["age_ns"] for row in rows_of(random_dir, "pipeline_ticks") if row["age_ns"] is not None]
    assert is_near(measure(random_dir, "md_cache.age_p95").value, ages, 95)
    assert measure(random_dir, "md_cache.age_max").n == len(ages)


def test_reads_per_update_counts_reads_up_to_the_last_sample(random_dir):
    reads = sum(row["ts_ns"] <= START + 10**11 for row in rows_of(random_dir, "pipeline_ticks"))
    assert measure(random_dir, "md_cache.reads_per_update").value == reads / 1800
    assert measure(random_dir, "md_cache.reads_per_update", LINEAR).value == reads / 2 / 900


def brute_fills(run_dir, symbol):
    """Component by component of each fill, in one loop, from the definitions; (weight, components)."""
    ticks = [row for row in rows_of(run_dir, "pipeline_ticks") if row["symbol"] == symbol]
    end = [tick["mid"] for tick in ticks if tick["mid"]][-1]
    for row in (row for row in rows_of(run_dir, "fills") if row["symbol"] == symbol and row["mid"]):
        mid, side = row["mid"], 1 if row["side"] == "buy" else -1
        if symbol == LINEAR:
            weight = row["qty"] * mid

            def move(then, now, mid=mid, side=side):
                return side * (now - then) / mid
        else:
            weight = row["qty"] * 10.0 / mid

            def move(then, now, mid=mid, side=side):
                return side * (1 / then - 1 / now) * mid

        parts = {"gross": move(row["price"], mid), "fees": -row["fee"] / weight}
        for seconds in (1, 5, 60):
            until = row["ts_ns"] + seconds * 10**9
            later = [tick["mid"] for tick in ticks if tick["ts_ns"] <= until and tick["mid"]]
            reached = later and until <= ticks[-1]["ts_ns"]
            parts[f"adverse_{seconds}s"] = move(mid, later[-1]) if reached else math.nan
        parts["net"] = parts["gross"] + parts["adverse_60s"] + parts["fees"]
        parts["inventory"] = move(later[-1], end) if reached else math.nan
        parts["pnl"] = move(row["price"], end) + parts["fees"]
        decided = row["decision_mid"]
        parts["slippage"] = math.nan if decided is None else -move(row["price"], decided)
        yield weight, parts


def brute_edge(run_dir, symbol, component):
    known = [(weight, parts[component]) for weight, parts in brute_fills(run_dir, symbol)]
    known = [(weight, value) for weight, value in known if not math.isnan(value)]
    return 1e4 * sum(weight * value for weight, value in known) / sum(weight for weight, _ in known), len(
        known
    )


@pytest.mark.parametrize("symbol", [LINEAR, INVERSE])
@pytest.mark.parametrize("component", COMPONENTS)
def test_edge_is_its_definition(random_dir, component, symbol):
    value, count = brute_edge(random_dir, symbol, component)
    found = measure(random_dir, f"{component}_bps", symbol)
    assert found.value == pytest.approx(value, rel=1e-12)
    assert found.n == count


@pytest.mark.parametrize("symbol", [LINEAR, INVERSE])
def test_lost_fills_are_counted_by_the_component_that_took_the_most(random_dir, symbol):
    fills = [parts for _, parts in brute_fills(random_dir, symbol) if not math.isnan(parts["net"])]
    lost = [parts for parts in fills if parts["net"] < 0]
    found = measure(random_dir, "lost_fills.ratio", symbol)
    assert (found.value, found.n) == (len(lost) / len(fills), len(fills))
    assert 0 < len(lost) < len(fills)
    shares = {}
    for driver in DRIVERS:
        mine = [parts for parts in lost if min(DRIVERS, key=parts.get) == driver]
        shares[driver] = measure(random_dir, f"lost_fills.{driver}_ratio", symbol).value
        assert shares[driver] == len(mine) / len(fills)
    assert sum(shares.values()) == pytest.approx(found.value)


def test_lost_fills_of_two_currencies_are_counted_together(random_dir):
    both = [measure(random_dir, "lost_fills.ratio", symbol) for symbol in (LINEAR, INVERSE)]
    found = measure(random_dir, "lost_fills.ratio")
    assert found.value == pytest.approx(sum(one.value * one.n for one in both) / found.n)


def test_net_and_inventory_are_the_pnl_over_the_same_fills(random_dir):
    run = load(random_dir)
    for symbol in (LINEAR, INVERSE):
        means = edge_summary(run, symbol).means
        assert means["net"] + means["inventory"] == pytest.approx(means["pnl"], rel=1e-9)


def test_slippage_without_a_mid_of_the_decision_is_not_measured(make_run):
    found = METRICS["slippage_bps"].measure(make_run(decision_mids=False), None)
    assert (found.value, found.reason) == (None, "none of 40 fills has a mid of its decision")


def test_a_good_fill_is_positive(make_run):
    """Bought at 100.0 below a mid of 100.1 that then falls to 100.0 .. 100.49: gross +10 bps."""
    run = make_run(fills=2)
    assert METRICS["gross_bps"].measure(run, None).value == pytest.approx(9.99001, rel=1e-6)
    assert METRICS["fees_bps"].measure(run, None).value < 0


def test_components_add_up_over_the_fills_that_net_is_averaged_over(random_dir):
    run = load(random_dir)
    summary = edge_summary(run, LINEAR)
    parts = (summary.means[name] for name in ("gross", "adverse_60s", "fees"))
    assert sum(parts) == pytest.approx(summary.means["net"], rel=1e-12)
    assert summary.fills + summary.excluded == len(run.fills.of(run.code(LINEAR)))
    assert summary.excluded > 0


def test_fills_that_weigh_in_two_currencies_are_not_averaged(random_dir):
    for metric in ("net_bps", "maker_share", "inventory.abs_p99_quote"):
        found = measure(random_dir, metric)
        assert found.value is None
        assert "select a symbol" in found.reason


def test_more_than_a_tenth_of_fills_without_a_markout_is_a_doubt(random_dir, make_run):
    assert "fills excluded" in measure(random_dir, "net_bps", LINEAR).doubt
    assert METRICS["net_bps"].measure(make_run(), None).doubt is None


def test_shares_are_by_notional(random_dir):
    for symbol, notional in (
        (LINEAR, lambda row: row["qty"] * row["price"]),
        (INVERSE, lambda row: row["qty"] * 10.0),
    ):
        rows = [row for row in rows_of(random_dir, "fills") if row["symbol"] == symbol]
        makers = sum(notional(row) for row in rows if row["liquidity"] == "maker")
        found = measure(random_dir, "maker_share", symbol)
        assert found.value == pytest.approx(makers / sum(map(notional, rows)))
        assert measure(random_dir, "taker_share", symbol).value == pytest.approx(1 - found.value)


def test_inventory_and_counts(random_dir):
    rows = [row for row in rows_of(random_dir, "pipeline_ticks") if row["symbol"] == LINEAR]
    positions = [abs(row["position_quote"]) for row in rows]
    assert is_near(measure(random_dir, "inventory.abs_p99_quote", LINEAR).value, positions, 99)
    assert measure(random_dir, "inventory.abs_max_quote", LINEAR).value == max(positions)
    assert measure(random_dir, "ticks.count").value == 800
    assert measure(random_dir, "fills.count", INVERSE).value == 20
    assert measure(random_dir, "memory.rss_max").value == 5e8


def test_book_events_are_counted_out_of_updates(make_run):
    run = make_run(minutes=2, gaps=3, crossed=1)
    assert METRICS["book.gaps"].measure(run, None).value == 3
    assert METRICS["book.crossed"].measure(run, "paper:ABCUSDT").value == 1
    assert METRICS["book.gaps"].measure(run, None).n == 360
    assert METRICS["book.gaps"].measure(make_run(minutes=1, events=False), None).value is None
    assert METRICS["book.gaps"].measure(make_run(minutes=1, updates=False), None).value is None


def test_too_few_values_are_not_measured(make_run):
    run = make_run(minutes=0.2)  # 13 ticks
    assert METRICS["fetch_md.p50"].measure(run, None).value is not None
    assert METRICS["fetch_md.p95"].measure(run, None).reason == "p95 needs at least 20 values, there were 13"
    assert METRICS["fetch_md.p99"].measure(run, None).value is None


@pytest.mark.parametrize("name", sorted(name for name, metric in METRICS.items() if metric.source == "run"))
def test_a_run_without_rows_gives_no_value_and_a_reason(name, foreign_bot, tmp_path):
    manifest = foreign_bot.manifest_of(foreign_bot.SETTINGS, {"ticks": 0, "fills": 0})
    foreign_bot.write_feeds(tmp_path / "r", {}, {**manifest, "run_id": "r1", "scenario": "demo"})
    found = METRICS[name].measure(load(tmp_path / "r"), None)
    assert found.value is None
    assert found.reason
