"""The page of a lock: the committed baseline, and what a pull request is held to by it."""

from pathlib import Path

import msgspec
from tests.pytest_mmgates.report.test_run_page import Reader

from pytest_mmgates.baseline.lockfile import read_lock
from pytest_mmgates.gatefile import read_gate
from pytest_mmgates.report.lock_report import lock_page

ROOT = Path(__file__).parents[3]
LOCK = read_lock(ROOT / "gates/baselines/demo.locked.json", shown_as="demo.locked.json")
GATE = read_gate(ROOT / "gates/ci.yaml")


def test_it_says_what_is_locked_and_what_a_change_is_held_to():
    texts = Reader(lock_page(LOCK, GATE)).texts
    assert texts[1:3] == ["pull-request baseline of demo", LOCK.status]
    assert "SYNTHETIC." in texts
    assert all(str(rule) in texts for rule in GATE.judged)
    assert {LOCK.digest, f"digest {LOCK.run_digest}", f"sha256 {LOCK.config_sha256}"} <= set(texts)
    assert "\n".join(LOCK.recipe) in texts


def test_a_release_without_an_ab_says_so_on_top():
    lock = msgspec.structs.replace(LOCK, without_ab="<first> release")
    page = lock_page(lock, GATE)
    assert page.index("no A/B stands behind it: &lt;first&gt; release") < page.index("<main>")
