"""What each feature of the strategy earns: the same market with one of them switched off, in turn.

    python -m tests.bench.ablation --scenario nexo-24h                  the table of docs/ablation.md
    python -m tests.bench.ablation --scenario demo --duration 60m --jobs 2

Under two queue models and two latencies, since a simulated fill is worth what its assumptions are. What
follows a +- is a standard error, from leaving out one hour after the other (jackknife); that of a difference
pairs the hours of both runs. Every number is of one whole run in the compiled engine, and runs that were made
are kept by what they were made of (configuration, data, code), so that a study that was stopped goes on where
it was.
"""

import argparse
import hashlib
import itertools
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from mmbot.config.flags import FLAGS
from mmbot.edge.markout import Markouts
from mmbot.model.records import FillRow, Row, TickRow
from mmbot.runtime.run import EngineKind, Run, RunRequest
from mmbot.runtime.tape import cache_folder
from mmbot.units import BPS, SECOND, parse_duration

ROOT = Path(__file__).parents[2]
NOT_ABOUT_QUOTES = frozenset({"pipeline", "taker_cap", "async_batch", "amend", "trace"})
"""Without the pipeline there are no quotes; the others do not shape those of a post-only quoter of one
level, and `tests.bench.amends` measures amends.
"""
QUEUES: dict[str, dict[str, Any]] = {
    "risk_averse": {"model": "risk_averse"},
    "power": {"model": "power", "power": 2.0},
}
LATENCIES = {"1x": 1.0, "2x": 2.0}
_KEYS = ("entry", "response")
"""Latencies that are multiplied."""


