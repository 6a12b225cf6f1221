"""Whatever is asked of it while the market moves, an account's books agree with each other."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS, linear
from tests.mmbot.venues.paper.floor import LINEAR, Floor, Json, heard

from mmbot.sim.market import MarketSettings, SyntheticMarket
from mmbot.units import MS, Ns
from mmbot.venues.paper.settings import PaperSettings
from mmbot.venues.paper.tape import Feed

EVENTS = list(SyntheticMarket(MarketSettings(duration_s=30, trades_per_s=20), 3, Ns(START_NS)).events())
FINAL = ("Filled", "Cancelled", "Rejected", "PartiallyFilledCanceled")

_ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["create", "create", "market", "amend", "cancel", "step", "step"]),
        st.sampled_from(["Buy", "Sell"]),
        st.integers(-6, 6),
        st.integers(7, 40),
        st.sampled_from(["GTC", "IOC", "FOK", "PostOnly"]),
        st.integers(0, 5),
    ),
    max_size=25,
)


class Trader:
    """Does what it is told, and keeps all that its stream said."""

    def __init__(self) -> None:
        quick = PaperSettings(limit_factor=1_000)
        self.floor = Floor(feeds=[Feed(linear(), EVENTS)], settings=quick)
        self.socket = self.floor.account("alice", "order", "execution", "position", "wallet")
        self.told: list[Json] = []
        self.made = 0
        self.now = 0

    def act(self, action: str, side: str, ticks: int, lots: int, time_in_force: str, which: int) -> None:
        price = f"{(self.floor.exchange.markets[0].book.best_bid or 0) / 100 + ticks / 100:.2f}"
        qty, link_id = f"{lots / 100:.2f}", f"a-{max(self.made - which, 0)}"
        if action in ("create", "market"):
            self.made += 1
            words: dict[str, Any] = {"side": side, "qty": qty, "orderLinkId": f"a-{self.made}"}
            if action == "market":
                words["orderType"] = "Market"
            self.floor.create(**words, price=price, timeInForce=time_in_force)
        elif action == "amend":
            self.floor.amend(link_id, price=price, qty=qty)
        elif action == "cancel":
            self.floor.cancel(link_id)
        else:
            self.now += lots * 20 * MS
            self.floor.step(self.now)
        self.told += heard(self.socket)

    def rows(self, topic: str) -> list[Json]:
        return [row for message in self.told if message["topic"] == topic for row in message["data"]]


@given(_ACTIONS)
@settings(max_examples=60)
def test_orders_executions_position_and_wallet_agree(
    actions: list[tuple[str, str, int, int, str, int]],
) -> None:
    trader = Trader()
    for action in actions:
        trader.act(*action)
    executions, orders = trader.rows("execution"), trader.rows("order")
    last = {row["orderId"]: row for row in orders}
    for order_id, row in last.items():
        filled = sum(float(one["execQty"]) for one in executions if one["orderId"] == order_id)
        assert filled == pytest.approx(float(row["cumExecQty"]))
        open_rest = 0.0 if row["orderStatus"] in FINAL else float(row["qty"]) - filled
        assert float(row["leavesQty"]) == pytest.approx(open_rest)
    assert len({one["execId"] for one in executions}) == len(executions)
    signed = sum(float(one["execQty"]) * (1 if one["side"] == "Buy" else -1) for one in executions)
    (held,) = trader.floor.get("/v5/position/list", "alice", **LINEAR)["result"]["list"]
    assert float(held["size"]) * (-1 if held["side"] == "Sell" else 1) == pytest.approx(signed)
    (wallet,) = trader.floor.get("/v5/account/wallet-balance", "alice", accountType="UNIFIED")["result"][
        "list"
    ]
    usdt = next(coin for coin in wallet["coin"] if coin["coin"] == "USDT")
    earned = sum(float(one["execPnl"]) - float(one["execFee"]) for one in executions)
    assert float(usdt["walletBalance"]) == pytest.approx(100_000 + earned, abs=1e-5)


@given(_ACTIONS)
@settings(max_examples=60)
def test_an_order_ends_once(actions: list[tuple[str, str, int, int, str, int]]) -> None:
    trader = Trader()
    for action in actions:
        trader.act(*action)
    ended: set[str] = set()
    for row in trader.rows("order"):
        lost_race = row["rejectReason"] == "EC_OrigClOrdIDDoesNotExist"
        assert lost_race == (row["orderId"] in ended), "only a lost cancel speaks of an order that is over"
        if row["orderStatus"] in FINAL:
            ended.add(row["orderId"])
    still_open = {row["orderId"] for row in trader.rows("order")} - ended
    listed = trader.floor.get("/v5/order/realtime", "alice", limit=50, **LINEAR)["result"]["list"]
    assert {row["orderId"] for row in listed} == still_open
