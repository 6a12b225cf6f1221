"""The step that is judged by the facts of a day: no rule of `gates/daily.yaml` that cannot fail, a comparison
that sees what was planted in it, and pages that say so.
"""

import html.parser
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.plugin.daily_maker import BEFORE, DAY, changed, day, earned, group, run, stage, write

from pytest_mmgates.daily.actions import ACTIONS, actions
from pytest_mmgates.daily.compare import FIGURES, HISTORY_DAYS, Figure, Moved, moved
from pytest_mmgates.daily.log import read_daily
from pytest_mmgates.errors import RunlogError
from pytest_mmgates.gatefile import read_gate
from pytest_mmgates.judge import judge
from pytest_mmgates.report.daily_report import daily_pages
from pytest_mmgates.report.result import RunResult
from pytest_mmgates.units import Dimension
from pytest_mmgates.verdict import Verdict

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
GATE = read_gate(ROOT / "gates" / "daily.yaml")
GOOD = group()

MUTATIONS = {
    "daily.coverage": changed(GOOD, "coverage.0.covered_ratio", 0.98),
    "daily.failed_runs": changed(GOOD, "runs.0", run(status="failed", reason="a bug")),
    "daily.unexplained_stops": changed(GOOD, "guards.hard_without_reason", 1),
    "daily.position_difference": changed(GOOD, "symbols.0.position_difference_lots", 1),
    "daily.pnl_difference": changed(GOOD, "symbols.0.pnl_difference", 2e-9),
    "daily.md_cache.hit_ratio": changed(GOOD, "ticks.hits", 600_000),
    "daily.fetch_md.p95": changed(GOOD, "latency.0", stage("fetch_md", 36e6)),
    "daily.tick_total.p95": changed(GOOD, "latency.6", stage("tick_total", 151e6)),
    "daily.deadline_miss.ratio": changed(GOOD, "ticks.deadline_misses", 17_280),
}
ALERT = {"run_id": "run-1", "rule": "x", "at": f"{DAY}T01:00:00Z", "times": 1, "why": "7 %"}
WARNINGS = {
    "daily.stop_alerts": changed(GOOD, "alerts", [ALERT | {"section": "stop"}]),
    "daily.warn_alerts": changed(GOOD, "alerts", [ALERT | {"section": "warn"}]),
    "daily.lost_alerts": changed(GOOD, "events", [{"kind": "alert_lost", "reason": "", "count": 1}]),
    "daily.taker_share": changed(GOOD, "results", [earned(taker_share=0.0901)]),
    "daily.net_bps": changed(GOOD, "results", [earned(net_bps=-0.01)]),
    "daily.hard_ratio": changed(GOOD, "guards.levels", {"NONE": 800_000, "HARD": 64_000}),
    "daily.memory.slope": changed(GOOD, "processes.0.rss_floors", [[n, 1e8 + 9e6 * n] for n in range(100)]),
    "daily.breaker.open_time": changed(
        GOOD, "breakers", [{"venue": "v", "opened": 1, "not_closed_s": 31.0, "state": "closed"}]
    ),
    "daily.errors": changed(GOOD, "events", [{"kind": "order_reject", "reason": "", "count": 1_001}]),
}


def log_of(folder, today=GOOD, before=(), **facts):
    earlier = [day(one, name=name) for name, one in zip(BEFORE, before, strict=False)]
    return read_daily(write(folder, *earlier, day(*([today] if today else []), **facts)))


def outcomes(verdict):
    return {rule.rule.partition(" ")[0]: rule.verdict for rule in verdict.rules}


def result_of(log):
    verdict = judge(GATE, log)
    return RunResult("daily", "day", log.scenario, "pytest -m daily", None, None, [verdict], daily=log)


def pages(log):
    return daily_pages(result_of(log), log)


def test_a_good_day_passes_without_warning_or_action(tmp_path):
    log = log_of(tmp_path, before=[GOOD] * HISTORY_DAYS)
    verdict = judge(GATE, log)
    assert set(outcomes(verdict).values()) == {Verdict.PASS}
    assert verdict.warnings == actions(verdict, log.comparison) == ()


@pytest.mark.parametrize("metric", [rule.metric for rule in GATE.require])
def test_every_rule_has_a_day_that_fails_it_and_no_other(tmp_path, metric):
    if metric == "daily.unreadable_runs":
        log = log_of(tmp_path, unreadable=["runs/x"])
    else:
        log = log_of(tmp_path, MUTATIONS[metric])
    verdict = judge(GATE, log)
    assert {name for name, one in outcomes(verdict).items() if one is Verdict.FAIL} == {metric}
    assert set(outcomes(verdict).values()) == {Verdict.FAIL, Verdict.PASS}
    assert [action.metric for action in actions(verdict, log.comparison)] == [metric]


@pytest.mark.parametrize("metric", [rule.metric for rule in GATE.cautions if rule.metric in WARNINGS])
def test_every_warning_has_a_day_that_raises_it_and_no_other(tmp_path, metric):
    log = log_of(tmp_path, WARNINGS[metric])
    verdict = judge(GATE, log)
    assert verdict.verdict is Verdict.PASS
    raised = [record.rule.partition(" ")[0] for record in verdict.warnings]
    expected = {metric, "daily.errors"} if metric == "daily.errors" else {metric}
    assert set(raised) == expected
    assert [action.metric for action in actions(verdict, log.comparison)] == raised


