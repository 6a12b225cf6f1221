"""What a change does to the gates is told rule by rule, and the locked rules stay in force."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from pytest_mmgates.baseline.acknowledged import acknowledgement
from pytest_mmgates.baseline.edits import baseline_edits, edits, gate_files, gate_files_of
from pytest_mmgates.baseline.in_force import limits, with_locked
from pytest_mmgates.baseline.lockfile import GateFile, encoded_lock
from pytest_mmgates.errors import BaselineError
from pytest_mmgates.gatefile import parse_gate, read_gate

ROOT = Path(__file__).parents[3]
CI = (ROOT / "gates" / "ci.yaml").read_text()
SHADOW = (ROOT / "gates" / "shadow.yaml").read_text()


@pytest.fixture
def project(repository):
    """A repository with two gate files, committed."""
    repository.commit(**{"gates/ci.yaml": CI, "gates/shadow.yaml": SHADOW})
    return repository


def told(project, base="HEAD"):
    gates = project.path / "gates"
    return list(edits(gate_files_of(project.path, base, gates), gate_files(gates)))


def test_a_change_that_leaves_the_gates_alone_is_told_nothing(project):
    assert told(project) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "line"),
    [
        ("ci", "(emit.p95) <= 3%", "(emit.p95) <= 5%",
         "ci.yaml: `regress(emit.p95) <= 3%` became `regress(emit.p95) <= 5%`"),
        ("ci", "  - same(decisions)\n", "", "ci.yaml: `same(decisions)` was deleted"),
        ("shadow", "fetch_md.p95 <= 35ms", "fetch_md.p95 <= 350ms",
         "shadow.yaml: `fetch_md.p95 <= 35ms` became `fetch_md.p95 <= 350ms`"),
        ("shadow", ">= 60m", ">= 6m", "shadow.yaml was edited, its rules are the same"),
        ("shadow", "require:\n", "require:\n  - book.gaps == 0\n", "shadow.yaml: `book.gaps == 0` is new"),
    ],
)  # fmt: skip
def test_each_edit_is_one_line(project, file, old, new, line):
    path = project.path / "gates" / f"{file}.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert told(project) == [line]


def test_a_deleted_and_a_broken_file_are_told_too(project):
    (project.path / "gates" / "shadow.yaml").unlink()
    (project.path / "gates" / "ci.yaml").write_text("gate: [")
    lines = told(project)
    assert lines[-1] == "shadow.yaml was deleted"
    assert lines[0] == "ci.yaml: `md_cache.hit_ratio >= 60%` was deleted"


def test_locks_and_acknowledgements_are_told_beside_another_commit(project):
    project.write(**{"gates/baselines/demo.locked.json": "{}"})
    assert list(baseline_edits(project.path, "HEAD", project.path / "gates")) == [
        "baselines/demo.locked.json is not as in HEAD"
    ]


def test_a_base_that_is_not_there_is_one_line(project):
    with pytest.raises(BaselineError, match="git ls-tree: fatal: Not a valid object name nowhere"):
        told(project, "nowhere")


@pytest.fixture
def options(lock, tmp_path):
    """`options(rules)`: a folder of gates whose lock holds these rules of ci.yaml."""

    def make(rules):
        (tmp_path / "baselines").mkdir(exist_ok=True)
        held = msgspec.structs.replace(lock, gates={"ci.yaml": GateFile("00" * 32, tuple(rules))})
        (tmp_path / "baselines" / "demo.locked.json").write_text(encoded_lock(held))
        return SimpleNamespace(gates_dir=tmp_path, selected=("demo",))

    return make


def test_edited_and_deleted_rules_are_judged_as_locked(options):
    locked = [str(rule) for rule in read_gate(ROOT / "gates" / "ci.yaml").judged]
    loose = CI.replace("(emit.p95) <= 3%", "(emit.p95) <= 30%").replace("  - same(decisions)\n", "")
    loose = loose.replace("  - md_cache.hit_ratio >= 60%\n", "")
    gate = with_locked(parse_gate(loose, file="ci.yaml", name="ci"), options(locked))
    rules = [str(rule) for rule in gate.judged]
    assert set(locked) <= set(rules)
    assert set(rules) - set(locked) == {"regress(emit.p95) <= 30%"}
    assert len(gate.lines) == len(gate.judged)
    assert limits(gate)["emit"] == 0.03


def test_rules_that_are_as_locked_are_judged_once(options):
    gate = read_gate(ROOT / "gates" / "ci.yaml")
    same = with_locked(gate, options([str(rule) for rule in gate.judged]))
    assert replace(same, file=gate.file) == gate


ENTRY = {"baseline": "demo", "old": "a" * 64, "new": "b" * 64, "reason": "wider while stale"}


@pytest.fixture
def acknowledged(tmp_path):
    def write(text):
        (tmp_path / "baselines").mkdir(exist_ok=True)
        (tmp_path / "baselines" / "acknowledged.yaml").write_text(text)
        return acknowledgement(tmp_path, "demo", "a" * 64, "b" * 64)

    return write


def yaml_of(**changes):
    return "- " + "\n  ".join(f'{key}: "{value}"' for key, value in (ENTRY | changes).items())


def test_a_reason_covers_exactly_its_pair_of_digests(acknowledged, tmp_path):
    assert acknowledged(yaml_of()) == "wider while stale"
    for other in ({"old": "c" * 64}, {"new": "c" * 64}, {"baseline": "other"}):
        assert acknowledged(yaml_of(**other)) is None
    assert acknowledged("") is None
    assert acknowledgement(tmp_path / "none", "demo", "a" * 64, "b" * 64) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (yaml_of(reason=" "), "entry 1: reason was ' ', expected text"),
        (yaml_of(new="bbb"), "entry 1: new was 'bbb', expected the whole digest"),
        (
            yaml_of(by="me"),
            "found baseline, old, new, reason, by, expected the keys baseline, old, new, reason",
        ),
        ("- demo", "entry 1: found str, expected the keys"),
        ("a: b", "found dict, expected a list"),
        ("- [", "cannot be read"),
    ],
)
def test_an_entry_that_cannot_be_honoured_is_one_line(acknowledged, text, reason):
    with pytest.raises(BaselineError) as caught:
        acknowledged(text)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
