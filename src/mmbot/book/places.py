"""Where our resting orders stand in their queues, estimated from the local book as it would be live.

On acknowledgement everything displayed at our price is ahead of us; trades at the price take from the front;
a display smaller than our estimate clips it. Sizes that vanish without a trade are taken to have stood behind
us: the risk-averse reading.
"""

from mmbot.book.l2 import L2Book
from mmbot.model.instrument import Side


class _Place:
    __slots__ = ("ahead_lots", "side", "tick")

    def __init__(self, side: Side, tick: int, ahead_lots: int) -> None:
        self.side = side
        self.tick = tick
        self.ahead_lots = ahead_lots


class Places:
    """Queue places of one symbol's resting orders, by client id."""

    __slots__ = ("_places",)

    def __init__(self) -> None:
        self._places: dict[str, _Place] = {}

    def rest(self, client_id: str, side: Side, tick: int, ahead_lots: int) -> None:
        self._places[client_id] = _Place(side, tick, ahead_lots)

    def gone(self, client_id: str) -> None:
        self._places.pop(client_id, None)

    def ahead_lots(self, client_id: str) -> int | None:
        """Estimated size in front; None if the order does not rest."""
        place = self._places.get(client_id)
        return None if place is None else place.ahead_lots

    def on_trade(self, taker: Side, tick: int, lots: int) -> None:
        for place in self._places.values():
            if place.side is not taker and place.tick == tick:
                place.ahead_lots = max(place.ahead_lots - lots, 0)

    def on_book(self, book: L2Book) -> None:
        for place in self._places.values():
            displayed = (book.bids if place.side is Side.BUY else book.asks).get(place.tick, 0)
            place.ahead_lots = min(place.ahead_lots, displayed)
