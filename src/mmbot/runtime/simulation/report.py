"""What a campaign came to, as people read it."""

from mmbot.runtime.simulation.campaign import WAYS_OF_COPING, Campaign
from mmbot.runtime.simulation.simulation import Result
from mmbot.sim.fault_plan import Fault
from mmbot.units import SECOND

_HOUR_NS = 3_600 * SECOND


def failure(result: Result, replay: str) -> str:
    """One line: what broke, when, and the command that plays it again."""
    return f"seed {result.seed} after {result.at_s:.3f} s: {result.broken}; replay: {replay}"


def verdict(campaign: Campaign) -> str:
    return "FAIL" if campaign.broken else "INCONCLUSIVE" if campaign.unproven else "PASS"


def report(campaign: Campaign, took_ns: int) -> str:
    """Markdown. `took_ns`: wall time."""
    lines = [
        "# Simulation of faults",
        "",
        f"{verdict(campaign)}: {summary(campaign)}.",
        speed(campaign, took_ns),
        "",
        *(f"- {line}" for line in findings(campaign)),
        "",
    ]
    for what, times, rows in tables(campaign):
        lines += [f"| {what} | {times} |", "|---|---:|", *(f"| {name} | {n} |" for name, n in rows), ""]
    return "\n".join(lines) + "\n"


def summary(campaign: Campaign) -> str:
    return f"{campaign.seeds} seeds, {len(campaign.broken)} broke a promise"


def speed(campaign: Campaign, took_ns: int) -> str:
    hours = campaign.simulated_ns / _HOUR_NS
    ratio = campaign.simulated_ns / max(took_ns, 1)
    return f"{hours:.2f} hours of market in {took_ns / SECOND:.0f} s: {ratio:.0f} times as fast as it."


def findings(campaign: Campaign) -> list[str]:
    """What was broken, and what was not proven."""
    return [
        *(f"seed {one.seed} after {one.at_s:.3f} s: {one.broken}" for one in campaign.broken),
        *(f"not proven: {what}" for what in campaign.unproven),
    ]


def tables(campaign: Campaign) -> list[tuple[str, str, list[tuple[str, int]]]]:
    """Two heads and their rows: what was reached, gone through, judged and done, how often."""
    shown = (
        ("fault", "seeds", campaign.seeds_reached, tuple(Fault)),
        ("way of coping", "times", campaign.branches, WAYS_OF_COPING),
        ("invariant", "judged", campaign.checks, sorted(campaign.checks)),
        ("what", "times", campaign.counts, sorted(campaign.counts)),
    )
    return [(what, times, [(name, found[name]) for name in names]) for what, times, found, names in shown]
