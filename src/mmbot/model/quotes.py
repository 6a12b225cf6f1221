"""What the strategy wants: resting orders that do not exist yet."""

from typing import NamedTuple

from mmbot.model.instrument import Side
from mmbot.units import Lots, Ticks


class Quote(NamedTuple):
    """A wanted resting order. `level` 0 is the closest to the touch; (side, level) names its slot."""

    side: Side
    level: int
    tick: Ticks
    lots: Lots
