"""Open a cluster, or do without one."""

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from mmcluster.address import parse_address
from mmcluster.errors import ClusterError
from mmcluster.playing import Mismatch, packed, play, read
from mmcluster.tasks import Failed, Finished, Task


class Cluster(Protocol):
    """Plays tasks."""

    @property
    def dashboard(self) -> str | None:
        """Where to look at it, if anywhere."""

    def run(self, tasks: Iterable[Task]) -> Generator[Finished | Failed, None, None]:
        """Every task once, as they finish. They are taken from `tasks` as there is room, never all at once,
        and whoever closes it ends them. Raises ClusterError for a worker with other facts, and
        ClusterLostError.
        """


class Here:
    """One task after the other in this process, in their order."""

    dashboard = None

    def run(self, tasks: Iterable[Task]) -> Generator[Finished | Failed, None, None]:
        for task in tasks:
            end = read(task.name, play(task.call, packed(task), {}), "here")
            assert not isinstance(end, Mismatch)  # noqa: S101 - of no facts none differs
            yield end


@contextmanager
def open_cluster(address: str | None, facts: Mapping[str, str]) -> Iterator[Cluster]:
    """`address`: `local:N`, `tcp://HOST:PORT`, or None for this process. `facts` have to be true of every
    worker before it plays. Raises ClusterError.
    """
    if address is None:
        yield Here()
        return
    place = parse_address(address)
    try:
        from mmcluster.on_dask import opened  # noqa: PLC0415 (an extra, and a second of imports)
    except ModuleNotFoundError as error:
        raise ClusterError(f"cluster {address}: {error}: install mmbot[cluster]") from error
    with opened(place, dict(facts)) as cluster:
        yield cluster
