"""The script of a new user runs what the documents show, all of it."""

import shlex

import pytest
from tests.docs import new_user
from tests.docs.guide import readme_commands


@pytest.mark.slow
def test_from_a_clone_to_a_gate_of_their_own(tmp_path, capsys):
    assert new_user.main(["--keep", str(tmp_path)]) == 0
    assert "pytest -m shadow -k desk" in capsys.readouterr().out


def test_what_is_left_out_is_in_readme_still():
    commands = readme_commands()
    assert all(any(part in command for command in commands) for part in new_user.LEFT_OUT)


@pytest.mark.parametrize("command", readme_commands()[1:])
def test_every_command_of_readme_can_be_run_as_it_stands(command):
    """No placeholder and no other program than ours, unless the script says why it leaves it out."""
    if new_user.left_out(command) is None:
        assert "<" not in command
        assert shlex.split(command)[0] in {".venv/bin/pytest", ".venv/bin/mmbot", ".venv/bin/mmgates"}


def test_a_command_that_fails_ends_it_with_what_it_printed(tmp_path):
    user = new_user.Newcomer(tmp_path)
    with pytest.raises(new_user.CommandFailedError, match="exit code 3\nsaid"):
        user.run("echo said; exit 3", cwd=tmp_path)
    user.home.mkdir()
    with pytest.raises(new_user.CommandFailedError, match="found\nother"):
        user.show("$ echo other\nthis ...\n")
