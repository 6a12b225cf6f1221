"""Order lifecycle: between an engine that expects each fact once and in order, and a venue that repeats
itself, contradicts itself and answers late.

    commands(now, messages)  our creates, amends and cancels, before they leave
    heard(account event)  -> order events for the engine, each consequence once
    due(now)              -> look-ups and repeated cancels

Everything that moves it is a record (`records`, for the order log to write first), and moves it through
`apply` alone; so the log, applied to a new one, gives the same state byte for byte. No clock, no I/O: time is
the stamp of the call or of the event.

Rules, and what each protects from:

- A create is never repeated. One that is overdue or whose answer proves nothing is UNKNOWN: looked up by its
  client id, and the engine's slot stays taken. Absent from `lost_answers` complete answers over at least
  `lost_after_ns`, and never executed: lost, and the engine hears OrderReject.
- An amend is never repeated: a refusal says that nothing happened, a newer report with what was asked for
  that it did, and an acceptance nothing. One that stays open is looked up once; then its order is cancelled,
  which ends the doubt whatever it is by then. Until then it counts with the larger of both sizes.
- A cancel is repeated until the order's end is proven; a refusal of it proves nothing (a rate limit refuses).
- An execution is booked once by its exec_id, whatever the order's phase. An execution is proof that the order
  was at the venue: before the acknowledgement it is one; after the end it is a late fill.
- A report that counts more than is booked waits `explain_ns` for the executions, then the order is looked up;
  an order that ended so is SETTLING, its slot taken. It never closes on the report alone.
- An execution without a client id (Bybit's execution.fast) is matched by the venue's order id. One that
  matches no order waits; orders of ours that have no order id yet are looked up; then it is somebody else's.
- An order that the engine let go and the venue has (revived after "lost", left by a run before) is an orphan:
  cancelled, and its fills are late. `orphans` says so; quoting waits for them.

A fill's number runs within its symbol in the order of the log. Of two messages about one execution the first
is booked, with its fee or without: a stream without fees should not be subscribed beside one with them.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import ClassVar

import msgspec

from mmbot.errors import LocalProtocolError, RemoteProtocolError
from mmbot.execution.order_records import (
    Agreed,
    AmendSent,
    CancelSent,
    Checked,
    CreateSent,
    Doubted,
    LifecycleState,
    Opened,
    Record,
    Restarted,
    SymbolState,
    Unmatched,
)
from mmbot.execution.position import Position
from mmbot.execution.tracked import News, Phase, Told, TrackedOrder, tracked
from mmbot.model.account import (
    AccountEvent,
    Asked,
    Execution,
    LookUpOrder,
    OrderAbsent,
    OrderReport,
    Outcome,
    PositionReport,
    RequestAnswer,
    VenueStatus,
)
from mmbot.model.commands import AmendOrder, CancelOrder, Message, SubmitOrder, unpacked
from mmbot.model.events import (
    AmendReject,
    CancelReject,
    Fill,
    Funding,
    OrderAck,
    OrderAmended,
    OrderCancelled,
    OrderEvent,
    OrderReject,
)
from mmbot.model.instrument import Instrument
from mmbot.model.orders import OwnPrefix, is_own, order_number
from mmbot.units import DAY, MS, SECOND, Lots, Ns

LifecycleEvent = OrderEvent | Funding
LifecycleCommand = LookUpOrder | CancelOrder


LOST = "lost"
"""Why the engine is told that an order of unknown outcome is dead."""


class LifecycleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`look_up_gaps_ns`: from the doubt to the first look-up and on; the last one repeats. The first five
    fall at 0.5, 1, 2, 4 and 8 s.
    """

    answer_timeout_ns: int = 2 * SECOND
    look_up_gaps_ns: tuple[int, ...] = (500 * MS, 500 * MS, SECOND, 2 * SECOND, 4 * SECOND)
    explain_ns: int = 5 * SECOND
    lost_answers: int = 3
    lost_after_ns: int = 10 * SECOND
    tombstone_ns: int = DAY
    most_tombstones: int = 20_000
    most_executions: int = 100_000
    most_unmatched: int = 1_000


