"""Rows of orders, executions, positions and wallets, as Bybit v5 writes them in its private topics and in its
REST lists alike -> account reports.

One order as the `order` topic pushes it, recorded (cut):

    {"category":"linear","symbol":"BTCUSDT","orderId":"84048238-4662-4b53-b7cc-080ec7d5f912","orderLinkId":"",
    "side":"Buy","orderStatus":"Cancelled","cancelType":"CancelByUser","rejectReason":"EC_PerCancelRequest",
    "timeInForce":"GTC","price":"69000","qty":"0.01","leavesQty":"0","cumExecQty":"0","updatedTime":"1731164432385"}

Every number is a string; prices and sizes become ticks and lots exactly, and one off the grid of its
instrument is an error. Keys that are not named here are ignored: the venue adds them without notice
(`closedPnl`, `execPnl`, `createType` appeared so). A row of an instrument that was not named to us is counted
and otherwise left alone, since an account may hold other things; its values are not read.

What the words mean for us:

- a derivatives order that was partly executed ends as `Cancelled`, a spot one as `PartiallyFilledCanceled`;
  both are CANCELLED with executed lots. `Deactivated` is a conditional order that was taken back;
- a cancel that loses its race makes the venue push `Filled` twice, the second time with rejectReason
  EC_OrigClOrdIDDoesNotExist. Each is a report; that they say the same is for the reader to see;
- a post-only order that would take is `Cancelled` or `Rejected` with EC_PostOnlyWillTakeLiquidity;
- only execType `Trade` executed an order of ours. `Funding` is cash. All others move the position from
  outside.

Fees are in settlement currency. Spot takes them in the coin that was received, which is turned into quote
currency at the execution's price; a fee in a third coin, or on spot in a coin that is not named, is None.

Hedge mode (positionIdx 1 and 2) holds two positions of one instrument, which nothing here could say: it is
refused.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from mmbot.errors import ConfigError, RemoteProtocolError
from mmbot.model.account import (
    CoinBalance,
    Execution,
    OffOrderExecution,
    OrderReport,
    PositionReport,
    VenueStatus,
    WalletReport,
)
from mmbot.model.events import Funding
from mmbot.model.instrument import Instrument, Side, parser
from mmbot.units import MS, Lots, Ns, Ticks
from mmbot.venues.bybit.codec import category

_SIDES = {"Buy": Side.BUY, "Sell": Side.SELL}
_STATUSES = {
    "New": VenueStatus.WORKING,
    "PartiallyFilled": VenueStatus.WORKING,
    "Untriggered": VenueStatus.WORKING,
    "Triggered": VenueStatus.WORKING,
    "Filled": VenueStatus.FILLED,
    "Cancelled": VenueStatus.CANCELLED,
    "PartiallyFilledCanceled": VenueStatus.CANCELLED,
    "Deactivated": VenueStatus.CANCELLED,
    "Rejected": VenueStatus.REJECTED,
}
_NO_REASON = ("", "EC_NoError", "UNKNOWN")
_FLAT_SIDES = ("", "None")
_MS_DIGITS = 13
_LONGEST_NUMBER = 64
_NUMBER_CHARACTERS = frozenset("0123456789.-+eE")


class OrderRow(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """`category` is missing from rows of REST lists, which name it once."""

    symbol: str
    order_id: str
    side: Literal["Buy", "Sell"]
    price: str
    qty: str
    cum_exec_qty: str
    order_status: str
    order_link_id: str = ""
    cancel_type: str = ""
    reject_reason: str = ""
    updated_time: str = ""
    category: str = ""


class ExecutionRow(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Also of `execution.fast`, which carries trades alone and says neither fee nor, formerly, `isMaker`."""

    symbol: str
    order_id: str
    side: Literal["Buy", "Sell"]
    exec_id: str
    exec_price: str
    exec_qty: str
    exec_time: str
    order_link_id: str = ""
    exec_type: str = "Trade"
    exec_fee: str | None = None
    fee_rate: str = ""
    fee_currency: str = ""
    is_maker: bool | None = None
    category: str = ""


