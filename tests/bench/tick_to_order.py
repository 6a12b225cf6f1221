"""How long an order takes: from the newest frame that a tick knew to its bytes in the socket, on loopback.

    python -m tests.bench.tick_to_order [SECONDS]

A bot in a process of its own trades the demo market on the paper exchange of this process, with the
configuration of the system tests (a tick each 20 ms). The figures are the bot's own samples, one a tick that
created an order: `wait` for the tick, `decide`, `log` (the create is on the disk), `send` (handed to the
socket), and their sum.
"""

import asyncio
import sys
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tests.system.live import trading_desk

STAGES = ("wait", "decide", "log", "send")


async def measured(folder: Path, seconds: float) -> dict[str, list[float]]:
    """Microseconds by stage, and `total`, of every tick that created an order."""
    async with trading_desk(folder, speed=10.0) as desk:
        await desk.traded(await desk.bot("--duration", f"{seconds:g}s"), patience_s=seconds + 60)
        ticks: dict[int, dict[str, float]] = defaultdict(dict)
        for row in desk.rows("samples"):
            name = row["name"].removeprefix("order_").removesuffix("_us")
            if name in STAGES:
                ticks[row["ts_ns"]][name] = row["value"]
        found = {name: [one[name] for one in ticks.values()] for name in STAGES}
        return {**found, "total": [sum(one.values()) for one in ticks.values()]}


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    with TemporaryDirectory() as folder:
        found = asyncio.run(measured(Path(folder), seconds))
    sys.stdout.write(f"{len(found['total'])} ticks with a create, us\n")
    slowest = np.asarray(found["total"]) >= np.percentile(found["total"], 99)
    for name, took in found.items():
        p50, p99 = np.percentile(took, [50, 99])
        share = np.average(np.asarray(took)[slowest]) / np.average(np.asarray(found["total"])[slowest])
        sys.stdout.write(f"{name:8} p50 {p50:8.0f}  p99 {p99:8.0f}  {share:4.0%} of the slowest hundredth\n")


if __name__ == "__main__":
    main()
