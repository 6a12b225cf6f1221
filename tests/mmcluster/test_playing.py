"""The tests of what a task comes to need no cluster: they play it here."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmcluster import ClusterError, Failed, Finished, Task, open_cluster
from mmcluster.playing import Mismatch, packed, play, read

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _tasks_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(HERE)


def test_without_a_cluster_tasks_are_played_here_in_their_order() -> None:
    taken: list[int] = []

    def tasks() -> Iterator[Task]:
        for number in range(3):
            taken.append(number)
            yield Task(f"t{number}", "cluster_tasks:double", {"number": number})

    with open_cluster(None, {}) as cluster:
        ends = cluster.run(tasks())
        first = next(ends)
        assert taken == [0]
        rest = list(ends)

    assert cluster.dashboard is None
    assert isinstance(first, Finished)
    assert first.worker == "here"
    assert first.seconds > 0
    assert [end.value["doubled"] for end in [first, *rest] if isinstance(end, Finished)] == [0, 2, 4]


def test_what_a_user_put_wrong_is_one_line(tmp_path: Path) -> None:
    with open_cluster(None, {}) as cluster:
        ends = list(cluster.run([Task("bad", "cluster_tasks:refuse", {"mark": str(tmp_path / "mark")})]))

    assert ends == [Failed("bad", "spread was -1, expected at least 0", None)]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("cluster_tasks:double", "KeyError: 'number'"),
        ("cluster_tasks:absent", "AttributeError: module 'cluster_tasks' has no attribute 'absent'"),
        ("no_such_module:f", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("itertools:chain", "TypeError: Encoding objects of type itertools.chain is unsupported"),
    ],
)
def test_a_bug_is_one_line_and_keeps_its_traceback(call: str, error: str) -> None:
    with open_cluster(None, {}) as cluster:
        (failed,) = cluster.run([Task("bug", call, {})])

    assert isinstance(failed, Failed)
    assert failed.error == error
    assert failed.detail is not None
    assert "Traceback" in failed.detail


def test_what_is_no_built_in_type_does_not_travel() -> None:
    with pytest.raises(TypeError):
        packed(Task("t", "builtins:dict", {"place": object()}))


def test_nothing_is_played_where_a_fact_differs(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    task = Task("t", "cluster_tasks:refuse", {"mark": str(mark)})

    end = read("t", play(task.call, packed(task), {"python": "2.7"}), "tcp://w")

    assert isinstance(end, Mismatch)
    assert (end.fact, end.expected) == ("python", "2.7")
    assert not mark.exists()


def test_a_cluster_without_its_libraries_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "mmcluster.on_dask", raising=False)
    with (
        pytest.raises(ClusterError, match=r"^cluster local:2: .*distributed.*: install mmbot\[cluster\]$"),
        open_cluster("local:2", {}),
    ):
        pass
