"""Questions to Bybit's REST about an account, and the pages of their answers. Sans-IO.

https://bybit-exchange.github.io/docs/v5/order/open-order, .../order/order-list, .../order/execution,
.../position, .../account/wallet-balance, .../user/apikey-info, .../market/time. Lists come in pages:
`nextPageCursor` of one is `cursor` of the next, empty on the last. The venue writes a cursor percent-encoded,
and so it goes back: as written, or its signature would not fit.

`/v5/order/realtime` with an order's id answers for recently closed orders too; without one, for open orders.
`/v5/execution/list` from a start spans seven days at most.
"""

from enum import Enum, auto
from typing import TypeVar

import msgspec

from mmbot.errors import RemoteProtocolError
from mmbot.units import DAY, MS, Ns
from mmbot.venues.bybit.codec import Category
from mmbot.venues.bybit.orders import Reply
from mmbot.venues.bybit.rows import ExecutionRow, OrderRow, PositionRow, WalletRow

T = TypeVar("T")

EXECUTIONS_SPAN_MS = 7 * DAY // MS
_MOST_DIGITS = 19


class Ask(Enum):
    """What a query is for."""

    TIME = auto()
    KEY = auto()
    WALLET = auto()
    OPEN_ORDERS = auto()
    EXECUTIONS = auto()
    POSITIONS = auto()
    ORDER = auto()
    ORDER_HISTORY = auto()
    ORDER_EXECUTIONS = auto()


_PATHS = {
    Ask.TIME: "/v5/market/time",
    Ask.KEY: "/v5/user/query-api",
    Ask.WALLET: "/v5/account/wallet-balance",
    Ask.OPEN_ORDERS: "/v5/order/realtime",
    Ask.EXECUTIONS: "/v5/execution/list",
    Ask.POSITIONS: "/v5/position/list",
    Ask.ORDER: "/v5/order/realtime",
    Ask.ORDER_HISTORY: "/v5/order/history",
    Ask.ORDER_EXECUTIONS: "/v5/execution/list",
}
_PAGE_ROWS = {"/v5/order/realtime": 50, "/v5/order/history": 50, "/v5/execution/list": 100}
LOOK_UP = (Ask.ORDER, Ask.ORDER_HISTORY, Ask.ORDER_EXECUTIONS)
"""What is asked about one order."""


class Query(msgspec.Struct, frozen=True, gc=False):
    """One GET. `connection` numbers the connection that a seed belongs to, `tries` how often it failed;
    `survey`: one of a survey.
    """

    ask: Ask
    category: Category = "linear"
    symbol: str = ""
    """As the venue writes it."""
    client_id: str = ""
    start_ms: int = 0
    cursor: str = ""
    settle: str = ""
    """Coin: all symbols that are settled in it."""
    connection: int = 0
    tries: int = 0
    survey: bool = False

    @property
    def path(self) -> str:
        return _PATHS[self.ask]

    @property
    def signed(self) -> bool:
        """Market questions need no key."""
        return self.ask is not Ask.TIME

    @property
    def parameters(self) -> str:
        """The query string, in the bytes to sign and to send."""
        if self.ask in (Ask.TIME, Ask.KEY):
            return ""
        if self.ask is Ask.WALLET:
            return "accountType=UNIFIED"
        pairs = {
            "category": self.category,
            "symbol": self.symbol,
            "settleCoin": self.settle,
            "orderLinkId": self.client_id,
            "startTime": self.start_ms or "",
            "limit": _PAGE_ROWS.get(self.path, ""),
            "cursor": self.cursor,
        }
        return "&".join(f"{name}={value}" for name, value in pairs.items() if value != "")


class _Page(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    list: msgspec.Raw
    category: str = ""
    next_page_cursor: str = ""


class _Time(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    time_nano: str


class _Key(msgspec.Struct, frozen=True, gc=False):
    user_id: int = msgspec.field(name="userID")


_page = msgspec.json.Decoder(_Page)
_time = msgspec.json.Decoder(_Time)
_key = msgspec.json.Decoder(_Key)
_orders = msgspec.json.Decoder(list[OrderRow])
_executions = msgspec.json.Decoder(list[ExecutionRow])
_positions = msgspec.json.Decoder(list[PositionRow])
_wallets = msgspec.json.Decoder(list[WalletRow])


class Page(msgspec.Struct, frozen=True, gc=False):
    """Rows of one answer, those of the asked kind; `cursor` is empty on the last page."""

    orders: list[OrderRow] = []
    executions: list[ExecutionRow] = []
    positions: list[PositionRow] = []
    wallets: list[WalletRow] = []
    cursor: str = ""


def page(query: Query, reply: Reply) -> Page:
    """The rows of an answer with retCode 0. Raises RemoteProtocolError for one that does not fit."""
    found = _read(_page, reply.content, query)
    if found.category not in ("", query.category):
        raise RemoteProtocolError(f"{query.path} was of {found.category!r}, expected {query.category!r}")
    cursor = found.next_page_cursor
    if not (cursor.isascii() and cursor.isprintable()) or " " in cursor:
        raise RemoteProtocolError(f"{query.path}: cursor was {cursor[:40]!r}, expected encoded text")
    if cursor and cursor == query.cursor:
        raise RemoteProtocolError(f"{query.path}: cursor was {cursor[:40]!r} again, expected another page")
    match query.ask:
        case Ask.WALLET:
            return Page(wallets=_read(_wallets, found.list, query))
        case Ask.POSITIONS:
            return Page(positions=_read(_positions, found.list, query), cursor=cursor)
        case Ask.EXECUTIONS | Ask.ORDER_EXECUTIONS:
            return Page(executions=_read(_executions, found.list, query), cursor=cursor)
        case _:
            return Page(orders=_read(_orders, found.list, query), cursor=cursor)


def server_ns(query: Query, reply: Reply) -> Ns:
    """What `GET /v5/market/time` says. Raises RemoteProtocolError."""
    text = _read(_time, reply.content, query).time_nano
    if not (text.isascii() and text.isdecimal() and len(text) == _MOST_DIGITS):
        raise RemoteProtocolError(f"timeNano was {text[:40]!r}, expected {_MOST_DIGITS} digits")
    return Ns(int(text))


def owner(query: Query, reply: Reply) -> int:
    """The account that a key belongs to, by `GET /v5/user/query-api`. Raises RemoteProtocolError, without the
    answer: it holds the key.
    """
    try:
        found = _key.decode(reply.content).user_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"answer of {query.path}: {error}") from None
    if found <= 0:
        raise RemoteProtocolError(f"answer of {query.path}: userID was {found}, expected a positive number")
    return found


def _read(decoder: "msgspec.json.Decoder[T]", content: msgspec.Raw, query: Query) -> T:
    try:
        return decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(
            f"answer of {query.path} was {bytes(content)[:120]!r}, expected its rows: {error}"
        ) from error
