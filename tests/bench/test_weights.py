"""The table of the calibrated weights, by hand."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.bench.weights import HOURS, Seed, mean, read, report, share


def seed(number: int, **changes: Any) -> Seed:
    """One that kept the old weights."""
    facts: dict[str, Any] = {
        "market": "regimes",
        "seed": number,
        "fills": 100,
        "net_bps": -2.0,
        "kept_old": True,
        "reason": "walk-forward",
        "gain_bps2": None,
        "new": (6.0, 0.0, 0.0, 0.0, 0.0),
        "confirmed": None,
        "fresh_old": None,
        "fresh_new": None,
        "cpu_s": 10.0,
        "code": "c",
    }
    return Seed(**facts | changes)


def test_where_the_old_are_kept_the_difference_is_none():
    proposed = {"fresh_old": (-3.0, -HOURS, 90), "fresh_new": (1.0, 2.0 * HOURS, 40)}
    worse = {"fresh_old": (-3.0, 0.0, 90), "fresh_new": (-5.0, 0.0, 40)}
    head, _, row = report([seed(1), seed(2, **worse), seed(3, kept_old=False, **proposed)])
    assert head.startswith("| market | seeds | kept the old | old net bps | in force minus old |")
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:2] == ["regimes", "3"]
    assert cells[2].startswith("2 of 3 (")
    assert cells[4].startswith("+1.33 (")
    assert cells[5].startswith("+1.00 (")
    assert cells[6].startswith("+1.000 (")
    assert cells[7].startswith("+1.500 (")


def test_intervals_are_those_of_student_and_of_clopper_and_pearson():
    assert mean([1.0, 3.0]) == "+2.00 (-10.71 to +14.71)"  # 12.706 standard errors of 1
    assert mean([]) == "none"
    assert share(0, 10) == "0 of 10 (0% to 31%)"
    assert share(50, 50) == "50 of 50 (93% to 100%)"


def test_an_interval_without_ends_is_kept_and_read(tmp_path: Path):
    one = seed(1, confirmed=(1.0, None, None))
    (tmp_path / "regimes-001.json").write_bytes(msgspec.json.encode(one))
    assert read(tmp_path) == [one]


def test_seeds_of_two_versions_are_no_table(tmp_path: Path):
    for one in (seed(1), seed(2, code="d")):
        (tmp_path / f"regimes-{one.seed:03d}.json").write_bytes(msgspec.json.encode(one))
    with pytest.raises(SystemExit, match="more than one version of the bot"):
        read(tmp_path)
