"""What GitHub is shown: edits and failures first, within its limits, and nothing that reads as a command."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mmgates.errors import CommandError
from pytest_mmgates.github import LARGEST_BYTES, annotations, cell, command, cut, read_verdicts, summary

RULES = ["md_cache.hit_ratio >= 60%", "regress(emit.p95) <= 3%", "same(decisions)"]
GATE = """gate: ci
evidence: {duration: ">= 60m", ticks: ">= 3000", source: [synthetic]}
owner: o
runbook: r
require:
  - md_cache.hit_ratio >= 60%
regress:
  - regress(emit.p95) <= 3%
  - same(decisions)
"""


def rule(text, verdict="PASS", reason=None):
    return {"rule": text, "verdict": verdict, "label": verdict, "value": None, "unit": "", "reason": reason}


def verdict_of(*rules, gate="ci", edits=()):
    worst = "FAIL" if any(one["verdict"] == "FAIL" for one in rules) else "PASS"
    comparison = {"edits": list(edits)}
    return {
        "gate": gate, "verdict": worst, "label": worst, "scenario": "demo", "rules": list(rules),
        "comparison": comparison,
    }  # fmt: skip


@pytest.fixture
def gates(tmp_path):
    (tmp_path / "gates").mkdir()
    (tmp_path / "gates" / "ci.yaml").write_text(GATE)
    return tmp_path / "gates"


def test_the_worst_gate_is_read_first(tmp_path):
    (tmp_path / "verdicts").mkdir()
    for name, worst in (("a", "PASS"), ("b", "FAIL")):
        text = json.dumps(verdict_of(rule("x", worst), gate=name))
        (tmp_path / "verdicts" / f"{name}.json").write_text(text)
    assert [one["gate"] for one in read_verdicts(tmp_path)] == ["b", "a"]


def test_no_verdict_and_a_broken_one_are_one_line(tmp_path):
    with pytest.raises(CommandError, match="found no verdict of a gate"):
        read_verdicts(tmp_path)
    (tmp_path / "verdicts").mkdir()
    (tmp_path / "verdicts" / "ci.json").write_text("{")
    with pytest.raises(CommandError, match=r"ci\.json: cannot be read"):
        read_verdicts(tmp_path)


def test_edits_come_first_then_the_verdicts_then_what_failed():
    edits = ["ci.yaml: `same(decisions)` was deleted"]
    text = summary(
        [verdict_of(rule(RULES[0]), rule(RULES[1], "FAIL", "too slow"), edits=edits)], ["# Report\n"]
    )
    at = [
        text.index(part)
        for part in ("This change edits gates", "was deleted", "| FAIL |", "too slow", "# Re")
    ]
    assert at == sorted(at)
    assert RULES[0] not in text


def test_an_error_stands_at_the_line_of_its_rule(gates):
    found = annotations([verdict_of(rule(RULES[0]), rule(RULES[2], "FAIL", "digest a, baseline b"))], gates)
    assert found == [
        "::error file=gates/ci.yaml,line=9,title=FAIL%3A same(decisions)::no value; digest a, baseline b"
    ]


def test_a_rule_that_the_change_deleted_points_at_the_file(gates):
    (gates / "ci.yaml").unlink()
    edits = ["ci.yaml was deleted"]
    found = annotations([verdict_of(rule(RULES[2], "FAIL"), edits=edits)], gates)
    assert found[0].startswith("::error file=gates/ci.yaml,line=1,")
    assert found[1] == (
        "::warning file=gates/ci.yaml,line=1,title=This change edits gates::ci.yaml was deleted"
    )


@pytest.mark.parametrize("count", [0, 9, 10, 11, 40])
def test_never_more_than_ten_of_a_kind_and_the_rest_is_counted(gates, count):
    found = annotations([verdict_of(*(rule(f"r{n}", "FAIL") for n in range(count)))], gates)
    assert len(found) == min(count, 10)
    if count > 10:
        assert found[-1] == f"::error::{count - 9} more: see the summary of the job"


@given(st.text(), st.text())
def test_no_text_ends_its_command_or_begins_another(title, message):
    line = command("error", "gates/ci.yaml", 1, title, message)
    assert "\n" not in line
    assert "\r" not in line
    head, _, _ = line.removeprefix("::error ").partition("::")
    assert head.count(",") == 2
    assert head.count(":") == 0


@given(st.text())
def test_no_text_breaks_a_table_or_is_html(text):
    shown = cell(text)
    assert "<" not in shown
    assert not re.search(r"(?<!\\)\|", shown)
    assert len(shown.splitlines()) <= 1


@given(st.text(max_size=200), st.integers(1, 3000))
def test_a_text_fits_and_says_that_it_was_cut(text, times):
    whole = (text + "\n") * times
    shown = cut(whole)
    assert len(shown.encode()) <= LARGEST_BYTES
    assert (shown == whole) == (len(whole.encode()) <= LARGEST_BYTES)
    assert shown == whole or shown.endswith("(cut: the whole report is in the artifact of this run)\n")
