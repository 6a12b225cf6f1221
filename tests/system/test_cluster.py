"""The bot, its gates and a cluster of processes: whoever dies, the verdict is that of one process."""

from pathlib import Path

import pytest
from tests.bench.cluster import make_project, play, play_killed

pytestmark = pytest.mark.slow
SYMBOLS, KILLS = 4, 10


def test_ten_runs_with_a_worker_killed_in_the_middle_come_to_the_same(tmp_path: Path) -> None:
    make_project(tmp_path, SYMBOLS)
    expected = play(tmp_path, "one process")

    for number in range(KILLS):
        killed = play_killed(tmp_path, number, after=number % (2 * SYMBOLS - 2))
        assert (killed.verdict, killed.digest) == (expected.verdict, expected.digest)


def test_two_workers_of_this_machine_come_to_the_same(tmp_path: Path) -> None:
    make_project(tmp_path, SYMBOLS)
    expected = play(tmp_path, "one process")

    played = play(tmp_path, "local", "--mmgates-cluster=local:2")

    assert (played.verdict, played.digest) == (expected.verdict, expected.digest)
