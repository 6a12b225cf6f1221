"""Both arms in a replay: rows that tell them apart, either engine, checkpoints, and what is refused."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.mmbot.builders import (
    MARKET,
    REPO,
    START_NS,
    Command,
    HandStopwatch,
    linear,
    run_request,
    scenario_file,
)
from tests.mmbot.experiment.plans import plan, plan_file

from mmbot.errors import ConfigError
from mmbot.experiment.plan import Stage, load_experiment
from mmbot.experiment.switchback import Schedule
from mmbot.model.orders import arm_of
from mmbot.runtime.run import EngineKind, Run, RunRequest, interrupted
from mmbot.units import SECOND

SYMBOLS = {"SYNTH01USDT": {"base": "S1", "seed": 1}, "SYNTH02USDT": {"base": "S2", "seed": 2}}
SECTIONS = {"telemetry": {"sample_interval_s": 1, "checkpoint_interval_s": 3}}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a market of two symbols and a plan for it."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPO / "config.yaml", tmp_path)
    (tmp_path / "wider.b.yaml").write_text("spread: {base_bps: 3.5}\n")
    (tmp_path / "ab.yaml").write_text("gate: ab\n")
    left_out = ("symbol", "base")
    instrument = {key: value for key, value in msgspec.to_builtins(linear()).items() if key not in left_out}
    settings = {key: value for key, value in MARKET.items() if key != "symbol"} | {"duration_s": 27.0}
    market = {"start_ns": START_NS, "instrument": instrument, "settings": settings, "symbols": SYMBOLS}
    scenario_file(tmp_path / "scenarios", "two", market=market, duration="22s", config=SECTIONS)
    plan_file(tmp_path, block="4s", washout="1s")
    return tmp_path


def asked(name: str = "run", **changes: Any) -> RunRequest:
    facts = {"scenario": "two", "config": [Path("config.yaml")], "engine": EngineKind.PLAIN}
    facts |= {"plan": Path("wider.yaml"), "stage": Stage.FIFTY, "scenarios": Path("scenarios")}
    return run_request(Path.cwd(), name, **facts | changes)


def played(request: RunRequest) -> Run:
    run = Run(request, HandStopwatch(1_000))
    for _ in run:
        pass
    return run


def rows(run: Run, feed: str) -> list[dict[str, Any]]:
    lines = b"".join(path.read_bytes() for path in sorted(run.directory.glob(f"{feed}_*.jsonl")))
    return [msgspec.json.decode(line) for line in lines.splitlines()]


def manifest(run: Run) -> dict[str, Any]:
    return msgspec.json.decode((run.directory / "manifest.json").read_bytes())


def test_rows_and_manifest_say_which_arm_and_which_plan():
    run = played(asked())
    experiment = load_experiment(Path("wider.yaml"), Path("scenarios"))
    found = manifest(run)
    assert (found["arm"], found["config_sha256"]) == ("AB", experiment.settings["A"].sha256())
    assert found["experiment"]["plan_hash"] == experiment.plan_hash
    assert found["experiment"]["course"] == "50"
    schedule = Schedule(experiment.plan, Stage.FIFTY, found["started_ns"])
    seen = set()
    for row in rows(run, "pipeline_ticks"):
        if "switch" not in row["reasons"]:
            assert row["arm"] == schedule.arm_at(row["symbol"], row["ts_ns"])
            seen.add((row["symbol"], row["arm"]))
    assert len(seen) == 4
    fills = rows(run, "fills")
    assert {fill["arm"] for fill in fills} == {"A", "B"}
    assert all(fill["arm"] == arm_of(fill["client_id"]) for fill in fills)
    assert {event["arm"] for event in rows(run, "events")} == {"AB"}


def test_kernel_and_plain_python_trade_the_same():
    plain, compiled = (played(asked(engine.value, engine=engine)) for engine in list(EngineKind)[1:])
    assert plain.digest == compiled.digest
    assert plain.counts == compiled.counts


def test_rolled_back_before_it_began_it_trades_as_the_baseline_alone():
    run = Run(asked(), HandStopwatch(1_000))
    run.rollback("drill")
    for _ in run:
        pass
    alone = played(asked("alone", plan=None, stage=None))
    assert (run.digest, run.counts) == (alone.digest, alone.counts)
    assert alone.counts.fills > 0
    assert manifest(alone)["experiment"] is None


def test_a_rollback_in_the_middle_leaves_no_candidate_behind():
    run = Run(asked(), HandStopwatch(1_000))
    rolled_ns = None
    for feed, lines in run:
        if rolled_ns is None and feed == "pipeline_ticks" and b'"arm":"B"' in lines:
            run.rollback("taker share")
            rolled_ns = msgspec.json.decode(lines.splitlines()[-1])["ts_ns"]
    assert rolled_ns is not None
    [done] = [row for row in rows(run, "events") if row["kind"] == "course_in_force"][1:]
    hashes = {done["detail"][f"{cluster}.config_sha256"] for cluster in ("majors", "others")}
    assert hashes == {manifest(run)["config_sha256"]}
    after = [row for row in rows(run, "pipeline_ticks") if row["ts_ns"] >= done["ts_ns"]]
    assert after
    assert {row["arm"] for row in after} == {"A"}
    assert not [fill for fill in rows(run, "fills") if fill["arm"] == "B" and fill["ts_ns"] > done["ts_ns"]]


@pytest.mark.parametrize("engine", [EngineKind.PLAIN, EngineKind.COMPILED])
def test_an_interrupted_run_goes_on_in_the_arm_that_it_was_in(engine: EngineKind):
    whole = played(asked("whole", engine=engine))
    run = Run(asked("cut", engine=engine), HandStopwatch(1_000))
    playing = iter(run)
    for _ in range(40):
        next(playing)
    shutil.copytree(run.directory, "left")
    resumed = dataclasses.replace(interrupted(Path("left")), run_id="cut")
    again = Run(resumed, HandStopwatch(1_000))
    assert again.resumed_ns is not None
    for _ in again:
        pass
    assert again.digest == whole.digest
    playing.close()


def test_an_interrupted_run_of_a_plan_is_resumed_by_the_command_where_its_files_are(
    mmbot: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(folder)
    whole = played(asked("whole"))
    run = Run(asked("cut"), HandStopwatch(1_000))
    playing = iter(run)
    for _ in range(40):
        next(playing)
    shutil.copytree(run.directory, "left")
    playing.close()
    monkeypatch.chdir(folder / "scenarios")
    code, _, said = mmbot("run", "--resume", folder / "left")
    assert (code, said.count("\n")) == (2, 1)
    assert f"files of its plan are named from {folder}, and the working directory is" in said
    monkeypatch.chdir(folder)
    text = Path("wider.yaml").read_text()
    Path("wider.yaml").write_text(text.replace('"seed": 1', '"seed": 2'))
    code, _, said = mmbot("run", "--resume", "left")
    assert (code, said.count("\n")) == (2, 1)
    assert "left: cannot be resumed: experiment is 50 of" in said, "the plan was edited meanwhile"
    Path("wider.yaml").write_text(text)
    assert mmbot("run", "--resume", "left")[0] == 0
    found = msgspec.json.decode(Path("left/manifest.json").read_bytes())
    assert (found["status"], found["run_digest"]) == ("complete", manifest(whole)["run_digest"])


def test_a_label_alone_changes_nothing_but_names():
    """Under a stage that gives all of its blocks to one arm, every order and fill is that of a run without a
    plan; so it is where the arm is the candidate, whose configuration here is the baseline's.
    """
    Path("wider.b.yaml").write_text("{}\n")
    plain = played(asked("plain", plan=None, stage=None))
    for stage, arm in ((Stage.TEN, "A"), (Stage.HUNDRED, "B")):
        name = f"stage-{stage}"
        plan_file(Path.cwd(), block="4s", washout="1s", seed=_seed_of_one_arm(stage))
        run = played(asked(name, stage=stage))
        assert {row["arm"] for row in rows(run, "fills")} == {arm}
        for feed in ("pipeline_ticks", "fills"):
            assert len(rows(plain, feed)) > 10
            assert [_nameless(row) for row in rows(run, feed)] == [
                _nameless(row) for row in rows(plain, feed)
            ]


def _seed_of_one_arm(stage: Stage) -> int:
    """Of a plan that has no block of the other arm in the first 22 s."""
    for seed in range(1000):
        schedule = Schedule(plan(block="4s", washout="1s", seed=seed), stage, 0)
        blocks = [block for name in ("majors", "others") for block in schedule.blocks(name, 24 * SECOND)]
        if len({block.arm for block in blocks}) == 1:
            return seed
    raise AssertionError("no seed of 1,000 leaves six blocks to one arm")


def _nameless(row: dict[str, Any]) -> dict[str, Any]:
    """Without names of the run and of arms, and without what the machine measured."""
    named = {"run_id", "arm"}
    kept = {name: value for name, value in row.items() if name not in named}
    if "client_id" in kept:
        kept["client_id"] = kept["client_id"].partition("-")[2]
    return kept


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stage": None}, "stage was None, expected 10, 50 or 100"),
        ({"stage": Stage.REPLAY}, "stage was replay, expected 10, 50 or 100"),
        ({"wake_filter": True}, "expected no wake filter"),
        ({"config": [Path("config.yaml"), Path("wider.b.yaml")]}, "expected that of arm A"),
    ],
)
def test_what_cannot_be_played_is_refused(changes: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        Run(asked(**changes))


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        (
            "fetch_md: {depth_ticks: 9}",
            "differ in fetch_md.depth_ticks, which cannot change while",
        ),
        ("limits: {max_position_quote: 9}", "differ in limits.max_position_quote, which all symbols share"),
    ],
)
def test_arms_that_cannot_change_places_are_refused(candidate: str, message: str):
    Path("wider.b.yaml").write_text(candidate + "\n")
    with pytest.raises(ConfigError, match=message):
        Run(asked())


def test_a_run_of_one_configuration_has_nothing_to_return_to():
    run = Run(asked(plan=None, stage=None))
    with pytest.raises(ConfigError, match="runs one configuration"):
        run.rollback("drill")
