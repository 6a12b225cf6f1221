"""Clients that know nothing of us trade on the paper exchange: Bybit's own SDK, and ccxt.

Each runs in a process of its own against `mmbot paper`, unchanged but for its hosts.
"""

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).parents[2]
CLIENTS = Path(__file__).parent / "clients"
WAIT_S = 60


@contextlib.contextmanager
def exchange(*arguments: str) -> Iterator[int]:
    """`mmbot paper` in a process; its port once it listens."""
    command = [sys.executable, "-c", "from mmbot.cli import main; main()", "paper", *arguments]
    with subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            found = re.search(r"on http://127\.0\.0\.1:(\d+)$", process.stdout.readline().rstrip())
            assert found, process.poll()
            yield int(found[1])
        finally:
            process.terminate()


def session(client: str, port: int) -> dict[str, Any]:
    """What a client saw."""
    command = [sys.executable, CLIENTS / f"{client}_session.py", str(port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The demo market at ten times its speed, two accounts, the delay of a network."""
    keys = ("--key", "paper:paper", "--key", "ccxt:ccxt")
    how = ("--speed", "10", "--limit-factor", "5", "--fault", "delay_ms=20")
    with exchange("--scenario", "demo", *how, *keys) as found:
        yield found


def test_pybit_trades(port: int) -> None:
    assert session("pybit", port) == {
        "time": True,
        "tick": "0.01",
        "rest_levels": [50, 50],
        "ticker": True,
        "fee_rate": "0.0002",
        "levels": [50, 50],
        "trade": ["BT", "L", "RPI", "S", "T", "i", "p", "s", "seq", "v"],
        "ticker_symbol": "SYNTHUSDT",
        "kline": "1",
        "new": True,
        "amended": ["61", "2"],
        "open": ["rest-1"],
        "cancelled": "CancelByUser",
        "refused": {"duplicate": 110072, "unknown": 110001, "off tick": 10001, "small": 110094},
        "batch": [0, 10001, 0],
        "batch_amend": [{"code": 0, "msg": "OK"}],
        "batch_cancel": [{"code": 0, "msg": "OK"}],
        "post_only": "EC_PostOnlyWillTakeLiquidity",
        "fill": [False, "Trade", True],
        "filled": ["1", "0"],
        "position": ["Buy", "UNIFIED"],
        "held": ["Buy", True, True],
        "executions": True,
        "history": "market",
        "wallet": True,
        "ws_created": ["order.create", "OK", "90"],
        "ws_amended": "91",
        "ws_cancelled": "CancelByUser",
        "ws_batch": [{"code": 0, "msg": "OK"}],
    }


def test_ccxt_trades(port: int) -> None:
    assert session("ccxt", port) == {
        "precision": [0.01, 0.01],
        "levels": [50, 50],
        "top": True,
        "book_goes_on": True,
        "trade": True,
        "ticker": "SYNTH/USDT:USDT",
        "ohlcv": 6,
        "fetched": [20, True, True, True, True],
        "open": [True, 60.0, "c-"],
        "edited": [61.0, 2.0],
        "after_cancel": [],
        "batch": [2, 2],
        "fill": ["sell", True, "taker", True],
        "position": ["short", True],
        "my_trades": True,
        "balance": True,
        "fee": 0.0002,
        "ws_edited": True,
        "closed": ["canceled"],
        "unknown": "OrderNotFound",
    }
