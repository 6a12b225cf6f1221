"""A value is changed where it stands, and nothing around it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.config.edit import rewritten, written_values
from mmbot.config.strict_yaml import parse
from mmbot.errors import ConfigError

TRUE = ("true", "True", "TRUE", "yes", "Yes", "on", "ON")
FALSE = ("false", "False", "FALSE", "no", "No", "off", "OFF")
spelled = st.sampled_from(TRUE + FALSE)
comments = st.sampled_from(("", "  # why", "   #enabled: true", " # größer: 1"))
gaps = st.sampled_from(("", "\n", "# enabled: true\n", "\n\n  # x\n"))


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A configuration of three flags, in block and flow style, with every kind of thing around them."""
    a, b, c = (draw(spelled) for _ in range(3))
    pad = " " * draw(st.integers(1, 4))
    text = (
        f"{draw(gaps)}a:{draw(comments)}\n{pad}enabled:{pad}{a}{draw(comments)}\n{draw(gaps)}"
        f"{pad}other: 'enabled: true'\nb: {{x: 1,{pad}enabled: {b}{pad}}}{draw(comments)}\n{draw(gaps)}"
        f"c:\n  d:\n    enabled: {c}"
    )
    text += draw(st.sampled_from(("", "\n", "  # end", "\n\n\n")))
    text = draw(st.sampled_from(("", "\ufeff"))) + text
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


PATHS = (("a", "enabled"), ("b", "enabled"), ("c", "d", "enabled"))


@given(texts(), st.lists(spelled, min_size=3, max_size=3), st.sets(st.sampled_from(PATHS)))
def test_there_and_back_is_the_same_text(text: str, values: list[str], chosen: set[tuple[str, ...]]):
    before = written_values(text, "c.yaml")
    changes = {path: value for path, value in zip(PATHS, values, strict=True) if path in chosen}
    there = rewritten(text, changes, "c.yaml")
    after = written_values(there, "c.yaml")
    assert {path: after[path].text for path in changes} == changes
    assert {path: one.text for path, one in after.items() if path not in changes} == {
        path: one.text for path, one in before.items() if path not in changes
    }
    assert rewritten(there, {path: before[path].text for path in changes}, "c.yaml") == text


@given(texts())
def test_what_is_written_is_where_it_is_said_to_be(text: str):
    origins = parse(text, "c.yaml").origins
    for path, one in written_values(text, "c.yaml").items():
        assert text[one.start : one.stop] == one.text
        assert origins[path] == f"c.yaml:{one.line}"


def test_a_key_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match=r"c\.yaml: a\.x: was not written here"):
        rewritten("a: {b: 1}", {("a", "x"): "2"}, "c.yaml")


@pytest.mark.parametrize("value", ["1, c: 2", "2 # all", "{x: 1}", "", "2\nz: 3", "[1]"])
def test_text_that_is_no_plain_value_is_refused(value: str):
    with pytest.raises(ConfigError, match=r"c\.yaml"):
        rewritten("a: {b: 1}\n", {("a", "b"): value}, "c.yaml")
    with pytest.raises(ConfigError, match=r"c\.yaml"):
        rewritten("a:\n  b: 1\n", {("a", "b"): value}, "c.yaml")
