"""The plan of an experiment, written before it starts: `experiments/<name>.yaml`, read strictly.

    name: wider-spread                  # the file's own name
    title: Half a basis point more
    scenario: soak-72h                  # what replays play
    config: [config.yaml]               # arm A, the baseline
    arms: {A: [], B: [experiments/wider-spread.b.yaml]}     # override files on top of it
    clusters:                           # symbols that move together change arms together
      synth: ["bybit_linear:SYNTH01USDT", "bybit_linear:SYNTH02USDT"]
    switch: apart                       # each cluster draws its own coin; together: limits are shared
    block: 60m
    washout: 15m                        # of each block, not analysed
    seed: 1
    stages:                             # how much at least, before the next
      replay: {duration: 24h, pairs: 24}
      "10": {duration: 24h, pairs: 8}
      "50": {duration: 24h, pairs: 24}
      "100": {duration: 72h, pairs: 8}
    max_pairs: 336                      # then the experiment ends, undecided
    metric: net_bps
    floor_bps: 0.2                      # what is worth having
    effect_bps: 0.3                     # what the change is planned to bring, above the floor
    confidence: 0.975                   # of each side
    gate: gates/ab.yaml
    calibrated_on: []                 # data that the candidate has seen: `sha256`, and `from`, `to` of a part

Files are named from the working directory. `live` names the scenario of live stages (`scenarios/live`).

`plan_hash` is over every value of the plan, the effective configuration of both arms on each scenario, and
the text of the gate file. It stands in all that an experiment writes: who edits any of them after the start
has another plan, and no verdict on what was recorded under this one.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import msgspec

from mmbot.config.scenario import Scenario, load_scenario
from mmbot.config.settings import Settings, leaves, load_settings
from mmbot.config.strict_yaml import Document, load, read
from mmbot.errors import ConfigError
from mmbot.units import SECOND, Ns, parse_duration

Arm = Literal["A", "B"]
ARMS: tuple[Arm, Arm] = ("A", "B")
"""The baseline, and the candidate."""
_LEAST_CONFIDENCE = 0.5
_OF_THE_SHELL = ("sim", "telemetry", "alerts")
"""Sections that are not the bot: arms that differ in them are not compared on one market."""


class Stage(StrEnum):
    """In the order in which an experiment goes through them; of the live ones, the share of blocks that the
    candidate gets.
    """

    REPLAY = "replay"
    TEN = "10"
    FIFTY = "50"
    HUNDRED = "100"


class StageSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a stage lasts at least: time, and pairs of blocks, one of each arm."""

    duration: str
    pairs: int

    @property
    def duration_ns(self) -> Ns:
        return parse_duration(self.duration)


class Arms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Override files of each arm."""

    A: list[str]
    B: list[str]


class SeenData(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """Data that the candidate was fitted to: the hash of a recording, and the part of it; without `from` and
    `to` all of it. Both are text of ISO 8601 with an offset.
    """

    sha256: str
    from_: str | None = None
    to: str | None = None

    def __post_init__(self) -> None:
        begin, end = self.window_ns
        if begin is not None and end is not None and begin >= end:
            raise ValueError(f"from was {self.from_}, expected before to, {self.to}")

    @property
    def window_ns(self) -> tuple[int | None, int | None]:
        """From, inclusive, and to, exclusive; None: without end."""
        return _moment_ns(self.from_), _moment_ns(self.to)


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A plan as written."""

    name: str
    title: str
    scenario: str
    live: str | None = None
    config: list[str]
    arms: Arms
    clusters: dict[str, list[str]]
    switch: Literal["apart", "together"]
    block: str
    washout: str
    seed: int
    stages: dict[Stage, StageSpec]
    max_pairs: int
    metric: Literal["net_bps"]
    floor_bps: float
    effect_bps: float
    confidence: float
    gate: str
    calibrated_on: list[SeenData] = []

    @property
    def block_ns(self) -> Ns:
        return parse_duration(self.block)

    @property
    def washout_ns(self) -> Ns:
        return parse_duration(self.washout)

    def files(self, arm: Arm) -> list[Path]:
        """What an arm's configuration is made of: base first."""
        return [Path(name) for name in (*self.config, *getattr(self.arms, arm))]

    def cluster_of(self, symbol: str) -> str:
        """Of a full name, `venue:SYMBOL`; each has one. Raises KeyError."""
        return next(name for name, symbols in self.clusters.items() if symbol in symbols)


@dataclass(frozen=True, slots=True)
class Experiment:
    """A plan with what its names stand for. `settings` of each arm are those of one scenario's market: that
    of replays, or of `live` where the experiment was opened for it.
    """

    plan: Plan
    settings: Mapping[Arm, Settings]
    config_sha256: Mapping[Arm, Mapping[str, str]]
    """Of each arm, of its settings on each scenario."""
    gate_sha256: str

    @property
    def plan_hash(self) -> str:
        return hashlib.sha256(msgspec.json.encode(self.content(), order="sorted")).hexdigest()

    def content(self) -> dict[str, Any]:
        """What `plan_hash` is over, as plain data."""
        return {
            "plan": msgspec.to_builtins(self.plan),
            "config_sha256": {arm: dict(hashes) for arm, hashes in self.config_sha256.items()},
            "gate_sha256": self.gate_sha256,
        }


