"""What a gate judges: a run, a dataset, or the facts of a day. Metrics know which of them they are of."""

from collections.abc import Sequence
from typing import Any, Protocol

from pytest_mmgates.outages import Outage
from pytest_mmgates.watch.record import WatchRecord


class Subject(Protocol):
    """`RunLog`, `DatasetLog`, `DailyLog` and `ExperimentLog`."""

    @property
    def source(self) -> str:
        """`run`, `dataset`, `daily` or `experiment`."""

    @property
    def step(self) -> str: ...
    @property
    def scenario(self) -> str: ...
    @property
    def data_kind(self) -> str: ...
    @property
    def symbols(self) -> tuple[str, ...]: ...
    @property
    def duration_ns(self) -> int: ...
    @property
    def tick_count(self) -> int: ...
    @property
    def stalled(self) -> tuple[int, int] | None:
        """Duration, and the part of it that ticks span, where that is too little."""

    @property
    def unfit(self) -> str | None:
        """Why no gate judges it, or None."""

    @property
    def outages(self) -> Sequence[Outage]:
        """Times that nobody played; no part of its duration."""

    @property
    def watched(self) -> Sequence[WatchRecord]: ...
    @property
    def identity(self) -> dict[str, Any]: ...
