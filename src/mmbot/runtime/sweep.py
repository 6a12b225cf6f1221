"""Sweeping: cancel own orders, order by order, until the venue lists none. Who sweeps trusts nobody: a cancel
that was taken is no proof, only the venue's own list is.

A create that was on its way may arrive after a list was empty. The venue refuses one that is older than the
window of its signature, so a sweep whose bot may have died in mid-flight looks until the list was empty for
that long (`SETTLED_NS`).
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from mmbot.clock import sleep, stopwatch
from mmbot.errors import RemoteProtocolError, TransportError
from mmbot.units import MS, SECOND
from mmbot.venues.bybit.cancel_only import RECV_WINDOW_MS, CancelOnly, OpenOrder

SETTLED_NS = RECV_WINDOW_MS * MS + SECOND
LOOK_EVERY_NS = 250 * MS
_AT_ONCE = 10
"""Cancels in flight: what the venue takes in a second."""


class Look(NamedTuple):
    """What one look found: `left` are own orders that were listed, None where the venue did not say."""

    left: list[OpenOrder] | None
    said: str


async def look(door: CancelOnly) -> Look:
    """List once, and ask once for the cancel of every own order."""
    try:
        found = await door.own_orders()
        refused: list[str] = []
        for first in range(0, len(found), _AT_ONCE):
            answers = await asyncio.gather(*map(door.cancel, found[first : first + _AT_ONCE]))
            refused += [answer for answer in answers if answer is not None]
    except (TransportError, RemoteProtocolError) as error:
        return Look(None, f"the venue does not say which orders are open: {error}")
    if not found:
        return Look(found, "no own order is open")
    names = ", ".join(order.client_id for order in found[:_AT_ONCE])
    return Look(found, f"{len(found)} own orders open, cancels sent: {names}" + _words(refused))


async def sweep(
    door: CancelOnly, said: Callable[[str], None], *, settled_ns: int, give_up_ns: int | None
) -> list[OpenOrder] | None:
    """Look until the list has been empty for `settled_ns`, or the time is up; returns what was left at the
    last look, None for nobody knows. `said` hears whatever is new.
    """
    began_ns = stopwatch()
    empty_ns: int | None = None
    told = ""
    while True:
        found = await look(door)
        if found.said != told:
            told = found.said
            said(told)
        now_ns = stopwatch()
        empty_ns = None if found.left is None or found.left else empty_ns or now_ns
        if empty_ns is not None and now_ns - empty_ns >= settled_ns:
            return []
        if give_up_ns is not None and now_ns - began_ns >= give_up_ns:
            return found.left or None
        await sleep(LOOK_EVERY_NS)


def _words(refused: list[str]) -> str:
    return f"; refused: {'; '.join(sorted(set(refused)))}" if refused else ""
