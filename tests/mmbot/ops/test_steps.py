"""A step is a pytest process: its exit code, its verdict and its signals are passed on as they are."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mmbot.errors import ConfigError
from mmbot.ops.steps import judged_step

RUN_STEP = "import sys; from mmbot.ops.steps import run_step; sys.exit(run_step('slow', ['-s', '-q']))"
WAITS = """
import signal, pytest

def told(*_):
    pytest.exit("told to stop", returncode=7)

@pytest.mark.slow
def test_waits():
    {handler}
    print("ready", flush=True)
    signal.pause()
"""
WRITES = """
from pathlib import Path
import pytest

@pytest.mark.soak
def test_soak():
    path = Path("artifacts/verdicts/soak.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text({text!r})
    assert {green}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nmarkers =\n    slow: of this test\n    soak: of this test\n"
    )
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stopped(project: Path, handler: str, number: signal.Signals) -> int:
    """Exit code of `run_step` after a signal to it alone, once its test has begun."""
    (project / "test_step.py").write_text(WAITS.format(handler=handler))
    command = [sys.executable, "-c", RUN_STEP]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        assert any("ready" in line for line in process.stdout)
        process.send_signal(number)
        process.stdout.read()
        return process.wait()


def test_a_request_to_stop_is_passed_on_and_the_answer_comes_back(project: Path):
    assert stopped(project, "signal.signal(signal.SIGTERM, told)", signal.SIGTERM) == 7


def test_a_step_that_a_signal_ended_says_which(project: Path):
    assert stopped(project, "pass", signal.SIGTERM) == 128 + signal.SIGTERM


def soaked(project: Path, text: str, *, green: bool) -> tuple[int, str]:
    (project / "test_step.py").write_text(WRITES.format(text=text, green=green))
    return judged_step("soak", ["-q"], Path("artifacts"))


def test_code_and_verdict_are_those_of_the_session(project: Path, capfd: pytest.CaptureFixture[str]):
    text = '{"label": "PASS (SYNTHETIC)", "reason": null}'
    assert soaked(project, text, green=True) == (
        0,
        "soak: PASS (SYNTHETIC) (artifacts/verdicts/soak.json)",
    )
    text = '{"label": "FAIL", "reason": "the run is halted: stop rule"}'
    code, verdict = soaked(project, text, green=False)
    assert (code, verdict) == (
        1,
        "soak: FAIL: the run is halted: stop rule (artifacts/verdicts/soak.json)",
    )
    assert "1 failed" in capfd.readouterr().out  # pytest spoke for itself


def test_a_verdict_of_another_session_is_none(project: Path):
    (project / "artifacts" / "verdicts").mkdir(parents=True)
    (project / "artifacts" / "verdicts" / "soak.json").write_text('{"label": "PASS"}')
    code, verdict = judged_step("soak", ["-q"], Path("artifacts"))
    assert code == pytest.ExitCode.NO_TESTS_COLLECTED
    assert verdict == "soak: no verdict: pytest ended with 5 before it wrote artifacts/verdicts/soak.json"


def test_what_is_no_verdict_is_one_line(project: Path):
    with pytest.raises(ConfigError, match=r"artifacts/verdicts/soak\.json: was no verdict: "):
        soaked(project, "[]", green=True)
