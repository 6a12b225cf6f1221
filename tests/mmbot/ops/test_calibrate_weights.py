"""From a dataset on the disk to a sealed overlay and its page; what cannot be calibrated from is one line."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from tests.mmbot.builders import REPO, START_NS, Command, scenario_file
from tests.mmbot.calibration.markets import BOUNDS, HOUR_NS, Market

from mmbot.calibration.spread_need import Weights
from mmbot.calibration.weights import Plan, calibrate
from mmbot.config.calibrated import opened
from mmbot.config.settings import load_settings
from mmbot.config.strict_yaml import load, parse
from mmbot.errors import CalibrationError, ConfigError, DatasetError
from mmbot.ops.calibrate_queue import calibrate_queue
from mmbot.ops.calibrate_weights import (
    Calibrated,
    WeightsRequest,
    _Replays,
    calibrate_weights,
    fills_of,
    find_dataset,
    read_source,
)
from mmbot.ops.dataset import DatasetRequest, make_dataset
from mmbot.ops.weights_report import overlay, report_files, write
from mmbot.runtime.run import EngineKind, Run, RunRequest
from mmbot.units import SECOND

MINUTE_NS = 60 * SECOND
SETTINGS: dict[str, Any] = {
    "pipeline": {"tick_interval_ms": 500},
    "md_cache": {"ttl_ms": 1_000, "fresh_ms_for_pricing": 2_000},
    "fetch_md": {"volatility_halflife_s": 15},
    "spread": {"liquidity_halflife_s": 15, "volatility_weight_bps": 0.0, "min_bps": 1.0, "base_bps": 1.5},
    "guards": {"soft_volatility_bps": 50.0, "hard_volatility_bps": 90.0},
    "trace": {"sample_rate": 1.0},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with half an hour of a market, the bot's configuration, and the dataset of a run over it."""
    folder = tmp_path_factory.mktemp("project")
    settings = {
        "symbol": "bybit_linear:SYNTHUSDT",
        "duration_s": 1_920.0,
        "depth_levels": 20,
        "message_interval_ms": 500,
        "volatility_log_sigma": 1.0,
    }
    scenario_file(folder, "half-hour")
    market = json.loads((folder / "half-hour.yaml").read_text())["market"] | {"settings": settings}
    scenario_file(folder, "half-hour", duration="30m", market=market)
    (folder / "config.yaml").write_bytes((REPO / "config.yaml").read_bytes())
    (folder / "soak.yaml").write_text(json.dumps(SETTINGS), encoding="utf-8")
    run = Run(
        RunRequest(
            scenario="half-hour",
            scenarios=folder,
            config=[folder / "config.yaml", folder / "soak.yaml"],
            data=None,
            run_id="soak",
            directory=folder / "soak",
            engine=EngineKind.PLAIN,
        )
    )
    assert list(run)
    make_dataset(DatasetRequest([str(run.directory)], folder / "artifacts", interval_ns=MINUTE_NS))
    return folder


def request(project: Path, **changes: Any) -> WeightsRequest:
    asked = WeightsRequest(
        dataset=find_dataset(project / "artifacts" / "edge" / "datasets"),
        config=[project / "config.yaml", project / "soak.yaml"],
        scenarios=project,
        data=None,
        block_ns=2 * MINUTE_NS,
        embargo_ns=MINUTE_NS,
        folds=2,
        confirm_from_ns=START_NS + 13 * MINUTE_NS,
        engine=EngineKind.PLAIN,
    )
    return replace(asked, **changes)


def test_a_replay_of_the_old_weights_brings_the_fills_of_the_dataset(project: Path, tmp_path: Path):
    asked = request(project)
    source = read_source(asked.dataset)
    old = Weights.of(load_settings(list(asked.config)).spread)
    replays = _Replays(asked, source, source.to_ns, tmp_path)
    apart_ns = source.to_ns - 3 * MINUTE_NS  # of the last fills the replay sees markouts that the run did not
    played, recorded = (fills.within(START_NS, apart_ns) for fills in (replays(old), source.fills))
    for name in ("ts_ns", "weight", "net_bps", "asked_bps", "scores"):
        assert len(played) > 40
        assert np.array_equal(getattr(played, name), getattr(recorded, name))
    assert replays(old) is replays(old)


