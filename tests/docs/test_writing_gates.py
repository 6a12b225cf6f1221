"""The gate author's guide: its commands are run, its files are written, its tables are those of the code.

A block `console` shows a command after `$` and what it prints; `...` stands for anything. They are run one
after the other in a project whose bot knows nothing of ours, with the files of the guide in it.
"""

import re
import shlex

import pytest
from _pytest.config.argparsing import Parser
from tests.docs.guide import BLOCKS, CONSOLE, FIRST_GATE, GUIDE, command_of, gate_files, is_printed
from tests.mmbot.builders import REPO

from pytest_mmgates import cli, plugin
from pytest_mmgates.explaining import parse_any
from pytest_mmgates.gatefile import parse_gate
from pytest_mmgates.options import add_options

PROJECT = "[pytest]\npythonpath = .\nmmgates_sut = foreign_bot:open_run\n"
JUDGED = """
import pytest

@pytest.mark.shadow
def test_shadow(shadow_run, rule, gate):
    gate(shadow_run, rule)
"""


@pytest.fixture
def author(pytester, monkeypatch, capsys):
    """What a gate author has: a project with the shipped gates and a bot, and its terminal."""
    (pytester.path / "gates").mkdir()
    (pytester.path / "scenarios").mkdir()
    (pytester.path / "gates/shadow.yaml").write_bytes((REPO / "gates/shadow.yaml").read_bytes())
    (pytester.path / "foreign_bot.py").write_bytes((REPO / "tests/plugin/foreign_bot.py").read_bytes())
    (pytester.path / "scenarios/demo.yaml").write_text("{}")
    (pytester.path / "pytest.ini").write_text(PROJECT)
    (pytester.path / "scenarios/test_shadow.py").write_text(JUDGED)

    def run(command):
        program, *arguments = shlex.split(command)
        if program == "pytest":
            return pytester.runpytest_inprocess("-p", "no:asyncio", *arguments).outlines
        assert program == "mmgates"
        capsys.readouterr()
        monkeypatch.setattr("sys.argv", ["mmgates", *arguments])
        with pytest.raises(SystemExit):
            cli.main()
        out, err = capsys.readouterr()
        return (out + err).splitlines()

    run.path = pytester.path
    return run


def check(author, transcript):
    """The command prints what the guide says."""
    lines = author(command_of(transcript))
    assert is_printed(transcript, lines), "\n".join(lines)


def test_the_way_to_the_first_gate(author):
    """In the order of the guide; its rule is loosened where the guide says so."""
    author("pytest -m shadow")
    tried, told, failed, passed = FIRST_GATE
    check(author, tried)
    check(author, told)
    files, loosened = gate_files()
    for path, text in files.items():
        (author.path / path).write_text(text)
    check(author, failed)
    (author.path / "gates/desk.yaml").write_text(loosened)
    check(author, passed)


@pytest.mark.parametrize("transcript", CONSOLE[len(FIRST_GATE) :], ids=lambda text: text.splitlines()[0])
def test_every_other_command_prints_what_is_shown(author, transcript):
    check(author, transcript)


def test_every_gate_in_it_is_sound():
    gates = [text for kind, text in BLOCKS if kind == "yaml"]
    assert [parse_gate(text, file="guide", name=text.split()[1]).name for text in gates] == ["desk", "shadow"]


def test_every_rule_in_it_is_a_rule():
    rules = re.findall(r"^    ((?:fetch_md|deadline_miss)\..*)$", GUIDE, re.MULTILINE)
    assert [str(parse_any(rule)) for rule in rules] == rules
    assert len(rules) == 2


def test_every_kind_of_block_is_tested():
    assert {kind for kind, _ in BLOCKS} == {"console", "yaml", "python"}


def options():
    parser = Parser(_ispytest=True)
    add_options(parser)
    return parser


def test_every_option_is_there_in_the_words_of_its_help():
    rows = []
    for option in options().getgroup("mmgates").options:
        attributes = option.attrs()
        value = f" {attributes['metavar']}" if attributes.get("metavar") else ""
        rows.append(f"| `{option.names()[0]}{value}` | {attributes['help'].replace('%%', '%')} |")
    assert re.findall(r"^\| `--mmgates-.*$", GUIDE, re.MULTILINE) == rows


def test_every_ini_key_is_there_with_its_default():
    rows = [
        f"| `{key}` | {what} | {f'`{default}`' if default else 'none'} |"
        for key, (what, _, default) in options()._inidict.items()
    ]
    assert re.findall(r"^\| `mmgates_\w+` \|.*$", GUIDE, re.MULTILINE) == rows


def test_every_fixture_is_there_and_says_what_it_is():
    named = re.findall(r"^\| `(\w+)` \| ", GUIDE.split("| fixture |")[1].split("\n\n")[0], re.MULTILINE)
    assert sorted(named) == sorted(plugin.__all__)
    for name in plugin.__all__:
        text = getattr(plugin, name)._get_wrapped_function().__doc__
        assert text is not None, name
        assert text.strip().endswith("."), name