def load_experiment(path: Path, scenarios: Path, *, live: bool = False) -> Experiment:
    """The plan in a file with what it names; `live`: with the settings of its live scenario. Raises
    ConfigError with file, line and key.
    """
    document = load(path)
    plan = document.convert(Plan)
    _check_values(document, plan, path)
    opened = {plan.scenario: load_scenario(plan.scenario, scenarios)}
    if plan.live is not None:
        opened[f"live/{plan.live}"] = load_scenario(plan.live, scenarios / "live")
    elif live:
        raise ConfigError(f"{path}: live: was absent, expected the name of a live scenario")
    _check_clusters(document, plan, {name: scenario for name, (scenario, _) in opened.items()})
    of_arms = {
        arm: {name: load_settings(plan.files(arm), overlay) for name, (_, overlay) in opened.items()}
        for arm in ARMS
    }
    _check_arms(document, of_arms)
    on = f"live/{plan.live}" if live else plan.scenario
    return Experiment(
        plan,
        {arm: settings[on] for arm, settings in of_arms.items()},
        {arm: {name: one.sha256() for name, one in settings.items()} for arm, settings in of_arms.items()},
        hashlib.sha256(read(Path(plan.gate)).encode()).hexdigest(),
    )


def _check_values(document: Document, plan: Plan, path: Path) -> None:
    """Each value by itself, and against its neighbours."""
    for keys in (("block",), ("washout",), *(("stages", stage, "duration") for stage in plan.stages)):
        _check_duration(document, keys)
    missing = [stage for stage in Stage if stage not in plan.stages]
    wrong = {
        "name": plan.name != path.stem and f"was {plan.name}, expected the file's own, {path.stem}",
        "config": not plan.config and "was empty, expected a base file",
        "washout": plan.washout_ns >= plan.block_ns and f"was {plan.washout}, expected below {plan.block}",
        "seed": plan.seed < 0 and f"was {plan.seed}, expected at least 0",
        "stages": missing and f"expected all of {', '.join(Stage)}; missing: {', '.join(missing)}",
        "max_pairs": plan.max_pairs < 2 and f"was {plan.max_pairs}, expected at least 2",  # noqa: PLR2004
        "floor_bps": not plan.floor_bps > 0 and f"was {plan.floor_bps}, expected more than 0",
        "effect_bps": not plan.effect_bps > plan.floor_bps
        and f"was {plan.effect_bps}, expected above floor_bps = {plan.floor_bps}: at the floor itself no"
        " number of pairs gives more than one chance in two",
        "confidence": not _LEAST_CONFIDENCE < plan.confidence < 1
        and f"was {plan.confidence}, expected above 0.5 and below 1",
    }
    for key, message in wrong.items():
        if message:
            raise ConfigError(f"{document.where((key,))}: {key}: {message}")
    for stage, spec in plan.stages.items():
        if spec.pairs < 0:
            where = document.where(("stages", stage, "pairs"))
            raise ConfigError(f"{where}: stages.{stage}.pairs: was {spec.pairs}, expected 0 or more")


def _check_duration(document: Document, path: tuple[str, ...]) -> None:
    text: Any = document.data
    for key in path:
        text = text[key]
    try:
        parse_duration(text)
    except ValueError as error:
        raise ConfigError(f"{document.where(path)}: {'.'.join(path)}: {error}") from error


def _check_clusters(document: Document, plan: Plan, scenarios: Mapping[str, Scenario]) -> None:
    """Every symbol of every scenario is in one cluster, and no other is."""
    clustered = [symbol for symbols in plan.clusters.values() for symbol in symbols]
    where = f"{document.where(('clusters',))}: clusters"
    for symbol in clustered:
        if clustered.count(symbol) > 1:
            raise ConfigError(f"{where}: {symbol} was listed twice, expected in one cluster")
    traded = {name: list(_symbols(scenario)) for name, scenario in scenarios.items()}
    for name, symbols in traded.items():
        if lost := [symbol for symbol in symbols if symbol not in clustered]:
            raise ConfigError(f"{where}: {', '.join(lost)} of scenario {name} was in none, expected in one")
    known = {symbol for symbols in traded.values() for symbol in symbols}
    if unknown := [symbol for symbol in clustered if symbol not in known]:
        raise ConfigError(f"{where}: {', '.join(unknown)}: in no scenario of the plan")


def _symbols(scenario: Scenario) -> Iterable[str]:
    """Full names."""
    if scenario.live is not None:
        return (f"{scenario.live.venue}:{symbol}" for symbol in scenario.live.symbols)
    return (instrument.key for instrument in scenario.instruments)


def _check_arms(document: Document, of_arms: Mapping[Arm, Mapping[str, Settings]]) -> None:
    """They differ, and in the bot alone."""
    for name, baseline in of_arms["A"].items():
        candidate = of_arms["B"][name]
        if baseline == candidate:
            continue  # an A/A test: what our own pipeline makes of two equal arms
        before, after = (leaves(msgspec.to_builtins(settings)) for settings in (baseline, candidate))
        for key, value in after.items():
            if before.get(key) != value and key.partition(".")[0] in _OF_THE_SHELL:
                raise ConfigError(
                    f"{document.where(('arms', 'B'))}: arms.B: {key} was {value}, expected {before.get(key)}"
                    " as of arm A: both arms see one market"
                )


def _moment_ns(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"moment was {text!r}, expected ISO 8601") from error
    if moment.tzinfo is None:
        raise ValueError(f"moment was {text!r}, expected an offset, such as Z")
    return round(moment.timestamp() * SECOND)
