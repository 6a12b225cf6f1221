"""md_cache: may the book be priced from, and how old is it?

The book is push-fed, so age counts from the last *confirmation*: any frame of the connection, because an idle
market is not an old one and a dead stream is. A read is

* a **hit** when the book is in sync and its age is at most `ttl_ms`;
* **stale** when it is older but `stale_ok` lets it be served (pricing has its own bound,
  `fresh_ms_for_pricing`);
* a **miss** when it cannot be served: never synced, invalidated by a gap or a crossed book, silent for longer
  than `invalidate_on_ws_gap_ms`, or too old with `stale_ok` off. A miss asks the venue for a snapshot, once
  at a time per symbol and at most `max_inflight_refresh` over all symbols.

Deriving the numbers of a view from an in-sync book is part of a hit; its time is measured inside fetch_md.
"""

from enum import StrEnum

import msgspec

from mmbot.units import MS


class MdCacheSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ttl_ms: float
    fresh_ms_for_pricing: float
    invalidate_on_ws_gap_ms: float
    stale_ok: bool
    max_inflight_refresh: int
    refresh_retry_ms: float


class Read(StrEnum):
    HIT = "hit"
    STALE = "stale"
    MISS = "miss"


class MdCache:
    """Sync state and age of one symbol's book."""

    __slots__ = ("_confirmed_ns", "_silence_ns", "_stale_ok", "_ttl_ns", "age_ns", "synced")

    def __init__(self, settings: MdCacheSettings) -> None:
        self.reconfigure(settings)
        self._confirmed_ns = 0
        self.synced = False
        self.age_ns: int | None = None
        """Age found by the last read; None if it found no book."""

    def reconfigure(self, settings: MdCacheSettings) -> None:
        """From the next read on; what is believed and since when stays."""
        self._ttl_ns = settings.ttl_ms * MS
        self._silence_ns = settings.invalidate_on_ws_gap_ms * MS
        self._stale_ok = settings.stale_ok

    def confirm(self, now_ns: int) -> None:
        """A frame arrived on the connection."""
        self._confirmed_ns = now_ns

    def sync(self, now_ns: int) -> None:
        """The whole book arrived."""
        self._confirmed_ns = now_ns
        self.synced = True

    def invalidate(self) -> None:
        """The book cannot be believed until the next snapshot."""
        self.synced = False

    def read(self, now_ns: int) -> Read:
        """One read at this moment; `age_ns` says how old the book was."""
        self.age_ns = None
        if not self.synced:
            return Read.MISS
        age = now_ns - self._confirmed_ns
        if age > self._silence_ns:
            self.synced = False
            return Read.MISS
        self.age_ns = age
        if age <= self._ttl_ns:
            return Read.HIT
        return Read.STALE if self._stale_ok else Read.MISS