def test_every_rule_has_its_cause_here_and_something_to_do():
    known = {*MUTATIONS, *WARNINGS, "daily.unreadable_runs", "daily.moved_worse"}
    assert known == {rule.metric for rule in (*GATE.require, *GATE.cautions)}
    assert known == ACTIONS.keys()
    assert {figure.metric for figure in FIGURES} - {None} <= ACTIONS.keys()
    for metric in known:
        assert (ROOT / GATE.runbook_of(metric)).is_file(), metric


@pytest.mark.parametrize(
    "stopped",
    [
        run(fell_silent=True),
        run(status="halted", reason=None, ended_on_day=True),
        run(halts=[{"at": f"{DAY}T01:00:00Z", "reason": None}]),
    ],
)
def test_a_stop_without_a_reason_is_unexplained(tmp_path, stopped):
    log = log_of(tmp_path, changed(GOOD, "runs", [stopped]))
    assert outcomes(judge(GATE, log))["daily.unexplained_stops"] is Verdict.FAIL
    why = changed(GOOD, "runs", [run(status="halted", reason="red button", ended_on_day=True)])
    assert outcomes(judge(GATE, log_of(tmp_path, why)))["daily.unexplained_stops"] is Verdict.PASS


def test_a_day_that_nobody_wrote_down_is_no_data_and_says_so(tmp_path):
    log = log_of(tmp_path, None)
    verdict = judge(GATE, log)
    assert set(outcomes(verdict).values()) == {Verdict.NO_DATA}
    assert verdict.reason == f"no run has rows of {DAY}"
    for page in pages(log):
        assert "NO_DATA" in page
        assert f"no run has rows of {DAY}" in page


def test_a_day_without_fills_passes_and_shows_no_edge(tmp_path):
    none = dict.fromkeys(name for name in earned() if name.endswith("_bps")) | {"taker_share": None}
    nothing = earned(fills=0, buys=0, notional=0.0, fees=0.0, pnl=0.0, fills_with_net=0, **none)
    log = log_of(tmp_path, changed(GOOD, "results", [nothing]))
    verdict = judge(GATE, log)
    assert verdict.verdict is Verdict.PASS
    assert verdict.warnings == ()
    text, _ = pages(log)
    assert re.search(r"^\| USDT \| \+0\.0000 \| 0 \| 0 \| NO_DATA \|", text, re.MULTILINE)


def test_too_short_a_day_decides_nothing_and_is_told_all_the_same(tmp_path):
    log = log_of(tmp_path, changed(GOOD, "coverage.0.covered_s", 3_599.0))
    assert set(outcomes(judge(GATE, log)).values()) == {Verdict.NO_DATA}
    for page in pages(log):
        assert "+50.0000" in page
        assert "no rule was judged" in page
        assert "Nothing: no rule is broken" not in page


def noisy(number):
    """A day that is like the others, and a little different in everything."""
    one = changed(GOOD, "latency.6", stage("tick_total", 4e4 * (1 + 0.01 * (number % 3))))
    return changed(one, "results", [earned(net_bps=1.0 + 0.05 * (number % 4), pnl=50.0 + number)])


