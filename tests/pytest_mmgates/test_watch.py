"""The streaming judge: each shipped criterion fires on its cause in time, and none on a bot that is well."""

import gc
import re
import tracemalloc
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.pytest_mmgates.streams import HEALTHY, IDENTITY, START_NS, SYMBOL, batches
from tests.pytest_mmgates.watching import MINUTE_NS, ROOT, SOAK, fired, markets, watch

from pytest_mmgates.armrules import parse_safety
from pytest_mmgates.errors import RunlogError
from pytest_mmgates.metrics.windowed import WINDOWED
from pytest_mmgates.tally.growth import FLOOR_NS, WARM_UP_NS, Floors, slope_bytes_per_h
from pytest_mmgates.units import Dimension
from pytest_mmgates.watch.hold import Hold, Now
from pytest_mmgates.watch.record import Seen, decoded_records, encoded_records, merged_records
from pytest_mmgates.watch.ring import Ring
from pytest_mmgates.watch.watch import Watch
from pytest_mmgates.watchrules import parse_watch_rule

DETECTED = {
    # rule, by which conditions, the cause, and the minutes from it that docs/writing-gates.md promises
    "deadline_miss.ratio": ("slow or fast", {"miss": 0.20}, 15),
    "md_cache.hit_ratio": ("slow", {"hit": 0.20}, 34),
    "taker_share": ("fast", {"taker": 1.0}, 14),
    "memory.slope": ("slow", {"leak_mb_per_h": 120}, 120),
    "breaker.open_time": ("slow", {"open_share": 1}, 7),
}


def ill(metric):
    return replace(HEALTHY, **DETECTED[metric][1])


def rows(feed, *content):
    """A batch of rows, each with the identity of the run."""
    return feed, msgspec.json.Encoder().encode_lines([{**IDENTITY, **row} for row in content])


def ticks(from_s, to_s, *, miss=(), symbol=SYMBOL):
    """One tick a second; those of the seconds in `miss` missed."""
    return [
        {
            "ts_ns": START_NS + second * 10**9,
            "symbol": symbol,
            "cache": "hit",
            "deadline_miss": second in miss,
        }
        for second in range(from_s, to_s)
    ]


def test_what_a_rule_says_without_data_and_with_its_fast_twin():
    stop = ["deadline_miss.ratio[1m] > 5% for 10m, n >= 30, fast [30s] > 15% for 1m, n >= 20"]
    assert watch([], stop).says()[0]["says"] is None
    missing = watch([rows("pipeline_ticks", *ticks(0, 60), *ticks(200, 201))], stop)
    assert missing.says()[0]["says"] == "no data: since 02:20 of 05:00: no ticks"
    ill_from_100 = ticks(0, 141, miss=range(100, 141))
    (said,) = watch([rows("pipeline_ticks", *ill_from_100)], stop).says()
    assert said["says"] == "66.67%, > 5% since 00:30 of 10:00, > 15% in 30s since 00:30 of 01:00"


def test_every_shipped_stop_rule_has_a_cause():
    assert [rule.metric for rule in SOAK.stop] == list(DETECTED)


@pytest.mark.parametrize("metric", DETECTED)
def test_a_cause_fires_its_own_rule_within_the_promised_time(metric):
    by, _, minutes = DETECTED[metric]
    from_h = 3.5 if metric == "memory.slope" else 1.1  # when every window is full
    for seed in (1, 2):
        stream = batches(from_h + minutes / 60 + 0.1, ill(metric), from_h=from_h, seed=seed)
        watched = watch(stream)
        [(found, way, at)] = fired(watched)
        assert found == metric
        assert way in by
        assert 0 < at - 60 * from_h <= minutes
        assert watched.halt_reason.startswith(f"stop rule {metric}[")