def test_the_command_keeps_the_old_weights_says_so_and_says_it_again_to_the_byte(
    mmbot: Command, project: Path, tmp_path: Path
):
    config = ("--config", project / "config.yaml", "--config", project / "soak.yaml")
    dataset = ("--dataset", find_dataset(project / "artifacts" / "edge" / "datasets"))
    where = (*config, *dataset, "--scenarios", project, "--engine", "plain")
    how = ("--block", "2m", "--embargo", "1m", "--folds", "2", "--confirm-from", "2026-01-01T00:13:00Z")
    made = []
    for name in ("one", "two"):
        code, out, err = mmbot("calibrate", "weights", *where, *how, "--out", tmp_path / name)
        assert (code, err) == (1, "")
        assert "synthetic, SYNTHETIC DATA: " in out
        assert "keep the old weights: " in out
        edge = tmp_path / name / "edge"
        made.append({path.relative_to(edge): path.read_bytes() for path in edge.rglob("*.*")})
    assert made[0] == made[1]
    assert sorted(path.name for path in made[0]) == [
        "calib_weights_20260101_20260101.confirmation.svg",
        "calib_weights_20260101_20260101.md",
        "calib_weights_20260101_20260101.regimes.svg",
        "calib_weights_20260101_20260101.walk_forward.svg",
        "calibrated_weights.yaml",
    ]
    written = tmp_path / "one" / "edge" / "calibrated_weights.yaml"
    document, seal = opened(load(written))
    assert seal is not None
    assert (document.data, seal.outcome, seal.data_kind) == ({}, "old", "synthetic")
    assert seal.reason in out
    shown, plain = (
        mmbot("config", "show", "--config", project / "config.yaml", *last)
        for last in (("--config-override", written), ())
    )
    assert shown == plain
    summary = project / "artifacts" / "edge" / "reports" / "calib_summary_20260101_20260101.md"
    assert "(calib_weights_20260101_20260101.md)" in summary.read_text(encoding="utf-8")


def confirmed(project: Path) -> Calibrated:
    """New weights, of a market whose need is known."""
    market = Market(Weights(3.0, 8.0, 0.0, 0.0, 0.0), noise_bps=3.0)
    old = Weights(5.0, 0.0, 0.0, 2.0, 2.0)
    plan = Plan(START_NS, START_NS + 23 * HOUR_NS, START_NS + 24 * HOUR_NS, START_NS + 36 * HOUR_NS)
    result = calibrate(market(old), old, BOUNDS, plan, market)
    assert not result.kept_old
    return Calibrated(read_source(request(project).dataset), "c" * 64, BOUNDS, result)


def test_new_weights_are_an_overlay_that_a_run_takes(project: Path, tmp_path: Path):
    done = confirmed(project)
    path = write(done, tmp_path)
    settings = load_settings([REPO / "config.yaml", path])
    assert Weights.of(settings.spread) == done.result.new
    _, seal = opened(load(path))
    assert seal is not None
    assert seal.outcome == "new"
    assert seal.window.symbols == ["bybit_linear:SYNTHUSDT"]
    low, high = seal.intervals["spread.volatility_weight_bps"]
    assert low < 8.0 < high
    assert "SYNTHETIC DATA" in path.read_text(encoding="utf-8").splitlines()[0]


def test_the_page_says_what_was_weighed(project: Path):
    done = confirmed(project)
    files = report_files(done)
    page = files["calib_weights_20260101_20260101.md"].decode()
    confirmation = done.result.confirmation
    assert confirmation is not None
    for told in (
        "# Spread weights from calib_20260101_20260101 (SYNTHETIC)",
        "**New weights**, confirmed.",
        f"{confirmation.net_bps.value:+.2f}",
        "| volatility_weight_bps | 0 |",
        "latency_score, pnl_score.",
        "(calib_weights_20260101_20260101.regimes.svg)",
    ):
        assert told in page
    assert page.count("| 2026-01-0") == 2 + 2 * 4 + len(confirmation.blocks)
    assert files == report_files(done)
    for name, content in files.items():
        if name.endswith(".svg"):
            assert content.startswith(b"<?xml")


