"""Queue models: who stood in front when a displayed size shrank without a trade?

A level-2 feed does not tell. `risk_averse`: everybody who left stood behind us, so only a display below our
estimate moves us up. `power`: leavers are spread over the queue by a power of each part's size, front^n /
(front^n + back^n) of them in front of us (the probability queue models of R. Shi's work, as popularised by
hftbacktest's documentation).

Trades at our price always take from the front. A trade is printed before the display that reflects it, so
what it took is remembered and not counted a second time when the display shrinks.
"""

from typing import Literal

import msgspec


class QueueSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`power` is the exponent of the model of that name; the other has none."""

    model: Literal["risk_averse", "power"]
    power: float = 0.0

    def __post_init__(self) -> None:
        if (self.model == "power") != (self.power > 0):
            raise ValueError(
                f"queue model was {self.model} with power {self.power:g}; only 'power' takes one, above 0"
            )

    @property
    def name(self) -> str:
        return f"power({self.power:g})" if self.model == "power" else self.model


class Place:
    """Place of one resting order in its price level."""

    __slots__ = ("_power", "_traded", "ahead_lots")

    def __init__(self, settings: QueueSettings, displayed_lots: int) -> None:
        self._power = settings.power
        self._traded = 0
        self.ahead_lots = displayed_lots

    def on_trade(self, lots: int) -> int:
        """A trade at our price: the queue eats first. Returns what is left of it for us."""
        self._traded += lots
        eaten = min(self.ahead_lots, lots)
        self.ahead_lots -= eaten
        return lots - eaten

    def on_display(self, before_lots: int, after_lots: int) -> None:
        """The level's displayed size changed from before to after."""
        left = before_lots - after_lots - self._traded
        self._traded = 0
        if self._power and left > 0 and self.ahead_lots > 0:
            back = max(before_lots - self.ahead_lots, 0)
            front_weight = float(self.ahead_lots) ** self._power
            share = front_weight / (front_weight + float(back) ** self._power)
            self.ahead_lots -= min(round(left * share), self.ahead_lots)
        self.ahead_lots = min(self.ahead_lots, after_lots)
