"""Outages: no part of any duration, frozen time for rules that watch, and told twice or not believed."""

import json

import pytest
from tests.pytest_mmgates.streams import IDENTITY, START_NS
from tests.pytest_mmgates.test_watch import rows, ticks
from tests.pytest_mmgates.watching import MINUTE_NS, fired, watch

from pytest_mmgates.errors import RunlogError
from pytest_mmgates.judge import Verdict, check_evidence, judge
from pytest_mmgates.loader import load

HOURS = {"clock": "wall", "minutes": 65, "outages": [[20, 22], [40, 43]]}
MISSES = "deadline_miss.ratio[1m] > 5% for 10m, n >= 30"


def outage(from_s, until_s):
    """The batch that tells it, ahead of the first tick."""
    from_ns, until_ns = START_NS + from_s * 10**9, START_NS + until_s * 10**9
    detail = {"reason": "outage", "from_ns": from_ns, "until_ns": until_ns}
    return rows("events", {"ts_ns": until_ns, "symbol": None, "kind": "gap", "detail": detail})


def by_second(from_s, to_s, **levels):
    return [rows("pipeline_ticks", *ticks(second, second + 1, **levels)) for second in range(from_s, to_s)]


def interrupted(from_s, until_s, end_s, **levels):
    """A tick each second, and none while nobody plays."""
    return [
        *by_second(0, from_s, **levels),
        outage(from_s - 1, until_s),
        *by_second(until_s, end_s, **levels),
    ]


@pytest.mark.parametrize(
    ("outages", "minutes", "met"),
    [([], 60, True), ([[20, 25]], 60, False), ([[20, 25]], 64.9, False), ([[20, 25]], 65, True)],
)
def test_an_hour_that_counts_an_outage_is_no_evidence(make_run, shadow_gate, outages, minutes, met):
    run = make_run(clock="wall", kind="recorded", outages=outages, minutes=minutes)
    assert check_evidence(shadow_gate, run)[0].met is met
    assert judge(shadow_gate, run).verdict is (Verdict.PASS if met else Verdict.NO_DATA)


def test_what_was_found_names_the_outages(make_run, shadow_gate):
    run = make_run(**HOURS)
    assert check_evidence(shadow_gate, run)[0].found == "60m, not counting 5m without a process"
    assert [str(one) for one in run.outages] == [
        "2023-11-14T22:34:00Z to 2023-11-14T22:36:00Z (02:00)",
        "2023-11-14T22:54:00Z to 2023-11-14T22:57:00Z (03:00)",
    ]


def test_ticks_that_stop_early_are_not_hidden_by_an_outage(make_run, shadow_gate):
    assert make_run(**HOURS).stalled is None
    stalled = make_run(**HOURS, stop_after=0.85)
    assert stalled.stalled == (60 * MINUTE_NS, 50 * MINUTE_NS + 15 * 10**9)
    assert not check_evidence(shadow_gate, stalled)[0].met


def test_a_fill_whose_minute_lies_in_an_outage_has_no_edge(make_run):
    """Those of the minute before it: a fill each three seconds, of which 50 minutes were played."""
    run = make_run(**HOURS, fills=1000)
    minute_later = [int(ts_ns) + MINUTE_NS for ts_ns in run.fills.ts_ns]
    unseen = [
        any(outage.from_ns < at_ns < outage.until_ns for outage in run.outages) for at_ns in minute_later
    ]
    assert sum(unseen) == 2 * 20
    assert run.of(None).edge["net"].fills == run.of(None).fills - sum(unseen)


def edited(run, **changes):
    path = run.directory / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return run.directory


@pytest.mark.parametrize(
    ("resumes", "message"),
    [
        ([], "manifest.json has outages none, the events 2023-11-14T22:34:00Z to .*, .* to .*"),
        ([{"first_tick_ns": 1}], "manifest.json has outages none, the events "),
    ],
)
def test_an_outage_that_the_manifest_keeps_quiet_is_refused(make_run, resumes, message):
    directory = edited(make_run(**HOURS), resumes=resumes)
    with pytest.raises(RunlogError, match=message):
        load(directory)


def test_an_outage_that_the_rows_keep_quiet_is_refused(make_run):
    run = make_run(**HOURS)
    (path,) = run.directory.glob("events_*.jsonl")
    path.write_text(
        "".join(line for line in path.read_text().splitlines(keepends=True) if "outage" not in line)
    )
    with pytest.raises(RunlogError, match=r"has outages 2023-.*, the events none$"):
        load(run.directory)


def test_a_run_that_went_on_against_the_wall_clock_without_an_outage_is_refused(make_run):
    directory = edited(make_run(clock="wall"), resumes=[{"first_tick_ns": START_NS}])
    with pytest.raises(RunlogError, match=f"resumed on the wall clock at {START_NS}, expected an outage"):
        load(directory)


