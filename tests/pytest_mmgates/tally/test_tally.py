"""Tallies: however rows are split, what they add up to is the same."""

from functools import reduce
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mmgates.loader import load
from pytest_mmgates.rows import Instrument, Resumed
from pytest_mmgates.tables import CACHE_CODES, DURATIONS, Fills, Ticks
from pytest_mmgates.tally import ProcessTally, SymbolTally, Tally, Weighted, merged
from pytest_mmgates.tally.edge import HORIZONS_S, Markouts, edge_tally
from pytest_mmgates.tally.exact import exact_sum
from pytest_mmgates.tally.fold import fills_tally, floors_by_process, ticks_tally
from pytest_mmgates.tally.growth import slope_bytes_per_h
from pytest_mmgates.tally.tally import decoded, encoded
from pytest_mmgates.units import NS_PER_S

LINEAR = Instrument("ABCUSDT", "paper", "linear", 1.0, "ABC", "USDT")
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def content(tally):
    return msgspec.json.decode(msgspec.json.encode(tally, enc_hook=np.ndarray.tolist))


@pytest.fixture(scope="module")
def manifest(foreign_bot, tmp_path_factory):
    directory = tmp_path_factory.mktemp("tally") / "r"
    foreign_bot.write_run(directory, {"minutes": 1})
    return load(directory).manifest


def ticks(seed, count):
    """Columns of one symbol with figures of every kind."""
    rng = np.random.default_rng(seed)
    return Ticks(
        ts_ns=np.arange(count, dtype=np.int64) * 100_000_000,
        symbol=np.zeros(count, dtype=np.int16),
        cache=rng.integers(0, len(CACHE_CODES), count).astype(np.int16),
        age_ns=np.where(rng.random(count) < 0.2, np.nan, rng.integers(0, 10**9, count)),
        **{name: rng.integers(0, 10**8, count) for name in DURATIONS},
        wait_ns=rng.choice([0, 30_000_000], count).astype(np.int64),
        deadline_miss=rng.random(count) < 0.3,
        mid=np.where(rng.random(count) < 0.3, np.nan, 100 + rng.normal(size=count)),
        quoted=rng.random(count) < 0.5,
        position_quote=rng.normal(size=count) * 1000,
    )


def fills(seed, count):
    rng = np.random.default_rng(seed)
    return Fills(
        ts_ns=np.sort(rng.integers(0, 100 * NS_PER_S, count)),
        symbol=np.zeros(count, dtype=np.int16),
        side=rng.choice([-1, 1], count),
        price=100 + rng.normal(size=count),
        qty=rng.uniform(0.1, 9, count),
        maker=rng.random(count) < 0.8,
        fee=rng.normal(size=count),
        mid=np.where(rng.random(count) < 0.1, np.nan, 100 + rng.normal(size=count)),
        decision_mid=np.where(rng.random(count) < 0.1, np.nan, 100 + rng.normal(size=count)),
    )


def rows(table, start, end):
    return type(table)(*(column[start:end] for column in vars(table).values()))


def pieces(table, cuts):
    """The table cut at these places, in order."""
    edges = sorted({0, len(table), *(cut % (len(table) + 1) for cut in cuts)})
    return [rows(table, start, end) for start, end in pairwise(edges)]


@given(st.integers(0, 1000), st.lists(st.integers(0, 400), max_size=6), st.permutations(range(8)))
def test_ticks_however_split_and_in_whatever_order_give_one_tally(manifest, seed, cuts, order):
    table = ticks(seed, 300)
    tallies = [ticks_tally(block, manifest) for block in pieces(table, cuts)]
    shuffled = [tallies[at] for at in order if at < len(tallies)]
    whole = content(ticks_tally(table, manifest))
    assert content(reduce(merged, shuffled, SymbolTally())) == whole
    assert content(reduce(lambda tail, head: merged(head, tail), reversed(shuffled))) == whole


@given(st.integers(0, 1000), st.lists(st.integers(0, 40), max_size=6))
def test_fills_however_split_give_the_same_sums_to_the_last_bit(seed, cuts):
    table = fills(seed, 40)
    after = {seconds: np.full(40, 100.0) for seconds in HORIZONS_S}

    def tally(block):
        length = len(block)
        edge = edge_tally(block, LINEAR, {seconds: mids[:length] for seconds, mids in after.items()}, 101.0)
        return merged(fills_tally(block, LINEAR), edge)

    blocks = pieces(table, cuts)
    whole = tally(table)
    assert content(reduce(merged, map(tally, blocks))) == content(whole)
    assert whole.edge["net"].fills == np.count_nonzero(~np.isnan(table.mid))


