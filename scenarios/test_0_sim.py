"""Step 0 of the release workflow: the live order path on a venue where everything goes wrong.

    pytest -m sim                              40 seeds of five minutes each
    pytest -m sim --mmgates-seeds 2000         as many as before a release
    pytest -m sim --mmgates-seed 1234          this one again, as a failure prints it

Every seed plays the bot of `config.yaml` (`--mmgates-config` names another) and judges twelve invariants
after every event (`docs/simulation.md`). `artifacts/reports/SIM_REPORT.md` says what was reached, and with
`--mmgates-report html` a page.
"""

import os
from functools import partial

import pytest

from mmbot.clock import stopwatch
from mmbot.errors import MmbotError
from mmbot.runtime.simulation.campaign import Campaign, play
from mmbot.runtime.simulation.report import failure, findings, report, speed, summary, tables, verdict
from mmbot.runtime.simulation.simulation import Setup
from pytest_mmgates.options import Options, read_options
from pytest_mmgates.report.files import pages, write_atomically
from pytest_mmgates.report.page import Banner, Table, facts_page

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
    took_ns = stopwatch() - began_ns
    path, page = options.out_dir / "reports" / "SIM_REPORT.md", partial(_page, campaign, took_ns, options)
    write_atomically({path: report(campaign, took_ns), **pages(path, options.formats("sim"), html=page)})
    if campaign.broken:
        replays = [failure(result, options.replay("sim", result.seed)) for result in campaign.broken]
        pytest.fail("\n".join(replays), pytrace=False)
    if campaign.unproven and not one:
        pytest.fail("INCONCLUSIVE: " + "; ".join(campaign.unproven), pytrace=False)


def _setup(options: Options) -> Setup:
    config = options.config_of("sim") or (options.root / "config.yaml",)
    return Setup(tuple(config), "faults", options.scenarios_dir / "sim")


def _page(campaign: Campaign, took_ns: int, options: Options) -> str:
    """What `SIM_REPORT.md` says, as the page that the other steps have."""
    banner = Banner(
        title="sim",
        verdict=verdict(campaign),
        label=f"{verdict(campaign)} (SYNTHETIC)",
        reason=summary(campaign),
        next="play a broken seed again: `pytest -m sim --mmgates-seed SEED`" if campaign.broken else "",
        rerun=f"pytest -m sim --mmgates-seeds {campaign.seeds}"
        if options.seed is None
        else options.replay("sim", options.seed),
        data_kind="synthetic",
    )
    found = Table("Findings", ("what",), [(line,) for line in findings(campaign)], speed(campaign, took_ns))
    return facts_page(
        banner, [found, *(Table(what, (what, times), rows) for what, times, rows in tables(campaign))]
    )