class PositionRow(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The entry price is `entryPrice` in the topic, `avgPrice` in the REST list."""

    symbol: str
    side: Literal["Buy", "Sell", "None", ""]
    size: str
    position_idx: int
    entry_price: str = ""
    avg_price: str = ""
    category: str = ""


class CoinRow(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    coin: str
    wallet_balance: str
    equity: str = ""


class WalletRow(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    account_type: str
    coin: list[CoinRow]
    total_equity: str = ""
    total_available_balance: str = ""


class _Traded:
    """One instrument and its number grids."""

    __slots__ = ("instrument", "lots", "spot", "ticks")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.spot = category(instrument) == "spot"
        self.ticks: Callable[[str], int] = parser(instrument.tick_size, f"{instrument.key} price")
        self.lots: Callable[[str], int] = parser(instrument.lot_size, f"{instrument.key} size")


class RowReader:
    """The instruments that we trade, and what a row says about one of them. Every method raises
    RemoteProtocolError for a row that breaks the rules above, and returns None for another's.
    """

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._traded: dict[tuple[str, str], _Traded] = {
            (category(one), one.symbol): _Traded(one) for one in instruments
        }
        if len(self._traded) != len(instruments):
            raise ConfigError("an account was given an instrument twice")
        self.foreign: Counter[str] = Counter()
        """Rows of other instruments, by `category:symbol`."""

    def order(self, row: OrderRow, of: str, stated_ms: int, recv_ns: Ns) -> OrderReport | None:
        """`of` is the category of the list, `stated_ms` the time of the message: for rows without theirs."""
        traded = self._of(row.category or of, row.symbol)
        if traded is None:
            return None
        where = f"{traded.instrument.key} order {row.order_id}"
        lots, executed = traded.lots(row.qty), traded.lots(row.cum_exec_qty)
        if executed > lots:
            raise RemoteProtocolError(f"{where}: executed was {row.cum_exec_qty}, expected at most {row.qty}")
        reasons = (row.reject_reason, row.cancel_type)
        return OrderReport(
            symbol=traded.instrument.key,
            client_id=row.order_link_id,
            order_id=_named(row.order_id, f"{traded.instrument.key} orderId"),
            side=_SIDES[row.side],
            tick=Ticks(traded.ticks(row.price)),
            lots=Lots(lots),
            executed_lots=Lots(executed),
            status=_status(row.order_status, where),
            reason=next((reason for reason in reasons if reason not in _NO_REASON), ""),
            venue_ns=_ns(row.updated_time, where) if row.updated_time else Ns(stated_ms * MS),
            recv_ns=recv_ns,
        )

    def execution(
        self, row: ExecutionRow, of: str, recv_ns: Ns
    ) -> Execution | OffOrderExecution | Funding | None:
        traded = self._of(row.category or of, row.symbol)
        if traded is None:
            return None
        where = f"{traded.instrument.key} execution {_named(row.exec_id, 'execId')}"
        if row.exec_type == "Trade":
            return _trade(row, traded, where, recv_ns)
        if row.exec_type == "Funding":
            payment, rate = number(row.exec_fee or "", where), number(row.fee_rate, where)
            return Funding(traded.instrument.key, _ns(row.exec_time, where), recv_ns, rate, payment)
        return OffOrderExecution(
            symbol=traded.instrument.key,
            exec_id=row.exec_id,
            kind=_named(row.exec_type, f"{where} execType"),
            side=_SIDES[row.side],
            price=number(row.exec_price, where),
            lots=Lots(traded.lots(row.exec_qty)),
            fee=_fee(row, traded, where),
            venue_ns=_ns(row.exec_time, where),
            recv_ns=recv_ns,
        )

    def position(self, row: PositionRow, of: str, recv_ns: Ns) -> PositionReport | None:
        traded = self._of(row.category or of, row.symbol)
        if traded is None:
            return None
        key = traded.instrument.key
        if row.position_idx != 0:
            raise RemoteProtocolError(
                f"{key} positionIdx was {row.position_idx}, expected 0: the account is in hedge mode"
            )
        lots = traded.lots(row.size)
        if not lots:
            return PositionReport(key, Lots(0), None, recv_ns)
        if row.side in _FLAT_SIDES:
            raise RemoteProtocolError(
                f"{key} position of {row.size} had side {row.side!r}, expected Buy or Sell"
            )
        price = number(row.entry_price or row.avg_price, f"{key} entry price")
        return PositionReport(key, Lots(_SIDES[row.side] * lots), price, recv_ns)

    def _of(self, named: str, symbol: str) -> _Traded | None:
        traded = self._traded.get((named, symbol))
        if traded is None:
            self.foreign[f"{named}:{symbol}"] += 1
        return traded


def wallet(row: WalletRow, recv_ns: Ns) -> WalletReport:
    coins = tuple(
        CoinBalance(one.coin, number(one.wallet_balance, one.coin), _maybe(one.equity, one.coin))
        for one in row.coin
    )
    equity, available = row.total_equity, row.total_available_balance
    return WalletReport(coins, _maybe(equity, "equity"), _maybe(available, "available balance"), recv_ns)


def _trade(row: ExecutionRow, traded: _Traded, where: str, recv_ns: Ns) -> Execution:
    tick, lots = traded.ticks(row.exec_price), traded.lots(row.exec_qty)
    if not tick or not lots:
        raise RemoteProtocolError(
            f"{where}: was {row.exec_qty} at {row.exec_price}, expected more than zero of both"
        )
    fee, instrument = _fee(row, traded, where), traded.instrument
    if fee is not None and abs(fee) > instrument.notional(lots, instrument.price(tick)):
        raise RemoteProtocolError(f"{where}: fee was {row.exec_fee}, expected less than what was traded")
    return Execution(
        symbol=traded.instrument.key,
        client_id=row.order_link_id,
        order_id=_named(row.order_id, f"{where} orderId"),
        exec_id=row.exec_id,
        side=_SIDES[row.side],
        tick=Ticks(tick),
        lots=Lots(lots),
        # execution.fast: orderLinkId "won't be output unless it is taker trade", and ours always have one
        maker=not row.order_link_id if row.is_maker is None else row.is_maker,
        fee=fee,
        venue_ns=_ns(row.exec_time, where),
        recv_ns=recv_ns,
    )


def _fee(row: ExecutionRow, traded: _Traded, where: str) -> float | None:
    if not row.exec_fee:
        return None
    fee, instrument = number(row.exec_fee, where), traded.instrument
    if row.fee_currency == instrument.settled_in or not (row.fee_currency or traded.spot):
        return fee
    if traded.spot and row.fee_currency == instrument.base:
        return fee * number(row.exec_price, where)
    return None


def _status(word: str, where: str) -> VenueStatus:
    status = _STATUSES.get(word)
    if status is None:
        raise RemoteProtocolError(
            f"{where}: status was {word[:40]!r}, expected one of {', '.join(_STATUSES)}"
        )
    return status


def _named(text: str, what: str) -> str:
    if not text:
        raise RemoteProtocolError(f"{what} was empty, expected the venue's name for it")
    return text


def _ns(text: str, where: str) -> Ns:
    """Milliseconds of this or the next two centuries, as digits."""
    if not (len(text) == _MS_DIGITS and text.isascii() and text.isdecimal()):
        raise RemoteProtocolError(f"{where}: time was {text!r}, expected {_MS_DIGITS} digits of milliseconds")
    return Ns(int(text) * MS)


def number(text: str, where: str) -> float:
    """A signed decimal that is measured and not traded on: fees, balances, averages. Raises
    RemoteProtocolError for anything else.
    """
    plain = _NUMBER_CHARACTERS.issuperset(text) and len(text) <= _LONGEST_NUMBER
    try:
        value = float(text) if plain else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RemoteProtocolError(f"{where}: number was {text[:40]!r}, expected a finite decimal")
    return value


def _maybe(text: str, where: str) -> float | None:
    return number(text, where) if text else None
