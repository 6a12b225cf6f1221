"""The gate author's guide says what the code does."""

import re
from pathlib import Path

import pytest
import yaml

from pytest_mmgates.metrics import METRICS
from pytest_mmgates.rules import parse_rule
from pytest_mmgates.units import UNITS
from pytest_mmgates.verdict import Verdict

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "writing-gates.md").read_text()
SOURCES = sorted((ROOT / "src" / "pytest_mmgates").rglob("*.py"))


def test_the_table_of_metrics_is_the_table_of_metrics():
    rows = [f"| `{metric.name}` | {metric.dimension} | {metric.what} |" for metric in METRICS.values()]
    assert (
        re.findall(
            r"^\| `[a-z_0-9.]+` \| (?:time|ratio|bps|count|quote|bytes|growth) \|.*$", GUIDE, re.MULTILINE
        )
        == rows
    )


def test_the_gate_in_the_guide_is_the_shipped_gate():
    [text] = re.findall(r"```yaml\n(gate: shadow.*?)```", GUIDE, re.DOTALL)
    assert yaml.safe_load(text) == yaml.safe_load((ROOT / "gates" / "shadow.yaml").read_text())


def test_every_verdict_and_unit_is_named():
    for verdict in Verdict:
        assert f"| {verdict} |" in GUIDE
    for unit in (unit for units in UNITS.values() for unit in units if unit):
        assert f"`{unit}`" in GUIDE


def test_the_rules_in_the_guide_parse():
    assert parse_rule('fetch_md.p95{symbol="binance_spot:NEXOUSDT"} <= 35ms')
    [text] = re.findall(r'gate\(shadow_run, "(.*?)"\)', GUIDE)
    assert parse_rule(text)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_plugin_knows_no_bot(path):
    assert not re.search(r"^\s*(?:from|import)\s+mmbot\b", path.read_text(), re.MULTILINE)