class Result(msgspec.Struct, frozen=True):
    """Of one run. bps are means by weight over the fills that have a mid 60 s later; None is NO_DATA.

    `hours`: start of each hour with such fills -> what they netted, and their weight, both in settlement
    currency.
    """

    net_bps: float | None
    gross_bps: float | None
    fees_bps: float | None
    adverse_bps: float | None
    fills: int
    orders: int
    maker_share: float | None
    inventory_p99_quote: float
    pnl: float | None
    digest: str
    hours: dict[int, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Case:
    """One run to make. `off`: the flag that is switched off, None for all on."""

    scenario: str
    duration_s: float | None
    queue: str
    latency: str
    off: str | None
    data: Path

    @property
    def settings(self) -> dict[str, Any]:
        """Overlay with the last word, but for latencies, which are multiples of what is configured."""
        off = {flag.path[0]: {flag.path[1]: False} for flag in FLAGS if flag.name == self.off}
        return {**off, "sim": {"queue": QUEUES[self.queue]}}


class Seen:
    """Observes one symbol: markouts, positions."""

    def __init__(self, run: Run) -> None:
        ((self._key, self._bot),) = run.engine.bots.items()
        self._markouts = Markouts(self._bot.instrument)
        self._positions: list[float] = []

    def rows(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if isinstance(row, TickRow):
                self._markouts.tick(row)
                self._positions.append(abs(row.position_quote))
            elif isinstance(row, FillRow):
                self._markouts.fill(row)

    def result(self, run: Run) -> Result:
        edge, position, mark = self._markouts.edge, self._bot.position, self._markouts.last_mid
        return Result(
            net_bps=edge.net.bps,
            gross_bps=edge.gross.bps,
            fees_bps=edge.fees.bps,
            adverse_bps=edge.adverse[60].bps,
            fills=position.fills,
            orders=run.counts.orders,
            maker_share=position.maker_notional / position.notional if position.fills else None,
            inventory_p99_quote=float(np.quantile(self._positions, 0.99)) if self._positions else 0.0,
            pnl=None if mark is None else position.pnl(mark),
            digest=run.digest,
            hours={
                start_ns: (hour.net.settled, hour.net.weight)
                for start_ns, hour in self._markouts.intervals.items()
            },
        )


def opened(case: Case, folder: Path) -> Run:
    """The run of a case. Raises MmbotError."""
    last = folder / "last.yaml"
    last.write_bytes(msgspec.json.encode(case.settings))
    request = RunRequest(
        scenario=case.scenario,
        scenarios=ROOT / "scenarios",
        config=[ROOT / "config.yaml", last],
        data=case.data,
        run_id="ablation",
        directory=folder / "run",
        step="bench",
        duration_s=case.duration_s,
        engine=EngineKind.COMPILED,
    )
    factor = LATENCIES[case.latency]
    if factor != 1.0:
        sim = Run(request).settings.sim
        slower = {key: {"median_ms": getattr(sim, key).median_ms * factor} for key in _KEYS}
        slower["queue"] = case.settings["sim"]["queue"]
        last.write_bytes(msgspec.json.encode({**case.settings, "sim": slower}))
    return Run(request)


def played(case: Case) -> Result:
    """The result of a case: kept from an earlier study, or played now."""
    with tempfile.TemporaryDirectory() as folder:
        run = opened(case, Path(folder))
        kept = cache_folder() / "ablation" / f"{_key(case, run)}.json"
        if kept.exists():
            return msgspec.json.decode(kept.read_bytes(), type=Result)
        seen = Seen(run)
        run.observers.append(seen)
        for _ in run:
            pass
        result = seen.result(run)
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(f".{os.getpid()}")
        partial.write_bytes(msgspec.json.encode(result))
        partial.replace(kept)
        return result


def _key(case: Case, run: Run) -> str:
    """Hash of everything that a result depends on: settings, market, length, and the source of the bot."""
    facts = [run.settings.sha256(), str(case.duration_s), *(feed.sha256 for feed in run.tape.feeds)]
    return hashlib.sha256("\n".join([*facts, _SOURCE]).encode()).hexdigest()


def _source_sha256() -> str:
    source = hashlib.sha256()
    for path in sorted((ROOT / "src" / "mmbot").rglob("*.py")):
        source.update(path.read_bytes())
    return source.hexdigest()


_SOURCE = _source_sha256()
"""Of the code that was imported, whatever becomes of the files while the study runs."""


def table(results: Mapping[tuple[str, str, str | None], Result]) -> Iterator[str]:
    """Markdown, a block of rows a model; differences are against the row with everything on."""
    head = ("queue, latency", "off", "net bps", "(off minus on)", "gross", "fees", "adverse 60 s", "fills")
    head += ("orders", "maker", "inventory p99", "profit")
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for (queue, latency, off), one in results.items():
        everything = results[queue, latency, None]
        same = off is not None and one.digest == everything.digest
        cells = [
            f"{queue}, {latency}",
            off or "nothing",
            with_error(one),
            "same orders" if same else with_error(one, everything) if off else "",
            *map(_bps, (one.gross_bps, one.fees_bps, one.adverse_bps)),
            f"{one.fills}",
            f"{one.orders}",
            "NO_DATA" if one.maker_share is None else f"{one.maker_share:.1%}",
            f"{one.inventory_p99_quote:.0f}",
            "NO_DATA" if one.pnl is None else f"{one.pnl:+.2f}",
        ]
        yield f"| {' | '.join(cells)} |"


def _bps(value: float | None) -> str:
    return "NO_DATA" if value is None else f"{value:+.2f}"


def with_error(one: Result, against: Result | None = None) -> str:
    """Net bps, or how much better it is than another's, with its standard error."""
    hours = sorted(one.hours.keys() | (against.hours if against else {}).keys())
    found = _net(one, against, None)
    left_out = [_net(one, against, hour) for hour in hours]
    if found is None:
        return "NO_DATA"
    if len(hours) < 2 or None in left_out:
        return f"{found:+.2f} ± NO_DATA"
    spread = np.var(np.asarray(left_out, float)) * (len(hours) - 1)
    return f"{found:+.2f} ± {math.sqrt(spread):.2f}"


def _net(one: Result, against: Result | None, left_out: int | None) -> float | None:
    """Net bps without the fills of one hour, less the other's."""
    kept = [values for hour, values in one.hours.items() if hour != left_out]
    weight = sum(weight for _, weight in kept)
    if not weight:
        return None
    net_bps = BPS * sum(settled for settled, _ in kept) / weight
    if against is None:
        return net_bps
    other_bps = _net(against, None, left_out)
    return None if other_bps is None else net_bps - other_bps


def cases(scenario: str, duration_s: float | None, data: Path) -> list[Case]:
    """All of them, in the order of the table."""
    quoting = [flag.name for flag in FLAGS if flag.name not in NOT_ABOUT_QUOTES]
    every = itertools.product(QUEUES, LATENCIES, [None, *quoting])
    return [Case(scenario, duration_s, queue, latency, off, data) for queue, latency, off in every]


def main(arguments: Sequence[str]) -> None:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--scenario", default="nexo-24h", help="of one symbol")
    parser.add_argument("--duration", default="all")
    parser.add_argument("--jobs", type=int, default=1, help="runs at one time")
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data")
    asked = parser.parse_args(arguments)
    duration_s = math.inf if asked.duration == "all" else parse_duration(asked.duration) / SECOND
    every = cases(asked.scenario, duration_s, asked.data)
    with ProcessPoolExecutor(asked.jobs) as pool:
        results = {}
        for case, result in zip(every, pool.map(played, every), strict=True):
            results[case.queue, case.latency, case.off] = result
            sys.stderr.write(f"{case.queue} {case.latency} {case.off}: net {_bps(result.net_bps)}\n")
    sys.stdout.write("\n".join([*table(results), ""]))


if __name__ == "__main__":
    main(sys.argv[1:])
