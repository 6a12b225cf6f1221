"""md_cache: hit, stale and miss as stated, at and around every bound."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS

from mmbot.book.cache import MdCache, MdCacheSettings, Read
from mmbot.units import MS

SETTINGS = MdCacheSettings(
    ttl_ms=250,
    fresh_ms_for_pricing=1_000,
    invalidate_on_ws_gap_ms=5_000,
    stale_ok=True,
    max_inflight_refresh=1,
    refresh_retry_ms=1_000,
)
STRICT = msgspec.structs.replace(SETTINGS, stale_ok=False)


def synced(settings: MdCacheSettings = SETTINGS) -> MdCache:
    cache = MdCache(settings)
    cache.sync(START_NS)
    return cache


@pytest.mark.parametrize(
    ("age_ns", "served", "strict"),
    [
        (0, Read.HIT, Read.HIT),
        (250 * MS, Read.HIT, Read.HIT),
        (250 * MS + 1, Read.STALE, Read.MISS),
        (5_000 * MS, Read.STALE, Read.MISS),
        (5_000 * MS + 1, Read.MISS, Read.MISS),
    ],
)
def test_a_synced_book_reads_by_its_age(age_ns: int, served: Read, strict: Read):
    assert synced().read(START_NS + age_ns) is served
    assert synced(STRICT).read(START_NS + age_ns) is strict


def test_a_book_that_never_synced_is_a_miss_however_alive_the_connection_is():
    cache = MdCache(SETTINGS)
    cache.confirm(START_NS)
    assert cache.read(START_NS) is Read.MISS
    assert cache.age_ns is None


def test_an_invalidated_book_is_a_miss_until_the_next_snapshot():
    cache = synced()
    cache.invalidate()
    cache.confirm(START_NS)
    assert cache.read(START_NS) is Read.MISS
    cache.sync(START_NS + MS)
    assert cache.read(START_NS + MS) is Read.HIT


def test_silence_invalidates_and_a_late_frame_does_not_heal():
    cache = synced()
    assert cache.read(START_NS + 5_001 * MS) is Read.MISS
    cache.confirm(START_NS + 5_002 * MS)
    assert cache.read(START_NS + 5_002 * MS) is Read.MISS
    cache.sync(START_NS + 5_003 * MS)
    assert cache.read(START_NS + 5_003 * MS) is Read.HIT


def test_too_old_with_stale_ok_off_is_a_miss_that_a_frame_heals():
    cache = synced(STRICT)
    assert cache.read(START_NS + 300 * MS) is Read.MISS
    cache.confirm(START_NS + 301 * MS)
    assert cache.read(START_NS + 301 * MS) is Read.HIT


def test_an_idle_market_on_a_live_connection_stays_a_hit():
    cache = synced()
    for step in range(1, 200):
        cache.confirm(START_NS + step * 100 * MS)
        assert cache.read(START_NS + step * 100 * MS) is Read.HIT


@given(st.integers(0, 6_000 * MS))
def test_the_age_is_the_time_since_the_last_confirmation(age_ns: int):
    cache = synced()
    cache.confirm(START_NS + MS)
    read = cache.read(START_NS + MS + age_ns)
    assert cache.age_ns == (None if read is Read.MISS else age_ns)


def test_a_miss_has_no_age_even_after_a_hit():
    cache = synced()
    cache.read(START_NS)
    cache.invalidate()
    cache.read(START_NS)
    assert cache.age_ns is None
