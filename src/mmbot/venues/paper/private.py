"""Private and trade sockets: https://bybit-exchange.github.io/docs/v5/ws/connect

The first thing on either is `auth`. On `/v5/private` an account listens to itself; on `/v5/trade` it enters
orders (https://bybit-exchange.github.io/docs/v5/websocket/trade/guideline), under the same rate limits as
REST. A topic is asked for as a whole ("order") or by category ("order.linear"), never both in one request.
"""

from collections.abc import Mapping

from mmbot.units import MS
from mmbot.venues.paper import signing
from mmbot.venues.paper.connection import Connection, request, topics_asked
from mmbot.venues.paper.faults import Faults, Kind
from mmbot.venues.paper.member import Member
from mmbot.venues.paper.wire import Answer, Refused, Row, encoded, refusal

_TOPICS = ("order", "execution", "execution.fast", "position", "wallet", "dcp")
_CATEGORIES = ("linear", "inverse", "spot")
_DCP = {"dcp.future": "DERIVATIVES", "dcp.spot": "SPOT", "dcp.option": "OPTIONS"}
_FAST = (
    "category", "symbol", "orderId", "isMaker", "orderLinkId", "side", "execId", "execPrice", "execQty",
    "execTime", "seq",
)  # fmt: skip
_ACTIONS = ("create", "amend", "cancel")
_MOST_REQUEST_IDS = 10_000


class PrivateConnection(Connection):
    """`member`: who authenticated on it; `seen`: request ids of order entry that were used."""

    def __init__(self, kind: Kind, conn_id: str, faults: Faults) -> None:
        super().__init__(kind, conn_id, faults)
        self.member: Member | None = None
        self.seen: dict[str, None] = {}