def test_rows_that_stop_coming_fire_for_want_of_data():
    """Fills and samples still come: time goes on."""
    watched = watch(batches(3, replace(HEALTHY, ticks=False), from_h=2))
    silent = fired(watched)
    assert [(metric, by) for metric, by, _ in silent] == [
        (metric, "no_data") for metric in ("deadline_miss.ratio", "md_cache.hit_ratio", "breaker.open_time")
    ]
    assert {at for _, _, at in silent} == {125.0}
    assert "no data for 05:00: no ticks at 2026-01-01T02:05:00Z" in watched.halt_reason


def test_samples_that_stop_coming_fire_the_memory_rule():
    stream = (batch for batch in batches(5.5) if batch[0] != "samples")
    [(metric, by, at)] = fired(watch(stream))
    assert (metric, by, at) == ("memory.slope", "no_data", 210 - 1 / 6)


def resident(minutes, megabytes):
    """Samples of memory, a minute apart; `megabytes` by minute."""
    for minute in minutes:
        row = {"symbol": None, "name": "rss_bytes", "value": megabytes(minute) * 1e6}
        yield rows("samples", {**row, "ts_ns": START_NS + minute * MINUTE_NS})


@pytest.mark.parametrize(("restarts", "slope"), [(False, "fires"), (True, "is quiet")])
def test_memory_that_a_new_process_takes_is_no_leak(restarts, slope):
    rule = parse_watch_rule("memory.slope[2h] > 100MB/h, n >= 10, no_data fire 30m")
    watched = Watch([rule], (), markets, lambda _: None)
    for feed, lines in resident(range(240), lambda _: 500):
        watched.batch(feed, lines)
    if restarts:
        watched.restart()
    for feed, lines in resident(range(240, 600), lambda minute: min(900, 300 + 8 * (minute - 240))):
        watched.batch(feed, lines)
    watched.finish()
    assert (watched.halt_reason is None) is (slope == "is quiet")
    if restarts:
        for feed, lines in resident(range(600, 900), lambda minute: 900 + 3 * (minute - 600)):
            watched.batch(feed, lines)
        assert watched.halt_reason is not None, "a leak of the new process is seen"


def test_a_bot_that_is_well_halts_nothing_in_a_quarter_of_a_day():
    watched = watch(batches(6, seed=7))
    assert watched.halt_reason is None
    looks = {record.rule.split("[")[0]: (record.judged, record.absent) for record in watched.records}
    # 6 h of looks every 10 s, from when the window is full
    assert looks["deadline_miss.ratio"] == (2159 - 29, 0)
    assert looks["md_cache.hit_ratio"] == (2159 - 29, 0)
    assert looks["taker_share"] == (2159 - 359, 0)
    assert looks["memory.slope"] == (2159 - 1079, 0)
    assert looks["breaker.open_time"] == (2159 - 35, 0)


WORSE = {
    "deadline_miss.ratio": {"miss": 0.04},
    "md_cache.hit_ratio": {"hit": 0.6},
    "taker_share": {"taker": 0.14, "fills_per_h": 400.0},
    "memory.slope": {"leak_mb_per_h": 80},
    "breaker.open_time": {"open_share": 0.9},
}


@pytest.mark.parametrize("rule", SOAK.warn, ids=lambda rule: rule.metric)
def test_what_is_worse_but_not_bad_enough_to_stop_is_warned_of(rule):
    worse = replace(HEALTHY, **{**QUIET, **WORSE[rule.metric]})
    assert [
        metric for metric, _, _ in fired(watch(batches(3.3, worse, from_h=0), stop=(), warn=(rule,)))
    ] == [rule.metric]
    quiet = watch(batches(3.3, replace(HEALTHY, **QUIET), from_h=0), stop=(), warn=(rule,))
    assert fired(quiet) == []


QUIET = {"miss": 0.008, "hit": 0.9, "taker": 0.03, "leak_mb_per_h": 10.0, "open_share": 0.0}