PLANTED = {
    "tick_total p95": (changed(noisy(1), "latency.6", stage("tick_total", 8e4)), "daily.tick_total.p95"),
    "net USDT": (changed(noisy(1), "results.0.net_bps", 0.3), "daily.net_bps"),
    "hit_ratio": (changed(noisy(1), "ticks.hits", 850_000), "daily.md_cache.hit_ratio"),
    "errors per 100k ticks": (
        changed(noisy(1), "events", [{"kind": "order_reject", "reason": "", "count": 900}]),
        "daily.errors",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_regression_shows_up_and_nothing_else_does(tmp_path, name):
    today, metric = PLANTED[name]
    log = log_of(tmp_path, today, [noisy(number) for number in range(HISTORY_DAYS)])
    worse = [one.name for one in log.comparison if one.moved is Moved.WORSE]
    assert worse == [name]
    verdict = judge(GATE, log)
    assert [record.rule for record in verdict.warnings] == ["daily.moved_worse > 0"]
    asked = {action.metric: action for action in actions(verdict, log.comparison)}
    assert asked.keys() == {metric, "daily.moved_worse"}
    text, page = pages(log)
    assert re.search(rf"^\| {name} \|.* 7 \| \*\*worse\*\* \|$", text, re.MULTILINE)
    assert f"{name} moved for the worse" in text
    assert '<td class="worse">worse</td>' in page


def test_the_days_that_are_there_are_counted_and_few_decide_nothing(tmp_path):
    today = PLANTED["tick_total p95"][0]
    log = log_of(tmp_path, today, [noisy(number) for number in range(3)])
    one = next(one for one in log.comparison if one.name == "tick_total p95")
    assert (len(one.days), one.moved, one.median, one.low, one.high) == (
        3,
        Moved.TOO_FEW_DAYS,
        40_400,
        4e4,
        40_800,
    )
    assert judge(GATE, log).warnings == ()


def test_days_of_another_kind_are_not_compared_with(tmp_path):
    other = GOOD | {"data_kind": "synthetic", "mode": "replay"}
    assert all(not one.days for one in log_of(tmp_path, before=[other] * HISTORY_DAYS).comparison)


def test_better_up_and_down_are_told_apart():
    def figure(worse):
        return Figure("x", Dimension.COUNT, worse, 0.0, 0.5, lambda _: {})

    days = [1.0, 1.1, 0.9, 1.0]
    assert moved(figure(-1), 2.0, days) is Moved.BETTER
    assert moved(figure(0), 2.0, days) is Moved.UP
    assert moved(figure(0), 0.0, days) is Moved.DOWN
    assert moved(figure(+1), 1.49, days) is Moved.NO
    assert moved(figure(+1), None, days) is Moved.NO_DATA


def test_how_often_noise_alone_moves_a_figure_is_as_the_module_says():
    """Of normal noise, without the least change."""
    figure = Figure("x", Dimension.COUNT, +1, 0.0, 0.0, lambda _: {})
    random = np.random.default_rng(1)

    def share(days, times=4_000):
        draws = random.normal(size=(times, days + 1))
        found = [moved(figure, float(row[0]), row[1:].tolist()) is not Moved.NO for row in draws]
        return sum(found) / times

    assert 0.045 < share(7) < 0.075
    assert 0.12 < share(4) < 0.18


class Page(html.parser.HTMLParser):
    """What a page would fetch or run."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.fetched = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href")]


def test_the_page_stands_alone_and_shows_the_hours(tmp_path):
    log = log_of(tmp_path, changed(GOOD, "hours.3.tick_total_p95_ns", None), [GOOD] * HISTORY_DAYS)
    text, page = pages(log)
    read = Page(page)
    assert "script" not in read.tags
    assert read.fetched == []
    assert read.tags.count("svg") == 5
    assert read.tags.count("rect") == 5 * 24
    assert page.count('class="absent"') == 1
    assert (text, page) == pages(log)


def test_no_name_of_a_run_breaks_the_page_or_the_table(tmp_path):
    bad = changed(GOOD, "runs", [run(run_id="<script>a|b", status="halted", reason="<b>", ended_on_day=True)])
    text, page = pages(log_of(tmp_path, bad))
    assert "<script>" not in page
    assert "<script>a\\|b" in text


def test_top_and_bottom_symbols_do_not_overlap(tmp_path):
    symbols = [
        GOOD["symbols"][0] | {"symbol": f"venue:S{number}", "pnl": float(-number)} for number in range(7)
    ]
    text, _ = pages(log_of(tmp_path, changed(GOOD, "symbols", symbols)))
    best, worst = text.split("### Bottom 3 symbols")
    found = [
        re.findall(r"^\| venue:S(\d) ", part, re.MULTILINE) for part in (best.split("### Top 5")[1], worst)
    ]
    assert found == [list("01234"), list("56")]


def test_what_is_no_day_is_refused(tmp_path):
    path = write(tmp_path, day(GOOD) | {"schema": 2})
    with pytest.raises(RunlogError, match="Invalid enum value 2"):
        read_daily(path)
    path = write(tmp_path, day(GOOD, name="someday"))
    with pytest.raises(RunlogError, match="day was 'someday', expected one such as 2026-01-31"):
        read_daily(path)


def test_the_step_writes_its_pages_and_a_wrong_date_leaves_no_pass(project):
    shutil.copy(HERE / "daily_maker.py", project.path)
    (project.path / "test_gates.py").unlink()
    test = (ROOT / "scenarios" / "test_7_daily.py").read_text()
    (project.path / "test_7_daily.py").write_text(
        test.replace('@pytest.mark.usefixtures("alert_rules")\n', "")
    )
    text = (project.path / "pytest.ini").read_text()
    project.ini(f"{text}mmgates_daily = daily_maker:make\n")
    (project.path / "daily.json").write_text(json.dumps({"groups": [GOOD]}))
    done = project.run("-m", "daily", "--mmgates-date", DAY)
    done.assert_outcomes(passed=len(GATE.require))
    out = project.path / "artifacts"
    written = {path.name for path in (out / "reports" / "daily").iterdir()}
    assert written == {f"{DAY}.md", f"{DAY}.html", f"{DAY}.json"}
    verdict = json.loads((out / "verdicts" / "daily.json").read_text())
    assert (verdict["verdict"], verdict["day"], verdict["mode"]) == ("PASS", DAY, "live")

    (project.path / "daily.json").write_text(json.dumps({"error": "--date: 2999-01-01 is not over"}))
    wrong = project.run("-m", "daily", "--mmgates-date", "2999-01-01")
    assert wrong.ret == 1
    wrong.stdout.fnmatch_lines(["--date: 2999-01-01 is not over"])
    assert json.loads((out / "verdicts" / "daily.json").read_text())["verdict"] == "NO_DATA"
