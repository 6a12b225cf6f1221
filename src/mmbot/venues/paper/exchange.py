"""The paper exchange, sans-IO: market events and clients' messages in, messages out.

Time is handed in. *Exchange time* is the tape's, moved so that it starts when the exchange does; orders and
market data carry it. *Wall time* is what requests are signed with, what `GET /v5/market/time` says and what
`time` is: a client's clock has to agree with it at any speed of play. At speed 1 the two
are the same.

`step(until_ns)` plays the tape up to a time; nothing else moves the market. At the end of the tape the
streams fall silent and new orders are rejected, since nothing could match them; it is never played again.
"""

from collections.abc import Sequence

from mmbot.errors import ConfigError
from mmbot.units import MS
from mmbot.venues.bybit.codec import Category
from mmbot.venues.paper.account import Account
from mmbot.venues.paper.connection import Connection
from mmbot.venues.paper.faults import Faults, FaultSettings, Kind
from mmbot.venues.paper.market import Market
from mmbot.venues.paper.member import Member
from mmbot.venues.paper.private import PrivateConnection, PrivateRoom
from mmbot.venues.paper.public import PublicRoom
from mmbot.venues.paper.settings import ApiKey, PaperSettings
from mmbot.venues.paper.tape import Feed, timeline

_FIRST_UID = 1_000_001


class PaperExchange:
    """`now_ns`: exchange time reached; `ended`: the tape is over."""

    def __init__(
        self,
        feeds: Sequence[Feed],
        keys: Sequence[ApiKey],
        settings: PaperSettings,
        start_ns: int,
        faults: FaultSettings | None = None,
    ) -> None:
        self.markets = [Market(feed.instrument) for feed in feeds]
        places = [(market.category, market.instrument.symbol) for market in self.markets]
        if len(set(places)) != len(places):
            raise ConfigError(f"the exchange was given {places}, expected each instrument once")
        if not keys or len({key.key for key in keys}) != len(keys):
            raise ConfigError("the exchange was given no API key, or one twice")
        self.settings = settings
        self.faults = Faults(faults or FaultSettings())
        self.members = {
            key.key: Member(Account(key, _FIRST_UID + number, self.markets, settings), settings)
            for number, key in enumerate(keys)
        }
        self.public = {category: self._room(category) for category in ("linear", "inverse", "spot")}
        self.private = PrivateRoom(self.members, self.faults)
        self.now_ns = start_ns
        self.ended = False
        self._places = places
        self._timeline = timeline(feeds, start_ns)
        self._next = next(self._timeline, None)
        self.connections: list[Connection] = []
        self._opened = 0

    @property
    def next_ns(self) -> int | None:
        """When the next event of the tape is due; None at its end."""
        return None if self._next is None else self._next.ns

    def step(self, until_ns: int) -> None:
        """Play every event up to and including a time, and be there. Going back is an error."""
        if until_ns < self.now_ns:
            raise ValueError(f"step to {until_ns}, expected at least {self.now_ns}, where the exchange is")
        while self._next is not None and self._next.ns <= until_ns:
            self.step_one()
        self.now_ns = until_ns
        for market in self.markets:
            self.public[market.category].publish(market.again(until_ns))
        for member in self.members.values():
            member.bury(until_ns)
        self.publish()

    def step_one(self) -> None:
        """Play the next event."""
        moment = self._next
        if moment is None:
            return
        market, place = self.markets[moment.feed], self._places[moment.feed]
        self.now_ns = max(self.now_ns, moment.ns)
        for member in self.members.values():
            member.account.on_event(self.now_ns, place, moment.event)
        self.public[market.category].publish(market.on_event(self.now_ns, moment.event))
        self._next = next(self._timeline, None)
        if self._next is None:
            self._end()
        self.publish()

    def open(self, path: str) -> Connection | None:
        """A socket for `/v5/public/linear`, `/v5/private` or `/v5/trade`; None for a path that is none."""
        self._opened += 1
        conn_id = f"paper-{self._opened}"
        connection: Connection
        kinds: dict[str, Kind] = {"/v5/private": "private", "/v5/trade": "trade"}
        category = path.removeprefix("/v5/public/")
        if path in kinds:
            connection = self.private.open(kinds[path], conn_id)
        elif category in self.public and category != path:
            connection = self.public[_category(category)].open(conn_id)
        else:
            return None
        self.connections.append(connection)
        return connection

    def receive(self, connection: Connection, text: str | bytes, wall_ns: int) -> None:
        """A client's message; answers and what follows from it are in the outboxes."""
        if isinstance(connection, PrivateConnection):
            self.private.receive(connection, text, self.now_ns, self.skewed_ns(wall_ns))
            self.publish()
        else:
            self.public[_category(connection.category)].receive(connection, text)

    def close(self, connection: Connection) -> None:
        """The client's socket is gone."""
        self.connections.remove(connection)
        if isinstance(connection, PrivateConnection):
            self.private.close(connection, self.now_ns)
        else:
            self.public[_category(connection.category)].close(connection)

    def skewed_ns(self, wall_ns: int) -> int:
        """What the exchange takes the time to be."""
        return wall_ns + self.faults.now.clock_skew_ms * MS

    def act_on_faults(self) -> None:
        """Do what the switches say is to happen at once."""
        now = self.faults.now
        self.faults.happened()
        if now.restart:
            for market in self.markets:
                self.public[market.category].publish(market.restart())
        for connection in self.connections:
            if now.close in (connection.kind, "all"):
                connection.closing = True

    def publish(self) -> None:
        """Hand what accounts told to their sockets."""
        for member in self.members.values():
            if member.account.outgoing:
                self.private.publish(member, self.now_ns)

    def _end(self) -> None:
        self.ended = True
        for member in self.members.values():
            for desk in member.account.desks.values():
                desk.end()

    def _room(self, category: str) -> PublicRoom:
        markets = [market for market in self.markets if market.category == category]
        return PublicRoom(_category(category), markets, self.faults)


def _category(word: str) -> Category:
    match word:
        case "linear" | "spot" | "inverse":
            return word
        case _:
            raise ValueError(f"category was {word!r}, expected linear, spot or inverse")
