"""Hot reload: a running bot takes other settings between two ticks, all of them or none.

Everything is read, merged, validated and compared first. One key that cannot change while a bot runs refuses
the whole reload, as does a file that cannot be read; what was in force stays so. The swap is assignments in
the rooms (`Engine.reconfigure`): positions, orders, windows of counts, held guards and the last half spread
stay as they are.

What can change is listed, section by section: a section that nobody listed cannot. Not while running: the
simulated venue and the sampling of the run's shell, the tick interval, the windows of the market's features
(`fetch_md`, but for the fair value, and the half-lives) and of `vitals`, and the breaker's window, by whose
slices it counts. The scenario may change its overlay, not its market.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from mmbot.config.flags import FLAGS, in_force
from mmbot.config.scenario import Scenario, load_scenario
from mmbot.config.settings import Settings, leaves, load_settings
from mmbot.engine.engine import Engine
from mmbot.errors import ConfigError
from mmbot.model.records import EventRow

_FIXED_KEYS: Mapping[str, frozenset[str]] = {
    "pipeline": frozenset({"tick_interval_ms"}),
    "md_cache": frozenset(),
    "fetch_md": frozenset({"depth_ticks", "volatility_halflife_s", "microprice_refit_ticks"}),
    "spread": frozenset({"liquidity_fast_halflife_s", "liquidity_halflife_s"}),
    "glft": frozenset(),
    "guards": frozenset(),
    "fast_cancel": frozenset(),
    "inventory": frozenset(),
    "queue_aware": frozenset({"rate_halflife_s"}),
    "emit": frozenset(),
    "aligner": frozenset(),
    "async_batch": frozenset(),
    "limits": frozenset(),
    "taker_cap": frozenset(),
    "breaker": frozenset({"window_s"}),
    "throttle": frozenset(),
    "trace": frozenset(),
}
"""Sections that can change while a bot runs -> keys of them that cannot."""

_FLAG_KEYS = frozenset(flag.key for flag in FLAGS)

Changed = dict[str, tuple[Any, Any]]
"""Key -> value before and after."""


def changeable(key: str) -> bool:
    """Can this key (`spread.base_bps`) change while a bot runs?"""
    section, _, name = key.partition(".")
    return section in _FIXED_KEYS and name not in _FIXED_KEYS[section]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a run's configuration comes from: base file and overrides, and the scenario that lies between."""

    config: tuple[Path, ...]
    scenario: str
    scenarios: Path

    def load(self) -> tuple[Scenario, Settings]:
        """Read all of them. Raises ConfigError."""
        scenario, overlay = load_scenario(self.scenario, self.scenarios)
        return scenario, load_settings(self.config, overlay)


@dataclass(frozen=True, slots=True)
class Reload:
    """What came of a reload. `refused`: why nothing changed; `found_sha256`: of the settings that the files
    hold, None if they hold none.
    """

    ts_ns: int
    before_sha256: str
    found_sha256: str | None
    changed: Changed = field(default_factory=dict)
    refused: str | None = None

    @property
    def in_force_sha256(self) -> str:
        return self.before_sha256 if self.refused or self.found_sha256 is None else self.found_sha256

    @property
    def row(self) -> EventRow:
        """For the feed of events."""
        outcome = "refused" if self.refused else "in_force" if self.changed else "unchanged"
        return EventRow(
            self.ts_ns,
            None,
            "config",
            {
                "outcome": outcome,
                "old_sha256": self.before_sha256,
                "new_sha256": self.found_sha256,
                "changed": "; ".join(_changes(self.changed)),
                "reason": self.refused,
            },
        )


class Reloader:
    """The configuration of one run. `settings` are in force."""

    def __init__(
        self,
        sources: Sources,
        fixed: str | None = None,
        *,
        only_flags: str | None = None,
        in_force: Callable[[Settings], Settings] = in_force,
    ) -> None:
        """`fixed`: why this run cannot change its settings; None if it can. `only_flags`: why it can change
        none but feature flags. `in_force`: what the rooms get of the settings that the files hold. Raises
        ConfigError.
        """
        self._in_force = in_force
        self.sources = sources
        self._fixed = fixed
        self._only_flags = only_flags
        self.scenario, self.settings = sources.load()

    def reload(self, now_ns: int, engine: Engine) -> Reload:
        """Read the files again and put them in force, or say why not. Call it between two ticks."""
        before = self.settings.sha256()
        try:
            scenario, found = self.sources.load()
        except ConfigError as error:
            return Reload(now_ns, before, None, refused=str(error))
        changed = differences(self.settings, found)
        refused = self._refusal(scenario, changed)
        if refused is None and changed:
            engine.reconfigure(self._in_force(found))
            self.settings = found
        return Reload(now_ns, before, found.sha256(), changed, refused)

    def _refusal(self, scenario: Scenario, changed: Changed) -> str | None:
        if scenario != self.scenario:
            return f"scenario {self.sources.scenario}: its market was changed, expected only its config to be"
        if changed and self._fixed is not None:
            return self._fixed
        if self._only_flags is not None:
            others = {key: values for key, values in changed.items() if key not in _FLAG_KEYS}
            if others:
                return f"{self._only_flags}: {', '.join(_changes(others))}"
        fixed = {key: values for key, values in changed.items() if not changeable(key)}
        if fixed:
            return f"cannot change while running: {', '.join(_changes(fixed))}"
        return None


def differences(before: Settings, after: Settings) -> Changed:
    """Every key whose value is another."""
    old, new = (leaves(msgspec.to_builtins(settings)) for settings in (before, after))
    return {key: (old.get(key), new.get(key)) for key in {**old, **new} if old.get(key) != new.get(key)}


def _changes(changed: Changed) -> list[str]:
    return [f"{key} {_text(old)} -> {_text(new)}" for key, (old, new) in changed.items()]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
