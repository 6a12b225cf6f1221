"""Edge added up over fills: of a run, of an interval, of anything that fills can be told apart by.

Memory does not grow with the fills: kept are sums. What inventory did is known only at the end, but it is
linear in the lots, so that two sums tell it at any last mid.
"""

from collections import Counter

from mmbot.edge.fill import HORIZONS_S, FillEdge, Leg
from mmbot.model.instrument import Instrument
from mmbot.units import BPS


class Weighted:
    """A figure over the fills that have it."""

    __slots__ = ("fills", "settled", "weight")

    def __init__(self) -> None:
        self.fills = 0
        self.settled = 0.0
        self.weight = 0.0

    def add(self, settled: float, weight: float) -> None:
        """Both in settlement currency."""
        self.fills += 1
        self.settled += settled
        self.weight += weight

    @property
    def bps(self) -> float | None:
        """Mean by weight; None over no fills."""
        return BPS * self.settled / self.weight if self.fills else None


class Decomposition:
    """The legs of fills that have a net, each over the same fills, so that they add up. A horizon shorter
    than that of net, and slippage, may be missing for some of them.
    """

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self.gross, self.fees, self.net, self.slippage = Weighted(), Weighted(), Weighted(), Weighted()
        self.adverse = {seconds: Weighted() for seconds in HORIZONS_S}
        self.drivers: Counter[Leg] = Counter()
        """Of the fills that lost: how many each component drove."""
        self._lots = 0
        self._worth = 0.0
        """Of the lots when their net was known."""

    def add(self, fill: FillEdge, worth: float) -> None:
        """`worth`: of a lot at the horizon of net."""
        traded, weight = fill.traded, fill.traded.weight
        self.gross.add(traded.gross, weight)
        self.fees.add(traded.fees, weight)
        self.net.add(fill.net, weight)
        for seconds, settled in fill.adverse.items():
            self.adverse[seconds].add(settled, weight)
        if traded.slippage is not None:
            self.slippage.add(traded.slippage, weight)
        if fill.driver is not None:
            self.drivers[fill.driver] += 1
        self._lots += traded.lots
        self._worth += traded.lots * worth

    @property
    def fills(self) -> int:
        return self.net.fills

    def inventory(self, last_mid: float) -> float:
        """Settlement currency."""
        return self._lots * self._instrument.worth(last_mid) - self._worth

    def pnl(self, last_mid: float) -> float:
        """Settlement currency."""
        return self.net.settled + self.inventory(last_mid)

    def bps(self, settled: float) -> float:
        """Of a sum over the fills of this decomposition, of which there is at least one."""
        return BPS * settled / self.net.weight
