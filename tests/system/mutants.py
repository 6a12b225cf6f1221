"""Faults of ours on purpose: each breaks one rule of the real bot, and names the promise that has to break.

The bot's own watch over its order path (`execution.invariants`) is off meanwhile: the witness from outside
has to see it alone.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import pytest

from mmbot.book.cache import MdCache, Read
from mmbot.book.sequencer import Sequencer
from mmbot.execution.lifecycle import Lifecycle
from mmbot.execution.order_log import LogContent
from mmbot.execution.order_records import Restarted
from mmbot.execution.reconcile import Reconciler
from mmbot.execution.tracked import News, Phase
from mmbot.model.account import Execution, RequestAnswer
from mmbot.risk.limits import Limits
from mmbot.runtime import order_log_file
from mmbot.runtime.live import Live
from mmbot.runtime.live_world import LiveWorld
from mmbot.runtime.order_log_file import OrderLogFile
from mmbot.runtime.reload import Reload, Reloader
from mmbot.runtime.trading import Trading
from mmbot.units import Ns
from mmbot.venues.bybit import orders
from mmbot.venues.bybit.account import AccountSession
from mmbot.venues.bybit.budget import Budget

Apply = Callable[[pytest.MonkeyPatch], None]


class Mutant(NamedTuple):
    """`promises`: any of these may be the first to break."""

    name: str
    promises: tuple[str, ...]
    apply: Apply


MUTANTS: list[Mutant] = []


def mutant(*promises: str) -> Callable[[Apply], Apply]:
    def listed(apply: Apply) -> Apply:
        MUTANTS.append(Mutant(apply.__name__, promises, apply))
        return apply

    return listed


def without_own_watch(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(LiveWorld, "guard", lambda *_: None)


@mutant("I1", "I7", "liveness")
def resends_a_create_after_its_timeout(patch: pytest.MonkeyPatch) -> None:
    def refused(self: Lifecycle, order: Any, now_ns: int) -> None:
        self._close(order, News.REFUSED, Ns(now_ns), "no answer in time")

    patch.setattr(Lifecycle, "_doubt_create", refused)


@mutant("I2")
def forgets_fills_of_orders_that_were_let_go(patch: pytest.MonkeyPatch) -> None:
    on_execution = Lifecycle._on_execution

    def forgets(self: Lifecycle, execution: Any) -> None:
        order = self._find(execution)
        if order is None or order.phase is not Phase.PENDING_CANCEL:
            on_execution(self, execution)
        else:
            self._state.executions[execution.exec_id] = execution.venue_ns

    patch.setitem(Lifecycle._handlers, Execution, forgets)


@mutant("I2")
def books_an_execution_again_when_it_is_told_again(patch: pytest.MonkeyPatch) -> None:
    on_execution = Lifecycle._on_execution

    def books(self: Lifecycle, execution: Any) -> None:
        order = self._find(execution)
        if order is not None and execution.lots <= order.leaves_lots:
            self._state.executions.pop(execution.exec_id, None)
        on_execution(self, execution)

    patch.setitem(Lifecycle._handlers, Execution, books)


@mutant("I8")
def cancels_orders_of_others(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Reconciler, "_stray", lambda self, report: not self._lifecycle.concerns_us(report))


@mutant("I6")
def quotes_from_a_book_with_a_hole(patch: pytest.MonkeyPatch) -> None:
    delta = Sequencer.delta
    patch.setattr(Sequencer, "delta", lambda self, update_id, **_: delta(self, update_id, links=True))


@mutant("I6")
def quotes_from_a_book_of_any_age(patch: pytest.MonkeyPatch) -> None:
    def read(self: MdCache, _: int) -> Read:
        self.age_ns = 0 if self.synced else None
        return Read.HIT if self.synced else Read.MISS

    patch.setattr(MdCache, "read", read)


@mutant("I6")
def quotes_without_its_user_stream(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(AccountSession, "current", property(lambda _: True))


@mutant("I4")
def allows_twice_the_position(patch: pytest.MonkeyPatch) -> None:
    reconfigure = Limits.reconfigure

    def wider(self: Limits, settings: Any) -> None:
        twice = settings.max_position_quote * 2
        reconfigure(self, msgspec.structs.replace(settings, max_position_quote=twice))

    patch.setattr(Limits, "reconfigure", wider)


@mutant("I9")
def sends_a_create_before_it_is_on_the_disk(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(order_log_file, "must_sync", lambda _: False)


@mutant("I9")
def leaves_answers_out_of_the_log(patch: pytest.MonkeyPatch) -> None:
    put = Lifecycle._put

    def unlogged(self: Lifecycle, record: Any) -> Any:
        events = put(self, record)
        if isinstance(record, RequestAnswer):
            self.records.pop()
        return events

    patch.setattr(Lifecycle, "_put", unlogged)


@mutant("I9", "RecordingError")
def goes_on_behind_a_torn_tail(patch: pytest.MonkeyPatch) -> None:
    def left_there(self: OrderLogFile, _: int, __: str, content: LogContent) -> None:
        self.torn_bytes = len(content.torn)

    patch.setattr(OrderLogFile, "_cut_off", left_there)


@mutant("I5")
def does_not_look_at_the_red_button(patch: pytest.MonkeyPatch) -> None:
    def told(self: Trading, now_ns: int) -> None:
        Live._told(self, now_ns)
        if self._world.switch.reason is not None:
            self._halt(self._world.switch.reason)

    patch.setattr(Trading, "_told", told)


@mutant("I10")
def writes_prices_beside_the_grid(patch: pytest.MonkeyPatch) -> None:
    formatter = orders.formatter
    patch.setattr(orders, "formatter", lambda step, **how: lambda steps: formatter(step, **how)(steps) + "5")


@mutant("I1")
def takes_a_cancel_without_an_answer_for_done(patch: pytest.MonkeyPatch) -> None:
    check = Lifecycle._check

    def gone(self: Lifecycle, order: Any, now_ns: int) -> None:
        if order.phase is Phase.PENDING_CANCEL:
            self._close(order, News.LOST, Ns(now_ns), "cancelled")
        else:
            check(self, order, now_ns)

    patch.setattr(Lifecycle, "_check", gone)


@mutant("I1", "I7")
def forgets_its_orders_when_it_starts_again(patch: pytest.MonkeyPatch) -> None:
    def forgets(self: Lifecycle, _: Any) -> None:
        self._state.open.clear()

    patch.setitem(Lifecycle._handlers, Restarted, forgets)


@mutant("I12")
def reads_its_configuration_once(patch: pytest.MonkeyPatch) -> None:
    reload = Reloader.reload

    def once(self: Reloader, now_ns: int, engine: Any) -> Reload:
        done = reload(self, now_ns, engine)
        self.sources = _Read(self.scenario, self.settings)  # type: ignore[assignment]
        return done

    patch.setattr(Reloader, "reload", once)


@mutant("I11")
def keeps_every_message(patch: pytest.MonkeyPatch) -> None:
    told: dict[int, int] = {}

    def drain(self: AccountSession) -> list[Any]:
        begin, told[id(self)] = told.get(id(self), 0), len(self._said)
        return self._said[begin:]

    patch.setattr(AccountSession, "drain", drain)


@mutant("ban")
def goes_on_asking_while_it_is_banned(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Budget, "banned", lambda _, now_ns: now_ns)


class _Read(NamedTuple):
    scenario: Any
    settings: Any

    def load(self) -> tuple[Any, Any]:
        return self.scenario, self.settings
