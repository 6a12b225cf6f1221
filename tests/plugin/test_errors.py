"""Bad input: one line with place and reason, an exit code that is not 0, nothing half-written."""

import pytest


def assert_no_run_and_no_artifact(project, result):
    assert result.ret != 0
    result.stdout.no_fnmatch_line("*Traceback*")
    assert project.requests() == []
    assert not project.artifact("").exists()


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        (
            "fetch_md.p95",
            "fetch_mdd.p95",
            [
                "gates/shadow.yaml:11:5: unknown metric 'fetch_mdd.p95'; did you mean *",
                "*- fetch_mdd.p95*",
                "      ^",
            ],
        ),
        (
            "<= 35ms",
            "<= 35",
            [
                "gates/shadow.yaml:11:21: fetch_md.p95 is a time: *",
                "*- fetch_md.p95 <= 35",
                "*                 ^",
            ],
        ),
        ("owner: trading-infra", "owner: [", ["gates/shadow.yaml:*: *", "*", "*^"]),
        ("owner: trading-infra\n", "", ["gates/shadow.yaml:*: missing owner"]),
        (
            "require:",
            "safety:\n  - x\nrequire:",
            [
                "gates/shadow.yaml:9:1: `safety` judges an experiment, `require` a run: a gate judges one",
                "  safety:",
                "  ^",
            ],
        ),
        (
            "require:",
            "stop:\n  - deadline_miss.ratio > 5%\nrequire:",
            [
                "gates/shadow.yaml:10:25: expected a window such as [[]5m] after the metric, found '>'",
                "    - deadline_miss.ratio > 5%",
                "                          ^",
            ],
        ),
    ],
)
def test_a_gate_that_cannot_be_checked_is_an_error_of_collection(project, old, new, lines):
    project.gate("shadow", old, new)
    result = project.run("-m", "shadow")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(lines, consecutive=True)
    assert_no_run_and_no_artifact(project, result)


def test_a_missing_gate_file_is_an_error_of_collection(project):
    (project.path / "gates" / "shadow.yaml").unlink()
    result = project.run("-m", "shadow")
    result.stdout.fnmatch_lines(["gates/shadow.yaml:1:1: cannot be read: No such file or directory"])
    assert_no_run_and_no_artifact(project, result)


def test_a_bad_inline_rule_is_one_line_with_a_caret(project):
    body = "def test_x(shadow_run, gate):\n    gate(shadow_run, 'net_bpss > 1')\n"
    project.test(f"import pytest\n\n@pytest.mark.shadow\n{body}")
    result = project.run("-m", "shadow")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["test_gates.py:3:1: unknown metric 'net_bpss'; did you mean 'net_bps'?", "  net_bpss > 1", "  ^"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_bad_input_of_the_bot_is_one_line_and_no_data(project):
    project.run("-m", "shadow").assert_outcomes(passed=4)
    assert project.verdict()["verdict"] == "PASS"
    for fail, line in (
        ("open", "captures/abc.zst: no such file"),
        ("middle", "captures/abc.zst:17: corrupt frame"),
    ):
        project.scenario("demo", fail=fail)
        result = project.run("-m", "shadow")
        result.assert_outcomes(errors=4)
        assert result.ret == 1
        result.stdout.fnmatch_lines([line, "NO_DATA *shadow *demo *", "wrote artifacts/verdicts/shadow.json"])
        result.stdout.no_fnmatch_line("*Traceback*")
        assert project.verdict()["verdict"] == "NO_DATA"
        assert project.verdict()["reason"] == line
        assert "PASS" not in project.artifact("md_cache/shadow_report.md").read_text()
        assert "PASS" not in project.artifact("baseline/stage_budgets.json").read_text()
    assert len(project.requests()) == 3


def test_a_bug_of_the_bot_keeps_its_traceback(project):
    project.scenario("demo", fail="bug")
    result = project.run("-m", "shadow")
    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines(["*raise ZeroDivisionError(*", "*foreign_bot.py:*: ZeroDivisionError"])
    assert len(project.requests()) == 1
    assert project.verdict()["reason"] == "ZeroDivisionError: a bug of the bot"


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"corrupt": ["pipeline_ticks", 7]},
            "*runs/shadow-demo.failed/pipeline_ticks_20231114.jsonl:8: corrupt row: Input data was truncated",
        ),
        ({"corrupt": ["fills", 0]}, "*runs/shadow-demo.failed/fills_20231114.jsonl:1: corrupt row: *"),
        ({"lose_ticks": 3}, "*runs/shadow-demo.failed: manifest.json counts 3601 ticks, the files hold 3598"),
    ],
)
def test_a_run_that_cannot_be_believed_is_one_line_and_no_data(project, settings, line):
    project.scenario("demo", **settings)
    result = project.run("-m", "shadow")
    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines([line])
    result.stdout.no_fnmatch_line("*Traceback*")
    assert len(project.requests()) == 1
    assert project.verdict()["verdict"] == "NO_DATA"
    assert not project.artifact("runs/shadow-demo").exists()
    assert project.artifact("runs/shadow-demo.failed/manifest.json").is_file()


