"""Rules about arms: read as they are said, printed as they are read, and nothing guessed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mmgates.armrules import CandidateRule, DeltaRule, SlowerRule, parse_accept, parse_safety
from pytest_mmgates.errors import GateError
from pytest_mmgates.gatefile import parse_gate, read_gate
from pytest_mmgates.watchrules import parse_watch_rule

GATE = Path(__file__).parents[2] / "gates" / "ab.yaml"
ACCEPT = "delta(net_bps) >= 0.2bps by sequence(0.975), pairs >= 24"
SAFETY = [
    "delta(slippage_bps) <= 0bps by sequence(0.975), pairs >= 24",
    "regress(tick_total.p95)[5m] <= 10% for 10m, n >= 300, no_data wait, fast [2m] <= 50% for 1m, n >= 120",
    "B.taker_share[6h] <= 9% for 10m clear 8%, n >= 100, no_data wait, fast [1h] <= 27% for 1m, n >= 40",
    "B.deadline_miss.ratio[3m] < 2% for 10m, n >= 150, fast [6m] < 4.5% for 1m, n >= 300",
]


def test_the_shipped_gate_is_these_rules():
    gate = read_gate(GATE)
    assert [str(rule) for rule in (*gate.accept, *gate.safety)] == [ACCEPT, *SAFETY]
    assert gate.source == "experiment"
    assert gate.judged == (*gate.accept, *gate.safety)
    assert len(gate.lines) == len(gate.judged)


def test_what_the_rules_say():
    accept = parse_accept(ACCEPT)
    assert (accept.metric, accept.limit_bps, accept.pairs) == ("net_bps", 0.2, 24)
    assert accept.alpha == pytest.approx(0.025)
    slower = parse_safety(SAFETY[1])
    assert isinstance(slower, SlowerRule)
    assert slower.limit == 0.1
    assert slower.violation is not None
    assert str(slower.violation).startswith("regress(tick_total.p95)[5m] > 10% for 10m")
    assert slower.violation.no_data is None


@pytest.mark.parametrize("text", [*SAFETY, "regress(tick_total.p95) <= 10%"])
def test_a_rule_is_printed_as_it_is_read(text: str):
    assert str(parse_safety(text)) == text
    assert parse_safety(str(parse_safety(text))) == parse_safety(text)


def test_the_violation_of_a_healthy_line_is_a_stop_rule():
    rule = parse_safety(SAFETY[3])
    assert isinstance(rule, CandidateRule)
    assert rule.violation == parse_watch_rule(
        "deadline_miss.ratio[3m] >= 2% for 10m, n >= 150, fast [6m] >= 4.5% for 1m, n >= 300"
    )
    assert str(rule.bound) == "< 2%"


@given(
    st.decimals(0, 50, places=2),
    st.sampled_from(["0.9", "0.95", "0.975"]),
    st.integers(2, 10_000),
)
def test_every_delta_comes_back(limit, confidence: str, pairs: int):
    text = f"delta(slippage_bps) <= {limit}bps by sequence({confidence}), pairs >= {pairs}"
    rule = parse_safety(text)
    assert isinstance(rule, DeltaRule)
    assert parse_safety(str(rule)) == rule
    assert rule.limit_bps == float(limit)


WRONG_ACCEPT = {
    "delta(pnl_bps) >= 0.2bps by sequence(0.975), pairs >= 24": (7, "is of net_bps, found pnl_bps"),
    "delta(net_bps) <= 0.2bps by sequence(0.975), pairs >= 24": (16, "expected >= for delta(net_bps)"),
    "delta(net_bps) >= 0.2% by sequence(0.975), pairs >= 24": (19, "is a bps: expected"),
    "delta(net_bps) >= 0.2bps by sequence(97.5), pairs >= 24": (38, "expected a confidence above 0.5"),
    "delta(net_bps) >= 0.2bps by test(0.975), pairs >= 24": (29, "expected `sequence`, found 'test'"),
    "delta(net_bps) >= 0.2bps by sequence(0.975)": (44, "expected ',', found the end"),
    "delta(net_bps) >= 0.2bps by sequence(0.975), pairs >= 1": (55, "expected at least 2 pairs"),
    "delta(net_bps) >= 0.2bps by sequence(0.975), pairs >= 24 or so": (58, "expected the end"),
    "delta(net_bps) >= 0bps by sequence(0.975), pairs >= 24": (16, "for a gain above 0"),
    "net_bps >= 0.2bps": (1, "expected `delta`, found 'net_bps'"),
}


@pytest.mark.parametrize("text", WRONG_ACCEPT)
def test_what_cannot_be_accepted_by_is_refused_at_its_place(text: str):
    column, message = WRONG_ACCEPT[text]
    with pytest.raises(GateError) as caught:
        parse_accept(text)
    assert message in caught.value.message
    assert caught.value.place.column == column


WRONG_SAFETY = {
    "A.taker_share[1h] <= 9%": (1, "or B. and a metric, found 'A'"),
    "B.net_bps[1h] >= 0bps": (3, "cannot be measured in a window"),
    "B.taker_share <= 9%": (15, "expected a window such as [5m]"),
    "B.taker_share[1h] == 9%": (19, "a rule that watches has a direction"),
    "B.taker_share[1h] <= 9% clear 10%": (31, "a clear level lies below"),
    "B.taker_share[1h] <= 9%, fast [10m] <= 8%": (31, "expected a limit above"),
    "regress(fetch_md.p95) <= 10%": (9, "is of tick_total.p95, found fetch_md.p95"),
    "regress(tick_total.p95) >= 10%": (25, "expected <= and a limit above 0 in %"),
    "delta(net_bps) <= 0bps by sequence(0.975), pairs >= 24": (7, "is of slippage_bps"),
    "taker_share[1h] <= 9%": (1, "found 'taker_share'"),
}


@pytest.mark.parametrize("text", WRONG_SAFETY)
def test_what_cannot_keep_safe_is_refused_at_its_place(text: str):
    column, message = WRONG_SAFETY[text]
    with pytest.raises(GateError) as caught:
        parse_safety(text)
    assert message in caught.value.message
    assert caught.value.place.column == column


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("safety:", "require:", "`accept` judges an experiment, `require` a run"),
        ("accept:", "warn:", "`safety` judges an experiment, `warn` a run"),
        ("safety:\n", "#\n", "an experiment is accepted by one rule"),
        ("  - delta(net", "  - delta(slippage_bps) <= 0bps\n  - delta(net", "accepted by one rule"),
    ],
)
def test_a_gate_is_of_an_experiment_or_of_a_run(old: str, new: str, message: str):
    text = GATE.read_text()
    assert old in text
    with pytest.raises(GateError) as caught:
        parse_gate(text.replace(old, new), file="ab.yaml", name="ab")
    assert message in caught.value.message or "missing safety" in caught.value.message
