"""Runbooks are read at night: every metric, threshold, command, setting and alert in them is there."""

import re
from pathlib import Path

import msgspec
import pytest
import yaml
from tests.docs.commands import commands_in, wrong_with
from tests.mmbot.builders import shipped_settings

from mmbot.config.settings import leaves
from mmbot.ops.gradual import GRADUAL
from mmbot.telemetry.metrics import METRICS
from pytest_mmgates.gatefile import read_gate
from pytest_mmgates.metrics import METRICS as GATE_METRICS
from pytest_mmgates.steps import STEPS
from pytest_mmgates.watchrules import parse_watch_rule

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs/runbooks").glob("*.md")), ROOT / "docs/daily.md"]
NEEDED = {"latency", "md_cache", "taker_cap", "memory", "breaker", "rollback"}
GATES = [read_gate(path) for path in sorted((ROOT / "gates").glob("*.yaml"))]
RULES = "\n".join(path.read_text() for path in sorted((ROOT / "gates").glob("*.yaml")))
ALERTS = [
    rule
    for group in yaml.safe_load((ROOT / "ops/prometheus/alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
SETTINGS = leaves(msgspec.to_builtins(shipped_settings()))
SECTIONS = {key.partition(".")[0] for key in SETTINGS}


def texts(page: Path) -> list[str]:
    """What stands in backticks outside of code blocks."""
    return re.findall(
        r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    )


@pytest.fixture(scope="module")
def pytest_options(request: pytest.FixtureRequest) -> set[str]:
    return {name for option in request.config._parser._anonymous.options for name in option.names()} | {
        name
        for group in request.config._parser._groups
        for option in group.options
        for name in option.names()
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_is_one(page: Path, pytest_options: set[str]) -> None:
    found = {
        " ".join(words): wrong_with(words, pytest_options, set(STEPS))
        for words in commands_in(page.read_text())
    }

    assert {text: why for text, why in found.items() if why} == {}
    assert found or page.stem == "soak"


def test_a_command_that_is_none_is_found(pytest_options: set[str]) -> None:
    page = (
        "```bash\nmmbot rollback --two raise-cap   # x\nmmbot roll\npytest -m nightly\n```\n`mmbot kill -n`"
    )
    found = [wrong_with(words, pytest_options, set(STEPS)) for words in commands_in(page)]

    assert found == ["no option --two", "no command roll", "no step nightly", "no option -n"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_exported_metric_is_one(page: Path) -> None:
    named = set(re.findall(r"\bmmbot_[a-z_]+\b", page.read_text()))

    assert named - {metric.name for metric in METRICS} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_threshold_stands_in_a_gate_to_the_letter(page: Path) -> None:
    rules = [text for text in texts(page) if re.search(r" (?:[<>]=?|==) \S", text)]

    other = [text for text in rules if text not in RULES]
    assert other == (
        ["taker_share[24h] > 15% clear 12%, n >= 100, no_data wait"] if page.stem == "soak" else []
    )
    assert all(parse_watch_rule(text) for text in other), "advice for another market, and a rule it can take"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_setting_and_gate_metric_exists(page: Path) -> None:
    dotted = [text for text in texts(page) if re.fullmatch(r"[a-z_0-9]+(?:\.[a-z_0-9]+)+", text)]
    files = {"private.log", "manifest.json", "watch.json", "tally.json"}
    unknown = [text for text in dotted if text not in {*SETTINGS, *GATE_METRICS, *files}]

    assert [text for text in unknown if text.partition(".")[0] in {*SECTIONS, "daily"}] == []


def test_every_alert_names_a_runbook_that_names_the_alert() -> None:
    for alert in ALERTS:
        page = ROOT / alert["annotations"]["runbook"]
        assert page.is_file(), alert["alert"]
        assert f"`{alert['alert']}`" in page.read_text(), alert["alert"]


def test_every_alert_in_a_runbook_exists() -> None:
    known = {alert["alert"] for alert in ALERTS}
    named = {
        text for page in PAGES for text in texts(page) if re.fullmatch(r"(?:Soak|Target|Ab)[A-Z]\w+", text)
    }

    assert named == known


def test_every_gate_names_runbooks_that_exist() -> None:
    for gate in GATES:
        for path in (gate.runbook, *gate.runbooks.values()):
            assert (ROOT / path).is_file(), f"{gate.file}: {path}"
    assert {page.stem for page in PAGES} >= NEEDED


def test_the_named_steps_are_all_in_the_runbook_of_the_rollback() -> None:
    page = (ROOT / "docs/runbooks/rollback.md").read_text()

    assert set(re.findall(r"mmbot rollback --to ([\w-]+)", page)) == set(GRADUAL)
