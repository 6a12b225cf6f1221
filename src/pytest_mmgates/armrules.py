"""Rules about the two arms of an experiment: the lines of `accept` and `safety`.

    accept := "delta" "(" "net_bps" ")" ">=" limit sequence
    safety := "delta" "(" "slippage_bps" ")" "<=" limit sequence
            | "regress" "(" "tick_total.p95" ")" ("<=" number "%" | watched)
            | "B" "." metric watched
    sequence := "by" "sequence" "(" confidence ")" "," "pairs" ">=" count
    watched  := window and all, as in a line of `stop`, but with the comparison that has to hold

    delta(net_bps) >= 0.2bps by sequence(0.975), pairs >= 24
    delta(slippage_bps) <= 0bps by sequence(0.975), pairs >= 24
    regress(tick_total.p95) <= 10%
    regress(tick_total.p95)[5m] <= 10% for 10m, n >= 300, no_data wait, fast [2m] <= 50% for 1m, n >= 120
    B.deadline_miss.ratio[3m] < 2% for 10m, n >= 150, fast [6m] < 4.5% for 1m, n >= 300

`delta` is B less A. `accept` is the rule of `pytest_mmgates.stats.acceptance`: estimate at the floor, and the
lower bound of a confidence sequence of one side above 0, not before so many pairs. A `delta` of `safety` is
broken when the sequence says that B is worse than the limit: the lower bound is above it. `B.` is watched
while the experiment runs, absolute: it is broken when the comparison has *not* held for so long, and what
`clear` and `fast` mean is as in `stop`. `regress` holds B's p95 against A's, each over its own ticks, at the
end; with a window also while a live stage runs, against what A's was at the beginning.

Decided: a rule of safety says what has to hold, as people say it; `violation` is the same as a `stop` rule,
for whoever watches. `parse_accept(str(rule)) == rule`, `parse_safety(str(rule)) == rule`.
"""

from dataclasses import dataclass, replace

from pytest_mmgates.errors import Place
from pytest_mmgates.grammar import Bound, Reader
from pytest_mmgates.metrics.windowed import SLOWER
from pytest_mmgates.units import Dimension
from pytest_mmgates.watchrules import Condition, WatchRule, read_conditions, read_watch_rule

ACCEPTED = "net_bps"
HARMED = "slippage_bps"
SLOWED = "tick_total.p95"
CANDIDATE = "B"
_FEWEST = 2


@dataclass(frozen=True, slots=True)
class DeltaRule:
    """A difference of the arms, B less A, by a confidence sequence. `confidence`: of one side."""

    metric: str
    bound: Bound
    confidence: str
    pairs: int

    def __str__(self) -> str:
        return f"delta({self.metric}) {self.bound} by sequence({self.confidence}), pairs >= {self.pairs}"

    @property
    def limit_bps(self) -> float:
        return self.bound.limit.base(Dimension.BPS)

    @property
    def alpha(self) -> float:
        """Error of one side."""
        return 1 - float(self.confidence)


@dataclass(frozen=True, slots=True)
class SlowerRule:
    """How much slower than arm A arm B may be, at the p95 of a tick. `violation`: when it is, as a rule that
    watches a live stage.
    """

    bound: Bound
    violation: WatchRule | None = None
    metric: str = SLOWED

    def __str__(self) -> str:
        return f"{SLOWER} {self.bound}" if self.violation is None else str(_turned(self.violation))

    @property
    def limit(self) -> float:
        """As a share: 0.1 for 10%."""
        return self.bound.limit.base(Dimension.RATIO)


@dataclass(frozen=True, slots=True)
class CandidateRule:
    """What has to hold of arm B while it quotes. `violation`: when it does not, as a rule that watches."""

    violation: WatchRule

    def __str__(self) -> str:
        return f"{CANDIDATE}.{_turned(self.violation)}"

    @property
    def bound(self) -> Bound:
        """What has to hold."""
        return _turned(self.violation).bound

    @property
    def metric(self) -> str:
        return self.violation.metric


