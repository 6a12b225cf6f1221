"""What an interrupted live run left, read off its own rows: how far it came, and what its account holds.

Rows are with the system tick by tick, so they know more than any checkpoint: every fill and payment that was
booked stands in them with its exact ticks, lots and fee, and booked again they are the account as it was.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from mmbot.errors import RecordingError
from mmbot.execution.position import Position, PositionState
from mmbot.model.events import Fill, Funding
from mmbot.model.instrument import Instrument, Side
from mmbot.model.records import OUTAGE, EventRow, FillRow
from mmbot.telemetry.reading import FeedReader
from mmbot.units import Lots, Ns, Ticks


class _Tick(msgspec.Struct, gc=False):
    ts_ns: int
    symbol: str
    seq: int


class _Sample(msgspec.Struct, gc=False):
    ts_ns: int


@dataclass(frozen=True, slots=True)
class Outage:
    """No process played the run, from its newest row before to its first tick after."""

    from_ns: int
    until_ns: int


@dataclass(frozen=True, slots=True)
class Remains:
    """`newest_ns`: of all rows. `seqs` and `fill_ids`: the last number by symbol."""

    newest_ns: int
    ticks: int
    dropped_ticks: int
    rejects: int
    fills: int
    seqs: dict[str, int]
    fill_ids: dict[str, int]
    positions: dict[str, PositionState]
    outages: list[Outage]

    def covered_ns(self, started_ns: int) -> int:
        """How much of its time was played: from its first tick to its newest row, without the outages."""
        return self.newest_ns - started_ns - self.lost_ns

    @property
    def lost_ns(self) -> int:
        """In outages."""
        return sum(outage.until_ns - outage.from_ns for outage in self.outages)


def read_remains(directory: Path, instruments: Iterable[Instrument]) -> Remains:
    """Raises RecordingError for rows that cannot be read, or are of another market."""
    books = {instrument.key: Position(instrument) for instrument in instruments}
    traded = {instrument.key: instrument for instrument in instruments}
    newest_ns = ticks = 0
    seqs: dict[str, int] = dict.fromkeys(books, 0)
    for tick in FeedReader(directory, "pipeline_ticks", _Tick).rows():
        seqs[tick.symbol] = tick.seq
        ticks += 1
        newest_ns = max(newest_ns, tick.ts_ns)
    for sample in FeedReader(directory, "samples", _Sample).rows():
        newest_ns = max(newest_ns, sample.ts_ns)
    fills = sorted(FeedReader(directory, "fills", FillRow).rows(), key=lambda row: row.fill_id)
    for row in fills:
        _known(row.symbol, books, directory)
        books[row.symbol].book(_fill(row, traded[row.symbol]))
    events = list(FeedReader(directory, "events", EventRow).rows())
    for event in _of_kind(events, "funding"):
        _known(event.symbol, books, directory)
        books[str(event.symbol)].fund(_funding(event))
    return Remains(
        newest_ns=max([newest_ns, *(row.recv_ns for row in fills), *(event.ts_ns for event in events)]),
        ticks=ticks,
        dropped_ticks=sum(_whole(row, "ticks") for row in _of_kind(events, "ticks_dropped")) * len(books),
        rejects=sum(1 for _ in _of_kind(events, "order_reject")),
        fills=len(fills),
        seqs=seqs,
        fill_ids=dict.fromkeys(books, 0) | {row.symbol: row.fill_id for row in fills},
        positions={key: book.state() for key, book in books.items()},
        outages=[
            Outage(_whole(row, "from_ns"), _whole(row, "until_ns"))
            for row in _of_kind(events, "gap")
            if row.symbol is None and row.detail.get("reason") == OUTAGE
        ],
    )


def _of_kind(events: Iterable[EventRow], kind: str) -> Iterator[EventRow]:
    return (row for row in events if row.kind == kind)


def _known(symbol: str | None, books: Mapping[str, Position], directory: Path) -> None:
    if symbol not in books:
        raise RecordingError(f"{directory}: holds rows of {symbol}, expected {', '.join(books)}")


def _whole(row: EventRow, name: str) -> int:
    value = row.detail.get(name)
    if not isinstance(value, int):
        raise RecordingError(f"{row.kind} at {row.ts_ns}: {name} was {value!r}, expected a whole number")
    return value


def _fill(row: FillRow, instrument: Instrument) -> Fill:
    """What was booked when the row was written; its mid is of no account."""
    return Fill(
        symbol=row.symbol,
        client_id=row.client_id,
        fill_id=row.fill_id,
        venue_ns=Ns(row.ts_ns),
        recv_ns=Ns(row.recv_ns),
        side=Side.BUY if row.side == Side.BUY.word else Side.SELL,
        tick=Ticks(round(row.price / instrument.tick)),
        lots=Lots(round(row.qty / instrument.lot)),
        maker=row.liquidity == "maker",
        mid_x2=None,
        fee=row.fee,
    )


def _funding(row: EventRow) -> Funding:
    rate, payment = row.detail.get("rate"), row.detail.get("payment")
    if not isinstance(payment, int | float) or not isinstance(rate, int | float):
        raise RecordingError(f"funding of {row.symbol} at {row.ts_ns}: was {row.detail}, expected numbers")
    return Funding(str(row.symbol), Ns(row.ts_ns), Ns(row.ts_ns), float(rate), float(payment))
