"""What a live run makes of its settings: no more than the venue takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS, linear

from mmbot.risk.throttle import Throttle, ThrottleSettings
from mmbot.runtime.trade_run import within_budget
from mmbot.units import MS, Ns
from mmbot.venues.bybit.budget import Budget, BudgetSettings
from mmbot.venues.bybit.orders import Operation, OrderRequest

TICK_NS = 100 * MS
BTC = linear()


@pytest.mark.parametrize(
    ("written", "orders_per_s", "held"),
    [((40, 20), 10, (20, 10)), ((40, 20), 60, (40, 20)), ((8, 3), 10, (8, 3)), ((40, 5), 10, (15, 5))],
)
def test_the_throttle_is_the_lesser_of_what_is_written_and_what_the_venue_takes(
    written: tuple[int, int], orders_per_s: int, held: tuple[int, int]
) -> None:
    assert within_budget(ThrottleSettings(*written), orders_per_s) == ThrottleSettings(*held)


WANTED = st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(0, 8))


@given(st.lists(WANTED, max_size=60), st.integers(1, 60), st.integers(0, 60))
def test_no_create_and_no_amend_that_the_throttle_lets_pass_is_one_too_many_for_the_venue(
    wanted: list[tuple[int, int, int]], messages: int, reserved: int
) -> None:
    """Ticks that ask for so many cancels, amends and creates; the venue counts by itself."""
    throttle = Throttle(within_budget(ThrottleSettings(messages, min(reserved, messages)), 10))
    budget = Budget(BudgetSettings())
    for number, (cancels, amends, creates) in enumerate(wanted):
        now_ns = Ns(START_NS + number * TICK_NS)
        room = throttle.room(now_ns, BTC.key, cancels)
        amended = min(amends, room.creates)
        created = min(creates, room.creates - amended)
        throttle.spent(now_ns, room.cancels + amended + created)
        for operation, count in ((Operation.AMEND, amended), (Operation.CREATE, created)):
            assert budget.order_room("linear", operation, now_ns, http=False) >= count
            budget.spend(OrderRequest(operation, "linear", BTC.key, ("x",) * count, ""), now_ns, http=False)
