"""The market of one symbol as a kernel keeps it: the promises of `book.market.Market` over compiled state.

Nothing is worked out here; numbers are read out of the kernel's block. Orders are numbers inside the kernel
and client ids outside.
"""

import math

from mmbot.book.cache import MdCacheSettings, Read
from mmbot.book.market import FeatureSettings
from mmbot.book.measures import PricedView
from mmbot.book.microprice import Transitions
from mmbot.kernels import layout as L  # noqa: N812 (a block of constants)
from mmbot.kernels.context import Context
from mmbot.model.instrument import Side
from mmbot.model.orders import order_number
from mmbot.units import MS, SECOND

_READS = (Read.HIT, Read.STALE, Read.MISS)
"""By `layout.HIT`, STALE, MISS."""


def local_settings(
    cache: MdCacheSettings, features: FeatureSettings
) -> tuple[dict[int, int], dict[int, float]]:
    """What our half of a kernel is told: its integers and its floats, by their place in `layout`."""
    ints = {L.DEPTH_TICKS: features.depth_ticks, **_cache_rules(cache)}
    floats = {
        L.VOL_HALFLIFE_NS: features.volatility_halflife_s * SECOND,
        L.FAST_DEPTH_HALFLIFE_NS: features.liquidity_fast_halflife_s * SECOND,
        L.DEPTH_HALFLIFE_NS: features.liquidity_halflife_s * SECOND,
        L.RATE_HALFLIFE_NS: features.trade_rate_halflife_s * SECOND,
    }
    return ints, floats


def _cache_rules(cache: MdCacheSettings) -> dict[int, int]:
    return {
        L.SILENCE_NS: math.floor(cache.invalidate_on_ws_gap_ms * MS),
        L.TTL_NS: math.floor(cache.ttl_ms * MS),
        L.STALE_OK: int(cache.stale_ok),
    }


class CompiledMarket:
    """Reads one kernel, which follows our queue places by itself: answers pass through it. It knows an order
    by the number at the end of its client id.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._c = context.c
        self._f = context.f
        self._priced: PricedView | None = None
        self.transitions = Transitions(context.counts)
        self.view: PricedView | None = None
        self.age_ns: int | None = None
        self.volatility_bps: float | None = None
        self.liquidity_score = 0.0

    @property
    def synced(self) -> bool:
        return bool(self._c[L.LOCAL_SYNCED])

    @property
    def updates(self) -> int:
        count: int = self._c[L.UPDATES]
        return count

    @property
    def mid_x2(self) -> int | None:
        bid, ask = self._c[L.LOCAL_BEST_BID], self._c[L.LOCAL_BEST_ASK]
        return None if bid < 0 or ask >= self._c[L.SPAN] else bid + ask + 2 * self._c[L.BASE]

    @property
    def touch(self) -> tuple[int, int]:
        """Best bid and ask in ticks, crossed or not."""
        base = self._c[L.BASE]
        return self._c[L.LOCAL_BEST_BID] + base, self._c[L.LOCAL_BEST_ASK] + base

    def reconfigure(self, cache: MdCacheSettings) -> None:
        for place, value in _cache_rules(cache).items():
            self._c[place] = value

    def observe(self, now_ns: int) -> Read:
        c, f = self._c, self._f
        found = self._context.observe(now_ns)
        age_ns = c[L.AGE_NS]
        self.age_ns = None if age_ns < 0 else age_ns
        if found & L.VIEWED:
            if found & L.CHANGED:
                self._priced = PricedView(
                    c[L.BID], c[L.ASK], c[L.BID_LOTS], c[L.ASK_LOTS], c[L.DEPTH_LOTS]
                )  # fmt: skip
            self.view = self._priced
            self.transitions.state, self.transitions.seen = c[L.STATE], c[L.SEEN]
            self.liquidity_score = f[L.LIQUIDITY_SCORE]
            self.volatility_bps = None if f[L.VARIANCE] < 0 else f[L.VOLATILITY_BPS]
        else:
            self.view = None
        return _READS[found & L.READ_MASK]

    def displayed(self, side: Side, tick: int) -> int:
        return self._context.displayed(side, tick)

    def rest(self, client_id: str, side: Side, tick: int) -> None:
        """The kernel has seen the acknowledgement."""

    def gone(self, client_id: str) -> None:
        """The kernel has seen that, too."""

    def ahead_lots(self, client_id: str) -> int | None:
        return self._context.ahead_lots(order_number(client_id))

    def trade_rate(self, now_ns: int, side: Side) -> float:
        rate, stamp = (L.BUY_RATE, L.BUY_RATE_NS) if side is Side.BUY else (L.SELL_RATE, L.SELL_RATE_NS)
        age_ns = now_ns - self._c[stamp]
        return self._f[rate] * math.exp2(-age_ns / self._f[L.RATE_HALFLIFE_NS])
