"""Beside its peers: the same trades, and how fast. Where one is missing the test is skipped and says so."""

import statistics
from pathlib import Path

import pytest
from tests.bench.compare import (
    ENGINES,
    FLOOR,
    HFT_JITTED,
    KERNEL,
    KERNEL_BAND,
    NAUTILUS_RUST,
    Engine,
    Result,
    ratios,
    rounds,
    table,
)
from tests.bench.conftest import present

pytestmark = pytest.mark.bench

ROUNDS = 3


def played(engine: Engine, tape: Path, tick_ms: int, order_lots: int = 1) -> Result:
    present(engine)
    return engine.replay(tape, tick_ms, order_lots=order_lots, fills=True)


@pytest.mark.parametrize("tick_ms", [100, 1000])
def test_every_order_and_fill_is_hftbacktests(tape: Path, tick_ms: int) -> None:
    ours, theirs = played(KERNEL, tape, tick_ms), played(HFT_JITTED, tape, tick_ms)

    assert len(ours["fills"]) > 50
    assert ours["fills"] == theirs["fills"]  # when we learned of it, side, price, size
    for what in ("ticks", "orders", "cancels", "position_lots"):
        assert ours[what] == theirs[what]


@pytest.mark.parametrize("tick_ms", [100, 1000])
def test_the_quiet_band_leaves_out_nothing_but_ticks(tape: Path, tick_ms: int) -> None:
    every, band = played(KERNEL, tape, tick_ms), played(KERNEL_BAND, tape, tick_ms)

    assert band["ticks"] < every["ticks"]
    for what in ("fills", "orders", "cancels", "position_lots"):
        assert band[what] == every[what]


@pytest.mark.parametrize("order_lots", [1, 10])
@pytest.mark.parametrize("tick_ms", [100, 1000])
def test_every_order_and_fill_is_the_floors_with_partial_fills_too(
    tape: Path, tick_ms: int, order_lots: int
) -> None:
    ours, floor = (played(engine, tape, tick_ms, order_lots) for engine in (KERNEL, FLOOR))

    assert ours["fills"] == floor["fills"]
    for what in ("ticks", "orders", "cancels", "position_lots"):
        assert ours[what] == floor[what]


def test_orders_of_ten_lots_differ_from_hftbacktest_by_partial_fills_alone(tape: Path) -> None:
    ours, theirs = played(KERNEL, tape, 100, 10), played(HFT_JITTED, tape, 100, 10)
    first = next(
        (mine, other) for mine, other in zip(ours["fills"], theirs["fills"], strict=False) if mine != other
    )

    mine, other = first
    assert mine[:3] == other[:3]  # the same order, at the same moment
    assert 0 < mine[3] < other[3] == 10  # by a trade that was too small for all of it


def test_nautilus_trades_nearly_the_same_by_rules_of_its_own(tape: Path) -> None:
    ours, theirs = (played(engine, tape, 100) for engine in (KERNEL, NAUTILUS_RUST))

    assert theirs["ticks"] == ours["ticks"]
    assert theirs["orders"] == pytest.approx(ours["orders"], rel=0.02)
    assert len(theirs["fills"]) == pytest.approx(len(ours["fills"]), rel=0.2)


@pytest.mark.parametrize("tick_ms", [100, 1000])
def test_speed(tape: Path, tick_ms: int, capsys: pytest.CaptureFixture[str]) -> None:
    """No time is asserted: the table is the result, docs/benchmarks.md says what it should be."""
    results = rounds(ENGINES, tape, tick_ms, ROUNDS)
    with capsys.disabled():
        print(f"\n\ntick every {tick_ms} ms", *table(results), sep="\n")  # noqa: T201

    for name in results:
        assert statistics.median(ratios(results, name, KERNEL.name)) > 0
