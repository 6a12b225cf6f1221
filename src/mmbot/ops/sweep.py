"""A parameter sweep: every point of a grid of settings played over one market, told apart with care.

A shard is a point on one part of the scenario with one seed. All points see the same tape and the same seeds
(of the latency models), so that what differs between two of them is the settings. The configuration in force
is always played, as the point that all others are held against. A point that stands for the very settings in
force, flags considered, is not played a second time. A point that the checks refuse stays in the report with
its reason: settings out of range, and economics that can earn or trade nothing.

    OUT/sweeps/NAME/sweep.json      what is swept, and the hash of all that its figures depend on
    OUT/sweeps/NAME/shards.jsonl    a line a finished shard: sums over blocks, digest, seconds, worker

The files let a sweep that was stopped go on. The hash covers market, settings of every point, seeds, time,
blocks and the code; the metric is none of it, so that another one is read off the same shards.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from mmbot.calibration.block_sums import METRICS, SweepMetric
from mmbot.config.economics import economics
from mmbot.config.flags import in_force
from mmbot.config.grid import Axis, Point, parse_axes, points
from mmbot.config.scenario import Scenario, load_scenario
from mmbot.config.settings import Settings, load_config, settings_of
from mmbot.config.strict_yaml import Document
from mmbot.edge.fill import NET_HORIZON_S
from mmbot.errors import ConfigError
from mmbot.ops.plan import first_prices
from mmbot.ops.sweep_shard import Shard
from mmbot.runtime.checkpoint import code_facts
from mmbot.runtime.run import WORTH_COMPILING, EngineKind, Run, RunRequest, part_names
from mmbot.runtime.tape import TapeFeed
from mmbot.units import MS, SECOND

_LEAST_BLOCKS = 12
_BLOCKS_S = (7200, 3600, 1800, 900, 600, 300, 120)
"""Lengths of a block that are taken by themselves: the longest that makes enough of them. None is shorter
than the markouts take to settle.
"""
_MOST_SHARDS = 100_000


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """What to sweep. `config`: the files in force, base first; `sets`: `PATH=VALUES` each; `name` None: of
    scenario and settings; `block_ns` None: by the length of the market.
    """

    scenario: str
    scenarios: Path
    config: Sequence[Path]
    sets: Sequence[str]
    data: Path | None
    out: Path
    metric: str = "net_bps"
    duration_s: float | None = None
    seeds: int = 1
    block_ns: int | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A point of the sweep. `number` 0 is the configuration in force, which no point of the grid need be.

    `refused`: why it is not played; `same`: it stands for the very settings in force, whose figures it has.
    """

    number: int
    point: Point
    config_sha256: str | None
    refused: str | None = None
    same: bool = False

    @property
    def played(self) -> bool:
        return self.refused is None and not self.same

    @property
    def label(self) -> str:
        return self.point.label or "in force"


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A part of the scenario as every point plays it; its feeds by instrument."""

    part: str | None
    planned_ns: float
    feeds: Sequence[TapeFeed]


@dataclass(frozen=True, slots=True)
class Sweep:
    """Read, validated and ready to be played. `values_in_force`: of the settings that vary."""

    request: SweepRequest
    name: str
    metric: SweepMetric
    axes: Sequence[Axis]
    values_in_force: Point
    candidates: Sequence[Candidate]
    kind: str
    settled_in: str
    stretches: Sequence[_Stretch]
    seeds: Sequence[int]
    block_ns: int
    engine: EngineKind

    @property
    def folder(self) -> Path:
        return self.request.out / "sweeps" / self.name

    @property
    def shards_a_point(self) -> int:
        return len(self.stretches) * len(self.seeds)

    @property
    def played(self) -> list[Candidate]:
        return [one for one in self.candidates if one.played]

    def shards(self, candidate: Candidate) -> Iterator[tuple[str, Shard]]:
        """Name and content of each, in the order in which their sums are folded."""
        request = self.request
        assert candidate.config_sha256 is not None  # noqa: S101 (refused points are not played)
        for stretch in self.stretches:
            for seed in self.seeds:
                yield (
                    f"{candidate.number}/{stretch.part or 'all'}/{seed}",
                    Shard(
                        scenario=request.scenario,
                        scenarios=str(request.scenarios),
                        config=[str(path) for path in request.config],
                        overlay=candidate.point.overlay.data,
                        data=None if request.data is None else str(request.data),
                        duration_s=request.duration_s,
                        part=stretch.part,
                        seed=seed,
                        engine=self.engine,
                        block_ns=self.block_ns,
                        config_sha256=candidate.config_sha256,
                        market={feed.instrument.key: feed.sha256 for feed in stretch.feeds},
                    ),
                )

    def payloads(self, finished: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Of every shard that is not finished: point by point, so that few points are half played."""
        for candidate in self.played:
            for name, shard in self.shards(candidate):
                if name not in finished:
                    yield name, msgspec.to_builtins(shard)

    @property
    def content(self) -> dict[str, Any]:
        """All that its sums depend on, as JSON."""
        request = self.request
        return {
            "scenario": request.scenario,
            "kind": self.kind,
            "parts": [stretch.part for stretch in self.stretches],
            "planned_s": [stretch.planned_ns / SECOND for stretch in self.stretches],
            "market": [
                {feed.instrument.key: feed.sha256 for feed in stretch.feeds} for stretch in self.stretches
            ],
            "seeds": list(self.seeds),
            "block_s": self.block_ns / SECOND,
            "points": {one.label: one.config_sha256 for one in self.candidates},
            **code_facts(),
        }

    @property
    def sha256(self) -> str:
        return hashlib.sha256(msgspec.json.encode(self.content)).hexdigest()


