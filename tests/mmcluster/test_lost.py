"""A cluster of processes that somebody else started, and what becomes of it."""

from pathlib import Path

import pytest
from tests.mmcluster.own_cluster import OwnCluster, own_cluster

from mmcluster import Cluster, ClusterError, ClusterLostError, Failed, Finished, Task, open_cluster

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent


def _double(number: int) -> Task:
    return Task(f"t{number}", "cluster_tasks:double", {"number": number})


def test_a_scheduler_that_dies_ends_the_run_after_what_had_finished(tmp_path: Path) -> None:
    ends: list[Finished | Failed] = []

    def kill_after_five(cluster: Cluster, own: OwnCluster) -> None:
        for end in cluster.run(map(_double, range(1000))):
            ends.append(end)
            if len(ends) == 5:
                own.scheduler.kill()

    with (
        own_cluster(1, tmp_path, path=HERE) as own,
        open_cluster(own.address, {}) as cluster,
        pytest.raises(ClusterLostError, match=f"^cluster {own.address}: the scheduler is gone$"),
    ):
        kill_after_five(cluster, own)

    assert len(ends) >= 5
    assert all(isinstance(end, Finished) for end in ends)


def test_a_scheduler_that_plays_tasks_again_more_often_is_refused(tmp_path: Path) -> None:
    with (
        own_cluster(0, tmp_path, allowed_failures=3) as own,
        pytest.raises(
            ClusterError, match="allowed-failures of its scheduler was 3, expected 1: start it with"
        ),
        open_cluster(own.address, {}),
    ):
        pass


def test_a_worker_of_two_threads_is_refused(tmp_path: Path) -> None:
    with (
        own_cluster(1, tmp_path, nthreads=2) as own,
        pytest.raises(ClusterError, match=r"^worker tcp://\S+: has 2 threads, expected --nthreads 1$"),
        open_cluster(own.address, {}),
    ):
        pass
