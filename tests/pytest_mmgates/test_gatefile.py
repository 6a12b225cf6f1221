"""Gate files are read strictly."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mmgates.errors import GateError
from pytest_mmgates.gatefile import read_gate

ROOT = Path(__file__).parents[2]

GOOD = """\
gate: g
evidence: {duration: ">= 5m", ticks: ">= 10", source: [recorded]}
owner: someone
runbook: docs/x.md
require:
  - fetch_md.p95 <= 35ms
"""


def read(tmp_path, text, name="g"):
    path = tmp_path / f"{name}.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_gate(path, shown_as=f"gates/{name}.yaml")


@pytest.mark.parametrize("path", sorted((ROOT / "gates").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_gates_read_and_their_runbooks_exist(path):
    gate = read_gate(path)
    assert gate.judged
    assert (ROOT / gate.runbook).is_file()


def test_a_gate_is_read_whole(tmp_path):
    gate = read(tmp_path, GOOD)
    assert (gate.name, gate.owner, gate.runbook) == ("g", "someone", "docs/x.md")
    assert [str(rule) for rule in gate.require] == ["fetch_md.p95 <= 35ms"]
    assert gate.lines == (6,)
    assert (str(gate.evidence.duration), str(gate.evidence.ticks)) == (">= 5m", ">= 10")


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("35ms", "35", "6:21", "fetch_md.p95 is a time"),
        ("- fetch_md.p95", '- "fetch_mdd.p95', "7:1", "unexpected end of stream"),
        ("- fetch_md.p95 <= 35ms", "- 'fetch_mdd.p95 <= 35ms'", "6:6", "unknown metric 'fetch_mdd.p95'"),
        ("  - fetch_md.p95 <= 35ms", "  - 5", "6:5", "expected text"),
        ("  - fetch_md.p95 <= 35ms", "  - [a]", "6:5", "expected text"),
        ("\n  - fetch_md.p95 <= 35ms", " []", "5:10", "expected a list with at least one line"),
        ("\n  - fetch_md.p95 <= 35ms", "", "5:9", "expected a list with at least one line"),
        ("\n  - fetch_md.p95 <= 35ms", " fetch_md.p95 <= 35ms", "5:10", "expected a list"),
        (
            "- fetch_md.p95 <= 35ms",
            "- fetch_md.p95 <= 35ms\n  - fetch_md.p95<=35ms",
            "7:5",
            "stands here twice",
        ),
        ("gate: g", "gate: h", "1:7", "gate 'h' stands in a file named 'g'"),
        ("gate: g", "gate: no", "1:7", "expected text"),
        ("gate: g", "gate: g\ngate: g", "2:1", "key 'gate' stands here twice"),
        (
            "owner: someone",
            "owner: someone\nsafety: [x]",
            "4:1",
            "`safety` judges an experiment, `require` a run",
        ),
        ("owner: someone", "owner: someone\nstop: [x]", "4:8", "unknown metric 'x'"),
        ("owner: someone", "owner: someone\nwarn: []", "4:7", "expected a list"),
        (
            "owner: someone",
            'owner: someone\nwarn: ["md_cache.hit_ratio[5m] < 70%", "md_cache.hit_ratio[5m] < 70%"]',
            "4:40",
            "stands here twice",
        ),
        ("owner: someone", "owner: someone\nowned: by", "4:1", "unknown key 'owned'"),
        ("owner: someone\n", "", "1:1", "missing owner"),
        ("owner: someone", "owner: ''", "3:8", "expected text"),
        ("owner: someone", "owner: &a someone", None, None),
        ("runbook: docs/x.md", "runbook: *a", "4:10", "aliases are not allowed"),
        ("owner: someone", "owner: someone: else", "3:15", "mapping values are not allowed here"),
        ("[recorded]", "[]", "2:55", "expected a list"),
        ("[recorded]", "[invented]", "2:56", "source 'invented'"),
        ("[recorded]", "[recorded, recorded]", "2:56", "at most once"),
        ('">= 5m"', '"<= 5m"', "2:22", "expected >=, found <="),
        ('">= 5m"', '">= 5"', "2:26", "evidence is a time"),
        ('">= 10"', "10", "2:38", "expected text"),
        ('ticks: ">= 10", ', "", "2:11", "missing ticks"),
        ("gate: g", "gate: g\n---\n", "2:1", "but found another document"),
        ("gate: g", "\x00", "1:1", "not YAML"),
        (GOOD, "", "1:1", "the file is empty"),
        (GOOD, "- x\n", "1:1", "expected the keys"),
        (GOOD, "{a: {b: {c: {d: {e: {f: {g: {}}}}}}}}", "1:25", "nested deeper"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path, old, new, place, message):
    if place is None:
        read(tmp_path, GOOD.replace(old, new))
        return
    with pytest.raises(GateError) as caught:
        read(tmp_path, GOOD.replace(old, new))
    assert message in caught.value.message
    assert str(caught.value).startswith(f"gates/g.yaml:{place}: ")


def test_a_file_that_is_no_text_or_too_large_or_missing_is_refused(tmp_path):
    with pytest.raises(GateError, match="not UTF-8"):
        read(tmp_path, b"\xff\xfe\x00")
    with pytest.raises(GateError, match="larger than"):
        read(tmp_path, GOOD + "#" * 300_000)
    with pytest.raises(GateError, match="cannot be read: No such file"):
        read_gate(tmp_path / "absent.yaml")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_gate_or_one_gate_error(tmp_path_factory, content):
    directory = tmp_path_factory.getbasetemp()
    with pytest.raises(GateError):
        read(directory, content)


@given(st.integers(0, len(GOOD)), st.text(alphabet="&*[]{}:-|>#%\"'!?\t\n ", min_size=1, max_size=3))
def test_a_damaged_gate_is_a_gate_or_one_gate_error(tmp_path_factory, at, junk):
    try:
        gate = read(tmp_path_factory.getbasetemp(), GOOD[:at] + junk + GOOD[at:])
    except GateError:
        return
    assert gate.judged
