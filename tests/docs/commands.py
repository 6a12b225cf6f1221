"""Commands in texts, held against what the programs really take: `mmbot`, `mmgates` and pytest's options."""

import re
import shlex
from collections.abc import Iterator

import typer

import mmbot.cli
import pytest_mmgates.cli

PROGRAMS = {
    "mmbot": typer.main.get_command(mmbot.cli.app),
    "mmgates": typer.main.get_command(pytest_mmgates.cli.app),
}


def commands_in(text: str) -> Iterator[list[str]]:
    """Words of each command of ours in Markdown: in code blocks a line, in backticks the whole."""
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    for line in [*lines, *re.findall(r"`([^`\n]+)`", rest)]:
        words = shlex.split(line.replace(".venv/bin/", ""), comments=True)
        if words and (words[0] in PROGRAMS or words[:2] == ["pytest", "-m"]):
            yield words


def wrong_with(words: list[str], pytest_options: set[str], steps: set[str]) -> str | None:
    """Why the program would not take it, or None."""
    if words[0] == "pytest":
        if words[2] not in steps:
            return f"no step {words[2]}"
        unknown = [
            word for word in words if word.startswith("--") and word.split("=")[0] not in pytest_options
        ]
        return f"no option {unknown[0]}" if unknown else None
    command, rest = PROGRAMS[words[0]], words[1:]
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest[0]]
        rest = rest[1:]
    if hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        return f"no command {rest[0]}"
    known = {option for parameter in command.params for option in parameter.opts}
    unknown = [word for word in rest if word.startswith("-") and word.split("=")[0] not in known]
    return f"no option {unknown[0]}" if unknown else None
