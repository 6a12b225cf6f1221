"""The Binance USD-M user stream -> account reports. Sans-IO; what it lives by is in `listen_key`.

https://developers.binance.com/docs/derivatives/usds-margined-futures/user-data-streams. Three events matter:
`ORDER_TRADE_UPDATE`, `ACCOUNT_UPDATE` and `listenKeyExpired`. A fill, recorded (cut):

    {"e":"ORDER_TRADE_UPDATE","T":1727321324094,"E":1727321324099,"fs":"UM","o":{"s":"WLDUSDT",
    "c":"c-11WLU7VP2rj4ss0i","S":"SELL","o":"LIMIT","f":"GTC","q":"10","p":"2.0623000","x":"TRADE","X":"FILLED",
    "i":8911717079,"l":"10","z":"10","L":"2.0623000","n":"0","N":"USDT","T":1727321324094,"t":648980369,"m":true}}

It says two things, the execution and where the order now stands, and is told so, in this order. Keys not
named here are ignored. Events not named here are too, since the venue pushes new kinds to everybody unasked;
like rows of other instruments, and of COIN-M in a portfolio account (`fs` CM), they are counted by name.

An order id beginning `autoclose-`, `adl_autoclose` or `settlement_autoclose-` is the venue's own: its trades
are OffOrderExecution, and its states are nobody's. A fee in another coin (BNB) is None. A trade id is unique
within its instrument, hence the instrument in `exec_id`. Hedge mode (`ps` LONG or SHORT) is refused. Funding
(`ACCOUNT_UPDATE` of FUNDING_FEE) is only seen as a changed balance: for a crossed position the event names
neither instrument nor rate.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from mmbot.errors import ConfigError, RemoteProtocolError
from mmbot.model.account import (
    AccountReport,
    CoinBalance,
    Execution,
    OffOrderExecution,
    OrderReport,
    PositionReport,
    VenueStatus,
    WalletReport,
)
from mmbot.model.instrument import Instrument, Side, parser
from mmbot.units import MS, Lots, Ns, Ticks
from mmbot.venues.binance.orders import VENUE

_SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}
_STATUSES = {
    "NEW": VenueStatus.WORKING,
    "PARTIALLY_FILLED": VenueStatus.WORKING,
    "FILLED": VenueStatus.FILLED,
    "CANCELED": VenueStatus.CANCELLED,
    "EXPIRED": VenueStatus.CANCELLED,
    "EXPIRED_IN_MATCH": VenueStatus.CANCELLED,
    "REJECTED": VenueStatus.REJECTED,
}
_ENDED = (VenueStatus.CANCELLED, VenueStatus.REJECTED)
_VENUES_OWN = ("autoclose-", "adl_autoclose", "settlement_autoclose-")
_NUMBER = re.compile(r"-?[0-9]{1,24}(\.[0-9]{1,24})?")


class _OrderRow(msgspec.Struct, frozen=True, gc=False):
    """Names of the wire: symbol, client id, side, quantity, price, execution, status, order id, last
    quantity, cumulated, last price, time, trade id, maker, fee and its coin, position side, expiry reason.
    """

    s: str
    c: str
    S: Literal["BUY", "SELL"]
    q: str
    p: str
    x: str
    X: str
    i: int
    l: str  # noqa: E741 (the wire's name)
    z: str
    L: str
    T: int
    t: int
    m: bool
    n: str = ""
    N: str | None = None
    ps: str = "BOTH"
    er: str = "0"


class _BalanceRow(msgspec.Struct, frozen=True, gc=False):
    a: str
    wb: str


class _PositionRow(msgspec.Struct, frozen=True, gc=False):
    s: str
    pa: str
    ep: str
    ps: str


class _Account(msgspec.Struct, frozen=True, gc=False):
    B: list[_BalanceRow] = []
    P: list[_PositionRow] = []


class _Event(msgspec.Struct, frozen=True, gc=False):
    e: str
    fs: str = "UM"
    o: msgspec.Raw = msgspec.Raw()
    a: msgspec.Raw = msgspec.Raw()


class _Frame(msgspec.Struct, frozen=True, gc=False):
    """A combined-stream envelope."""

    stream: str
    data: msgspec.Raw


class ListenKeyExpired(msgspec.Struct, frozen=True, gc=False):
    """The stream is dead: a new key, a new connection, and everything by REST again."""


_event = msgspec.json.Decoder(_Event)
_frame = msgspec.json.Decoder(_Frame)
_order_row = msgspec.json.Decoder(_OrderRow)
_account = msgspec.json.Decoder(_Account)


class _Traded:
    __slots__ = ("instrument", "lots", "ticks")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.ticks: Callable[[str], int] = parser(instrument.tick_size, f"{instrument.key} price")
        self.lots: Callable[[str], int] = parser(instrument.lot_size, f"{instrument.key} size")


class UserReader:
    """What the stream says about these instruments."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        wrong = [one.key for one in instruments if one.venue != VENUE]
        if wrong or len({one.symbol for one in instruments}) != len(instruments):
            raise ConfigError(
                f"instruments were {[one.key for one in instruments]}, expected each once, of {VENUE}"
            )
        self._traded = {one.symbol: _Traded(one) for one in instruments}
        self.foreign: Counter[str] = Counter()
        """Events and rows that were not read, by name."""

    def receive(self, payload: bytes, recv_ns: Ns) -> list[AccountReport] | ListenKeyExpired:
        """One message. Raises RemoteProtocolError for one that does not fit."""
        try:
            if payload.startswith(b'{"stream"'):
                payload = bytes(_frame.decode(payload).data)
            event = _event.decode(payload)
            match event.e:
                case "ORDER_TRADE_UPDATE":
                    return self._order(_order_row.decode(event.o), event, recv_ns)
                case "ACCOUNT_UPDATE":
                    return self._account(_account.decode(event.a), recv_ns)
                case "listenKeyExpired":
                    return ListenKeyExpired()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RemoteProtocolError(
                f"message was {payload[:120]!r}, expected one of the user stream: {error}"
            ) from error
        self.foreign[event.e] += 1
        return []

    def _of(self, symbol: str, position_side: str, business: str = "UM") -> _Traded | None:
        traded = self._traded.get(symbol) if business == "UM" else None
        if traded is None:
            self.foreign[symbol] += 1
        elif position_side != "BOTH":
            raise RemoteProtocolError(
                f"{traded.instrument.key} position side was {position_side!r}, expected BOTH: the account is "
                "in hedge mode"
            )
        return traded

    def _order(self, row: _OrderRow, event: _Event, recv_ns: Ns) -> list[AccountReport]:
        traded = self._of(row.s, row.ps, event.fs)
        if traded is None:
            return []
        where = f"{traded.instrument.key} order {row.i}"
        executed = [_execution(row, traded, where, recv_ns)] if row.x in ("TRADE", "CALCULATED") else []
        if row.c.startswith(_VENUES_OWN):
            return [*executed]
        return [*executed, _order_report(row, traded, where, recv_ns)]

    def _account(self, account: _Account, recv_ns: Ns) -> list[AccountReport]:
        reports: list[AccountReport] = []
        for row in account.P:
            traded = self._of(row.s, row.ps)
            if traded is not None:
                lots = traded.lots(row.pa.removeprefix("-")) * (-1 if row.pa.startswith("-") else 1)
                entry_price = _number(row.ep, f"{traded.instrument.key} entry price") if lots else None
                reports.append(PositionReport(traded.instrument.key, Lots(lots), entry_price, recv_ns))
        if account.B:
            coins = tuple(CoinBalance(one.a, _number(one.wb, one.a), None) for one in account.B)
            reports.append(WalletReport(coins, None, None, recv_ns))
        return reports


