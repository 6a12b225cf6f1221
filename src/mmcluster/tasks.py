"""A task, and what becomes of it. Payload and value are built-in types: they travel as MessagePack."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Task:
    """`name` is what people read of it; `call` is `package.module:function`, which takes the payload. Payload
    and what the function returns: None, bool, int (64 bits), float, str, bytes, and lists and mappings of
    them. Tuples arrive as lists.
    """

    name: str
    call: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finished:
    """`seconds`: how long the function took; `worker`: the address of who played it."""

    name: str
    value: Any
    seconds: float
    worker: str


@dataclass(frozen=True, slots=True)
class Failed:
    """`error` is one line; `detail` is the traceback of a bug, None for bad input and dead workers."""

    name: str
    error: str
    detail: str | None = None