@given(st.lists(FINITE), st.lists(FINITE))
def test_sums_of_floats_are_exact(one, other):
    def total(values):
        return exact_sum(np.array(values, dtype=np.float64))

    assert total(one) + total(other) == total(other + one)
    if one and abs(sum(one)) < float("inf"):
        assert total(one) / 2**1074 == pytest.approx(sum(one), rel=1e-9, abs=1e-9 * max(map(abs, one)))
    assert total([0.1] * 10) / total([1.0]) == 1.0  # the plain sum is 0.9999999999999999
    assert total([1e308, 1.0, -1e308]) == total([1.0])


@given(st.integers(0, 1000), st.lists(st.integers(0, 400), max_size=6))
def test_mids_after_fills_do_not_depend_on_blocks(seed, cuts):
    """Against one search over the whole run, from the definition."""
    table, moments = ticks(seed, 300), fills(seed, 40).ts_ns
    markouts = Markouts(moments)
    for block in pieces(table, cuts):
        markouts.ticks(block.ts_ns, block.mid)
    found = markouts.after()
    for seconds in HORIZONS_S:
        for moment, mid in zip(moments + seconds * NS_PER_S, found[seconds], strict=True):
            known = table.mid[(table.ts_ns <= moment) & ~np.isnan(table.mid)]
            wanted = known[-1] if len(known) and moment <= table.ts_ns[-1] else np.nan
            assert np.array_equal(mid, wanted, equal_nan=True)


def test_two_ticks_of_one_moment_in_two_blocks_the_later_one_counts():
    markouts = Markouts(np.array([0], dtype=np.int64))
    for mid in (100.0, 101.0):
        markouts.ticks(np.array([NS_PER_S], dtype=np.int64), np.array([mid]))
    assert markouts.after()[1].tolist() == [101.0]


def test_what_one_part_does_not_know_the_whole_does_not_know():
    known, unknown = SymbolTally(updates=5), SymbolTally(updates=None)
    assert merged(known, known).updates == 10
    assert merged(known, unknown).updates is merged(unknown, known).updates is None
    silent = merged(ProcessTally(events={"halt": 1}), ProcessTally(events=None))
    assert silent.events is None


def test_symbols_of_one_part_only_are_kept():
    one = Tally({"a": SymbolTally(ticks=1)})
    other = Tally({"b": SymbolTally(ticks=2), "a": SymbolTally(ticks=3)})
    assert {name: tally.ticks for name, tally in merged(one, other).symbols.items()} == {"a": 4, "b": 2}


def test_merging_leaves_both_as_they_were():
    one, other = SymbolTally(events={"gap": 1}), SymbolTally(events={"gap": 2})
    assert merged(one, other).events == {"gap": 3}
    assert (one.events, other.events) == ({"gap": 1}, {"gap": 2})


def test_a_tally_is_the_same_after_it_was_written_and_read(make_run):
    tally = make_run(minutes=5).tally
    assert content(decoded(encoded(tally))) == content(tally)
    assert (
        decoded(encoded(tally)).symbols["paper:ABCUSDT"].edge["net"]
        == tally.symbols["paper:ABCUSDT"].edge["net"]
    )


def test_sums_beyond_64_bits_are_kept():
    tally = Tally({"a": SymbolTally(edge={"net": Weighted(1, -(2**2000), 2**1999)})})
    assert decoded(encoded(tally)).symbols["a"].edge["net"].mean == -2.0


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b'{"symbols": {"a": {"ticks": "5"}}}',
        b'{"symbols": {"a": {"abs_position_quote": {"tops": ["x"], "counts": []}}}}',
    ],
)
def test_what_is_no_tally_is_refused(text):
    with pytest.raises(msgspec.MsgspecError):
        decoded(text)


def test_each_process_of_a_resumed_run_has_a_slope_of_its_own(make_run):
    hour_ns = 3_600_000_000_000
    manifest = msgspec.structs.replace(
        make_run(minutes=2).manifest,
        started_ns=0,
        ended_ns=20 * hour_ns,
        resumes=[Resumed(8 * hour_ns), Resumed(18 * hour_ns)],
    )
    times = np.arange(0, 20 * hour_ns, hour_ns // 60)
    hours = times / hour_ns
    rss_bytes = np.where(times < 8 * hour_ns, 9e8 + 1e6 * hours, 3e8 + 4e6 * hours)
    first, second = floors_by_process(manifest, times, rss_bytes, 20 * hour_ns)
    assert slope_bytes_per_h(first) == pytest.approx(1e6)
    assert slope_bytes_per_h(second) == pytest.approx(4e6)
    assert [len(first), len(second)] == [42, 54]
