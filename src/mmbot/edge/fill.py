"""What one fill earned, leg by leg: the definitions of edge.

A fill is a chain of marks: its price, the mid at the venue just before it (mid_t), the mid h later
(mid_{t+h}), the last mid of the run (mid_T). A leg is what holding the filled lots from one mark to the next
brought, in settlement currency, positive = good for us:

    gross     = lots * (worth(mid_t) - worth(price))             lots signed: positive = bought
    fees      = -fee                                             negative: a cost; positive: a rebate
    adverse_h = lots * (worth(mid_{t+h}) - worth(mid_t))         negative: the market moved against us
    net       = gross + adverse_60s + fees                       the markout, net of fees
    inventory = lots * (worth(mid_T) - worth(mid_{t+60s}))       what holding on did
    pnl       = net + inventory

In bps, each is divided by the fill's weight, |lots| * |worth(mid_t)|: of a linear contract that is
side * (mid_t - price) / mid_t, and so on. The profit of an inverse contract is not linear in its price; with
its legs in the currency that it pays they add up to what it pays, with side * (mid_t - price) / mid_t they
would not. The two differ by a leg's own size: a leg of 100 bps by one.

Slippage is no leg: by how much the price was worse than the mid at which its order was decided, positive =
worse.
"""

from dataclasses import dataclass
from typing import Literal

from mmbot.model.instrument import Instrument
from mmbot.model.records import FillRow

HORIZONS_S = (1, 5, 60)
NET_HORIZON_S = 60
Leg = Literal["gross", "fees", "adverse_60s"]
"""The components of net."""


@dataclass(frozen=True, slots=True)
class Traded:
    """What a fill's row tells of its edge: everything but what happened later. Settlement currency.

    `worth` is that of a lot at mid_t; `slippage` is None where the order was decided without a mid.
    """

    lots: int
    worth: float
    weight: float
    gross: float
    fees: float
    slippage: float | None

    @classmethod
    def of(cls, instrument: Instrument, row: FillRow) -> "Traded | None":
        """None for a fill without a mid."""
        if row.mid is None:
            return None
        lots, paid, worth = (
            signed_lots(instrument, row),
            instrument.worth(row.price),
            instrument.worth(row.mid),
        )
        decided = None if row.decision_mid is None else instrument.worth(row.decision_mid)
        return cls(
            lots=lots,
            worth=worth,
            weight=abs(lots * worth),
            gross=lots * (worth - paid),
            fees=-row.fee,
            slippage=None if decided is None else lots * (paid - decided),
        )


@dataclass(frozen=True, slots=True)
class FillEdge:
    """A fill whose net is known: what the market did within each horizon, settlement currency. A horizon
    before the first mid of the run is missing.
    """

    traded: Traded
    adverse: dict[int, float]

    @property
    def net(self) -> float:
        return self.traded.gross + self.adverse[NET_HORIZON_S] + self.traded.fees

    @property
    def driver(self) -> Leg | None:
        """The component that took the most from a fill that lost; None if it did not lose."""
        if self.net >= 0:
            return None
        taken: dict[Leg, float] = {
            "gross": self.traded.gross,
            "fees": self.traded.fees,
            "adverse_60s": self.adverse[NET_HORIZON_S],
        }
        return min(taken, key=taken.__getitem__)


def signed_lots(instrument: Instrument, row: FillRow) -> int:
    """Positive = bought."""
    lots = round(row.qty / instrument.lot)
    return lots if row.side == "buy" else -lots
