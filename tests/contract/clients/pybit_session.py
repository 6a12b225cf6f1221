"""Bybit's own SDK against a host given on the command line; prints one JSON line of what it saw.

Only the hosts are configured: the endpoint of the HTTP session, and the addresses that the websockets start
from. Nothing of the SDK is changed otherwise.
A frame of a topic that arrives before the SDK has noted who wants it ends its socket's thread, and it notes
that after it has sent the request; so the exchange is asked to answer no faster than a network would.
"""

import faulthandler
import json
import queue
import sys

import pybit._websocket_trading
import pybit.unified_trading
from pybit.exceptions import InvalidRequestError
from pybit.unified_trading import HTTP, WebSocket, WebSocketTrading

WAIT_S = 10.0
KEYS = {"api_key": "paper", "api_secret": "paper"}
LINEAR = {"category": "linear", "symbol": "SYNTHUSDT"}


class Inbox:
    """Messages of one stream, in order."""

    def __init__(self):
        self._messages = queue.Queue()

    def __call__(self, message):
        self._messages.put(message)

    def next(self, **wanted):
        """The next row of `data` that has these values."""
        while True:
            data = self._messages.get(timeout=WAIT_S)["data"]
            for row in data if isinstance(data, list) else [data]:
                if wanted.items() <= row.items():
                    return row

    def order(self, link_id, status):
        return self.next(orderLinkId=link_id, orderStatus=status)


def limit(side, price, link_id, **more):
    """A post-only order of 1."""
    order = {"symbol": "SYNTHUSDT", "side": side, "orderType": "Limit", "qty": "1", "price": price}
    return {**order, "timeInForce": "PostOnly", "orderLinkId": link_id, **more}


def read_market(http, seen):
    seen["time"] = int(http.get_server_time()["result"]["timeNano"]) > 0
    row = http.get_instruments_info(**LINEAR)["result"]["list"][0]
    seen["tick"] = row["priceFilter"]["tickSize"]
    book = http.get_orderbook(**LINEAR, limit=50)["result"]
    seen["rest_levels"] = [len(book["b"]), len(book["a"])]
    seen["ticker"] = http.get_tickers(**LINEAR)["result"]["list"][0]["bid1Price"] != ""
    seen["fee_rate"] = http.get_fee_rates(**LINEAR)["result"]["list"][0]["makerFeeRate"]


def hear_market(seen):
    public = WebSocket(testnet=False, channel_type="linear")
    books, trades, tickers, candles = Inbox(), Inbox(), Inbox(), Inbox()
    public.orderbook_stream(50, "SYNTHUSDT", books)
    public.trade_stream("SYNTHUSDT", trades)
    public.ticker_stream("SYNTHUSDT", tickers)
    public.kline_stream(1, "SYNTHUSDT", candles)
    book = books.next()
    seen["levels"] = [len(book["b"]), len(book["a"])]
    seen["trade"] = sorted(trades.next())
    seen["ticker_symbol"] = tickers.next()["symbol"]
    seen["kline"] = candles.next()["interval"]


def place_amend_cancel(http, orders, seen):
    placed = http.place_order(category="linear", **limit("Buy", "60", "rest-1"))["result"]
    seen["new"] = orders.order("rest-1", "New")["orderId"] == placed["orderId"]
    http.amend_order(**LINEAR, orderId=placed["orderId"], price="61", qty="2")
    amended = orders.order("rest-1", "New")
    seen["amended"] = [amended["price"], amended["qty"]]
    seen["open"] = [one["orderLinkId"] for one in http.get_open_orders(**LINEAR)["result"]["list"]]
    http.cancel_order(**LINEAR, orderLinkId="rest-1")
    seen["cancelled"] = orders.order("rest-1", "Cancelled")["cancelType"]
    batch = [limit("Buy", "60", "batch-1"), limit("Buy", "60.001", "batch-2"), limit("Buy", "59", "batch-3")]
    answer = http.place_batch_order(category="linear", request=batch)
    seen["batch"] = [one["code"] for one in answer["retExtInfo"]["list"]]
    moved = [{"symbol": "SYNTHUSDT", "orderLinkId": "batch-1", "price": "58"}]
    seen["batch_amend"] = http.amend_batch_order(category="linear", request=moved)["retExtInfo"]["list"]
    gone = [{"symbol": "SYNTHUSDT", "orderLinkId": "batch-1"}]
    seen["batch_cancel"] = http.cancel_batch_order(category="linear", request=gone)["retExtInfo"]["list"]
    http.cancel_all_orders(category="linear", settleCoin="USDT")
    orders.order("batch-3", "Cancelled")
    http.place_order(category="linear", **limit("Buy", "90", "taking"))
    seen["post_only"] = orders.order("taking", "Cancelled")["rejectReason"]


