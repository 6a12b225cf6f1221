"""What is said on a public Bybit connection and when it counts as dead, on a virtual clock."""

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.venues.test_bybit_session import BTC, DEPTH, ETH, delta, make, snapshot, trade

from mmbot.errors import ConfigError, LocalProtocolError, RemoteProtocolError, TransportError
from mmbot.model.events import BookDelta, BookSnapshot, BookTrouble, Trouble
from mmbot.model.notes import Happened, Note
from mmbot.net.intake import Intake
from mmbot.units import MS, SECOND, Ns
from mmbot.venues.bybit.session import BybitSession
from mmbot.venues.bybit.stream import PublicStream, StreamSettings

LOOK_NS = 50 * MS
BOOK = f"orderbook.{DEPTH}.BTCUSDT"
TRADES = "publicTrade.BTCUSDT"
EPOCH_NS = 1_786_310_819 * SECOND


class Talk:
    """A connection on a virtual clock: what the venue hears, and what it answers when the test says so."""

    def __init__(self, *instruments, longest: int = 100_000, **settings: float) -> None:
        instruments = instruments or (BTC,)
        self.lines: list[tuple[Ns, bytes]] = []
        session = BybitSession(instruments, DEPTH)
        self.intake = Intake(
            lambda recv_ns, line: self.lines.append((recv_ns, line)), session.receive, longest
        )
        self.stream = PublicStream(instruments, DEPTH, self.intake, StreamSettings(**settings), seed=1)
        self.now_ns = 0

    @property
    def recv_ns(self) -> Ns:
        return Ns(EPOCH_NS + self.now_ns)

    def connect(self) -> None:
        self.stream.connected(self.recv_ns, self.now_ns)

    def said(self) -> list[tuple[str, list[str]]]:
        """Requests since the last time, as (op, args)."""
        requests = [msgspec.json.decode(one) for one in self.stream.outgoing()]
        self.req_ids = [request["req_id"] for request in requests]
        return [(request["op"], request.get("args", [])) for request in requests]

    def hears(self, *payloads: bytes) -> None:
        for payload in payloads:
            self.stream.received(self.recv_ns, payload, self.now_ns)

    def ack(self, *, success: bool = True, message: str = "") -> None:
        """The answer to the last request that was said."""
        head = msgspec.json.decode(self.lines_sent()[-1])
        answer = {"success": success, "ret_msg": message, "req_id": head["req_id"], "op": head["op"]}
        self.hears(msgspec.json.encode(answer))

    def lines_sent(self) -> list[bytes]:
        requests = [line for _, line in self.lines if line.startswith(b'{"_sent":')]
        return [bytes(msgspec.json.decode(line, type=dict[str, msgspec.Raw])["_sent"]) for line in requests]

    def passes(self, seconds: float, hearing: bytes | None = None) -> None:
        """Time goes by in looks; `hearing` comes at each of them."""
        for _ in range(round(seconds * SECOND / LOOK_NS)):
            self.now_ns += LOOK_NS
            if hearing is not None:
                self.hears(hearing)
            self.stream.due(self.recv_ns, self.now_ns)

    def synced(self) -> "Talk":
        """Subscribed, acknowledged, and the book is there."""
        self.connect()
        self.ack()
        self.hears(snapshot(100))
        self.said()
        self.intake.drain()
        return self


PONG = b'{"success":true,"ret_msg":"pong","conn_id":"d9","req_id":"ping","op":"ping"}'
OTHER_PONG = b'{"op":"pong","args":["1786310819000"],"req_id":"ping"}'


def test_topics_are_asked_for_ten_at_a_time_and_one_request_is_open():
    talk = Talk(*(make(f"C{number}USDT") for number in range(6)))
    talk.connect()

    ((op, args),) = talk.said()
    assert (op, len(args), args[:2]) == ("subscribe", 10, [f"orderbook.{DEPTH}.C0USDT", "publicTrade.C0USDT"])
    talk.passes(1.0, hearing=PONG)
    assert talk.said() == []
    talk.ack()
    ((op, args),) = talk.said()
    assert (op, args) == ("subscribe", [f"orderbook.{DEPTH}.C5USDT", "publicTrade.C5USDT"])
    assert talk.req_ids == ["2"]


def test_more_topics_than_a_connection_takes_are_refused():
    with pytest.raises(ConfigError, match=r"expected at most 21000 on a Bybit connection"):
        Talk(*(make(f"COIN{number}USDT") for number in range(500)))


def test_a_refused_topic_ends_the_run_with_the_venues_words():
    talk = Talk()
    talk.connect()
    with pytest.raises(LocalProtocolError, match=r"was refused: Invalid symbol :\[orderbook.2.BTCUSDT\]"):
        talk.ack(success=False, message=f"Invalid symbol :[{BOOK}]")
    assert b"Invalid symbol" in talk.lines[-1][1]  # recorded before it was judged