def test_a_warning_fires_again_after_it_cleared_and_halts_nothing():
    rule = parse_watch_rule("deadline_miss.ratio[1m] > 50% clear 10%")
    seconds = set(range(60, 120)) | set(range(300, 360))
    watched = watch([rows("pipeline_ticks", *ticks(0, 600, miss=seconds))], stop=(), warn=(rule,))
    [record] = watched.records
    assert (record.times, record.section, watched.halt_reason) == (2, "warn", None)
    assert record.fired.at_ns == START_NS + 100 * 10**9  # 40 of the last 60 s, the first look above half
    assert (record.worst, record.worst_n) == (1.0, 60)


def test_what_fires_and_ends_is_told_once_each():
    rule = parse_watch_rule("deadline_miss.ratio[1m] > 50% clear 10%")
    seconds = set(range(60, 120)) | set(range(300, 360))
    watched = watch([rows("pipeline_ticks", *ticks(0, 350, miss=seconds))], stop=(), warn=(rule,))
    first, over, again = watched.take_changes()
    assert (first.rule, first.section, first.by, first.until_ns) == (rule, "warn", "slow", None)
    assert first.since_ns == START_NS + 100 * 10**9
    assert (over.since_ns, over.until_ns) == (first.since_ns, START_NS + 180 * 10**9)
    assert (again.since_ns, again.until_ns) == (START_NS + 340 * 10**9, None)
    assert watched.take_changes() == []


def test_the_want_of_data_ends_with_the_first_value():
    rule = parse_watch_rule("deadline_miss.ratio[1m] > 50%, no_data fire 1m")
    watched = watch([rows("pipeline_ticks", *ticks(0, 100), *ticks(300, 400))], stop=(), warn=(rule,))
    missing, over = watched.take_changes()
    assert (missing.by, missing.until_ns) == ("no_data", None)
    assert (over.by, over.since_ns) == ("no_data", missing.since_ns)
    assert over.until_ns == START_NS + 310 * 10**9


def test_a_window_is_exactly_its_buckets():
    """Missed seconds 60 to 119: each look sees those of the minute before it."""
    for end in range(60, 200, 10):
        watched = watch(
            [rows("pipeline_ticks", *ticks(0, end + 10, miss=range(60, 120)))],
            stop=["deadline_miss.ratio[1m] >= 0% for 24h"],
        )
        worst = max(len(set(range(60, 120)) & set(range(at - 60, at))) for at in range(60, end + 1, 10))
        [record] = watched.records
        assert record.worst == worst / 60


@given(st.integers(1, 60), st.integers(1, 5))
@settings(max_examples=10)
def test_how_rows_are_cut_into_batches_changes_nothing(steps, seed):
    """Up to ten minutes a batch, feed after feed, as a bot may write them."""
    stream = list(batches(1, ill("deadline_miss.ratio"), from_h=0.9, seed=seed))
    assert watch(stream, warn=SOAK.warn).records == watch(cut(stream, steps), warn=SOAK.warn).records


def cut(stream, steps):
    """The same rows in batches of so many steps."""
    held, count = {}, 0
    for feed, lines in stream:
        count += feed == "pipeline_ticks"
        if count > steps:
            yield from held.items()
            held, count = {}, 1
        held[feed] = held.get(feed, b"") + lines
    yield from held.items()


def test_rows_that_come_too_late_are_refused():
    early = rows("samples", {"ts_ns": START_NS, "symbol": None, "name": "x", "value": 1.0})
    late = rows("pipeline_ticks", *ticks(0, 4000, miss=()))
    with pytest.raises(
        RunlogError, match=r"feed samples: rows came .* late: expected feeds within 30 minutes"
    ):
        watch([late, rows("pipeline_ticks", *ticks(4000, 4100)), early])


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (("pipeline_ticks", b'{"ts_ns": 1, "symb'), "feed pipeline_ticks: corrupt row"),
        (("fills", b"\xff\n"), "feed fills: corrupt row"),
        (
            rows("pipeline_ticks", *ticks(0, 1, symbol="paper:XYZ")),
            "symbol 'paper:XYZ' is not among the feeds",
        ),
        (
            rows(
                "events",
                {
                    "ts_ns": START_NS,
                    "symbol": None,
                    "kind": "breaker",
                    "detail": {"venue": "v", "state": "ajar"},
                },
            ),
            "venue 'v', state 'ajar': expected one of closed, open, half_open",
        ),
    ],
)
def test_rows_that_cannot_be_believed_are_refused(batch, message):
    with pytest.raises(RunlogError, match=message):
        watch([batch])


