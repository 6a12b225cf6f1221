"""What a sweep varies: settings, their values as written on the command line, and every combination of them.

    spread.base_bps=0.8:1.6:0.2         a range: from, to and step, both ends in it
    spread.model=adaptive,glft          a list

Steps are added as decimals, so that 0.8:1.6:0.2 has five values and 1.4 is 1.4. A range that does not end on
a step, an empty one and a value that comes twice are mistakes. What trades nothing (telemetry, alerts, trace)
is not varied. A value is of the type that the setting has; what its range and the rest of the configuration
make of it is told for each point alone.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import product
from math import prod
from typing import Any

import msgspec

from mmbot.config.settings import Settings, leaves
from mmbot.config.strict_yaml import Document, KeyPath
from mmbot.errors import ConfigError

Value = bool | int | float | str
MOST_POINTS = 2_000
_TRADES_NOTHING = ("telemetry", "alerts", "trace")
_RANGE_PARTS = 3
_MOST_DIGITS = 15
"""On either side of the point: more than a float tells apart."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A setting and its values, in the order written."""

    key: str
    values: tuple[Value, ...]

    @property
    def is_scale(self) -> bool:
        """Whether its values are numbers."""
        return not any(isinstance(value, bool | str) for value in self.values)


@dataclass(frozen=True, slots=True)
class Point:
    """One combination: setting -> value."""

    values: Mapping[str, Value]

    @property
    def label(self) -> str:
        """`spread.base_bps=1.2 guards.enabled=false`."""
        return " ".join(f"{key}={text(value)}" for key, value in self.values.items())

    @property
    def overlay(self) -> Document:
        """It has the last word over every file."""
        data: dict[str, Any] = {}
        origins: dict[KeyPath, str] = {(): "--set"}
        for key, value in self.values.items():
            *above, last = path = key.split(".")
            section = data
            for name in above:
                section = section.setdefault(name, {})
            section[last] = value
            origins[tuple(path)] = f"--set {key}={text(value)}"
        return Document(data, origins, "--set")


def text(value: Value) -> str:
    """As YAML writes it."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def parse_axes(options: Sequence[str], document: Document, settings: Settings) -> list[Axis]:
    """Of `PATH=VALUES` each. `document` is the configuration in force, `settings` what it stands for. Raises
    ConfigError.
    """
    known = leaves(msgspec.to_builtins(settings))
    axes = [_axis(option, known) for option in options]
    if not axes:
        raise ConfigError("--set: was not given, expected PATH=FROM:TO:STEP or PATH=a,b,c")
    keys = [axis.key for axis in axes]
    for key in keys:
        if keys.count(key) > 1:
            raise ConfigError(f"--set {key}: was given twice, expected once")
    count = prod(len(axis.values) for axis in axes)
    if count > MOST_POINTS:
        sizes = " x ".join(str(len(axis.values)) for axis in axes)
        raise ConfigError(f"--set: makes {sizes} = {count} points, expected {MOST_POINTS} at most")
    for axis in axes:
        for value in axis.values:
            document.overlaid(Point({axis.key: value}).overlay).convert(Settings)
    return axes


def points(axes: Sequence[Axis]) -> list[Point]:
    """Every combination, the last axis fastest."""
    keys = [axis.key for axis in axes]
    return [
        Point(dict(zip(keys, values, strict=True))) for values in product(*(axis.values for axis in axes))
    ]


def _axis(option: str, known: Mapping[str, Any]) -> Axis:
    key, equals, written = option.partition("=")
    if not equals or not written:
        raise ConfigError(f"--set: was {option!r}, expected PATH=FROM:TO:STEP or PATH=a,b,c")
    if key not in known:
        raise ConfigError(f"--set {key}: {_unknown(key, known)}")
    if key.partition(".")[0] in _TRADES_NOTHING:
        raise ConfigError(f"--set {key}: changes no order, expected a setting that does")
    example = known[key]
    if ":" in written and not isinstance(example, bool | str):
        values = _range(key, written, example)
    else:
        values = [_value(key, one, example) for one in written.split(",")]
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise ConfigError(f"--set {key}: {text(twice)} was written twice, expected once")
    return Axis(key, tuple(values))


def _unknown(key: str, known: Mapping[str, Any]) -> str:
    below = [name for name in known if name.startswith(f"{key}.")]
    if below:
        return f"was a section, expected one of {', '.join(below)}"
    close = difflib.get_close_matches(key, known, n=3)
    hint = f"; close to it: {', '.join(close)}" if close else ""
    return f"no such setting{hint} (`mmbot config show` lists all)"


def _range(key: str, written: str, example: Any) -> list[Value]:
    """Raises ConfigError for one that is empty, or does not end on a step."""
    parts = written.split(":")
    if len(parts) != _RANGE_PARTS:
        raise ConfigError(f"--set {key}: was {written!r}, expected FROM:TO:STEP")
    first, last, step = (_decimal(key, part) for part in parts)
    if step <= 0:
        raise ConfigError(f"--set {key}: step was {step}, expected more than 0")
    if first > last:
        raise ConfigError(f"--set {key}: was from {first} to {last}, expected FROM at most TO")
    steps, rest = divmod(last - first, step)
    if steps >= MOST_POINTS:
        raise ConfigError(f"--set {key}: has {steps + 1:f} values, expected {MOST_POINTS} at most")
    if rest:
        ends = f"{first + steps * step} or {first + (steps + 1) * step}"
        raise ConfigError(f"--set {key}: {last} is no whole number of steps from {first}, expected {ends}")
    return [_number(key, first + number * step, example) for number in range(int(steps) + 1)]


def _value(key: str, written: str, example: Any) -> Value:
    """Of the type that the setting has."""
    if isinstance(example, bool):
        if written not in ("true", "false"):
            raise ConfigError(f"--set {key}: was {written!r}, expected true or false")
        return written == "true"
    if isinstance(example, str):
        return written
    return _number(key, _decimal(key, written), example)


def _decimal(key: str, written: str) -> Decimal:
    try:
        number = Decimal(written)
    except InvalidOperation as error:
        raise ConfigError(f"--set {key}: was {written!r}, expected a number") from error
    if not number.is_finite():
        raise ConfigError(f"--set {key}: was {written}, expected a finite number")
    if number.adjusted() > _MOST_DIGITS or -int(number.as_tuple().exponent) > _MOST_DIGITS:
        raise ConfigError(f"--set {key}: was {written}, expected {_MOST_DIGITS} digits at most")
    return number


def _number(key: str, number: Decimal, example: Any) -> Value:
    if not isinstance(example, int):
        return float(number)
    if number != int(number):
        raise ConfigError(f"--set {key}: was {number}, expected a whole number")
    return int(number)