def test_an_ack_without_a_number_of_ours_is_one_and_another_number_is_none():
    talk = Talk()
    talk.connect()
    talk.hears(b'{"success":true,"ret_msg":"subscribe","conn_id":"d9","req_id":"77","op":"subscribe"}')
    with pytest.raises(TransportError, match=f"subscribe of {BOOK}, {TRADES}: no ack came"):
        talk.passes(6.0, hearing=PONG)
    talk = Talk()
    talk.connect()
    talk.hears(b'{"success":true,"ret_msg":"subscribe","conn_id":"d9","op":"subscribe"}', snapshot(1))
    talk.passes(30.0, hearing=PONG)


@pytest.mark.parametrize("pong", [PONG, OTHER_PONG])
def test_a_ping_every_twenty_seconds_whatever_form_its_answer_has(pong: bytes):
    talk = Talk().synced()
    for _ in range(3):
        talk.passes(19.85, hearing=trade())
        assert talk.said() == []
        talk.passes(0.2, hearing=trade())
        assert talk.said() == [("ping", [])]
        talk.hears(pong)


@pytest.mark.parametrize("pong", [PONG, OTHER_PONG])
def test_an_idle_market_answers_the_ping_and_lives(pong: bytes):
    talk = Talk().synced()
    pings = 0
    for _ in range(1200):
        talk.passes(0.05)
        if talk.said():
            pings += 1
            talk.hears(pong)
    assert pings == pytest.approx(60 / 2.5, abs=1)


def test_a_silent_connection_is_lost_after_its_five_seconds():
    talk = Talk().synced()
    began_ns = talk.now_ns
    with pytest.raises(TransportError, match=r"nothing was received for 5\.0 s") as found:
        talk.passes(30.0)
    assert found.value.phase == "lost"
    assert talk.now_ns - began_ns == 5 * SECOND


def test_a_machine_that_stood_still_pings_before_it_blames_the_venue():
    talk = Talk().synced()
    talk.now_ns += 3600 * SECOND
    talk.stream.due(talk.recv_ns, talk.now_ns)
    assert talk.said() == [("ping", [])]
    talk.passes(2.0)
    talk.hears(PONG)
    talk.passes(2.0)


def test_a_protocol_ping_is_a_sign_of_life_too():
    talk = Talk().synced()
    for _ in range(40):
        talk.passes(0.5)
        talk.stream.alive(talk.now_ns)
    assert talk.said() == [("ping", [])]  # only the one of every twenty seconds


def test_a_topic_whose_snapshot_never_comes_loses_the_connection():
    talk = Talk()
    talk.connect()
    talk.ack()
    with pytest.raises(TransportError, match=f"{BOOK}: no snapshot came"):
        talk.passes(6.0, hearing=trade())


def test_a_snapshot_before_its_ack_is_waited_for_no_more():
    talk = Talk()
    talk.connect()
    talk.hears(snapshot(5))
    talk.ack()
    talk.passes(10.0, hearing=trade())


def test_a_gap_asks_for_that_topic_anew_at_once_and_once():
    talk = Talk(BTC, ETH).synced()
    talk.hears(snapshot(7, instrument=ETH), delta(102), delta(103))

    assert talk.said() == [("unsubscribe", [BOOK])]
    talk.ack()
    assert talk.said() == [("subscribe", [BOOK])]
    talk.ack()
    talk.hears(delta(8, instrument=ETH), snapshot(200), delta(201))

    batch = talk.intake.drain()
    told = [getattr(event, "trouble", type(event)) for event in batch.events if event.symbol == BTC.key]
    books = [kind for kind in told if kind in (*Trouble, BookSnapshot, BookDelta)]
    assert books == [Trouble.GAP, Trouble.BEFORE_SNAPSHOT, BookSnapshot, BookDelta]
    assert [note for _, note in batch.notes] == [Note(Happened.RESUBSCRIBED, BOOK)]
    talk.passes(4.0, hearing=trade())
    assert talk.said() == []


@given(st.integers(2, 30), st.integers(2, 50))
def test_no_delta_passes_between_a_gap_and_the_fresh_snapshot(before: int, jump: int):
    """For any place and width of the gap: nothing of the broken chain reaches the consumer."""
    talk = Talk().synced()
    talk.hears(*(delta(100 + number) for number in range(1, before)))
    talk.intake.drain()
    talk.hears(*(delta(100 + before + jump + number) for number in range(5)))
    events = talk.intake.drain().events

    assert [type(event) for event in events] == [BookTrouble] * 5
    assert events[0].trouble is Trouble.GAP
    assert talk.said() == [("unsubscribe", [BOOK])]


@given(st.integers(1, 20), st.integers(0, 25))
def test_a_duplicate_changes_nothing_and_asks_for_nothing(count: int, back: int):
    once, twice = Talk().synced(), Talk().synced()
    for number in range(1, count + 1):
        once.hears(delta(100 + number))
        twice.hears(delta(100 + number), delta(max(2, 100 + number - back)))
    kept = [event for event in twice.intake.drain().events if not isinstance(event, BookTrouble)]

    assert kept == once.intake.drain().events
    assert twice.said() == []


