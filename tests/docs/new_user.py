"""What a new user does, from a clone to a gate of their own, in an environment that has nothing yet.

    python -m tests.docs.new_user               clone, install, first verdict, first gate: about five minutes
    python -m tests.docs.new_user --readme      every other command of README too: an hour and more

It clones this repository as committed, runs the commands as README and guide show them, and prints how long
each took. A command that does not end as it should ends the script with what it printed; with --readme it
does so after the others. Captures are used where they lie beside this repository.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.docs.guide import FIRST_GATE, command_of, gate_files, is_printed, readme_commands
from tests.mmbot.builders import REPO

from mmbot.clock import stopwatch

LEFT_OUT = {
    "--mmgates-live": "needs a venue",
    "mmbot record": "needs a venue",
    "mmbot paper": "serves until it is stopped",
    "mmbot top": "shows a run that plays at the same time",
    "--mmgates-resume": "needs a run that was interrupted",
    "mmbot run --resume": "needs a run that was interrupted",
    "mmbot rollback": "needs a second prep: the first has nothing to go back to",
    "mmbot kill": "needs the keys of an account",
}
"""What no script can run by itself, by a part of the command."""
_RED = (0, 1)
"""Exit codes of a command that did what it is for: a verdict may be red, as a market may be."""


class CommandFailedError(Exception):
    """A command that did not do what the documents say."""


class Newcomer:
    """A clone, and the terminal of the person who made it."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "mmbot"
        self.times: list[tuple[str, float]] = []
        self._environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("PYTHON", "PYTEST", "MMBOT"))
            },
            "PATH": f"{self.home / '.venv/bin'}:{os.environ['PATH']}",
            "COLUMNS": "200",
        }

    def run(self, command: str, *codes: int, cwd: Path | None = None) -> list[str]:
        """What it printed. Raises CommandFailedError."""
        began_ns = stopwatch()
        done = subprocess.run(  # noqa: S602 (as people type it)
            command,
            shell=True,
            cwd=cwd or self.home,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        seconds = (stopwatch() - began_ns) / 1e9
        self.times.append((command, seconds))
        print(f"{seconds:8.1f} s  exit {done.returncode}  {command}", flush=True)  # noqa: T201 (its output)
        if done.returncode not in (codes or (0,)) or "Traceback (most recent call last)" in done.stdout:
            raise CommandFailedError(f"{command}: exit code {done.returncode}\n{done.stdout}")
        return done.stdout.splitlines()

    def show(self, transcript: str, *codes: int) -> None:
        """A command of the guide prints what the guide shows."""
        lines = self.run(command_of(transcript), *codes)
        if not is_printed(transcript, lines):
            raise CommandFailedError(f"expected\n{transcript}\nfound\n" + "\n".join(lines))


def first_verdict(user: Newcomer) -> None:
    """Clone, and the three parts of README's first command."""
    user.run(f"git clone --quiet {REPO} {user.home}", cwd=user.home.parent)
    if (REPO.parent / "shared").is_dir():
        (user.home.parent / "shared").symlink_to((REPO.parent / "shared").resolve())
    for part in readme_commands()[0].split(" && "):
        lines = user.run(part)
    if not any(line.startswith("PASS (SYNTHETIC)") for line in lines):
        raise CommandFailedError("README's first command showed no verdict")


def first_gate(user: Newcomer) -> None:
    """The guide's own way: try, explain, fail, pass, look at the page."""
    files, loosened = gate_files()
    tried, told, failed, passed = FIRST_GATE
    user.show(tried, 1)
    user.show(told)
    for path, text in files.items():
        (user.home / path).write_text(text)
    user.run("mmgates check")
    user.show(failed, 1)
    (user.home / "gates/desk.yaml").write_text(loosened)
    user.show(passed)
    user.run(f"{command_of(passed)} --mmgates-report html")
    if not (user.home / "artifacts/md_cache/shadow_report.html").is_file():
        raise CommandFailedError("no page was written")


def whole_readme(user: Newcomer) -> None:
    """Every other command of README, in its order, whatever became of the one before. Raises
    CommandFailedError for all that failed. The user's own gate goes: the tests want to know how it breaks.
    """
    user.run("git clean --quiet --force gates scenarios")
    failed: list[str] = []
    for command in readme_commands()[1:]:
        why = left_out(command)
        if why:
            print(f"           left out: {why}: {command}", flush=True)  # noqa: T201 (its output)
            continue
        try:
            user.run(command, *(() if command == readme_commands()[1] else _RED))
        except CommandFailedError as failure:
            failed.append(str(failure))
    if failed:
        raise CommandFailedError("\n\n".join(failed))


def left_out(command: str) -> str | None:
    """Why a command is not run, or None."""
    found = [why for part, why in LEFT_OUT.items() if part in command]
    if "nexo-24h" in command and not (REPO.parent / "shared/data").is_dir():
        found.append("needs captures")
    return found[0] if found else None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--readme", action="store_true", help="run every other command of README too")
    parser.add_argument("--keep", metavar="DIR", help="work there, and leave it")
    asked = parser.parse_args(arguments)
    folder = Path(asked.keep or tempfile.mkdtemp(prefix="new-user-")).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    user = Newcomer(folder)
    try:
        first_verdict(user)
        first_gate(user)
        if asked.readme:
            whole_readme(user)
    except CommandFailedError as failure:
        print(failure, file=sys.stderr)  # noqa: T201 (its output)
        return 1
    finally:
        total = sum(seconds for _, seconds in user.times)
        print(f"{total:8.1f} s  {len(user.times)} commands", flush=True)  # noqa: T201 (its output)
        if not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