@pytest.mark.parametrize(
    "detail",
    [
        {"until_ns": 1},
        {"from_ns": "soon"},
        {"from_ns": 10**19},
        {"from_ns": None},
    ],
)
def test_an_outage_that_makes_no_sense_is_refused(make_run, detail):
    run = make_run(**HOURS)
    (path,) = run.directory.glob("events_*.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[-1]["detail"] |= detail
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(RunlogError, match="expected whole numbers, the second later and the row's own"):
        load(run.directory)


def test_a_tick_in_an_outage_is_refused(make_run):
    run = make_run(**HOURS)
    (path,) = run.directory.glob("pipeline_ticks_*.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if json.loads(line)["ts_ns"] == run.outages[0].until_ns)
    early = json.loads(lines[at]) | {"ts_ns": run.outages[0].until_ns - 10**9}
    path.write_text("".join([*lines[:at], json.dumps(early) + "\n", *lines[at + 1 :]]))
    with pytest.raises(RunlogError, match=f"tick at {early['ts_ns']}: lies in an outage"):
        load(run.directory)


def test_a_breaker_that_was_open_when_the_process_died_is_closed_with_it(make_run):
    run = make_run(**HOURS)
    (path,) = run.directory.glob("events_*.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    opened = run.outages[0].from_ns - 7 * 10**9
    breaker = lines[-1] | {"ts_ns": opened, "kind": "breaker", "detail": {"venue": "paper", "state": "open"}}
    lines.insert(len(lines) - 2, breaker)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert load(run.directory).tally.process.breaker_open_ns == {"paper": 7 * 10**9}


def test_the_time_that_a_rule_holds_stands_still_over_an_outage():
    """Ill from the start: it holds from the first full window on, in 10 minutes that were played."""
    levels = {"miss": range(10_000)}
    (unbroken,) = fired(watch(by_second(0, 1_000, **levels), [MISSES]))
    (broken,) = fired(watch(interrupted(400, 580, 1_200, **levels), [MISSES]))
    assert unbroken == ("deadline_miss.ratio", "slow", 11.0)
    assert broken[:2] == ("deadline_miss.ratio", "slow")
    assert 0 <= broken[2] - (unbroken[2] + 180 / 60) <= 1.0  # and a window of 30 ticks to begin with
    assert fired(watch(interrupted(400, 580, 640, **levels), [MISSES])) == []


@pytest.mark.parametrize("out_s", [200, 400, 4_000, 40_000])
def test_an_outage_of_any_length_is_no_time_without_data(out_s):
    """Nobody played: what a rule asks of a run that plays and writes nothing is not asked of it."""
    watched = watch(interrupted(400, 400 + out_s, 520 + out_s), [MISSES])
    (record,) = watched.records
    assert (record.fired, record.absent_why) == (None, "20 ticks in 1m, asked for 30")


def test_ticks_that_stay_away_behind_an_outage_are_missed_as_ever():
    back = [outage(399, 5_000), *by_second(5_000, 5_100)]
    silent = [*by_second(0, 400), *back, *by_second(5_500, 5_510)]
    (record,) = watch(silent, [MISSES]).records
    assert record.fired is not None
    assert record.fired.why.startswith("no data for 05:00: no ticks at 2026-01-01T01:")


def test_what_a_rule_says_in_an_outage_is_what_it_said_before():
    watched = watch([*by_second(0, 400), outage(399, 520), *by_second(520, 521)], [MISSES])
    (said,) = watched.says()
    assert said["says"] == watch([*by_second(0, 400)], [MISSES]).says()[0]["says"] == "0%"


def test_memory_begins_anew_behind_an_outage():
    """300 MB more in the first hour of the new process, which the warm-up leaves out."""

    def sample(minute, megabytes):
        row = {"symbol": None, "name": "rss_bytes", "value": megabytes * 1e6}
        return rows("samples", {**row, "ts_ns": START_NS + minute * MINUTE_NS})

    grown = [sample(minute, min(900, 300 + 8 * (minute - 250))) for minute in range(250, 560)]
    before = [sample(minute, 500) for minute in range(240)]
    rule = ["memory.slope[2h] > 100MB/h, n >= 10, no_data fire 30m"]
    assert watch([*before, outage(239 * 60, 250 * 60), *grown], rule).halt_reason is None
    assert watch([*before, *grown], rule).halt_reason is not None


def test_identity_of_the_streams_is_that_of_the_runs():
    assert json.loads(outage(0, 1)[1])["run_id"] == IDENTITY["run_id"]
