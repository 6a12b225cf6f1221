"""A task played in this process: on a worker, or where there is no cluster. The result says what went wrong
instead of raising it, so that no error has to be imported to be read.
"""

import importlib
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from mmcluster.facts import first_difference
from mmcluster.tasks import Failed, Finished, Task


class Mismatch(msgspec.Struct, frozen=True, tag=True):
    """A worker that is not as the driver is: nothing was played."""

    fact: str
    found: str
    expected: str


class Returned(msgspec.Struct, frozen=True, tag=True):
    value: Any
    seconds: float


class Raised(msgspec.Struct, frozen=True, tag=True):
    error: str
    detail: str | None


End = Mismatch | Returned | Raised
_ends: msgspec.msgpack.Decoder[End] = msgspec.msgpack.Decoder(End)


def packed(task: Task) -> bytes:
    """The payload as it travels. Raises TypeError for what is no built-in type."""
    return msgspec.msgpack.encode(task.payload)


def play(call: str, payload: bytes, facts: Mapping[str, str]) -> bytes:
    """Play one task, unless this process is not what `facts` expect."""
    different = first_difference(facts)
    if different is not None:
        return msgspec.msgpack.encode(Mismatch(*different))
    began = time.perf_counter()
    try:
        value = _function(call)(msgspec.msgpack.decode(payload))
        return msgspec.msgpack.encode(Returned(value, time.perf_counter() - began))
    except Exception as error:  # noqa: BLE001 - it belongs to the task, whoever asked for it reads it
        return msgspec.msgpack.encode(_raised(error))


def read(name: str, end: bytes, worker: str) -> Finished | Failed | Mismatch:
    """What became of a task."""
    found = _ends.decode(end)
    match found:
        case Returned():
            return Finished(name, found.value, found.seconds, worker)
        case Raised():
            return Failed(name, found.error, found.detail)
        case _:
            return found


def _function(call: str) -> Callable[[dict[str, Any]], Any]:
    module, _, name = call.partition(":")
    function: Callable[[dict[str, Any]], Any] = getattr(importlib.import_module(module), name)
    return function


def _raised(error: Exception) -> Raised:
    """One line; what is no user's error keeps its traceback."""
    text = " ".join(str(error).split())
    if getattr(type(error), "user_error", False):
        return Raised(text, None)
    return Raised(f"{type(error).__name__}: {text}", "".join(traceback.format_exception(error)))
