"""`ALERT_RULES.md`: every alert for whoever it wakes up, from the same alerts as the rules of Prometheus."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_mmgates.alerting.alerts import Alert
from pytest_mmgates.alerting.prometheus import DOWN, rule

NAME = "ALERT_RULES.md"


def alert_rules(alerts: Mapping[str, Sequence[Alert]], header: str) -> str:
    """The page. `alerts`: by gate."""
    return "\n".join(_lines(alerts, header)) + "\n"


def _lines(alerts: Mapping[str, Sequence[Alert]], header: str) -> Iterator[str]:
    yield "# Alert rules"
    yield ""
    yield f"{header} Prometheus has the same rules, as `alerts.yml`."
    for gate, of_gate in alerts.items():
        yield from _section(f"Gate {gate}", [rule(alert) for alert in of_gate])
    yield from _section("Targets", [DOWN])


def _section(title: str, rules: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""
    yield "| alert | severity | threshold | hold | runbook |"
    yield "|---|---|---|---|---|"
    for one in rules:
        told = one["annotations"]
        hold = one.get("for", "at once")
        yield (
            f"| `{one['alert']}` | {one['labels']['severity']} | {told['summary']} | {hold} |"
            f" {told['runbook']} |"
        )
    for one in rules:
        yield ""
        yield f"### {one['alert']}"
        yield ""
        yield "```promql"
        yield one["expr"]
        yield "```"
