"""Spread weights from a dataset on the disk, confirmed by replays of the recording that it was made from.

    OUT/edge/calibrated_weights.yaml                        an overlay for --config-override, sealed
    OUT/edge/reports/calib_weights_20250115_20250117.md     how it came about, and its charts beside it

The overlay always says what the last calibration came to: where the old weights are kept it sets nothing and
says why, so that no older file can be taken for the answer. All files are replaced together or not at all;
equal dataset, recording, configuration and code give equal bytes.

A replay is the scenario of the dataset's run with its configuration, and the weights as a last overlay; its
fills go the way of the dataset's own (`ops.dataset`), filters included. So the dataset's recording has to be
at hand, and the configuration that the run had: both are held against the hashes that the dataset names.

A fill is taken that has a net, and scores and half spread of a traced tick before it; the others are counted.
"""

import contextlib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import msgspec
import numpy as np
import numpy.typing as npt

from mmbot.calibration.dataset_columns import SCORES
from mmbot.calibration.dataset_edge import Columns
from mmbot.calibration.spread_need import Bounds, Fills, Weights
from mmbot.calibration.weights import BLOCK_NS, EMBARGO_NS, FOLDS, Calibration, Plan, calibrate
from mmbot.config.scenario import load_scenario
from mmbot.config.settings import Settings, load_settings
from mmbot.errors import CalibrationError, ConfigError, DatasetError
from mmbot.ops.dataset import DatasetRequest, read_moment, work_out
from mmbot.runtime.run import EngineKind, Run, RunRequest, part_names
from mmbot.runtime.tape import cache_folder, held_ns, open_tape
from mmbot.units import SECOND

_KINDS = ("recorded", "live", "synthetic")
_NUMBERS = ("weight", "net_bps", "markout_60s_bps", "unguarded_bps", *SCORES)
_HELD_BACK = 1 / 3
"""Of the dataset's time, where nothing else was asked for."""
_AFTER_NS = 62 * SECOND
"""Ticks that the last markouts need."""


@dataclass(frozen=True, slots=True)
class WeightsRequest:
    """What to calibrate. `dataset`: its JSON; times that are None are those of the dataset, two thirds to fit
    and the rest to confirm. `config`: of the run that the dataset was made from, base first.
    """

    dataset: Path
    config: Sequence[Path]
    scenarios: Path
    data: Path | None
    from_ns: int | None = None
    to_ns: int | None = None
    confirm_from_ns: int | None = None
    confirm_to_ns: int | None = None
    block_ns: int = BLOCK_NS
    embargo_ns: int = EMBARGO_NS
    folds: int = FOLDS
    engine: EngineKind = EngineKind.AUTO


class _Made(msgspec.Struct, frozen=True):
    """What a dataset says of the run it was made from."""

    scenario: str
    config_sha256: str
    data_sha256: str


class _Total(msgspec.Struct, frozen=True):
    symbol: str
    arm: str
    settled_in: str


