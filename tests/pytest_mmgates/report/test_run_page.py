"""The page of a run: verdict first, what is beyond a limit marked, equal bytes, and no text is markup."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.pytest_mmgates.report.changes import slow_from

from pytest_mmgates.judge import judge, judge_failed_run
from pytest_mmgates.report.page import Banner, Table, facts_page
from pytest_mmgates.report.result import RunResult
from pytest_mmgates.report.run_charts import run_charts
from pytest_mmgates.report.run_page import run_page
from pytest_mmgates.report.svg import UNSHOWN
from pytest_mmgates.watch.record import Fired, Held, WatchRecord
from pytest_mmgates.watchrules import parse_watch_rule

KNOWN = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "main",
        "h1",
        "h2",
        "h3",
        "p",
        "strong",
        "code",
    ),
    *(
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "ul",
        "li",
        "div",
        "dl",
        "dt",
        "dd",
        "figure",
        "figcaption",
    ),
    *("svg", "path", "rect", "line", "circle", "text"),
}
VOID = {"meta"}


class Reader(HTMLParser):
    """Tags that are all closed, in their order; their attributes; all text but the style sheet's."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], set(), set(), []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.open += [] if tag in VOID else [tag]

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open and data.strip():
            self.texts.append(data.strip())


def test_the_verdict_comes_first_and_the_command_that_does_it_again(drawn_run, page_of):
    texts = Reader(page_of(drawn_run(slow_from(20, 25)))).texts
    assert texts[:3] == ["FAIL (SYNTHETIC): shadow on demo", "shadow on demo", "FAIL (SYNTHETIC)"]
    assert texts.index("pytest -m shadow --mmgates-scenario demo") < texts.index("SYNTHETIC.")
    first_rule = texts[texts.index("note") + 1 :]
    assert first_rule[:2] == ["FAIL (SYNTHETIC)", "deadline_miss.ratio < 2%"]


def test_what_is_beyond_a_limit_is_shaded_and_said(drawn_run, page_of):
    page = page_of(drawn_run(slow_from(20, 25)))
    assert "not &lt;= 150ms: 20 min to 25 min" in page
    assert "Limit &lt;= 150ms: beyond it in 5 of them." in page
    assert page.count('<rect class="violation" x=') == 2  # of the tick, and of its deadline
    assert '<rect class="violation"' not in page_of(drawn_run())


def test_every_chart_has_a_title_a_sentence_and_axes(drawn_run, page_of):
    page = page_of(drawn_run(slow_from(20, 25)))
    figures = re.findall(r"<figure.*?</figure>", page, re.DOTALL)
    assert len(figures) == 13
    for figure in figures:
        title, text = re.search(r"<h3>(.+?)</h3><p>(.+?)</p>", figure).groups()
        assert re.search(r"\d", text) or "Nothing" in text, title
        if "Nothing" not in text:
            assert f'aria-label="{title}. {text}"' in figure.replace("&#34;", "&quot;")
            assert figure.count('class="axis"') >= 2


def test_equal_input_gives_equal_bytes(drawn_run, page_of):
    first, second = drawn_run(slow_from(20, 25)), drawn_run(slow_from(20, 25))
    assert first.directory != second.directory
    assert page_of(first) == page_of(second)


def test_nothing_is_asked_of_a_network_and_nothing_runs(drawn_run, page_of):
    page = page_of(drawn_run())
    reader = Reader(page)
    assert reader.tags <= KNOWN
    assert not reader.attributes & {"src", "href", "srcset", "action"}
    assert not [name for name in reader.attributes if name.startswith("on")]
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    assert "url(" not in page
    assert "@import" not in page


@pytest.mark.parametrize("kind", ["recorded", "live"])
def test_only_what_was_generated_says_so(drawn_run, page_of, kind):
    assert "SYNTHETIC" not in page_of(drawn_run(kind=kind))


def test_no_ticks_and_one_tick_are_pages_too(drawn_run, page_of):
    for settings_, tick_count in (
        ({"stop_after": -1.0, "fills": 0}, 0),
        ({"stop_after": 0.0, "fills": 0}, 1),
    ):
        run = drawn_run(**settings_)
        assert run.tick_count == tick_count
        page = page_of(run)
        Reader(page)
        assert "NO_DATA" in page
        assert not re.search(r"\b(nan|inf)\b", page)


