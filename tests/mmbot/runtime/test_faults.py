"""Faults are asked for in words, and meet a copy of the tape."""

import pytest

from mmbot.errors import ConfigError
from mmbot.runtime.faults import parse_fault
from mmbot.units import SECOND


def test_a_fault_is_read_as_it_is_written():
    silence, gap = parse_fault("silence@10m+5s"), parse_fault("gap@90s")
    assert (silence.at_ns, silence.lasts_ns) == (600 * SECOND, 5 * SECOND)
    assert (gap.at_ns, gap.lasts_ns, gap.text) == (90 * SECOND, None, "gap@90s")


@pytest.mark.parametrize(
    "text", ["", "gap", "gap@", "gap@1m+5s", "silence@1m", "silence@x+5s", "noise@1m+5s"]
)
def test_anything_else_is_no_fault(text: str):
    with pytest.raises(ConfigError, match="expected silence@"):
        parse_fault(text)
