"""The bot's settings: every section is the frozen settings type of the room that reads it. There is no
section without a reader.

The sections of features that can be switched off have `enabled` on top of that type: the room does not know
whether it is wanted (`config.flags` says what off means).
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec

from mmbot.book.cache import MdCacheSettings
from mmbot.config.calibrated import opened
from mmbot.config.strict_yaml import Document, load
from mmbot.engine.pipeline import PipelineSettings
from mmbot.engine.trace import TraceSettings
from mmbot.errors import ConfigError
from mmbot.execution.aligner import AlignerSettings
from mmbot.execution.batcher import BatchSettings
from mmbot.risk.breaker import BreakerSettings
from mmbot.risk.limits import LimitSettings
from mmbot.risk.taker_cap import TakerCapSettings
from mmbot.risk.throttle import ThrottleSettings
from mmbot.sim.latency import LatencySettings
from mmbot.sim.queue import QueueSettings
from mmbot.strategy.emit import EmitSettings
from mmbot.strategy.fast_cancel import FastCancelSettings
from mmbot.strategy.fetch_md import FetchMdSettings
from mmbot.strategy.glft import GlftSettings
from mmbot.strategy.guards import GuardSettings
from mmbot.strategy.inventory import InventorySettings
from mmbot.strategy.queue_aware import QueueAwareSettings
from mmbot.strategy.spread import SpreadSettings
from mmbot.strategy.vitals import VitalsSettings


class PipelineSection(PipelineSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    enabled: bool


class MdCacheSection(MdCacheSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    enabled: bool


class SpreadSection(SpreadSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    enabled: bool


class GuardsSection(GuardSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    enabled: bool


class FastCancelSection(FastCancelSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    enabled: bool


class InventorySection(InventorySettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    enabled: bool


class QueueAwareSection(QueueAwareSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    enabled: bool


class AsyncBatchSection(BatchSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    enabled: bool


class TakerCapSection(TakerCapSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    enabled: bool


class TraceSection(TraceSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    enabled: bool


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
    """`metrics_port`: serve metrics there, on loopback; 0 takes a free port, null serves none."""

    sample_interval_s: float
    checkpoint_interval_s: float
    """Of the run's own time; 0: none, and a replay that was interrupted cannot be resumed."""
    metrics_port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] | None


class AlertSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`webhook_url`: where alerts of the rules that watch the run are posted; null posts none. It stands in
    manifests like the rest of the configuration: no place for a secret.
    """

    webhook_url: str | None


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything a run can be told."""

    pipeline: PipelineSection
    md_cache: MdCacheSection
    fetch_md: FetchMdSettings
    vitals: VitalsSettings
    spread: SpreadSection
    glft: GlftSettings
    guards: GuardsSection
    fast_cancel: FastCancelSection
    inventory: InventorySection
    queue_aware: QueueAwareSection
    emit: EmitSettings
    aligner: AlignerSettings
    async_batch: AsyncBatchSection
    limits: LimitSettings
    taker_cap: TakerCapSection
    breaker: BreakerSettings
    throttle: ThrottleSettings
    sim: SimSettings
    trace: TraceSection
    telemetry: TelemetrySettings
    alerts: AlertSettings

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
    "vitals.latency_halflife_s",
    "vitals.drawdown_window_s",
    "vitals.resync_window_s",
    "spread.base_bps",
    "spread.min_bps",
    "spread.volatility_reference_bps",
    "spread.liquidity_fast_halflife_s",
    "spread.liquidity_halflife_s",
    "spread.latency_reference_ms",
    "spread.drawdown_reference_quote",
    "spread.slew_bps_per_s",
    "glft.risk_aversion_per_quote",
    "glft.intensity_per_s",
    "glft.decay_per_bps",
    "guards.soft_volatility_bps",
    "guards.soft_latency_ms",
    "guards.soft_drawdown_quote",
    "guards.soft_taker_ratio",
    "guards.soft_inventory_ratio",
    "guards.clear_ratio",
    "fast_cancel.move_bps",
    "fast_cancel.hold_ms",
    "inventory.max_position_quote",
    "queue_aware.rate_halflife_s",
    "emit.order_notional_quote",
    "emit.levels",
    "limits.max_order_notional_quote",
    "limits.max_position_quote",
    "limits.max_gross_quote",
    "limits.max_daily_loss_quote",
    "limits.collar_bps",
    "limits.collar_reference_max_age_ms",
    "async_batch.max_orders",
    "async_batch.max_batches_per_tick",
    "taker_cap.window_s",
    "breaker.window_s",
    "breaker.min_samples",
    "breaker.open_s",
    "breaker.probes",
    "breaker.answer_timeout_ms",
    "throttle.messages_per_s",
    "telemetry.sample_interval_s",
)
_MAY_BE_NEGATIVE = ("queue_aware.min_edge_bps",)
_BELOW_ONE = ("inventory.dead_band_ratio", "breaker.max_failure_ratio")
_AT_MOST_ONE = ("guards.soft_size_ratio", "guards.clear_ratio", "trace.sample_rate")
_ORDERED = (
    ("throttle.reserved_for_cancels", "throttle.messages_per_s"),
    ("spread.min_bps", "spread.max_bps"),
    ("spread.liquidity_fast_halflife_s", "spread.liquidity_halflife_s"),
    ("guards.soft_volatility_bps", "guards.hard_volatility_bps"),
    ("guards.soft_latency_ms", "guards.hard_latency_ms"),
    ("guards.soft_drawdown_quote", "guards.hard_drawdown_quote"),
    ("guards.soft_taker_ratio", "guards.hard_taker_ratio"),
    ("md_cache.ttl_ms", "md_cache.invalidate_on_ws_gap_ms"),
    ("md_cache.fresh_ms_for_pricing", "md_cache.invalidate_on_ws_gap_ms"),
)


