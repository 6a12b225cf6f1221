"""Stage 3, guards: NONE, SOFT or HARD, with named reasons. SOFT widens and shrinks, HARD pulls both quotes.

| reason | of what | SOFT | HARD |
|---|---|---|---|
| `volatility` | short-window volatility of the mid | yes | yes |
| `latency` | round trips of our orders, latencies of the shell (`strategy.vitals`) | yes | yes |
| `pnl` | drawdown of the marked profit | yes | yes |
| `takers` | share of our recent fills that took | yes | yes |
| `resyncs` | times that the book broke lately | no | yes: the `hard_resyncs`-th in the window |
| `inventory` | position as a share of its cap | yes | no: pulling both quotes would keep the position |
| `stale` | age of the book, or no book to serve | no | yes |
| `crossed` | the book crossed, and has not come whole since | no | yes |
| `no_book` | any other book without two sides | no | yes |
| `switch` | another configuration takes this symbol over (`experiment.arms`) | no | yes |

SOFT for `inventory` alone is about one side: the quotes that would add to the position widen and shrink, and
the others stand as without a guard, or the guard would keep the position that it is there to get rid of.

A reason fires at its threshold and stays up until it has been below `clear_ratio` of that threshold for
`recovery_s`, at each level by itself, so that a quote does not flicker around a threshold, the hard one
included. A book's own reasons, and a switch, end with their cause.
"""

import math
from enum import IntEnum

import msgspec

from mmbot.model.instrument import Side
from mmbot.strategy.vitals import Vitals
from mmbot.units import MS, SECOND


class GuardSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    soft_volatility_bps: float
    hard_volatility_bps: float
    soft_latency_ms: float
    hard_latency_ms: float
    soft_drawdown_quote: float
    hard_drawdown_quote: float
    soft_taker_ratio: float
    hard_taker_ratio: float
    hard_resyncs: float
    soft_inventory_ratio: float
    soft_widen_ratio: float
    soft_size_ratio: float
    clear_ratio: float
    recovery_s: float


class Level(IntEnum):
    NONE = 0
    SOFT = 1
    HARD = 2


_NONE = Level.NONE
_INVENTORY = ("inventory",)
_END_WITH_CAUSE = ("stale", "crossed", "no_book", "switch")


class Guards:
    """Assessment of one symbol. `level`, `reasons` and `spared` are of the last call."""

    __slots__ = ("_fresh_ns", "_held", "_recovery_ns", "_settings", "level", "reasons", "spared")

    def __init__(self, settings: GuardSettings, fresh_ms_for_pricing: float) -> None:
        self.reconfigure(settings, fresh_ms_for_pricing)
        self._held: dict[tuple[str, Level], int] = {}
        """When each reason was last up at each level."""
        self.level = Level.NONE
        self.reasons: tuple[str, ...] = ()
        self.spared: Side | None = None
        """The side that SOFT leaves alone: the one that shrinks a position which is all that is wrong."""

    def reconfigure(self, settings: GuardSettings, fresh_ms_for_pricing: float) -> None:
        """From the next tick on. A reason that is held stays so for the (new) recovery time: it did fire."""
        self._settings = settings
        self._fresh_ns = fresh_ms_for_pricing * MS
        self._recovery_ns = settings.recovery_s * SECOND

    def __call__(
        self,
        now_ns: int,
        age_ns: int | None,
        volatility_bps: float | None,
        inventory_ratio: float,
        priced: bool,  # noqa: FBT001 (a keyword costs a tenth of the call)
        vitals: Vitals,
    ) -> Level:
        """`inventory_ratio`: signed position as a share of its cap; `priced`: there is a two-sided, uncrossed
        view.
        """
        settings = self._settings
        soft_bps, soft_ratio = settings.soft_volatility_bps, settings.soft_inventory_ratio
        if (
            priced
            and not self._held
            and age_ns is not None
            and age_ns <= self._fresh_ns
            and (volatility_bps is None or volatility_bps < soft_bps)
            and -soft_ratio < inventory_ratio < soft_ratio
            and vitals.calm
        ):
            return _NONE  # nearly every tick: nothing fires and nothing is held
        if age_ns is None or age_ns > self._fresh_ns:
            self._held["stale", Level.HARD] = now_ns
        if not priced:
            self._held["crossed" if vitals.crossed else "no_book", Level.HARD] = now_ns
        self._judge(now_ns, "volatility", volatility_bps, soft_bps, settings.hard_volatility_bps)
        self._judge(now_ns, "inventory", abs(inventory_ratio), soft_ratio, math.inf)
        self._judge(now_ns, "latency", vitals.latency_ms, settings.soft_latency_ms, settings.hard_latency_ms)
        self._judge(
            now_ns, "pnl", vitals.drawdown_quote, settings.soft_drawdown_quote, settings.hard_drawdown_quote
        )
        self._judge(
            now_ns, "takers", vitals.taker_ratio, settings.soft_taker_ratio, settings.hard_taker_ratio
        )
        self._judge(now_ns, "resyncs", vitals.resyncs, math.inf, settings.hard_resyncs)
        self._settle(now_ns)
        self.spared = _shrinking(inventory_ratio) if self.reasons == _INVENTORY else None
        return self.level

    def switching(self, now_ns: int) -> None:
        """Pull both quotes at the tick of this moment: the configuration changes hands."""
        self._held["switch", Level.HARD] = now_ns

    @property
    def calm(self) -> bool:
        """No reason is held."""
        return not self._held

    @property
    def calm_bps(self) -> float:
        """Volatility below which it is no reason."""
        return self._settings.soft_volatility_bps

    @property
    def soft_inventory_ratio(self) -> float:
        return self._settings.soft_inventory_ratio

    @property
    def fresh_ns(self) -> int:
        """Age up to which a book is not stale."""
        return math.floor(self._fresh_ns)

    def reasons_at(self, level: Level) -> tuple[str, ...]:
        """What is held at a level."""
        return tuple(sorted(reason for reason, held in self._held if held is level))

    def half_spread_bps(self, half_spread_bps: float) -> float:
        """Never tighter than without the guard."""
        return (
            half_spread_bps * self._settings.soft_widen_ratio if self.level is Level.SOFT else half_spread_bps
        )

    def size_ratio(self) -> float:
        """Share of the full size to quote; never above one."""
        return self._settings.soft_size_ratio if self.level is Level.SOFT else 1.0

    def _judge(self, now_ns: int, reason: str, value: float | None, soft: float, hard: float) -> None:
        """Up at its threshold, and while it is up, above its clear level."""
        if value is None:
            return
        held, clear_ratio = self._held, self._settings.clear_ratio
        for level, threshold in ((Level.SOFT, soft), (Level.HARD, hard)):
            bar = threshold * clear_ratio if (reason, level) in held else threshold
            if value >= bar:
                held[reason, level] = now_ns

    def _settle(self, now_ns: int) -> None:
        """Let go of reasons that recovered; those that end with their cause go at once."""
        for (reason, level), since_ns in list(self._held.items()):
            quiet_ns = now_ns - since_ns
            if quiet_ns > self._recovery_ns or (quiet_ns > 0 and reason in _END_WITH_CAUSE):
                del self._held[reason, level]
        self.level = max((level for _, level in self._held), default=Level.NONE)
        self.reasons = tuple(sorted({reason for reason, _ in self._held}))


def _shrinking(inventory_ratio: float) -> Side | None:
    """The side whose fills shrink a position; None of a flat one."""
    if inventory_ratio == 0.0:
        return None
    return Side.SELL if inventory_ratio > 0.0 else Side.BUY
