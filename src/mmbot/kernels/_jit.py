"""The one import of numba: `kernel` compiles for use inside kernels, `entry` makes callable by address.

An entry takes the address of the int64 block of `layout` and an integer, and is called without numba's
dispatcher: 0.06 us a call, against 0.12 with it, 0.22 through ctypes, and 0.85 with fourteen arrays
(measured). Compiled code is cached on disk by numba.

A kernel that is called and not inlined gets seven words for every array that is handed to it, and cannot know
that they do not overlap: what runs for every message is `inlined` (half the time, measured).

numba takes a negative index for one from the end and looks for it at every access. Where rows and levels pass
by the million, indices are made unsigned (a seventh of the time, measured).
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba import carray, types
from numba.extending import intrinsic

__all__ = ["carray", "entry", "inlined", "kernel", "pointer"]


def _keep_code_by_source() -> None:
    """Let compiled code be found again only by these very sources.

    numba compares the time stamp of a function's own file. Our kernels are spread over files and have the
    constants of `layout` as literals: with one of those edited, stale code would read and write the wrong
    places of memory.
    """
    folder = Path(__file__).parent
    sources = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.glob("*.py"))))
    kept = folder / "__pycache__" / f"kernels-{sources.hexdigest()[:16]}"
    if not os.environ.get("NUMBA_CACHE_DIR") and os.access(folder, os.W_OK):
        numba.config.CACHE_DIR = str(kept)


_keep_code_by_source()

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile for use inside other kernels."""
    return numba.njit(cache=True, fastmath=False, boundscheck=False)(function)  # type: ignore[no-any-return]


def inlined(function: F) -> F:
    """As `kernel`, expanded where it is called."""
    return numba.njit(cache=True, fastmath=False, inline="always")(function)  # type: ignore[no-any-return]


@intrinsic  # type: ignore[untyped-decorator]
def pointer(_context: Any, _address: Any) -> Any:
    """An int64 address as a pointer."""
    signature = types.voidptr(types.int64)

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(types.voidptr))

    return signature, generate


_ENTRY = (types.int64, types.int64)
_ENTRIES: list[Any] = []


def entry(function: Callable[..., int]) -> Callable[[int, int], int]:
    """Compile as `(context address, integer) -> integer`."""
    compiled = numba.njit(types.int64(*_ENTRY), cache=True)(function)
    _ENTRIES.append(compiled)  # the code lives as long as its caller
    call: Callable[[int, int], int] = compiled.overloads[_ENTRY].entry_point
    return call