def test_an_outage_is_shown_and_no_line_crosses_it(drawn_run, page_of):
    run = drawn_run(minutes=65, outages=[[30, 34]], clock="wall", kind="live")
    page = page_of(run)
    assert page.count('<rect class="outage"') > 2
    assert str(run.outages[0]) in page


@pytest.mark.parametrize("count", [3, 7])
def test_a_limit_that_one_of_many_parts_breaks_is_seen(drawn_parts, page_of, count):
    """Few parts are lines, many are what lies between them; what is left out is said."""
    page = page_of(drawn_parts(count, slow_from(20, 25)))
    assert "not &lt;= 150ms: 20 min to 25 min" in page
    assert ("lowest to highest of 7 parts" in page) is (count == 7)
    assert ("deadline_miss.ratio of SYM2" in page) is (count == 3)
    assert ("1 more with fewer fills are not drawn." in page) is (count == 7)


def test_what_a_stop_rule_saw_is_shaded_as_its_watch_recorded_it(drawn_run, gate):
    """Its windows are its own: no stretch is judged for it."""
    rule = parse_watch_rule("deadline_miss.ratio[5m] > 5% for 10m")
    run = drawn_run()
    at_ns = run.manifest.started_ns + 30 * 60 * 10**9
    fired = Fired(at_ns=at_ns, by="slow", value=0.2, n=300, why="20% > 5% for 10m")
    record = WatchRecord(str(rule), "stop", above=True, judged=9, slow=Held(600 * 10**9, at_ns), fired=fired)
    run, gate = replace(run, watched=(record,)), replace(gate, stop=(rule,))
    charts = {chart.title: chart for chart in run_charts(run, [judge(gate, run)])}
    chart = charts["deadline_miss.ratio, in stretches of 1 min"]
    assert '<rect class="violation" x="333.3" y="0" width="166.7"' in chart.svg
    assert "stop deadline_miss.ratio[5m] &gt; 5% for 10m: 20% &gt; 5% for 10m</title>" in chart.svg
    assert "a rule held" in chart.legend
    assert ">stop &gt; 5%</text>" in chart.svg


def test_rows_that_cannot_be_read_again_leave_the_verdict(drawn_run, page_of):
    run = drawn_run()
    [path] = run.directory.glob("pipeline_ticks_*.jsonl")
    path.write_text("{}\n")
    page = page_of(run)
    assert "No charts:" in page
    assert "<figure" not in page
    assert page.index("PASS") < page.index("No charts:")


def test_a_run_that_failed_has_a_reason_and_no_numbers(gate):
    reason = "abc.zst:17: corrupt <frame>"
    page = run_page(
        RunResult("shadow", "demo", "demo", "pytest", None, reason, [judge_failed_run(gate, reason)])
    )
    assert Reader(page).texts[2] == "NO_DATA"
    assert "corrupt &lt;frame&gt;" in page
    assert "<figure" not in page


@given(st.text(st.characters(exclude_categories=()), min_size=1))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_text_is_text(text):
    """Whatever a symbol, a reason or a command holds, a reader sees it and no browser runs it."""
    page = facts_page(
        Banner(text, "FAIL", text, text, text, text, text),
        [Table(text, (text, "b"), [(text, "x"), ("FAIL", text)], text)],
    )
    assert page.encode()
    reader = Reader(page)
    assert reader.tags <= KNOWN
    shown = " ".join(" ".join(reader.texts).split())
    assert " ".join(text.translate(UNSHOWN).split()) in shown


def test_hostile_symbols_and_reasons(drawn_run, page_of):
    hostile = "<img src=x onerror=alert(1)>\"'&"
    run = drawn_run(symbol=hostile, status="failed", reason=hostile)
    page = page_of(run, name=hostile, rerun=hostile)
    assert Reader(page).tags <= KNOWN
    assert "&lt;img src=x onerror" in page


def test_more_ticks_make_no_larger_page(drawn_run, page_of):
    """What is drawn has the width of a picture."""
    few, many = (len(page_of(drawn_run(tick_ms=tick_ms))) for tick_ms in (1000, 250))
    assert many < 1.1 * few < 200_000
