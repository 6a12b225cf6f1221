"""A market event as rows of five integers: what recordings keep and kernels play.

A row is `exch_ns, recv_ns, tick, lots, kind`: one level, one trade, one confirmation or one trouble. The rows
of one message stand together and the last one carries the LAST bit. A snapshot begins with a SNAPSHOT row
without a price. A TROUBLE row has in `tick` what it breaks (no book, the venue's and ours, or ours alone),
and in `lots` its number in a table of what does not fit into integers. Update ids and the venue's own top of
book are left out.
"""

from array import array
from collections.abc import Iterable
from itertools import chain

from mmbot.model.events import BookDelta, BookSnapshot, BookTrouble, Confirmed, MarketEvent, TopOfBook, Trade
from mmbot.model.instrument import Side

BID, ASK, BUY, SELL, CONFIRMED, SNAPSHOT, TROUBLE = range(7)
BREAKS_NOTHING, BREAKS_BOTH, BREAKS_OURS = range(3)
LAST = 0x80
KIND = 0x7F

_BID, _ASK, _SNAPSHOT = bytes([BID]), bytes([ASK]), bytes([SNAPSHOT])

MessageRows = tuple[int, int, bytearray, "array[int]"]
"""exch_ns and recv_ns of all its rows, the kind of each, tick and lots of each one after the other."""


def rows_of(event: MarketEvent, trouble: int) -> MessageRows:
    """The rows of an event, at least one. `trouble`: the number that a trouble gets in its table.

    Raises OverflowError for a price or size of more than 32 bits.
    """
    match event:
        case BookDelta(exch_ns=exch_ns, recv_ns=recv_ns, bids=bids, asks=asks):
            if not (bids or asks):  # it says only that the stream lives
                return _row(exch_ns, recv_ns, CONFIRMED, 0, 0)
            kinds = bytearray(_BID * len(bids) + _ASK * len(asks))
            return _message(exch_ns, recv_ns, kinds, chain(*bids, *asks))
        case Trade(exch_ns=exch_ns, recv_ns=recv_ns, side=side, tick=tick, lots=lots):
            return _row(exch_ns, recv_ns, BUY if side is Side.BUY else SELL, tick, lots)
        case BookSnapshot(exch_ns=exch_ns, recv_ns=recv_ns, bids=bids, asks=asks):
            kinds = bytearray(_SNAPSHOT + _BID * len(bids) + _ASK * len(asks))
            return _message(exch_ns, recv_ns, kinds, chain((0, 0), *bids, *asks))
        case BookTrouble(exch_ns=exch_ns, recv_ns=recv_ns):
            return _row(exch_ns, recv_ns, TROUBLE, _broken(event), trouble)
        case Confirmed(recv_ns=recv_ns) | TopOfBook(recv_ns=recv_ns):
            return _row(recv_ns, recv_ns, CONFIRMED, 0, 0)


def _broken(event: BookTrouble) -> int:
    if not event.trouble.breaks_book:
        return BREAKS_NOTHING
    return BREAKS_OURS if event.ours_alone else BREAKS_BOTH


def _message(exch_ns: int, recv_ns: int, kinds: bytearray, levels: Iterable[int]) -> MessageRows:
    kinds[-1] |= LAST
    return exch_ns, recv_ns, kinds, array("i", levels)


def _row(exch_ns: int, recv_ns: int, kind: int, tick: int, lots: int) -> MessageRows:
    return _message(exch_ns, recv_ns, bytearray((kind,)), (tick, lots))
