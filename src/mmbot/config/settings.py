"""The bot's settings: every section is the frozen settings type of the room that reads it. There is no
section without a reader.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from mmbot.book.cache import MdCacheSettings
from mmbot.config.strict_yaml import Document, load_all
from mmbot.engine.pipeline import PipelineSettings
from mmbot.errors import ConfigError
from mmbot.execution.aligner import AlignerSettings
from mmbot.risk.limits import LimitSettings
from mmbot.sim.latency import LatencySettings
from mmbot.sim.queue import QueueSettings
from mmbot.strategy.emit import EmitSettings
from mmbot.strategy.fetch_md import FetchMdSettings
from mmbot.strategy.guards import GuardSettings
from mmbot.strategy.inventory import InventorySettings
from mmbot.strategy.queue_aware import QueueAwareSettings
from mmbot.strategy.spread import SpreadSettings


class SimSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The simulated venue. `market_data` is venue to us, `entry` us to venue, `response` its answer, `resync`
    a REST snapshot.
    """

    queue: QueueSettings
    market_data: LatencySettings
    entry: LatencySettings
    response: LatencySettings
    resync: LatencySettings


class TelemetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sample_interval_s: float


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything a run can be told."""

    pipeline: PipelineSettings
    md_cache: MdCacheSettings
    fetch_md: FetchMdSettings
    spread: SpreadSettings
    guards: GuardSettings
    inventory: InventorySettings
    queue_aware: QueueAwareSettings
    emit: EmitSettings
    aligner: AlignerSettings
    limits: LimitSettings
    sim: SimSettings
    telemetry: TelemetrySettings

    def sha256(self) -> str:
        """Hash of the effective values, whatever files they came from."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()


_POSITIVE = (
    "pipeline.tick_interval_ms",
    "pipeline.deadline_ms",
    "md_cache.max_inflight_refresh",
    "md_cache.refresh_retry_ms",
    "fetch_md.depth_ticks",
    "fetch_md.volatility_halflife_s",
    "fetch_md.microprice_refit_ticks",
    "spread.base_bps",
    "spread.min_bps",
    "spread.volatility_reference_bps",
    "spread.liquidity_fast_halflife_s",
    "spread.liquidity_halflife_s",
    "spread.slew_bps_per_s",
    "guards.soft_volatility_bps",
    "guards.soft_inventory_ratio",
    "inventory.max_position_quote",
    "queue_aware.rate_halflife_s",
    "emit.order_notional_quote",
    "emit.levels",
    "limits.max_order_notional_quote",
    "limits.max_position_quote",
    "telemetry.sample_interval_s",
)
_MAY_BE_NEGATIVE = ("queue_aware.min_edge_bps",)
_AT_MOST_ONE = ("guards.soft_size_ratio", "inventory.dead_band_ratio")
_ORDERED = (
    ("spread.min_bps", "spread.max_bps"),
    ("spread.liquidity_fast_halflife_s", "spread.liquidity_halflife_s"),
    ("guards.soft_volatility_bps", "guards.hard_volatility_bps"),
    ("md_cache.ttl_ms", "md_cache.invalidate_on_ws_gap_ms"),
    ("md_cache.fresh_ms_for_pricing", "md_cache.invalidate_on_ws_gap_ms"),
)


def load_settings(config: Sequence[Path], scenario: Document | None = None) -> Settings:
    """Base file, then the scenario's overlay, then override files; the last word is the operator's.

    Raises ConfigError naming file, line and key.
    """
    document = load_all(config[:1])
    if scenario is not None:
        document = document.overlaid(scenario)
    if len(config) > 1:
        document = document.overlaid(load_all(config[1:]))
    settings = document.convert(Settings)
    _check(document, settings)
    return settings


def _check(document: Document, settings: Settings) -> None:
    values = _leaves(msgspec.to_builtins(settings))
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        low = value > 0 if key in _POSITIVE else value >= 0 or key in _MAY_BE_NEGATIVE
        if not (math.isfinite(value) and low):
            expected = "more than 0" if key in _POSITIVE else "at least 0"
            raise _error(document, key, f"was {value}, expected {expected}")
        if key == "pipeline.tick_interval_ms" and value < 1:
            raise _error(document, key, f"was {value}, expected at least 1")
        if key in _AT_MOST_ONE and value >= 1 and not (value == 1 and key == "guards.soft_size_ratio"):
            raise _error(document, key, f"was {value}, expected below 1")
    for low_key, high_key in _ORDERED:
        if values[low_key] > values[high_key]:
            raise _error(
                document, low_key, f"was {values[low_key]}, expected at most {high_key} = {values[high_key]}"
            )
    if values["guards.soft_widen_ratio"] < 1:
        raise _error(document, "guards.soft_widen_ratio", "was below 1; a soft guard never tightens")


def _error(document: Document, key: str, message: str) -> ConfigError:
    return ConfigError(f"{document.where(tuple(key.split('.')))}: {key}: {message}")


def _leaves(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            leaves |= _leaves(value, f"{prefix}{key}.")
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves
