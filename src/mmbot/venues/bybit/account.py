"""What we know of a Bybit account, sans-IO: stream reports and answers of REST in, one ordered account out.

After every connect the account is asked for by REST (open orders, executions since we last knew, positions,
balances) while what the stream says is held back; then the answers are told, AccountCurrent, and what was
held back. So a report may come twice and executions may be in both: whoever reads them knows executions by
their id and orders by what they have executed. Executions are told before the orders that they changed.

One order is looked up by its client id in open orders, then history, then executions. OrderAbsent needs more
than three empty answers: a create that is still on its way could arrive after them. The venue refuses a
request whose time is older than its window (`server - recv_window <= timestamp`), so absence is believed only
when the first question was asked later than the order's sending time plus window plus a second for clocks;
earlier, all three are asked again then. An order whose sending is not known here (before a restart) counts as
sent when this session began. The list of executions may lag behind its order: while it holds less than the
order has executed, it is asked for again, five times (31 s).

What fails is asked again after 1 s, then twice that, up to 30 s; a ban is waited for, and by every question
what an answer asks for (`Retry-After`). Our own traffic goes by `budget`, and the venue's time is asked for
every minute, and at once when it refused ours (10002).

Funding is told once for each instrument and time: it has no other key, and answers of REST repeat it.
"""

from collections import deque
from collections.abc import Sequence

import msgspec

from mmbot.errors import LocalProtocolError, RemoteProtocolError
from mmbot.model.account import (
    AccountCurrent,
    AccountFault,
    AccountMessage,
    AccountReport,
    AccountStale,
    AccountTrouble,
    Execution,
    LookUpOrder,
    OrderAbsent,
    OrderReport,
    RequestAnswer,
)
from mmbot.model.events import Funding
from mmbot.model.instrument import Instrument
from mmbot.units import MS, SECOND, Ns
from mmbot.venues.bybit.budget import Budget
from mmbot.venues.bybit.codec import category
from mmbot.venues.bybit.orders import (
    CLOCK_REFUSED,
    CREDENTIALS_REFUSED,
    IP_LIMITED,
    RATE_LIMITED,
    rest_reply,
)
from mmbot.venues.bybit.queries import EXECUTIONS_SPAN_MS, LOOK_UP, Ask, Page, Query, page, server_ns
from mmbot.venues.bybit.rows import RowReader, wallet
from mmbot.venues.bybit.survey import Survey
from mmbot.venues.clock_offset import ClockOffset, ClockState

_FIRST_RETRY_NS = SECOND
_LAST_RETRY_NS = 30 * SECOND
_DOUBLINGS = 5
_TIME_EVERY_NS = 60 * SECOND
_OVERLAP_NS = 60 * SECOND
_CLOCK_MARGIN_NS = SECOND
_FUNDINGS_KEPT = 1_000
_LATE_TRIES = 5
_OK, _FORBIDDEN = 200, 403


class AccountSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`recv_window_ms`: how old a request of ours may be when the venue gets it."""

    recv_window_ms: int = 5_000


class _LookUp:
    """One order that is being looked up, and what was found so far."""

    __slots__ = ("asked_ns", "found", "order", "symbol")

    def __init__(self, symbol: str, asked_ns: int) -> None:
        self.symbol = symbol
        """The instrument's key."""
        self.asked_ns = asked_ns
        self.order: OrderReport | None = None
        self.found: list[AccountReport] = []
        """Executions."""

    @property
    def executed_lots(self) -> int:
        return sum(one.lots for one in self.found if isinstance(one, Execution))


