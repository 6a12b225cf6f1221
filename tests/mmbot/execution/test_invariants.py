"""Every invariant of the order path can fail: each is broken here, and says so."""

import msgspec
import pytest
from tests.mmbot.builders import KEY, START_NS, linear

from mmbot.execution.invariants import InvariantError, Invariants
from mmbot.execution.lifecycle import Lifecycle, LifecycleSettings
from mmbot.execution.tracked import Phase
from mmbot.model.account import Execution
from mmbot.model.commands import CancelOrder, SubmitOrder
from mmbot.model.events import Fill
from mmbot.model.instrument import Side
from mmbot.units import SECOND, Lots, Ns, Ticks

MOST = 25


def submit(number: int, lots: int = 10, tick: int | None = None) -> SubmitOrder:
    at_tick = Ticks(7_490 - number if tick is None else tick)
    return SubmitOrder(KEY, f"mmA-SYNTHUSDT-{number}", Side.BUY, at_tick, Lots(lots))


def execution(number: int = 1, exec_id: str = "x1", lots: int = 10) -> Execution:
    order = submit(number)
    return Execution(
        KEY,
        order.client_id,
        f"v{number}",
        exec_id,
        Side.BUY,
        order.tick,
        Lots(lots),
        maker=True,
        fee=None,
        venue_ns=Ns(START_NS),
        recv_ns=Ns(START_NS),
    )


@pytest.fixture
def lifecycle() -> Lifecycle:
    held = Lifecycle([linear()], "mmA-")
    held.opened(Ns(START_NS), KEY, Lots(0), None, Ns(0))
    return held


@pytest.fixture
def watch(lifecycle: Lifecycle) -> Invariants:
    return Invariants(lifecycle, {KEY: MOST})


def send(lifecycle: Lifecycle, watch: Invariants, *orders: SubmitOrder) -> None:
    watch.sending(orders)
    lifecycle.commands(Ns(START_NS), orders)
    watch.check(START_NS)


def test_what_is_right_passes(lifecycle: Lifecycle, watch: Invariants):
    send(lifecycle, watch, submit(1), submit(2))
    watch.heard(lifecycle.heard(execution()))
    watch.due(lifecycle.due(Ns(START_NS + 10 * SECOND)))
    watch.check(START_NS)
    watch.replays_to(
        msgspec.convert(msgspec.to_builtins(lifecycle.checkpoint()), type(lifecycle.checkpoint()))
    )


def test_an_order_that_is_nowhere(watch: Invariants):
    watch.sending([submit(1)])
    with pytest.raises(InvariantError, match="I1: mmA-SYNTHUSDT-1 was sent and is nowhere"):
        watch.check(START_NS)


def test_an_order_that_nobody_waits_for(lifecycle: Lifecycle, watch: Invariants):
    send(lifecycle, watch, submit(1))
    lifecycle.open[0].phase, lifecycle.open[0].check_ns = Phase.UNKNOWN, None
    with pytest.raises(InvariantError, match="I1: mmA-SYNTHUSDT-1 is unknown, and nothing is awaited"):
        watch.check(START_NS)


def test_a_fill_told_twice(lifecycle: Lifecycle, watch: Invariants):
    send(lifecycle, watch, submit(1))
    events = [event for event in lifecycle.heard(execution()) if isinstance(event, Fill)]
    watch.heard(events)
    with pytest.raises(InvariantError, match="I2: fill 1, expected 2"):
        watch.heard(events)


def test_a_fill_that_was_not_told(lifecycle: Lifecycle, watch: Invariants):
    send(lifecycle, watch, submit(1))
    lifecycle.heard(execution())
    with pytest.raises(InvariantError, match=r"I3: .* is 10 lots, fills sum to 0"):
        watch.check(START_NS)


def test_a_venue_that_holds_something_else_when_all_is_quiet(lifecycle: Lifecycle, watch: Invariants):
    send(lifecycle, watch, submit(1))
    watch.heard(lifecycle.heard(execution()))
    watch.check(START_NS + 29 * SECOND, {KEY: 11})
    with pytest.raises(InvariantError, match=r"I3: .* is 11 lots at the venue, 10 booked"):
        watch.check(START_NS + 30 * SECOND, {KEY: 11})


@pytest.mark.parametrize("filled", [0, 10])
def test_a_create_beyond_the_cap(lifecycle: Lifecycle, watch: Invariants, filled: int):
    send(lifecycle, watch, submit(1), submit(2))
    if filled:
        watch.heard(lifecycle.heard(execution(lots=filled)))
    with pytest.raises(InvariantError, match=r"I4: mmA-SYNTHUSDT-3 could bring .* to 26 lots > 25"):
        watch.sending([submit(3, 6)])


def test_a_create_after_a_halt(watch: Invariants):
    watch.halted()
    watch.sending([CancelOrder(KEY, "mmA-SYNTHUSDT-1")])
    with pytest.raises(InvariantError, match="I5: create of mmA-SYNTHUSDT-1 after a halt"):
        watch.sending([submit(1)])


def test_a_create_again_under_a_new_id_while_the_old_one_may_be_there(
    lifecycle: Lifecycle, watch: Invariants
):
    send(lifecycle, watch, submit(1, tick=7_400))
    with pytest.raises(InvariantError, match="I7: mmA-SYNTHUSDT-2 where mmA-SYNTHUSDT-1 is pending_new"):
        watch.sending([submit(2, tick=7_400)])


def test_a_create_sent_twice(lifecycle: Lifecycle, watch: Invariants):
    send(lifecycle, watch, submit(1))
    watch.heard(lifecycle.heard(execution()))
    with pytest.raises(InvariantError, match="I7: create of mmA-SYNTHUSDT-1 a second time"):
        watch.sending([submit(1)])


@pytest.mark.parametrize("client_id", ["mmB-SYNTHUSDT-1", "web-1", ""])
def test_a_cancel_of_somebody_elses_order(watch: Invariants, client_id: str):
    with pytest.raises(InvariantError, match="I8: cancel of"):
        watch.due([CancelOrder(KEY, client_id)])
    with pytest.raises(InvariantError, match="I8: cancel of"):
        watch.sending([CancelOrder(KEY, client_id)])


def test_a_log_that_gives_another_state(lifecycle: Lifecycle, watch: Invariants):
    send(lifecycle, watch, submit(1))
    with pytest.raises(InvariantError, match="I9: the log gives another state"):
        watch.replays_to(Lifecycle([linear()], "mmA-").checkpoint())


def test_something_that_grows_without_end(lifecycle: Lifecycle, watch: Invariants):
    send(lifecycle, watch, submit(1))
    watch.heard(lifecycle.heard(execution()))
    lifecycle.settings = LifecycleSettings(most_executions=0)
    with pytest.raises(InvariantError, match="I11: 1 executions, expected at most 0"):
        watch.check(START_NS)
