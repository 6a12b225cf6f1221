"""The twelve invariants, seen from outside: what a stranger could hold against the bot.

It sees every message on the wires, the truth at the venue, the bytes on the disk and, of the bot, what it
believes. It keeps no book from what the bot says, and shares no code with it beyond reading its log; so a
fault in the bot's own bookkeeping, or in its own watch (`execution.invariants`), does not blind it.

I1  Every order of ours that may be at the venue stands in the bot's list.
I2  The position is that of the venue's executions, each once.
I3  The engine, the order log and, when all is calm, the venue hold the same position.
I4  Position, resting orders and orders in flight never come to more than the cap, all on one side filled.
I5  No create or amend after a halt.
I6  No create or amend from a book with a hole, older than its limit, or while the account's stream is dead.
I7  No create with an id that was used, or beside one of its side that is not known to be gone.
I8  Only own orders are cancelled; others' stay.
I9  A create or amend is on the disk before it leaves, and the log gives the state byte for byte.
I10 Prices and sizes are finite, positive and on the grid.
I11 What could grow is bounded.
I12 A rollback ends with the configuration that was in force before.

Beside them: no request leaves for an address that was told that it is banned (`ban`).
"""

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple, Protocol

import msgspec

from mmbot.errors import MmbotError
from mmbot.execution.lifecycle import Lifecycle
from mmbot.execution.order_log import read
from mmbot.execution.tracked import Phase
from mmbot.model.instrument import Instrument, Side
from mmbot.model.orders import OwnPrefix
from mmbot.runtime.simulation.network import BookFrame, Link, Orders
from mmbot.sim.disk import SimDisk
from mmbot.sim.event_heap import EventHeap
from mmbot.units import MS, SECOND
from mmbot.venues.paper.desk import Desk
from mmbot.venues.paper.member import Member

_BLIND_NS = 10 * SECOND
"""A user stream that died is noticed by then."""
_MOST_WAITING = 500
"""Messages, questions and answers that wait somewhere in the bot: far more than a minute brings."""


class ViolationError(MmbotError):
    """A promise was broken. The message begins with which one."""


class Suspect(Protocol):
    """The bot of the moment."""

    @property
    def alive(self) -> bool: ...

    @property
    def lifecycle(self) -> Lifecycle: ...

    @property
    def engine_lots(self) -> int: ...

    @property
    def decided_ns(self) -> int:
        """By the bot's clock: what was received until then may have been known to its last tick."""

    @property
    def clock_ns(self) -> int:
        """The bot's clock."""

    @property
    def waiting(self) -> Mapping[str, int]:
        """How much waits where."""


class Sent(NamedTuple):
    """A create or amend on its way to the venue."""

    side: Side
    lots: int


class Truth:
    """What happened at the venue, gathered from the exchange's own rows."""

    def __init__(self, member: Member, desk: Desk, own_prefix: OwnPrefix) -> None:
        self._member = member
        self.desk = desk
        self._own_prefix = own_prefix
        self.executions: dict[str, int] = {}
        """Id -> signed lots of every execution of ours."""
        self.last_ns = 0
        """When the last of them was seen."""

    @property
    def lots(self) -> int:
        return self.desk.position.lots

    def own_orders(self) -> list[Any]:
        """That rest at the venue."""
        return [order for order in self.desk.open.values() if order.link_id.startswith(self._own_prefix)]

    def look(self, now_ns: int) -> list[str]:
        """Take in what happened since the last look; ids that are new."""
        rows, new = self._member.account.executions, list[str]()
        for row in reversed(rows):
            if row["execId"] in self.executions:
                break
            lots = round(float(row["execQty"]) / self.desk.instrument.lot)
            self.executions[row["execId"]] = lots if row["side"] == "Buy" else -lots
            new.append(row["execId"])
            self.last_ns = now_ns
        return new


