"""A run as gates see it: where it came from, and the tally of what it wrote down.

`pytest_mmgates.loader` makes one from a run directory. Rows themselves, as columns, are read only when a test
asks for them.
"""

from dataclasses import dataclass
from functools import cached_property, reduce
from pathlib import Path
from typing import Any

from pytest_mmgates.baseline.record import ComparisonRecord
from pytest_mmgates.errors import RunlogError
from pytest_mmgates.feeds import Feeds
from pytest_mmgates.outages import Outage
from pytest_mmgates.rows import Manifest, rows_elsewhere
from pytest_mmgates.tables import Fills, Samples, Ticks
from pytest_mmgates.tally import SymbolTally, Tally, merged
from pytest_mmgates.watch.record import WatchRecord

_LEAST_COVERED = 0.9


@dataclass(frozen=True)
class RunLog:
    """A run that ended. `parts` are the runs that it was played in, in their order; none where it was played
    whole. `watched` is what stop rules and warnings came to while it was played; `comparison` is what it came
    to beside the locked baseline, where it was compared.
    """

    directory: Path
    manifest: Manifest
    tally: Tally
    parts: tuple["RunLog", ...] = ()
    watched: tuple[WatchRecord, ...] = ()
    comparison: ComparisonRecord | None = None

    source = "run"

    @property
    def step(self) -> str:
        return self.manifest.step

    @property
    def scenario(self) -> str:
        return self.manifest.scenario

    @property
    def data_kind(self) -> str:
        return self.manifest.data.kind

    @property
    def outages(self) -> tuple[Outage, ...]:
        return self.manifest.outages

    @property
    def tick_count(self) -> int:
        """Of all symbols."""
        return self.of(None).ticks

    @property
    def stalled(self) -> tuple[int, int] | None:
        """Duration, and the part of it that ticks span, of the symbol where that is the least and too
        little.
        """
        short = [
            (tally.duration_ns, tally.covered_ns)
            for tally in self.tally.symbols.values()
            if tally.covered_ns < _LEAST_COVERED * tally.duration_ns
        ]
        return min(short, key=lambda spans: spans[1] / spans[0], default=None)

    @property
    def unfit(self) -> str | None:
        """Why no gate judges this run, however long it was."""
        manifest = self.manifest
        if manifest.status != "complete":
            because = f": {manifest.reason}" if manifest.reason else ""
            return f"the run is {manifest.status}{because}"
        skipped = manifest.counts.get("skipped_ticks", 0)
        if skipped:
            return f"{skipped} ticks were left out of the run by a wake filter"
        if manifest.data.injected:
            return f"faults were put into the data: {', '.join(manifest.data.injected)}"
        changes = len(manifest.configs) - 1
        return f"the configuration was changed during the run, times: {changes}" if changes > 0 else None

    @property
    def identity(self) -> dict[str, Any]:
        """Which run made these numbers. `parts` is empty for a run that was played whole."""
        manifest = self.manifest
        return {
            "run_id": manifest.run_id,
            "run_digest": manifest.run_digest,
            "config_sha256": manifest.config_sha256,
            "data_sha256": manifest.data.sha256,
            "parts": [{"name": part.name, "run_digest": part.run_digest} for part in manifest.parts],
        }

    @property
    def symbols(self) -> tuple[str, ...]:
        """`symbols[i]` names the code i of the columns of a run that was played whole."""
        return tuple(self.tally.symbols)

    @property
    def duration_ns(self) -> int:
        """Market time of the symbol that was played the shortest, over all its parts."""
        return min((tally.duration_ns for tally in self.tally.symbols.values()), default=0)

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """Places of the rows that are not in its directory."""
        places = (rows_elsewhere(run.directory) for run in self.parts or (self,))
        return tuple(place for place in places if place is not None)

    def of(self, symbol: str | None) -> SymbolTally:
        """The tally of one symbol by its full name, or of all of them."""
        return self._all if symbol is None else self.tally.symbols[symbol]

    @cached_property
    def _all(self) -> SymbolTally:
        return reduce(merged, self.tally.symbols.values(), SymbolTally())

    def code(self, symbol: str) -> int | None:
        return self.symbols.index(symbol) if symbol in self.symbols else None

    @cached_property
    def ticks(self) -> Ticks:
        return self._feeds.all_ticks()

    @cached_property
    def fills(self) -> Fills:
        return self._feeds.all_fills()

    @cached_property
    def samples(self) -> Samples:
        return self._feeds.all_samples()

    @property
    def _feeds(self) -> Feeds:
        if self.parts:
            raise RunlogError(
                f"{self.directory}: a run in {len(self.parts)} parts has no columns of its own: "
                "take those of each run in its `parts`"
            )
        return Feeds(self.directory, self.manifest)