def load_settings(config: Sequence[Path], scenario: Document | None = None) -> Settings:
    """The merged configuration as settings. Raises ConfigError naming file, line and key."""
    return settings_of(load_config(config, scenario))


def load_config(config: Sequence[Path], scenario: Document | None = None) -> Document:
    """Base file, then the scenario's overlay, then override files; the last word is the operator's.

    Raises ConfigError for a file that cannot be read or merged.
    """
    return merged([load(path) for path in config], scenario)


def merged(config: Sequence[Document], scenario: Document | None = None) -> Document:
    """The same of files that were read already; an overlay that was calibrated must be as it was written."""
    document, *overrides = (opened(layer)[0] for layer in config)
    for layer in (*filter(None, [scenario]), *overrides):
        document = document.overlaid(layer)
    return document


def settings_of(document: Document) -> Settings:
    """Raises ConfigError naming file, line and key."""
    settings = document.convert(Settings)
    _check(document, settings)
    _check_alone(document, settings)
    return settings


def _check(document: Document, settings: Settings) -> None:
    values = leaves(msgspec.to_builtins(settings))
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        low = value > 0 if key in _POSITIVE else value >= 0 or key in _MAY_BE_NEGATIVE
        if not (math.isfinite(value) and low):
            expected = "more than 0" if key in _POSITIVE else "at least 0"
            raise _error(document, key, f"was {value}, expected {expected}")
        if key == "pipeline.tick_interval_ms" and value < 1:
            raise _error(document, key, f"was {value}, expected at least 1")
        if key in _BELOW_ONE and value >= 1:
            raise _error(document, key, f"was {value}, expected below 1")
        if key in _AT_MOST_ONE and value > 1:
            raise _error(document, key, f"was {value}, expected at most 1")
    for low_key, high_key in _ORDERED:
        if values[low_key] > values[high_key]:
            raise _error(
                document, low_key, f"was {values[low_key]}, expected at most {high_key} = {values[high_key]}"
            )


def _check_alone(document: Document, settings: Settings) -> None:
    """What is asked of one value alone."""
    if settings.guards.soft_widen_ratio < 1:
        raise _error(document, "guards.soft_widen_ratio", "was below 1; a soft guard never tightens")
    webhook = settings.alerts.webhook_url
    if webhook is not None and not _is_web_address(webhook):
        raise _error(document, "alerts.webhook_url", f"was {webhook!r}, expected http(s)://HOST/...")


def _is_web_address(text: str) -> bool:
    parts = urlsplit(text)
    try:
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port that is none
        return False


def _error(document: Document, key: str, message: str) -> ConfigError:
    return ConfigError(f"{document.where(tuple(key.split('.')))}: {key}: {message}")


def leaves(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every value by its dotted key, in the order of the settings."""
    found: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            found |= leaves(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
