"""The models that stand in for a venue, varied: four files of overrides, each valid by itself."""

from pathlib import Path

import msgspec
import pytest
from tests.mmbot.builders import REPO, shipped_settings

from mmbot.config.settings import load_settings
from mmbot.experiment.variants import variants
from mmbot.sim.latency import LatencySettings

SIM = msgspec.structs.replace(
    shipped_settings().sim, resync=LatencySettings("lognormal", 60.0, 0.4, floor_ms=20.0)
)


@pytest.mark.parametrize("name", variants(SIM))
def test_a_variant_changes_the_simulated_venue_alone(name: str, tmp_path: Path):
    path = tmp_path / "variant.yaml"
    path.write_bytes(msgspec.json.encode({"sim": variants(SIM)[name]}))
    varied = load_settings([REPO / "config.yaml", path])
    assert msgspec.structs.replace(varied, sim=shipped_settings().sim) == shipped_settings()
    queue, times = name.rsplit("-", 1)
    assert varied.sim.queue.model == queue
    for channel in ("market_data", "entry", "response", "resync"):
        before, after = getattr(SIM, channel), getattr(varied.sim, channel)
        assert after.median_ms == int(times[0]) * before.median_ms
        assert after.floor_ms == int(times[0]) * before.floor_ms
        assert (after.model, after.sigma) == (before.model, before.sigma)


def test_there_are_both_queues_at_both_latencies():
    assert list(variants(SIM)) == ["risk_averse-1x", "risk_averse-2x", "power-1x", "power-2x"]
