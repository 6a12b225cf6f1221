"""Charts are well-formed, stay inside their picture, and no text in them is markup."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mmgates.report.axes import linear
from pytest_mmgates.report.svg import (
    HEIGHT,
    WIDTH,
    Band,
    Bar,
    Dot,
    Limit,
    Line,
    Span,
    chart,
    legend,
    waterfall,
)

FLOATS = st.floats(-1e6, 1e6)
TEXT = "<script>alert('1')</script> & \"more\""


def drawn(marks, name="a chart"):
    return ET.fromstring(chart(linear("x", [0.0, 100.0]), linear("y", [0.0, 10.0]), marks, name))  # noqa: S314 - our own


@given(st.lists(FLOATS | st.just(np.nan), max_size=40), FLOATS, st.floats(-10, 110))
def test_every_point_is_inside(ys, limit, at):
    xs, values = np.linspace(0, 100, len(ys)), np.array(ys, dtype=np.float64)
    marks = [
        Line(xs, values, "s0"),
        Band(xs, values, values + 1),
        Limit(limit, "limit"),
        Span(at, at + 5, "violation"),
    ]
    root = drawn(marks)
    for path in root.iter("path"):
        points = re.findall(r"[ML]([\d.e-]+) ([\d.e-]+)", path.attrib["d"])
        assert all(0 <= float(x) <= WIDTH and 0 <= float(y) <= HEIGHT for x, y in points)
    assert "nan" not in ET.tostring(root, encoding="unicode")


def test_a_gap_interrupts_a_line_and_a_point_alone_is_a_dot():
    root = drawn([Line(np.arange(6.0), np.array([1.0, 2.0, np.nan, 3.0, np.nan, 4.0]), "s0")])
    [path] = root.iter("path")
    assert path.attrib["d"].count("M") == 3
    assert len(list(root.iter("circle"))) == 2


def test_nothing_to_draw_is_a_chart_without_marks():
    assert not list(drawn([Line(np.array([]), np.array([]), "s0")]).iter("path"))


@pytest.mark.parametrize(
    "markup",
    [
        chart(
            linear(TEXT, [0, 1]), linear(TEXT, [0, 1]), [Limit(0.5, TEXT), Dot(0.5, 0.5, TEXT, "s0")], TEXT
        ),
        chart(linear("x", [0, 1]), linear("y", [0, 1]), [Span(0, 1, "violation", "", TEXT)], "name"),
        waterfall(linear("x", [0, 1]), [Bar(TEXT, 0, 1, 2)], TEXT),
        legend([Span(0, 1, "violation", TEXT)]),
    ],
    ids=["chart", "span", "waterfall", "legend"],
)
def test_text_is_text(markup):
    assert "<script" not in markup
    assert TEXT in {text for one in ET.fromstring(markup).iter() for text in (one.text, one.tail)}  # noqa: S314 - our own


def test_equal_data_are_equal_bytes():
    def once():
        values = np.random.default_rng(7).normal(size=500)
        return chart(
            linear("x", [0, 500]), linear("y", [-4, 4]), [Line(np.arange(500.0), values, "s0")], "noise"
        )

    assert once() == once()
