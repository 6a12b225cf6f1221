"""A venue that does everything a venue may do: loses answers and messages, repeats and reorders them, accepts
late. Its own state is plain and right; what it says about it is not. All by one seed.
"""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec
import numpy as np

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
    VenueAccount,
    VenueStatus,
)
from mmbot.model.commands import AmendOrder, CancelOrder, SubmitOrder
from mmbot.units import MS, SECOND, Lots, Ns, Ticks

Request = SubmitOrder | AmendOrder | CancelOrder | LookUpOrder
FAULTS = (
    "timeout_before",
    "timeout_after",
    "5xx_before",
    "5xx_after",
    "rate_limited",
    "late_request",
    "overdue_request",
    "late_message",
    "duplicate",
    "lost_message",
    "lost_look_up",
    "nameless_execution",
    "undercounted_end",
)
OVERDUE_NS = 12 * SECOND
"""An order that arrives so late was given up for lost, as it should be; it stands beside its successor until
it is found and cancelled.
"""
ANSWER_TIMEOUT_NS = 1 * SECOND


@dataclass
class Held:
    """An order as the venue holds it."""

    submit: SubmitOrder
    order_id: str
    overdue: bool
    executed: int = 0
    status: VenueStatus = VenueStatus.WORKING
    executions: list[Execution] = field(default_factory=list)

    @property
    def leaves(self) -> int:
        return self.submit.lots - self.executed


