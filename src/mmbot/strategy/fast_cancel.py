"""fast_cancel: when the mid jumps towards our orders of a side, that side is empty for a while.

The engine acts at ticks, so a spike is judged at ticks: a move of the mid by `move_bps` or more since the
tick before, where both had a book to quote from (without one, every order was pulled anyway). Down it is
against bids, up against asks. From that tick on, and for `hold_ms`, the side wants no quote: what rests there
is cancelled at once, whatever the aligner would tolerate and however slowly the spread may move, before any
other cancel and every create; and nothing new goes where the next print is likely to be. The other side
quotes on. A further spike starts the hold anew.

The mid, and not an estimated fair value: an estimate that is fitted anew must not pull orders by itself.
"""

import msgspec

from mmbot.model.instrument import Side
from mmbot.units import BPS, MS


class FastCancelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    move_bps: float
    hold_ms: float


class FastCancel:
    """Spikes of one symbol. `held`: sides that want no quote; `spiked_ns`, `spiked_bps`: when the last spike
    was, and how far it went, signed. Needs no call while the mid stands still and nothing is held.
    """

    __slots__ = ("_hold_ns", "_move", "_until_ns", "held", "mid_x2", "spiked_bps", "spiked_ns")

    def __init__(self, settings: FastCancelSettings) -> None:
        self.reconfigure(settings)
        self._until_ns: dict[Side, float] = {}
        self.held: tuple[Side, ...] = ()
        self.mid_x2 = 0
        """Best bid + best ask in ticks at the last tick; 0 without a book to quote from."""
        self.spiked_ns = 0
        self.spiked_bps = 0.0

    def reconfigure(self, settings: FastCancelSettings) -> None:
        """From the next tick on. A side that is held stays so as long as it was to be."""
        self._move = settings.move_bps / BPS
        self._hold_ns = settings.hold_ms * MS

    def __call__(self, now_ns: int, mid_x2: int) -> None:
        """Take the mid of this tick; 0 without a book to quote from."""
        last_x2, self.mid_x2 = self.mid_x2, mid_x2
        moved_x2, spike_x2 = mid_x2 - last_x2, last_x2 * self._move
        if -spike_x2 < moved_x2 < spike_x2:
            if not self.held:
                return
        elif last_x2 and mid_x2:
            self.spiked_ns, self.spiked_bps = now_ns, moved_x2 / last_x2 * BPS
            self._until_ns[Side.SELL if moved_x2 > 0 else Side.BUY] = now_ns + self._hold_ns
        self.held = tuple(side for side in Side if now_ns < self._until_ns.get(side, 0))

    def calm_reach_x2(self, mid_x2: int) -> float:
        """How far from here twice the mid may be, either way, so that no move in between is a spike."""
        return 0.999 * mid_x2 / (2.0 / self._move + 1.0)
