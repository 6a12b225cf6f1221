"""What amends change: messages, time with both quotes up, fills and their net, with and without them.

    python -m tests.bench.amends demo btc-like nexo-24h             the table of docs/ablation.md

A venue that has no amend (`Instrument.amends`) is played as if it had Bybit's: the study is about the market.
"""

import argparse
import math
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
from tests.bench.ablation import QUEUES, ROOT, Seen

from mmbot.engine.symbol import SymbolBot
from mmbot.model.orders import OrderStatus
from mmbot.model.records import TickRow
from mmbot.runtime.run import EngineKind, Run, RunRequest
from mmbot.units import SECOND, parse_duration

_RESTS = (OrderStatus.LIVE, OrderStatus.PENDING_AMEND)
HEAD = (
    "market, queue", "amend", "creates", "amends", "cancels", "messages", "both up", "fills", "net bps",
    "gross", "adverse 60 s", "profit",
)  # fmt: skip


class BothUp:
    """Counts the ticks of a symbol, and those that find an order of ours resting on each side."""

    def __init__(self, bot: SymbolBot) -> None:
        self.ticks = self.both = 0
        self._bot, self._tick = bot, bot.tick
        bot.tick = self._counted  # type: ignore[method-assign]  # a study looks before the bot acts

    def _counted(self, now_ns: int) -> TickRow:
        slots = self._bot._blotter.slots
        self.ticks += 1
        self.both += all(slot in slots and slots[slot].status in _RESTS for slot in (1, -1))
        return self._tick(now_ns)


def row(scenario: str, queue: str, *, amend: bool, data: Path, duration_s: float) -> str:
    with tempfile.TemporaryDirectory() as folder:
        last = Path(folder) / "last.yaml"
        last.write_bytes(
            msgspec.json.encode({"async_batch": {"amend": amend}, "sim": {"queue": QUEUES[queue]}})
        )
        run = Run(
            RunRequest(
                scenario=scenario,
                scenarios=ROOT / "scenarios",
                config=[ROOT / "config.yaml", last],
                data=data,
                run_id="amends",
                directory=Path(folder) / "run",
                step="bench",
                duration_s=duration_s,
                engine=EngineKind.COMPILED,
            )
        )
        (bot,) = run.engine.bots.values()
        bot._amend = amend
        seen, up = Seen(run), BothUp(bot)
        run.observers.append(seen)
        for _ in run:
            pass
    counts, result = run.counts, seen.result(run)
    messages = counts.orders + counts.amends + counts.cancels
    cells = [f"{scenario}, {queue}", "on" if amend else "off"]
    cells += [f"{count}" for count in (counts.orders, counts.amends, counts.cancels, messages)]
    cells += [f"{up.both / up.ticks:.2%}", f"{result.fills}"]
    bps = (result.net_bps, result.gross_bps, result.adverse_bps, result.pnl)
    cells += ["NO_DATA" if value is None else f"{value:+.2f}" for value in bps]
    return f"| {' | '.join(cells)} |"


def table(asked: argparse.Namespace) -> Iterator[str]:
    yield f"| {' | '.join(HEAD)} |"
    yield "|---" * len(HEAD) + "|"
    duration_s = math.inf if asked.duration == "all" else parse_duration(asked.duration) / SECOND
    for scenario in asked.scenarios:
        for queue in QUEUES:
            for amend in (False, True):
                yield row(scenario, queue, amend=amend, data=asked.data, duration_s=duration_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenarios", nargs="+")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data")
    parser.add_argument("--duration", default="all", help="of each run: 60m, or all")
    for line in table(parser.parse_args()):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
