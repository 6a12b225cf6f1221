"""What README and the gate author's guide show, as commands and files."""

import re

from tests.mmbot.builders import REPO

README = (REPO / "README.md").read_text(encoding="utf-8")
GUIDE = (REPO / "docs/writing-gates.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
CONSOLE = [text for kind, text in BLOCKS if kind == "console"]
FIRST_GATE = CONSOLE[:4]
"""The way to the first gate: try a rule, explain it, see it fail, see it pass."""


def block(begins):
    """The only block of the guide that begins so."""
    [text] = [text for _, text in BLOCKS if text.startswith(begins)]
    return text


def readme_commands():
    """Every line of its shell blocks, without comment, in its order."""
    blocks = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    return [line.split("  #")[0].strip() for text in blocks for line in text.splitlines() if line.strip()]


def command_of(transcript):
    return transcript.splitlines()[0].removeprefix("$ ")


def is_printed(transcript, lines):
    """Whether these lines are what a transcript shows; `...` in it stands for anything."""
    wanted = "\n".join(transcript.splitlines()[1:])
    pattern = re.escape(wanted).replace(re.escape("..."), ".*")
    return re.fullmatch(pattern, "\n".join(line.rstrip() for line in lines), re.DOTALL) is not None


def gate_files():
    """The files of the first gate by their paths, and the gate once its rule is loosened."""
    gate = block("gate: desk")
    tight, loose = re.findall(r"fills\.count >= \d+", FIRST_GATE[2] + FIRST_GATE[3])
    test = block('import pytest\n\n\n@pytest.mark.shadow(gate="desk")')
    return {"gates/desk.yaml": gate, "scenarios/test_desk.py": test}, gate.replace(tight, loose)
