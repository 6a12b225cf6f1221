"""The feeds of a run directory as tables, block by block, or refused.

Decided: no row object outlives its block of some 4 MB, so reading takes the same memory for an hour and for a
week. Checked on the way: one run_id and one data kind, known symbols, time order.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from operator import attrgetter
from pathlib import Path

import numpy as np

from pytest_mmgates.errors import RunlogError
from pytest_mmgates.outages import REASON, Outage
from pytest_mmgates.rows import (
    ArmFillRow,
    ArmTickRow,
    EventRow,
    FillRow,
    Manifest,
    Markets,
    Row,
    RowT,
    SampleRow,
    ShownTickRow,
    TickRow,
    TraceRow,
    feed_files,
    full_name,
    read_blocks,
)
from pytest_mmgates.tables import (
    CACHE_CODES,
    DURATIONS,
    NO_SYMBOL,
    Codes,
    Fills,
    Floats,
    Ints,
    Names,
    Samples,
    Ticks,
    joined,
)

_NAN = float("nan")
GAP = "gap"
_BREAKER_STATES = ("closed", "open", "half_open")


class Feeds:
    """The files of a run directory, and what every row in them must keep."""

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self._directory = directory
        self._manifest = manifest
        self._codes = symbol_codes(manifest)

    def ticks(self) -> Iterator[Ticks]:
        for rows in self._blocks("pipeline_ticks", TickRow):
            yield self._ticks(rows)

    def fills(self) -> Iterator[Fills]:
        """In order of `recv_ns` while their day is that of `ts_ns`: order is asked for within each file
        only.
        """
        for rows in self._blocks("fills", FillRow, clock="recv_ns"):
            yield self._fills(rows)

    def samples(self) -> Iterator[Samples]:
        for rows in self._blocks("samples", SampleRow):
            yield self._samples(rows)

    def events(self) -> Counter[tuple[str, int]] | None:
        """How often each (kind, symbol code) happened, None without a feed. An event's row matters to
        people, its number to gates.
        """
        if not self._files("events"):
            return None
        counts: Counter[tuple[str, int]] = Counter()
        for rows in self._blocks("events", EventRow):
            counts.update(zip([row.kind for row in rows], self._codes_of(rows), strict=True))
        return counts

    def funding(self) -> dict[int, list[float]]:
        """Payments by symbol code, positive where we paid."""
        payments: dict[int, list[float]] = {}
        for row in self._events_of("funding"):
            payment = row.detail.get("payment")
            if isinstance(payment, bool) or not isinstance(payment, int | float):
                where = f"{self._directory}: funding of {row.symbol} at {row.ts_ns}"
                raise RunlogError(f"{where}: payment was {payment!r}, expected a number")
            payments.setdefault(self._codes[row.symbol], []).append(float(payment))
        return payments

    def breaker_open_ns(self, ended_ns: int) -> dict[str, int]:
        """How long the breaker of each venue was not closed, until it closed, the run ended, or an outage
        began: the process after it has a breaker of its own, which begins closed.
        """
        total_ns: dict[str, int] = {}
        since_ns: dict[str, int] = {}

        def closed_at(venue: str, now_ns: int) -> None:
            total_ns[venue] = total_ns.get(venue, 0) + max(0, now_ns - since_ns.pop(venue))

        for row in self._events_of("breaker", GAP):
            if row.kind == GAP:
                outage = outage_of(row)
                for venue in list(since_ns) if outage else ():
                    closed_at(venue, outage.from_ns if outage else 0)
                continue
            venue, closed = breaker_state(row)
            if not closed:
                since_ns.setdefault(venue, row.ts_ns)
            elif venue in since_ns:
                closed_at(venue, row.ts_ns)
        for venue in list(since_ns):
            closed_at(venue, ended_ns)
        return total_ns

    def arm_ticks(self) -> Iterator[tuple[Ticks, Names]]:
        """Ticks, and the arm that each was under."""
        for rows in self._blocks("pipeline_ticks", ArmTickRow):
            yield self._ticks(rows), np.array([row.arm for row in rows], dtype=np.str_)

    def arm_fills(self) -> tuple[Fills, Names, list[str]]:
        """All fills, the arm of each, and the client id of each order."""
        rows = [row for block in self._blocks("fills", ArmFillRow, clock="recv_ns") for row in block]
        return (
            self._fills(rows),
            np.array([row.arm for row in rows], dtype=np.str_),
            [row.client_id for row in rows],
        )

    def shown_ticks(self) -> Iterator[tuple[Ticks, Floats]]:
        """Ticks, and the half spread that each quoted, bps; NaN where nothing was quoted or told."""
        for rows in self._blocks("pipeline_ticks", ShownTickRow):
            yield self._ticks(rows), _floats([row.half_spread_bps for row in rows])

    def queue(self) -> Iterator[tuple[Ints, Codes, Floats]]:
        """Time, symbol code and seconds until the queue ahead is gone, of each first-level order that was
        traced.
        """
        for rows in self._blocks("trace", TraceRow):
            times = np.array([row.ts_ns for row in rows], dtype=np.int64)
            codes = np.array(self._codes_of(rows), dtype=np.int16)
            etas = _floats([eta for row in rows for eta in (row.bid_eta_s, row.ask_eta_s)])
            yield np.repeat(times, 2), np.repeat(codes, 2), etas

    def outages(self) -> tuple[Outage, ...]:
        """As the rows tell them."""
        return tuple(outage for row in self._events_of(GAP) if (outage := outage_of(row)))

    def all_ticks(self) -> Ticks:
        return joined([self._ticks([]), *self.ticks()])

    def all_fills(self) -> Fills:
        return joined([self._fills([]), *self.fills()])

    def all_samples(self) -> Samples:
        return joined([self._samples([]), *self.samples()])

    def _ticks(self, rows: Sequence[TickRow]) -> Ticks:
        return Ticks(
            ts_ns=np.array([row.ts_ns for row in rows], dtype=np.int64),
            symbol=np.array(self._codes_of(rows), dtype=np.int16),
            cache=np.array([CACHE_CODES[row.cache] for row in rows], dtype=np.int16),
            age_ns=_floats([row.age_ns for row in rows]),
            wait_ns=np.array([row.wait_ns for row in rows], dtype=np.int64),
            deadline_miss=np.array([row.deadline_miss for row in rows], dtype=np.bool_),
            mid=_floats([row.mid for row in rows]),
            quoted=np.array([row.bid is not None and row.ask is not None for row in rows], dtype=np.bool_),
            position_quote=np.array([row.position_quote for row in rows], dtype=np.float64),
            **{
                name: np.array(list(map(attrgetter(f"{name}_ns"), rows)), dtype=np.int64)
                for name in DURATIONS
            },
        )

    def _fills(self, rows: Sequence[FillRow]) -> Fills:
        return Fills(
            ts_ns=np.array([row.ts_ns for row in rows], dtype=np.int64),
            symbol=np.array(self._codes_of(rows), dtype=np.int16),
            side=np.array([1 if row.side == "buy" else -1 for row in rows], dtype=np.int64),
            price=np.array([row.price for row in rows], dtype=np.float64),
            qty=np.array([row.qty for row in rows], dtype=np.float64),
            maker=np.array([row.liquidity == "maker" for row in rows], dtype=np.bool_),
            fee=np.array([row.fee for row in rows], dtype=np.float64),
            mid=_floats([row.mid for row in rows]),
            decision_mid=_floats([row.decision_mid for row in rows]),
        )

    def _samples(self, rows: Sequence[SampleRow]) -> Samples:
        return Samples(
            ts_ns=np.array([row.ts_ns for row in rows], dtype=np.int64),
            symbol=np.array(self._codes_of(rows), dtype=np.int16),
            name=np.array([row.name for row in rows], dtype=np.str_),
            value=np.array([row.value for row in rows], dtype=np.float64),
        )

    def _events_of(self, *kinds: str) -> Iterator[EventRow]:
        for rows in self._blocks("events", EventRow):
            yield from (row for row in rows if row.kind in kinds)

    def _codes_of(self, rows: Sequence[Row]) -> list[int]:
        return [self._codes[row.symbol] for row in rows]

    def _files(self, feed: str) -> list[Path]:
        return feed_files(self._directory, feed)

    def _blocks(self, feed: str, row_type: type[RowT], *, clock: str = "ts_ns") -> Iterator[list[RowT]]:
        """Rows of a feed, file after file."""
        last = 0
        for path in self._files(feed):
            last = last if clock == "ts_ns" else 0
            for line, rows in read_blocks(path, row_type):
                self._check_identity(rows, path, line)
                last = _check_order([getattr(row, clock) for row in rows], last, path, line)
                yield rows

    def _check_identity(self, rows: Sequence[Row], path: Path, line: int) -> None:
        run_id, kind, codes = self._manifest.run_id, self._manifest.data.kind, self._codes
        for at, row in enumerate(rows, line):
            if row.run_id != run_id or row.data_kind != kind:
                found = f"run_id {row.run_id!r} and data_kind {row.data_kind!r}"
                raise RunlogError(f"{path}:{at}: row of {found}; this is run {run_id!r} on {kind} data")
            if row.symbol not in codes:
                raise RunlogError(
                    f"{path}:{at}: symbol {row.symbol!r} is not among the feeds of manifest.json"
                )


def _floats(values: Sequence[float | None]) -> Floats:
    return np.array([_NAN if value is None else value for value in values], dtype=np.float64)


def symbol_codes(manifest: Markets) -> dict[str | None, int]:
    """Code by symbol as rows may name it: in full, or short where that is one instrument only."""
    symbols = manifest.symbols
    named = {feed.symbol: symbols.index(full_name(feed.venue, feed.symbol)) for feed in manifest.data.feeds}
    venues = Counter(symbol for symbol, _ in {(feed.symbol, feed.venue) for feed in manifest.data.feeds})
    codes: dict[str | None, int] = {None: NO_SYMBOL}
    codes |= {symbol: code for symbol, code in named.items() if venues[symbol] == 1}
    return codes | {full: code for code, full in enumerate(symbols)}


def breaker_state(row: EventRow) -> tuple[str, bool]:
    """Venue of a `breaker` event, and whether its breaker is closed now. Raises RunlogError."""
    venue, state = row.detail.get("venue"), row.detail.get("state")
    if not isinstance(venue, str) or state not in _BREAKER_STATES:
        expected = ", ".join(_BREAKER_STATES)
        raise RunlogError(
            f"breaker at {row.ts_ns}: venue {venue!r}, state {state!r}: expected one of {expected}"
        )
    return venue, state == "closed"


def outage_of(row: EventRow) -> Outage | None:
    """What a `gap` event tells of an outage; None for a gap in a symbol's book. Raises RunlogError."""
    if row.kind != GAP or row.symbol is not None or row.detail.get("reason") != REASON:
        return None
    from_ns, until_ns = row.detail.get("from_ns"), row.detail.get("until_ns")
    if not (isinstance(from_ns, int) and isinstance(until_ns, int) and 0 <= from_ns < until_ns == row.ts_ns):
        raise RunlogError(
            f"outage at {row.ts_ns}: from_ns {from_ns!r}, until_ns {until_ns!r}: expected whole numbers, the "
            "second later and the row's own"
        )
    return Outage(from_ns, until_ns)


def _check_order(times: list[int], last: int, path: Path, line: int) -> int:
    column = np.array([last, *times], dtype=np.int64)
    back = np.flatnonzero(np.diff(column) < 0)
    if back.size:
        at = int(back[0])
        raise RunlogError(f"{path}:{line + at}: out of time order: {column[at + 1]} after {column[at]}")
    return int(column[-1])
