"""What md_cache does on real markets: ages and hit ratios, and its way through a silence and a gap.

    python -m tests.bench.md_cache                          the tables of docs/md-cache.md
    python -m tests.bench.md_cache --scenario nexo-24h --fault silence@10m+5s --duration 60m

Every number is read off the rows that a run wrote, in the compiled engine.
"""

import argparse
import itertools
import math
import sys
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmbot.model.records import EventRow, Row, SampleRow, TickRow
from mmbot.runtime.faults import Fault, parse_fault
from mmbot.runtime.run import EngineKind, Run, RunRequest
from mmbot.units import MS, SECOND, parse_duration

ROOT = Path(__file__).parents[2]
_LOOK_NS = 120 * SECOND
"""How long after a fault its consequences are looked for."""
_STUDY: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "nexo-24h": ("all", ("silence@10m+5s", "silence@10m+40s", "gap@10m")),
    "btcusdt-8m": ("all", ("silence@2m+5s", "silence@2m+8s", "gap@2m")),
}
_AROUND_FAULT = "15m"


class Reads:
    """Observes one symbol: what was read, how old it was, and all that changed after a moment."""

    def __init__(self, fault_ns: int | None) -> None:
        self.counts: Counter[str] = Counter()
        self.ages_ns = array("q")
        self.updates = 0.0
        self.changes: list[tuple[int, str]] = []
        """(time, what) after the fault: the state of ticks where it became another, and events."""
        self._fault_ns = fault_ns
        self._last = ""

    def rows(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if isinstance(row, TickRow):
                self._tick(row)
            elif isinstance(row, SampleRow) and row.name == "book_updates":
                self.updates = row.value
            elif isinstance(row, EventRow) and self._near(row.ts_ns):
                reason = str(row.detail.get("reason") or "").partition(":")[0]
                self.changes.append((row.ts_ns, f"{row.kind} ({reason})" if reason else row.kind))

    def _tick(self, row: TickRow) -> None:
        self.counts[row.cache] += 1
        if row.age_ns is not None:
            self.ages_ns.append(row.age_ns)
        state = f"{row.cache}, {'quotes' if row.bid or row.ask else 'no quotes'}"
        state += f" ({', '.join(row.reasons)})" if row.guard != "NONE" else ""
        if self._near(row.ts_ns) and state != self._last:
            self.changes.append((row.ts_ns, state))
        self._last = state

    def _near(self, now_ns: int) -> bool:
        return self._fault_ns is not None and 0 <= now_ns - self._fault_ns <= _LOOK_NS


@dataclass(frozen=True, slots=True)
class Played:
    """One run and what was seen of it."""

    run: Run
    reads: Reads
    fault_ns: int | None


def play(scenario: str, data: Path, duration: str | None, fault: Fault | None) -> Played:
    with tempfile.TemporaryDirectory() as folder:
        request = RunRequest(
            scenario=scenario,
            scenarios=ROOT / "scenarios",
            config=[ROOT / "config.yaml"],
            data=data,
            run_id="md-cache",
            directory=Path(folder) / "run",
            step="bench",
            duration_s=_seconds(duration),
            engine=EngineKind.COMPILED,
            faults=(fault,) if fault else (),
        )
        run = Run(request)
        start_ns = max(feed.columns.meta.first_ns for feed in run.tape.feeds)
        fault_ns = None if fault is None else start_ns + fault.at_ns
        reads = Reads(fault_ns)
        run.observers.append(reads)
        for _ in run:
            pass
    return Played(run, reads, fault_ns)


def _seconds(duration: str | None) -> float | None:
    if duration is None:
        return None
    return math.inf if duration == "all" else parse_duration(duration) / SECOND


def reads_table(played: Sequence[tuple[str, Played]]) -> Iterator[str]:
    """Reads and ages of whole runs."""
    head = ("scenario", "reads", "hit", "stale", "miss", "book updates", "reads per update")
    yield f"| {' | '.join((*head, 'age p50', 'p90', 'p99', 'max'))} |"
    yield "|---" * 11 + "|"
    for scenario, one in played:
        reads = one.reads
        total = reads.counts.total()
        shares = " | ".join(f"{reads.counts[kind] / total:.4%}" for kind in ("hit", "stale", "miss"))
        ages = np.quantile(np.asarray(reads.ages_ns), (0.5, 0.9, 0.99, 1.0)) / MS
        shown = " | ".join(f"{age:.0f} ms" for age in ages)
        updates = f"{reads.updates:.0f} | {total / reads.updates:.2f}"
        yield f"| {scenario} | {total} | {shares} | {updates} | {shown} |"


def fault_table(played: Sequence[tuple[str, Fault, Played]]) -> Iterator[str]:
    """What changed after each fault, in ms from it."""
    yield "| scenario | fault | what happened, ms after it |"
    yield "|---|---|---|"
    for scenario, fault, one in played:
        yield f"| {scenario} | `{fault.text}` | {'; '.join(_told(one, fault))} |"


def _told(one: Played, fault: Fault) -> Iterator[str]:
    """Changes until quotes have been back for the first time after the fault was over."""
    over_ns = (one.fault_ns or 0) + (fault.lasts_ns or 0)
    troubled = False
    last = ""
    for at_ns, what in sorted(one.reads.changes, key=lambda change: change[0]):
        if what != last:  # an order of each side is refused for one reason
            yield f"{(at_ns - (one.fault_ns or 0)) / MS:.0f} {what}"
        last = what
        troubled = troubled or "no quotes" in what
        if at_ns >= over_ns and what == "hit, quotes" and (troubled or fault.lasts_ns):
            return


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenario", action="append", choices=sorted(_STUDY))
    parser.add_argument("--fault", action="append", type=parse_fault, help="instead of those of the study")
    parser.add_argument("--duration", help="of the runs without a fault; default: the whole tape")
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data")
    asked = parser.parse_args(arguments)
    scenarios = asked.scenario or list(_STUDY)
    whole = [(name, play(name, asked.data, asked.duration or _STUDY[name][0], None)) for name in scenarios]
    faulty = [
        (name, fault, play(name, asked.data, _AROUND_FAULT, fault))
        for name in scenarios
        for fault in asked.fault or map(parse_fault, _STUDY[name][1])
    ]
    sys.stdout.write("\n".join(itertools.chain(reads_table(whole), [""], fault_table(faulty), [""])))


if __name__ == "__main__":
    main(sys.argv[1:])
