"""Shared words of the wire: numbers as text, ids, answers with a retCode.

Every quantity on Bybit's wire is a string; times of orders are strings of milliseconds. Private rows and
rows of REST strip trailing zeros ("76500"), public futures frames keep all places of the step.
"""

from typing import Any

import msgspec

from mmbot.units import MS

PLACES = 8
"""Decimals of money: what Bybit states of a wallet's USDT."""

Row = dict[str, Any]
"""A JSON object of the wire."""


class Refused(Exception):  # noqa: N818 - an answer of the exchange, not a fault of it
    """The exchange says no: a retCode with its words, as in https://bybit-exchange.github.io/docs/v5/error"""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


class Answer(msgspec.Struct, frozen=True):
    """What a request came to, before REST or a socket puts its own frame around it. `ext`: retExtInfo."""

    result: Row
    ext: Row = {}
    code: int = 0
    message: str = "OK"


def refusal(refused: Refused) -> Answer:
    return Answer({}, {}, refused.code, refused.message)


def money(value: float) -> str:
    """Plain decimal text of a float, at most 8 places, no zeros at its end, no minus before zero."""
    text = f"{value:.{PLACES}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def millis(ns: int) -> str:
    return str(ns // MS)


def encoded(row: Row) -> bytes:
    return msgspec.json.encode(row)


def futures_id(space: int, number: int) -> str:
    """An id in the shape of the venue's UUIDs, which is a counter: `space` tells the kinds apart."""
    return f"{space:08x}-0000-4000-8000-{number:012x}"
