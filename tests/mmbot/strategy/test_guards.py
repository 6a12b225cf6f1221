"""Guards: what fires, how hard, how long it holds, and that SOFT is never bolder than NONE."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS

from mmbot.strategy.guards import Guards, GuardSettings, Level
from mmbot.units import MS, SECOND

SETTINGS = GuardSettings(
    soft_volatility_bps=3.0,
    hard_volatility_bps=8.0,
    soft_inventory_ratio=0.7,
    soft_widen_ratio=1.5,
    soft_size_ratio=0.5,
    recovery_s=5,
)
FRESH_MS = 1_000.0


def assess(
    guards: Guards,
    at_s: float = 0.0,
    *,
    age_ns: int | None = 0,
    volatility_bps: float | None = None,
    inventory_ratio: float = 0.0,
    priced: bool = True,
) -> tuple[Level, tuple[str, ...]]:
    now_ns = START_NS + round(at_s * SECOND)
    level = guards(now_ns, age_ns, volatility_bps, inventory_ratio, priced=priced)
    assert level is guards.level
    return level, guards.reasons


@pytest.fixture
def guards() -> Guards:
    return Guards(SETTINGS, FRESH_MS)


def test_a_fresh_calm_flat_book_has_no_reason(guards: Guards):
    assert assess(guards) == (Level.NONE, ())


@pytest.mark.parametrize(
    ("seen", "level", "reason"),
    [
        ({"age_ns": None}, Level.HARD, "stale"),
        ({"age_ns": 1_000 * MS + 1}, Level.HARD, "stale"),
        ({"priced": False}, Level.HARD, "no_book"),
        ({"volatility_bps": 3.0}, Level.SOFT, "volatility"),
        ({"volatility_bps": 7.99}, Level.SOFT, "volatility"),
        ({"volatility_bps": 8.0}, Level.HARD, "volatility"),
        ({"inventory_ratio": 0.7}, Level.SOFT, "inventory"),
        ({"inventory_ratio": -0.7}, Level.SOFT, "inventory"),
        ({"inventory_ratio": 4.0}, Level.SOFT, "inventory"),
    ],
    ids=str,
)
def test_each_reason_fires_alone_at_its_bound(guards: Guards, seen: dict, level: Level, reason: str):
    assert assess(guards, **seen) == (level, (reason,))


@pytest.mark.parametrize(
    "seen", [{"age_ns": 1_000 * MS}, {"volatility_bps": 2.99}, {"inventory_ratio": 0.69}], ids=str
)
def test_below_its_bound_nothing_fires(guards: Guards, seen: dict):
    assert assess(guards, **seen) == (Level.NONE, ())


def test_the_hardest_reason_decides_and_all_are_named(guards: Guards):
    found = assess(guards, age_ns=None, volatility_bps=4.0, inventory_ratio=0.9, priced=False)
    assert found == (Level.HARD, ("inventory", "no_book", "stale", "volatility"))


def test_a_reason_holds_until_it_was_quiet_for_its_recovery(guards: Guards):
    assess(guards, volatility_bps=4.0)
    assert assess(guards, 5.0) == (Level.SOFT, ("volatility",))
    assert assess(guards, 5.001) == (Level.NONE, ())


def test_a_reason_that_fires_again_starts_its_recovery_anew(guards: Guards):
    assess(guards, volatility_bps=4.0)
    assess(guards, 4.0, volatility_bps=4.0)
    assert assess(guards, 8.9)[0] is Level.SOFT
    assert assess(guards, 9.1)[0] is Level.NONE


def test_hard_volatility_stays_hard_through_its_recovery_and_does_not_flicker(guards: Guards):
    assert assess(guards, volatility_bps=8.1)[0] is Level.HARD
    assert assess(guards, 0.1, volatility_bps=7.9)[0] is Level.HARD
    assert assess(guards, 5.0, volatility_bps=7.9)[0] is Level.HARD
    assert assess(guards, 5.1, volatility_bps=7.9) == (Level.SOFT, ("volatility",))


@pytest.mark.parametrize("seen", [{"age_ns": None}, {"priced": False}], ids=str)
def test_a_book_that_is_back_is_quoted_at_once(guards: Guards, seen: dict):
    assess(guards, **seen)
    assert assess(guards, 0.1) == (Level.NONE, ())


@given(
    st.lists(
        st.tuples(
            st.floats(0.01, 7),
            st.sampled_from([None, 0, 2_000 * MS]),
            st.sampled_from([None, 1.0, 4.0, 9.0]),
            st.sampled_from([0.0, -0.9, 1.2]),
            st.booleans(),
        ),
        max_size=20,
    ),
    st.floats(0.1, 50),
)
def test_no_history_makes_a_quote_tighter_or_larger_than_without_guards(
    path: list[tuple[float, int | None, float | None, float, bool]], half_spread_bps: float
):
    guards, at_s = Guards(SETTINGS, FRESH_MS), 0.0
    for elapsed_s, age_ns, volatility_bps, inventory_ratio, priced in path:
        at_s += elapsed_s
        assess(
            guards,
            at_s,
            age_ns=age_ns,
            volatility_bps=volatility_bps,
            inventory_ratio=inventory_ratio,
            priced=priced,
        )
        assert guards.half_spread_bps(half_spread_bps) >= half_spread_bps
        assert 0 < guards.size_ratio() <= 1
        assert (guards.level is Level.NONE) == (guards.reasons == ())


def test_soft_widens_and_shrinks_by_its_ratios(guards: Guards):
    assess(guards, inventory_ratio=0.8)
    assert guards.half_spread_bps(4.0) == 6.0
    assert guards.size_ratio() == 0.5
