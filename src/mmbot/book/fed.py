"""The market of one symbol in a kernel that is fed with events, where a real venue answers our orders.

`book.market.PlainMarket` fed with the same events gives the same numbers (a test compares them). The venue's
half of the kernel stands still; answers come through Python and say where our orders rest.
"""

from mmbot.book.cache import MdCacheSettings
from mmbot.book.compiled import CompiledMarket, local_settings
from mmbot.book.market import FeatureSettings
from mmbot.kernels import growing
from mmbot.kernels import layout as L  # noqa: N812 (a block of constants)
from mmbot.kernels.growing import GrowingContext
from mmbot.model.events import BookTrouble, MarketEvent, Trouble
from mmbot.model.instrument import Side
from mmbot.model.market_rows import rows_of
from mmbot.model.orders import order_number


def appended(context: GrowingContext, event: MarketEvent) -> BookTrouble | None:
    """Append an event that is no trouble to a growing recording. One whose numbers no market of this
    instrument could have is left out: the trouble that it is instead has to be appended for it, since a book
    that lacks a message cannot be believed.
    """
    try:
        context.append(*rows_of(event, 0))
    except OverflowError:
        why = "a price or size did not fit 32 bits, in ticks and lots"
    except ValueError as error:
        why = str(error)
    else:
        return None
    return BookTrouble(event.symbol, event.recv_ns, event.recv_ns, Trouble.RANGE, why)


class FedMarket(CompiledMarket):
    """A market in a kernel, fed with events. It knows an order by the number at the end of its client id."""

    def __init__(
        self, cache: MdCacheSettings, features: FeatureSettings, rows: int = growing.FIRST_ROWS
    ) -> None:
        """`rows`: how many the buffer holds at first."""
        ints, floats = local_settings(cache, features)
        self._growing = GrowingContext({**ints, L.VENUE_ROW: L.NEVER}, floats, rows)
        super().__init__(self._growing)

    def apply(self, event: MarketEvent) -> tuple[Trouble, str] | None:
        context = self._growing
        trouble = event if isinstance(event, BookTrouble) else appended(context, event)
        if trouble is not None:
            context.append(*rows_of(trouble, 0))
        why = context.advance(event.recv_ns) & L.WHY_MASK
        if why == L.CROSSED:
            self._c[L.LOCAL_SYNCED] = 0
            return Trouble.CROSSED, "bid {} ask {}".format(*self.touch)
        return None if trouble is None else (trouble.trouble, trouble.detail)

    def rest(self, client_id: str, side: Side, tick: int) -> None:
        self._growing.rest(order_number(client_id), side, tick)

    def gone(self, client_id: str) -> None:
        self._growing.gone(order_number(client_id))
