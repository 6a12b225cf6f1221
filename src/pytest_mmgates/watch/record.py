"""What a watch saw, rule by rule: kept as `watch.json` beside the rows, so that any process can judge it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import reduce
from typing import Literal

import msgspec

from pytest_mmgates.units import NS_PER_S

Section = Literal["stop", "warn"]
By = Literal["slow", "fast", "no_data"]
"""What of a rule fired: its condition, the fast twin, or the want of data."""


class Fired(msgspec.Struct, frozen=True):
    """The first time that a rule fired. `value` is None where it fired for want of data."""

    at_ns: int
    by: By
    value: float | None
    n: int
    why: str
    part: str | None = None


class Held(msgspec.Struct, frozen=True):
    """How near a condition came: the longest that it held, and until when."""

    longest_ns: int = 0
    at_ns: int | None = None


class Seen(msgspec.Struct, frozen=True):
    """What a share came to over everything that was watched, however little: from `n` observations."""

    value: float
    n: int


class WatchRecord(msgspec.Struct):
    """Of one rule; `above`: larger values are worse. `judged` counts looks at a value, `absent` looks that
    found none, of at most `most_n` observations; `worst` is the value farthest on the wrong side, of
    `worst_n` observations. `times`: how often it fired (a stop rule halts the run the first time). `seen`: of
    a metric that is a share, once the run has ended without one that fired.
    """

    rule: str
    section: Section
    above: bool
    judged: int = 0
    absent: int = 0
    absent_why: str | None = None
    most_n: int = 0
    worst: float | None = None
    worst_n: int = 0
    worst_ns: int | None = None
    slow: Held = Held()
    fast: Held | None = None
    times: int = 0
    fired: Fired | None = None
    seen: Seen | None = None

    def is_worse(self, value: float) -> bool:
        """Than the worst so far."""
        if self.worst is None:
            return True
        return value > self.worst if self.above else value < self.worst


def merged_records(parts: Sequence[tuple[str, Sequence[WatchRecord]]]) -> tuple[WatchRecord, ...]:
    """The records of the parts of one run, by rule. Each part was watched by itself."""
    by_rule: dict[str, list[WatchRecord]] = {}
    for name, records in parts:
        for record in records:
            by_rule.setdefault(record.rule, []).append(_in_part(record, name))
    return tuple(reduce(_merged, records) for records in by_rule.values())


def _in_part(record: WatchRecord, name: str) -> WatchRecord:
    fired = record.fired and msgspec.structs.replace(record.fired, part=name)
    return msgspec.structs.replace(record, fired=fired)


def _merged(one: WatchRecord, other: WatchRecord) -> WatchRecord:
    worse = _worse(one, other)
    return msgspec.structs.replace(
        worse,
        judged=one.judged + other.judged,
        absent=one.absent + other.absent,
        absent_why=one.absent_why or other.absent_why,
        most_n=max(one.most_n, other.most_n),
        slow=max(one.slow, other.slow, key=lambda held: held.longest_ns),
        fast=one.fast and other.fast and max(one.fast, other.fast, key=lambda held: held.longest_ns),
        times=one.times + other.times,
        fired=one.fired or other.fired,
        seen=max(one.seen, other.seen, key=lambda seen: seen.n) if one.seen and other.seen else None,
    )


def _worse(one: WatchRecord, other: WatchRecord) -> WatchRecord:
    return other if other.worst is not None and one.is_worse(other.worst) else one


def encoded_records(records: Sequence[WatchRecord]) -> str:
    return msgspec.json.format(msgspec.json.encode(records), indent=1).decode() + "\n"


def decoded_records(text: bytes) -> tuple[WatchRecord, ...]:
    """Raises msgspec.MsgspecError for what is no record."""
    return msgspec.json.decode(text, type=tuple[WatchRecord, ...])


def clock_text(ns: int) -> str:
    """A length of time as a watch shows it: 08:40, 1:08:40."""
    minutes, seconds = divmod(ns // NS_PER_S, 60)
    hours, rest = divmod(minutes, 60)
    return f"{hours}:{rest:02d}:{seconds:02d}" if hours else f"{minutes:02d}:{seconds:02d}"


def moment_text(ns: int) -> str:
    """UTC to the second, of the run's own clock."""
    return f"{datetime.fromtimestamp(ns // NS_PER_S, tz=UTC):%Y-%m-%dT%H:%M:%SZ}"
