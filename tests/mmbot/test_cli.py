"""The `mmbot` command: a run prints what it did; bad input is one line, exit code 2, and nothing written."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from tests.mmbot.builders import (
    NEXO,
    REPO,
    START_NS,
    Command,
    capture,
    inverse,
    ms,
    recorded_file,
    wire_snapshot,
)


@pytest.fixture
def given(tmp_path: Path) -> list[str | Path]:
    """Options that play the short scenario into `out`."""
    return [
        *("run", "--scenario", "short", "--scenarios", tmp_path / "scenarios"),
        *("--config", REPO / "config.yaml", "--out", tmp_path / "out"),
    ]


def test_help_names_the_command(mmbot: Command):
    code, out, err = mmbot("--help")
    assert (code, err) == (0, "")
    assert "run" in out


def test_help_of_run_names_its_options(mmbot: Command):
    code, out, _ = mmbot("run", "--help")
    assert code == 0
    for option in (
        "--scenario",
        "--config-override",
        "--duration",
        "--data",
        "--out",
        "--seed",
        "--mode",
        "--status-port",
    ):
        assert option in out


def test_a_short_run_prints_its_table_and_writes_its_directory(mmbot: Command, given: list, tmp_path: Path):
    code, out, err = mmbot(*given, "--duration", "10s")
    assert (code, err) == (0, "")
    manifest = msgspec.json.decode((tmp_path / "out" / "manifest.json").read_bytes())
    assert manifest["status"] == "complete"
    assert "short, synthetic  SYNTHETIC DATA" in out
    for text in (
        "ticks",
        "100",
        "md_cache reads",
        "hit 100.0%",
        "tick_total p95",
        "modelled wait 0.000",
        "fills",
    ):
        assert text in out
    counts = manifest["counts"]
    told = f"{counts['orders']} sent, {counts['amends']} amends, {counts['cancels']} cancels, "
    assert told in " ".join(out.split())
    assert manifest["run_digest"] in out
    assert "NO_DATA: no fill has a mid 60 s later" in out


def test_a_run_that_is_shown_says_where(mmbot: Command, given: list):
    code, out, err = mmbot(*given, "--duration", "10s", "--status-port", "0")
    assert (code, err) == (0, "")
    assert re.match(r"shown at http://127\.0\.0\.1:\d+/\n", out)


def test_a_taken_status_port_is_one_line_and_no_run(mmbot: Command, given: list, tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, out, err = mmbot(*given, "--status-port", taken.getsockname()[1])
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("mmbot: --status-port: was ")
    assert not (tmp_path / "out").exists()


def test_the_same_command_twice_prints_the_same_digest(mmbot: Command, given: list, tmp_path: Path):
    digests = set()
    for name in ("one", "two"):
        assert mmbot(*given[:-1], tmp_path / name)[0] == 0
        digests.add(msgspec.json.decode((tmp_path / name / "manifest.json").read_bytes())["run_digest"])
    assert len(digests) == 1


def test_seed_and_overrides_reach_the_run(mmbot: Command, given: list, tmp_path: Path):
    (tmp_path / "a.yaml").write_text("emit:\n  levels: 2\n")
    (tmp_path / "b.yaml").write_text("emit:\n  levels: 3\n")
    override = ["--config-override", tmp_path / "a.yaml", "--config-override", tmp_path / "b.yaml"]
    assert mmbot(*given, "--seed", "9", *override)[0] == 0
    manifest = msgspec.json.decode((tmp_path / "out" / "manifest.json").read_bytes())
    assert (manifest["seed"], manifest["config"]["emit"]["levels"]) == (9, 3)


def test_all_of_a_recording_is_longer_than_the_scenarios_own_duration(
    mmbot: Command, given: list, tmp_path: Path
):
    assert mmbot(*given, "--duration", "all")[0] == 0
    manifest = msgspec.json.decode((tmp_path / "out" / "manifest.json").read_bytes())
    assert manifest["counts"]["ticks"] > 150


def test_a_recorded_run_of_an_inverse_contract_states_its_profit_in_base(
    mmbot: Command, given: list, tmp_path: Path
):
    frames = [
        (ms(0), wire_snapshot(1, [["2500.00", "5"]], [["2500.10", "5"]])),
        (ms(900), b'{"_sent":{}}'),
    ]
    capture(tmp_path / "data" / "eth.dat", frames)
    recorded_file(tmp_path / "scenarios", [(inverse(), "eth.dat")])
    code, out, _ = mmbot(*given, "--scenario", "taped", "--data", tmp_path / "data")
    assert code == 0
    assert "taped, recorded" in out
    assert "SYNTHETIC" not in out


BAD = {
    "scenario": (["--scenario", "nosuch"], "nosuch.yaml: no such scenario; there are: short"),
    "config": (["--config", "nosuch.yaml"], "nosuch.yaml: cannot be read: No such file or directory"),
    "override": (["--config-override", "nosuch.yaml"], "nosuch.yaml: cannot be read"),
    "duration": (
        ["--duration", "forever"],
        "--duration: duration was 'forever', expected a number and one of",
    ),
    "no duration": (["--duration", "0s"], "--duration: duration was '0s', expected more than zero"),
    "mode": (["--mode", "live"], "MMBOT_LIVE was not set, expected 1: --mode live sends real orders"),
}


def refused(answer: tuple[int, str, str], folder: Path) -> str:
    """The error, after a look at everything that must hold of one."""
    code, out, err = answer
    assert code == 2
    assert out.strip() == ""
    assert err.startswith("mmbot: ")
    assert err.count("\n") == 1
    assert not (folder / "out").exists()
    assert [path for path in (folder / "here").rglob("*") if path.is_file()] == []
    return err


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_line_and_nothing_is_written(mmbot: Command, given: list, tmp_path: Path, what: str):
    arguments, expected = BAD[what]
    assert expected in refused(mmbot(*given, *arguments), tmp_path)


def test_a_bad_value_in_the_config_is_one_line_with_its_place(mmbot: Command, given: list, tmp_path: Path):
    (tmp_path / "bad.yaml").write_text("emit:\n  levels: many\n")
    err = refused(mmbot(*given, "--config-override", tmp_path / "bad.yaml"), tmp_path)
    assert f"{tmp_path}/bad.yaml:2: emit.levels: Expected `int`, got `str`" in err


def test_an_output_that_cannot_be_written_is_one_line(mmbot: Command, given: list, tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    err = refused(mmbot(*given[:-1], tmp_path / "file" / "out"), tmp_path)
    assert "run directory cannot be made" in err


def test_an_output_that_exists_is_one_line_and_left_alone(mmbot: Command, given: list, tmp_path: Path):
    (tmp_path / "kept").mkdir()
    assert "File exists" in refused(mmbot(*given[:-1], tmp_path / "kept"), tmp_path)
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_one_line(
    mmbot: Command, given: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("MMBOT_CACHE", str(tmp_path / "file"))
    assert "cache cannot be written" in refused(mmbot(*given), tmp_path)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([(START_NS, b"junk")], "nexo.dat:1: frame was not a Binance message"),
        (
            [(START_NS, b'{"stream":"x@trade","data":{"s":"\xff"}}')],
            "nexo.dat:1: frame was not a Binance message",
        ),
        ([(START_NS, b'{"_sent":{}}')], "no book snapshot in 1 frames"),
        ([(5, b"{}")], "nexo.dat:1: line was '5 {}'"),
    ],
    ids=["junk", "not UTF-8", "no snapshot", "stamp"],
)
def test_a_capture_that_cannot_be_read_is_one_line(
    mmbot: Command, given: list, tmp_path: Path, frames: list[tuple[int, bytes]], expected: str
):
    capture(tmp_path / "data" / "nexo.dat", frames)
    recorded_file(tmp_path / "scenarios", [(NEXO, "nexo.dat")])
    assert expected in refused(mmbot(*given, "--scenario", "taped", "--data", tmp_path / "data"), tmp_path)


def test_captures_that_are_not_there_are_one_line(mmbot: Command, given: list, tmp_path: Path):
    recorded_file(tmp_path / "scenarios", [(NEXO, "nexo.dat")])
    assert "needs recorded data" in refused(mmbot(*given, "--scenario", "taped"), tmp_path)


def test_the_console_script_is_installed_and_keeps_its_exit_code(tmp_path: Path):
    script = Path(sys.executable).with_name("mmbot")
    done = subprocess.run(
        [script, "run", "--scenario", "x"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "mmbot: scenarios/x.yaml: no such scenario; there are: none\n"


def test_an_interrupted_run_is_resumed_as_it_was_asked_for(mmbot: Command, given: list, tmp_path: Path):
    out = tmp_path / "out"
    assert mmbot("run", "--resume", out, "--seed", "3") == (
        2,
        "",
        "mmbot: --resume: goes on as the run was asked for: expected no --seed\n",
    )
    assert mmbot("run", "--resume", out)[2] == f"mmbot: {out}: is no directory of a run: nothing to resume\n"
    assert mmbot(*given)[0] == 0
    assert mmbot("run", "--resume", out)[2] == f"mmbot: {out}: the run is complete: nothing to resume\n"
