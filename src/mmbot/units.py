"""Units: integers inside, decimals at the door, floats for opinions.

Price = `Ticks`, size = `Lots`, time = `Ns` since the epoch, UTC. Any other number wears its unit in its name
(`_ns`, `_ms`, `_bps`, `_quote`, `_ratio`). The three types are NewTypes: they cost nothing at run time, and
mypy catches a swapped price and size.
"""

from typing import NewType

Ns = NewType("Ns", int)
Ticks = NewType("Ticks", int)
Lots = NewType("Lots", int)

US = 1_000
MS = 1_000_000
SECOND = 1_000_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
BPS = 1e4
"""Basis points in one: `ratio * BPS` is bps."""

_DURATION_UNITS = {"ms": MS, "s": SECOND, "m": 60 * SECOND, "h": 3_600 * SECOND, "d": DAY}
_DURATION_DIGITS = 20


def parse_duration(text: str) -> Ns:
    """`60m`, `24h`, `1.5h`, `250ms` -> nanoseconds. Raises ValueError on anything else, zero and negatives
    included.
    """
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = text[len(number) :]
    plain = number.isascii() and number.replace(".", "", 1).isdigit() and len(number) <= _DURATION_DIGITS
    if unit not in _DURATION_UNITS or not plain:
        raise ValueError(f"duration was {text!r}, expected a number and one of {', '.join(_DURATION_UNITS)}")
    value = round(float(number) * _DURATION_UNITS[unit])
    if value <= 0:
        raise ValueError(f"duration was {text!r}, expected more than zero")
    return Ns(value)
