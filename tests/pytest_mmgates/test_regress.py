"""Rules that compare with the baseline."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mmgates.errors import GateError
from pytest_mmgates.grammar import Bound
from pytest_mmgates.regress import COMPARED, RegressRule, SameRule, parse_baseline_rule
from pytest_mmgates.units import Quantity

LIMITS = st.builds(Decimal, st.from_regex(r"[1-9][0-9]{0,3}(\.[0-9]{1,3})?", fullmatch=True))
RULES = st.just(SameRule()) | st.builds(
    lambda metric, number: RegressRule(metric, Bound("<=", Quantity(number, "%"))),
    st.sampled_from(sorted(COMPARED)),
    LIMITS,
)


@given(RULES)
def test_printing_a_rule_and_parsing_it_gives_the_rule(rule):
    assert parse_baseline_rule(str(rule)) == rule


@given(RULES, st.integers(0, 40), st.text(max_size=3))
def test_a_damaged_rule_is_a_rule_or_one_gate_error(rule, at, junk):
    text = str(rule)
    try:
        damaged = parse_baseline_rule(text[:at] + junk + text[at + 1 :])
    except GateError:
        return
    assert parse_baseline_rule(str(damaged)) == damaged


def test_the_canonical_text_and_what_it_means():
    rule = parse_baseline_rule(" regress( tick_total.p95 )<=10.0 % ")
    assert str(rule) == "regress(tick_total.p95) <= 10%"
    assert (rule.stage, rule.limit) == ("tick_total", 0.1)


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("fetch_md.p95 <= 3%", 1, "expected `regress` or `same`, found 'fetch_md'"),
        ("regress(fetch_md.p95) >= 3%", 23, "expected <=, found >="),
        ("regress(fetch_md.p95) <= 3", 23, "expected a limit above 0 in %, found 3"),
        ("regress(fetch_md.p95) <= 0%", 23, "expected a limit above 0 in %, found 0%"),
        ("regress(fetch_md.p95) <= -3%", 23, "expected a limit above 0 in %, found -3%"),
        ("regress(fetch_md.p95) <= 3ms", 26, "is a ratio: expected no unit or %, found the unit 'ms'"),
        ("regress(fetch_md.p99) <= 3%", 9, "unknown metric 'fetch_md.p99'; did you mean 'fetch_md.p95'?"),
        ("regress(fetch_md.p95 <= 3%", 22, "expected ')', found '<='"),
        ("regress(fetch_md.p95) <= 3% for 10m", 29, "expected the end of the rule, found 'for'"),
        ("same(fills)", 6, "expected `decisions`, found 'fills'"),
        ("same(decisions) == 0", 17, "expected the end of the rule, found '=='"),
    ],
)
def test_what_cannot_be_honoured_is_refused_under_its_caret(text, column, reason):
    with pytest.raises(GateError) as caught:
        parse_baseline_rule(text)
    assert caught.value.place.column == column
    assert reason in str(caught.value)
