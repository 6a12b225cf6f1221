"""What a campaign came to, as people read it."""

from mmbot.runtime.simulation.campaign import WAYS_OF_COPING, Campaign
from mmbot.runtime.simulation.simulation import Result
from mmbot.sim.fault_plan import Fault
from mmbot.units import SECOND

_HOUR_NS = 3_600 * SECOND


def failure(result: Result, replay: str) -> str:
    """One line: what broke, when, and the command that plays it again."""
    return f"seed {result.seed} after {result.at_s:.3f} s: {result.broken}; replay: {replay}"


def report(campaign: Campaign, took_ns: int) -> str:
    """Markdown. `took_ns`: wall time."""
    hours = campaign.simulated_ns / _HOUR_NS
    verdict = "FAIL" if campaign.broken else "INCONCLUSIVE" if campaign.unproven else "PASS"
    speed = campaign.simulated_ns / max(took_ns, 1)
    lines = [
        "# Simulation of faults",
        "",
        f"{verdict}: {campaign.seeds} seeds, {len(campaign.broken)} broke a promise.",
        f"{hours:.2f} hours of market in {took_ns / SECOND:.0f} s: {speed:.0f} times as fast as it.",
        "",
        *(f"- seed {one.seed} after {one.at_s:.3f} s: {one.broken}" for one in campaign.broken),
        *(f"- not proven: {what}" for what in campaign.unproven),
        "",
        *_table("fault", "seeds", campaign.seeds_reached, tuple(Fault)),
        *_table("way of coping", "times", campaign.branches, WAYS_OF_COPING),
        *_table("invariant", "judged", campaign.checks, tuple(sorted(campaign.checks))),
        *_table("what", "times", campaign.counts, tuple(sorted(campaign.counts))),
    ]
    return "\n".join(lines) + "\n"


def _table(what: str, times: str, found: dict[str, int], names: tuple[str, ...]) -> list[str]:
    rows = [f"| {name} | {found.get(name, 0)} |" for name in names]
    return [f"| {what} | {times} |", "|---|---:|", *rows, ""]
