"""Strict YAML: what is said twice, hidden, or no plain value is an error with file and line."""

from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mmbot.config.strict_yaml import Document, load, parse
from mmbot.errors import ConfigError


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ratio: float
    count: int
    active: bool = False


class Outer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    inner: Inner
    name: str
    items: list[Inner] = []


GOOD = """\
name: demo
inner:
  ratio: 0.5
  count: 3
items:
  - ratio: 1.5
    count: 1
  - {ratio: 2.5, count: 2}
"""


def refused(text: str, kind: type = dict) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, "c.yaml").convert(kind)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_plain_values_are_read_as_written():
    document = parse(GOOD, "c.yaml")
    expected = Outer(Inner(0.5, 3), "demo", [Inner(1.5, 1), Inner(2.5, 2)])
    assert document.convert(Outer) == expected
    assert document.data == yaml.safe_load(GOOD)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("name",), 1),
        (("inner",), 2),
        (("inner", "count"), 4),
        (("items", "0"), 6),
        (("items", "0", "count"), 7),
        (("items", "1", "ratio"), 8),
        (("inner", "count", "deeper"), 4),
    ],
)
def test_every_value_knows_its_line(path: tuple[str, ...], line: int):
    assert parse(GOOD, "c.yaml").where(path) == f"c.yaml:{line}"


def test_an_unknown_path_is_somewhere_in_the_file():
    assert parse(GOOD, "c.yaml").where(("other", "key")) == "c.yaml"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", "c.yaml:3: key a was written twice in one mapping"),
        ("a:\n  b: 1\n  c: 2\n  b: 1\n", "c.yaml:4: key a.b was written twice in one mapping"),
        ("a: {b: 1, b: 2}\n", "c.yaml:1: key a.b was written twice in one mapping"),
        ("a: &x 1\nb: 2\n", "c.yaml:1: YAML anchor was found, expected plain values"),
        ("a: 1\nb: *x\n", "c.yaml:2: YAML alias was found, expected plain values"),
        ("a: !!str 1\n", "c.yaml:1: YAML tag was found, expected plain values"),
        ("a: 1\nb: !!python/name:os.system x\n", "c.yaml:2: YAML tag was found, expected plain values"),
        ("a: .nan\n", "c.yaml:1: a: was .nan, expected a finite number"),
        ("a:\n  b: -.inf\n", "c.yaml:2: a.b: was -.inf, expected a finite number"),
        ("a: [1, .inf]\n", "c.yaml:1: a.1: was .inf, expected a finite number"),
        ("a: 1.0e+999\n", "c.yaml:1: a: was 1.0e+999, expected a finite number"),
        ("a: 2024-07-23\n", "c.yaml:1: a: was a date, expected text, a number, true or false"),
        ("1: a\n", "c.yaml:1: key was 1, expected a word"),
        ("true: a\n", "c.yaml:1: key was True, expected a word"),
        ("~: a\n", "c.yaml:1: key was None, expected a word"),
        ("a: 1\n[b]: 2\n", "c.yaml:2: key was None, expected a word"),
        ("a: 1\n<<: {b: 2}\n", "c.yaml:2: key: was not a plain value: '<<'"),
        ("", "c.yaml:1: document was empty, expected key: value lines"),
        ("# nothing\n", "c.yaml:1: document was empty, expected key: value lines"),
        ("- a\n- b\n", "c.yaml:1: document was no mapping, expected key: value lines"),
        ("just text\n", "c.yaml:1: document was no mapping, expected key: value lines"),
        ("a: 1\n  b: 2\n", "c.yaml:2: was not YAML: mapping values are not allowed here"),
        ("a: [1\nb: 2\n", "c.yaml:2: was not YAML: "),
        ("a: 1\n\tb: 2\n", "c.yaml:2: was not YAML: "),
        ("a: 1\n---\nb: 2\n", "c.yaml:2: was not YAML: "),
        ("a: 'open\n", "c.yaml:2: was not YAML: "),
        ("a: \x00\n", "c.yaml: was not YAML: "),
        ("a: " + "9" * 5_000 + "\n", "c.yaml:1: a: was not a plain value"),
    ],
    ids=lambda text: repr(text[:24]),
)
def test_what_does_not_mean_what_it_says_is_an_error_with_its_line(text: str, expected: str):
    assert refused(text).startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "name: x\ninner:\n  ratio: 1.0\n  count: 1\n  rato: 2\n",
            "c.yaml:5: inner.rato: Object contains unknown",
        ),
        (
            "name: x\nextra: 1\ninner: {ratio: 1, count: 1}\n",
            "c.yaml:2: extra: Object contains unknown field",
        ),
        (
            "name: x\ninner:\n  ratio: high\n  count: 1\n",
            "c.yaml:3: inner.ratio: Expected `float`, got `str`",
        ),
        (
            "name: x\ninner:\n  ratio: 1.0\n  count: 1.0\n",
            "c.yaml:4: inner.count: Expected `int`, got `float`",
        ),
        (
            "name: x\ninner:\n  ratio: true\n  count: 1\n",
            "c.yaml:3: inner.ratio: Expected `float`, got `bool`",
        ),
        (
            "name: x\ninner:\n  ratio: 1\n  count: 1\n  active: 1\n",
            "c.yaml:5: inner.active: Expected `bool`, got `int`",
        ),
        ("name: x\ninner: 3\n", "c.yaml:2: inner: Expected `object`, got `int`"),
        ("name: 3\ninner: {ratio: 1, count: 1}\n", "c.yaml:1: name: Expected `str`, got `int`"),
        ("name: x\ninner:\n  ratio: 1.0\n", "c.yaml:2: inner: Object missing required field `count`"),
        ("inner: {ratio: 1, count: 1}\n", "c.yaml: document: Object missing required field `name`"),
        (GOOD.replace("count: 2", "count: x"), "c.yaml:8: items.1.count: Expected `int`, got `str`"),
        (GOOD.replace("count: 1", "cont: 1"), "c.yaml:7: items.0.cont: Object contains unknown field `cont`"),
    ],
)
def test_a_value_that_does_not_fit_its_type_is_an_error_with_its_own_line(text: str, expected: str):
    assert refused(text, Outer).startswith(expected)