def fill(at_s, liquidity, symbol=SYMBOL, qty=1.0):
    at = {"ts_ns": START_NS + at_s * 10**9, "recv_ns": START_NS + at_s * 10**9}
    what = {"symbol": symbol, "side": "buy", "price": 100.0, "qty": qty, "fee": 0.0, "mid": 100.0}
    return {**at, **what, "liquidity": liquidity}


def test_shares_are_of_notional_and_of_the_asked_symbol():
    fills = [fill(5, "taker", "paper:ABCUSDT", 3.0), fill(6, "maker", "paper:ABCEUR", 1.0)]
    stop = ['taker_share{symbol="paper:ABCUSDT"}[10s] > 99%', 'maker_share{symbol="paper:ABCEUR"}[10s] > 99%']
    both = [*stop, "taker_share[10s] > 0%, no_data wait"]
    watched = watch(
        [rows("fills", *fills), rows("samples", sample(20))], stop=both, of=markets("USDT", "EUR")
    )
    assert [record.worst for record in watched.records] == [1.0, 1.0, None]
    assert (
        watched.records[2].absent_why == "fills in more than one quote currency, or of an unknown instrument"
    )
    weighed = [fill(5, "taker", qty=1.0), fill(6, "maker", qty=3.0)]
    [record] = watch(
        [rows("fills", *weighed), rows("samples", sample(20))], stop=["taker_share[10s] > 99%"]
    ).records
    assert (record.worst, record.worst_n) == (0.25, 2)


def sample(at_s, value=1.0, name="rss_bytes"):
    return {"ts_ns": START_NS + at_s * 10**9, "symbol": None, "name": name, "value": value}


def test_a_symbol_that_the_run_has_not_is_no_data():
    stop = ['deadline_miss.ratio{symbol="paper:XYZ"}[10s] > 5%']
    watched = watch([rows("pipeline_ticks", *ticks(0, 400))], stop=stop)
    assert "no data for 05:00: no symbol paper:XYZ in this run" in watched.halt_reason


def turn(at_s, state, venue="paper"):
    at = {"ts_ns": START_NS + at_s * 10**9, "symbol": None}
    return {**at, "kind": "breaker", "detail": {"venue": venue, "state": state}}


def test_half_open_is_not_closed_and_venues_do_not_add_up():
    events = [
        turn(12, "open"),
        turn(22, "half_open"),
        turn(23, "open"),
        turn(33, "half_open"),
        turn(41, "closed"),
    ]
    other = [turn(15, "open", "other"), turn(25, "closed", "other")]
    stop = ["breaker.open_time[1m] > 59s"]
    batch = [rows("events", *sorted(events + other, key=lambda row: row["ts_ns"]))]
    [record] = watch([rows("pipeline_ticks", *ticks(0, 130)), *batch], stop=stop).records
    assert record.worst == 29 * 10**9
    assert record.worst_ns == START_NS + 60 * 10**9


def kept_bytes() -> int:
    """What the plugin's own lines hold; not what a library loads when it is first used."""
    gc.collect()
    own = tracemalloc.take_snapshot().filter_traces(
        [tracemalloc.Filter(inclusive=True, filename_pattern="*/pytest_mmgates/*")]
    )
    return sum(held.size for held in own.statistics("filename"))


def test_memory_is_bounded_however_long_the_run():
    """Fourteen hours take what seven take, when every window is full and every buffer has its size."""
    kept = watch([], stop=[], warn=SOAK.stop)
    tracemalloc.start()
    sizes = []
    for at_s in range(0, 14 * 3600, 20):
        kept.batch(*rows("pipeline_ticks", *ticks(at_s, at_s + 1)))
        kept.batch(*rows("fills", fill(at_s, "maker")))
        if at_s % 300 == 0:
            kept.batch(*rows("samples", sample(at_s)))
        if at_s in (7 * 3600, 14 * 3600 - 20):
            sizes.append(kept_bytes())
    tracemalloc.stop()
    assert sizes[1] < sizes[0] + 5_000
    assert sizes[1] < 150_000


