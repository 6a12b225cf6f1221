"""The gate language: one line is one rule, readable aloud.

    rule     := metric [ "{" "symbol" "=" string "}" ] op limit
    metric   := name ("." name)*
    op       := ">=" | "<=" | ">" | "<" | "=="
    limit    := number [ unit ]            ns us ms s m h | % | bps | MB

Decided: an own scanner and no `eval`; a limit without the unit of its metric's dimension is an error, never a
guess; `parse_rule(str(rule)) == rule`. Windows `[5m]`, holds `for 10m`, arms `B.` and functions `delta(...)`
have their own place in this grammar (after the metric, after the limit, before the metric, around it); a text
that uses them is refused by name, because a rule that is read but not honoured would be a gate that cannot
fail.
"""

import difflib
import re
from dataclasses import dataclass
from decimal import Decimal

from pytest_mmgates.errors import GateError, Place
from pytest_mmgates.metrics import METRICS, Metric
from pytest_mmgates.units import UNITS, Dimension, Quantity

_TOKEN = re.compile(
    r"""(?P<space>[ \t]+)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<number>-?[0-9]+(?:\.[0-9]+)?)
      | (?P<op>>=|<=|==|>|<)
      | (?P<string>"[^"\r\n]*")
      | (?P<sign>[.{}=\[\](),%])
    """,
    re.VERBOSE,
)
_LONGEST_NUMBER = 24
_ARM = re.compile("[A-Z]")
_TAIL_WORDS = ("for", "by", "over")


@dataclass(frozen=True, slots=True)
class Bound:
    """A comparison with a limit."""

    op: str
    limit: Quantity

    def __str__(self) -> str:
        return f"{self.op} {self.limit}"

    def holds(self, value: float, dimension: Dimension) -> bool:
        limit = self.limit.base(dimension)
        match self.op:
            case ">=":
                return value >= limit
            case "<=":
                return value <= limit
            case ">":
                return value > limit
            case "<":
                return value < limit
            case _:
                return value == limit


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a gate. `str()` is its canonical text."""

    metric: str
    symbol: str | None
    bound: Bound

    def __str__(self) -> str:
        selector = "" if self.symbol is None else f'{{symbol="{self.symbol}"}}'
        return f"{self.metric}{selector} {self.bound}"

    @property
    def definition(self) -> Metric:
        return METRICS[self.metric]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    offset: int

    @property
    def shown(self) -> str:
        return "the end of the rule" if self.kind == "end" else repr(self.text)


def parse_rule(text: str, place: Place | None = None) -> Rule:
    """The rule, or a GateError whose caret stands under the first character that cannot be read."""
    return _Parser(text, place or _inline(text)).rule()


def parse_bound(text: str, dimension: Dimension, place: Place | None = None) -> Bound:
    """A comparison alone, as evidence asks for it: `>= 60m`."""
    parser = _Parser(text, place or _inline(text))
    bound = parser.bound(dimension, "evidence")
    parser.end()
    return bound


def _inline(text: str) -> Place:
    return Place("<rule>", 1, 1, text)


class _Parser:
    """Recursive descent over a list of tokens; every refusal names what was expected and what was found."""

    def __init__(self, text: str, place: Place) -> None:
        self._place = place
        self._tokens = self._scan(text)
        self._next = 0

    def rule(self) -> Rule:
        metric = self._metric()
        symbol = self._selector(metric)
        self._refuse_window()
        bound = self.bound(metric.dimension, metric.name)
        self.end()
        return Rule(metric.name, symbol, bound)

    def bound(self, dimension: Dimension, subject: str) -> Bound:
        op = self._take("op", "a comparison (>= <= > < ==)")
        return Bound(op.text, self._limit(dimension, subject))

    def end(self) -> None:
        token = self._peek()
        if token.text in _TAIL_WORDS:
            raise self._error(
                f"{token.text!r} belongs to rules that watch or compare; a `require` rule ends here", token
            )
        if token.kind != "end":
            raise self._error(f"expected the end of the rule, found {token.shown}", token)

    def _metric(self) -> Metric:
        first = self._take("name", "the name of a metric")
        if self._peek().text == "(":
            raise self._error(
                f"{first.text}(...) compares arms or a baseline, which `require` rules cannot do", first
            )
        if _ARM.fullmatch(first.text) and self._peek().text == ".":
            raise self._error(f"{first.text}. names an arm, and `require` rules see a single one", first)
        parts = [first.text]
        while self._peek().text == ".":
            self._advance()
            parts.append(self._take("name", "a name after the dot").text)
        name = ".".join(parts)
        if name not in METRICS:
            raise self._error(f"unknown metric {name!r}{_suggestion(name)}", first)
        return METRICS[name]

    def _selector(self, metric: Metric) -> str | None:
        if self._peek().text != "{":
            return None
        brace = self._advance()
        label = self._take("name", "a label")
        if label.text != "symbol":
            raise self._error(f"unknown label {label.text!r}: rules select by symbol", label)
        if not metric.per_symbol:
            raise self._error(
                f"{metric.name} belongs to the whole process and cannot be selected by symbol", brace
            )
        self._sign("=")
        symbol = self._take("string", 'a symbol in double quotes, as in "binance_spot:NEXOUSDT"')
        if symbol.text == '""':
            raise self._error("the symbol is empty", symbol)
        self._sign("}")
        return symbol.text[1:-1]

    def _refuse_window(self) -> None:
        if self._peek().text == "[":
            raise self._error(
                "a window such as [5m] belongs to `stop` rules; `require` judges the whole run", self._peek()
            )

    def _limit(self, dimension: Dimension, subject: str) -> Quantity:
        number = self._take("number", "a number")
        if len(number.text) > _LONGEST_NUMBER:
            raise self._error("the number is too long", number)
        unit = self._unit()
        if unit not in UNITS[dimension]:
            found = f"the unit {unit!r}" if unit else "no unit"
            raise self._error(
                f"{subject} is a {dimension}: expected {_units(dimension)}, found {found}", number
            )
        return Quantity(Decimal(number.text), unit)

    def _unit(self) -> str:
        token = self._peek()
        is_unit = token.text == "%" or (token.kind == "name" and token.text not in _TAIL_WORDS)
        return self._advance().text if is_unit else ""

    def _take(self, kind: str, expected: str) -> _Token:
        if self._peek().kind != kind:
            raise self._error(f"expected {expected}, found {self._peek().shown}", self._peek())
        return self._advance()

    def _sign(self, sign: str) -> None:
        if self._peek().text != sign:
            raise self._error(f"expected {sign!r}, found {self._peek().shown}", self._peek())
        self._advance()

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _advance(self) -> _Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def _error(self, message: str, token: _Token) -> GateError:
        return GateError(message, self._place.after(token.offset))

    def _scan(self, text: str) -> list[_Token]:
        tokens, at = [], 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise GateError(f"unexpected character {text[at]!r}", self._place.after(at))
            if match.lastgroup is not None and match.lastgroup != "space":
                tokens.append(_Token(match.lastgroup, match[0], at))
            at = match.end()
        return [*tokens, _Token("end", "", len(text))]


def _units(dimension: Dimension) -> str:
    words = [unit or "no unit" for unit in UNITS[dimension]]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _suggestion(name: str) -> str:
    close = difflib.get_close_matches(name, METRICS, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