class AccountSession:
    """One account of one unified-trading key, the given instruments of it. Times are wall time."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        settings: AccountSettings,
        clock: ClockOffset,
        budget: Budget,
        *,
        now_ns: Ns,
        since_ns: Ns,
    ) -> None:
        """`since_ns`: executions from then on are not known yet; at most as old as the venue keeps them."""
        self.rows = RowReader(instruments)
        self._instruments = {one.key: one for one in instruments}
        self._window_ns = settings.recv_window_ms * MS + _CLOCK_MARGIN_NS
        self._clock = clock
        self._clock_state = ClockState.UNKNOWN
        self._budget = budget
        self._started_ns = now_ns
        self._known_until_ns = since_ns
        self._connection = 0
        """Counts connections, so that the answers of an older one are known as such."""
        self._up = False
        self._seeding = 0
        """Queries of the seed that are not answered to the last page."""
        self._seed: list[AccountReport] = []
        self._held: list[AccountReport] = []
        self._look_ups: dict[str, _LookUp] = {}
        self._sent: deque[tuple[int, str]] = deque()
        self._fundings: dict[tuple[str, int], None] = {}
        self._waiting: list[tuple[int, Query]] = [(now_ns, Query(Ask.TIME))]
        self._survey: Survey | None = None
        self._said: list[AccountMessage] = []

    @property
    def current(self) -> bool:
        """Between AccountCurrent and AccountStale."""
        return self._up and not self._seeding

    @property
    def stopped_until_ns(self) -> Ns:
        """The venue refuses this address until then; long ago if it does not."""
        return self._budget.stopped_until_ns

    def drain(self) -> list[AccountMessage]:
        """What is to be told, in order; each is returned once."""
        said, self._said = self._said, []
        return said

    @property
    def waiting(self) -> bool:
        """Something can be drained."""
        return bool(self._said)

    def sizes(self) -> dict[str, int]:
        """Of what could grow."""
        return {
            "questions": len(self._waiting),
            "look-ups": len(self._look_ups),
            "creates on their way": len(self._sent),
            "reports held back": len(self._seed) + len(self._held),
            "messages": len(self._said),
            "fundings": len(self._fundings),
        }

    def subscribed(self, now_ns: Ns) -> None:
        """The private stream is up: ask for what happened before it."""
        self._connection += 1
        self._up = True
        self._seed, self._held = [], []
        since_ms = (self._known_until_ns - _OVERLAP_NS) // MS
        queries = [Query(Ask.WALLET, connection=self._connection)]
        for one in self._instruments.values():
            named = category(one)
            for ask in (Ask.OPEN_ORDERS, Ask.EXECUTIONS, Ask.POSITIONS):
                if ask is not Ask.POSITIONS or named != "spot":
                    start_ms = since_ms if ask is Ask.EXECUTIONS else 0
                    queries.append(
                        Query(ask, named, one.symbol, start_ms=start_ms, connection=self._connection)
                    )
        self._seeding = len(queries)
        self._waiting += [(now_ns, query) for query in queries]

    def lost(self, reason: str, now_ns: Ns) -> None:
        """The private stream ended. Reports that were held back are told: they are facts."""
        if self._up:
            if self.current:
                self._known_until_ns = now_ns
            self._say(self._held)
            self._up = False
            self._seed, self._held = [], []
            self._said.append(AccountStale(reason, now_ns))

    def reported(self, reports: Sequence[AccountReport]) -> None:
        """The stream says so."""
        if self._seeding:
            self._held += reports
        else:
            self._say(reports)

    def told(self, answers: Sequence[RequestAnswer]) -> None:
        """Order entry says so."""
        self._said += answers

    def creating(self, client_ids: Sequence[str], now_ns: Ns) -> None:
        """A request to create these is being sent."""
        sent = self._sent
        while sent and sent[0][0] + self._window_ns < now_ns:
            sent.popleft()
        sent.extend((now_ns, client_id) for client_id in client_ids)

    def look_up(self, command: LookUpOrder, now_ns: Ns) -> None:
        """Once for each order, however often it is asked for. Raises LocalProtocolError for an instrument
        that is not ours.
        """
        instrument = self._instruments.get(command.symbol)
        if instrument is None:
            raise LocalProtocolError(
                f"look-up was for {command.symbol}, expected one of {', '.join(self._instruments)}"
            )
        if command.client_id not in self._look_ups:
            self._look_ups[command.client_id] = _LookUp(command.symbol, now_ns)
            query = Query(Ask.ORDER, category(instrument), instrument.symbol, command.client_id)
            self._waiting.append((now_ns, query))

    def survey(self, since_ns: Ns, now_ns: Ns) -> None:
        """Ask for all open orders, executions from `since_ns` on and all positions; told as one
        VenueAccount. Nothing more while one is on its way.
        """
        if self._survey is None:
            self._survey = Survey(list(self._instruments.values()), now_ns, since_ns)
            self._waiting += [(now_ns, query) for query in self._survey.next_queries()]

    def trouble(self, fault: AccountFault, detail: str, until_ns: Ns | None, now_ns: Ns) -> None:
        self._said.append(AccountTrouble(fault, detail, until_ns, now_ns))

    def code(self, code: int, reason: str, now_ns: Ns) -> None:
        """What a retCode says about the account as a whole, whoever asked."""
        detail = f"retCode {code}: {reason}"
        if code == CLOCK_REFUSED:
            self._clock.forget()
            self._ask_time(now_ns)
            self.trouble(AccountFault.CLOCK, detail, None, now_ns)
        elif code in CREDENTIALS_REFUSED:
            self.trouble(AccountFault.CREDENTIALS, detail, None, now_ns)
        elif code in IP_LIMITED:
            self.banned(detail, now_ns)

    def banned(self, detail: str, now_ns: Ns) -> None:
        """The venue refuses this address: silence until the ban is over."""
        self.trouble(AccountFault.BANNED, detail, self._budget.banned(now_ns), now_ns)

    def queries(self, now_ns: Ns) -> list[Query]:
        """To be sent now, as far as the budget goes; each is answered, or failed, once."""
        room = self._budget.query_room(now_ns)
        due: list[Query] = []
        later: list[tuple[int, Query]] = []
        for at_ns, query in self._waiting:
            if at_ns <= now_ns and len(due) < room:
                due.append(query)
                self._budget.spend_query(now_ns)
            else:
                later.append((at_ns, query))
        self._waiting = later
        return due

    def failed(self, query: Query, now_ns: Ns, *, wait_ns: int = 0) -> None:
        """No usable answer came: the query is asked again, unless its connection is gone."""
        retry_ns = min(_FIRST_RETRY_NS << min(query.tries, _DOUBLINGS), _LAST_RETRY_NS)
        at_ns = now_ns + max(retry_ns, wait_ns)
        if query.ask is Ask.TIME:
            self._ask_time(at_ns)
        elif query.ask in LOOK_UP or query.survey or self._of_this_connection(query):
            self._waiting.append((at_ns, msgspec.structs.replace(query, tries=query.tries + 1)))

    def answered(
        self, query: Query, status: int, body: bytes, *, sent_ns: Ns, now_ns: Ns, retry_ns: int = 0
    ) -> None:
        """An HTTP answer; `retry_ns`: how long it asks to wait. Raises RemoteProtocolError for one that
        cannot be used; nothing has changed then, and the query is to be `failed`.
        """
        if status == _FORBIDDEN:
            self.banned(f"HTTP {status}", now_ns)
        if status != _OK:
            self._budget.pause_queries(now_ns + retry_ns)
            self.failed(query, now_ns, wait_ns=retry_ns)
            return
        reply = rest_reply(body)
        if reply.code != 0:
            self.code(reply.code, reply.reason, now_ns)
            self.failed(query, now_ns, wait_ns=SECOND if reply.code in RATE_LIMITED else 0)
        elif query.ask is Ask.TIME:
            self._clock.sample(sent_ns, server_ns(query, reply), now_ns)
            self._judge_clock(now_ns)
            self._ask_time(now_ns + _TIME_EVERY_NS)
        elif query.ask in LOOK_UP:
            self._looked_up(query, page(query, reply), now_ns)
        elif query.survey:
            self._surveyed(query, page(query, reply), now_ns)
        elif self._of_this_connection(query):
            self._seeded(query, page(query, reply), now_ns)

    def _of_this_connection(self, query: Query) -> bool:
        return self._up and query.connection == self._connection

    def _ask_time(self, at_ns: int) -> None:
        """Then, instead of when it was planned."""
        self._waiting = [waiting for waiting in self._waiting if waiting[1].ask is not Ask.TIME]
        self._waiting.append((at_ns, Query(Ask.TIME)))

    def _judge_clock(self, now_ns: Ns) -> None:
        state, best = self._clock.state, self._clock.best
        if state is not self._clock_state and best is not None and state is not ClockState.GOOD:
            fault = AccountFault.CLOCK if state is ClockState.HALT else AccountFault.CLOCK_DRIFT
            detail = f"venue is {best.offset_ns / MS:+.0f} ms from us (round trip {best.rtt_ns / MS:.0f} ms)"
            self.trouble(fault, detail, None, now_ns)
        self._clock_state = state

    def _seeded(self, query: Query, found: Page, now_ns: Ns) -> None:
        self._seed += self._read(query, found, now_ns)
        following = _following(query, found, now_ns)
        if following is not None:
            self._waiting.append((now_ns, following))
            return
        self._seeding -= 1
        if not self._seeding:
            # executions before the orders that they changed; the sort is stable
            self._say(sorted(self._seed, key=lambda report: isinstance(report, OrderReport)))
            self._said.append(AccountCurrent(now_ns))
            self._say(self._held)
            self._seed, self._held = [], []

    def _surveyed(self, query: Query, found: Page, now_ns: Ns) -> None:
        survey = self._survey
        if survey is None:
            return
        reports = self._read(query, found, now_ns)
        following = survey.took(reports, _following(query, found, now_ns))
        self._waiting += [(now_ns, one) for one in following]
        if survey.over:
            self._say(survey.others)
            self._said.append(survey.result(now_ns))
            self._survey = None

    def _read(self, query: Query, found: Page, now_ns: Ns) -> list[AccountReport]:
        rows, of = self.rows, query.category
        reports: list[AccountReport | None] = [
            *(rows.execution(row, of, now_ns) for row in found.executions),
            *(rows.order(row, of, now_ns // MS, now_ns) for row in found.orders),
            *(rows.position(row, of, now_ns) for row in found.positions),
            *(wallet(row, now_ns) for row in found.wallets),
        ]
        return [report for report in reports if report is not None]

    def _looked_up(self, query: Query, found: Page, now_ns: Ns) -> None:
        look_up = self._look_ups[query.client_id]
        named = {row.order_link_id for row in found.orders} | {row.order_link_id for row in found.executions}
        if not named <= {query.client_id}:
            raise RemoteProtocolError(f"{query.path} was about {sorted(named)}, expected {query.client_id!r}")
        reports = self._read(query, found, now_ns)
        orders = [report for report in reports if isinstance(report, OrderReport)]
        if orders:
            look_up.order = orders[-1]
        else:
            look_up.found += reports
        following = _following(query, found, now_ns) or _next_question(query, look_up)
        if following is not None:
            self._waiting.append((now_ns, following))
        else:
            self._conclude(query, look_up, now_ns)

    def _conclude(self, query: Query, look_up: _LookUp, now_ns: Ns) -> None:
        client_id, order = query.client_id, look_up.order
        if order is not None and look_up.executed_lots < order.executed_lots and query.tries < _LATE_TRIES:
            look_up.found = []
            self.failed(msgspec.structs.replace(query, cursor=""), now_ns)
            return
        found = look_up.found if order is None else [*look_up.found, order]
        sent_ns = next((at_ns for at_ns, one in self._sent if one == client_id), self._started_ns)
        conclusive_ns = sent_ns + self._window_ns
        if not found and look_up.asked_ns < conclusive_ns:
            at_ns = max(conclusive_ns, now_ns)
            self._look_ups[client_id] = _LookUp(look_up.symbol, at_ns)
            self._waiting.append((at_ns, Query(Ask.ORDER, query.category, query.symbol, client_id)))
            return
        del self._look_ups[client_id]
        self._say(found or [OrderAbsent(look_up.symbol, client_id, now_ns)])

    def _say(self, reports: Sequence[AccountReport]) -> None:
        for report in reports:
            if isinstance(report, Funding):
                key = (report.symbol, report.venue_ns)
                if key in self._fundings:
                    continue
                self._fundings[key] = None
                if len(self._fundings) > _FUNDINGS_KEPT:
                    del self._fundings[next(iter(self._fundings))]
            self._said.append(report)


def _following(query: Query, found: Page, now_ns: Ns) -> Query | None:
    """The next page, or for executions the next seven days; None when all is there."""
    if found.cursor:
        return msgspec.structs.replace(query, cursor=found.cursor)
    next_ms = query.start_ms + EXECUTIONS_SPAN_MS
    if query.ask is Ask.EXECUTIONS and next_ms < now_ns // MS:
        return msgspec.structs.replace(query, cursor="", start_ms=next_ms)
    return None


def _next_question(query: Query, look_up: _LookUp) -> Query | None:
    """After a complete answer about one order; None when nothing is left to ask."""
    order = look_up.order
    if query.ask is Ask.ORDER_EXECUTIONS or (order is not None and not order.executed_lots):
        return None
    ask = Ask.ORDER_HISTORY if order is None and query.ask is Ask.ORDER else Ask.ORDER_EXECUTIONS
    return msgspec.structs.replace(query, ask=ask, cursor="", tries=0)