# --- the parts ---


def test_a_hold_stands_still_between_limit_and_clear_level_and_without_a_value():
    hold = Hold(parse_watch_rule("deadline_miss.ratio[10s] > 5% for 30s clear 4%").slow, Dimension.RATIO)
    seen = [(value, hold.look(at, value), hold.held_ns, hold.fires) for at, value in enumerate(VALUES)]
    assert [(now, held and held // 10**9, fires) for _, now, held, fires in seen] == EXPECTED


VALUES = [0.06, 0.06, None, 0.045, 0.06, 0.04, 0.06, 0.06, 0.06, 0.06, 0.051]
EXPECTED = [
    (Now.HOLDS, 0, False),
    (Now.HOLDS, 10, False),
    (Now.STANDS, 10, False),
    (Now.STANDS, 10, False),
    (Now.HOLDS, 20, False),
    (Now.CLEARED, None, False),
    (Now.HOLDS, 0, False),
    (Now.HOLDS, 10, False),
    (Now.HOLDS, 20, False),
    (Now.HOLDS, 30, True),
    (Now.HOLDS, 40, True),
]


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), max_size=40), st.integers(1, 20))
def test_a_ring_is_a_sum_over_the_newest_buckets(steps, count):
    """Buckets at or after the newest one, as time brings them."""
    ring, all_buckets, at = Ring(20, (1,)), {}, 100
    for ahead, amount in steps:
        at += ahead
        ring.add(at, 0, amount)
        all_buckets[at] = all_buckets.get(at, 0) + amount
        expected = sum(value for number, value in all_buckets.items() if at + 1 - count <= number <= at)
        assert ring.window(at + 1, count)[0] == expected


def test_a_slope_is_that_of_the_floors():
    hour_ns, floors = 3_600 * 10**9, Floors(START_NS)
    for minute in range(5 * 60):
        saw = 50e6 * (minute % 7) / 7
        wild = 1e9 if minute < 50 else 0.0  # within the warm-up: does not count
        floors.add(START_NS + minute * MINUTE_NS, 1e8 + 12e6 * minute / 60 + saw + wild)
    found = floors.complete(START_NS + 5 * hour_ns)
    assert [number for number, _ in found] == list(range(24))
    assert slope_bytes_per_h(found) == pytest.approx(12e6, rel=0.2)
    broken = [(number, 0.0 if number in (3, 11, 20) else value) for number, value in found]
    assert slope_bytes_per_h(broken) == pytest.approx(12e6, rel=0.35)
    assert floors.complete(START_NS + 5 * hour_ns, 6) == found[-6:]
    assert slope_bytes_per_h(found[:1]) is None


def test_a_long_run_is_thinned_and_its_slope_stays():
    floors = [(number, 1e8 + 1e6 * number) for number in range(5000)]
    assert slope_bytes_per_h(floors) == pytest.approx(6e6)


def test_floors_of_the_newest_are_kept_and_no_more():
    floors = Floors(START_NS, most=3)
    for number in range(10):
        floors.add(START_NS + WARM_UP_NS + number * FLOOR_NS, float(number))
    assert floors.complete(START_NS + WARM_UP_NS + 10 * FLOOR_NS) == [(7, 7.0), (8, 8.0), (9, 9.0)]


def test_records_are_kept_as_they_are_and_merge_by_rule():
    first = watch(batches(1.2, seed=3)).records
    second = watch(batches(2, ill("breaker.open_time"), from_h=1)).records
    assert decoded_records(encoded_records(first).encode()) == first
    merged = merged_records([("ONE", first), ("TWO", second)])
    assert [record.rule for record in merged] == [record.rule for record in first]
    for whole, one, two in zip(merged, first, second, strict=True):
        assert whole.judged == one.judged + two.judged
        assert whole.slow.longest_ns == max(one.slow.longest_ns, two.slow.longest_ns)
        values = [record.worst for record in (one, two) if record.worst is not None]
        assert whole.worst == (None if not values else max(values) if whole.above else min(values))
    [fired_record] = [record for record in merged if record.fired]
    assert fired_record.fired.part == "TWO"


