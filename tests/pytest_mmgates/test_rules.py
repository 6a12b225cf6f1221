"""The gate language."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mmgates.errors import GateError
from pytest_mmgates.grammar import Bound
from pytest_mmgates.metrics import METRICS
from pytest_mmgates.rules import Rule, parse_bound, parse_rule
from pytest_mmgates.units import UNITS, Dimension, Quantity

NUMBERS = st.builds(Decimal, st.from_regex(r"-?[0-9]{1,9}(\.[0-9]{1,6})?", fullmatch=True))
SYMBOLS = st.from_regex(r"[a-z_]{1,8}:[A-Z0-9._\-]{1,12}", fullmatch=True)


@st.composite
def rules(draw):
    metric = METRICS[draw(st.sampled_from(sorted(METRICS)))]
    unit = draw(st.sampled_from(sorted(UNITS[metric.dimension])))
    op = draw(st.sampled_from([">=", "<=", ">", "<", "=="]))
    symbol = draw(st.none() | SYMBOLS) if metric.per_symbol else None
    return Rule(metric.name, symbol, Bound(op, Quantity(draw(NUMBERS), unit)))


@given(rules())
def test_printing_a_rule_and_parsing_it_gives_the_rule(rule):
    assert parse_rule(str(rule)) == rule
    assert str(parse_rule(str(rule))) == str(rule)


@given(st.text() | st.text(alphabet='abcdmnpst_. {}"=<>[]()%0123456789-', max_size=60))
def test_any_text_that_is_no_rule_is_one_gate_error(text):
    with pytest.raises(GateError) as caught:
        parse_rule(f"{text}!")
    assert 1 <= caught.value.place.column <= len(text) + 2


@given(rules(), st.integers(0, 80), st.text(max_size=3))
def test_a_damaged_rule_is_a_rule_or_one_gate_error(rule, at, junk):
    text = str(rule)
    try:
        damaged = parse_rule(text[:at] + junk + text[at + 1 :])
    except GateError:
        return
    assert parse_rule(str(damaged)) == damaged


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("md_cache.hit_ratio >= 0.70", "md_cache.hit_ratio >= 0.7"),
        ("fetch_md.p95<=35ms", "fetch_md.p95 <= 35ms"),
        ("  deadline_miss.ratio\t<  2 % ", "deadline_miss.ratio < 2%"),
        ('book.gaps{symbol="binance_spot:NEXOUSDT"} == 0', 'book.gaps{symbol="binance_spot:NEXOUSDT"} == 0'),
        ('book.gaps { symbol = "a:B" } == 0', 'book.gaps{symbol="a:B"} == 0'),
        ("memory.rss_max < 600MB", "memory.rss_max < 600MB"),
        ("net_bps >= -0.2bps", "net_bps >= -0.2bps"),
        ("net_bps >= -0.2", "net_bps >= -0.2"),
        ("inventory.abs_p99_quote <= 500", "inventory.abs_p99_quote <= 500"),
        ("tick_total.max < 100000us", "tick_total.max < 100000us"),
    ],
)
def test_rules_have_one_canonical_text(text, canonical):
    assert str(parse_rule(text)) == canonical


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("", 1, "expected the name of a metric, found the end of the rule"),
        ("fetch_mdd.p95 <= 35ms", 1, "unknown metric 'fetch_mdd.p95'; did you mean 'fetch_md.p95'?"),
        ("qqqqq > 1", 1, "unknown metric 'qqqqq'"),
        ("fetch_md.p95 <= 35", 17, "fetch_md.p95 is a time: expected ns, us, ms, s, m or h, found no unit"),
        (
            "fetch_md.p95 <= 35%",
            17,
            "fetch_md.p95 is a time: expected ns, us, ms, s, m or h, found the unit '%'",
        ),
        ("md_cache.hit_ratio >= 70ms", 23, "is a ratio: expected no unit or %, found the unit 'ms'"),
        ("book.gaps == 0%", 14, "book.gaps is a count: expected no unit, found the unit '%'"),
        ("fetch_md.p95 <= 1e3ms", 17, "found the unit 'e3ms'"),
        ("fetch_md.p95 =< 35ms", 14, "expected a comparison"),
        ("fetch_md.p95 != 35ms", 14, "unexpected character '!'"),
        ("fetch_md.p95 <=", 16, "expected a number, found the end of the rule"),
        ("fetch_md.p95 <= nan", 17, "expected a number, found 'nan'"),
        ("fetch_md. <= 35ms", 11, "expected a name after the dot"),
        ("fetch_md.p95 <= 35ms 3", 22, "expected the end of the rule, found '3'"),
        ("fetch_md.p95 <= 35ms, tick_total.p95 <= 1s", 21, "expected the end of the rule, found ','"),
        (f"fetch_md.p95 <= {'9' * 30}ms", 17, "the number is too long"),
        ('book.gaps{venue="x"} == 0', 11, "unknown label 'venue'"),
        ('book.gaps{symbol="x" == 0', 22, "expected '}'"),
        ("book.gaps{symbol=x} == 0", 18, "expected a symbol in double quotes"),
        ('book.gaps{symbol=""} == 0', 18, "the symbol is empty"),
        ('memory.rss_max{symbol="x"} < 1MB', 15, "belongs to the whole process"),
        ("deadline_miss.ratio[5m] > 5%", 20, "a window such as [5m] belongs to `stop` rules"),
        ("deadline_miss.ratio > 5% for 10m", 26, "'for' belongs to rules that watch or compare"),
        ("fills.count > 5 for 10m", 17, "'for' belongs to rules that watch or compare"),
        ("B.taker_share <= 9%", 1, "B. names an arm"),
        ("delta(net_bps) >= 0.2bps", 1, "delta(...) compares arms or a baseline"),
    ],
)
def test_what_cannot_be_checked_is_named_at_its_column(text, column, message):
    with pytest.raises(GateError) as caught:
        parse_rule(text)
    assert message in caught.value.message
    assert caught.value.place.column == column


def test_the_caret_stands_under_the_offending_column():
    with pytest.raises(GateError) as caught:
        parse_rule("fetch_md.p95 <= 35")
    head, source, caret = str(caught.value).splitlines()
    assert head.startswith("<rule>:1:17: ")
    assert source[caret.index("^")] == "3"


def test_a_limit_is_exact():
    limit = parse_bound("< 2%", Dimension.RATIO).limit
    assert limit.base(Dimension.RATIO) == 0.02
    assert parse_bound(">= 60m", Dimension.TIME).limit.base(Dimension.TIME) == 3_600_000_000_000


@pytest.mark.parametrize(
    ("op", "below", "equal", "above"),
    [
        (">=", False, True, True),
        ("<=", True, True, False),
        (">", False, False, True),
        ("<", True, False, False),
        ("==", False, True, False),
    ],
)
def test_comparisons_hold_as_written(op, below, equal, above):
    bound = Bound(op, Quantity(Decimal(5), ""))
    assert [bound.holds(value, Dimension.COUNT) for value in (4.0, 5.0, 6.0)] == [below, equal, above]
