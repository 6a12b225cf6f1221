"""The language of rules that watch."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mmgates.errors import GateError
from pytest_mmgates.gatefile import read_gate
from pytest_mmgates.grammar import Bound
from pytest_mmgates.metrics import METRICS
from pytest_mmgates.metrics.windowed import WINDOWED
from pytest_mmgates.units import UNITS, Quantity
from pytest_mmgates.watchrules import LONGEST_NS, NO_DATA_FIRES, Condition, WatchRule, parse_watch_rule

GATES = Path(__file__).parents[2] / "gates"
DEADLINE = "deadline_miss.ratio[5m] > 5% for 10m clear 4%, n >= 300, fast [2m] > 15% for 1m, n >= 120"


def times(grid_ns=10_000_000_000):
    """Multiples of the grid in any unit that writes them whole."""
    seconds = grid_ns // 1_000_000_000
    counts = st.integers(1, LONGEST_NS // grid_ns)
    return counts.map(lambda count: Quantity(Decimal(count * seconds), "s"))


@st.composite
def conditions(draw, metric, op, worse):
    """`worse` is added to the limit, towards the wrong side."""
    unit = draw(st.sampled_from(sorted(UNITS[METRICS[metric].dimension])))
    limit = draw(st.integers(-(10**6), 10**6)) + worse
    side = 1 if op.startswith(">") else -1
    clear = draw(st.none() | st.integers(1, 10**6))
    return Condition(
        window=draw(times(WINDOWED[metric].grid_ns)),
        bound=Bound(op, Quantity(Decimal(limit), unit)),
        hold=draw(st.none() | times()),
        clear=None if clear is None else Quantity(Decimal(limit - side * clear), unit),
        least=draw(st.integers(1, 10**12 - 1)),
    )


@st.composite
def watch_rules(draw):
    metric = draw(st.sampled_from(sorted(WINDOWED)))
    op = draw(st.sampled_from([">", ">=", "<", "<="]))
    slow = draw(conditions(metric, op, 0))
    far = 10**12 if op.startswith(">") else -(10**12)
    fast = draw(st.none() | conditions(metric, op, far))
    if fast is not None:  # in one unit, so that the twin is the farther one
        fast = Condition(
            fast.window, Bound(op, Quantity(fast.bound.limit.number, slow.bound.limit.unit)), fast.hold
        )
    symbol = draw(st.none() | st.from_regex(r"[a-z_]{1,8}:[A-Z0-9._\-]{1,12}", fullmatch=True))
    return WatchRule(
        metric, symbol if METRICS[metric].per_symbol else None, slow, draw(st.none() | times()), fast
    )


@given(watch_rules())
def test_printing_a_rule_and_parsing_it_gives_the_rule(rule):
    assert parse_watch_rule(str(rule)) == rule
    assert str(parse_watch_rule(str(rule))) == str(rule)


@given(watch_rules(), st.integers(0, 140), st.text(max_size=3))
def test_a_damaged_rule_is_a_rule_or_one_gate_error(rule, at, junk):
    text = str(rule)
    try:
        damaged = parse_watch_rule(text[:at] + junk + text[at + 1 :])
    except GateError:
        return
    assert parse_watch_rule(str(damaged)) == damaged


@given(st.text(alphabet='abcdefmnoprst_. {}"=<>[](),%0123456789-/', max_size=80))
def test_any_text_that_is_no_rule_is_one_gate_error(text):
    with pytest.raises(GateError):
        parse_watch_rule(f"{text}!")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("deadline_miss.ratio[5m]>5% for 10m clear 4%", "deadline_miss.ratio[5m] > 5% for 10m clear 4%"),
        (DEADLINE, DEADLINE),
        ("md_cache.hit_ratio[300s] < 0.5, n >= 1", "md_cache.hit_ratio[300s] < 0.5"),
        ("taker_share[1h] > 15%, no_data wait", "taker_share[1h] > 15%, no_data wait"),
        ("taker_share[1h] > 15%, no_data fire 5m", "taker_share[1h] > 15%"),
        ("memory.slope[2h] > 100.0 MB/h, n >= 10", "memory.slope[2h] > 100MB/h, n >= 10"),
        ("breaker.open_time[6m] > 5m clear 1m", "breaker.open_time[6m] > 5m clear 1m"),
        (
            'taker_share { symbol = "a:B" } [1h] > 15%',
            'taker_share{symbol="a:B"}[1h] > 15%',
        ),
    ],
)
def test_rules_have_one_canonical_text(text, canonical):
    assert str(parse_watch_rule(text)) == canonical


def test_what_a_rule_leaves_out_is_what_the_guide_says():
    rule = parse_watch_rule("deadline_miss.ratio[5m] > 5%")
    assert rule.no_data == NO_DATA_FIRES == Quantity(Decimal(5), "m")
    assert rule.slow == Condition(Quantity(Decimal(5), "m"), Bound(">", Quantity(Decimal(5), "%")))
    assert (rule.slow.hold_ns, rule.slow.least, rule.fast) == (0, 1, None)


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("deadline_miss.ratio > 5%", 21, "expected a window such as [5m] after the metric, found '>'"),
        ("deadline_mis.ratio[5m] > 5%", 1, "did you mean 'deadline_miss.ratio'?"),
        ("fetch_md.p95[5m] > 35ms", 1, "fetch_md.p95 cannot be measured in a window: expected deadline_"),
        ("deadline_miss.ratio[5] > 5%", 21, "expected ns, us, ms, s, m or h, found no unit"),
        ("deadline_miss.ratio[5m > 5%", 24, "expected ']'"),
        ("deadline_miss.ratio[15s] > 5%", 21, "is a multiple of 10s, at most 24h: found 15s"),
        ("deadline_miss.ratio[0m] > 5%", 21, "is a multiple of 10s"),
        ("deadline_miss.ratio[-5m] > 5%", 21, "is a multiple of 10s"),
        ("deadline_miss.ratio[25h] > 5%", 21, "at most 24h: found 25h"),
        ("memory.slope[65m] > 100MB/h", 14, "is a multiple of 10m"),
        ("memory.slope[2h] > 100MB", 20, "is a growth: expected MB/h, found the unit 'MB'"),
        ("memory.slope[2h] > 100MB/", 26, "expected a unit of time after the slash"),
        ('memory.slope{symbol="x"}[2h] > 1MB/h', 13, "belongs to the whole process"),
        ("deadline_miss.ratio[5m] == 5%", 25, "a rule that watches has a direction"),
        ("deadline_miss.ratio[5m] > 5ms", 27, "is a ratio"),
        ("deadline_miss.ratio[5m] > 5% for", 33, "expected a number"),
        ("deadline_miss.ratio[5m] > 5% for 7s", 34, "a hold is a multiple of 10s"),
        ("deadline_miss.ratio[5m] > 5% clear 6%", 36, "a clear level lies below the limit 5%: found 6%"),
        ("deadline_miss.ratio[5m] > 5% clear 5%", 36, "lies below"),
        ("md_cache.hit_ratio[5m] < 50% clear 45%", 36, "lies above the limit 50%: found 45%"),
        ("deadline_miss.ratio[5m] > 5% clear 4% for 10m", 39, "expected the end of the rule, found 'for'"),
        ("deadline_miss.ratio[5m] > 5%, n > 3", 33, "expected '>='"),
        ("deadline_miss.ratio[5m] > 5%, n >= 0", 36, "expected a whole number of observations, found '0'"),
        ("deadline_miss.ratio[5m] > 5%, n >= 2.5", 36, "expected a whole number of observations"),
        ("deadline_miss.ratio[5m] > 5%, no_data", 38, "expected `fire` and a time, or `wait`"),
        (
            "deadline_miss.ratio[5m] > 5%, no_data pass",
            39,
            "expected `fire` and a time, or `wait`, found 'pass'",
        ),
        ("deadline_miss.ratio[5m] > 5%, no_data fire 3s", 44, "a multiple of 10s"),
        (
            "deadline_miss.ratio[5m] > 5%, fast [2m] > 4%",
            36,
            "asks for worse than > 5%: expected a limit above",
        ),
        ("deadline_miss.ratio[5m] > 5%, fast [2m] < 15%", 36, "asks for worse than > 5%"),
        ("md_cache.hit_ratio[5m] < 50%, fast [2m] < 60%", 36, "expected a limit below"),
        ("deadline_miss.ratio[5m] > 5%, fast > 15%", 36, "expected a window"),
        ("deadline_miss.ratio[5m] > 5%, halt", 29, "expected the end of the rule, found ','"),
        ("deadline_miss.ratio[5m] > 5%, fast [2m] > 15%, no_data wait", 46, "expected the end of the rule"),
    ],
)
def test_what_cannot_be_honoured_is_named_at_its_column(text, column, message):
    with pytest.raises(GateError) as caught:
        parse_watch_rule(text)
    assert message in caught.value.message
    assert caught.value.place.column == column


@pytest.mark.parametrize("path", sorted(GATES.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_rules_stand_in_their_canonical_text(path):
    gate = read_gate(path)
    written = path.read_text()
    for rule in (*gate.stop, *gate.warn):
        assert f"  - {rule}\n" in written
