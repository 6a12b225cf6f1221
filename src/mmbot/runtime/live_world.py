"""The world of live trading: a real market, a real account, and the order log between them and the engine.

What was received is applied in the order in which it was received, market and account together, up to the
tick's time. What the account says goes through the lifecycle, which tells the engine each consequence once;
what the engine sends goes through the lifecycle into the log, and leaves when it is there, a create or amend
when it is on the disk. Cancels go first and wait for no disk. The disk is waited for here, in the one thread:
a thread of its own was tried and made orders later. While it stands still so does everything, the heartbeat
too, for which the guard cancels; and what it let through too late is refused, and has not left.

`refusal` says why nothing may be quoted now: the account's stream is not current, books and venue do not
agree, or they have not been compared for too long. It passes by itself. What cannot pass presses `switch`: a
fault that the venue will not get over, and a change of our position that no order of ours explains.

A fill is known here a moment after it happened, so its mid is that of our book when it became known, none
where that book could not be believed.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from mmbot.book.market import Market
from mmbot.engine.engine import Engine
from mmbot.execution.invariants import Invariants
from mmbot.execution.lifecycle import Lifecycle, LifecycleEvent
from mmbot.execution.reconcile import Reconciler
from mmbot.model.account import (
    AccountCurrent,
    AccountEvent,
    AccountMessage,
    AccountStale,
    AccountTrouble,
    Asked,
    LookUpOrder,
    OffOrderExecution,
    Outcome,
    RequestAnswer,
    VenueAccount,
    WalletReport,
)
from mmbot.model.commands import (
    AmendOrder,
    CancelOrder,
    Command,
    Message,
    OrderBatch,
    OrderCommand,
    RequestSnapshot,
)
from mmbot.model.events import Fill, Funding, MarketEvent
from mmbot.model.records import EventRow, Row, SampleRow
from mmbot.net.intake import Batch
from mmbot.risk.kill_switch import KillSwitch
from mmbot.runtime.order_log_file import OrderLogFile
from mmbot.runtime.world import FillSeen
from mmbot.units import DAY, SECOND, Ns
from mmbot.venues.bybit.account import AccountSession

SURVEY_EVERY_NS = 25 * SECOND
"""So that a fill which the stream lost is booked within 30 s, answers included."""
_SURVEY_AGAIN_NS = SECOND
"""While something does not agree."""
UNCOMPARED_NS = 180 * SECOND
"""How old the last agreement may be while we quote."""
LOGGED_WITHIN_NS = SECOND
"""From a tick until its creates and amends are on the disk; of a slower disk they do not leave."""
_FIRST_LOOK_BACK_NS = 7 * DAY
"""Executions that a new log asks for: as many as the venue answers at once."""
_NEVER = 1 << 63


class PublicDoor(Protocol):
    """Market data, as a connector hands it over."""

    def drain(self) -> Batch:
        """Everything received since the last time, in order."""

    def resync(self, symbol: str) -> None:
        """Ask for the whole book."""


class AccountDoor(Protocol):
    """Our account, as a connector hands it over. Orders are on their way when `send` returns."""

    @property
    def session(self) -> AccountSession: ...

    def drain(self) -> list[AccountMessage]:
        """Everything told since the last time, in order."""

    def send(self, message: OrderCommand | OrderBatch) -> None: ...

    def look_up(self, command: LookUpOrder) -> None: ...

    def survey(self, since_ns: Ns) -> None: ...


class LiveWorld:
    """Attach it to an engine, then it is the world of that engine's shell."""

    def __init__(
        self,
        markets: Mapping[str, Market],
        public: PublicDoor,
        account: AccountDoor,
        lifecycle: Lifecycle,
        log: OrderLogFile,
        reconciler: Reconciler,
        clock: Callable[[], Ns],
    ) -> None:
        self._markets = markets
        self._public = public
        self._account = account
        self._lifecycle = lifecycle
        self._log = log
        self._reconciler = reconciler
        self._clock = clock
        self._market: deque[MarketEvent] = deque()
        self._messages: deque[AccountMessage] = deque()
        self._message_ns = 0
        """Messages are told in their order, though the stamps of those that were held back are older."""
        self._survey_ns = 0
        self._foreign: frozenset[str] = frozenset()
        self._told = ""
        self._invariants: Invariants | None = None
        self._off_orders: set[str] = set()
        self._started_ns = 0
        self.newest_ns = 0
        """When the newest frame was received that has been applied."""
        self.logged_ns = Ns(0)
        """When the last creates and amends were on the disk."""
        self.switch = KillSwitch()
        self.agreed = False
        """Books and venue have agreed once."""
        self.rows: list[Row] = []

    def attach(self, engine: Engine, on_fill: FillSeen) -> "LiveWorld":
        self._engine, self._on_fill = engine, on_fill
        return self

    def start(self, now_ns: Ns) -> None:
        """A new engine goes on where the log ends. Raises OutputError."""
        self._started_ns = now_ns
        self._lifecycle.restarted(now_ns)
        self._write()
        self._resume()

    def guard(self, most_lots: Mapping[str, int]) -> None:
        """From here on the order path watches itself: no symbol may come to hold more than that."""
        held = {symbol: self._lifecycle.positions[symbol].lots for symbol in most_lots}
        self._invariants = Invariants(self._lifecycle, most_lots, held)

    def halted(self) -> None:
        """From here on nothing is created, or the order path is broken."""
        if self._invariants is not None:
            self._invariants.halted()

    def advance(self, until_ns: int) -> None:
        """Raises OutputError when the log cannot be written, RemoteProtocolError for an execution that
        contradicts its order, InvariantError for a fault of ours.
        """
        self._market += self._public.drain().events
        self._messages += self._account.drain()
        for item in self._received(until_ns):
            if isinstance(item, MarketEvent):
                self.newest_ns = item.recv_ns
                self._engine.step(item)
            else:
                self._hear(item)
        self._look(Ns(until_ns))

    def send(self, now_ns: int, command: Command) -> None:
        self.send_all(now_ns, [command])

    def send_all(self, now_ns: int, messages: Sequence[Message]) -> None:
        """The messages of one tick. Raises like `advance`, and nothing that is not in the log has left."""
        cancels, others = list[OrderCommand | OrderBatch](), list[OrderCommand | OrderBatch]()
        for message in messages:
            if isinstance(message, RequestSnapshot):
                self._public.resync(message.symbol)
                continue
            first = message.orders[0] if isinstance(message, OrderBatch) else message
            (cancels if isinstance(first, CancelOrder) else others).append(message)
        for group in (cancels, others):
            if group:
                if self._invariants is not None:
                    self._invariants.sending(group)
                self._lifecycle.commands(Ns(now_ns), group)
                self._write()
                if group is others:
                    self.logged_ns = self._clock()
                    if self.logged_ns - now_ns > LOGGED_WITHIN_NS:
                        self._refuse(group)
                        continue
                self._hand_over(group)

    def resting(self, symbol: str) -> int:
        """Orders of ours that may be at the venue."""
        return sum(order.symbol == symbol for order in self._lifecycle.open)

    @property
    def working(self) -> bool:
        """An order of ours may be at the venue, whoever sent it."""
        return bool(self._lifecycle.open)

    def refusal(self, now_ns: int) -> str | None:
        """Why no create may leave now; None when one may."""
        if self.switch.reason is not None:
            return self.switch.reason
        if not self._account.session.current:
            return "the account's stream is not current"
        if self._reconciler.refusal is not None:
            return self._reconciler.refusal
        age_ns = now_ns - self._lifecycle.agreed_ns
        if age_ns > UNCOMPARED_NS:
            return "not compared with the venue for more than 180 s"
        return None

    def take_rows(self) -> list[Row]:
        rows, self.rows = self.rows, []
        return rows

    def _received(self, until_ns: int) -> Iterator[MarketEvent | AccountMessage]:
        """What was received until then, in order; the rest waits for the next tick."""
        market, messages = self._market, self._messages
        while True:
            market_ns = market[0].recv_ns if market else _NEVER
            message_ns = max(messages[0].recv_ns, self._message_ns) if messages else _NEVER
            if min(market_ns, message_ns) > until_ns:
                return
            if market_ns <= message_ns:
                yield market.popleft()
            else:
                self._message_ns = message_ns
                yield messages.popleft()

    def _hear(self, message: AccountMessage) -> None:
        if isinstance(message, AccountEvent | Funding):
            self._tell(self._lifecycle.heard(message))
        elif isinstance(message, VenueAccount):
            self._reconcile(message)
        else:
            self._note(message)

    def _tell(self, events: Sequence[LifecycleEvent]) -> None:
        """The engine hears what follows; the log holds it before any order leaves."""
        if self._invariants is not None:
            self._invariants.heard(events)
        for event in events:
            if isinstance(event, Fill):
                market = self._markets[event.symbol]
                fill = msgspec.structs.replace(event, mid_x2=market.mid_x2 if market.synced else None)
                self._on_fill(fill)
                self._engine.step(fill)
            else:
                self._engine.step(event)

    def _reconcile(self, venue: VenueAccount) -> None:
        now_ns = venue.recv_ns
        found = self._reconciler.check(now_ns, venue)
        self._tell(found.events)
        self._write()
        self._hand_over(found.cancels)
        foreign = frozenset(f"{one.symbol} {one.order_id}" for one in found.foreign)
        if foreign != self._foreign:
            self._row(now_ns, "foreign_orders", orders=", ".join(sorted(foreign)))
            self._foreign = foreign
        differences = "; ".join(found.differences)
        if differences != self._told or not self.agreed:
            self._row(now_ns, "reconcile", differences=differences)
            self._told = differences
        if not differences and not self.agreed:
            self.agreed = True
            self._resume()
        again_ns = _SURVEY_AGAIN_NS if self._reconciler.refusal else SURVEY_EVERY_NS
        self._survey_ns = now_ns + again_ns

    def _note(
        self, message: WalletReport | AccountTrouble | AccountCurrent | AccountStale | OffOrderExecution
    ) -> None:
        """What is no order's: a row, and where it forbids to trade, the switch."""
        now_ns = message.recv_ns
        match message:
            case WalletReport():
                if message.equity_usd is not None:
                    self.rows.append(SampleRow(now_ns, None, "account_equity_usd", message.equity_usd))
            case AccountTrouble():
                self._row(now_ns, "account_trouble", fault=message.fault.value, reason=message.detail)
                if message.fault.halts:
                    self.switch.press(f"{message.fault}: {message.detail}")
            case AccountStale():
                self._row(now_ns, "account_stale", reason=message.reason)
            case AccountCurrent():
                self._row(now_ns, "account_current")
                self._survey_ns = 0
            case OffOrderExecution():
                self._moved(message)

    def _moved(self, moved: OffOrderExecution) -> None:
        """Our position changed by none of our orders. What is from before this start is in the position that
        reconcile compares.
        """
        if moved.exec_id in self._off_orders or moved.venue_ns <= self._started_ns:
            return
        self._off_orders.add(moved.exec_id)
        what = f"{moved.symbol}: {moved.lots} lots {moved.side.word} by {moved.kind}"
        self._row(moved.recv_ns, "off_order_execution", what=what, price=moved.price)
        self.switch.press(f"{what}, which no order of ours explains")

    def _look(self, now_ns: Ns) -> None:
        """Ask for what is due, and write down what was heard."""
        commands = self._lifecycle.due(now_ns)
        self._write()
        if self._invariants is not None:
            self._invariants.due(commands)
            self._invariants.check(now_ns)
        for command in commands:
            if isinstance(command, LookUpOrder):
                self._account.look_up(command)
            else:
                self._hand_over([command])
        if now_ns >= self._survey_ns:
            self._survey_ns = now_ns + SURVEY_EVERY_NS
            self._account.survey(Ns(self._reconciler.since_ns or now_ns - _FIRST_LOOK_BACK_NS))

    def _refuse(self, messages: Sequence[OrderCommand | OrderBatch]) -> None:
        """They never leave: their prices are of a market that is over."""
        reason = f"the order log took longer than {LOGGED_WITHIN_NS / SECOND:g} s"
        for message in messages:
            for order in message.orders if isinstance(message, OrderBatch) else (message,):
                asked = Asked.AMEND if isinstance(order, AmendOrder) else Asked.CREATE
                answer = RequestAnswer(
                    order.symbol, order.client_id, asked, Outcome.REFUSED, 0, reason, self.logged_ns
                )
                self._tell(self._lifecycle.heard(answer))

    def _hand_over(self, messages: Sequence[OrderCommand | OrderBatch]) -> None:
        for message in messages:
            self._account.send(message)

    def _resume(self) -> None:
        """The engine's positions and running numbers are the log's."""
        for symbol, bot in self._engine.bots.items():
            bot.resume(self._lifecycle.positions[symbol].state(), self._lifecycle.symbol_state(symbol).orders)

    def _write(self) -> None:
        """What happened goes into the log."""
        records = self._lifecycle.records
        if records:
            self._log.append(records)
            records.clear()
        if self._log.full:
            self._log.checkpoint(self._lifecycle.checkpoint())

    def _row(self, now_ns: int, kind: str, **detail: str | float | None) -> None:
        self.rows.append(EventRow(now_ns, None, kind, detail))