SafetyRule = DeltaRule | SlowerRule | CandidateRule


def parse_accept(text: str, place: Place | None = None) -> DeltaRule:
    """The rule, or a GateError."""
    reader = Reader(text, place)
    rule = _delta(reader, ACCEPTED, ">=")
    reader.end()
    return rule


def parse_safety(text: str, place: Place | None = None) -> SafetyRule:
    """The rule, or a GateError."""
    reader = Reader(text, place)
    first = reader.peek()
    rule: SafetyRule
    if first.text == "delta":
        rule = _delta(reader, HARMED, "<=")
    elif first.text == "regress":
        rule = _slower(reader)
    elif reader.after_next().text == "." and first.text == CANDIDATE:
        reader.advance()
        reader.sign(".")
        rule = _candidate(reader)
    else:
        raise reader.error(
            f"expected delta({HARMED}), regress({SLOWED}) or {CANDIDATE}. and a metric, found {first.shown}",
            first,
        )
    reader.end()
    return rule


def _delta(reader: Reader, metric: str, op: str) -> DeltaRule:
    _call(reader, "delta", metric)
    at, bound = reader.peek(), reader.bound(Dimension.BPS, f"delta({metric})")
    if bound.op != op:
        raise reader.error(f"expected {op} for delta({metric}), found {bound.op}", at)
    if metric == ACCEPTED and bound.limit.number <= 0:
        raise reader.error(f"an experiment is accepted for a gain above 0, found {bound.limit}", at)
    _word(reader, "by")
    _word(reader, "sequence")
    reader.sign("(")
    confidence = reader.take("number", "a confidence, such as 0.975")
    if not 0.5 < float(confidence.text) < 1:  # noqa: PLR2004 - of one side
        raise reader.error(
            f"expected a confidence above 0.5 and below 1, found {confidence.shown}", confidence
        )
    reader.sign(")")
    reader.sign(",")
    _word(reader, "pairs")
    reader.sign(">=")
    number = reader.take("number", "a number of pairs")
    if not number.text.isdigit() or int(number.text) < _FEWEST:
        raise reader.error(f"expected at least {_FEWEST} pairs, found {number.shown}", number)
    return DeltaRule(metric, bound, confidence.text, int(number.text))


def _slower(reader: Reader) -> SlowerRule:
    _call(reader, "regress", SLOWED)
    at, violation = reader.peek(), None
    if at.text == "[":
        violation = read_conditions(reader, SLOWER, healthy=True)
        bound = violation.bound.opposite
    else:
        bound = reader.bound(Dimension.RATIO, SLOWER)
    if bound.op != "<=" or bound.limit.unit != "%" or bound.limit.number <= 0:
        raise reader.error(f"expected <= and a limit above 0 in %, found {bound}", at)
    return SlowerRule(bound, violation)


def _call(reader: Reader, function: str, metric: str) -> None:
    """`function(metric)`: what can be compared is one metric of each function."""
    _word(reader, function)
    reader.sign("(")
    name, first = reader.dotted()
    if name != metric:
        raise reader.error(f"{function}(...) here is of {metric}, found {name}", first)
    reader.sign(")")


def _word(reader: Reader, word: str) -> None:
    found = reader.take("name", f"`{word}`")
    if found.text != word:
        raise reader.error(f"expected `{word}`, found {found.shown}", found)


def _candidate(reader: Reader) -> CandidateRule:
    return CandidateRule(read_watch_rule(reader, healthy=True))


def _turned(rule: WatchRule) -> WatchRule:
    """With each comparison turned around."""
    fast = None if rule.fast is None else _turned_condition(rule.fast)
    return replace(rule, slow=_turned_condition(rule.slow), fast=fast)


def _turned_condition(condition: Condition) -> Condition:
    return replace(condition, bound=condition.bound.opposite)
