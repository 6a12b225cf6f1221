"""A run keeps nothing of what it played: resident memory after two hours is that of ten minutes."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from tests.mmbot.builders import MARKET, REPO, scenario_file

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems let go of memory otherwise")

CHILD = "from mmbot.cli import main; main()"
MINUTE_NS = 60_000_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hours of a market with many small changes, and few ticks over it; one cache for all runs."""
    folder = tmp_path_factory.mktemp("long")
    settings = MARKET | {"duration_s": 7_210.0, "depth_levels": 50, "level_changes_per_message": 25.0}
    path = scenario_file(folder, "long", duration="2h", config={"pipeline": {"tick_interval_ms": 1_000.0}})
    scenario = msgspec.json.decode(path.read_bytes())
    scenario["market"]["settings"] = settings
    path.write_bytes(msgspec.json.encode(scenario))
    return folder


def resident_bytes(folder: Path, engine: str) -> list[tuple[int, int]]:
    """(minutes since the start, resident bytes) of each sample of a run in a process of its own."""
    out = folder / engine
    options = {
        "scenario": "long",
        "scenarios": folder,
        "config": REPO / "config.yaml",
        "engine": engine,
        "out": out,
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    environment = os.environ | {"MMBOT_CACHE": str(folder / "cache")}
    subprocess.run(
        [sys.executable, "-c", CHILD, "run", *arguments], check=True, capture_output=True, env=environment
    )
    (samples,) = out.glob("samples_*.jsonl")
    rows = [msgspec.json.decode(line) for line in samples.read_bytes().splitlines()]
    values = [(row["ts_ns"], row["value"]) for row in rows if row["name"] == "rss_bytes"]
    return [((ts_ns - values[0][0]) // MINUTE_NS, value) for ts_ns, value in values]


@pytest.mark.parametrize("engine", [pytest.param("plain", marks=pytest.mark.slow), "compiled"])
def test_two_hours_need_the_memory_of_ten_minutes(folder: Path, engine: str) -> None:
    samples = resident_bytes(folder, engine)
    early = max(value for minute, value in samples if minute < 10)
    late = max(value for minute, value in samples if minute >= 60)
    tape = sum(path.stat().st_size for path in (folder / "cache").rglob("*.bin"))
    assert samples[-1][0] >= 119
    assert tape > 20e6  # would show if it stayed in memory
    assert late < early + 0.2 * tape
    assert late < 1.1 * early