def edited(project: Path, folder: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of the dataset whose JSON says something else."""
    source = request(project).dataset
    shutil.copy(source.with_name(f"{source.stem}_fills.parquet"), folder)
    content = json.loads(source.read_text())
    edit(content)
    path = folder / source.name
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (
            lambda content: content.update(data_kind="mixed"),
            "data_kind was 'mixed', expected one of",
        ),
        (lambda content: content.update(schema=2), "was a calibration dataset of schema 2"),
        (lambda content: content["provenance"].append(content["provenance"][0]), "was made from 2 runs"),
        (lambda content: content["totals"].append(content["totals"][0] | {"arm": "B"}), "arms were A, B"),
        (
            lambda content: content["totals"].append(content["totals"][0] | {"settled_in": "BTC"}),
            "settlement currencies were BTC, USDT",
        ),
        (lambda content: content.pop("totals"), "was no calibration dataset"),
    ],
    ids=["mixed", "schema", "runs", "arms", "currencies", "totals"],
)
def test_a_dataset_that_says_less_than_it_seems_is_refused(
    project: Path, tmp_path: Path, edit: Callable[[dict[str, Any]], object], told: str
):
    with pytest.raises(DatasetError, match=told) as caught:
        read_source(edited(project, tmp_path, edit))
    assert "\n" not in str(caught.value)


def test_another_configuration_or_recording_than_the_datasets_is_refused(project: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"config_sha256 was .*that of the run that calib_2026"):
        calibrate_weights(request(project, config=[project / "config.yaml"]))
    other = edited(project, tmp_path, lambda content: content["provenance"][0].update(data_sha256="0" * 64))
    with pytest.raises(ConfigError, match=r"scenario half-hour: is synthetic, data .*expected synthetic, 0"):
        calibrate_weights(request(project, dataset=other))
    recorded = edited(project, tmp_path, lambda content: content.update(data_kind="recorded"))
    with pytest.raises(ConfigError, match=r"scenario half-hour: is synthetic, .*expected recorded"):
        calibrate_weights(request(project, dataset=recorded))


def test_times_outside_of_the_dataset_and_windows_that_overlap_are_refused(project: Path):
    with pytest.raises(CalibrationError, match=r"end of the calibration was .* expected within the dataset"):
        calibrate_weights(request(project, confirm_to_ns=START_NS + HOUR_NS))
    with pytest.raises(CalibrationError, match="overlaps the confirmation"):
        calibrate_weights(request(project, to_ns=START_NS + 13 * MINUTE_NS))


def test_fills_that_tell_nothing_are_counted_and_infinite_ones_refused(project: Path):
    source = request(project).dataset
    with duckdb.connect() as database:
        file = str(source.with_name(f"{source.stem}_fills.parquet"))
        found = database.execute("SELECT * FROM read_parquet(?)", [file]).fetchnumpy()
    columns = {
        name: np.ma.filled(values, np.nan) if values.dtype == float else np.asarray(values)
        for name, values in found.items()
    }
    fills, left_out = fills_of(columns)
    assert len(fills) + left_out == len(columns["ts_ns"])
    without = columns | {"net_bps": np.full(len(columns["ts_ns"]), np.nan)}
    assert fills_of(without)[1] == len(columns["ts_ns"])
    with pytest.raises(CalibrationError, match="values of net_bps were NaN or infinite"):
        fills_of(columns | {"net_bps": np.full(len(columns["ts_ns"]), np.inf)})


def test_a_folder_without_one_dataset_and_a_torn_one_are_named(tmp_path: Path):
    with pytest.raises(DatasetError, match="found none; expected one dataset, or --dataset"):
        find_dataset(tmp_path)
    path = tmp_path / "calib_x.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"calib_x_fills.parquet: cannot be read"):
        read_source(path)
    (tmp_path / "calib_x_fills.parquet").write_bytes(b"none")
    with pytest.raises(DatasetError, match="was no calibration dataset"):
        read_source(path)


def test_the_overlay_reads_back_as_it_was_hashed(project: Path):
    """Through YAML: numbers that look like others, hashes of digits alone."""
    document, seal = opened(parse(overlay(confirmed(project)), "overlay"))
    assert seal is not None
    assert document.data.keys() == {"spread"}


def test_queue_etas_are_held_against_the_waits_of_a_run(mmbot: Command, project: Path, tmp_path: Path):
    """Counted again from the rows: looks at orders at the touch, and fills between one and the next."""
    done = calibrate_queue(str(project / "soak"), MINUTE_NS)
    assert done.kind == "synthetic"
    assert done.configured_s == 20.0
    assert (done.found.looks, done.found.fills) == _counted(project / "soak")
    path = tmp_path / "queue.yaml"
    feeds = ("--feeds", project / "soak", "--block", "1m", "--overlay", path)
    code, out, err = mmbot("calibrate", "queue", *feeds)
    assert (code, err) == (0 if done.found.off else 1, "")
    assert out == f"written to {path}\n"
    settings = load_settings([REPO / "config.yaml", path])
    assert settings.queue_aware.max_eta_s == done.max_eta_s
    assert "SYNTHETIC DATA" in path.read_text(encoding="utf-8")


def _counted(run: Path) -> tuple[int, int]:
    def rows(feed: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (run / f"{feed}_20260101.jsonl").read_text().splitlines()]

    ticks = {tick["ts_ns"]: tick for tick in rows("pipeline_ticks")}
    traces, fills = rows("trace"), rows("fills")
    looks = filled = 0
    for one, following in pairwise(traces):
        tick = ticks[one["ts_ns"]]
        for side, word, away in (("bid", "buy", -1), ("ask", "sell", 1)):
            if not one[f"{side}_eta_s"] or tick[side] is None or one[f"{side}_ahead_lots"] is None:
                continue
            best = tick["mid"] * (1 + away * one["touch_bps"] / 20_000)
            if abs(tick[side] - best) < 0.005:
                looks += 1
                between = (one["ts_ns"], following["ts_ns"])
                filled += any(
                    fill["side"] == word and between[0] < fill["ts_ns"] <= between[1] for fill in fills
                )
    return looks, filled
