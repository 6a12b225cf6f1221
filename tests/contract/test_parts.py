"""The shipped bot in parts: one worker or two, the same orders, fills and counts."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest
from tests.mmbot.builders import MARKET, START_NS, linear, scenario_file

ROOT = Path(__file__).parents[2]

INI = """
[pytest]
mmgates_sut = mmbot.sut:open_run
mmgates_parts = mmbot.sut:parts
mmgates_default_scenario = short
"""

TEST = """
import pytest

@pytest.mark.shadow
@pytest.mark.parametrize("metric", ["ticks.count", "fills.count", "maker_share", "inventory.abs_max_quote"])
def test_counts(shadow_run, gate, metric):
    gate(shadow_run, f"{metric} > 0")
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Two symbols, 15 seconds each, and a gate that so little is enough for."""
    instrument = msgspec.to_builtins(linear())
    del instrument["symbol"], instrument["base"]
    settings = {name: value for name, value in MARKET.items() if name != "symbol"}
    symbols = {"ONEUSDT": {"base": "ONE", "seed": 1}, "TWOUSDT": {"base": "TWO", "seed": 2}}
    market = {"start_ns": START_NS, "instrument": instrument, "settings": settings, "symbols": symbols}
    scenario_file(pytester.path / "scenarios", market=market, parts=["symbol"])
    shutil.copy(ROOT / "config.yaml", pytester.path)
    gate = (
        (ROOT / "gates" / "shadow.yaml").read_text().replace(">= 60m", ">= 15s").replace(">= 3000", ">= 300")
    )
    (pytester.path / "gates").mkdir()
    (pytester.path / "gates" / "shadow.yaml").write_text(gate)
    (pytester.path / "pytest.ini").write_text(INI)
    (pytester.path / "test_counts.py").write_text(TEST)
    monkeypatch.setenv("MMBOT_CACHE", str(pytester.path / "cache"))
    return pytester


def outcome(project: pytest.Pytester, *workers: str) -> tuple[dict[str, object], list[object]]:
    """What the run decided, and what is judged of it, measured times apart."""
    project.runpytest_inprocess("-p", "no:asyncio", "-m", "shadow", *workers).assert_outcomes(passed=4)
    runs = project.path / "artifacts" / "runs" / "shadow-short"
    manifest = json.loads((runs / "manifest.json").read_text())
    tallies = [json.loads(path.read_text())["symbols"] for path in sorted(runs.glob("parts/*/tally.json"))]
    judged = [
        {name: tally[name] for name in ("ticks", "cache", "fills", "notional", "edge", "abs_position_quote")}
        for symbols in tallies
        for tally in symbols.values()
    ]
    return {name: manifest[name] for name in ("run_digest", "parts", "counts", "data")}, judged


def test_one_worker_or_two_play_the_same(project: pytest.Pytester) -> None:
    alone, shared = outcome(project), outcome(project, "-n", "2")

    assert alone == shared
    assert [part["name"] for part in alone[0]["parts"]] == ["ONEUSDT", "TWOUSDT"]
    assert alone[0]["counts"]["ticks"] == 300
    assert len(alone[1]) == 2
