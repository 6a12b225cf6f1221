"""What the strategy wants: resting orders that do not exist yet."""

import msgspec

from mmbot.model.instrument import Side
from mmbot.units import Lots, Ticks

Slot = int
"""Names the place of a quote: level + 1, positive for bids and negative for asks. One order of ours a slot.
"""


class Quote(msgspec.Struct, frozen=True, gc=False):
    """A wanted resting order. `level` 0 is the closest to the touch."""

    side: Side
    level: int
    tick: Ticks
    lots: Lots

    @property
    def slot(self) -> Slot:
        return self.side * (self.level + 1)
