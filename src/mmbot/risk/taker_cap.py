"""Taker cap: how much of what we trade may take, over a rolling window, by notional and by count.

An order that could take is refused when, taken whole, it would lift either share above the cap. Post-only
orders are never refused: the cap is kept by making more, not by trading less. Notionals are counted in whole
lots times ticks (lots alone for an inverse contract), exactly, since shares need no unit.
"""

from collections import deque

import msgspec

from mmbot.model.instrument import Contract, Instrument
from mmbot.units import SECOND

_PERCENT = 100.0


class TakerCapSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`min_fills`: fewer in the window are no share, and nothing is refused."""

    max_taker_share_pct: float
    window_s: float
    min_fills: int


class TakerCap:
    """Fills of one symbol. Where each symbol keeps the cap, so does the bot."""

    __slots__ = ("_fills", "_inverse", "_settings", "_taken", "_takes", "_traded", "_window_ns")

    def __init__(self, settings: TakerCapSettings, instrument: Instrument) -> None:
        self.reconfigure(settings)
        self._inverse = instrument.contract is Contract.INVERSE
        self._fills: deque[tuple[int, int, bool]] = deque()
        """(when we learned of it, notional, did it take), oldest first."""
        self._traded = 0
        self._taken = 0
        self._takes = 0

    def reconfigure(self, settings: TakerCapSettings) -> None:
        """From the next order on. What has left a shorter window does not come back into a longer one."""
        self._settings = settings
        self._window_ns = round(settings.window_s * SECOND)

    def filled(self, now_ns: int, tick: int, lots: int, *, maker: bool) -> None:
        notional = self._notional(tick, lots)
        self._fills.append((now_ns, notional, not maker))
        self._traded += notional
        if not maker:
            self._taken += notional
            self._takes += 1
        self._forget(now_ns)

    def refusal(self, now_ns: int, tick: int, lots: int) -> str | None:
        """Why an order that could take may not go out; None if it may."""
        settings = self._settings
        self._forget(now_ns)
        if len(self._fills) < settings.min_fills:
            return None
        notional = self._notional(tick, lots)
        by_notional = (self._taken + notional) / (self._traded + notional) * _PERCENT
        by_count = (self._takes + 1) / (len(self._fills) + 1) * _PERCENT
        share, by = max((by_notional, "notional"), (by_count, "count"))
        if share > settings.max_taker_share_pct:
            return f"taker_cap: {share:.1f} % of the {by} would be taken > {settings.max_taker_share_pct:g} %"
        return None

    def taker_ratio(self, now_ns: int) -> float | None:
        """Share of the window's fills that took, the larger of by notional and by count; None where they are
        too few for a share.
        """
        self._forget(now_ns)
        if not self._fills or len(self._fills) < self._settings.min_fills:
            return None
        return max(self._taken / self._traded, self._takes / len(self._fills))

    def _notional(self, tick: int, lots: int) -> int:
        return lots if self._inverse else lots * tick

    def _forget(self, now_ns: int) -> None:
        """Let go of fills that have left the window."""
        fills, first_ns = self._fills, now_ns - self._window_ns
        while fills and fills[0][0] <= first_ns:
            _, notional, took = fills.popleft()
            self._traded -= notional
            if took:
                self._taken -= notional
                self._takes -= 1
