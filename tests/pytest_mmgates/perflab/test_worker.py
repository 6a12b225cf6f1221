"""The harness of one side: blocks whose boundaries move, samples without the stopwatch's own cost."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from pytest_mmgates.perflab import worker


@given(st.integers(1, 3_000), st.integers(1, 50), st.integers(0, 2**30), st.integers(-1, 3))
def test_blocks_cover_every_tick_once(ticks: int, block: int, seed: int, number: int):
    edges = worker._edges(ticks, block, seed, number)
    sizes = [b - a for a, b in itertools.pairwise(edges)]
    assert (edges[0], edges[-1]) == (0, ticks)
    assert all(0 < size <= block for size in sizes)
    assert all(size == block for size in sizes[1:-1])


def test_boundaries_move_from_pass_to_pass():
    assert len({worker._edges(1_000, 10, 5, number)[1] for number in range(10)}) > 5


@given(st.lists(st.integers(0, 10**6), min_size=1))
def test_a_sample_is_the_mean_of_the_lower_half(values: list[int]):
    mean = worker._lower_mean(values)
    assert min(values) <= mean <= max(values)
    kept = max(len(values) // 2, 1)
    assert mean * kept == sum(sorted(values)[:kept]) or abs(mean * kept - sum(sorted(values)[:kept])) < 1e-3


def test_readings_of_the_clock_are_taken_off():
    repeats = [(1_040, 2_080), (1_040, 2_080), (9_000, 9_000), (9_000, 9_000)]
    assert worker._sample(repeats, (1, 2), 40.0) == [1_000.0, 2_000.0]
    assert worker._sample([(10,)], (1,), 40.0) == [1.0]  # never nothing: ratios are taken of it


def test_a_clock_that_counts_costs_what_a_reading_adds():
    assert worker._reading_cost(itertools.count(0, 7).__next__) == 7.0


def test_bytecodes_are_counted_exactly():
    def work(turns: int) -> None:
        for _ in range(turns):
            pass

    counter = worker.Bytecodes()
    counts = []
    with counter:
        for turns in (10, 20, 30):
            before = counter.count
            work(turns)
            counts.append(counter.count - before)
    assert counts[1] - counts[0] == counts[2] - counts[1] > 0


def test_memory_is_laid_out_anew_each_time():
    sizes = [[len(block) for block in worker._scattered()] for _ in range(2)]
    assert sizes[0] != sizes[1]
