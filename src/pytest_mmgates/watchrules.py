"""Rules that watch a run while it plays: the lines of `stop` and `warn`.

    rule      := metric [selector] condition ["," "no_data" policy] ["," "fast" condition]
    condition := "[" window "]" op limit ["for" hold] ["clear" level] ["," "n" ">=" count]
    policy    := "fire" time | "wait"

    deadline_miss.ratio[5m] > 5% for 10m clear 4%, n >= 300, no_data fire 5m, fast [2m] > 15% for 1m, n >= 120

The metric is measured over the last `window`, every 10 seconds, from when the window is full. The rule fires
when the comparison has been true for `hold`; it begins anew once the value is at `clear` or better; between
the two the time stands still. A value of fewer than `n` observations is no value: the time stands still too,
and never starts anew by it. After `no_data fire 5m` (the default) without a value the rule fires; with
`no_data wait` it waits for ever. `fast` is a second condition on the same metric, for what is so bad that it
must not last as long.

Decided: as in `require`, no unit is guessed, and what would be read but not honoured is refused: a window or
hold off the 10-second grid, a clear level on the wrong side, a fast twin that is easier to meet than the
rule, a metric that no window can measure. `parse_watch_rule(str(rule)) == rule`.
"""

from dataclasses import dataclass
from decimal import Decimal

from pytest_mmgates.errors import Place
from pytest_mmgates.grammar import Bound, Reader, Token, selector_text
from pytest_mmgates.metrics import METRICS
from pytest_mmgates.metrics.windowed import COMPARED, WINDOWED, Windowed
from pytest_mmgates.units import UNITS, Dimension, Quantity

