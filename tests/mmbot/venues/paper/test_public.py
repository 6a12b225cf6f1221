"""Public sockets: what the venue's rules say of acks, books, trades, tickers and candles."""

import json

import pytest
from tests.mmbot.builders import KEY, START_NS, delta, linear, trade
from tests.mmbot.venues.paper.floor import Floor, heard

from mmbot.model.events import BookDelta, BookSnapshot, BookTrouble, Trade, Trouble
from mmbot.model.instrument import Side
from mmbot.sim.market import MarketSettings, SyntheticMarket
from mmbot.units import MS, SECOND, Ns
from mmbot.venues.bybit.session import BybitSession
from mmbot.venues.paper.connection import MOST_WAITING
from mmbot.venues.paper.faults import FaultSettings
from mmbot.venues.paper.tape import Feed

MINUTE = 60 * SECOND


def at(ns, bids, asks):
    return delta(bids, asks, ns=START_NS + ns)


def test_the_venues_ping_and_subscribe_acks():
    floor = Floor()
    linear_socket, spot_socket = floor.open("/v5/public/linear"), floor.open("/v5/public/spot")
    pong = {"success": True, "ret_msg": "pong", "conn_id": "paper-1", "req_id": "p1", "op": "ping"}
    assert floor.say(linear_socket, {"req_id": "p1", "op": "ping"}) == [pong]
    (ack,) = floor.say(linear_socket, {"req_id": "s1", "op": "subscribe", "args": ["publicTrade.SYNTHUSDT"]})
    assert ack == {"success": True, "ret_msg": "", "conn_id": "paper-1", "req_id": "s1", "op": "subscribe"}
    assert floor.say(spot_socket, {"op": "ping"})[0]["conn_id"] == "paper-2"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["orderbook.50.NOSUCHSYM"], "Invalid symbol :[orderbook.50.NOSUCHSYM]"),
        (["orderbook.7.SYNTHUSDT"], "error:handler not found,topic:orderbook.7.SYNTHUSDT"),
        (["kline.2.SYNTHUSDT"], "error:handler not found,topic:kline.2.SYNTHUSDT"),
        (["order"], "error:handler not found,topic:order"),
        ([], "error:args is empty"),
        (["tickers.SYNTHUSDT", "tickers.SYNTHUSDT"], "error:already subscribed,topic:tickers.SYNTHUSDT"),
        (["publicTrade." + "X" * 21_000], "error:args length is over 21000 characters"),
    ],
)
def test_a_request_with_one_wrong_topic_is_refused_whole(args, words):
    floor = Floor()
    socket = floor.open("/v5/public/linear")
    (ack,) = floor.say(socket, {"op": "subscribe", "args": ["publicTrade.SYNTHUSDT", *args] if args else []})
    assert (ack["success"], ack["ret_msg"]) == (False, words)
    assert not socket.topics


def test_spot_takes_ten_topics_a_request():
    floor = Floor()
    (ack,) = floor.say(floor.open("/v5/public/spot"), {"op": "subscribe", "args": ["tickers.X"] * 11})
    assert ack["ret_msg"] == "args size >10"


@pytest.mark.parametrize("text", ["", "[1]", '{"op":"dance"}', "\x00"])
def test_what_is_no_request_is_answered_so(text):
    floor = Floor()
    (answer,) = floor.say(floor.open("/v5/public/linear"), text)
    assert (answer["success"], answer["ret_msg"]) == (False, "error:invalid op")


def test_paths_that_are_none_open_nothing():
    floor = Floor()
    assert [floor.exchange.open(path) for path in ("/v5/public/option", "/v5/publicx", "linear", "/")] == [
        None
    ] * 4
    assert floor.exchange.connections == []


def test_a_book_starts_with_its_snapshot_and_goes_on_in_deltas():
    floor = Floor(at(20 * MS, [(10_000, 450)], [(10_003, 0)]), at(40 * MS, [(9_000, 1)], []))
    socket = floor.open("/v5/public/linear")
    _, first = floor.say(socket, {"op": "subscribe", "args": ["orderbook.50.SYNTHUSDT"]})
    assert first["type"] == "snapshot"
    assert first["data"]["b"] == [["100.00", "5.00"], ["99.99", "7.00"]]
    floor.step(SECOND)
    second, third = heard(socket)
    assert [second["data"]["u"], third["data"]["u"]] == [first["data"]["u"] + 1, first["data"]["u"] + 2]
    assert first["data"]["seq"] < second["data"]["seq"] < third["data"]["seq"]
    assert (second["type"], second["data"]["b"], second["data"]["a"]) == (
        "delta",
        [["100.00", "4.50"]],
        [["100.03", "0"]],
    )
    assert second["cts"] == START_NS // MS + 20