class PrivateRoom:
    """Sockets of accounts, by what they told about themselves."""

    def __init__(self, members: Mapping[str, Member], faults: Faults) -> None:
        self._members = members
        self._faults = faults
        self._messages = 0
        self.connections: list[PrivateConnection] = []

    def open(self, kind: Kind, conn_id: str) -> PrivateConnection:
        connection = PrivateConnection(kind, conn_id, self._faults)
        self.connections.append(connection)
        return connection

    def close(self, connection: PrivateConnection, now_ns: int) -> None:
        """A socket is gone; the last one of a member that asked for it starts the dead man's window."""
        self.connections.remove(connection)
        member = connection.member
        if member is None:
            return
        for topic in connection.topics:
            product = _DCP.get(topic)
            watched = (other for other in self.connections if other.member is member)
            if product and not any(topic in other.topics for other in watched):
                member.left(product, now_ns)

    def receive(self, connection: PrivateConnection, text: str | bytes, now_ns: int, wall_ns: int) -> None:
        """`now_ns` is exchange time, `wall_ns` the time that signatures are held to."""
        message = request(text)
        if message is None:
            self._say(connection, {}, refusal(Refused(10001, "error:invalid op")))
        elif message.get("op") == "ping":
            self._pong(connection, message, wall_ns)
        elif message.get("op") == "auth":
            self._say(connection, message, self._auth(connection, message, wall_ns))
        elif connection.kind == "private":
            self._say(connection, message, self._listen(connection, message))
        else:
            self._trade(connection, message, now_ns, wall_ns)

    def publish(self, member: Member, now_ns: int) -> None:
        """Tell an account's sockets what its orders came to."""
        outgoing, member.account.outgoing = member.account.outgoing, []
        mine = [one for one in self.connections if one.member is member and one.kind == "private"]
        for topic, category, rows in outgoing if mine else ():
            self._messages += 1
            names = [topic, f"{topic}.{category}"] + (
                ["execution.fast", f"execution.fast.{category}"] if topic == "execution" else []
            )
            for name in names:
                listeners = [one for one in mine if name in one.topics]
                data = [_fast(row) for row in rows] if ".fast" in name else rows
                for connection in listeners:
                    connection.data(name, self._message(member, name, data, now_ns))

    def _message(self, member: Member, topic: str, rows: list[Row], now_ns: int) -> bytes:
        message_id = f"{member.account.uid}_{self._messages}"
        return encoded({"topic": topic, "id": message_id, "creationTime": now_ns // MS, "data": rows})

    def _auth(self, connection: PrivateConnection, message: Row, wall_ns: int) -> Answer:
        if connection.member is not None:
            return refusal(Refused(20001, "Repeat auth"))
        try:
            connection.member = self._authenticated(message.get("args"), wall_ns)
        except Refused as refused:
            return refusal(refused)
        return Answer({})

    def _authenticated(self, args: object, wall_ns: int) -> Member:
        """Whose key, expiry and signature these are. Raises Refused."""
        if not isinstance(args, list) or len(args) != 3:  # noqa: PLR2004 - key, expires, signature
            raise Refused(10001, "Params Error: auth takes api_key, expires, signature")
        key, expires, given = map(str, args)
        member = self._members.get(key)
        if member is None:
            raise Refused(10003, "API key is invalid.")
        if not expires.isdecimal() or int(expires) * MS <= wall_ns:
            raise Refused(10004, f"expires was {expires}, expected later than {wall_ns // MS}")
        signing.check(member.account.key.secret, f"GET/realtime{expires}".encode(), given)
        return member

    def _listen(self, connection: PrivateConnection, message: Row) -> Answer:
        """Subscribe and unsubscribe."""
        topics, op = topics_asked(message), message.get("op")
        if op not in ("subscribe", "unsubscribe"):
            return refusal(Refused(10001, "error:invalid op"))
        if connection.member is None:
            return refusal(Refused(10005, "Request not authorized"))
        wrong = [topic for topic in topics if not _known(topic)]
        if wrong or not topics:
            return refusal(Refused(10001, f"error:handler not found,topic:{''.join(wrong[:1])}"))
        both = [topic for topic in topics if topic.rpartition(".")[0] in topics and not _is_fast(topic)]
        if both:
            return refusal(Refused(10001, f"error:{both[0]} and the same topic of all categories at once"))
        for topic in topics:
            if op == "subscribe":
                connection.topics[topic] = None
                if topic in _DCP:
                    connection.member.came(_DCP[topic])
            else:
                connection.topics.pop(topic, None)
        return Answer({})

    def _trade(self, connection: PrivateConnection, message: Row, now_ns: int, wall_ns: int) -> None:
        headers: dict[str, str] = {}
        try:
            answer, headers = self._ordered(connection, message, now_ns, wall_ns)
        except Refused as refused:
            answer = refusal(refused)
        reply: Row = {"reqId": message["reqId"]} if "reqId" in message else {}
        reply |= {"retCode": answer.code, "retMsg": answer.message, "op": message.get("op", "")}
        reply |= {"data": answer.result, "retExtInfo": answer.ext}
        reply["header"] = {**headers, "Timenow": str(wall_ns // MS)}
        connection.answer(reply | {"connId": connection.conn_id})

    def _ordered(
        self, connection: PrivateConnection, message: Row, now_ns: int, wall_ns: int
    ) -> tuple[Answer, dict[str, str]]:
        """Order entry: the answer and its limit headers. Raises Refused."""
        action, batch = _action(str(message.get("op")))
        if connection.member is None:
            raise Refused(10003, "Request not authorized: auth comes first")
        args = _only(message)
        _check_request_id(connection, message)
        header = message.get("header")
        header = header if isinstance(header, dict) else {}
        window = header.get("X-BAPI-RECV-WINDOW") or 5000
        signing.check_time(header.get("X-BAPI-TIMESTAMP"), window, wall_ns)
        return connection.member.order(action, args, now_ns, wall_ns, batch=batch)

    def _pong(self, connection: PrivateConnection, message: Row, wall_ns: int) -> None:
        pong: Row = {"op": "pong", "args": [str(wall_ns // MS)]}
        if connection.kind == "trade":
            connection.answer({"retCode": 0, "retMsg": "OK", **pong, "connId": connection.conn_id})
            return
        named = {"req_id": message["req_id"]} if "req_id" in message else {}
        connection.answer({**named, **pong, "conn_id": connection.conn_id})

    def _say(self, connection: PrivateConnection, message: Row, answer: Answer) -> None:
        """Private: `{"success":true,"ret_msg":"","op":"auth","conn_id":"..."}`; trade:
        `{"retCode":0,"retMsg":"OK","op":"auth","connId":"..."}`.
        """
        op = message.get("op", "")
        if connection.kind == "trade":
            row: Row = {"retCode": answer.code, "retMsg": answer.message, "op": op}
            connection.answer(row | {"connId": connection.conn_id})
            return
        row = {"success": not answer.code, "ret_msg": answer.message if answer.code else "", "op": op}
        named = {"req_id": message["req_id"]} if "req_id" in message else {}
        connection.answer({**row, **named, "conn_id": connection.conn_id})


def _known(topic: str) -> bool:
    kind, _, category = topic.rpartition(".")
    return topic in _DCP or topic in _TOPICS[:-1] or (kind in _TOPICS[:4] and category in _CATEGORIES)


def _is_fast(topic: str) -> bool:
    return topic == "execution.fast"


def _fast(row: Row) -> Row:
    """`execution.fast` has no fee, and "orderLinkId is always empty for maker fills"."""
    return {key: row[key] for key in _FAST} | ({"orderLinkId": ""} if row["isMaker"] else {})


def _action(op: str) -> tuple[str, bool]:
    """`order.create-batch` -> create, in a batch. Raises Refused."""
    kind, _, rest = op.partition(".")
    action, _, batch = rest.partition("-")
    if kind != "order" or action not in _ACTIONS or batch not in ("", "batch"):
        raise Refused(10404, f"op type is not found: {op}")
    return action, bool(batch)


def _only(message: Row) -> Row:
    args = message.get("args")
    if not isinstance(args, list) or len(args) != 1 or not isinstance(args[0], dict):
        raise Refused(10001, "Params Error: args holds exactly one request")
    return args[0]


def _check_request_id(connection: PrivateConnection, message: Row) -> None:
    """Raises Refused for an id that was used on this connection."""
    request_id = str(message.get("reqId") or "")
    if request_id in connection.seen:
        raise Refused(20006, f"reqId is duplicated: {request_id}")
    if request_id:
        connection.seen[request_id] = None
    if len(connection.seen) > _MOST_REQUEST_IDS:
        del connection.seen[next(iter(connection.seen))]
