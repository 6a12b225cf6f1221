"""`mmbot top --once`: a run by name, by directory, or the only one; and who is asked."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import msgspec
import psutil
import pytest
from rich.console import Console
from rich.text import Text
from tests.mmbot.builders import Command, run_request
from tests.mmbot.telemetry.test_view import facts_of, quoting, state_of

from mmbot.cli_top import shown, watched
from mmbot.errors import TransportError
from mmbot.runtime.run import Run
from mmbot.runtime.running import Status, read_status
from mmbot.runtime.shown import ShownRun
from mmbot.telemetry.view import RuleState, RunState, View


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(run_request(tmp_path))


@contextmanager
def playing(run: Run, running: Path) -> Iterator[None]:
    """The run is shown, and stands after its first batch; then it plays to its end."""
    before = signal.getsignal(signal.SIGHUP)
    batches = iter(ShownRun(run, 0, "status_port", running))
    next(batches)
    yield
    for _ in batches:
        pass
    signal.signal(signal.SIGHUP, before)


def put(running: Path, run_id: str, *, run_directory: Path, pid: int | None = None) -> Path:
    """A status file of a run without a page."""
    process = psutil.Process()
    status = Status(
        schema=1,
        run_id=run_id,
        host=os.uname().nodename,
        pid=pid or process.pid,
        process_started_s=process.create_time(),
        run_directory=str(run_directory),
        config=[],
        scenario="short",
        scenarios="scenarios",
        config_sha256="00",
    )
    running.mkdir(exist_ok=True)
    path = running / f"{run_id}.json"
    path.write_bytes(msgspec.json.encode(status))
    return path


def test_a_run_that_is_shown_is_asked_by_its_name(mmbot: Command, tmp_path: Path, run: Run):
    running = tmp_path / "running"
    with playing(run, running):
        status = read_status(running / "run.json")
        by_name = mmbot("top", "run", "--once", "--running", running)
        the_only = mmbot("top", "--once", "--running", running)
    assert status is not None
    assert status.status_url is not None
    assert by_name == the_only
    code, out, err = by_name
    assert (code, err) == (0, "")
    assert out.startswith("short: ")
    assert "replay, SYNTHETIC DATA" in out
    assert f"of 0:00:{run.planned_ns // 10**9:02d}" in out  # which the directory does not tell


def test_a_run_without_a_page_is_read_from_its_directory(mmbot: Command, tmp_path: Path, run: Run):
    for _ in run:
        pass
    put(tmp_path / "running", "quiet", run_directory=run.directory)
    by_name = mmbot("top", "quiet", "--once", "--running", tmp_path / "running")
    by_directory = mmbot("top", run.directory, "--once")
    assert by_name == by_directory
    assert by_name[0] == 0
    assert by_name[1].startswith("short: complete, replay, SYNTHETIC DATA\n")
    assert str(run.counts.ticks) in by_name[1]


def test_whoever_is_not_there_is_one_line(mmbot: Command, tmp_path: Path, run: Run):
    running = tmp_path / "running"
    assert mmbot("top", "--running", running) == (2, "", f"mmbot: {running}: none runs, expected RUN\n")
    put(running, "one", run_directory=run.directory)
    put(running, "two", run_directory=run.directory)
    code, _, err = mmbot("top", "--running", running)
    assert (code, err) == (2, f"mmbot: {running}: several run: one, two, expected RUN\n")
    code, _, err = mmbot("top", "three", "--running", running)
    path = running / "three.json"
    assert (code, err) == (2, f"mmbot: three: no run directory, and no {path}; running here: one, two\n")
    put(running, "gone", run_directory=run.directory, pid=2**22 + 1)
    code, _, err = mmbot("top", "gone", "--running", running)
    assert (code, err.count("\n")) == (2, 1)
    assert "is gone; its rows lie in" in err


def printed(view: View, width: int) -> str:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(shown(view.state(), console))
    return captured.get()


def test_text_is_no_markup_and_wide_tables_are_turned():
    view = View(facts_of())
    view.rules = [RuleState("[bold]rule[/bold]", "stop", "7%, > 5% since 08:40 of 10:00", fired=False)]
    view.rows([quoting()])
    for width in (80, 200):
        text = printed(view, width)
        assert "[bold]rule[/bold]" in text
        assert "since 08:40 of 10:00" in text
        assert "half spread bps" in text
        assert "bybit_linear:SYNTHUSDT" in text


def test_before_the_first_row_there_is_no_data():
    console = Console(width=120)
    with console.capture() as captured:
        console.print(shown(state_of(), console))
    assert "demo: starting" in captured.get()
    assert "no data" in captured.get()


@pytest.mark.parametrize("ending", ["complete", "its page is gone"])
def test_it_is_shown_anew_until_it_ends(ending: str):
    view, console = View(facts_of()), Console(width=120, force_terminal=True, file=StringIO())
    waited: list[float] = []

    def states() -> RunState:
        view.rows([quoting()])
        if len(waited) == 2 and ending == "complete":
            view.ended("complete", None)
        elif len(waited) == 2:
            raise TransportError("no connection", "connect")
        return view.state()

    last = watched(states, console, waited.append)
    assert waited == [1.0, 1.0]
    told = [line for line in Text.from_ansi(console.file.getvalue()).plain.splitlines() if "ticks  " in line]
    if ending == "complete":
        assert (last.state, last.ticks) == ("complete", 3)
        assert [line.split()[-1] for line in told] == ["1", "2", "3"]
    else:
        assert (last.state, last.ticks) == ("quoting", 2)
        assert [line.split()[-1] for line in told] == ["1", "2"]
