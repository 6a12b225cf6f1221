"""Dimensions, units, and numbers that wear them.

Inside, a time is in nanoseconds, a ratio is 0..1, bytes are bytes, growth is bytes an hour: one unit per
dimension, so that a rule and a measurement meet without conversion. A number in a gate text keeps the unit it
was written in. Decimals, so that 2% is 0.02 and printing returns what was read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
BPS = 10_000.0


class Dimension(StrEnum):
    """What kind of number a metric is. Two dimensions never compare."""

    TIME = "time"
    RATIO = "ratio"
    BPS = "bps"
    COUNT = "count"
    QUOTE = "quote"
    BYTES = "bytes"
    GROWTH = "growth"


UNITS: Mapping[Dimension, Mapping[str, Decimal]] = MappingProxyType(
    {
        Dimension.TIME: {
            "ns": Decimal(1),
            "us": Decimal(1_000),
            "ms": Decimal(NS_PER_MS),
            "s": Decimal(NS_PER_S),
            "m": Decimal(60 * NS_PER_S),
            "h": Decimal(3600 * NS_PER_S),
        },
        Dimension.RATIO: {"": Decimal(1), "%": Decimal("0.01")},
        Dimension.BPS: {"": Decimal(1), "bps": Decimal(1)},
        Dimension.COUNT: {"": Decimal(1)},
        Dimension.QUOTE: {"": Decimal(1)},
        Dimension.BYTES: {"MB": Decimal(1_000_000)},
        Dimension.GROWTH: {"MB/h": Decimal(1_000_000)},
    }
)

NATURAL_UNIT: Mapping[Dimension, str] = MappingProxyType(
    {
        Dimension.TIME: "ms",
        Dimension.RATIO: "",
        Dimension.BPS: "bps",
        Dimension.COUNT: "",
        Dimension.QUOTE: "",
        Dimension.BYTES: "MB",
        Dimension.GROWTH: "MB/h",
    }
)

_LONG = 10_000
_LARGEST_WHOLE = 10**15
_DURATION = re.compile(r"(?P<number>[0-9]{1,12}(?:\.[0-9]{1,9})?)(?P<unit>ms|s|m|h)")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number and the unit it was written in."""

    number: Decimal
    unit: str

    def __str__(self) -> str:
        return f"{self.number.normalize():f}{self.unit}"

    def base(self, dimension: Dimension) -> float:
        """In the dimension's inside unit: ns, a plain ratio, bytes."""
        return float(self.number * UNITS[dimension][self.unit])


def in_unit(value: float, dimension: Dimension, unit: str) -> float:
    """A measured value, from the dimension's inside unit to `unit`."""
    return value / float(UNITS[dimension][unit])


def parse_duration(text: str) -> Quantity:
    """A positive duration such as `60m`; ValueError says what was found."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or not Decimal(match["number"]):
        raise ValueError(f"{text!r} is not a duration such as 90s, 60m or 24h")
    return Quantity(Decimal(match["number"]), match["unit"])


def show(value: float, *, near: float | None = None) -> str:
    """A number for people: four significant digits, more only where a limit `near` it would otherwise look
    equal.
    """
    if value == int(value) and abs(value) < _LARGEST_WHOLE:
        return str(int(value))
    first = f"{value:.1f}" if abs(value) >= _LONG else f"{value:.4g}"
    texts = (first, f"{value:.7g}", f"{value:.12g}", repr(value))
    return next((text for text in texts if near is None or float(text) != near), first)