STEP_NS = 10_000_000_000
"""A watch looks this often; windows and holds are multiples of it."""
LONGEST_NS = 24 * 3_600_000_000_000
NO_DATA_FIRES = Quantity(Decimal(5), "m")


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison over a window that has to last. `clear` None: the limit itself."""

    window: Quantity
    bound: Bound
    hold: Quantity | None = None
    clear: Quantity | None = None
    least: int = 1

    def __str__(self) -> str:
        hold = "" if self.hold is None else f" for {self.hold}"
        clear = "" if self.clear is None else f" clear {self.clear}"
        least = "" if self.least == 1 else f", n >= {self.least}"
        return f"[{self.window}] {self.bound}{hold}{clear}{least}"

    @property
    def above(self) -> bool:
        """Whether larger values are worse."""
        return self.bound.op in (">", ">=")

    @property
    def window_ns(self) -> int:
        return _ns(self.window)

    @property
    def hold_ns(self) -> int:
        return 0 if self.hold is None else _ns(self.hold)

    def is_cleared(self, value: float, dimension: Dimension) -> bool:
        """Whether the value is as good as it takes to begin anew."""
        level = (self.clear or self.bound.limit).base(dimension)
        return value <= level if self.above else value >= level


@dataclass(frozen=True, slots=True)
class WatchRule:
    """One line. `no_data`: how long without a value until it fires, None = it waits."""

    metric: str
    symbol: str | None
    slow: Condition
    no_data: Quantity | None = NO_DATA_FIRES
    fast: Condition | None = None

    def __str__(self) -> str:
        policy = "wait" if self.no_data is None else f"fire {self.no_data}"
        no_data = "" if self.no_data == NO_DATA_FIRES else f", no_data {policy}"
        fast = "" if self.fast is None else f", fast {self.fast}"
        return f"{self.subject}{self.slow}{no_data}{fast}"

    @property
    def subject(self) -> str:
        return f"{self.metric}{selector_text(self.symbol)}"

    @property
    def bound(self) -> Bound:
        return self.slow.bound

    @property
    def above(self) -> bool:
        return self.slow.above

    @property
    def dimension(self) -> Dimension:
        return dimension_of(self.metric)

    @property
    def windowed(self) -> Windowed:
        return windowed_of(self.metric)

    @property
    def no_data_ns(self) -> int | None:
        return None if self.no_data is None else _ns(self.no_data)


def dimension_of(name: str) -> Dimension:
    """Of what can be watched."""
    return Dimension.RATIO if name in COMPARED else METRICS[name].dimension


def windowed_of(name: str) -> Windowed:
    return COMPARED[name] if name in COMPARED else WINDOWED[name]


def parse_watch_rule(text: str, place: Place | None = None) -> WatchRule:
    """The rule, or a GateError."""
    reader = Reader(text, place)
    rule = read_watch_rule(reader)
    reader.end()
    return rule


def read_watch_rule(reader: Reader, *, healthy: bool = False) -> WatchRule:
    """The rule that the reader stands before. `healthy`: its comparisons say what has to hold, and the rule
    fires when they do not.
    """
    name, first = reader.name(METRICS)
    if name not in WINDOWED:
        raise reader.error(f"{name} cannot be measured in a window: expected {', '.join(WINDOWED)}", first)
    symbol = reader.selector(name, per_symbol=METRICS[name].per_symbol)
    return read_conditions(reader, name, symbol, healthy=healthy)


def read_conditions(reader: Reader, name: str, symbol: str | None = None, *, healthy: bool) -> WatchRule:
    """What comes after the name of a metric."""
    slow = _condition(reader, name, healthy=healthy)
    no_data = _policy(reader) if _clause(reader, "no_data") else NO_DATA_FIRES
    fast = _twin(reader, name, slow, healthy=healthy) if _clause(reader, "fast") else None
    return WatchRule(name, symbol, slow, no_data, fast)


def _condition(reader: Reader, name: str, *, healthy: bool) -> Condition:
    window = _window(reader, name)
    at, bound = reader.peek(), reader.bound(dimension_of(name), name)
    if bound.op == "==":
        raise reader.error("a rule that watches has a direction: expected > >= < or <=, found ==", at)
    bound = bound.opposite if healthy else bound
    hold = _time(reader, "a hold", STEP_NS) if reader.accept("for") else None
    clear = _clear(reader, name, bound) if reader.accept("clear") else None
    least = _least(reader) if _clause(reader, "n") else 1
    return Condition(window, bound, hold, clear, least)


def _window(reader: Reader, name: str) -> Quantity:
    if reader.peek().text != "[":
        raise reader.error(
            f"expected a window such as [5m] after the metric, found {reader.peek().shown}", reader.peek()
        )
    reader.advance()
    window = _time(reader, f"a window of {name}", windowed_of(name).grid_ns)
    reader.sign("]")
    return window


def _time(reader: Reader, subject: str, grid_ns: int) -> Quantity:
    at = reader.peek()
    time = reader.quantity(Dimension.TIME, subject)
    exact = time.number * UNITS[Dimension.TIME][time.unit]
    if exact % grid_ns or not 0 < exact <= LONGEST_NS:
        raise reader.error(f"{subject} is a multiple of {_words(grid_ns)}, at most 24h: found {time}", at)
    return time


def _clear(reader: Reader, name: str, bound: Bound) -> Quantity:
    at, dimension = reader.peek(), dimension_of(name)
    level = reader.quantity(dimension, f"the clear level of {name}")
    side = "below" if bound.op in (">", ">=") else "above"
    if not _is_beyond(level, bound.limit, dimension, above=side == "above"):
        raise reader.error(f"a clear level lies {side} the limit {bound.limit}: found {level}", at)
    return level


def _least(reader: Reader) -> int:
    reader.sign(">=")
    number = reader.take("number", "a number of observations")
    if not number.text.isdigit() or len(number.text) > 12 or int(number.text) < 1:  # noqa: PLR2004 - no run has more
        raise reader.error(f"expected a whole number of observations, found {number.shown}", number)
    return int(number.text)


def _policy(reader: Reader) -> Quantity | None:
    word = reader.take("name", "`fire` and a time, or `wait`")
    if word.text == "wait":
        return None
    if word.text != "fire":
        raise reader.error(f"expected `fire` and a time, or `wait`, found {word.shown}", word)
    return _time(reader, "a time without data", STEP_NS)


def _twin(reader: Reader, name: str, slow: Condition, *, healthy: bool) -> Condition:
    first = reader.peek()
    fast = _condition(reader, name, healthy=healthy)
    beyond = _is_beyond(fast.bound.limit, slow.bound.limit, dimension_of(name), above=slow.above)
    if fast.above is not slow.above or not beyond:
        side = "above" if slow.above else "below"
        raise reader.error(f"a fast twin asks for worse than {slow.bound}: expected a limit {side}", first)
    return fast


def _clause(reader: Reader, word: str) -> Token | None:
    """The word after a comma, if that is what comes next."""
    if reader.peek().text != "," or reader.after_next().text != word:
        return None
    reader.advance()
    return reader.advance()


def _is_beyond(one: Quantity, other: Quantity, dimension: Dimension, *, above: bool) -> bool:
    first, second = one.base(dimension), other.base(dimension)
    return first > second if above else first < second


def _ns(time: Quantity) -> int:
    return int(time.number * UNITS[Dimension.TIME][time.unit])


def _words(ns: int) -> str:
    seconds = ns // 1_000_000_000
    return f"{seconds // 60}m" if seconds % 60 == 0 else f"{seconds}s"
