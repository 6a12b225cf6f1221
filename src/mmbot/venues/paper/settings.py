"""What a paper exchange is told: who may trade, with how much, and how the venue's rules are set."""

from collections.abc import Mapping

import msgspec

from mmbot.sim.queue import QueueSettings
from mmbot.units import MS


class ApiKey(msgspec.Struct, frozen=True):
    """One account: its key and secret, and what it holds at first by coin."""

    key: str
    secret: str
    balances: Mapping[str, float]


class PaperSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`limit_factor` multiplies the venue's rate limits (VIP tiers have 2 to 6 times the plain ones).

    `race_ns`: a cancel that arrives so shortly after the last fill of its order is still accepted and loses
    its race, as on the venue; a later one is told that there is no such order. `bound_ratio`: how far from
    the best price a market order may take.
    """

    queue: QueueSettings = QueueSettings(model="risk_averse")
    leverage: float = 10.0
    limit_factor: int = 1
    race_ns: int = 20 * MS
    bound_ratio: float = 0.05
