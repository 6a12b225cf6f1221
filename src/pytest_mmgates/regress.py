"""Rules that hold a change against the locked baseline: the lines of `regress`.

    rule := "regress" "(" metric ")" "<=" number "%"
          | "same" "(" "decisions" ")"

    regress(fetch_md.p95) <= 3%
    same(decisions)

Both sides are played here, so no figure of another machine is compared with one of this. `metric` is the p95
of a stage or of `tick_total`: that is what is measured in pairs (`pytest_mmgates.perflab`). The limit is what
is surely caught, not what is surely tolerated: the line at which a stage fails lies below it.
`same(decisions)` asks for the same commands and fills, in the same order, to the last tick and lot.

Decided: nothing that would be read but not honoured is accepted: no other statistic, no other comparison, no
selector. `parse_baseline_rule(str(rule)) == rule`.
"""

from dataclasses import dataclass

from pytest_mmgates.errors import Place
from pytest_mmgates.grammar import Bound, Reader
from pytest_mmgates.tables import DURATIONS
from pytest_mmgates.units import Dimension

COMPARED = {f"{name}.p95": name for name in DURATIONS}
"""What can be compared, and the name of its stage."""
DECISIONS = "decisions"


@dataclass(frozen=True, slots=True)
class RegressRule:
    """How much slower than the baseline a p95 may be."""

    metric: str
    bound: Bound

    def __str__(self) -> str:
        return f"regress({self.metric}) {self.bound}"

    @property
    def stage(self) -> str:
        return COMPARED[self.metric]

    @property
    def limit(self) -> float:
        """As a share: 0.03 for 3%."""
        return self.bound.limit.base(Dimension.RATIO)


@dataclass(frozen=True, slots=True)
class SameRule:
    """That nothing which is decided may differ from the baseline."""

    metric: str = DECISIONS

    def __str__(self) -> str:
        return f"same({self.metric})"


BaselineRule = RegressRule | SameRule


def parse_baseline_rule(text: str, place: Place | None = None) -> BaselineRule:
    """The rule, or a GateError."""
    reader = Reader(text, place)
    function = reader.take("name", "`regress` or `same`")
    if function.text not in ("regress", "same"):
        raise reader.error(f"expected `regress` or `same`, found {function.shown}", function)
    reader.sign("(")
    rule = _regress(reader) if function.text == "regress" else _same(reader)
    reader.end()
    return rule


def _regress(reader: Reader) -> RegressRule:
    name, _ = reader.name(COMPARED)
    reader.sign(")")
    op = reader.peek()
    bound = reader.bound(Dimension.RATIO, f"regress({name})")
    if bound.op != "<=":
        raise reader.error(f"a regression has an upper limit: expected <=, found {bound.op}", op)
    if bound.limit.unit != "%" or bound.limit.number <= 0:
        raise reader.error(f"expected a limit above 0 in %, found {bound.limit}", op)
    return RegressRule(name, bound)


def _same(reader: Reader) -> SameRule:
    what = reader.take("name", f"`{DECISIONS}`")
    if what.text != DECISIONS:
        raise reader.error(f"expected `{DECISIONS}`, found {what.shown}", what)
    reader.sign(")")
    return SameRule()
