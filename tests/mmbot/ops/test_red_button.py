"""The rehearsal of the red button: each of its checks can fail, and the real thing, by its own commands."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.mmbot.builders import REPO

from mmbot.config.snapshot import SNAPSHOT, load_snapshot
from mmbot.ops.prep import Verdict
from mmbot.ops.red_button import CHECKS, Rehearsal, RehearsalRequest, rehearse, report

GOOD = Rehearsal(
    symbols=5,
    code=0,
    said="",
    orders_before=20,
    least_updates_per_s=83.0,
    started_s=1.5,
    to_baseline_s=0.4,
    to_first_tick_s=0.4,
    to_halt_s=0.5,
    to_last_order_s=0.7,
    orders_left=0,
    expected_sha256="b" * 64,
    found_sha256="b" * 64,
    run=Path("run"),
    request=RehearsalRequest(Path("config.yaml"), Path("artifacts")),
)
MUTATIONS: dict[str, dict[str, Any]] = {
    "load": {"least_updates_per_s": 59.9},
    "orders before": {"orders_before": 9},
    "exit code": {"code": 3},
    "baseline in force": {"found_sha256": None},
    "baseline in time": {"to_first_tick_s": 2.01},
    "halted": {"to_halt_s": None},
    "last order in time": {"to_last_order_s": None},
    "no order left": {"orders_left": 1},
}


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_can_fail_and_no_other_does_then(name: str):
    assert GOOD.verdict is Verdict.PASS
    broken = replace(GOOD, **MUTATIONS[name])
    assert [one.name for one in broken.checks if not one.holds] == [name]
    assert broken.verdict is Verdict.FAIL
    assert report(broken).startswith("# Rollback rehearsal: FAIL (SYNTHETIC)")


def test_the_report_says_what_took_how_long_and_what_never_happened():
    text = report(replace(GOOD, to_last_order_s=None))
    assert "| first tick under it | 0.400 s |" in text
    assert "| last order gone | never |" in text
    assert f"| exit code | PASS | 0 | {GOOD.check('exit code').expected} |" in text


@pytest.mark.slow
def test_the_button_under_load_sets_back_and_leaves_no_order(tmp_path: Path):
    done = rehearse(RehearsalRequest(REPO / "config.yaml", tmp_path, symbols=3, load_s=3.0))
    assert [one.name for one in done.checks if not one.holds] == [], report(done)
    assert done.started_s > 0
    assert done.to_baseline_s is not None
    assert done.to_last_order_s is not None
    told = json.loads((tmp_path / "verdicts" / "rehearsal.json").read_bytes())
    assert (told["verdict"], told["seconds"]["to_last_order"]) == ("PASS", done.to_last_order_s)
    snapshot = load_snapshot(tmp_path / "rehearsal" / "artifacts" / "release" / SNAPSHOT)
    (release,) = [flag for flag in snapshot.flags if flag.key == "queue_aware.enabled"]
    assert (release.previous.value, release.new.value) == (False, True)
