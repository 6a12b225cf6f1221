"""The main job: `pytest -m shadow` on the default scenario."""


def test_four_rules_pass_and_every_artifact_is_written(project):
    result = project.run("-m", "shadow", "--strict-markers", "-W", "error", "-v")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*test_shadow?demo-md_cache.hit_ratio? PASSED*"])
    assert project.verdict()["label"] == "PASS (SYNTHETIC)"
    assert project.written() == [
        "baseline/stage_budgets.json",
        "md_cache/shadow_report.md",
        "verdicts/shadow.json",
    ]
    print(result.stdout.str())
    print(project.artifact("md_cache/shadow_report.md").read_text())
