"""The driver's side: shards are handed out, summaries come back as they finish."""

from collections.abc import Generator, Iterable, Mapping
from contextlib import closing

import msgspec

from mmcluster import ClusterLostError, Failed, Task, open_cluster
from pytest_mmgates.cluster.shard import CALL, Shard, Summary
from pytest_mmgates.errors import SutError
from pytest_mmgates.progress import Progress


def play_shards(
    address: str, shards: Iterable[Shard], total: int, facts: Mapping[str, str], progress: Progress
) -> Generator[tuple[str, Summary | Failed], None, None]:
    """Every part with what it came to, as they finish; who stops iterating ends the others. Raises
    ClusterError, and SutError once the cluster is lost.
    """
    tasks = (Task(shard.part, CALL, msgspec.to_builtins(shard)) for shard in shards)
    finished = 0
    with open_cluster(address, facts) as cluster:
        progress.line(f"cluster {address}: dashboard {cluster.dashboard}")
        try:
            with progress.bar("shards", total) as advance, closing(cluster.run(tasks)) as ends:
                for end in ends:
                    summary = end if isinstance(end, Failed) else msgspec.convert(end.value, Summary)
                    yield end.name, summary
                    finished += 1
                    advance()
        except ClusterLostError as error:
            kept = f"{finished} of {total} shards are finished, --mmgates-resume goes on with the others"
            raise SutError(f"{error}; {kept}") from error
