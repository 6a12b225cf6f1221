"""ccxt (REST and ccxt.pro) against a host given on the command line; prints one JSON line of what it saw.

Only `urls` is configured.
"""

import asyncio
import json
import sys

import ccxt
import ccxt.pro

SYMBOL = "SYNTH/USDT:USDT"


def urls(port):
    rest, stream = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"
    kinds = ("spot", "futures", "v2", "public", "private")
    public = {kind: f"{stream}/v5/public/{kind}" for kind in ("spot", "linear", "inverse", "option")}
    private = {
        "contract": f"{stream}/v5/private",
        "usdc": f"{stream}/v5/private",
        "trade": f"{stream}/v5/trade",
        "spot": {"unified": f"{stream}/v5/private", "nonUnified": f"{stream}/v5/private"},
    }
    return {**dict.fromkeys(kinds, rest), "ws": {"public": public, "private": private}}


async def until(watch, accept):
    """The first item that fits of those that a watch method returns."""
    while True:
        for item in await watch():
            if accept(item):
                return item


async def read_market(exchange, seen):
    market = (await exchange.load_markets())[SYMBOL]
    seen["precision"] = [market["precision"]["price"], market["precision"]["amount"]]
    book = await exchange.watch_order_book(SYMBOL)
    seen["levels"] = [len(book["bids"]), len(book["asks"])]
    seen["top"] = book["bids"][0][0] < book["asks"][0][0]
    first_ms = book["timestamp"]
    seen["book_goes_on"] = (await exchange.watch_order_book(SYMBOL))["timestamp"] > first_ms
    seen["trade"] = (await exchange.watch_trades(SYMBOL))[-1]["side"] in ("buy", "sell")
    seen["ticker"] = (await exchange.watch_ticker(SYMBOL))["symbol"]
    seen["ohlcv"] = len((await exchange.watch_ohlcv(SYMBOL, "1m"))[-1])
    seen["fetched"] = [
        len((await exchange.fetch_order_book(SYMBOL, 20))["bids"]),
        (await exchange.fetch_ticker(SYMBOL))["bid"] is not None,
        len(await exchange.fetch_trades(SYMBOL, limit=5)) > 0,
        len(await exchange.fetch_ohlcv(SYMBOL, "1m")) > 0,
        await exchange.fetch_time() > 0,
    ]


async def place_amend_cancel(exchange, seen):
    def is_open(order):
        return order["status"] == "open"

    orders = asyncio.create_task(until(lambda: exchange.watch_orders(SYMBOL), is_open))
    placed = {}
    while not orders.done():  # ccxt does not say when it is subscribed
        named = {"postOnly": True, "clientOrderId": f"c-{len(placed)}"}
        one = await exchange.create_order(SYMBOL, "limit", "buy", 1, 60, named)
        placed[one["id"]] = one
        await asyncio.wait({orders}, timeout=0.3)
    told = orders.result()
    seen["open"] = [told["id"] in placed, told["price"], told["clientOrderId"][:2]]
    await exchange.cancel_all_orders(SYMBOL)
    one = await exchange.create_order(SYMBOL, "limit", "buy", 1, 60, {"postOnly": True})
    await exchange.edit_order(one["id"], SYMBOL, "limit", "buy", 2, 61)
    (edited,) = await exchange.fetch_open_orders(SYMBOL)
    seen["edited"] = [edited["price"], edited["amount"]]
    await exchange.cancel_order(one["id"], SYMBOL)
    seen["after_cancel"] = await exchange.fetch_open_orders(SYMBOL)
    order = {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 1}
    made = await exchange.create_orders([{**order, "price": price} for price in (58, 59)])
    gone = await exchange.cancel_orders([one["id"] for one in made], SYMBOL)
    seen["batch"] = [len(made), len(gone)]


async def trade(exchange, seen):
    fills = asyncio.create_task(until(lambda: exchange.watch_my_trades(SYMBOL), bool))
    while not fills.done():
        await exchange.create_order(SYMBOL, "market", "sell", 1)
        await asyncio.wait({fills}, timeout=0.3)
    fill = fills.result()
    seen["fill"] = [fill["side"], 0 < fill["amount"] <= 1, fill["takerOrMaker"], fill["fee"]["cost"] > 0]
    position = (await exchange.fetch_positions([SYMBOL]))[0]
    seen["position"] = [position["side"], position["contracts"] > 0]
    seen["my_trades"] = len(await exchange.fetch_my_trades(SYMBOL)) > 0
    seen["balance"] = (await exchange.fetch_balance())["USDT"]["total"] > 0
    seen["fee"] = (await exchange.fetch_trading_fee(SYMBOL))["maker"]


async def enter_by_socket(exchange, seen):
    sent = await exchange.create_order_ws(SYMBOL, "limit", "sell", 1, 90, {"postOnly": True})
    edited = await exchange.edit_order_ws(sent["id"], SYMBOL, "limit", "sell", 1, 91)
    seen["ws_edited"] = edited["id"] == sent["id"]
    await exchange.cancel_order_ws(sent["id"], SYMBOL)
    seen["closed"] = [one["status"] for one in await exchange.fetch_canceled_orders(SYMBOL)][:1]
    try:
        await exchange.cancel_order("00000000-0000-4000-8000-000000000000", SYMBOL)
    except ccxt.OrderNotFound as error:
        seen["unknown"] = type(error).__name__


async def main(port):
    exchange = ccxt.pro.bybit({"apiKey": "ccxt", "secret": "ccxt"})
    exchange.urls["api"] = urls(port)
    seen = {}
    try:
        for part in (read_market, place_amend_cancel, trade, enter_by_socket):
            await part(exchange, seen)
    finally:
        await exchange.close()
    sys.stdout.write(json.dumps(seen) + "\n")


asyncio.run(main(int(sys.argv[1])))
