"""A day as gates see it: what the step `daily` is judged by, as others are by a run.

The ini `mmgates_daily = "package.module:callable"` names what puts it together. Built-in types only: one
mapping in (`date`, text such as 2026-01-31 or None = the last whole UTC day, and `out_dir`), the path of the
day's JSON out, named `DATE.json`; those of the days before lie beside it. `pytest_mmgates.daily.facts` says
what they hold.

Judged is the first group, the most believable one: money before simulated money. The others are told of.
"""

import datetime as dt
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from pytest_mmgates.daily.compare import HISTORY_DAYS, Compared, compared
from pytest_mmgates.daily.facts import Day, Group
from pytest_mmgates.errors import RunlogError
from pytest_mmgates.units import NS_PER_S
from pytest_mmgates.watch.record import WatchRecord


@dataclass(frozen=True)
class DailyLog:
    """A day that was put together, and those of the seven before it that were."""

    path: Path
    content: Day
    before: tuple[Day, ...]

    step = "daily"
    source = "daily"
    outages: tuple[()] = ()
    stalled: None = None
    watched: tuple[WatchRecord, ...] = ()

    @property
    def scenario(self) -> str:
        """The day: what it is called in tables and files."""
        return self.content.day

    @property
    def group(self) -> Group | None:
        """What is judged; None of a day that no run has rows of."""
        return next((group for group in self.content.groups if group.runs), None)

    @property
    def unfit(self) -> str | None:
        if self.group is not None:
            return None
        unreadable = len(self.content.unreadable)
        more = f"; {unreadable} cannot be read" if unreadable else ""
        return f"no run has rows of {self.content.day}{more}"

    @property
    def data_kind(self) -> str:
        return self.group.data_kind if self.group else "none"

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(one.symbol for one in self.group.coverage) if self.group else ()

    @property
    def duration_ns(self) -> int:
        """Time of the day that there are ticks of, of the symbol with the least."""
        coverage = self.group.coverage if self.group else []
        return round(min((one.covered_s for one in coverage), default=0.0) * NS_PER_S)

    @property
    def tick_count(self) -> int:
        return sum(one.ticks for one in self.group.coverage) if self.group else 0

    @property
    def identity(self) -> dict[str, Any]:
        """Which day it is, and what it was made from."""
        runs = self.group.runs if self.group else []
        return {
            "day": self.content.day,
            "mode": self.group.mode if self.group else None,
            "runs": [
                {"run_id": run.run_id, "run_digest": run.run_digest, "config_sha256": run.config_sha256}
                for run in runs
            ],
        }

    def compared(self, group: Group) -> tuple[Compared, ...]:
        """A group of the day beside the same group of the days before."""
        earlier = ((day.day, day.group(group.key)) for day in self.before)
        return compared(group, [(day, found) for day, found in earlier if found and found.runs])

    @cached_property
    def comparison(self) -> tuple[Compared, ...]:
        """Of the group that is judged."""
        return self.compared(self.group) if self.group else ()


def read_daily(path: Path) -> DailyLog:
    """Raises RunlogError for what is no facts of a day."""
    content = _read(path)
    try:
        day = dt.date.fromisoformat(content.day)
    except ValueError as error:
        raise RunlogError(f"{path}: day was {content.day!r}, expected one such as 2026-01-31") from error
    names = [day - dt.timedelta(days=number) for number in range(HISTORY_DAYS, 0, -1)]
    files = [path.with_name(f"{name.isoformat()}.json") for name in names]
    return DailyLog(path, content, tuple(_read(file) for file in files if file.is_file()))


def _read(path: Path) -> Day:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Day)
    except OSError as error:
        raise RunlogError(f"{path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise RunlogError(f"{path}: {error}") from error