# --- the guide ---


def test_the_table_of_criteria_is_the_shipped_gate():
    guide = (ROOT / "docs" / "writing-gates.md").read_text()
    rows_found = re.findall(r"^\| `([a-z_.]+)` " + r"\| (.*?) " * 6 + r"\| .* \|$", guide, re.MULTILINE)
    assert [row[0] for row in rows_found] == [rule.metric for rule in SOAK.stop]
    for rule, row in zip(SOAK.stop, rows_found, strict=True):
        slow = rule.slow
        assert row[1:] == (
            f"{slow.bound} over {slow.window}",
            str(slow.hold or "none"),
            str(slow.clear or "none"),
            f"{slow.least} {rule.windowed.counts}",
            "waits" if rule.no_data is None else f"fires after {rule.no_data}",
            "none" if rule.fast is None else str(rule.fast),
        )


def test_the_guide_promises_what_the_tests_hold():
    guide = (ROOT / "docs" / "writing-gates.md").read_text()
    for metric, (_, cause, minutes) in DETECTED.items():
        [line] = [
            line for line in guide.splitlines() if line.startswith((f"| `{metric}` | >", f"| `{metric}` | <"))
        ]
        assert f"within {minutes} min" in line, cause


def test_the_metrics_that_can_be_watched_are_listed():
    guide = (ROOT / "docs" / "writing-gates.md").read_text()
    [text] = re.findall(r"A metric of `stop` and `warn` is one of (.*?)\. Ticks", guide, re.DOTALL)
    assert re.findall(r"`([a-z_.]+)`", text) == list(WINDOWED)


CANDIDATE = ["deadline_miss.ratio[1m] > 5% for 10m, n >= 30"]


def of_arms(*stretches):
    """Batches of ten seconds: arm, minutes, and whether its ticks miss."""
    at_s = 0
    for arm, minutes, ill in stretches:
        for first in range(at_s, at_s + 60 * minutes, 10):
            missed = range(first, first + 10) if ill else ()
            yield rows(
                "pipeline_ticks", *({**row, "arm": arm} for row in ticks(first, first + 10, miss=missed))
            )
        at_s += 60 * minutes


def test_of_two_arms_the_one_that_is_watched_fires_and_the_other_does_not():
    assert fired(watch(of_arms(("A", 30, True)), CANDIDATE, arm="B")) == []
    [(_, by, at)] = fired(watch(of_arms(("B", 30, True)), CANDIDATE, arm="B"))
    assert (by, at) == ("slow", 11.0)


def test_all_that_was_seen_of_the_watched_arm_is_kept_when_the_run_has_ended():
    rules = [CANDIDATE[0], "breaker.open_time[6m] > 5m", "taker_share[1h] > 15%, no_data wait"]
    watched = watch(of_arms(("A", 10, True), ("B", 2, False), ("A", 30, True)), rules, arm="B")
    assert [record.seen for record in watched.records] == [Seen(0.0, 120), None, None]
    both = watch(of_arms(("A", 10, True), ("B", 2, False)), rules)
    [share, _, _] = [record.seen for record in both.records]
    assert (share.n, share.value) == (720, 600 / 720)
    merged = merged_records([("a", watched.records), ("b", both.records)])
    assert merged[0].seen == share


def test_while_only_the_other_arm_quotes_a_hold_stands_still_and_no_data_is_missed():
    away = of_arms(("B", 7, True), ("A", 60, False), ("B", 7, True))
    [(_, by, at)] = fired(watch(away, CANDIDATE, arm="B"))
    assert by == "slow"
    assert 67 + 4 <= at <= 67 + 5
    assert fired(watch(of_arms(("B", 7, True), ("A", 600, False)), CANDIDATE, arm="B")) == []