def test_an_output_directory_that_cannot_be_made_is_one_line(project):
    project.artifact("").write_text("a file in the place of the directory")
    result = project.run("-m", "shadow")
    result.assert_outcomes(errors=4)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["--mmgates-out cannot be written: *: *artifacts/runs"])
    result.stdout.no_fnmatch_line("*Traceback*")
    assert project.requests() == []
    assert project.artifact("").read_text() == "a file in the place of the directory"


def test_an_artifact_that_cannot_be_written_leaves_the_others_as_they_were(project):
    project.artifact("baseline/stage_budgets.json").mkdir(parents=True)
    result = project.run("-m", "shadow")
    result.assert_outcomes(passed=4)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["ERROR: --mmgates-out cannot be written: is a directory: *stage_budgets.json"]
    )
    assert project.written() == []


def test_a_run_of_another_session_counts_for_nothing(project):
    """The bot's own exception is believed about this session only: an outcome that is left over is not."""
    project.scenario("demo", fail="open")
    project.run("-m", "shadow").assert_outcomes(errors=4)
    project.scenario("demo")
    project.run("-m", "shadow").assert_outcomes(passed=4)
    assert project.verdict()["verdict"] == "PASS"


def test_what_a_killed_session_left_is_cleared(project):
    left = project.artifact("runs/shadow-demo.partial-dead")
    left.mkdir(parents=True)
    (project.artifact("runs") / "shadow-demo.outcome.json").write_text('{"run_id": "shadow-dem')
    project.run("-m", "shadow").assert_outcomes(passed=4)
    assert not left.exists()


def test_a_halted_run_is_no_data(project):
    project.scenario("demo", status="halted", reason="red button")
    result = project.run("-m", "shadow")
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(["NO_DATA (SYNTHETIC) *: the run is halted: red button *"])


def test_an_interrupt_asks_the_run_to_halt(project):
    bot = (project.path / "foreign_bot.py").read_text()
    bot += (
        "\nclass Interrupted(Run):\n"
        "    def halt(self, reason):\n        Path('halted').write_text(reason)\n"
        "    def __iter__(self):\n        yield 'pipeline_ticks', b''\n        raise KeyboardInterrupt\n"
        "def open_interrupted(request):\n    return Interrupted(request, SETTINGS)\n"
    )
    (project.path / "foreign_bot.py").write_text(bot)
    project.ini("[pytest]\npythonpath = .\nmmgates_sut = foreign_bot:open_interrupted\n")
    result = project.pytester.runpytest_subprocess("-p", "no:asyncio", "-m", "shadow")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert (project.path / "halted").read_text() == "interrupted"
    assert project.written() == []