def be_refused(http, seen):
    calls = {
        "duplicate": (http.place_order, {"category": "linear", **limit("Buy", "60", "rest-1")}),
        "unknown": (http.cancel_order, {**LINEAR, "orderLinkId": "never"}),
        "off tick": (http.place_order, {"category": "linear", **limit("Buy", "60.001", "off")}),
        "small": (http.place_order, {"category": "linear", **limit("Buy", "60", "small", qty="0.01")}),
    }
    seen["refused"] = {}
    for name, (call, arguments) in calls.items():
        try:
            call(**arguments)
        except InvalidRequestError as error:
            seen["refused"][name] = error.status_code


def trade(http, streams, seen):
    orders, executions, positions, wallets = streams
    http.place_order(**LINEAR, side="Buy", orderType="Market", qty="1", orderLinkId="market")
    fill = executions.next(orderLinkId="market")
    seen["fill"] = [fill["isMaker"], fill["execType"], float(fill["execFee"]) > 0]
    filled = orders.order("market", "Filled")
    seen["filled"] = [filled["cumExecQty"], filled["leavesQty"]]
    seen["position"] = [positions.next()["side"], wallets.next()["accountType"]]
    held = http.get_positions(**LINEAR)["result"]["list"][0]
    seen["held"] = [held["side"], float(held["size"]) > 0, held["avgPrice"] != "0"]
    seen["executions"] = len(http.get_executions(**LINEAR)["result"]["list"]) > 0
    seen["history"] = http.get_order_history(**LINEAR)["result"]["list"][0]["orderLinkId"]
    wallet = http.get_wallet_balance(accountType="UNIFIED")["result"]["list"][0]
    seen["wallet"] = wallet["totalEquity"] != ""
    http.set_leverage(**LINEAR, buyLeverage="5", sellLeverage="5")


def enter_by_socket(orders, seen):
    trading = WebSocketTrading(testnet=False, **KEYS)
    answers = queue.Queue()
    trading.place_order(answers.put, category="linear", **limit("Sell", "90", "ws-1"))
    placed = answers.get(timeout=WAIT_S)
    seen["ws_created"] = [placed["op"], placed["retMsg"], orders.order("ws-1", "New")["price"]]
    where = {**LINEAR, "orderId": placed["data"]["orderId"]}
    trading.amend_order(answers.put, **where, price="91")
    answers.get(timeout=WAIT_S)
    seen["ws_amended"] = orders.order("ws-1", "New")["price"]
    trading.cancel_order(answers.put, **where)
    answers.get(timeout=WAIT_S)
    seen["ws_cancelled"] = orders.order("ws-1", "Cancelled")["cancelType"]
    trading.place_batch_order(answers.put, category="linear", request=[limit("Sell", "92", "ws-2")])
    seen["ws_batch"] = answers.get(timeout=WAIT_S)["retExtInfo"]["list"]


def main(port):
    pybit.unified_trading.PUBLIC_WSS = f"ws://127.0.0.1:{port}/v5/public/{{CHANNEL_TYPE}}"
    pybit.unified_trading.PRIVATE_WSS = f"ws://127.0.0.1:{port}/v5/private"
    pybit._websocket_trading.TRADE_WSS = f"ws://127.0.0.1:{port}/v5/trade"
    http = HTTP(**KEYS)
    http.endpoint = f"http://127.0.0.1:{port}"
    private = WebSocket(testnet=False, channel_type="private", **KEYS)
    streams = [Inbox() for _ in range(4)]
    private.order_stream(streams[0])
    private.execution_stream(streams[1])
    private.position_stream(streams[2])
    private.wallet_stream(streams[3])
    seen = {}
    read_market(http, seen)
    hear_market(seen)  # by now the private streams are subscribed; the SDK does not say so
    place_amend_cancel(http, streams[0], seen)
    be_refused(http, seen)
    trade(http, streams, seen)
    enter_by_socket(streams[0], seen)
    sys.stdout.write(json.dumps(seen) + "\n")


faulthandler.dump_traceback_later(4 * WAIT_S, exit=True)
main(int(sys.argv[1]))
