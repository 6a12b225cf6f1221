"""`mmgates test`: a stored run judged by a gate as it is now."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GATES = ("--gates", ROOT / "gates")


@pytest.fixture
def stored(make_run):
    """The directory of a run that was stored."""
    return lambda **settings: make_run(**settings).directory


def test_a_gate_on_a_stored_run_says_what_would_break_it(mmgates, stored):
    code, out, _ = mmgates("test", "shadow", "--run", stored(misses=0.01), *GATES)
    assert code == 0
    lines = out.splitlines()
    assert "PASS (SYNTHETIC): gate shadow, owner trading-infra, runbook docs/runbooks/latency.md" in lines
    assert "tick_total.p95 <= 150ms: breaks beyond 150ms, 11 times the value" in lines
    assert (
        "deadline_miss.ratio < 2%: breaks beyond 2%, 2 times the value: 36 of 3601, the limit is 72" in lines
    )


def test_a_rule_alone_is_judged_on_the_evidence_of_its_step(mmgates, stored):
    run = stored()
    code, out, _ = mmgates("test", "inventory.abs_p99_quote <= 50", "--run", run, *GATES)
    assert code == 1
    assert out.splitlines()[-1] == "inventory.abs_p99_quote <= 50: would hold at 50, 0.5 times the value"
    short = stored(minutes=5)
    code, out, _ = mmgates("test", "inventory.abs_p99_quote <= 500", "--run", short, *GATES)
    assert code == 1
    assert "evidence duration: 5m (asked for >= 60m) NOT MET" in out


def test_stop_rules_watch_the_rows_once_more(mmgates, stored):
    run = stored(misses=0.2)
    assert not (run / "watch.json").exists()
    rule = "deadline_miss.ratio[5m] > 5% for 10m"
    code, out, _ = mmgates("test", rule, "--run", run, *GATES)
    assert code == 1
    assert "deadline_miss.ratio[5m] 20% > 5% for 10m (n 300)" in out
    code, out, _ = mmgates("test", rule, "--run", stored(), *GATES)
    assert code == 0
    assert out.splitlines()[-1].startswith(f"{rule}: the worst window showed 0%; 331 looks")


def test_the_page_of_it(mmgates, stored, tmp_path):
    page = tmp_path / "pages" / "try.html"
    code, out, _ = mmgates("test", "shadow", "--run", stored(), "--page", page, *GATES)
    assert (code, out.splitlines()[-1]) == (0, f"wrote {page}")
    assert "PASS (SYNTHETIC)" in page.read_text()


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("ab", "gate ab judges an experiment: `mmgates judge DIR` does that"),
        ("same(decisions)", "same(decisions): compares two runs, expected a rule about one"),
        ("dataset", "gate dataset judges a dataset, and {run} is a run"),
    ],
)
def test_what_a_run_cannot_be_judged_by(mmgates, stored, what, said):
    run = stored()
    code, out, err = mmgates("test", what, "--run", run, *GATES)
    assert (code, out, err) == (2, "", f"mmgates: {said.format(run=run)}\n")


def test_a_run_that_is_not_there(mmgates, tmp_path):
    code, _, err = mmgates("test", "shadow", "--run", tmp_path, *GATES)
    assert code == 2
    assert err == f"mmgates: {tmp_path}/manifest.json: No such file or directory\n"
