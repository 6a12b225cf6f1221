"""What a session records of a rollout, and who has to be waited for."""

import os
import platform
import shutil
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from tests.mmbot.builders import MARKET, REPO, START_NS, Command, linear, scenario_file
from tests.mmbot.experiment.plans import plan_file

from mmbot.errors import ConfigError
from mmbot.experiment.plan import Stage
from mmbot.experiment.rollout import Action, State
from mmbot.ops.live import check_candidate
from mmbot.ops.rollouts import followers, record, wait_for
from mmbot.runtime.rollout_folder import RolloutFolder
from mmbot.runtime.running import Status
from mmbot.units import SECOND

SYMBOLS = {"SYNTH01USDT": {"base": "S1", "seed": 1}, "SYNTH02USDT": {"base": "S2", "seed": 2}}


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In a working directory with all that it names."""
    here = tmp_path / "desk"
    here.mkdir()
    monkeypatch.chdir(here)
    shutil.copy(REPO / "config.yaml", here)
    Path("wider.b.yaml").write_text("spread: {base_bps: 3.5}\n")
    Path("ab.yaml").write_text("gate: ab\n")
    instrument = msgspec.to_builtins(linear())
    del instrument["symbol"], instrument["base"]
    settings = {name: value for name, value in MARKET.items() if name != "symbol"}
    market = {"start_ns": START_NS, "instrument": instrument, "settings": settings, "symbols": SYMBOLS}
    scenario_file(Path("scenarios"), "two", market=market)
    return plan_file(Path())


def told(plan: Path, action: str, stage: str, **known: Any) -> State:
    return record(plan, Path("scenarios"), Path("rollouts"), action, Stage(stage), live=False, known=known)


def folder() -> RolloutFolder:
    return RolloutFolder(Path("rollouts/wider"))


def test_a_session_walks_the_stages_and_the_last_one_accepts(plan: Path):
    told(plan, "passed", "replay", data_kind="recorded")
    with pytest.raises(ConfigError, match="expected the rollback to have been rehearsed"):
        told(plan, "begun", "10")
    folder().record(Action.REHEARSED, 1)
    for stage in ("10", "50", "100"):
        assert told(plan, "begun", stage).status.value == stage
        state = told(plan, "passed", stage, data_kind="live")
    assert state.status.value == "accepted"
    assert state.passed_on == {"replay": "recorded", "10": "live", "50": "live", "100": "live"}


def test_a_stage_that_is_begun_again_begins_anew(plan: Path):
    told(plan, "passed", "replay")
    folder().record(Action.REHEARSED, 1)
    first, again = told(plan, "begun", "10"), told(plan, "begun", "10")
    assert again.began_ns > first.began_ns
    assert (again.status, again.passed) == (first.status, False)


def test_a_replay_that_is_played_again_later_changes_nothing(plan: Path):
    told(plan, "passed", "replay")
    folder().record(Action.REHEARSED, 1)
    state = told(plan, "begun", "10")
    assert told(plan, "passed", "replay") == state


def bot(rollout: Path | None, **changes: Any) -> Status:
    process = psutil.Process(os.getpid())
    facts: dict[str, Any] = {
        "schema": 1,
        "run_id": "run-1",
        "host": platform.node(),
        "pid": process.pid,
        "process_started_s": process.create_time(),
        "run_directory": "",
        "config": [],
        "scenario": "two",
        "scenarios": "",
        "config_sha256": "",
        "rollout": None if rollout is None else str(rollout.resolve()),
    }
    return Status(**facts | changes)


def test_followers_are_living_bots_of_this_rollout(tmp_path: Path):
    found = {
        "one": bot(tmp_path / "wider"),
        "two": bot(tmp_path / "other", run_id="run-2"),
        "three": bot(tmp_path / "wider", run_id="run-3", process_started_s=1.0),
        "four": bot(None, run_id="run-4"),
    }
    for name, status in found.items():
        (tmp_path / f"{name}.json").write_bytes(msgspec.json.encode(status))
    assert followers(tmp_path, tmp_path / "wider") == [found["one"]]
    (tmp_path / "five.json").write_text("{}")
    with pytest.raises(ConfigError, match="was no status of a running bot"):
        followers(tmp_path, tmp_path / "wider")


def test_it_waits_until_the_bot_says_that_the_baseline_is_in_force(plan: Path):
    told(plan, "passed", "replay")
    one, clock = bot(folder().path), [0]

    def pause(seconds: float) -> None:
        clock[0] += round(seconds * SECOND)
        if clock[0] > 2 * SECOND:
            folder().record(Action.IN_FORCE, 9, course="baseline", run_id="run-1")

    folder().record(Action.IN_FORCE, 1, course="baseline", run_id="run-1")
    folder().record(Action.ROLLBACK, 2, reason="drill")
    assert wait_for(folder(), [one], 1.0, lambda: clock[0], pause) == [one]
    assert wait_for(folder(), [one], 5.0, lambda: clock[0], pause) == []


class TestCommands:
    """`mmbot rollout`."""

    def test_where_nothing_is_planned_is_one_line(self, mmbot: Command, tmp_path: Path):
        for word in ("status", "pause", "resume", "rollback"):
            code, _, err = mmbot("rollout", word, "wider", "--artifacts", tmp_path)
            assert (code, err.count("\n")) == (2, 1)
            assert "nothing is planned" in err

    def test_pause_resume_and_rollback(self, mmbot: Command, plan: Path, tmp_path: Path):
        told(plan, "passed", "replay")
        shutil.move("rollouts", tmp_path / "edge" / "rollout")
        at = ("--artifacts", tmp_path)
        assert mmbot("rollout", "pause", "experiments/wider.yaml", "--reason", "lunch", *at)[0] == 0
        code, out, _ = mmbot("rollout", "status", "wider", *at)
        assert (code, out.splitlines()[0]) == (0, "wider: paused: lunch")
        code, out, _ = mmbot("rollout", "resume", "wider", *at)
        assert (code, out.splitlines()[0]) == (0, "wider: replay")
        code, out, _ = mmbot("rollout", "rollback", "wider", *at)
        assert (code, out) == (0, "rolled back; no bot follows it\n")
        code, _, err = mmbot("rollout", "resume", "wider", *at)
        assert code == 2
        assert "its status was rolled_back, expected a rollout that is not over" in err

    def test_an_altered_log_is_told_and_the_button_works(self, mmbot: Command, plan: Path, tmp_path: Path):
        told(plan, "passed", "replay")
        shutil.move("rollouts", tmp_path / "edge" / "rollout")
        log = tmp_path / "edge/rollout/wider/audit.jsonl"
        log.write_bytes(log.read_bytes().replace(b'"action":"begun"', b'"action":"begin"'))
        code, _, err = mmbot("rollout", "status", "wider", "--artifacts", tmp_path)
        assert (code, err) == (1, f"{log}:2: the audit log was altered at this line\n")
        code, _, err = mmbot("rollout", "rollback", "wider", "--artifacts", tmp_path)
        assert code == 1
        assert "was altered: bots that follow it are on the baseline" in err
        assert b'"action":"rollback"' in log.read_bytes().splitlines()[-1]

    def test_a_plan_is_played_and_names_its_own_files(self, mmbot: Command, plan: Path):
        play = ("run", "--scenario", "two", "--plan", plan, "--duration", "5s", "--engine", "plain")
        code, out, _ = mmbot(*play, "--stage", "50", "--out", "run")
        assert code == 0, out
        assert msgspec.json.decode(Path("run/manifest.json").read_bytes())["experiment"]["course"] == "50"
        refused = {
            (): "stage was None, expected 10, 50 or 100",
            ("--stage", "50", "--config", "config.yaml"): "names its own files: expected no --config",
            ("--mode", "shadow"): "live: was absent, expected the name of a live scenario",
        }
        for words, message in refused.items():
            code, _, err = mmbot(*play[:5], *words)
            assert (code, message in err) == (2, True), err


def test_real_orders_stay_inside_what_prep_passed(plan: Path):
    Path("wider.b.yaml").write_text("taker_cap: {max_taker_share_pct: 8.5}\n")
    live = {"venue": "bybit_linear", "symbols": [*SYMBOLS], "depth": 50, "host": "testnet"}
    scenario_file(Path("scenarios/live"), "paper", kind="live", market=None, live=live)
    plan_file(Path(), live="paper")
    with pytest.raises(ConfigError, match=r"arms differ in taker_cap\.\w+: real orders stay inside"):
        check_candidate(plan, "paper", Path("scenarios"))
    Path("wider.b.yaml").write_text("spread: {base_bps: 3.5}\n")
    check_candidate(plan, "paper", Path("scenarios"))
