"""The registry of feature flags: what each is called, who owns it, what switching it off does.

A flag is a boolean of config.yaml, or a number that bounds a feature. *Off* is defined here by values: `off`
lists the settings that make the feature neutral, and `in_force` puts them in place of the written ones when a
run is wired. So nothing below knows of such flags, and the configuration keeps what was written. A flag with
no such list is a setting that its room reads. Only a flag that changes what the bot does, or writes down, is
registered: a test plays each on and off and compares the orders, of `trace` the feeds.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from mmbot.config.settings import Settings

Value = bool | float
_NEVER_MS = 31_536_000_000.0
"""A year: longer than any run, and still whole nanoseconds."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One feature flag. `key`: its place in the configuration. `default`: what config.yaml ships with.

    `rollback`: the value that the red button sets when nobody recorded a better one. `off`: settings in force
    while the flag is false, by key.
    """

    name: str
    key: str
    default: Value
    rollback: Value
    owner: str
    effect: str
    off: Mapping[str, Value | str] = field(default_factory=dict)

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(self.key.split("."))

    def of(self, settings: Settings) -> Value:
        """Its value in these settings."""
        value: Any = settings
        for part in self.path:
            value = getattr(value, part)
        return value  # type: ignore[no-any-return]  # a test holds each to the type of its default


FLAGS: tuple[Flag, ...] = (
    Flag(
        name="pipeline",
        key="pipeline.enabled",
        default=True,
        rollback=False,
        owner="trading-infra",
        effect="The bot quotes. Off: every stage runs and is written down, and no quote is wanted.",
        off={"emit.order_notional_quote": 0.0},
    ),
    Flag(
        name="md_cache",
        key="md_cache.enabled",
        default=True,
        rollback=False,
        owner="trading-infra",
        effect="A book has an age: reads are hits within ttl_ms, and silence asks for a snapshot."
        " Off: no read is a hit, and the book is served as the feed left it until a gap; the guard against"
        " old books stays.",
        off={
            "md_cache.ttl_ms": 0.0,
            "md_cache.invalidate_on_ws_gap_ms": _NEVER_MS,
            "md_cache.stale_ok": True,
        },
    ),
    Flag(
        name="risk_guards",
        key="guards.enabled",
        default=True,
        rollback=True,
        owner="risk",
        effect="Volatility, latency, drawdown, taking, inventory and a book that breaks often widen, shrink"
        " and pull quotes."
        " Off: only a missing, crossed or old book pulls them.",
        off={
            "guards.soft_volatility_bps": math.inf,
            "guards.hard_volatility_bps": math.inf,
            "guards.soft_latency_ms": math.inf,
            "guards.hard_latency_ms": math.inf,
            "guards.soft_drawdown_quote": math.inf,
            "guards.hard_drawdown_quote": math.inf,
            "guards.soft_taker_ratio": math.inf,
            "guards.hard_taker_ratio": math.inf,
            "guards.hard_resyncs": math.inf,
            "guards.soft_inventory_ratio": math.inf,
        },
    ),
    Flag(
        name="fast_cancel",
        key="fast_cancel.enabled",
        default=True,
        rollback=True,
        owner="risk",
        effect="A jump of the mid empties the side that it runs into, at once and for hold_ms."
        " Off: orders follow their wanted price, and new ones go out at it.",
        off={"fast_cancel.move_bps": math.inf},
    ),
    Flag(
        name="adaptive_spread",
        key="spread.enabled",
        default=True,
        rollback=True,
        owner="strategy",
        effect="The half spread follows volatility, liquidity, our latency and our drawdown, or the model"
        " that spread.model names in place of the first two. Off: it is base_bps, within min and max, and the"
        " skew is that of the adaptive model.",
        off={
            "spread.model": "adaptive",
            "spread.volatility_weight_bps": 0.0,
            "spread.liquidity_weight_bps": 0.0,
            "spread.latency_weight_bps": 0.0,
            "spread.pnl_weight_bps": 0.0,
        },
    ),
    Flag(
        name="queue_aware",
        key="queue_aware.enabled",
        default=True,
        rollback=False,
        owner="strategy",
        effect="An order that waits too long moves one tick to the front. Off: it waits.",
        off={"queue_aware.max_eta_s": math.inf},
    ),
    Flag(
        name="inventory_skew",
        key="inventory.enabled",
        default=True,
        rollback=True,
        owner="strategy",
        effect="Both quotes shift against the position. Off: they do not; the cap on the position stays.",
        off={"inventory.max_skew_bps": 0.0},
    ),
    Flag(
        name="async_batch",
        key="async_batch.enabled",
        default=True,
        rollback=False,
        owner="trading-infra",
        effect="Cancels and creates of a symbol share messages, and wait where a tick's batches are full."
        " Off: every order is a message of its own, and nothing waits for a batch.",
        off={"async_batch.max_orders": 1, "async_batch.max_batches_per_tick": 1 << 30},
    ),
    Flag(
        name="amend",
        key="async_batch.amend",
        default=True,
        rollback=False,
        owner="trading-infra",
        effect="An order that has to move is amended, in one message and without leaving its side empty,"
        " where the venue can. Off: it is cancelled, and a new one created when the cancel is confirmed.",
    ),
    Flag(
        name="trace",
        key="trace.enabled",
        default=True,
        rollback=False,
        owner="trading-infra",
        effect="A share of ticks, trace.sample_rate, keeps what each stage thought in the feed `trace`."
        " Off: no such feed. Orders are the same.",
        off={"trace.sample_rate": 0.0},
    ),
    Flag(
        name="trace_rate",
        key="trace.sample_rate",
        default=0.02,
        rollback=0.02,
        owner="trading-infra",
        effect="The share of ticks that are traced, chosen by tick number. Orders are the same.",
    ),
    Flag(
        name="taker_cap",
        key="taker_cap.enabled",
        default=True,
        rollback=True,
        owner="risk",
        effect="An order that could take is refused where it would lift the taker share above its cap."
        " Off: it may go. Post-only orders always may.",
        off={"taker_cap.max_taker_share_pct": math.inf},
    ),
    Flag(
        name="taker_cap_share",
        key="taker_cap.max_taker_share_pct",
        default=9.0,
        rollback=9.0,
        owner="risk",
        effect="The cap itself, in per cent of the fills of taker_cap.window_s: an order that could take is"
        " refused where it would lift the share above it.",
    ),
)


def replaced(settings: Settings) -> dict[str, tuple[Flag, Value | str]]:
    """By key, the settings that a flag which is off replaces: the flag, and the value in force."""
    return {
        key: (flag, value) for flag in FLAGS if flag.of(settings) is False for key, value in flag.off.items()
    }


def in_force(settings: Settings) -> Settings:
    """The settings to wire a run with: what is off is neutral."""
    sections: dict[str, dict[str, Value | str]] = defaultdict(dict)
    for key, (_, value) in replaced(settings).items():
        section, _, name = key.partition(".")
        sections[section][name] = value
    changed = {
        section: msgspec.structs.replace(getattr(settings, section), **values)
        for section, values in sections.items()
    }
    return msgspec.structs.replace(settings, **changed)


def registry_markdown() -> str:
    """`docs/FEATURE_FLAGS_REGISTRY.md`, whole."""
    rows = [
        f"| `{flag.name}` | `{flag.key}` | {_kind(flag.default)} | {text(flag.default)} |"
        f" {text(flag.rollback)} | {flag.owner} | {flag.effect} |"
        for flag in FLAGS
    ]
    return "\n".join([_HEAD, *rows, ""])


def text(value: Value | str) -> str:
    """As YAML writes it."""
    if isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


def _kind(value: Value) -> str:
    return "boolean" if isinstance(value, bool) else "number"


_HEAD = """\
# Feature flags

Made by `mmbot config flags --markdown` from the registry in `src/mmbot/config/flags.py`; a test holds the two
together, and another plays every flag on and off and compares the orders, of `trace` the feeds. *Rollback* is
the value that `mmbot rollback --values registry` sets.

| flag | key | type | default | rollback | owner | effect |
|---|---|---|---|---|---|---|"""
