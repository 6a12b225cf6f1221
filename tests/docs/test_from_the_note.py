"""Every command, artifact and threshold of the workflow note stands in its page, and ours beside it is so."""

import re
import shlex

import pytest
import typer.main
from _pytest.config.argparsing import Parser
from tests.mmbot.builders import REPO

import mmbot.cli
import pytest_mmgates.cli
from pytest_mmgates.explaining import rules_of
from pytest_mmgates.gatefile import read_gate
from pytest_mmgates.options import add_options
from pytest_mmgates.steps import STEPS

PAGE = (REPO / "docs/from-the-note.md").read_text(encoding="utf-8")
NOTE = REPO.parent / "shared" / "workflow-note.md"


def rows(section):
    """Both cells of each row of a table."""
    table = PAGE.split(f"## {section}")[1].split("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ") and "---" not in line]
    return [tuple(line.strip("| ").split(" | ", 1)) for line in lines[1:]]


def code(cell):
    return re.findall(r"`([^`]+)`", cell)


COMMANDS, ARTIFACTS, THRESHOLDS = rows("Commands"), rows("Artifacts"), rows("Thresholds")
OURS = sorted({text for _, ours in (*COMMANDS, *ARTIFACTS) for text in code(ours) if " " in text})


@pytest.fixture(scope="module")
def note():
    if not NOTE.is_file():
        pytest.skip(f"no note at {NOTE}")
    return NOTE.read_text(encoding="utf-8").replace(" \\\n  ", " ")


def test_every_command_of_the_note_is_there(note):
    """A number stands for every one of its kind: `--step 2` for `--step N` and the other way round."""
    found = set(re.findall(r"^(?:0 9 .*&& )?(python \S+\.py.*|cat \S+)", note, re.MULTILINE))
    found |= {text for text in code(note) if text.startswith("python ")}
    theirs = [text for cell, _ in COMMANDS for text in code(cell)]
    spelled = {re.sub(r"\d{4}-\S+Z", "ISO", text.split(" | ")[0].rstrip("`")) for text in found}
    missing = [text for text in spelled if not any(one.startswith(text) for one in theirs)]
    assert len(spelled) > 10
    assert missing == []


def test_every_artifact_of_the_note_is_there(note):
    found = set(re.findall(r"(?:artifacts|docs)/[\w/*.-]+\.(?:jsonl|json|md)", note))
    theirs = {text for cell, _ in ARTIFACTS for text in code(cell)}
    as_pattern = {re.sub(r"_?(YYYYMMDD|HHMMSS)", "", text) for text in theirs}
    missing = [path for path in found if path not in theirs and path.replace("_*", "") not in as_pattern]
    assert len(found) > 15
    assert missing == []


def test_every_threshold_of_the_note_is_there(note):
    """Lines of its four lists of gates, acceptance and stop criteria."""
    found = re.findall(r"^\s*- (?:🚨 |✅ |(?=`))(.*(?:>=|<=|<|>|NaN|leak|open).*)$", note, re.MULTILINE)
    theirs = " ".join(cell for cell, _ in THRESHOLDS).replace("`", "")
    spelled = {line.replace("`", "").split(" → ")[0].strip() for line in found if "Step" not in line}
    missing = [line for line in spelled if line not in theirs]
    assert len(spelled) >= 15
    assert missing == []


def pytest_options():
    parser = Parser(_ispytest=True)
    add_options(parser)
    return {option.names()[0] for option in parser.getgroup("mmgates").options}


@pytest.mark.parametrize("text", OURS)
def test_every_command_of_ours_is_one(text):
    program, *words = shlex.split(text)
    asked = {word.split("=")[0] for word in words if word.startswith("--")}
    if program == "pytest":
        assert words[1] in STEPS
        assert asked <= pytest_options()
        return
    command = typer.main.get_command({"mmbot": mmbot.cli.app, "mmgates": pytest_mmgates.cli.app}[program])
    for word in words:
        if word.startswith("-") or not hasattr(command, "commands"):
            break
        command = command.commands[word]
    assert asked <= {name for one in command.params for name in one.opts}


@pytest.mark.parametrize("path", [code(theirs)[0] for theirs, _ in ARTIFACTS])
def test_every_artifact_is_written_by_our_code(path):
    """Its name, as far as it is not a date, is one that the source writes; a page of the docs lies there."""
    if path.startswith("docs/"):
        assert (REPO / path).is_file()
        return
    name = path.removeprefix("artifacts/reports/") if "daily" in path else path.rsplit("/", 1)[1]
    stem = re.split(r"[_/]?YYYY", name)[0]
    sources = [*(REPO / "src").rglob("*.py"), *(REPO / "scenarios").glob("*.py")]
    assert any(
        re.search(rf"[\"/]{re.escape(stem)}[\"_.{{]", one.read_text(encoding="utf-8")) for one in sources
    )


@pytest.mark.parametrize("ours", [ours for _, ours in THRESHOLDS])
def test_every_threshold_of_ours_is_a_rule_of_its_gate(ours):
    rule, file = code(ours)[:2]
    assert rule in {str(one) for _, one in rules_of(read_gate(REPO / file))}
