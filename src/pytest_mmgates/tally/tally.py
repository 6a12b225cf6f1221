"""Counts, sums and histograms of a run, and the one rule by which two of them merge.

Counts and sums are whole numbers and merge exactly; quantiles come from histograms (`tally.histogram` states
their error). A tally of no rows is neutral. None means not known, and stays so: a part that cannot say how
often its book was updated leaves the whole unable to say it.
"""

from collections.abc import Mapping
from typing import Any, TypeVar, get_args

import msgspec
import numpy as np

from pytest_mmgates.tally.histogram import Histogram

WAIT = "wait"
AGE = "age"
WAITING = ("fetch_md", "tick_total")
"""Times that include a wait for I/O."""


def with_wait(name: str) -> str:
    """How the histogram of a measured time together with its wait is called."""
    return f"{name}+{WAIT}"


class Weighted(msgspec.Struct):
    """Of one figure per fill: how many fills have it, the sum of figure x weight and the sum of weights, both
    in units of 2**-1074.
    """

    fills: int = 0
    product: int = 0
    weight: int = 0

    @property
    def mean(self) -> float:
        return self.product / self.weight


class SymbolTally(msgspec.Struct):
    """Of one symbol, or of several merged.

    `duration_ns` is what the manifest promises, `covered_ns` what lies between first and last tick: both add
    up over the parts of a symbol, and mean nothing over several symbols. `cache` counts reads by outcome,
    `histograms_ns` and `totals_ns` hold durations by name, `sampled_reads` the reads up to the last sample of
    `updates`, `notional` quote currency by liquidity in units of 2**-1074. `edge` holds each component over
    the fills that have it, `edge_of_net` over the fills that have a net, `lost` counts those whose net is
    negative by the component that took the most. `funding` is what was paid, settlement currency in units of
    2**-1074; `events` says how often.
    """

    duration_ns: int = 0
    covered_ns: int = 0
    ticks: int = 0
    quoted: int = 0
    cache: dict[str, int] = {}
    missed: int = 0
    missed_measured: int = 0
    histograms_ns: dict[str, Histogram] = {}
    totals_ns: dict[str, int] = {}
    abs_position_quote: Histogram = msgspec.field(default_factory=Histogram)
    sampled_reads: int = 0
    updates: int | None = 0
    fills: int = 0
    notional: dict[str, int] = {}
    edge: dict[str, Weighted] = {}
    edge_of_net: dict[str, Weighted] = {}
    lost: dict[str, int] = {}
    funding: int = 0
    events: dict[str, int] = {}

    def histogram_ns(self, name: str) -> Histogram:
        """Empty where no tick was counted."""
        return self.histograms_ns.get(name) or Histogram()


class ProcessTally(msgspec.Struct):
    """Of the process: `events` are those of no symbol, None where a run wrote no events feed.
    `breaker_open_ns`: how long the breaker of each venue was not closed. `rss_floors`: of each process, that
    is of each part, the floors of its resident memory.
    """

    rss_bytes: Histogram = msgspec.field(default_factory=Histogram)
    events: dict[str, int] | None = {}
    breaker_open_ns: dict[str, int] = {}
    rss_floors: list[list[tuple[int, float]]] = []


class Tally(msgspec.Struct):
    """Of a run, by the full name of the symbol."""

    symbols: dict[str, SymbolTally] = {}
    process: ProcessTally = msgspec.field(default_factory=ProcessTally)


T = TypeVar("T")


def merged(one: T, other: T) -> T:
    """Two tallies, or two values inside of them, as one."""
    result: Any = _merged(one, other)
    return result  # type: ignore[no-any-return]


def _merged(one: Any, other: Any) -> Any:
    match one, other:
        case (None, _) | (_, None):
            return None
        case Histogram(), Histogram():
            return one.merged(other)
        case Mapping(), Mapping():
            return {**one, **other, **{key: _merged(one[key], other[key]) for key in one if key in other}}
        case msgspec.Struct(), msgspec.Struct():
            return type(one)(*map(_merged, msgspec.structs.astuple(one), msgspec.structs.astuple(other)))
        case _:
            return one + other


def encoded(tally: Tally) -> bytes:
    return msgspec.json.encode(tally, enc_hook=np.ndarray.tolist)


def decoded(text: bytes) -> Tally:
    """Raises msgspec.MsgspecError for what is no tally."""
    return msgspec.json.decode(text, type=Tally, dec_hook=_array)


def _array(kind: Any, content: Any) -> Any:
    _shape, dtype = get_args(kind)
    return np.array(content, dtype=get_args(dtype)[0])