class NastyVenue:
    """`reached` counts the faults that happened; `doubles`, moments with two live orders on a side;
    `amends`, those that were carried out.
    """

    def __init__(self, seed: int, symbol: str, *, start_ns: int) -> None:
        self._random = np.random.default_rng(seed)
        self._symbol = symbol
        # swarm: each seed has a mix of its own
        self._chance = {fault: float(self._random.choice((0.0, 0.02, 0.1, 0.3))) for fault in FAULTS}
        self._fill_chance = float(self._random.choice((0.01, 0.05, 0.2)))
        self._orders: dict[str, Held] = {}
        self._arrivals: list[tuple[int, int, bool, Request]] = []
        self._messages: list[tuple[int, int, AccountEvent]] = []
        self._count = 0
        self._now_ns = start_ns
        self.executions: list[Execution] = []
        self.position = 0
        self.doubles = self.amends = 0
        self.refused_twice: list[str] = []
        self.reached: dict[str, int] = dict.fromkeys(FAULTS, 0)
        self.calm = False

    @property
    def live(self) -> list[Held]:
        return [held for held in self._orders.values() if held.status is VenueStatus.WORKING]

    def send(self, now_ns: int, requests: Iterable[Request]) -> None:
        for request in requests:
            slow_ns = self._between(500, 4_000) * MS if self._fault("late_request") else 0
            if isinstance(request, SubmitOrder) and self._fault("overdue_request"):
                slow_ns = OVERDUE_NS + self._between(0, 8) * SECOND
            self._arrive(now_ns + self._between(2, 40) * MS + slow_ns, slow_ns >= OVERDUE_NS, request)

    def disconnect(self) -> None:
        """The client died: what was on its way to it is gone."""
        self._messages.clear()

    def advance(self, now_ns: int) -> Iterator[AccountEvent]:
        """Everything up to then, and what reaches the client by then, in the order of its arrival."""
        while self._arrivals and self._arrivals[0][0] <= now_ns:
            self._now_ns, _, overdue, request = heapq.heappop(self._arrivals)
            self._handle(request, overdue=overdue)
        self._now_ns = now_ns
        if not self.calm:
            for held in self.live:
                if self._random.random() < self._fill_chance:
                    self.fill(held, self._between(1, held.leaves))
        sides = [held.submit.side for held in self.live if not held.overdue]
        self.doubles += len(sides) - len(set(sides))
        while self._messages and self._messages[0][0] <= now_ns:
            due_ns, _, message = heapq.heappop(self._messages)
            yield msgspec.structs.replace(message, recv_ns=Ns(due_ns))

    def account(self, now_ns: int) -> VenueAccount:
        """Complete and right answers, at one moment."""
        return VenueAccount(
            asked_ns=Ns(now_ns),
            open_orders=[self._report(held) for held in self.live],
            executions=[msgspec.structs.replace(done, recv_ns=Ns(now_ns)) for done in self.executions],
            positions=[PositionReport(self._symbol, Lots(self.position), None, Ns(now_ns))],
            recv_ns=Ns(now_ns),
        )

    def fill(self, held: Held, lots: int) -> None:
        held.executed += lots
        if not held.leaves:
            held.status = VenueStatus.FILLED
        submit = held.submit
        execution = Execution(
            symbol=self._symbol,
            client_id=submit.client_id,
            order_id=held.order_id,
            exec_id=f"x{len(self.executions) + 1}",
            side=submit.side,
            tick=submit.tick,
            lots=Lots(lots),
            maker=True,
            fee=0.001 * lots,
            venue_ns=Ns(self._now_ns),
            recv_ns=Ns(0),
        )
        held.executions.append(execution)
        self.executions.append(execution)
        self.position += submit.side * lots
        nameless = self._fault("nameless_execution")
        self._stream(msgspec.structs.replace(execution, client_id="") if nameless else execution)
        self._stream(self._report(held))

    def _handle(self, request: Request, *, overdue: bool) -> None:
        match request:
            case SubmitOrder():
                self._create(request, overdue=overdue)
            case AmendOrder():
                self._amend(request)
            case CancelOrder():
                self._cancel(request)
            case LookUpOrder():
                self._look_up(request)

    def _create(self, submit: SubmitOrder, *, overdue: bool) -> None:
        if submit.client_id in self._orders:
            self.refused_twice.append(submit.client_id)
            return
        if self._fault("timeout_before") or self._silent_refusal(submit.client_id, Asked.CREATE):
            return
        held = self._orders[submit.client_id] = Held(submit, f"o{len(self._orders) + 1}", overdue)
        if self._random.random() < 0.05:
            held.status = VenueStatus.CANCELLED  # a post-only order that would have taken
        if self._fault("5xx_after"):
            self._answer(submit.client_id, Asked.CREATE, Outcome.UNKNOWN)
        elif not self._fault("timeout_after"):
            self._answer(submit.client_id, Asked.CREATE, Outcome.ACCEPTED)
        self._stream(self._report(held))

    def _amend(self, amend: AmendOrder) -> None:
        if self._fault("timeout_before") or self._silent_refusal(amend.client_id, Asked.AMEND):
            return
        held = self._orders.get(amend.client_id)
        if held is None or held.status is not VenueStatus.WORKING or amend.lots <= held.executed:
            self._answer(amend.client_id, Asked.AMEND, Outcome.REFUSED)
            return
        if self._random.random() < 0.05:
            held.status = VenueStatus.CANCELLED  # it would have taken
        else:
            held.submit = msgspec.structs.replace(held.submit, tick=amend.tick, lots=amend.lots)
            self.amends += 1
        if self._fault("5xx_after"):
            self._answer(amend.client_id, Asked.AMEND, Outcome.UNKNOWN)
        elif not self._fault("timeout_after"):
            self._answer(amend.client_id, Asked.AMEND, Outcome.ACCEPTED)
        self._stream(self._report(held))

    def _cancel(self, cancel: CancelOrder) -> None:
        if self._fault("timeout_before") or self._silent_refusal(cancel.client_id, Asked.CANCEL):
            return
        held = self._orders.get(cancel.client_id)
        if held is None or held.status is not VenueStatus.WORKING:
            self._answer(cancel.client_id, Asked.CANCEL, Outcome.REFUSED)
            return
        held.status = VenueStatus.CANCELLED
        if self._fault("5xx_after"):
            self._answer(cancel.client_id, Asked.CANCEL, Outcome.UNKNOWN)
        elif not self._fault("timeout_after"):
            self._answer(cancel.client_id, Asked.CANCEL, Outcome.ACCEPTED)
        report = self._report(held)
        if held.executed and self._fault("undercounted_end"):
            report = msgspec.structs.replace(report, executed_lots=Lots(0))
        self._stream(report)

    def _silent_refusal(self, client_id: str, asked: Asked) -> bool:
        """The request did nothing; whether that is said plainly is another matter."""
        if self._fault("5xx_before"):
            self._answer(client_id, asked, Outcome.UNKNOWN)
            return True
        if self._fault("rate_limited"):
            self._answer(client_id, asked, Outcome.REFUSED)
            return True
        return False

    def _look_up(self, request: LookUpOrder) -> None:
        if self._fault("lost_look_up"):
            return
        held = self._orders.get(request.client_id)
        if held is None:
            self._say(OrderAbsent(self._symbol, request.client_id, Ns(0)))
            return
        for message in (*held.executions, self._report(held)):
            self._say(message)

    def _answer(self, client_id: str, asked: Asked, outcome: Outcome) -> None:
        late_ns = ANSWER_TIMEOUT_NS if outcome is Outcome.UNKNOWN else 0
        self._say(RequestAnswer(self._symbol, client_id, asked, outcome, 0, outcome.value, Ns(0)), late_ns)

    def _stream(self, message: AccountEvent) -> None:
        if not self._fault("lost_message"):
            self._say(message)
        if self._fault("duplicate"):
            self._say(message, self._between(0, 3_000) * MS)

    def _say(self, message: AccountEvent, late_ns: int = 0) -> None:
        if self._fault("late_message"):
            late_ns += self._between(1, 6_000) * MS
        self._count += 1
        due_ns = self._now_ns + self._between(2, 40) * MS + late_ns
        heapq.heappush(self._messages, (due_ns, self._count, message))

    def _arrive(self, due_ns: int, overdue: bool, request: Request) -> None:  # noqa: FBT001
        self._count += 1
        heapq.heappush(self._arrivals, (due_ns, self._count, overdue, request))

    def _report(self, held: Held) -> OrderReport:
        submit = held.submit
        return OrderReport(
            symbol=self._symbol,
            client_id=submit.client_id,
            order_id=held.order_id,
            side=submit.side,
            tick=Ticks(submit.tick),
            lots=submit.lots,
            executed_lots=Lots(held.executed),
            status=held.status,
            reason="",
            venue_ns=Ns(self._now_ns),
            recv_ns=Ns(self._now_ns),
        )

    def _between(self, least: int, most: int) -> int:
        return int(self._random.integers(least, most + 1))

    def _fault(self, name: str) -> bool:
        if self.calm or self._random.random() >= self._chance[name]:
            return False
        self.reached[name] += 1
        return True
