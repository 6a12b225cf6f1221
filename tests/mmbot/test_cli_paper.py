"""`mmbot paper`: what it refuses, and what its documentation says of it."""

import re

import pytest
from tests.mmbot.builders import REPO, START_NS, Command, linear

from mmbot.model.instrument import Contract
from mmbot.runtime.paper import PaperRequest, open_exchange, served
from mmbot.venues.paper.faults import FaultSettings

PAGE = (REPO / "docs/paper-exchange.md").read_text(encoding="utf-8")
SHIPPED = ("--scenarios", REPO / "scenarios", "--config", REPO / "config.yaml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--speed", "fast"], "--speed: was 'fast', expected max or a number up to 1000"),
        (["--speed", "0"], "--speed: was '0'"),
        (["--speed", "nan"], "--speed: was 'nan'"),
        (["--key", "alice"], "--key: was 'alice', expected KEY:SECRET"),
        (["--balance", "USDT"], "--balance: was 'USDT', expected COIN=AMOUNT"),
        (["--balance", "USDT=-1"], "--balance: was '-1', expected an amount of at least 0"),
        (["--fault", "drop_ratio=2"], "fault switches: drop_ratio was 2.0, expected 0 to 1"),
        (["--fault", "nonsense=1"], "fault switches: Object contains unknown field `nonsense`"),
        (["--scenario", "nosuch"], "no such scenario"),
    ],
)
def test_what_cannot_be_is_one_line(mmbot: Command, arguments: list[str], message: str) -> None:
    code, _, err = mmbot("paper", *SHIPPED, *arguments)
    assert code == 2
    assert err.count("\n") == 1
    assert message in err


def test_a_scenario_opens_as_an_exchange_with_its_accounts() -> None:
    request = PaperRequest(
        scenario="demo",
        scenarios=REPO / "scenarios",
        config=[REPO / "config.yaml"],
        data=None,
        keys={"alice": "a", "bob": "b"},
        balances={"USDT": 5.0},
    )
    exchange, kind = open_exchange(request, lambda: START_NS + 1)
    assert kind == "synthetic"
    assert exchange.now_ns == START_NS, "whole milliseconds"
    balances = {key: member.account.key.balances for key, member in exchange.members.items()}
    assert list(balances.values()) == [{"SYNTH": 1_000.0, "USDT": 5.0}] * 2


def test_other_venues_instruments_are_served_under_bybits_categories() -> None:
    venues = [
        served(linear(venue="binance_spot")).venue,
        served(linear(venue="binance_usdm")).venue,
        served(linear(venue="binance_coinm", contract=Contract.INVERSE)).venue,
        served(linear()).venue,
    ]
    assert venues == ["bybit_spot", "bybit_linear", "bybit_inverse", "bybit_linear"]


def test_every_fault_switch_is_documented() -> None:
    switches = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE))))
    assert set(FaultSettings.__struct_fields__) <= switches