class _Content(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """Of a dataset's JSON, what a calibration reads."""

    schema: int
    dataset: str
    data_kind: str
    from_: str
    to: str
    interval_s: float
    provenance: list[_Made]
    totals: list[_Total]


@dataclass(frozen=True, slots=True)
class Source:
    """A dataset, read and found fit to calibrate from."""

    name: str
    kind: str
    sha256: str
    """Of its JSON and its fills."""
    from_ns: int
    to_ns: int
    interval_ns: int
    made: _Made
    symbols: tuple[str, ...]
    settled_in: str
    fills: Fills
    left_out: int
    """Fills without net, scores or half spread, or in an interval that was filtered."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A calibration and what it was made of."""

    source: Source
    config_sha256: str
    bounds: Bounds
    result: Calibration


def calibrate_weights(request: WeightsRequest) -> Calibrated:
    """Raises DatasetError, ConfigError, CalibrationError and what a replay raises."""
    source = read_source(request.dataset)
    settings = _settings(request, source)
    plan = _plan(request, source)
    spread = settings.spread
    bounds = Bounds(spread.min_bps, spread.max_bps)
    with TemporaryDirectory(prefix="mmbot-weights-") as folder:
        replays = _Replays(request, source, plan.confirm_to_ns, Path(folder))
        result = calibrate(source.fills, Weights.of(spread), bounds, plan, replays)
    return Calibrated(source, settings.sha256(), bounds, result)


def find_dataset(folder: Path) -> Path:
    """The only dataset of a folder. Raises DatasetError."""
    found = sorted(folder.glob("calib_*.json"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise DatasetError(f"{folder}: found {names}; expected one dataset, or --dataset to name it")
    return found[0]


def read_source(path: Path) -> Source:
    """Raises DatasetError for what cannot be calibrated from."""
    fills_path = path.with_name(f"{path.stem}_fills.parquet")
    try:
        written, written_fills = path.read_bytes(), fills_path.read_bytes()
        content = msgspec.json.decode(written, type=_Content)
    except OSError as error:
        raise DatasetError(f"{error.filename}: cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: was no calibration dataset: {error}") from error
    made = _check(path, content)
    columns = _read_fills(fills_path)
    fills, left_out = fills_of(columns)
    return Source(
        name=path.stem,
        kind=content.data_kind,
        sha256=hashlib.sha256(written + written_fills).hexdigest(),
        from_ns=read_moment(content.from_),
        to_ns=read_moment(content.to),
        interval_ns=round(content.interval_s * SECOND),
        made=made,
        symbols=tuple(sorted({total.symbol for total in content.totals})),
        settled_in=content.totals[0].settled_in,
        fills=fills,
        left_out=left_out,
    )


def _check(path: Path, content: _Content) -> _Made:
    if (content.schema, content.dataset) != (1, "calibration"):
        raise DatasetError(
            f"{path}: was a {content.dataset} dataset of schema {content.schema}, expected calibration, 1"
        )
    if content.data_kind not in _KINDS:
        raise DatasetError(
            f"{path}: data_kind was {content.data_kind!r}, expected one of {', '.join(_KINDS)}"
        )
    if len(content.provenance) != 1:
        raise DatasetError(
            f"{path}: was made from {len(content.provenance)} runs, expected one: old and new weights are"
            " replayed over one recording"
        )
    for what, found in (
        ("arms", {total.arm for total in content.totals}),
        ("settlement currencies", {total.settled_in for total in content.totals}),
    ):
        if len(found) != 1:
            raise DatasetError(f"{path}: {what} were {', '.join(sorted(found)) or 'none'}, expected one")
    return content.provenance[0]


def _read_fills(path: Path) -> Columns:
    """Columns that are needed; null is NaN."""
    names = ("ts_ns", "filtered", *_NUMBERS)
    with contextlib.closing(duckdb.connect()) as database:
        try:
            sql = f"SELECT {', '.join(names)} FROM read_parquet(?)"  # noqa: S608 (names of this module)
            found = database.execute(sql, [str(path)]).fetchnumpy()
        except duckdb.Error as error:
            raise DatasetError(f"{path}: was no table of fills: {str(error).splitlines()[0]}") from error
    return {name: _plain(found[name]) for name in names}


def _plain(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if column.dtype != np.float64:
        return np.asarray(column)
    return np.ma.filled(column, np.nan)


def fills_of(columns: Columns) -> tuple[Fills, int]:
    """Fills that can be calibrated from, and how many cannot. Raises CalibrationError for infinite ones."""
    numbers = np.column_stack([columns[name] for name in _NUMBERS]).astype(np.float64)
    taken = ~columns["filtered"].astype(bool) & ~np.isnan(numbers).any(axis=1)
    weight, net_bps, markout_bps, asked_bps = numbers[taken, :4].T
    fills = Fills(
        ts_ns=columns["ts_ns"][taken],
        weight=weight,
        net_bps=net_bps,
        markout_bps=markout_bps,
        asked_bps=asked_bps,
        scores=numbers[taken, 4:],
    )
    return fills, int(np.count_nonzero(~taken))


def _settings(request: WeightsRequest, source: Source) -> Settings:
    """As the run had them. Raises ConfigError where they are others, or where no weight would be read."""
    _, overlay = load_scenario(source.made.scenario, request.scenarios)
    settings = load_settings(list(request.config), overlay)
    files = " + ".join(map(str, request.config))
    if settings.sha256() != source.made.config_sha256:
        raise ConfigError(
            f"{files}: config_sha256 was {settings.sha256()[:12]} with scenario {source.made.scenario},"
            f" expected {source.made.config_sha256[:12]}, that of the run that {source.name} was made from"
        )
    if settings.spread.model != "adaptive" or not settings.spread.enabled:
        raise ConfigError(
            f"{files}: spread.model was {settings.spread.model}, enabled {settings.spread.enabled}: expected"
            " adaptive, true; nothing else reads weights"
        )
    return settings


def _plan(request: WeightsRequest, source: Source) -> Plan:
    """Raises CalibrationError for times that the dataset does not hold."""
    from_ns = source.from_ns if request.from_ns is None else request.from_ns
    confirm_to_ns = source.to_ns if request.confirm_to_ns is None else request.confirm_to_ns
    held_ns = confirm_to_ns - round((confirm_to_ns - from_ns) * _HELD_BACK)
    confirm_from_ns = held_ns if request.confirm_from_ns is None else request.confirm_from_ns
    to_ns = confirm_from_ns - request.embargo_ns if request.to_ns is None else request.to_ns
    for name, ns in (("begin", min(from_ns, confirm_from_ns)), ("end", max(to_ns, confirm_to_ns))):
        if not source.from_ns <= ns <= source.to_ns:
            raise CalibrationError(
                f"{name} of the calibration was {ns} ns, expected within the dataset: {source.from_ns} to"
                f" {source.to_ns}"
            )
    times = (request.block_ns, request.embargo_ns, request.folds)
    return Plan(from_ns, to_ns, confirm_from_ns, confirm_to_ns, *times)


class _Replays:
    """The recording under other weights. Each is played once."""

    def __init__(self, request: WeightsRequest, source: Source, until_ns: int, folder: Path) -> None:
        """Raises ConfigError where the recording is not the one that the dataset was made from."""
        self._request = request
        self._source = source
        self._until_ns = until_ns
        self._folder = folder
        self._played: dict[Weights, Fills] = {}
        name = source.made.scenario
        scenario, _ = load_scenario(name, request.scenarios)
        tape = open_tape(scenario, name, request.data, cache_folder())
        data_sha256 = hashlib.sha256("\n".join(feed.sha256 for feed in tape.feeds).encode()).hexdigest()
        if (tape.kind, data_sha256) != (source.kind, source.made.data_sha256):
            raise ConfigError(
                f"scenario {name}: is {tape.kind}, data {data_sha256[:12]}; expected {source.kind},"
                f" {source.made.data_sha256[:12]}, from which {source.name} was made"
            )
        wanted_ns = until_ns + _AFTER_NS - tape.first_ns
        self._duration_s = min(wanted_ns, held_ns(scenario, tape)) / SECOND

    def __call__(self, weights: Weights) -> Fills:
        if weights not in self._played:
            folder = self._folder / str(len(self._played))
            folder.mkdir()
            self._played[weights] = self._fills(weights, folder)
        return self._played[weights]

    def _fills(self, weights: Weights, folder: Path) -> Fills:
        overlay = folder / "weights.yaml"
        overlay.write_text(json.dumps({"spread": weights._asdict()}), encoding="utf-8")
        directories = [str(self._played_run(overlay, folder, part)) for part in self._parts]
        source = self._source
        within = (source.from_ns, self._until_ns, source.interval_ns)
        return fills_of(work_out(DatasetRequest(directories, folder / "out", *within)).fills)[0]

    @property
    def _parts(self) -> list[str | None]:
        """Of the scenario; None for all of it at once."""
        request = self._request
        return [*part_names(self._source.made.scenario, request.scenarios, request.data)] or [None]

    def _played_run(self, overlay: Path, folder: Path, part: str | None) -> Path:
        request, name = self._request, part or "whole"
        run = Run(
            RunRequest(
                scenario=self._source.made.scenario,
                scenarios=request.scenarios,
                config=[*request.config, overlay],
                data=request.data,
                run_id=f"weights-{name}",
                directory=folder / name,
                step="calibrate",
                duration_s=self._duration_s,
                engine=request.engine,
                part=part,
            )
        )
        for _ in run:
            pass
        return run.directory
