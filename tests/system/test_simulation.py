"""The simulation of faults: seeds hold, it is deterministic, and it finds what is broken on purpose."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.mmbot.builders import REPO
from tests.system.mutants import MUTANTS, Mutant, without_own_watch

from mmbot.runtime.player import HALT_GRACE_NS
from mmbot.runtime.simulation.campaign import THOROUGH, WAYS_OF_COPING, Campaign, play
from mmbot.runtime.simulation.report import failure, report
from mmbot.runtime.simulation.simulation import Result, Setup, Simulation, simulate
from mmbot.sim.fault_plan import Fault
from mmbot.units import SECOND

SETUP = Setup((REPO / "config.yaml",), "faults", REPO / "scenarios" / "sim")
SHORT = replace(SETUP, simulated_ns=130 * SECOND)
QUICK = {
    "allows_twice_the_position",
    "sends_a_create_before_it_is_on_the_disk",
    "writes_prices_beside_the_grid",
}
"""Found within seconds of simulated time."""
SEEDS = 80
"""Within which every mutant is found."""


def digests(seeds: Sequence[int], setup: Setup = SETUP) -> list[str]:
    return [simulate(setup, seed).digest for seed in seeds]


def hunted(mutant: Mutant, seeds: Sequence[int]) -> Result | None:
    """The first seed that finds it."""
    with pytest.MonkeyPatch.context() as patch:
        without_own_watch(patch)
        mutant.apply(patch)
        return next((result for result in play(SETUP, seeds, 1) if result.broken), None)


def test_a_seed_holds_and_says_what_it_reached():
    result = simulate(SETUP, 1)
    assert result.broken is None
    assert result.at_s == SETUP.simulated_ns / SECOND
    assert result.reached["crash_in_write"] > 0
    assert result.counts["executions"] > 20
    assert {f"I{number}" for number in range(1, 13) if number != 8} <= set(result.checks)


class _Finished(Simulation):
    """It is told that it has all that it is for, where others see the red button pressed."""

    def _press(self, _reason: str) -> None:
        assert self._process is not None
        assert self._truth.own_orders()
        self._process.trading.finish("decided")
        self.asked_ns = self.heap.now_ns

    def _run(self, until_ns: int) -> None:
        super()._run(until_ns)
        if until_ns == self._end_ns:
            self.trading = self._process.trading
            self.left = list(self._truth.own_orders())


def test_a_run_that_is_finished_leaves_no_order_and_was_not_halted(tmp_path: Path):
    """As at the end of its time: cancels, proof of each, then the end."""
    played = _Finished(SHORT, 2, tmp_path)
    result = played.play()
    assert result.broken is None, result.broken
    trading = played.trading
    assert (trading.halt_reason, trading.finish_reason, played.left) == (None, "decided", [])
    assert 0 < trading.end_ns - played.asked_ns < HALT_GRACE_NS
    assert "halt: decided" in result.branches


def test_what_was_asked_before_a_ban_was_heard_of_is_no_offence():
    """Here a second request is on its way when the venue's 403 to the first one is."""
    result = simulate(SETUP, 1356)
    assert result.reached["banned"] > 0
    assert result.broken is None


@pytest.mark.parametrize("mutant", [one for one in MUTANTS if one.name in QUICK], ids=lambda one: one.name)
def test_a_fault_of_ours_is_found(mutant: Mutant):
    found = hunted(mutant, range(2))
    assert found is not None
    assert found.broken is not None
    assert found.broken.partition(":")[0] in mutant.promises


@pytest.mark.slow
@pytest.mark.parametrize(
    "mutant", [one for one in MUTANTS if one.name not in QUICK], ids=lambda one: one.name
)
def test_every_fault_of_ours_is_found(mutant: Mutant):
    found = hunted(mutant, range(SEEDS))
    assert found is not None
    assert found.broken is not None
    assert found.broken.partition(":")[0] in mutant.promises


def in_another_process(seeds: Sequence[int], hash_seed: int, setup: str = "SETUP") -> str:
    code = f"from tests.system.test_simulation import *; print(*digests({list(seeds)}, {setup}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        cwd=REPO,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_seed_is_the_same_in_another_process():
    """Whatever the order of its sets."""
    assert in_another_process([3], 1, "SHORT") == " ".join(digests([3], SHORT))


@pytest.mark.slow
def test_twenty_seeds_twice():
    first, again = digests(range(20)), digests(range(20))
    assert first == again
    assert len(set(first)) == 20
    assert in_another_process(range(20), 1) == in_another_process(range(20), 2) == " ".join(first)


def test_a_failure_is_one_line_that_plays_it_again():
    result = Result(7, broken="I2: 3 lots by 1 fills, executions say 0 by 0", at_s=12.5)
    line = failure(result, "pytest -m sim --mmgates-seed 7")
    assert line == (
        "seed 7 after 12.500 s: I2: 3 lots by 1 fills, executions say 0 by 0; "
        "replay: pytest -m sim --mmgates-seed 7"
    )


def campaign_of(seeds: int, without: str | None = None) -> Campaign:
    campaign = Campaign()
    for seed in range(seeds):
        result = Result(seed, simulated_ns=SETUP.simulated_ns)
        result.reached.update({fault.value: 1 for fault in Fault if fault.value != without})
        result.branches.update({way: 1 for way in WAYS_OF_COPING if way != without})
        campaign.add(result)
    return campaign


def test_a_class_that_was_never_reached_leaves_it_open():
    assert campaign_of(3).unproven == []
    found = campaign_of(3, without="ack_lost")
    assert found.unproven == ["ack_lost: reached in 0 seeds of 3, expected 1"]
    assert report(found, SECOND).splitlines()[2] == "INCONCLUSIVE: 3 seeds, 0 broke a promise."


def test_a_thorough_campaign_asks_for_more():
    campaign = campaign_of(THOROUGH)
    assert campaign.unproven == []
    campaign.seeds_reached["banned"], campaign.branches["late_fill"] = 4, 9
    assert campaign.unproven == [
        "banned: reached in 4 seeds of 500, expected 5",
        "late_fill: 9 times, expected 10",
    ]


@pytest.mark.slow
def test_processes_give_the_results_of_one():
    seeds = range(9)
    alone = [result.digest for result in play(SHORT, seeds, 1)]
    assert [result.digest for result in play(SHORT, seeds, 2)] == alone


@pytest.mark.slow
def test_the_step_fails_with_a_line_that_plays_the_seed_again(tmp_path: Path):
    broken = "from mmbot.runtime import order_log_file\norder_log_file.must_sync = lambda _: False\n"
    (tmp_path / "broken_bot.py").write_text(broken)

    def run(*asked: str) -> str:
        done = subprocess.run(
            [sys.executable, *("-m", "pytest", "scenarios/test_0_sim.py", "-p", "broken_bot"), *asked],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
            cwd=REPO,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        return done.stdout

    line = "seed 1 after 0.200 s: I9: create of mmA-SYNTHUSDT-1 is not on the disk; replay: "
    out = f"--mmgates-out={tmp_path / 'artifacts'}"
    assert line + "pytest -m sim --mmgates-seed 1\n" in run("-m", "sim", "--mmgates-seeds", "2", out)
    assert line in run("-m", "sim", "--mmgates-seed", "1", out)
