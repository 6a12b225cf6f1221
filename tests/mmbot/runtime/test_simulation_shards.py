"""Seeds played as tasks come to what they come to one by one; the tasks are played here."""

from pathlib import Path

import pytest
from tests.mmbot.builders import REPO

from mmbot.errors import ShardError
from mmbot.runtime.simulation.shards import play_on
from mmbot.runtime.simulation.simulation import Setup, simulate
from mmbot.sim.fault_plan import Fault
from mmbot.units import SECOND
from mmcluster import open_cluster

SETUP = Setup((REPO / "config.yaml",), "faults", REPO / "scenarios" / "sim", None, 115 * SECOND)


def test_a_seed_comes_to_the_same_whoever_plays_it() -> None:
    alone = simulate(SETUP, 3)
    with open_cluster(None, {}) as cluster:
        (played,) = play_on(cluster, SETUP, [3])

    assert alone.reached
    assert played == alone


def test_a_setup_that_cannot_be_played_is_told_with_its_seeds(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("spraed: {}\n")
    setup = Setup((config,), "faults", REPO / "scenarios" / "sim", frozenset([Fault.MARKET_GAP]))

    with (
        open_cluster(None, {}) as cluster,
        pytest.raises(ShardError, match=r"^seeds 5 to 8: .*config\.0\.yaml.*spraed"),
    ):
        list(play_on(cluster, setup, range(5, 11)))