def _order_report(row: _OrderRow, traded: _Traded, where: str, recv_ns: Ns) -> OrderReport:
    status = _STATUSES.get(row.X)
    if status is None:
        raise RemoteProtocolError(
            f"{where}: status was {row.X[:40]!r}, expected one of {', '.join(_STATUSES)}"
        )
    lots, executed = traded.lots(row.q), traded.lots(row.z)
    if executed > lots:
        raise RemoteProtocolError(f"{where}: executed was {row.z}, expected at most {row.q}")
    reason = f"{row.X} (reason {row.er})" if row.er not in ("", "0") else row.X
    return OrderReport(
        symbol=traded.instrument.key,
        client_id=row.c,
        order_id=str(row.i),
        side=_SIDES[row.S],
        tick=Ticks(traded.ticks(row.p)),
        lots=Lots(lots),
        executed_lots=Lots(executed),
        status=status,
        reason=reason if status in _ENDED else "",
        venue_ns=_ns(row.T, where),
        recv_ns=recv_ns,
    )


def _execution(row: _OrderRow, traded: _Traded, where: str, recv_ns: Ns) -> Execution | OffOrderExecution:
    exec_id, lots = f"{row.s}-{row.t}", traded.lots(row.l)
    if row.t < 1 or not lots:
        raise RemoteProtocolError(
            f"{where}: trade {row.t} was of {row.l}, expected an id and a quantity above 0"
        )
    fee = _number(row.n, where) if row.n and traded.instrument.settled_in == row.N else None
    if row.x == "CALCULATED" or row.c.startswith(_VENUES_OWN):
        return OffOrderExecution(
            symbol=traded.instrument.key,
            exec_id=exec_id,
            kind=row.c,
            side=_SIDES[row.S],
            price=_number(row.L, where),
            lots=Lots(lots),
            fee=fee,
            venue_ns=_ns(row.T, where),
            recv_ns=recv_ns,
        )
    tick = traded.ticks(row.L)
    if not tick:
        raise RemoteProtocolError(f"{where}: trade {row.t} was at price {row.L}, expected more than zero")
    return Execution(
        symbol=traded.instrument.key,
        client_id=row.c,
        order_id=str(row.i),
        exec_id=exec_id,
        side=_SIDES[row.S],
        tick=Ticks(tick),
        lots=Lots(lots),
        maker=row.m,
        fee=fee,
        venue_ns=_ns(row.T, where),
        recv_ns=recv_ns,
    )


_FIRST_MS, _LAST_MS = 10**12, 10**13


def _ns(ms: int, where: str) -> Ns:
    if not _FIRST_MS <= ms < _LAST_MS:
        raise RemoteProtocolError(f"{where}: time was {ms}, expected 13 digits of milliseconds")
    return Ns(ms * MS)


def _number(text: str, where: str) -> float:
    if _NUMBER.fullmatch(text) is None:
        raise RemoteProtocolError(f"{where}: number was {text[:40]!r}, expected a decimal")
    return float(text)
