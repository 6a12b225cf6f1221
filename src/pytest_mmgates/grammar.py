"""Tokens of the gate language, and what every kind of rule is made of: metric, selector, limit.

An own scanner and no `eval`. Every refusal is a GateError whose caret stands under the first character that
cannot be read, and says what was expected and what was found.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from pytest_mmgates.errors import GateError, Place
from pytest_mmgates.units import UNITS, Dimension, Quantity

_TOKEN = re.compile(
    r"""(?P<space>[ \t]+)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<number>-?[0-9]+(?:\.[0-9]+)?)
      | (?P<op>>=|<=|==|>|<)
      | (?P<string>"[^"\r\n]*")
      | (?P<sign>[.{}=\[\](),%/])
    """,
    re.VERBOSE,
)
_LONGEST_NUMBER = 24
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
KEYWORDS = ("for", "clear", "no_data", "fast", "by", "over")
"""Names that never are a unit: a limit may stand before them."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A comparison with a limit."""

    op: str
    limit: Quantity

    def __str__(self) -> str:
        return f"{self.op} {self.limit}"

    @property
    def opposite(self) -> "Bound":
        """True where this one is not, of one with a direction."""
        return Bound(_OPPOSITE[self.op], self.limit)

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
class Token:
    kind: str
    text: str
    offset: int

    @property
    def shown(self) -> str:
        return "the end of the rule" if self.kind == "end" else repr(self.text)


class Reader:
    """A text as tokens, read from left to right."""

    def __init__(self, text: str, place: Place | None) -> None:
        self._place = place or Place("<rule>", 1, 1, text)
        self._tokens = self._scan(text)
        self._next = 0

    def peek(self) -> Token:
        return self._tokens[self._next]

    def after_next(self) -> Token:
        """The token after the next one, or the end."""
        return self._tokens[min(self._next + 1, len(self._tokens) - 1)]

    def advance(self) -> Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def take(self, kind: str, expected: str) -> Token:
        if self.peek().kind != kind:
            raise self.error(f"expected {expected}, found {self.peek().shown}", self.peek())
        return self.advance()

    def sign(self, sign: str) -> Token:
        if self.peek().text != sign:
            raise self.error(f"expected {sign!r}, found {self.peek().shown}", self.peek())
        return self.advance()

    def accept(self, text: str) -> Token | None:
        """The next token if it is this one."""
        return self.advance() if self.peek().text == text else None

    def end(self) -> None:
        if self.peek().kind != "end":
            raise self.error(f"expected the end of the rule, found {self.peek().shown}", self.peek())

    def error(self, message: str, token: Token) -> GateError:
        return GateError(message, self._place.after(token.offset))

    def name(self, known: Mapping[str, object]) -> tuple[str, Token]:
        """A dotted name that is among those known, and where it begins."""
        name, first = self.dotted()
        if name not in known:
            raise self.error(f"unknown metric {name!r}{_suggestion(name, known)}", first)
        return name, first

    def dotted(self) -> tuple[str, Token]:
        """A dotted name, and where it begins."""
        first = self.take("name", "the name of a metric")
        parts = [first.text]
        while self.accept("."):
            parts.append(self.take("name", "a name after the dot").text)
        return ".".join(parts), first

    def selector(self, metric: str, *, per_symbol: bool) -> str | None:
        """The symbol that a rule selects, or None = all of them."""
        if self.peek().text != "{":
            return None
        brace = self.advance()
        label = self.take("name", "a label")
        if label.text != "symbol":
            raise self.error(f"unknown label {label.text!r}: rules select by symbol", label)
        if not per_symbol:
            raise self.error(f"{metric} belongs to the whole process and cannot be selected by symbol", brace)
        self.sign("=")
        symbol = self.take("string", 'a symbol in double quotes, as in "binance_spot:NEXOUSDT"')
        if symbol.text == '""':
            raise self.error("the symbol is empty", symbol)
        self.sign("}")
        return symbol.text[1:-1]

    def bound(self, dimension: Dimension, subject: str) -> Bound:
        op = self.take("op", "a comparison (>= <= > < ==)")
        return Bound(op.text, self.quantity(dimension, subject))

    def quantity(self, dimension: Dimension, subject: str) -> Quantity:
        """A number with a unit of the dimension."""
        number = self.take("number", "a number")
        if len(number.text) > _LONGEST_NUMBER:
            raise self.error("the number is too long", number)
        unit = self._unit()
        if unit not in UNITS[dimension]:
            found = f"the unit {unit!r}" if unit else "no unit"
            raise self.error(
                f"{subject} is a {dimension}: expected {_units(dimension)}, found {found}", number
            )
        return Quantity(Decimal(number.text), unit)

    def _unit(self) -> str:
        token = self.peek()
        if token.text != "%" and (token.kind != "name" or token.text in KEYWORDS):
            return ""
        unit = self.advance().text
        if not self.accept("/"):
            return unit
        return f"{unit}/{self.take('name', 'a unit of time after the slash').text}"

    def _scan(self, text: str) -> list[Token]:
        tokens, at = [], 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise GateError(f"unexpected character {text[at]!r}", self._place.after(at))
            if match.lastgroup is not None and match.lastgroup != "space":
                tokens.append(Token(match.lastgroup, match[0], at))
            at = match.end()
        return [*tokens, Token("end", "", len(text))]


def selector_text(symbol: str | None) -> str:
    return "" if symbol is None else f'{{symbol="{symbol}"}}'


def _units(dimension: Dimension) -> str:
    words = [unit or "no unit" for unit in UNITS[dimension]]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _suggestion(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
