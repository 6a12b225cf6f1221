"""Public sockets of one category: https://bybit-exchange.github.io/docs/v5/ws/connect

A request is accepted or refused as a whole; its ack names no topic and carries its `req_id`. The words of
refusals are the venue's where a capture has them ("Invalid symbol :[orderbook.50.NOSUCHSYM]").
"""

from collections.abc import Iterable

from mmbot.venues.bybit.codec import Category
from mmbot.venues.paper.connection import MOST_ARGS_CHARACTERS, Connection, request, topics_asked
from mmbot.venues.paper.depth import DEPTHS
from mmbot.venues.paper.faults import Faults
from mmbot.venues.paper.klines import INTERVALS
from mmbot.venues.paper.market import Frame, Market
from mmbot.venues.paper.wire import Row

_SPOT_ARGS = 10
_PARAMETERS = {"orderbook": [str(depth) for depth in DEPTHS], "kline": list(INTERVALS)}
_PLAIN = ("publicTrade", "tickers")


class PublicRoom:
    """The markets of one category and who listens to what."""

    def __init__(self, category: Category, markets: Iterable[Market], faults: Faults) -> None:
        self.category = category
        self.markets = {market.instrument.symbol: market for market in markets}
        self._listeners: dict[str, list[Connection]] = {}
        self._faults = faults

    def open(self, conn_id: str) -> Connection:
        return Connection("public", conn_id, self._faults, self.category)

    def publish(self, frames: Iterable[Frame]) -> None:
        for topic, frame in frames:
            for connection in self._listeners.get(topic, ()):
                connection.data(topic, frame)

    def receive(self, connection: Connection, text: str | bytes) -> None:
        """A client said something; the answers are in its outbox."""
        message = request(text)
        op = None if message is None else message.get("op")
        if message is None or op not in ("ping", "subscribe", "unsubscribe"):
            self._reply(connection, message or {}, ok=False, words="error:invalid op")
        elif op == "ping":
            self._reply(connection, message, ok=True, words="pong")
        elif op == "subscribe":
            self._subscribe(connection, message)
        else:
            self._unsubscribe(connection, message)

    def close(self, connection: Connection) -> None:
        for topic in list(connection.topics):
            self._leave(connection, topic)

    def _subscribe(self, connection: Connection, message: Row) -> None:
        topics = topics_asked(message)
        refusal = self._refusal(connection, topics)
        if refusal:
            self._reply(connection, message, ok=False, words=refusal)
            return
        self._reply(connection, message, ok=True, words="subscribe" if self.category == "spot" else "")
        for topic in topics:
            connection.topics[topic] = None
            self._listeners.setdefault(topic, []).append(connection)
            for frame in self._market(topic).watch(topic):
                connection.data(topic, frame)

    def _unsubscribe(self, connection: Connection, message: Row) -> None:
        for topic in topics_asked(message):
            if topic in connection.topics:
                self._leave(connection, topic)
        self._reply(connection, message, ok=True, words="")

    def _leave(self, connection: Connection, topic: str) -> None:
        del connection.topics[topic]
        self._listeners[topic].remove(connection)
        self._market(topic).unwatch(topic)

    def _market(self, topic: str) -> Market:
        return self.markets[topic.rpartition(".")[2]]

    def _refusal(self, connection: Connection, topics: list[str]) -> str:
        """Why these topics cannot be had; empty where they can."""
        if not topics:
            return "error:args is empty"
        if self.category == "spot" and len(topics) > _SPOT_ARGS:
            return f"args size >{_SPOT_ARGS}"
        if sum(map(len, [*connection.topics, *topics])) > MOST_ARGS_CHARACTERS:
            return f"error:args length is over {MOST_ARGS_CHARACTERS} characters"
        reasons = (self._wrong(connection, topic, topics[:place]) for place, topic in enumerate(topics))
        return next(filter(None, reasons), "")

    def _wrong(self, connection: Connection, topic: str, before: list[str]) -> str:
        kind, _, rest = topic.partition(".")
        parameter, _, symbol = rest.partition(".") if kind in _PARAMETERS else ("", "", rest)
        if kind not in _PLAIN and parameter not in _PARAMETERS.get(kind, ()):
            return f"error:handler not found,topic:{topic}"
        if symbol not in self.markets:
            return f"Invalid symbol :[{topic}]"
        if topic in connection.topics or topic in before:
            return f"error:already subscribed,topic:{topic}"
        return ""

    def _reply(self, connection: Connection, message: Row, *, ok: bool, words: str) -> None:
        """`{"success":true,"ret_msg":"pong","conn_id":"...","req_id":"p1","op":"ping"}`"""
        reply: Row = {"success": ok, "ret_msg": words, "conn_id": connection.conn_id}
        if "req_id" in message:
            reply["req_id"] = message["req_id"]
        connection.answer(reply | {"op": message.get("op", "")})
