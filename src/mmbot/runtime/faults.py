"""Faults that a run is asked to meet: `silence@10m+5s`, `gap@15m`, counted from the start of the tape.

They meet every symbol of the tape, on a copy of it. The kind of data stays; the manifest names what was
injected, and no gate asks for any.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mmbot.errors import ConfigError
from mmbot.recording.columns import Columns
from mmbot.recording.faults import stamped, with_gap, with_silence
from mmbot.runtime.tape import Tape, TapeFeed
from mmbot.sim.latency import LatencySettings
from mmbot.units import MS, parse_duration

_EXPECTED = "silence@<when>+<how long> or gap@<when>, as silence@10m+5s"


@dataclass(frozen=True, slots=True)
class Fault:
    """`lasts_ns` None: a gap. `text`: as it was asked for."""

    text: str
    at_ns: int
    lasts_ns: int | None

    def into(self, columns: Columns, start_ns: int) -> Columns:
        """`at_ns` counts from `start_ns`. Raises RecordingError where it does not lie in the recording."""
        at_ns = start_ns + self.at_ns
        return (
            with_gap(columns, at_ns) if self.lasts_ns is None else with_silence(columns, at_ns, self.lasts_ns)
        )


def parse_fault(text: str) -> Fault:
    """Raises ConfigError."""
    kind, at, rest = text.partition("@")
    when, plus, lasts = rest.partition("+")
    try:
        if at and kind == "silence" and plus:
            return Fault(text, parse_duration(when), parse_duration(lasts))
        if at and kind == "gap" and not plus:
            return Fault(text, parse_duration(when), None)
    except ValueError as error:
        raise ConfigError(f"fault {text}: {error}; expected {_EXPECTED}") from error
    raise ConfigError(f"fault was {text!r}, expected {_EXPECTED}")


def injected(tape: Tape, faults: Sequence[Fault], market_data: LatencySettings) -> Tape:
    """A tape with these faults in every feed. `market_data`: how long it takes to us, where the tape does not
    say. Raises RecordingError for a fault outside the tape, ConfigError for a latency that is drawn anew for
    every message: a silence would be drawn into, too.
    """
    if not faults:
        return tape
    if market_data.model != "constant" and not all(feed.exchange_clock for feed in tape.feeds):
        raise ConfigError(f"sim.market_data: was {market_data.name}, faults in this tape need constant")
    behind_ns = round(market_data.median_ms * MS)
    start_ns = max(feed.columns.meta.first_ns for feed in tape.feeds)
    return replace(tape, feeds=[_injected(feed, faults, start_ns, behind_ns) for feed in tape.feeds])


def _injected(feed: TapeFeed, faults: Sequence[Fault], start_ns: int, behind_ns: int) -> TapeFeed:
    columns = feed.columns if feed.exchange_clock else stamped(feed.columns, behind_ns)
    for fault in faults:
        columns = fault.into(columns, start_ns)
    return replace(feed, columns=columns, exchange_clock=True)
