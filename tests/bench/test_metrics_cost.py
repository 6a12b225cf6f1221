"""What metrics cost a replay, in CPU time: the best of several rounds, which others only make longer."""

import pytest
from tests.bench.workload import cpu_time
from tests.mmbot.builders import linear, ms, tick_row

from mmbot.model.records import Row
from mmbot.telemetry.registry import RunMetrics
from mmbot.units import MS

TICKS, BATCH, ROUNDS = 60_000, 600, 9
"""A batch of a replay is that of a sample: 600 ticks, a minute."""


def batches() -> list[list[Row]]:
    rows: list[Row] = [
        tick_row(
            ts_ns=ms(100 * number),
            seq=number,
            fetch_md_ns=5_000 + number % 977 * 7,
            age_ns=number % 300 * MS,
            tick_total_ns=20_000 + number % 97 * 100,
            reasons=("latency",) if number % 50 == 0 else (),
            guard="SOFT" if number % 50 == 0 else "NONE",
        )
        for number in range(TICKS)
    ]
    return [rows[at : at + BATCH] for at in range(0, TICKS, BATCH)]


def spent_s(played: list[list[Row]]) -> float:
    metrics = RunMetrics([linear()], run_id="r1", arm="A", data_kind="synthetic")
    began = cpu_time()
    for batch in played:
        metrics.rows(batch)
    metrics.exposed("")
    return cpu_time() - began


@pytest.mark.slow
def test_a_tick_costs_less_than_a_microsecond() -> None:
    played = batches()
    assert min(spent_s(played) for _ in range(ROUNDS)) / TICKS < 1e-6
