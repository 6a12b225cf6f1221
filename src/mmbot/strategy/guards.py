"""Stage 3, guards: NONE, SOFT or HARD, with named reasons. SOFT widens and shrinks, HARD pulls both quotes.

A reason that has fired holds at its level until that level has been quiet for `recovery_s`, so that a quote
does not flicker around a threshold, the hard one included.
"""

import math
from enum import IntEnum

import msgspec

from mmbot.units import MS, SECOND


class GuardSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    soft_volatility_bps: float
    hard_volatility_bps: float
    soft_inventory_ratio: float
    soft_widen_ratio: float
    soft_size_ratio: float
    recovery_s: float


class Level(IntEnum):
    NONE = 0
    SOFT = 1
    HARD = 2


_NONE = Level.NONE


class Guards:
    """Assessment of one symbol. `level` and `reasons` are of the last call."""

    __slots__ = ("_fresh_ns", "_held", "_recovery_ns", "_settings", "level", "reasons")

    def __init__(self, settings: GuardSettings, fresh_ms_for_pricing: float) -> None:
        self.reconfigure(settings, fresh_ms_for_pricing)
        self._held: dict[tuple[str, Level], int] = {}
        """When each reason last fired at each level."""
        self.level = Level.NONE
        self.reasons: tuple[str, ...] = ()

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
        ):
            return _NONE  # nearly every tick: nothing fires and nothing is held
        if age_ns is None or age_ns > self._fresh_ns:
            self._hold("stale", now_ns, Level.HARD)
        if not priced:
            self._hold("no_book", now_ns, Level.HARD)
        if volatility_bps is not None and volatility_bps >= soft_bps:
            hard = volatility_bps >= settings.hard_volatility_bps
            self._hold("volatility", now_ns, Level.HARD if hard else Level.SOFT)
        if abs(inventory_ratio) >= soft_ratio:
            self._hold("inventory", now_ns, Level.SOFT)
        return self._settle(now_ns)

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

    def half_spread_bps(self, half_spread_bps: float) -> float:
        """Never tighter than without the guard."""
        return (
            half_spread_bps * self._settings.soft_widen_ratio if self.level is Level.SOFT else half_spread_bps
        )

    def size_ratio(self) -> float:
        """Share of the full size to quote; never above one."""
        return self._settings.soft_size_ratio if self.level is Level.SOFT else 1.0

    def _hold(self, reason: str, now_ns: int, level: Level) -> None:
        self._held[reason, level] = now_ns

    def _settle(self, now_ns: int) -> Level:
        """Let go of reasons that recovered; a missing book recovers at once when it is back."""
        for (reason, level), since_ns in list(self._held.items()):
            quiet_ns = now_ns - since_ns
            if quiet_ns > self._recovery_ns or (quiet_ns > 0 and reason in ("stale", "no_book")):
                del self._held[reason, level]
        self.level = max((level for _, level in self._held), default=Level.NONE)
        self.reasons = tuple(sorted({reason for reason, _ in self._held}))
        return self.level