SLOWER_RULE = parse_safety(
    "regress(tick_total.p95)[5m] <= 10% for 10m, n >= 200, no_data wait, fast [2m] <= 50% for 1m, n >= 100"
).violation


def timed(*stretches, per_batch=10):
    """Batches of seconds in which A and B tick, or one of them: minutes, and how long each takes, in us."""
    found, second = [], 0
    for minutes, took_us in stretches:
        for first in range(second, second + 60 * minutes, per_batch):
            content = [
                {**row, "arm": arm, "tick_total_ns": 1000 * us + row["ts_ns"] // 10**9 % 7, "wait_ns": 0}
                for row in ticks(first, first + per_batch)
                for arm, us in took_us.items()
            ]
            found.append(rows("pipeline_ticks", *content))
        second += 60 * minutes
    return found


@pytest.mark.parametrize(
    ("stretches", "by", "minute"),
    [
        (((20, {"A": 40}), (60, {"B": 47})), "slow", 33.3),
        (((20, {"A": 40}), (60, {"B": 90})), "fast", 22.7),
        (((20, {"A": 40}), (60, {"A": 40, "B": 47})), "slow", 33.3),
        (((20, {"A": 40}), (7, {"B": 47}), (90, {"A": 40}), (60, {"B": 47})), "slow", 123.3),
        (((30, {"B": 90}), (12, {"A": 40}), (60, {"B": 90})), "fast", 42.7),
    ],
)
def test_a_candidate_that_is_slower_than_the_baseline_was_fires_in_its_own_time(stretches, by, minute):
    [(metric, found, at)] = fired(watch(timed(*stretches), [SLOWER_RULE], arm="B"))
    assert (metric, found) == ("regress(tick_total.p95)", by)
    assert at == pytest.approx(minute, abs=0.7)


@pytest.mark.parametrize(
    "stretches",
    [
        ((20, {"A": 40}), (60, {"B": 43})),
        ((20, {"A": 40}), (60, {"A": 90, "B": 90})),  # the machine
        ((20, {"A": 40}), (60, {"A": 30, "B": 41})),  # what is frozen, and not what A is now
        ((20, {"A": 40}), (7, {"B": 47}), (60, {"B": 40})),
        ((4, {"A": 40}), (60, {"B": 90})),  # nothing frozen yet
        ((60, {"B": 90}),),
    ],
)
def test_a_candidate_that_is_as_fast_or_that_the_machine_slows_fires_nothing(stretches):
    assert fired(watch(timed(*stretches), [SLOWER_RULE], arm="B")) == []


def test_what_is_frozen_stays_however_slow_the_baseline_becomes():
    drift = timed((20, {"A": 40}), (60, {"A": 90}), (30, {"B": 47}))
    assert [by for _, by, _ in fired(watch(drift, [SLOWER_RULE], arm="B"))] == ["slow"]


def test_how_timed_rows_are_cut_into_batches_changes_nothing():
    stretches = ((11, {"A": 40}), (400, {"B": 42, "A": 41}), (60, {"A": 40}), (30, {"B": 47}))
    one, other = (
        watch(timed(*stretches, per_batch=length), [SLOWER_RULE], arm="B").records for length in (10, 60)
    )
    assert one == other
    assert one[0].fired


def test_ticks_that_do_not_say_how_long_they_took_are_refused():
    with pytest.raises(RunlogError, match="tick_total_ns"):
        watch(of_arms(("B", 1, False)), [SLOWER_RULE], arm="B")


def test_without_ticks_of_any_arm_data_are_missing():
    silent = [*of_arms(("B", 2, False)), rows("fills"), *of_arms(("A", 1, False))]
    late = [{**row, "arm": "A"} for row in ticks(1_200, 1_201)]
    [(_, by, at)] = fired(watch([*silent[:12], rows("pipeline_ticks", *late)], CANDIDATE, arm="B"))
    assert (by, at) == ("no_data", 7.0)
