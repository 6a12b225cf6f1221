"""What a recording has seen so far, per symbol: counts, holes, how old the last word is."""

from collections import Counter
from dataclasses import dataclass, field

from mmbot.model.events import BookDelta, BookSnapshot, BookTrouble, Trade
from mmbot.model.instrument import Instrument
from mmbot.model.notes import Happened
from mmbot.net.intake import Batch
from mmbot.units import MS


@dataclass(slots=True)
class SymbolStatistics:
    """`delay_ms`: from the venue's stamp to ours, of the last book message; two clocks: may be negative."""

    snapshots: int = 0
    deltas: int = 0
    trades: int = 0
    troubles: Counter[str] = field(default_factory=Counter)
    delay_ms: float | None = None
    last_ns: int | None = None
    """When the last book message or trade came."""


class RecordStatistics:
    """Fed batch by batch."""

    def __init__(self, instruments: list[Instrument]) -> None:
        self.symbols = {instrument.key: SymbolStatistics() for instrument in instruments}
        self.happened: Counter[Happened] = Counter()
        self.last_reason = ""
        """Why the connection was last lost, or not made."""
        self.connected = False
        self.elapsed_ns = 0

    def add(self, batch: Batch) -> None:
        for event in batch.events:
            one = self.symbols[event.symbol]
            if isinstance(event, BookTrouble):
                one.troubles[event.trouble.value] += 1
                continue
            if isinstance(event, BookDelta):
                one.deltas += 1
            elif isinstance(event, BookSnapshot):
                one.snapshots += 1
            elif isinstance(event, Trade):
                one.trades += 1
            else:
                continue
            one.last_ns = event.recv_ns
            if not isinstance(event, Trade):
                one.delay_ms = (event.recv_ns - event.exch_ns) / MS
        for _, note in batch.notes:
            self.happened[note.mmbot] += 1
            if note.mmbot in (Happened.LOST, Happened.UNREACHABLE):
                self.last_reason = note.detail
                self.connected = False
            elif note.mmbot is Happened.CONNECTED:
                self.connected = True
