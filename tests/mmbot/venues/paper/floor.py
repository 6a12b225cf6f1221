"""A trading floor in memory: a paper exchange over hand-made events, and clients without sockets."""

import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any

from tests.mmbot.builders import START_NS, linear, snapshot

from mmbot.model.events import MarketEvent
from mmbot.model.instrument import Instrument
from mmbot.units import MS, SECOND
from mmbot.venues.paper.connection import Connection
from mmbot.venues.paper.exchange import PaperExchange
from mmbot.venues.paper.faults import FaultSettings
from mmbot.venues.paper.rest import Reply, Request, Rest
from mmbot.venues.paper.settings import ApiKey, PaperSettings
from mmbot.venues.paper.tape import Feed

LINEAR = {"category": "linear", "symbol": "SYNTHUSDT"}
SPOT = {"category": "spot", "symbol": "SYNTHUSDT"}
BIDS = [(10_000, 500), (9_999, 700)]
ASKS = [(10_003, 400), (10_004, 600), (10_006, 100)]
Json = dict[str, Any]


def opening(ns: int = START_NS, symbol: str = "bybit_linear:SYNTHUSDT") -> MarketEvent:
    """100.00 x 5 bid, 100.03 x 4 offered."""
    return snapshot(BIDS, ASKS, ns=ns, symbol=symbol)


class Floor:
    """The exchange at the opening of its tape. `wall_ns` is the clock that clients and exchange share."""

    def __init__(
        self,
        *events: MarketEvent,
        instrument: Instrument | None = None,
        keys: Sequence[str] = ("alice", "bob"),
        balances: dict[str, float] | None = None,
        settings: PaperSettings | None = None,
        faults: FaultSettings | None = None,
        feeds: Sequence[Feed] = (),
    ) -> None:
        instrument = instrument or linear()
        quiet = snapshot(BIDS, ASKS, ns=START_NS + 3_600 * SECOND, symbol=instrument.key)
        tape = [opening(symbol=instrument.key), *events, quiet]
        self.exchange = PaperExchange(
            feeds or [Feed(instrument, tape)],
            [ApiKey(key, f"{key}-secret", balances or {"USDT": 100_000.0}) for key in keys],
            settings or PaperSettings(),
            START_NS,
            faults,
        )
        self.rest = Rest(self.exchange)
        self.wall_ns = START_NS
        self.exchange.step(START_NS)

    def step(self, ns: int) -> None:
        """Play the tape to this long after its start."""
        self.exchange.step(START_NS + ns)

    def open(self, path: str) -> Connection:
        connection = self.exchange.open(path)
        assert connection is not None
        return connection

    def say(self, connection: Connection, message: Json | str) -> list[Json]:
        """Send a message; what comes back at once."""
        text = message if isinstance(message, str) else json.dumps(message)
        self.exchange.receive(connection, text, self.wall_ns)
        return heard(connection)

    def listen(self, *topics: str, category: str = "linear") -> Connection:
        """A public socket that is subscribed and has nothing waiting."""
        connection = self.open(f"/v5/public/{category}")
        assert self.say(connection, {"op": "subscribe", "args": list(topics)})[0]["success"]
        return connection

    def account(self, key: str, *topics: str, path: str = "/v5/private") -> Connection:
        """A socket of an account, authenticated and subscribed."""
        connection = self.open(path)
        self.say(connection, self.auth(key))
        if topics:
            assert self.say(connection, {"op": "subscribe", "args": list(topics)})[0]["success"]
        return connection

    def auth(self, key: str, *, expires_ms: int | None = None, signed_by: str | None = None) -> Json:
        expires = expires_ms or self.wall_ns // MS + 1_000
        sign = signed(signed_by or f"{key}-secret", f"GET/realtime{expires}")
        return {"op": "auth", "args": [key, expires, sign]}

    def get(self, path: str, key: str | None = None, **query: object) -> Json:
        text = "&".join(f"{name}={value}" for name, value in query.items())
        headers = self.headers(key, text) if key else {}
        return body(self.rest.handle(Request("GET", path, text, headers, b"", "here"), self.wall_ns))

    def post(self, key: str, path: str, args: Json) -> Json:
        return body(self.posted(key, path, args))

    def posted(self, key: str, path: str, args: Json, **headers: str) -> Reply:
        text = json.dumps(args)
        asked = Request("POST", path, "", self.headers(key, text) | headers, text.encode(), "here")
        return self.rest.handle(asked, self.wall_ns)

    def headers(self, key: str, payload: str, *, window: str = "5000") -> dict[str, str]:
        stamp = str(self.wall_ns // MS)
        return {
            "x-bapi-api-key": key,
            "x-bapi-timestamp": stamp,
            "x-bapi-recv-window": window,
            "x-bapi-sign": signed(f"{key}-secret", f"{stamp}{key}{window}{payload}"),
        }

    def create(self, key: str = "alice", **changes: Any) -> Json:
        """A post-only bid of 1.00 at 99.99, changed."""
        args = {**LINEAR, "side": "Buy", "orderType": "Limit", "qty": "1", "price": "99.99"}
        return self.post(key, "/v5/order/create", {**args, "timeInForce": "PostOnly", **changes})

    def cancel(self, link_id: str, key: str = "alice", **changes: Any) -> Json:
        return self.post(key, "/v5/order/cancel", {**LINEAR, "orderLinkId": link_id, **changes})

    def amend(self, link_id: str, key: str = "alice", **changes: Any) -> Json:
        return self.post(key, "/v5/order/amend", {**LINEAR, "orderLinkId": link_id, **changes})


def signed(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def body(reply: Reply) -> Json:
    assert reply.status == 200, reply
    return json.loads(reply.body)


def heard(connection: Connection) -> list[Json]:
    """What waits to be sent, taken."""
    waiting, connection.outbox = connection.outbox, []
    return [json.loads(frame) for frame in waiting]


def rows(connection: Connection, topic: str) -> list[Json]:
    """Rows of one topic among what waits, which is taken."""
    return [row for message in heard(connection) if message.get("topic") == topic for row in message["data"]]
