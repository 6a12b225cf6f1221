"""Runs that can be gone on with when their process has died: what replays and live runs do alike about it.

Checkpoints are written at the first tick, at whole intervals of the run's time, at midnight, and when the run
is asked to be suspended; the last one goes when the run has ended. What is in one, and what a run makes of
it, is each kind's own (`runtime.run`, `runtime.live_run`).
"""

import contextlib
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmbot.runtime import checkpoint
from mmbot.runtime.arming import Armed
from mmbot.runtime.kept_run import KeptRun
from mmbot.runtime.reload import Reloader
from mmbot.telemetry.feeds import Batch, FeedWriter
from mmbot.units import DAY, SECOND


class CheckpointedRun(KeptRun):
    """Its directory is claimed while it is iterated, and from the opening on where it goes on."""

    def __init__(
        self,
        run_id: str,
        directory: Path,
        arm: str,
        reloader: Reloader,
        *,
        resume: bool,
        checkpoint_interval_s: float,
        armed: Armed | None = None,
    ) -> None:
        """`resume`: the directory holds what an interrupted run left. Interval 0: no checkpoints."""
        super().__init__(run_id, directory, arm, reloader, armed)
        self._resume = resume
        self._checkpoint_ns = round(checkpoint_interval_s * SECOND)
        self._next_checkpoint_ns = 0
        self._written: dict[str, int] = {}
        """Bytes by file that stood there when the run went on."""
        self._owned: dict[str, object] = {}
        """What a checkpoint leaves out, by name."""
        self._lock = contextlib.ExitStack()

    @abstractmethod
    def _asked(self) -> dict[str, Any]:
        """How to open this run again, as JSON that can be read from any working directory."""

    @abstractmethod
    def _identity(self) -> dict[str, str]:
        """What must be the same for a checkpoint of this run to mean anything."""

    @abstractmethod
    def _state(self) -> dict[str, Any]:
        """What a checkpoint holds."""

    def __iter__(self) -> Iterator[Batch]:
        with self._lock:
            yield from super().__iter__()
            if self._player.suspend_asked is None or self._player.halt_reason is None:
                checkpoint.forget(self.directory)

    def _make_directory(self) -> None:
        if not self._resume:
            super()._make_directory()
            self._lock.enter_context(checkpoint.claimed(self.directory))

    def _feed_writer(self) -> FeedWriter:
        return FeedWriter(
            self.directory,
            run_id=self.run_id,
            arm=self._arm,
            data_kind=self.data_kind,
            written=self._written,
            at_once=self.writes_at_once,
        )

    def _claimed(self) -> tuple[checkpoint.Header, bytes]:
        """The checkpoint to go on from; nobody else can from here on. Raises ConfigError."""
        with contextlib.ExitStack() as lock:
            lock.enter_context(checkpoint.claimed(self.directory))
            header, packed = checkpoint.read(self.directory)
            checkpoint.check_same(self.directory, header, self._identity())
            self._lock = lock.pop_all()
        return header, packed

    def _save(self, writer: FeedWriter, now_ns: int) -> None:
        """Write a checkpoint: rows first."""
        header = checkpoint.Header(
            run_id=self.run_id,
            ts_ns=now_ns,
            facts=self._identity(),
            request=self._asked(),
            feeds=writer.sync(),
        )
        checkpoint.save(self.directory, header, self._state(), self._owned)
        self._next_checkpoint_ns = self._after(now_ns)

    def _after(self, now_ns: int) -> int:
        """When the next checkpoint is due: at a whole interval, or at midnight."""
        return min((now_ns // length_ns + 1) * length_ns for length_ns in (self._checkpoint_ns, DAY))
