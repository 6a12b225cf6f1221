"""Tasks on `dask.distributed`. It schedules and replaces workers; what is decided here:

- Workers are processes of one thread: a run has its core to itself, and its times mean something.
- As many tasks are under way as there are workers. The driver holds no more than that, and a worker that dies
  takes one task with it: the scheduler counts a death against every task that it had given to the worker.
- A task whose worker died is played once more elsewhere (`allowed-failures` of the scheduler is 1), then it
  has failed. One that raised is never played again.
- A scheduler that cannot be reached is lost at once: it knows nothing of our tasks when it comes back.
"""

import logging
import queue
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from tempfile import TemporaryDirectory
from typing import Any

from distributed import Client, Future, KilledWorker, LocalCluster, get_worker
from distributed.client import FutureCancelledError

from mmcluster.address import Local, Remote
from mmcluster.errors import ClusterError, ClusterLostError
from mmcluster.facts import first_difference
from mmcluster.playing import Mismatch, packed, play, read
from mmcluster.tasks import Failed, Finished, Task

ALLOWED_FAILURES = 1
_PATIENCE_S = 30.0
"""For a scheduler to answer, and for a first worker to join."""
_LOOK_EVERY_S = 5.0
_LOOKS_WITHOUT_WORKER = 12


@contextmanager
def opened(place: Local | Remote, facts: Mapping[str, str]) -> Iterator["DaskCluster"]:
    """Connected, with at least one worker, all of them with these facts. Raises ClusterError."""
    if isinstance(place, Remote):
        with _apart(), _client(place.scheduler) as client:
            _check_failures(client, place.scheduler)
            yield _checked(client, place.scheduler, facts)
        return
    with (
        _apart(),
        TemporaryDirectory(prefix="mmcluster-") as scratch,
        LocalCluster(
            n_workers=place.workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,  # what goes wrong comes back as an error
            memory_limit=0,  # a market that is mapped from the disk counts as memory there
            local_directory=scratch,
            scheduler_kwargs={"allowed_failures": ALLOWED_FAILURES},
        ) as local,
        _client(local) as client,
    ):
        yield _checked(client, f"local:{place.workers}", facts)


@contextmanager
def _apart() -> Iterator[None]:
    """What Dask logs is its own: it is none of the log of who plays."""
    logger = logging.getLogger("distributed")
    before, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.propagate = before


@contextmanager
def _client(scheduler: Any) -> Iterator[Client]:
    try:
        client = Client(scheduler, set_as_default=False, timeout=_PATIENCE_S)
    except (OSError, TimeoutError) as error:
        raise ClusterError(f"cluster {scheduler}: no scheduler answered in {_PATIENCE_S:g} s") from error
    try:
        yield client
    finally:
        client.close(timeout=_LOOK_EVERY_S)


def _check_failures(client: Client, where: str) -> None:
    """How often the scheduler plays a task again is a setting of its own."""
    found = client.run_on_scheduler(_allowed_failures)
    if found != ALLOWED_FAILURES:
        raise ClusterError(
            f"cluster {where}: allowed-failures of its scheduler was {found}, expected {ALLOWED_FAILURES}:"
            f" start it with DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES={ALLOWED_FAILURES}"
        )


def _allowed_failures(dask_scheduler: Any) -> int:
    allowed: int = dask_scheduler.allowed_failures
    return allowed


def _checked(client: Client, where: str, facts: Mapping[str, str]) -> "DaskCluster":
    try:
        client.wait_for_workers(1, timeout=_PATIENCE_S)
    except TimeoutError as error:
        raise ClusterError(f"cluster {where}: no worker joined in {_PATIENCE_S:g} s") from error
    _check_threads(client.nthreads())
    for worker, different in client.run(first_difference, dict(facts), on_error="return").items():
        if isinstance(different, Exception):
            what = f"{type(different).__name__}: {different}"
            raise ClusterError(f"worker {worker}: {what}: expected the same mmbot as here")
        if different is not None:
            raise _other(worker, Mismatch(*different))
    return DaskCluster(client, where, facts)


def _check_threads(workers: Mapping[str, int]) -> None:
    for worker, threads in workers.items():
        if threads != 1:
            raise ClusterError(f"worker {worker}: has {threads} threads, expected --nthreads 1")


def _other(worker: str, different: Mismatch) -> ClusterError:
    return ClusterError(
        f"worker {worker}: {different.fact} was {different.found}, expected {different.expected}"
    )


class DaskCluster:
    """A cluster that is there."""

    def __init__(self, client: Client, where: str, facts: Mapping[str, str]) -> None:
        self._client = client
        self._where = where
        self._facts = dict(facts)
        self._submitted = 0
        self.dashboard: str | None = client.dashboard_link

    def run(self, tasks: Iterable[Task]) -> Generator[Finished | Failed, None, None]:
        """See `opening.Cluster`."""
        waiting = iter(tasks)
        done: queue.SimpleQueue[Future] = queue.SimpleQueue()
        under_way: dict[Future, str] = {}
        try:
            while True:
                self._fill(waiting, under_way, done)
                if not under_way:
                    return
                future = self._next(done)
                end = self._end(under_way.pop(future), future)
                future.release()  # or it would be played again when the worker that holds its result dies
                yield end
        finally:
            if under_way and self._client.status == "running":
                with suppress(OSError, TimeoutError):
                    self._client.cancel(list(under_way), force=True)

    def _fill(
        self, waiting: Iterator[Task], under_way: dict[Future, str], done: "queue.SimpleQueue[Future]"
    ) -> None:
        """As many under way as there are workers now."""
        room = max(1, len(self._workers())) - len(under_way)
        for task in islice(waiting, max(0, room)):
            self._submitted += 1
            future = self._client.submit(
                _play_on_worker,
                task.call,
                packed(task),
                self._facts,
                key=f"{task.name} {self._client.id} {self._submitted}",
                pure=False,
                retries=0,
            )
            under_way[future] = task.name
            future.add_done_callback(done.put)

    def _workers(self) -> Mapping[str, int]:
        """Threads by worker. Raises ClusterLostError."""
        if self._client.status != "running":
            raise self._lost("the scheduler is gone")
        try:
            workers: Mapping[str, int] = self._client.nthreads()
        except (OSError, TimeoutError) as error:
            raise self._lost("the scheduler is gone") from error
        _check_threads(workers)  # one may have joined
        return workers

    def _next(self, done: "queue.SimpleQueue[Future]") -> Future:
        """The next that has ended, with its result or without. Raises ClusterLostError."""
        without = 0
        while True:
            try:
                return done.get(timeout=_LOOK_EVERY_S)
            except queue.Empty:
                without = 0 if self._workers() else without + 1
                if without >= _LOOKS_WITHOUT_WORKER:
                    waited_s = without * _LOOK_EVERY_S
                    raise self._lost(f"no worker was left for {waited_s:g} s") from None

    def _end(self, name: str, future: Future) -> Finished | Failed:
        if future.status in ("cancelled", "lost"):
            raise self._lost("the scheduler is gone")
        try:
            worker, end = future.result()
        except KilledWorker:
            return Failed(name, "worker died twice")
        except (OSError, FutureCancelledError) as error:
            raise self._lost("the scheduler is gone") from error
        found = read(name, end, worker)
        if isinstance(found, Mismatch):
            raise _other(worker, found)
        return found

    def _lost(self, why: str) -> ClusterLostError:
        return ClusterLostError(f"cluster {self._where}: {why}")


def _play_on_worker(call: str, payload: bytes, facts: Mapping[str, str]) -> tuple[str, bytes]:
    return get_worker().address, play(call, payload, facts)
