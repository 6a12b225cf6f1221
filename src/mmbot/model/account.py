"""What a real venue says about our account: raw facts, before the order lifecycle makes order events of them.

A venue repeats itself, contradicts itself and answers late; so these are reports, not events. The lifecycle
(`execution.lifecycle`) explains them and hands each consequence to the engine once.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from mmbot.model.events import Funding
from mmbot.model.instrument import Side
from mmbot.units import Lots, Ns, Ticks


class VenueStatus(StrEnum):
    """Where the venue says that an order stands."""

    WORKING = "working"
    """New or partially filled: it may still fill."""
    FILLED = "filled"
    CANCELLED = "cancelled"
    """Gone with or without executions, whoever asked for it; an expired post-only order too."""
    REJECTED = "rejected"


class OrderReport(msgspec.Struct, frozen=True, gc=False):
    """One order as the venue states it, in a stream message or in an answer to a query. `client_id` is empty
    for an order that was entered without one; `reason` is the venue's own word, empty if it gave none.
    """

    symbol: str
    client_id: str
    order_id: str
    side: Side
    tick: Ticks
    lots: Lots
    executed_lots: Lots
    status: VenueStatus
    reason: str
    venue_ns: Ns
    recv_ns: Ns


class Execution(msgspec.Struct, frozen=True, gc=False):
    """One trade of ours. `exec_id` is unique at the venue and the key to book it once; `fee` is in the
    settlement currency, positive = paid (the venue's sign for a rebate is negative), None where the stream
    does not say it.
    """

    symbol: str
    client_id: str
    order_id: str
    exec_id: str
    side: Side
    tick: Ticks
    lots: Lots
    maker: bool
    fee: float | None
    venue_ns: Ns
    recv_ns: Ns


class PositionReport(msgspec.Struct, frozen=True, gc=False):
    """Our position in one instrument: signed lots, and the venue's average entry price (None when flat)."""

    symbol: str
    lots: Lots
    entry_price: float | None
    recv_ns: Ns


class OffOrderExecution(msgspec.Struct, frozen=True, gc=False):
    """A change of our position that came from no order of ours: deleveraging, liquidation, delivery, a moved
    position. `kind` is the venue's word; the price may be off the tick grid.
    """

    symbol: str
    exec_id: str
    kind: str
    side: Side
    price: float
    lots: Lots
    fee: float | None
    venue_ns: Ns
    recv_ns: Ns


class CoinBalance(msgspec.Struct, frozen=True, gc=False):
    """What the account holds of one coin, in that coin. `equity` = balance + unrealised profit; None where
    the venue does not say it.
    """

    coin: str
    balance: float
    equity: float | None


class WalletReport(msgspec.Struct, frozen=True, gc=False):
    """Balances of the coins that changed, or of all. Equity and what is free for margin are of the whole
    account, in USD, None where the venue does not say them.
    """

    coins: tuple[CoinBalance, ...]
    equity_usd: float | None
    available_usd: float | None
    recv_ns: Ns


class Asked(StrEnum):
    """What a request was about."""

    CREATE = "create"
    AMEND = "amend"
    CANCEL = "cancel"


class Outcome(StrEnum):
    """What the answer to a request proves."""

    ACCEPTED = "accepted"
    """The venue took the request; what became of the order is said by its reports."""
    REFUSED = "refused"
    """The venue said no, and nothing happened."""
    UNKNOWN = "unknown"
    """Time-out, a broken connection, 5xx: it may have happened. Never resent, always looked up."""


class RequestAnswer(msgspec.Struct, frozen=True, gc=False):
    """The answer to one create, amend or cancel. `code` is the venue's (0 = none), `reason` its text."""

    symbol: str
    client_id: str
    asked: Asked
    outcome: Outcome
    code: int
    reason: str
    recv_ns: Ns


class OrderAbsent(msgspec.Struct, frozen=True, gc=False):
    """A complete look-up (open orders, order history, executions) did not find this order."""

    symbol: str
    client_id: str
    recv_ns: Ns


class LookUpOrder(msgspec.Struct, frozen=True, gc=False):
    """A command of the lifecycle: ask the venue what became of this order."""

    symbol: str
    client_id: str


class AccountFault(StrEnum):
    """What keeps requests from being taken."""

    RATE_LIMITED = "rate_limited"
    """Too many of one kind: none of it until a stated time."""
    BANNED = "banned"
    """Too many of all kinds: no traffic at all until a stated time, or the ban grows."""
    CLOCK_DRIFT = "clock_drift"
    """Our time is further from the venue's than an honest clock should be."""
    CLOCK = "clock"
    """Our time is so far from the venue's that it refuses requests, or soon will."""
    CREDENTIALS = "credentials"
    """Key, signature, permission or address: every request will be refused."""

    @property
    def halts(self) -> bool:
        """Nothing can be quoted with it."""
        return self in (AccountFault.BANNED, AccountFault.CLOCK, AccountFault.CREDENTIALS)


class AccountTrouble(msgspec.Struct, frozen=True, gc=False):
    """The venue does not serve us as it should; `until_ns` by our clock, None where it ends by no time."""

    fault: AccountFault
    detail: str
    until_ns: Ns | None
    recv_ns: Ns


class AccountCurrent(msgspec.Struct, frozen=True, gc=False):
    """All open orders, all executions since we last knew, positions and balances have just been told; the
    stream goes on from there. An order of ours that was not among them is not open.
    """

    recv_ns: Ns


class AccountStale(msgspec.Struct, frozen=True, gc=False):
    """The stream ended: until the next AccountCurrent, what we know of orders and positions may be old."""

    reason: str
    recv_ns: Ns


class VenueAccount(msgspec.Struct, frozen=True, gc=False):
    """A survey: complete answers of the venue, asked in the order of the fields. A symbol without a position
    report is flat. `asked_ns`: before the first of them was asked for.
    """

    asked_ns: Ns
    open_orders: Sequence[OrderReport]
    executions: Sequence[Execution]
    positions: Sequence[PositionReport]
    recv_ns: Ns


AccountEvent = OrderReport | Execution | PositionReport | RequestAnswer | OrderAbsent
"""What the order lifecycle explains."""
AccountReport = AccountEvent | OffOrderExecution | WalletReport | Funding
"""All that a venue says about an account."""
AccountMessage = AccountReport | AccountTrouble | AccountCurrent | AccountStale | VenueAccount
"""The same, what became of our connection to it, and surveys."""
