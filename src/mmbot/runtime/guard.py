"""The guard: watches a bot's heartbeat from another process, and cancels its orders when it stops.

It never gives up and never decides that all is well for good: while the heart stands still it looks again and
again, since a create of the bot may come late. When the heart beats again it only watches. It does not press
the kill switch: a bot that was merely slow hears that its orders are gone, and goes on.
"""

import asyncio
from collections.abc import Callable

from mmbot.clock import stopwatch
from mmbot.risk.kill_switch import DeadMan
from mmbot.runtime.account_folder import AccountFolder
from mmbot.runtime.sweep import look
from mmbot.venues.bybit.cancel_only import CancelOnly

_LOOK_EVERY_S = 0.2
_DEAD_LOOK_EVERY_S = 0.5


async def watch(
    folder: AccountFolder,
    door: CancelOnly,
    patience_s: float,
    said: Callable[[str], None],
    stop: asyncio.Event,
) -> None:
    """Watch until `stop`. `said` hears whatever is new."""
    man = DeadMan(patience_s, stopwatch())
    told = ""
    said(f"watching {folder.path}, patience {patience_s:g} s")
    while not stop.is_set():
        man.heard(folder.heartbeat, stopwatch())
        if man.dead(stopwatch()):
            found = await look(door)
            news = f"no heartbeat for more than {patience_s:g} s: {found.said}"
        else:
            news = "the heart beats"
        if news != told:
            told = news
            said(news)
        wait_s = _DEAD_LOOK_EVERY_S if man.dead(stopwatch()) else _LOOK_EVERY_S
        try:
            async with asyncio.timeout(wait_s):
                await stop.wait()
        except TimeoutError:
            continue
