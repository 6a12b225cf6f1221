"""The reference hour is the workload that it claims to be."""

from pathlib import Path

import numpy as np
import pytest
from tests.bench.workload import ASK, LAST, load

pytestmark = pytest.mark.bench


def test_it_has_the_rates_it_was_made_for(tape: Path) -> None:
    from tests.bench.reference_market import statistics  # noqa: PLC0415 (needs numba)

    found = statistics(load(tape))

    assert found["messages_per_s"] == pytest.approx(30, rel=0.03)
    assert found["levels_per_message"] == pytest.approx(6, rel=0.03)
    assert found["trades_per_s"] == pytest.approx(12, rel=0.03)
    assert found["latency_low_ms"] >= 4
    assert found["latency_high_ms"] <= 9


def test_no_message_names_a_level_twice(tape: Path) -> None:
    columns = load(tape)
    kind = columns["kind"]
    message = np.cumsum(np.concatenate(([0], (kind[:-1] & LAST) != 0)))
    levels = (kind & ~np.uint8(LAST)) <= ASK
    named = np.stack((message, kind & ~np.uint8(LAST), columns["tick"]))[:, levels]

    assert np.unique(named, axis=1).shape == named.shape


def test_stamps_never_go_back_and_stand_on_a_grid_of_1_ms(tape: Path) -> None:
    columns = load(tape)

    assert (np.diff(columns["exch_ns"]) >= 0).all()
    assert (np.diff(columns["recv_ns"]) >= 0).all()
    assert (columns["exch_ns"] % 1_000_000 == 0).all()


def test_it_is_the_same_every_time() -> None:
    pytest.importorskip("numba")
    from tests.bench.reference_market import Parameters, generate  # noqa: PLC0415 (needs numba)

    first, again, other = (generate(Parameters(seed=seed, seconds=60)) for seed in (1, 1, 2))

    assert all((first[name] == again[name]).all() for name in first)
    assert len(first["kind"]) != len(other["kind"]) or (first["tick"] != other["tick"]).any()
