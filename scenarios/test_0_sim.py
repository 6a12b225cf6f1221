"""Step 0 of the release workflow: the live order path on a venue where everything goes wrong.

    pytest -m sim                              40 seeds of five minutes each
    pytest -m sim --mmgates-seeds 2000         as many as before a release
    pytest -m sim --mmgates-seed 1234          this one again, as a failure prints it

Every seed plays the bot of `config.yaml` (`--mmgates-config` names another) and judges twelve invariants
after every event (`docs/simulation.md`). `artifacts/reports/SIM_REPORT.md` says what was reached.
"""

import os

import pytest

from mmbot.clock import stopwatch
from mmbot.errors import MmbotError
from mmbot.runtime.simulation.campaign import Campaign, play
from mmbot.runtime.simulation.report import failure, report
from mmbot.runtime.simulation.simulation import Setup
from pytest_mmgates.options import Options, read_options
from pytest_mmgates.report.files import write_atomically

_SEEDS = 40


@pytest.mark.sim
def test_sim(pytestconfig: pytest.Config) -> None:
    """No seed breaks a promise, and together they reach every class of faults."""
    options = read_options(pytestconfig)
    one = options.seed is not None
    seeds = [options.seed] if options.seed is not None else range(options.seeds or _SEEDS)
    campaign, began_ns = Campaign(), stopwatch()
    try:
        for result in play(_setup(options), seeds, os.cpu_count() or 1):
            campaign.add(result)
    except MmbotError as error:
        pytest.fail(str(error), pytrace=False)
    text = report(campaign, stopwatch() - began_ns)
    write_atomically({options.out_dir / "reports" / "SIM_REPORT.md": text})
    if campaign.broken:
        replays = [failure(result, options.replay("sim", result.seed)) for result in campaign.broken]
        pytest.fail("\n".join(replays), pytrace=False)
    if campaign.unproven and not one:
        pytest.fail("INCONCLUSIVE: " + "; ".join(campaign.unproven), pytrace=False)


def _setup(options: Options) -> Setup:
    config = options.config_of("sim") or (options.root / "config.yaml",)
    return Setup(tuple(config), "faults", options.scenarios_dir / "sim")