def test_depth_one_is_told_in_snapshots_and_again_after_three_idle_seconds():
    floor = Floor(at(20 * MS, [(10_000, 450)], []), at(40 * MS, [(9_999, 1)], []))
    socket = floor.listen("orderbook.1.SYNTHUSDT")
    floor.step(MINUTE // 60)
    (change,) = heard(socket)
    assert (change["type"], change["data"]["b"]) == ("snapshot", [["100.00", "4.50"]])
    floor.step(3 * SECOND)
    assert heard(socket) == []
    floor.step(4 * SECOND)
    (again,) = heard(socket)
    assert again["data"] == change["data"] | {"seq": again["data"]["seq"]}


def test_a_gap_in_the_recording_is_silence_and_then_one_delta_to_where_the_book_is():
    trouble = BookTrouble(KEY, Ns(START_NS + MS), Ns(START_NS + MS), Trouble.GAP, "test")
    healed = BookSnapshot(KEY, Ns(START_NS + 3 * MS), Ns(0), [(9_000, 1)], [(9_001, 1)])
    floor = Floor(trouble, at(2 * MS, [(10_001, 1)], []), healed)
    socket = floor.listen("orderbook.50.SYNTHUSDT")
    floor.step(2 * MS)
    assert heard(socket) == []
    floor.step(3 * MS)
    (change,) = heard(socket)
    assert change["data"]["b"] == [["100.00", "0"], ["99.99", "0"], ["90.00", "0.01"]]


def test_unsubscribing_ends_a_topic_and_a_closed_socket_all_of_them():
    floor = Floor(at(MS, [(10_000, 1)], []), at(2 * MS, [(10_000, 2)], []))
    socket, other = floor.listen("orderbook.50.SYNTHUSDT"), floor.listen("orderbook.50.SYNTHUSDT")
    floor.say(socket, {"op": "unsubscribe", "args": ["orderbook.50.SYNTHUSDT"]})
    floor.step(MS)
    assert heard(socket) == []
    assert len(heard(other)) == 1
    floor.exchange.close(other)
    floor.step(2 * MS)
    assert other.outbox == []


def test_trades_tickers_and_candles_say_what_the_tape_holds_and_no_more():
    prints = [
        trade(Side.BUY, 10_003, 100, ns=START_NS + SECOND),
        trade(Side.SELL, 10_000, 200, ns=START_NS + 30 * SECOND),
        trade(Side.BUY, 10_004, 300, ns=START_NS + 61 * SECOND),
    ]
    floor = Floor(*prints)
    socket = floor.listen("publicTrade.SYNTHUSDT", "kline.1.SYNTHUSDT", "tickers.SYNTHUSDT")
    floor.step(70 * SECOND)
    told = heard(socket)
    sold = [message["data"][0] for message in told if message["topic"] == "publicTrade.SYNTHUSDT"]
    assert [(one["S"], one["p"], one["v"]) for one in sold] == [
        ("Buy", "100.03", "1.00"),
        ("Sell", "100.00", "2.00"),
        ("Buy", "100.04", "3.00"),
    ]
    seqs = [one["seq"] for one in sold]
    assert seqs == sorted(set(seqs)), "the cross sequence rises with each print"
    candles = [message["data"][0] for message in told if message["topic"] == "kline.1.SYNTHUSDT"]
    closed = [one for one in candles if one["confirm"]]
    assert [(one["open"], one["high"], one["low"], one["close"], one["volume"]) for one in closed] == [
        ("100.03", "100.03", "100.00", "100.00", "3.00")
    ]
    assert closed[0]["end"] - closed[0]["start"] == 59_999
    (row,) = floor.get("/v5/market/tickers", category="linear")["result"]["list"]
    assert (row["lastPrice"], row["volume24h"], row["openInterest"], row["fundingRate"]) == (
        "100.04",
        "6.00",
        "",
        "",
    )
    tickers = [message for message in told if message["topic"] == "tickers.SYNTHUSDT"]
    assert {message["type"] for message in tickers} == {"delta"}
    assert tickers[-1]["data"]["lastPrice"] == "100.04"
    assert "bid1Price" not in tickers[-1]["data"], "a missing field means unchanged"


def synthetic_floor(depth_levels: int = 50, **changes: object) -> tuple[Floor, list[object]]:
    market = SyntheticMarket(MarketSettings(duration_s=60, depth_levels=depth_levels), 7, Ns(START_NS))
    events = list(market.events())
    return Floor(feeds=[Feed(linear(), events)], **changes), events  # type: ignore[arg-type]


def test_our_own_session_reads_a_minute_of_the_synthetic_market_without_trouble():
    """Exactly 50 levels a side, u + 1, never crossed: the session checks it after every message."""
    floor, events = synthetic_floor()
    socket = floor.listen("orderbook.50.SYNTHUSDT", "publicTrade.SYNTHUSDT")
    session = BybitSession([linear()], 50)
    opened = floor.exchange.open("/v5/public/linear")
    assert opened is not None
    floor.exchange.receive(
        opened, json.dumps({"op": "subscribe", "args": ["orderbook.50.SYNTHUSDT"]}), START_NS
    )
    read = [session.receive(opened.outbox[1], Ns(START_NS))[0]]
    floor.step(61 * SECOND)
    read += [event for frame in socket.outbox for event in session.receive(frame, Ns(START_NS))]

    def said(kinds: type, found: list[object]) -> list[object]:
        return [
            (one.tick, one.lots, one.side) if isinstance(one, Trade) else (one.bids, one.asks)  # type: ignore[attr-defined]
            for one in found
            if isinstance(one, kinds)
        ]

    assert not [one for one in read if isinstance(one, BookTrouble)]
    assert said(Trade, read) == said(Trade, events)
    assert len(said(BookDelta, read)) > 500
    assert floor.exchange.ended


@pytest.mark.parametrize("depth", [1, 50, 200])
def test_every_depth_shows_exactly_its_levels_where_the_market_has_them(depth):
    floor, _ = synthetic_floor(depth_levels=210)
    socket = floor.open("/v5/public/linear")
    _, first = floor.say(socket, {"op": "subscribe", "args": [f"orderbook.{depth}.SYNTHUSDT"]})
    book = {"b": dict(first["data"]["b"]), "a": dict(first["data"]["a"])}
    floor.step(20 * SECOND)
    for frame in heard(socket):
        for side, held in book.items():
            before = {} if frame["type"] == "snapshot" else held
            now = before | dict(frame["data"][side])
            book[side] = {price: size for price, size in now.items() if size != "0"}
            assert len(book[side]) == depth


def test_a_restart_is_a_snapshot_with_u_one():
    floor = Floor(at(MS, [(10_000, 1)], []))
    socket = floor.listen("orderbook.50.SYNTHUSDT")
    floor.exchange.faults.set({"restart": True})
    floor.exchange.act_on_faults()
    floor.step(MS)
    restarted, after = heard(socket)
    assert (restarted["type"], restarted["data"]["u"]) == ("snapshot", 1)
    assert (after["type"], after["data"]["u"]) == ("delta", 2)
    assert not floor.exchange.faults.now.restart


def minute_of(**switches: object) -> list[dict[str, object]]:
    floor, _ = synthetic_floor(faults=FaultSettings(**switches))  # type: ignore[arg-type]
    socket = floor.listen("orderbook.50.SYNTHUSDT")
    floor.step(30 * SECOND)
    return heard(socket)


def updates(frames: list[dict[str, object]]) -> list[int]:
    return [frame["data"]["u"] for frame in frames]  # type: ignore[index]


def test_faults_are_drawn_from_their_seed():
    whole = updates(minute_of())
    lost, again, other = (updates(minute_of(drop_ratio=0.3, seed=seed)) for seed in (1, 1, 2))
    assert lost == again != other
    assert len(lost) < 0.85 * len(whole)
    twice = updates(minute_of(duplicate_ratio=0.3))
    assert sorted(set(twice)) == whole != twice
    swapped = updates(minute_of(reorder_ratio=0.3))
    assert sorted(swapped) == whole[: len(swapped)] != swapped


def test_a_gap_loses_so_many_deltas_and_then_no_more():
    whole, gapped = updates(minute_of()), updates(minute_of(gap_frames=3))
    assert gapped == whole[3:]


def test_a_truncated_frame_is_cut_and_a_silent_socket_says_nothing_at_all():
    floor = Floor(at(MS, [(10_000, 1)], []))
    socket = floor.listen("orderbook.50.SYNTHUSDT")
    floor.exchange.faults.set({"truncate_frames": 1})
    floor.step(MS)
    (frame,) = socket.outbox
    with pytest.raises(json.JSONDecodeError):
        json.loads(frame)
    floor.exchange.faults.set({"silent": True})
    socket.outbox.clear()
    assert floor.say(socket, {"op": "ping"}) == []


def test_a_client_that_does_not_read_is_cut_off_and_the_memory_it_takes_is_bounded():
    floor = Floor(*(at(number * MS, [(10_000, number)], []) for number in range(1, MOST_WAITING + 100)))
    socket = floor.listen("orderbook.50.SYNTHUSDT")
    floor.step(MOST_WAITING * MS - MS)
    assert not socket.closing
    floor.step(MOST_WAITING * MS + 99 * MS)
    assert socket.closing
    assert len(socket.outbox) == MOST_WAITING


def test_no_restart_of_a_book_that_cannot_be_believed():
    floor = Floor(BookTrouble(KEY, Ns(START_NS + MS), Ns(START_NS + MS), Trouble.GAP, "test"))
    socket = floor.listen("orderbook.50.SYNTHUSDT")
    floor.step(MS)
    floor.exchange.faults.set({"restart": True})
    floor.exchange.act_on_faults()
    assert heard(socket) == []
