"""The models that stand in for a venue, varied: what an arm gains must not hang on one of them.

Both queue models, each at the latencies of the configuration and at twice those: four variants. Each is a
file of overrides, so a run under it stands for itself: its manifest and its report name the models, and
anybody plays it again.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from mmbot.config.settings import SimSettings
from mmbot.sim.latency import LatencySettings
from mmbot.sim.queue import QueueSettings

POWER = 3.0
"""Of the queue model that shares a shrinking level between front and back; 2 and 3 are usual."""
_QUEUES: Mapping[str, QueueSettings] = MappingProxyType(
    {"risk_averse": QueueSettings("risk_averse"), "power": QueueSettings("power", POWER)}
)
_CHANNELS = ("market_data", "entry", "response", "resync")


def variants(sim: SimSettings) -> dict[str, dict[str, Any]]:
    """Overrides of the section `sim` by the name of the variant."""
    return {
        f"{queue}-{times}x": {"queue": msgspec.to_builtins(model), **_latencies(sim, times)}
        for queue, model in _QUEUES.items()
        for times in (1, 2)
    }


def _latencies(sim: SimSettings, times: int) -> dict[str, Any]:
    return {name: msgspec.to_builtins(_slower(getattr(sim, name), times)) for name in _CHANNELS}


def _slower(latency: LatencySettings, times: int) -> LatencySettings:
    return msgspec.structs.replace(
        latency, median_ms=times * latency.median_ms, floor_ms=times * latency.floor_ms
    )