def test_an_overlay_merges_key_by_key_and_each_value_keeps_its_origin():
    base, top = parse(GOOD, "base.yaml"), parse("inner:\n  count: 9\n", "top.yaml")
    both = base.overlaid(top)
    assert both.convert(Outer).inner == Inner(0.5, 9)
    assert both.where(("inner", "count")) == "top.yaml:2"
    assert both.where(("inner", "ratio")) == "base.yaml:3"
    assert base.convert(Outer).inner.count == 3


def test_a_list_is_replaced_whole():
    both = parse(GOOD, "base.yaml").overlaid(parse("items: []\n", "top.yaml"))
    assert both.data["items"] == []


def test_an_error_in_an_overlay_names_the_overlay():
    both = parse(GOOD, "base.yaml").overlaid(parse("# comment\ninner:\n  count: many\n", "top.yaml"))
    with pytest.raises(ConfigError, match=r"^top.yaml:3: inner.count: Expected `int`, got `str`$"):
        both.convert(Outer)


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        ("inner: 5\n", "top.yaml:1: inner: was a value, expected a mapping as in the base"),
        ("name:\n  first: x\n", "top.yaml:1: name: was a mapping, expected a value as in the base"),
        (
            "inner:\n  count: {a: 1}\n",
            "top.yaml:2: inner.count: was a mapping, expected a value as in the base",
        ),
    ],
)
def test_an_overlay_of_another_shape_is_an_error_and_no_override(top: str, expected: str):
    with pytest.raises(ConfigError) as caught:
        parse(GOOD, "base.yaml").overlaid(parse(top, "top.yaml"))
    assert str(caught.value) == expected


def test_a_section_is_a_document_with_its_own_lines():
    section = parse(GOOD, "c.yaml").section("inner")
    assert section.convert(Inner) == Inner(0.5, 3)
    assert section.where(("count",)) == "c.yaml:4"
    assert parse(GOOD, "c.yaml").section("absent").data == {}


def test_a_file_that_is_missing_or_no_text_is_an_error_that_names_it(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"missing\.yaml: cannot be read: No such file or directory"):
        load(tmp_path / "missing.yaml")
    (tmp_path / "latin.yaml").write_bytes("größe: 1\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"latin\.yaml: was not UTF-8 text: byte 2"):
        load(tmp_path / "latin.yaml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path)


words = st.text("abcdefgh", min_size=1, max_size=4)
values = st.recursive(
    st.integers(-(10**6), 10**6)
    | st.floats(-1e6, 1e6).map(lambda value: round(value, 3))
    | st.booleans()
    | words,
    lambda inner: st.dictionaries(words, inner, min_size=1, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=12,
)
mappings = st.dictionaries(words, values, min_size=1, max_size=4)


@given(mappings)
def test_what_yaml_wrote_is_what_is_read(data: dict):
    assert parse(yaml.safe_dump(data), "c.yaml").data == yaml.safe_load(yaml.safe_dump(data))


@given(mappings, mappings)
def test_an_overlay_has_the_last_word_or_is_refused(base: dict, top: dict):
    documents = Document(base, {}, "base"), Document(top, {}, "top")
    try:
        merged = documents[0].overlaid(documents[1]).data
    except ConfigError:
        return
    assert set(merged) == set(base) | set(top)
    for key, value in top.items():
        if not isinstance(value, dict):
            assert merged[key] == value
    for key in set(base) - set(top):
        assert merged[key] == base[key]


@given(st.text(max_size=40))
def test_no_text_makes_any_other_error(text: str):
    try:
        document: Document | None = parse(text, "c.yaml")
    except ConfigError:
        document = None
    assert document is None or document.where(()) == "c.yaml"
