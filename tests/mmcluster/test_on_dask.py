"""One cluster of two workers for all that can be asked of it: to start one takes two seconds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mmcluster import Cluster, ClusterError, Failed, Finished, Task, common_facts, open_cluster

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        with open_cluster("local:2", common_facts(["mmbot", "mmcluster"], ["numpy"])) as opened:
            yield opened


def _doubles(count: int, taken: list[int]) -> Iterator[Task]:
    for number in range(count):
        taken.append(number)
        yield Task(f"t{number}", "cluster_tasks:double", {"number": number})


def test_every_task_is_played_once_and_they_are_taken_as_there_is_room(cluster: Cluster) -> None:
    taken: list[int] = []
    ends, ahead = [], []
    for end in cluster.run(_doubles(30, taken)):
        ends.append(end)
        ahead.append(len(taken) - len(ends))

    assert cluster.dashboard is not None
    assert max(ahead) <= 2
    finished = {end.name: end for end in ends if isinstance(end, Finished)}
    assert {name: end.value["doubled"] for name, end in finished.items()} == {
        f"t{number}": 2 * number for number in range(30)
    }
    assert len({end.value["pid"] for end in finished.values()}) == 2
    assert len({end.worker for end in finished.values()}) == 2


def test_who_stops_asking_ends_the_rest(cluster: Cluster) -> None:
    taken: list[int] = []
    ends = cluster.run(_doubles(1000, taken))
    next(ends)
    ends.close()  # type: ignore[attr-defined] # a generator

    assert len(taken) <= 3


def test_a_dead_workers_task_is_played_once_more_and_one_that_raised_is_not(
    cluster: Cluster, tmp_path: Path
) -> None:
    marks = {name: tmp_path / name for name in ("once", "always", "raises")}
    tasks = [
        Task("once", "cluster_tasks:die", {"mark": str(marks["once"]), "deaths": 1}),
        Task("raises", "cluster_tasks:refuse", {"mark": str(marks["raises"])}),
        Task("fine", "cluster_tasks:double", {"number": 4}),
        Task("always", "cluster_tasks:die", {"mark": str(marks["always"]), "deaths": 9}),
    ]

    ends = {end.name: end for one in tasks for end in cluster.run([one])}

    assert isinstance(ends["once"], Finished)
    assert ends["once"].value == "alive"
    assert ends["raises"] == Failed("raises", "spread was -1, expected at least 0")
    assert isinstance(ends["fine"], Finished)
    assert ends["always"] == Failed("always", "worker died twice")
    plays = {name: len(path.read_text().splitlines()) for name, path in marks.items()}
    assert plays == {"once": 2, "always": 2, "raises": 1}


def test_a_worker_with_other_code_plays_nothing() -> None:
    facts = {**common_facts(["mmcluster"], []), "source mmbot": "of another commit"}

    with (
        pytest.raises(
            ClusterError,
            match=r"^worker tcp://\S+: source mmbot was [0-9a-f]{64}, expected of another commit$",
        ),
        open_cluster("local:1", facts),
    ):
        pass
