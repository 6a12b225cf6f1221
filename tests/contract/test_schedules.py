"""Examples of cron and systemd: what they start is a command that exists, and systemd takes the units."""

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.docs.commands import wrong_with

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "ops/systemd").iterdir())
CRON = (ROOT / "ops/cron/mmbot").read_text()


def unit(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text(), str(path))
    return parser


def started(command: str) -> list[str]:
    words = shlex.split(command)
    return [words[0].rpartition("/")[2], *words[1:]]


def jobs() -> list[tuple[list[str], str]]:
    """Five fields of time, and the command."""
    lines = [line for line in CRON.splitlines() if re.match(r"[\d*]", line)]
    return [(line.split(maxsplit=6)[:5], line.partition("&& ")[2]) for line in lines]


def test_every_timer_has_its_service_and_every_service_its_timer():
    names = {path.suffix: {one.stem for one in UNITS if one.suffix == path.suffix} for path in UNITS}
    assert names[".timer"] == names[".service"] == {"mmbot-daily", "mmbot-soak"}
    for path in UNITS:
        if path.suffix == ".timer":
            assert unit(path)["Timer"]["OnCalendar"].endswith(" UTC")


@pytest.mark.parametrize(
    "path", [path for path in UNITS if path.suffix == ".service"], ids=lambda path: path.stem
)
def test_what_a_service_starts_is_a_command(path: Path):
    service = unit(path)
    assert wrong_with(started(service["Service"]["ExecStart"]), set(), set()) is None
    page = service["Unit"]["Documentation"].removeprefix("file:///srv/mmbot/")
    assert (ROOT / page).is_file()


def test_cron_starts_the_same_at_the_same_times():
    services = {path.stem: unit(path) for path in UNITS if path.suffix == ".service"}
    timers = {path.stem: unit(path)["Timer"]["OnCalendar"] for path in UNITS if path.suffix == ".timer"}
    expected = []
    for name, service in services.items():
        hour, minute, _ = re.search(r"(\d\d):(\d\d):(\d\d)", timers[name]).groups()
        command = " ".join(started(service["Service"]["ExecStart"]))
        expected.append(([str(int(minute)), str(int(hour)), "*", "*", "*"], command))
    found = [(when, command.removeprefix(".venv/bin/")) for when, command in jobs()]
    assert sorted(found) == sorted(expected)
    assert len(found) == 2


def test_systemd_takes_the_units(tmp_path: Path):
    """With a program that is there in place of the installed one."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed: the units were parsed alone")
    for path in UNITS:
        text = path.read_text().replace("/srv/mmbot/.venv/bin/mmbot", "/bin/true").replace("User=mmbot\n", "")
        (tmp_path / path.name).write_text(text.replace("/srv/mmbot", str(tmp_path)))
    command = [analyze, "verify", *(str(tmp_path / path.name) for path in UNITS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
