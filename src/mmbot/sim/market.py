"""A seeded synthetic market: one instrument's book messages and trades, for runs that need no capture.

Synthetic, and never called recorded. The defaults are round numbers of the right order for a liquid perpetual
whose tick is about 1 bps; `mmbot.sim.market_fit` finds settings that resemble a capture, and
`docs/synthetic-market.md` shows how far they do. Use it to exercise a bot, not to estimate what it would
earn.

**Fair price.** A latent price does a random walk of its logarithm, `volatility_bps_per_sqrt_min`, whose
volatility clusters: its own logarithm is a mean-reverting normal (`volatility_log_sigma`,
`volatility_half_life_s`). Trading grows with volatility, and so does the edge that providers ask for. It
stops at half and at twice its start. Takers move it too, so the mid moves more than the walk alone. It can be
made to gather unseen: then it becomes known only in a share of the intervals (`price_move_ratio`) and through
a share of the orders (`reveal_ratio`), and the book moves seldom, far, and after trades.

**Takers.** Market orders arrive at random, `trades_per_s` on average, more in busy times (`activity_*`); a
share of them (`burst_ratio`) follows another after a lognormal wait. An informed one (`informed_ratio`, and
whoever reveals the price) trades where the book is wrong: against quotes on the far side of the fair price,
and no more than those; of what a stale level shows, `stale_share_ratio` is still there when it comes. With
nothing to gain it trades like the rest. The rest are uninformed: their side persists in runs
(`run_persistence_ratio`), and each moves the fair price for good, by `impact_bps` times the share of a
typical touch that it took, to `impact_power`. With `impact_volatility_power` an order moves it the further
the more volatile the time is, by that power of the volatility against its middle: with 1 as in Kyle,
"Continuous auctions and insider trading" (Econometrica 53, 1985), whose price impact is proportional to
volatility. Sizes are lognormal; a large order sweeps up to `sweep_levels` levels and prints one trade for
each, or one for each maker it met there (`maker_lots_*`). Informed orders and lasting impact are the adverse
selection that a maker pays for: over a day with the defaults, 5 s later the mid has gone 1.0 of the 2.2 bps
against the maker that the trades, weighted by size, were away from the mid.

**Providers.** They act once a message interval, after the takers, on the fair price of `provider_delay_ms`
ago. Quotes with less than half of the asked edge left are stale: the best of them is pulled with
`pull_ratio`, and if it was, the next. With `improve_ratio` somebody betters the best price where that leaves
the asked edge (`provider_edge_ticks`), by at least `improve_room_ratio` of what there is room for; so the
spread is one or two ticks in calm times and wider after a move and in volatile ones. A `follow_ratio` of
those who were pulled, or are left behind by a better price in greater numbers than usual there, stand at the
new best price. `level_changes_per_message` arrivals and cancels (more in busy times, and unevenly, by
`level_changes_dispersion`), mostly near the touch (`near_*`, the rest over `far_ticks`), draw each queue
towards its typical size, which is the touch's times the `depth_shape` at that distance: what was eaten at the
touch fills again, and the touch that is about to go stale thins out. Only a `new_level_ratio` of arrivals at
an empty price stay. A level that is uncovered at the deep end has a fresh size and stands a few ticks behind
the last (`gap_stop_ratio`: the chance of each tick to be it).

**Messages.** A snapshot, then one delta each `message_interval_ms`, give or take `message_jitter_ms`, in
which anything changed, with exactly `depth_levels` levels a side after each and the deletes of those that
fell out, as Bybit sends them. The first message at or after each UTC midnight is a snapshot again, so that a
day can be played by itself. Update ids rise by one. A trade carries the time of its match in whole
milliseconds and comes before the delta that shows its effect; as nothing is added to the book before that
delta, and it states every level that traded, trades between two messages never exceed what the book showed.
`recv_ns` is `exch_ns` plus a latency between `latency_min_ms` and `latency_max_ms`, mostly near the least,
and strictly rises.

Left out: RPI and block trades, iceberg orders, auctions, price gaps by news, gaps and faults of the feed, any
reaction to our own orders.

Deterministic for (settings, seed, start) on one machine and one numpy. Each quantity is drawn from a
generator of its own, in blocks; nothing that was told is kept, so memory does not grow with length.
"""

import math
from collections.abc import Callable, Iterator

from mmbot.model.events import BookDelta, BookSnapshot, Trade
from mmbot.sim.market_draws import Draws
from mmbot.sim.market_flow import Flow
from mmbot.sim.market_settings import MarketSettings
from mmbot.units import DAY, MS, Lots, Ns, Ticks

__all__ = ["MarketSettings", "SyntheticMarket"]

_FIRST_UPDATE_ID = 10_000_001


class SyntheticMarket:
    """The market of (settings, seed) that opens at `start_ns`, a whole millisecond."""

    def __init__(self, settings: MarketSettings, seed: int, start_ns: Ns) -> None:
        if start_ns % MS:
            raise ValueError(f"start_ns was {start_ns}, expected whole milliseconds")
        self.settings = settings
        self.seed = seed
        self.start_ns = start_ns

    def events(self) -> Iterator[BookSnapshot | BookDelta | Trade]:
        """All of it in venue time; every call starts anew and tells the same."""
        draws = Draws(self.settings, self.seed)
        flow = Flow(self.settings, draws)
        received = _receive(self.start_ns, draws.latency_ns)
        symbol, interval_ms = self.settings.symbol, self.settings.message_interval_ms
        update_id = _FIRST_UPDATE_ID
        bids, asks = flow.changes()
        yield BookSnapshot(symbol, self.start_ns, received(self.start_ns), bids, asks, update_id)
        opened_ns, last_ns = int(self.start_ns), self._end_ns
        midnights = iter(self.midnights)
        snapshot_ns = next(midnights, math.inf)
        while (closed_ns := opened_ns + (wait_ms := interval_ms + next(draws.jitter_ms)) * MS) <= last_ns:
            for taken in flow.takers(wait_ms):
                exch_ns = Ns(opened_ns + taken.offset_ms * MS)
                yield Trade(
                    symbol, exch_ns, received(exch_ns), taken.side, Ticks(taken.tick), Lots(taken.lots)
                )
            flow.providers()
            bids, asks = flow.changes()
            opened_ns = closed_ns
            exch_ns = Ns(closed_ns)
            if closed_ns >= snapshot_ns:
                snapshot_ns = next(midnights, math.inf)
                update_id += 1
                yield BookSnapshot(symbol, exch_ns, received(exch_ns), *flow.book(), update_id)
            elif bids or asks:
                update_id += 1
                yield BookDelta(symbol, exch_ns, received(exch_ns), bids, asks, update_id)

    @property
    def midnights(self) -> range:
        """UTC midnights, ns, after the start and with a message interval to come: at each the book is told
        again.
        """
        longest_ns = (self.settings.message_interval_ms + self.settings.message_jitter_ms) * MS
        return range((self.start_ns // DAY + 1) * DAY, self._end_ns - longest_ns + 1, DAY)

    @property
    def _end_ns(self) -> int:
        return self.start_ns + int(self.settings.duration_s * 1_000) * MS


def _receive(start_ns: Ns, latency_ns: Iterator[int]) -> Callable[[Ns], Ns]:
    """Venue time -> our time: a latency for each message, and one connection, so that nothing overtakes."""
    last = start_ns

    def received(exch_ns: Ns) -> Ns:
        nonlocal last
        last = Ns(max(last + 1, exch_ns + next(latency_ns)))
        return last

    return received
