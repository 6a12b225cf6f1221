"""Rules about a whole run: the lines of `require`, one line a rule, readable aloud.

    rule     := metric [ "{" "symbol" "=" string "}" ] op limit
    metric   := name ("." name)*
    op       := ">=" | "<=" | ">" | "<" | "=="
    limit    := number [ unit ]            ns us ms s m h | % | bps | MB | MB/h

Decided: a limit without the unit of its metric's dimension is an error, never a guess; `parse_rule(str(rule))
== rule`. Windows `[5m]` and holds `for 10m` belong to rules that watch (`pytest_mmgates.watchrules`), arms
`B.` and functions `delta(...)` to rules that compare; a text that uses them here is refused by name, because
a rule that is read but not honoured would be a gate that cannot fail.
"""

import re
from dataclasses import dataclass

from pytest_mmgates.errors import Place
from pytest_mmgates.grammar import KEYWORDS, Bound, Reader, selector_text
from pytest_mmgates.metrics import METRICS, Metric
from pytest_mmgates.units import Dimension

_ARM = re.compile("[A-Z]")


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a gate. `str()` is its canonical text."""

    metric: str
    symbol: str | None
    bound: Bound

    def __str__(self) -> str:
        return f"{self.metric}{selector_text(self.symbol)} {self.bound}"

    @property
    def definition(self) -> Metric:
        return METRICS[self.metric]


def parse_rule(text: str, place: Place | None = None) -> Rule:
    """The rule, or a GateError."""
    reader = Reader(text, place)
    _refuse_comparison(reader)
    name, _ = reader.name(METRICS)
    metric = METRICS[name]
    symbol = reader.selector(name, per_symbol=metric.per_symbol)
    if reader.peek().text == "[":
        raise reader.error(
            "a window such as [5m] belongs to `stop` rules; `require` judges the whole run", reader.peek()
        )
    bound = reader.bound(metric.dimension, name)
    _end(reader)
    return Rule(name, symbol, bound)


def parse_bound(text: str, dimension: Dimension, place: Place | None = None) -> Bound:
    """A comparison alone, as evidence asks for it: `>= 60m`."""
    reader = Reader(text, place)
    bound = reader.bound(dimension, "evidence")
    _end(reader)
    return bound


def _refuse_comparison(reader: Reader) -> None:
    """Arms and functions, which stand before or around a metric."""
    first, second = reader.peek(), reader.after_next()
    if first.kind == "name" and second.text == "(":
        raise reader.error(
            f"{first.text}(...) compares arms or a baseline, which `require` rules cannot do", first
        )
    if _ARM.fullmatch(first.text) and second.text == ".":
        raise reader.error(f"{first.text}. names an arm, and `require` rules see a single one", first)


def _end(reader: Reader) -> None:
    token = reader.peek()
    if token.text in KEYWORDS:
        raise reader.error(
            f"{token.text!r} belongs to rules that watch or compare; a `require` rule ends here", token
        )
    reader.end()