class Watch:
    """Everything that is held against the bot. `suspect` is the process that runs, None between two."""

    def __init__(
        self,
        heap: EventHeap,
        truth: Truth,
        disk: SimDisk,
        instrument: Instrument,
        *,
        own_prefix: OwnPrefix,
        cap_lots: int,
        fresh_ns: int,
    ) -> None:
        self._heap = heap
        self._truth = truth
        self._disk = disk
        self._instrument = instrument
        self._own_prefix = own_prefix
        self._cap_lots = cap_lots
        self._fresh_ns = fresh_ns
        self.suspect: Suspect | None = None
        self.forbidden: str | None = None
        """Why nothing may be created: a halt."""
        self._banned = False
        self._ids: set[str] = set()
        self._flying: dict[str, Sent] = {}
        """Creates."""
        self._growing: dict[str, Sent] = {}
        """Amends, by how much they may make an order larger."""
        self._gap_ns: int | None = 0
        """By the bot's clock, since when its book has a hole; None while it has none."""
        self._book = 0
        """Number of the last book message that was read."""
        self._read_ns = 0
        """By the bot's clock, when it last read market data."""
        self._user_ns = 0
        """When it last read its user stream: whether that is dead is judged on a steady clock."""
        self._unbooked: set[str] = set()
        self._booked_lots = 0
        self._booked = 0
        self.checks: Counter[str] = Counter()
        """How often each was judged: one that never was proves nothing."""

    # what is told

    def begins(self, suspect: Suspect) -> None:
        """Another process: what the one before believed is not held against it."""
        self.suspect = suspect
        self._banned = False
        self._gap_ns, self._book = 0, 0
        self._unbooked = set(self._truth.executions)
        self._booked_lots = self._booked = 0

    def ends(self) -> None:
        self.suspect = None

    def left(self, orders: Orders) -> None:
        """Orders leave: I4 to I10."""
        for row in orders.rows:
            client_id = row.get("orderLinkId", "")
            if orders.action == "cancel":
                self._judge("I8", client_id.startswith(self._own_prefix), f"cancel of {client_id!r}")
                continue
            what = f"{orders.action} of {client_id}"
            self._judge("I5", self.forbidden is None, f"{what} after {self.forbidden}")
            self._on_grid(client_id, row)
            self._seen_by(client_id)
            self._judge("I9", self._on_disk(client_id), f"{what} is not on the disk")
            if orders.action == "create":
                self._created(client_id, row)
            else:
                self._amended(client_id, row)
            self._within_cap(client_id)

    def landed(self, orders: Orders) -> None:
        underway = {"create": self._flying, "amend": self._growing}.get(orders.action, {})
        for row in orders.rows:
            underway.pop(row.get("orderLinkId", ""), None)

    def heard(self, link: Link, book: BookFrame | None) -> None:
        suspect = self.suspect
        if suspect is None:
            return
        now_ns = suspect.clock_ns
        if link.kind == "public":
            self._read_ns = now_ns
        elif link.kind == "private":
            self._user_ns = self._heap.now_ns
        if book is None:
            return
        if book.whole:
            self._gap_ns, self._book = None, book.number
        elif book.number == self._book + 1:
            self._book = book.number
        elif book.number > self._book and self._gap_ns is None:
            self._gap_ns = now_ns

    def disconnected(self, kind: str) -> None:
        """The bot knows that its link is gone."""
        if self.suspect is None:
            return
        if kind == "public":
            self._gap_ns, self._book = self.suspect.clock_ns, 0
        elif kind == "private":
            self._user_ns = self._heap.now_ns - _BLIND_NS

    def shut_out(self) -> None:
        self._banned = True

    def asked(self) -> None:
        self._judge("ban", not self._banned, "a request left for a venue that has banned us")

    def rolled_back(self, before: str, after: str) -> None:
        self._judge("I12", before == after, f"the rollback ended on {after[:12]}, expected {before[:12]}")

    # after every event

    def check(self) -> None:
        new = self._truth.look(self._heap.now_ns)
        self._unbooked.update(new)
        suspect = self.suspect
        if suspect is None or not suspect.alive:
            return
        lifecycle = suspect.lifecycle
        self._all_listed(lifecycle)
        self._each_once(lifecycle)
        lots = lifecycle.positions[self._instrument.key].lots
        self.checks["I3"] += 1
        if suspect.engine_lots != lots:
            raise ViolationError(f"I3: the engine holds {suspect.engine_lots} lots, the order log {lots}")

    def bounded(self) -> None:
        """I11; from time to time."""
        suspect = self.suspect
        if suspect is None:
            return
        sizes = suspect.lifecycle.sizes() | {name: (n, _MOST_WAITING) for name, n in suspect.waiting.items()}
        for name, (size, most) in sizes.items():
            self._judge("I11", size <= most, f"{size} {name}, expected at most {most}")

    def replays(self) -> None:
        """I9; from time to time, between two events: the bytes on the disk, read anew."""
        suspect = self.suspect
        if suspect is None or suspect.lifecycle.records:
            return
        content = read(self._disk.read(self._disk.newest), self._disk.newest)
        again = Lifecycle([self._instrument], self._own_prefix, state=content.state)
        for record in content.records:
            again.apply(record)
        encode = msgspec.json.encode
        same = encode(again.checkpoint()) == encode(suspect.lifecycle.checkpoint())
        self._judge("I9", same, "the log gives another state")

    def settled(self) -> None:
        """At the end, in calm: I1, I2, I3."""
        suspect = self.suspect
        if suspect is None:
            raise ViolationError("I1: no bot runs at the end")
        open_ids = [order.client_id for order in suspect.lifecycle.open]
        resting = [order.link_id for order in self._truth.own_orders()]
        self._judge("I1", not open_ids, f"not resolved at the end: {', '.join(open_ids)}")
        self._judge("I1", not resting, f"rest at the venue at the end: {', '.join(resting)}")
        self._judge("I2", not self._unbooked, f"never booked: {', '.join(sorted(self._unbooked))}")
        booked = suspect.lifecycle.positions[self._instrument.key].lots
        self._judge(
            "I3", booked == self._truth.lots, f"{booked} lots booked, {self._truth.lots} at the venue"
        )

    # rules

    def _judge(self, which: str, holds: bool, otherwise: str) -> None:  # noqa: FBT001 (it reads as a sentence)
        self.checks[which] += 1
        if not holds:
            raise ViolationError(f"{which}: {otherwise}")

    def _on_grid(self, client_id: str, row: Mapping[str, Any]) -> None:
        for name, step in (("price", self._instrument.tick_size), ("qty", self._instrument.lot_size)):
            text = row.get(name)
            if text is None and name in row:
                continue
            try:
                number = Decimal(str(text))
                fits = number.is_finite() and number > 0 and number % Decimal(step) == 0
            except InvalidOperation:
                fits = False
            self._judge("I10", fits, f"{name} of {client_id} was {text!r}, expected steps of {step}")

    def _seen_by(self, client_id: str) -> None:
        """I6: what was received until the tick may be held against it."""
        suspect = self.suspect
        if suspect is None:
            return
        decided_ns, gap_ns = suspect.decided_ns, self._gap_ns
        self._judge(
            "I6", gap_ns is None or gap_ns > decided_ns, f"{client_id} left while the book had a hole"
        )
        age_ns = decided_ns - self._read_ns
        self._judge("I6", age_ns <= self._fresh_ns, f"{client_id} left on a book {age_ns // MS} ms old")
        silent_ns = self._heap.now_ns - self._user_ns
        self._judge("I6", silent_ns < _BLIND_NS, f"{client_id} left without a user stream")

    def _on_disk(self, client_id: str) -> bool:
        return self._disk.is_synced(b'"' + client_id.encode() + b'"')

    def _created(self, client_id: str, row: Mapping[str, Any]) -> None:
        self._judge("I7", client_id not in self._ids, f"{client_id} was sent before")
        self._ids.add(client_id)
        side = Side.BUY if row["side"] == "Buy" else Side.SELL
        beside = [order.link_id for order in self._truth.own_orders() if order.side is side]
        beside += [other for other, sent in self._flying.items() if sent.side is side]
        self._judge("I7", not beside, f"{client_id} beside {', '.join(beside)}, which may fill")
        self._flying[client_id] = Sent(side, self._lots(row))

    def _amended(self, client_id: str, row: Mapping[str, Any]) -> None:
        """By how much it may grow."""
        order = next((order for order in self._truth.own_orders() if order.link_id == client_id), None)
        if order is not None:
            self._growing[client_id] = Sent(order.side, max(self._lots(row) - order.lots, 0))

    def _within_cap(self, client_id: str) -> None:
        for side in Side:
            resting = sum(order.leaves_lots for order in self._truth.own_orders() if order.side is side)
            underway = [*self._flying.values(), *self._growing.values()]
            flying = sum(sent.lots for sent in underway if sent.side is side)
            worst = side * self._truth.lots + resting + flying
            within = worst <= self._cap_lots
            self._judge("I4", within, f"{client_id} could bring us to {worst} lots > {self._cap_lots}")

    def _all_listed(self, lifecycle: Lifecycle) -> None:
        for client_id in [*(order.link_id for order in self._truth.own_orders()), *self._flying]:
            known = lifecycle.order(client_id)
            self.checks["I1"] += 1
            if known is None or known.phase is Phase.CLOSED:
                raise ViolationError(f"I1: {client_id} may be at the venue, and the bot does not list it")

    def _each_once(self, lifecycle: Lifecycle) -> None:
        booked = [exec_id for exec_id in self._unbooked if lifecycle.is_booked(exec_id)]
        for exec_id in booked:
            self._unbooked.remove(exec_id)
            self._booked_lots += self._truth.executions[exec_id]
            self._booked += 1
        key = self._instrument.key
        lots, fills = lifecycle.positions[key].lots, lifecycle.symbol_state(key).fills
        self.checks["I2"] += 1
        if (lots, fills) != (self._booked_lots, self._booked):
            raise ViolationError(
                f"I2: {lots} lots by {fills} fills, executions say {self._booked_lots} by {self._booked}"
            )

    def _lots(self, row: Mapping[str, Any]) -> int:
        return round(float(row["qty"]) / self._instrument.lot)