def open_sweep(request: SweepRequest) -> Sweep:
    """Raises ConfigError for what cannot be swept, and RecordingError for a market that is not there."""
    if request.metric not in METRICS:
        there_are = "; ".join(f"{one.name} ({one.what})" for one in METRICS.values())
        raise ConfigError(f"--metric: was {request.metric!r}, expected one of: {there_are}")
    if request.block_ns is not None and request.block_ns < NET_HORIZON_S * SECOND:
        raise ConfigError(
            f"--block: was {request.block_ns / SECOND:g} s, expected {NET_HORIZON_S} s at least: a markout"
        )
    if request.name is not None and not re.fullmatch(r"\w[\w.@-]*", request.name):
        raise ConfigError(f"--name: was {request.name!r}, expected letters, digits and any of _ . @ -")
    scenario, overlay = load_scenario(request.scenario, request.scenarios)
    document = load_config(request.config, overlay)
    settings = settings_of(document)
    axes = parse_axes(request.sets, document, settings)
    stretches, kind = _stretches(request)
    block_ns = request.block_ns or _block_ns(sum(stretch.planned_ns for stretch in stretches))
    candidates = [
        Candidate(0, Point({}), settings.sha256()),
        *_candidates(axes, document, settings, dict(first_prices(scenario, request.scenario, request.data)),
                     scenario),
    ]  # fmt: skip
    seeds = range(scenario.seed, scenario.seed + request.seeds)
    count = sum(one.played for one in candidates) * len(stretches) * len(seeds)
    if count > _MOST_SHARDS:
        raise ConfigError(f"--set: makes {count} shards, expected {_MOST_SHARDS} at most")
    return Sweep(
        request=request,
        name=request.name or _name(request.scenario, axes),
        metric=METRICS[request.metric],
        axes=axes,
        values_in_force=_in_force(axes, settings),
        candidates=candidates,
        kind=kind,
        settled_in=_settled_in(scenario),
        stretches=stretches,
        seeds=list(seeds),
        block_ns=block_ns,
        engine=_engine(settings, axes, stretches, count),
    )


def _stretches(request: SweepRequest) -> tuple[list[_Stretch], str]:
    """Each part opened as a shard would open it, so that what is wrong with it is told now; the data kind."""
    parts: list[str | None] = [*part_names(request.scenario, request.scenarios, request.data)] or [None]
    stretches, kind = [], ""
    for part in parts:
        run = Run(
            RunRequest(
                scenario=request.scenario,
                scenarios=request.scenarios,
                config=[*request.config],
                data=request.data,
                run_id="sweep",
                directory=request.out,
                duration_s=request.duration_s,
                engine=EngineKind.PLAIN,
                part=part,
            )
        )
        stretches.append(_Stretch(part, run.planned_ns, run.tape.feeds))
        kind = run.data_kind
    return stretches, kind


def _candidates(
    axes: Sequence[Axis],
    document: Document,
    settings: Settings,
    prices: dict[str, float],
    scenario: Scenario,
) -> Iterator[Candidate]:
    """Every point of the grid, judged."""
    effective = in_force(settings)
    for number, point in enumerate(points(axes), 1):
        try:
            found = settings_of(document.overlaid(point.overlay))
        except ConfigError as error:
            yield Candidate(number, point, None, refused=str(error))
            continue
        problems = [
            f"{one.key}: {problem}"
            for one in scenario.instruments
            for problem in economics(found, one, prices.get(one.key)).problems
        ]
        same = in_force(found) == effective
        refused = "; ".join(problems) if problems and not same else None
        yield Candidate(number, point, found.sha256(), refused, same)


def _in_force(axes: Sequence[Axis], settings: Settings) -> Point:
    """Of the settings that vary: where the configuration in force lies on or beside the grid."""
    values = {}
    for axis in axes:
        found: Any = settings
        for name in axis.key.split("."):
            found = getattr(found, name)
        values[axis.key] = found
    return Point(values)


def _settled_in(scenario: Scenario) -> str:
    currencies = sorted({one.settled_in for one in scenario.instruments})
    if len(currencies) > 1:
        raise ConfigError(
            f"scenario {scenario.title}: symbols settle in {', '.join(currencies)}, expected one currency:"
            " sums of several do not add"
        )
    return currencies[0]


def _block_ns(planned_ns: float) -> int:
    """The longest block that makes enough of them; else the shortest."""
    lengths = (seconds for seconds in _BLOCKS_S if planned_ns >= _LEAST_BLOCKS * seconds * SECOND)
    return next(lengths, _BLOCKS_S[-1]) * SECOND


def _engine(
    settings: Settings, axes: Sequence[Axis], stretches: Sequence[_Stretch], shards: int
) -> EngineKind:
    """Compiled where all shards together save more than loading the kernel costs, and it knows the models of
    every point.
    """
    tick_ns = settings.pipeline.tick_interval_ms * MS
    rows = sum(len(feed.columns) for stretch in stretches for feed in stretch.feeds)
    ticks = sum(stretch.planned_ns / tick_ns * len(stretch.feeds) for stretch in stretches)
    work = (rows + ticks) / len(stretches) * shards
    varied = any(axis.key.startswith("sim.market_data.") for axis in axes)
    known = settings.sim.market_data.model == "constant" and not varied
    return EngineKind.COMPILED if known and work > WORTH_COMPILING else EngineKind.AUTO


def _name(scenario: str, axes: Sequence[Axis]) -> str:
    """`nexo-24h_spread.base_bps_emit.levels`, a name for a folder."""
    return re.sub(r"[^\w.@-]", "_", "_".join([scenario, *(axis.key for axis in axes)]))
