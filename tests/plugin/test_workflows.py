"""The pull-request workflows: their shell steps run as they are written, in a repository of their own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
ACTION = yaml.safe_load((GITHUB / "actions" / "mmgates" / "action.yml").read_text())
GATES = yaml.safe_load((GITHUB / "workflows" / "pr-gates.yml").read_text())
COMMENT = yaml.safe_load((GITHUB / "workflows" / "pr-comment.yml").read_text())


@pytest.fixture
def commands(tmp_path_factory):
    """A folder for PATH: `mmgates` as it would be installed, and what a test adds."""
    folder = tmp_path_factory.mktemp("bin")
    script = f"#!/bin/sh\nexec {sys.executable} -c 'from pytest_mmgates.cli import main; main()' \"$@\"\n"
    add(folder, "mmgates", script)
    return folder


def add(folder, name, script):
    (folder / name).write_text(script)
    (folder / name).chmod(0o755)


@pytest.fixture
def step(project, commands):
    """`step(text, env)`: a `run` of a workflow as the runner does it."""

    def run(text, **env):
        environment = {
            **os.environ,
            "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(project.path)]),
            "PYTEST_ADDOPTS": "-p no:asyncio -p no:cacheprovider",
            "GITHUB_STEP_SUMMARY": str(project.path / "summary.md"),
            **env,
        }
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text]
        return subprocess.run(
            command, cwd=project.path, env=environment, capture_output=True, text=True, check=False
        )

    return run


def run_action(step):
    """Both steps of the composite action, with the inputs that the workflow gives."""
    given = next(one["with"] for one in GATES["jobs"]["gates"]["steps"] if "mmgates" in one.get("uses", ""))
    inputs = {name: one.get("default", "") for name, one in ACTION["inputs"].items()} | given
    done = []
    for one in ACTION["runs"]["steps"]:
        env = {
            name: re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda found: inputs[found[1]], value)
            for name, value in one["env"].items()
        }
        done.append(step(one["run"], **env))
    return done


@pytest.mark.slow
def test_a_clean_change_is_green_and_summed_up(repository, project, step):
    repository.locked()
    judged, shown = run_action(step)
    assert (judged.returncode, shown.returncode) == (0, 0), judged.stdout + shown.stderr
    assert "::error" not in shown.stdout
    text = (project.path / "summary.md").read_text()
    assert text.index("| PASS (SYNTHETIC) | ci | demo |") < text.index(
        "# Pull-request gates: PASS (SYNTHETIC)"
    )


def test_a_change_that_fails_is_annotated_at_its_rule(repository, project, step):
    repository.locked()
    repository.change(fills=44)
    ci = project.path / "gates" / "ci.yaml"
    ci.write_text(ci.read_text().replace(">= 60%", ">= 50%"))
    repository.commit()
    judged, shown = run_action(step)
    assert judged.returncode == 1
    lines = shown.stdout.splitlines()
    assert any(
        line.startswith("::error file=gates/ci.yaml,line=9,title=FAIL (SYNTHETIC)%3A same(") for line in lines
    )
    assert any(
        line.startswith("::warning file=gates/ci.yaml,line=1,title=This change edits") for line in lines
    )
    assert (project.path / "summary.md").read_text().startswith("> **This change edits gates.**")


@pytest.mark.slow
def test_a_session_without_a_verdict_says_so_in_the_summary(repository, project, step):
    (repository.path / "gates" / "ci.yaml").unlink()
    judged, shown = run_action(step)
    assert judged.returncode == 2
    assert shown.returncode == 2
    assert "**No verdict.**" in (project.path / "summary.md").read_text()


GH = """#!/bin/sh
printf '%s\\n' "$*" >> calls.txt
case "$*" in
  *"/pulls "*) echo 7 ;;
  *"--paginate"*) cat existing.txt ;;
esac
"""


@pytest.mark.parametrize(
    ("existing", "sent"), [("", "repos/o/r/issues/7/comments -F"), ("99\n", "99 -X PATCH")]
)
def test_the_comment_is_made_once_and_then_kept_up_to_date(project, step, commands, existing, sent):
    """With a stand-in for GitHub's own client that notes what it was asked."""
    add(commands, "gh", GH)
    (project.path / "existing.txt").write_text(existing)
    report = project.path / "pr-gates" / "reports" / "PULL_REQUEST_REPORT.md"
    report.parent.mkdir(parents=True)
    report.write_text("# Report\n$(touch expanded) `touch expanded`\n" + "x" * 70_000)
    told = COMMENT["jobs"]["comment"]["steps"][-1]
    env = {name: value for name, value in told["env"].items() if "${{" not in value}
    done = step(told["run"], **env, REPOSITORY="o/r", HEAD_OWNER="fork", HEAD_BRANCH="topic")
    assert done.returncode == 0, done.stderr
    assert sent in (project.path / "calls.txt").read_text().splitlines()[-1]
    comment = (project.path / "comment.md").read_text()
    assert comment.startswith("<!-- mmgates -->\n# Report\n$(touch expanded)")
    assert len(comment.encode()) < 65_536
    assert not (project.path / "expanded").exists()


def test_every_action_is_pinned_and_no_job_of_a_pull_request_may_write():
    text = "".join(path.read_text() for path in GITHUB.rglob("*.yml"))
    used = re.findall(r"uses: ([^\s#]+)", text)
    assert used
    for action in used:
        assert action.startswith("./") or re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action)
    assert GATES["permissions"] == {}
    assert [job["permissions"] for job in GATES["jobs"].values()] == [{"contents": "read"}]
    assert "secrets." not in (GITHUB / "workflows" / "pr-gates.yml").read_text()


def test_the_job_installs_what_the_whole_check_installs():
    [install] = [one["run"] for one in GATES["jobs"]["gates"]["steps"] if one.get("name") == "Install"]
    assert '-c constraints.txt -e ".[dev]"' in install
    assert '-c constraints.txt -e ".[dev]"' in (ROOT / ".ci" / "run").read_text()
