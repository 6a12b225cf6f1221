"""The page says what the state says, escaped; its parts are the ones that it allows itself to load."""

import base64
import hashlib
import re
from html.parser import HTMLParser

from tests.mmbot.builders import START_NS, fill_row, linear, tick_row
from tests.mmbot.telemetry.test_view import event as event_row
from tests.mmbot.telemetry.test_view import facts_of, quoting, state_of

from mmbot.telemetry.figures import NO_DATA, headline, sections, span
from mmbot.telemetry.page import event, page
from mmbot.telemetry.view import RuleState, RunState, View
from mmbot.units import SECOND

HOSTILE = '<img src=x onerror="alert(1)">&'


def figures(state: RunState) -> dict[str, list[tuple[str, ...]]]:
    return {section.title: section.rows for section in sections(state)}


class _Text(HTMLParser):
    """Cells of the page, and every element in it."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.cells: list[str] = []
        self._in_cell = False

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 (the signature is html.parser's)
        self.elements.append(tag)
        self._in_cell = tag in ("th", "td")
        if self._in_cell:
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 (the signature is html.parser's)
        self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.cells[-1] += data


def parsed(html: bytes) -> _Text:
    text = _Text()
    text.feed(html.decode())
    return text


def test_what_was_not_measured_is_no_data():
    told = figures(state_of())
    assert dict(told["Run"])["played"] == dict(told["Health"])["md_cache hit ratio"] == NO_DATA
    assert told["Result"] == [
        ("USDT", NO_DATA, NO_DATA, "0 of 0", "0", "0.00", NO_DATA, NO_DATA),
    ]
    assert told["Latency"] == told["Rules"] == []
    assert {section.empty for section in sections(state_of()) if not section.rows} == {NO_DATA}


def test_figures_are_those_of_the_state():
    rows = [quoting(ts_ns=START_NS + second * SECOND, position=0.5) for second in range(61)]
    told = figures(state_of(*rows, tick_row(ts_ns=START_NS + 61 * SECOND, deadline_miss=True), fill_row()))
    assert dict(told["Run"])["played"] == "0:01:01 of 1:00:00"
    assert dict(told["Run"])["now, virtual clock"] == "2026-01-01 00:01:01.0"
    assert dict(told["Health"])["deadline misses"] == "1 (1.613%)"
    assert dict(told["Health"])["breaker"] == "has not moved"
    assert told["Latest fills"][0][1:4] == ("bybit_linear:SYNTHUSDT", "buy", "99.9")
    (symbol,) = told["Symbols"]
    assert symbol[:6] == ("bybit_linear:SYNTHUSDT", "pulled", "NONE", "none", "100", "none")


def test_the_headline_names_synthetic_data_and_the_reason_of_a_halt():
    state = state_of(quoting(), event_row("halt", reason="red button"))
    assert headline(state) == "demo: halted (red button), replay, SYNTHETIC DATA"


def test_a_span_of_days_is_told_in_hours():
    assert span(73 * 3600 * SECOND + 61 * SECOND) == "73:01:01"


def test_the_page_holds_every_figure_without_a_script():
    state = state_of(quoting(), fill_row())
    cells = parsed(page(state)).cells
    for section in sections(state):
        for row in section.rows:
            assert set(row) <= set(cells)
    assert b'<noscript><meta http-equiv="refresh" content="2"></noscript>' in page(state)


def test_text_from_outside_stays_text():
    hostile = linear(symbol=HOSTILE)
    view = View(facts_of(hostile, scenario=HOSTILE))
    view.rules = [RuleState(HOSTILE, "stop", HOSTILE, fired=False)]
    view.rows(
        [
            tick_row(symbol=hostile.key, guard="HARD", reasons=(HOSTILE,)),
            event_row("breaker", venue=HOSTILE, state="open"),
            event_row("halt", reason=HOSTILE),
        ]
    )
    for html in (page(view.state()), event(view.state())):
        text = parsed(html)
        assert "img" not in text.elements
        assert HOSTILE in text.cells


def test_an_event_is_the_fragment_of_the_page_line_by_line():
    state = state_of(quoting(), fill_row())
    sent = event(state)
    assert sent.endswith(b"\n\n")
    lines = sent.removesuffix(b"\n\n").split(b"\n")
    assert all(line.startswith(b"data: ") for line in lines)
    assert b"\n".join(line.removeprefix(b"data: ") for line in lines) in page(state)


def test_the_page_allows_itself_its_own_script_and_style_and_no_other():
    html = page(state_of()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="(.+?)">', html)
    policy = policy.replace("&#39;", "'")
    for element in ("style", "script"):
        (text,) = re.findall(rf"<{element}>(.*?)</{element}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