def test_a_restart_of_the_service_without_its_snapshot_is_asked_for_anew():
    talk = Talk().synced()
    talk.hears(delta(1))
    assert talk.said() == [("unsubscribe", [BOOK])]


def test_a_restart_snapshot_replaces_the_book_and_asks_for_nothing():
    talk = Talk().synced()
    talk.hears(snapshot(1), delta(2))
    assert [type(event) for event in talk.intake.drain().events] == [BookSnapshot, BookDelta]
    assert talk.said() == []


def test_a_market_that_never_has_its_levels_is_asked_for_ever_more_seldom():
    talk = Talk().synced()
    shallow = snapshot(5, bids=[(10, 5)])
    asked_at_s: list[float] = []
    talk.hears(shallow)
    for _ in range(20 * 120):
        for op, _args in talk.said():
            if op == "unsubscribe":
                asked_at_s.append(talk.now_ns / SECOND)
                talk.ack()
            elif op == "subscribe":
                talk.ack()
                talk.hears(shallow)
        talk.passes(0.05, hearing=PONG)

    waits = [later - earlier for earlier, later in itertools.pairwise(asked_at_s)]
    rising, capped = waits[:5], waits[5:]
    assert rising == sorted(rising)
    assert rising[0] <= 1.2
    assert len(capped) >= 2
    assert all(15 <= wait <= 31 for wait in capped)


def test_whoever_wants_the_book_anew_gets_it_once_while_it_is_on_its_way():
    talk = Talk().synced()
    for _ in range(3):
        talk.stream.resync(BTC.key, talk.now_ns)
    talk.passes(0.05, hearing=PONG)
    assert talk.said() == [("unsubscribe", [BOOK])]
    talk.stream.resync(BTC.key, talk.now_ns)
    talk.passes(0.05, hearing=PONG)
    assert talk.said() == []


def test_what_was_lost_is_told_once_and_the_next_connection_starts_from_nothing():
    talk = Talk(BTC, ETH).synced()
    talk.hears(delta(102))  # a resync is under way
    talk.intake.drain()
    talk.stream.lost(talk.recv_ns, "closed by the peer: 1006")

    batch = talk.intake.drain()
    assert [(event.symbol, event.trouble) for event in batch.events] == [
        (BTC.key, Trouble.LOST),
        (ETH.key, Trouble.LOST),
    ]
    assert [note for _, note in batch.notes] == [Note(Happened.LOST, "closed by the peer: 1006")]
    assert talk.lines[-1][1] == b'{"mmbot":"lost","detail":"closed by the peer: 1006"}'
    talk.said()
    talk.now_ns += 60 * SECOND
    talk.connect()
    ((op, args),) = talk.said()
    assert (op, len(args)) == ("subscribe", 4)
    talk.passes(2.0)  # the silence before it connected is not held against it
    talk.ack()
    talk.hears(snapshot(3), snapshot(4, instrument=ETH))
    assert [note for _, note in talk.intake.drain().notes] == [Note(Happened.CONNECTED)]


def test_an_unreadable_frame_is_recorded_and_gives_the_connection_up():
    for bad in (b'{"topic":"orderbook', b"\xff\xfe", delta(101)[:80], b"[]", b'{"a":1}'):
        talk = Talk().synced()
        with pytest.raises(RemoteProtocolError):
            talk.hears(bad)
        assert talk.lines[-1][1] == bad


@pytest.mark.parametrize(
    "price", ["1e308", "NaN", "Infinity", "-1", "0", "", "10.05", "9" * 400, "214748364.80"]
)
def test_a_number_that_no_market_has_is_refused_at_the_parser(price: str):
    talk = Talk().synced()
    bad = delta(101).replace(b'"1.00"', b'"%s"' % price.encode())
    assert bad != delta(101)
    with pytest.raises(RemoteProtocolError):
        talk.hears(bad)
    assert [type(event) for event in talk.intake.drain().events] == []


def test_a_consumer_that_fell_behind_loses_what_waits_and_is_told():
    talk = Talk(longest=10).synced()
    with pytest.raises(TransportError, match="the consumer fell 11 events behind; they were dropped"):
        talk.hears(*(delta(101 + number) for number in range(20)))
    talk.stream.lost(talk.recv_ns, "the consumer fell behind")
    assert [event.trouble for event in talk.intake.drain().events] == [Trouble.LOST]


def test_a_book_that_is_wanted_without_a_connection_comes_with_the_next_one_and_waits_for_nothing() -> None:
    talk = Talk().synced()
    talk.stream.lost(talk.recv_ns, "cut")
    talk.stream.resync(BTC.key, talk.now_ns)
    talk.stream.connected(talk.recv_ns, talk.now_ns)
    assert talk.said() == [("subscribe", [BOOK, "publicTrade.BTCUSDT"])]
    talk.ack()
    talk.hears(snapshot(1000), delta(1002))
    assert talk.said() == [("unsubscribe", [BOOK])], "its first break is asked about at once"