class Lifecycle:
    """Of all symbols of one account. `own_prefix` begins every client id of ours, of every arm that
    trades the account; what begins otherwise is somebody else's and is not looked at.
    """

    def __init__(
        self,
        instruments: Iterable[Instrument],
        own_prefix: OwnPrefix,
        settings: LifecycleSettings | None = None,
        state: LifecycleState | None = None,
    ) -> None:
        """`state`: of a checkpoint, to go on from. Raises LocalProtocolError if it has a symbol that is not
        among the instruments.
        """
        self.own_prefix = own_prefix
        self.settings = settings or LifecycleSettings()
        self.positions = {instrument.key: Position(instrument) for instrument in instruments}
        self.records: list[Record] = []
        """What happened since the log took it; the caller empties it."""
        self._state = state or LifecycleState(symbols={}, positions={})
        for symbol, position in self._state.positions.items():
            if symbol not in self.positions:
                raise LocalProtocolError(f"the order log holds {symbol}, which this run does not trade")
            self.positions[symbol].restore(position)
        for symbol in self.positions:
            self._state.symbols.setdefault(symbol, SymbolState())
        self._by_order_id = {
            order.order_id: order
            for order in chain(self._state.open.values(), self._state.closed.values())
            if order.order_id
        }
        self._events: list[LifecycleEvent] = []
        self._commands: list[LifecycleCommand] = []

    # what the caller does

    def commands(self, now_ns: Ns, messages: Sequence[Message]) -> Sequence[Message]:
        """Take note of what is about to leave; the records have to be in the log before it does. Raises
        LocalProtocolError for a client id that is not ours or not new, and for the amend or cancel of an
        order that is not at the venue.
        """
        for command in unpacked(messages):
            if isinstance(command, SubmitOrder):
                self._put(CreateSent(now_ns, command))
            elif isinstance(command, AmendOrder):
                self._put(AmendSent(now_ns, command))
            elif isinstance(command, CancelOrder):
                self._put(CancelSent(now_ns, command.symbol, command.client_id))
        return messages

    def heard(self, event: AccountEvent | Funding) -> list[LifecycleEvent]:
        """What follows from it for the engine. Raises RemoteProtocolError for an execution that contradicts
        its order: nothing is booked then.
        """
        if isinstance(event, PositionReport) or not self.concerns_us(event):
            return []
        return self._put(event)

    def due(self, now_ns: Ns) -> list[LifecycleCommand]:
        """What to ask the venue now: look-ups, and cancels to send again."""
        next_ns = self.next_ns
        if next_ns is None or now_ns < next_ns:
            return []
        self._put(Checked(now_ns))
        return list(self._commands)

    def doubt(self, now_ns: Ns, client_id: str) -> None:
        """The venue does not list this order: look it up."""
        self._put(Doubted(now_ns, client_id))

    def restarted(self, now_ns: Ns) -> None:
        """A new engine begins: orders of the run before are orphans."""
        self._put(Restarted(now_ns))

    def opened(self, now_ns: Ns, symbol: str, lots: Lots, entry_price: float | None, until_ns: Ns) -> None:
        """Begin a symbol's books. Raises LocalProtocolError if they have begun."""
        self._put(Opened(now_ns, symbol, lots, entry_price, until_ns))

    def agreed(self, now_ns: Ns) -> None:
        """All agrees with the venue as of now."""
        self._put(Agreed(now_ns))

    # what can be known

    @property
    def next_ns(self) -> int | None:
        """When something is due; None while nothing is awaited."""
        state = self._state
        if any(order.orphan and order.phase is Phase.LIVE for order in state.open.values()):
            return 0
        awaited = [order.check_ns for order in state.open.values() if order.check_ns is not None]
        awaited += [waiting.check_ns for waiting in state.unmatched.values()]
        return min(awaited, default=None)

    @property
    def open(self) -> Sequence[TrackedOrder]:
        """Orders that may be at the venue, or whose executions are not all here."""
        return list(self._state.open.values())

    @property
    def orphans(self) -> list[TrackedOrder]:
        """Orders that the engine does not know and that may still fill."""
        return [order for order in self._state.open.values() if order.orphan]

    @property
    def unmatched(self) -> list[Execution]:
        return [waiting.execution for waiting in self._state.unmatched.values()]

    @property
    def agreed_ns(self) -> int:
        """Since when executions may be missing."""
        return self._state.agreed_ns

    def symbol_state(self, symbol: str) -> SymbolState:
        return self._state.symbols[symbol]

    def order(self, client_id: str) -> TrackedOrder | None:
        return self._state.open.get(client_id) or self._state.closed.get(client_id)

    def is_booked(self, exec_id: str) -> bool:
        return exec_id in self._state.executions

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Of what could grow: how many there are, and the most there may be."""
        state, settings = self._state, self.settings
        return {
            "closed": (len(state.closed), settings.most_tombstones),
            "executions": (len(state.executions), settings.most_executions),
            "unmatched": (len(state.unmatched), settings.most_unmatched),
        }

    def checkpoint(self) -> LifecycleState:
        """All of it, positions included, as of now. It shares its orders with this lifecycle: encode it."""
        self._state.positions = {symbol: position.state() for symbol, position in self.positions.items()}
        return self._state

    def concerns_us(self, event: AccountEvent | Funding) -> bool:
        """Of a symbol whose books have begun; by its ids ours, or without a client id and perhaps ours."""
        state = self._state.symbols.get(event.symbol)
        if state is None or state.opened_ns is None:
            return False
        if isinstance(event, Funding | PositionReport):
            return True
        if event.client_id:
            return is_own(event.client_id, self.own_prefix)
        if isinstance(event, Execution):
            return event.exec_id not in self._state.executions
        return isinstance(event, OrderReport) and event.order_id in self._by_order_id

    # how it moves

    def apply(self, record: Record) -> list[LifecycleEvent]:
        """The one way in which anything changes. What raises has changed nothing."""
        self._events, self._commands = [], []
        self._handlers[type(record)](self, record)
        return self._events

    def _put(self, record: Record) -> list[LifecycleEvent]:
        events = self.apply(record)
        self.records.append(record)
        return events

    def _on_create(self, sent: CreateSent) -> None:
        order = sent.order
        if not is_own(order.client_id, self.own_prefix):
            raise LocalProtocolError(f"create of {order.client_id}, expected an id of {self.own_prefix}...")
        state, number = self._state.symbols[order.symbol], order_number(order.client_id)
        if state.opened_ns is None:
            raise LocalProtocolError(
                f"create of {order.client_id}: the books of {order.symbol} have not begun"
            )
        if number <= state.orders:
            raise LocalProtocolError(f"create of {order.client_id}, expected a number above {state.orders}")
        state.orders = number
        entry = self._state.open[order.client_id] = tracked(sent.now_ns, order)
        entry.check_ns = sent.now_ns + self.settings.answer_timeout_ns

    def _on_cancel(self, sent: CancelSent) -> None:
        order = self._state.open.get(sent.client_id)
        if order is None:
            raise LocalProtocolError(f"cancel of {sent.client_id}: no such order")
        order.cancelling()
        self._await_answer(order, sent.now_ns)

    def _on_amend(self, sent: AmendSent) -> None:
        order = self._state.open.get(sent.order.client_id)
        if order is None:
            raise LocalProtocolError(f"amend of {sent.order.client_id}: no such order")
        order.amending(sent.order)
        if order.phase is Phase.PENDING_AMEND:
            self._await_answer(order, sent.now_ns)

    def _on_answer(self, answer: RequestAnswer) -> None:
        order = self._state.open.get(answer.client_id)
        if order is None or answer.outcome is Outcome.ACCEPTED:
            return
        if answer.asked is Asked.CANCEL:
            self._cancel_failed(order, answer)
        elif answer.asked is Asked.AMEND:
            self._amend_failed(order, answer)
        elif order.phase in (Phase.PENDING_NEW, Phase.UNKNOWN):
            if answer.outcome is Outcome.REFUSED:
                self._close(order, News.REFUSED, answer.recv_ns, answer.reason)
            elif order.phase is Phase.PENDING_NEW:
                self._doubt_create(order, answer.recv_ns)

    def _cancel_failed(self, order: TrackedOrder, answer: RequestAnswer) -> None:
        if order.phase is not Phase.PENDING_CANCEL:
            return
        order.watch(answer.recv_ns + self.settings.look_up_gaps_ns[0])
        ours_alone = order.amend is not None  # the engine waits for its amend and asked for no cancel
        if answer.outcome is Outcome.REFUSED and order.told is Told.ACKED and not ours_alone:
            self._events.append(CancelReject(order.symbol, order.client_id, answer.recv_ns, answer.reason))

    def _amend_failed(self, order: TrackedOrder, answer: RequestAnswer) -> None:
        """Refused, it is as it was, and may have ended: it is looked up either way."""
        if order.phase is not Phase.PENDING_AMEND:
            return
        order.watch(answer.recv_ns + self.settings.look_up_gaps_ns[0])
        if answer.outcome is Outcome.REFUSED:
            order.amended(done=False)
            self._events.append(AmendReject(order.symbol, order.client_id, answer.recv_ns, answer.reason))
            if order.ended:
                self._settle(order, answer.recv_ns)

    def _proves_amend(self, order: TrackedOrder, report: OrderReport) -> bool:
        """What it says was not so before: a report from before is older than the newest one."""
        amend = order.amend
        return (
            order.phase is Phase.PENDING_AMEND
            and amend is not None
            and (report.tick, report.lots) == (amend.tick, amend.lots)
            and report.venue_ns > order.reported_ns
            and amend.lots >= order.booked_lots
        )

    def _on_report(self, report: OrderReport) -> None:
        order = self._find(report)
        if order is None:
            self._meet(report)
            return
        self._identify(order, report.order_id)
        order.alive()
        if self._proves_amend(order, report):
            order.amended(done=True)
            self._events.append(OrderAmended(order.symbol, order.client_id, report.recv_ns))
        order.reported_ns = max(order.reported_ns, report.venue_ns)
        executed_lots = report.lots if report.status is VenueStatus.FILLED else report.executed_lots
        order.stated_lots = max(order.stated_lots, executed_lots)
        if report.status is not VenueStatus.WORKING:
            if order.end is None:
                order.end, order.reason = report.status, report.reason
        elif order.phase is Phase.CLOSED and not order.ended:
            self._revive(order)
        else:
            order.hears(News.WORKING)
            self._ack(order, report.recv_ns)
        self._settle(order, report.recv_ns)
        self._match(order, report.recv_ns)

    def _meet(self, report: OrderReport) -> None:
        """An order of ours that the log does not know: of a log that was lost, or longer ago than we
        remember. It is an orphan if it works; one that ended matters only for executions that wait for it.
        """
        awaited = any(_is_of(waiting.execution, report) for waiting in self._state.unmatched.values())
        self._use(report)
        if report.status is not VenueStatus.WORKING and not awaited:
            return
        order = TrackedOrder(
            report.symbol, report.client_id, report.side, report.tick, report.lots, report.venue_ns
        )
        order.phase, order.told = Phase.LIVE, Told.DONE
        self._state.open[order.client_id] = order
        self._on_report(report)

    def _on_execution(self, execution: Execution) -> None:
        state = self._state
        opened_ns = state.symbols[execution.symbol].opened_ns or 0
        if execution.exec_id in state.executions or execution.exec_id in state.unmatched:
            return
        if execution.venue_ns <= max(opened_ns, state.forgotten_ns):
            return
        order = self._find(execution)
        if order is not None:
            contradiction = _contradiction(order, execution)
            if contradiction is not None:
                raise RemoteProtocolError(contradiction)
            self._book(order, execution)
            return
        if execution.client_id:
            self._use(execution)
        if len(state.unmatched) >= self.settings.most_unmatched:
            raise RemoteProtocolError(f"{len(state.unmatched)} executions wait for orders nobody reports")
        explained_ns = execution.recv_ns + self.settings.explain_ns
        state.unmatched[execution.exec_id] = Unmatched(execution, explained_ns)

    def _on_absent(self, absent: OrderAbsent) -> None:
        order = self._state.open.get(absent.client_id)
        if order is None or order.phase in (Phase.PENDING_NEW, Phase.SETTLING) or not order.explained:
            return
        if order.check_ns is None or not order.checks:
            return  # not asked since the last sign of life
        if not order.absents:
            order.absent_ns = absent.recv_ns
        order.absents += 1
        settings = self.settings
        over_ns = absent.recv_ns - order.absent_ns
        if order.absents >= settings.lost_answers and over_ns >= settings.lost_after_ns:
            self._close(order, News.LOST, absent.recv_ns, LOST)

    def _on_funding(self, funding: Funding) -> None:
        """Once for a symbol and funding time: it has no id."""
        state = self._state.symbols[funding.symbol]
        if funding.venue_ns <= max(state.funded_ns, state.opened_ns or 0):
            return
        state.funded_ns = funding.venue_ns
        self.positions[funding.symbol].fund(funding)
        self._events.append(funding)

    def _on_doubted(self, doubted: Doubted) -> None:
        order = self._state.open.get(doubted.client_id)
        if order is not None and order.phase is not Phase.PENDING_NEW:
            order.watch(doubted.now_ns)

    def _on_restarted(self, restarted: Restarted) -> None:
        for order in self._state.open.values():
            order.told = Told.DONE
            order.hears(News.IN_DOUBT)
            if order.phase is not Phase.LIVE:
                order.watch(restarted.now_ns)

    def _on_opened(self, opened: Opened) -> None:
        state = self._state.symbols[opened.symbol]
        if state.opened_ns is not None:
            raise LocalProtocolError(f"the books of {opened.symbol} have begun already")
        state.opened_ns = opened.until_ns
        self.positions[opened.symbol].open(opened.lots, opened.entry_price)

    def _on_agreed(self, agreed: Agreed) -> None:
        self._state.agreed_ns = agreed.now_ns

    def _on_checked(self, checked: Checked) -> None:
        now_ns = checked.now_ns
        for order in list(self._state.open.values()):
            if order.orphan and order.phase is Phase.LIVE:
                self._cancel(order, now_ns)
            elif order.check_ns is not None and order.check_ns <= now_ns:
                self._check(order, now_ns)
        for exec_id, waiting in list(self._state.unmatched.items()):
            if waiting.check_ns <= now_ns:
                self._trace(exec_id, waiting, now_ns)

    # details

    def _check(self, order: TrackedOrder, now_ns: int) -> None:
        """An order's time is up."""
        if order.phase is Phase.PENDING_NEW:
            self._doubt_create(order, now_ns)
            return
        self._commands.append(LookUpOrder(order.symbol, order.client_id))
        if order.phase is Phase.PENDING_AMEND and order.checks:
            self._cancel(order, now_ns)
            return
        if order.phase is Phase.PENDING_CANCEL:
            self._commands.append(CancelOrder(order.symbol, order.client_id))
        order.checks += 1
        order.check_ns = now_ns + self._gap_ns(order.checks)

    def _trace(self, exec_id: str, waiting: Unmatched, now_ns: int) -> None:
        """An execution found no order in time: look for orders that it may belong to. One that names none of
        ours, after they are all known, is somebody else's.
        """
        execution = waiting.execution
        if execution.client_id:
            sought = [execution.client_id]
        else:
            sought = [order.client_id for order in self._nameless(execution.symbol)]
        if not sought or (not execution.client_id and waiting.checks >= self.settings.lost_answers):
            del self._state.unmatched[exec_id]
            return
        self._commands += [LookUpOrder(execution.symbol, client_id) for client_id in sought]
        waiting.checks += 1
        waiting.check_ns = now_ns + self._gap_ns(waiting.checks)

    def _nameless(self, symbol: str) -> Iterator[TrackedOrder]:
        """Orders whose id at the venue is not known, and that may have been there."""
        for order in chain(self._state.open.values(), self._state.closed.values()):
            possible = order.phase is not Phase.CLOSED or order.reason == LOST
            if possible and order.symbol == symbol and not order.order_id:
                yield order

    def _gap_ns(self, checks: int) -> int:
        gaps = self.settings.look_up_gaps_ns
        return gaps[min(checks, len(gaps) - 1)]

    def _cancel(self, order: TrackedOrder, now_ns: int) -> None:
        """Of our own accord."""
        order.cancelling()
        self._await_answer(order, now_ns)
        self._commands.append(CancelOrder(order.symbol, order.client_id))

    def _await_answer(self, order: TrackedOrder, now_ns: int) -> None:
        order.check_ns, order.checks = now_ns + self.settings.answer_timeout_ns, 0

    def _doubt_create(self, order: TrackedOrder, now_ns: int) -> None:
        order.hears(News.IN_DOUBT)
        order.check_ns, order.checks = now_ns + self._gap_ns(0), 0

    def _identify(self, order: TrackedOrder, order_id: str) -> None:
        if order_id and not order.order_id:
            order.order_id = order_id
            self._by_order_id[order_id] = order

    def _ack(self, order: TrackedOrder, recv_ns: Ns) -> None:
        if order.told is Told.NOTHING:
            order.told = Told.ACKED
            self._events.append(OrderAck(order.symbol, order.client_id, recv_ns))

    def _book(self, order: TrackedOrder, execution: Execution) -> None:
        self._identify(order, execution.order_id)
        order.alive()
        self._ack(order, execution.recv_ns)
        state = self._state.symbols[order.symbol]
        state.fills += 1
        self._state.executions[execution.exec_id] = execution.venue_ns
        order.booked_lots += execution.lots
        fill = Fill(
            symbol=order.symbol,
            client_id=order.client_id,
            fill_id=state.fills,
            venue_ns=execution.venue_ns,
            recv_ns=execution.recv_ns,
            side=execution.side,
            tick=execution.tick,
            lots=execution.lots,
            maker=execution.maker,
            mid_x2=None,
            fee=execution.fee,
            late_tick=order.tick if order.told is Told.DONE else None,
        )
        self.positions[order.symbol].book(fill)
        self._events.append(fill)
        if order.phase is Phase.CLOSED and not order.ended:
            self._revive(order)
        order.hears(News.WORKING)
        self._settle(order, execution.recv_ns)
        self._forget(execution.recv_ns)

    def _find(self, named: OrderReport | Execution) -> TrackedOrder | None:
        """The order that a message is about: by our id, or by the venue's where ours is left out."""
        return self.order(named.client_id) if named.client_id else self._by_order_id.get(named.order_id)

    def _use(self, named: OrderReport | Execution) -> None:
        """An id of ours that the log did not give out: the next ones begin behind it."""
        state = self._state.symbols[named.symbol]
        state.orders = max(state.orders, order_number(named.client_id))

    def _match(self, order: TrackedOrder, recv_ns: Ns) -> None:
        """Executions that waited for this order's ids. One that contradicts the order goes on waiting: with
        it, nothing agrees.
        """
        unmatched = self._state.unmatched
        mine = [waiting.execution for waiting in unmatched.values() if _is_of(waiting.execution, order)]
        for execution in mine:
            if _contradiction(order, execution) is not None:
                continue
            self._book(order, msgspec.structs.replace(execution, recv_ns=recv_ns))
            del unmatched[execution.exec_id]

    def _settle(self, order: TrackedOrder, now_ns: Ns) -> None:
        """Draw the consequence of what is stated and what is booked."""
        if not order.explained:
            if order.ended:
                self._reopen(order)
                order.hears(News.ENDED_SHORT)
            order.watch(now_ns + self.settings.explain_ns)
        elif order.ended:
            if order.phase is not Phase.CLOSED:
                reason = order.reason or f"{order.end} by the venue"
                self._close(order, News.ENDED, now_ns, reason)
        elif order.phase is Phase.LIVE:
            order.check_ns, order.checks = None, 0

    def _close(self, order: TrackedOrder, news: News, now_ns: Ns, reason: str) -> None:
        symbol, client_id, leaves = order.symbol, order.client_id, order.leaves_lots
        order.hears(news)
        if order.told is Told.NOTHING:
            self._events.append(OrderReject(symbol, client_id, now_ns, reason))
        elif order.told is Told.ACKED and leaves:
            self._events.append(OrderCancelled(symbol, client_id, now_ns, Lots(leaves)))
        order.told = Told.DONE
        order.reason = reason if leaves else ""
        order.check_ns, order.checks, order.absents = None, 0, 0
        order.closed_ns = now_ns
        self._state.closed[client_id] = self._state.open.pop(client_id)
        self._forget(now_ns)

    def _revive(self, order: TrackedOrder) -> None:
        self._reopen(order)
        order.hears(News.REVIVED)

    def _reopen(self, order: TrackedOrder) -> None:
        if self._state.closed.pop(order.client_id, None) is not None:
            self._state.open[order.client_id] = order

    def _forget(self, now_ns: int) -> None:
        """Let go of the oldest tombstones and executions. What is bounded by a count is as a rule bounded by
        age long before.
        """
        state, settings = self._state, self.settings
        horizon_ns = now_ns - settings.tombstone_ns
        closed, executions = state.closed, state.executions
        while closed:
            order = next(iter(closed.values()))
            if order.closed_ns > horizon_ns and len(closed) < settings.most_tombstones:
                break
            del closed[order.client_id]
            self._by_order_id.pop(order.order_id, None)
        while executions:
            exec_id, venue_ns = next(iter(executions.items()))
            if venue_ns > horizon_ns and len(executions) < settings.most_executions:
                break
            del executions[exec_id]
            state.forgotten_ns = max(state.forgotten_ns, venue_ns)

    _handlers: ClassVar[dict[type, Callable[..., None]]] = {
        CreateSent: _on_create,
        AmendSent: _on_amend,
        CancelSent: _on_cancel,
        Checked: _on_checked,
        Doubted: _on_doubted,
        Restarted: _on_restarted,
        Opened: _on_opened,
        Agreed: _on_agreed,
        OrderReport: _on_report,
        Execution: _on_execution,
        RequestAnswer: _on_answer,
        OrderAbsent: _on_absent,
        Funding: _on_funding,
    }


def _is_of(execution: Execution, order: OrderReport | TrackedOrder) -> bool:
    if execution.client_id:
        return execution.client_id == order.client_id
    return bool(order.order_id) and execution.order_id == order.order_id


def _contradiction(order: TrackedOrder, execution: Execution) -> str | None:
    """Why this cannot be an execution of that order; None if it can."""
    what = f"execution {execution.exec_id} of {execution.lots} lots for {order.client_id}"
    if execution.symbol != order.symbol or execution.side is not order.side:
        found = f"{execution.side.word} of {execution.symbol}"
        return f"{what} was a {found}, the order a {order.side.word} of {order.symbol}"
    if not 0 < execution.lots <= order.leaves_lots:
        return f"{what}: {order.leaves_lots} lots open"
    if execution.fee is not None and not math.isfinite(execution.fee):
        return f"{what}: its fee was {execution.fee}"
    return None
