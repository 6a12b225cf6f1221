"""What the tests let workers play. Workers find it on the path of who started them."""

import hashlib
import os
import signal
from pathlib import Path
from typing import Any


def busy(payload: dict[str, Any]) -> str:
    """Some 0.1 s of one core."""
    return hashlib.pbkdf2_hmac("sha256", b"", b"", payload["rounds"]).hex()


class WrongError(Exception):
    user_error = True


def double(payload: dict[str, Any]) -> dict[str, Any]:
    return {"doubled": 2 * payload["number"], "pid": os.getpid()}


def refuse(payload: dict[str, Any]) -> None:
    """What a user put wrong; each play of it leaves a mark."""
    with Path(payload["mark"]).open("a") as file:
        file.write("played\n")
    raise WrongError("spread was -1,\nexpected at least 0")


def die(payload: dict[str, Any]) -> str:
    """As by kill -9, for so many plays; a mark each."""
    path = Path(payload["mark"])
    with path.open("a") as file:
        file.write("played\n")
    if len(path.read_text().splitlines()) <= payload["deaths"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"
