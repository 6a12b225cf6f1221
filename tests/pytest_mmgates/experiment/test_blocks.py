"""Rows of a live stage -> blocks: to whom each fill belongs, what is left out, and what is no experiment."""

from pathlib import Path

import msgspec
import pytest
from tests.pytest_mmgates.experiment.recorded import (
    HOUR,
    SYMBOLS,
    S,
    facts,
    fill,
    planned,
    rows_of,
    tick,
    write,
)

from pytest_mmgates.errors import ExperimentError, RunlogError
from pytest_mmgates.experiment.reading import read_experiment
from pytest_mmgates.gatefile import parse_gate
from pytest_mmgates.judge import judge
from pytest_mmgates.stats.acceptance import Decision
from pytest_mmgates.verdict import Verdict

SHIPPED = (Path(__file__).parents[3] / "gates" / "ab.yaml").read_text()
GATE = parse_gate(SHIPPED.replace(">= 10000", ">= 1000"), file="gates/ab.yaml", name="ab")
PAIRS = 24


@pytest.fixture
def known():
    return facts(blocks=planned(PAIRS))


@pytest.fixture
def rows(known):
    """B earns half a basis point more; each block a little more than the one before."""
    return rows_of(known, lambda plan: 1.0 + 0.5 * (plan.arm == "B") + 0.001 * plan.index)


@pytest.fixture
def read(foreign_bot, tmp_path, known):
    def read_back(feeds, facts=known, **changes):
        return read_experiment(write(foreign_bot, tmp_path / "e", facts, feeds, **changes), GATE)

    return read_back


def void(log):
    return "; ".join(log.decision.void)


def test_rows_come_to_the_sums_that_were_put_in(read, rows):
    log = read(rows)
    [variant] = log.variants
    assert len(variant.blocks) == 2 * PAIRS
    assert {(one.ticks, one.with_book, one.expected) for one in variant.blocks} == {(45, 45, 45)}
    first = variant.blocks[0]
    assert (first.analysed.fills, first.late.fills) == (4, 3)  # at 21, 31, 41 and 51 minutes
    assert first.analysed.notional == 400.0
    net_bps = 1e4 * first.analysed.net / first.analysed.notional
    assert net_bps == pytest.approx(1.0 + 0.5 * (first.arm == "B"))
    assert log.decision.decision is Decision.ACCEPT
    assert log.decision.variants[0].bounds.estimate == pytest.approx(0.5, abs=0.001)


def test_the_same_rows_give_the_same_verdict(read, rows, tmp_path):
    first = judge(GATE, read(rows))
    again = judge(GATE, read_experiment(tmp_path / "e", GATE))
    assert first == again
    assert [rule.verdict for rule in first.rules[:3]] == [Verdict.PASS] * 3
    assert {rule.verdict for rule in first.rules[3:]} == {Verdict.NO_DATA}  # nobody watched


def test_a_late_fill_belongs_to_the_arm_that_submitted_it(read, rows, known):
    switch = next(at for at in range(1, 9) if known.blocks[at].arm != known.blocks[at - 1].arm)
    before, after = known.blocks[switch - 1], known.blocks[switch]
    symbol = SYMBOLS["majors"][0]
    rows["fills"].append(fill(after.start_ns + 30 * S, symbol, before.arm, -50.0))
    rows["fills"].sort(key=lambda row: row["ts_ns"])
    blocks = {one.index: one for one in read(rows).variants[0].blocks}
    assert blocks[before.index].analysed.fills == 5
    assert blocks[before.index].late.fills == 4
    assert blocks[after.index].analysed.fills == 4


def flipped_id(rows, _):
    row = rows["fills"][30]
    row["client_id"] = row["client_id"].replace(f"mm{row['arm']}", "mmB" if row["arm"] == "A" else "mmA")


def flipped_fill(rows, known):
    row = next(row for row in rows["fills"] if (row["ts_ns"] - known.blocks[0].start_ns) % HOUR > HOUR // 2)
    other = "B" if row["arm"] == "A" else "A"
    row |= {"arm": other, "client_id": f"mm{other}-1"}


def flipped_tick(rows, _):
    row = rows["pipeline_ticks"][200 - 200 % 60 + 50]
    row["arm"] = "B" if row["arm"] == "A" else "A"


@pytest.mark.parametrize("flip", [flipped_id, flipped_fill, flipped_tick])
def test_flipped_labels_are_void(read, rows, known, flip):
    flip(rows, known)
    log = read(rows)
    assert "flipped labels" in void(log)
    verdict = judge(GATE, log)
    assert verdict.verdict is Verdict.NO_DATA
    assert all(rule.value is None for rule in verdict.rules)


def test_a_missing_block_is_void(read, rows, known):
    gone = known.blocks[6]
    rows["pipeline_ticks"] = [
        row for row in rows["pipeline_ticks"] if not gone.analysed_ns <= row["ts_ns"] < gone.end_ns
    ]
    assert f"block 6 of majors, arm {gone.arm}, is missing" in void(read(rows))


def test_a_block_without_a_book_is_the_markets(read, rows, known):
    gone = known.blocks[6]
    for row in rows["pipeline_ticks"]:
        if gone.analysed_ns <= row["ts_ns"] < gone.analysed_ns + 600 * S:
            row["mid"] = None
    log = read(rows)
    assert not log.decision.void
    assert log.variants[0].blocks[6].excluded == "no_book"
    assert log.decision.variants[0].pairs == PAIRS - 1


@pytest.mark.parametrize(("played_for", "named"), [({"plan_hash": "f00d"}, "plan f00d"), (None, "no plan")])
def test_a_plan_that_was_edited_is_void(read, rows, played_for, named):
    assert f"the plan was edited: run r1 is of {named}" in void(read(rows, experiment=played_for))


def test_data_that_was_calibrated_on_is_left_out(read, rows, known):
    begin, end = known.blocks[4].start_ns, known.blocks[7].end_ns
    seen = [
        {"sha256": "ab" * 32, "from_ns": begin, "to_ns": end},
        {"sha256": "other", "from_ns": 0, "to_ns": None},
    ]
    taught = msgspec.convert({**msgspec.to_builtins(known), "seen": seen}, type(known))
    found = read(rows, taught).decision.variants[0]
    assert found.excluded == {"seen": {"A": 2, "B": 2}}
    assert found.pairs == PAIRS - 2


def test_not_a_number_in_a_row_is_refused(read, rows, tmp_path):
    read(rows)
    path = next((tmp_path / "e" / "live" / "r1").glob("fills_*"))
    path.write_text(path.read_text().replace('"qty": 1.0', '"qty": NaN', 1))
    with pytest.raises(RunlogError, match=r"fills_\d+\.jsonl:1: corrupt row"):
        read_experiment(tmp_path / "e", GATE)


def test_a_symbol_of_no_cluster_is_refused(read, rows, known):
    strange = msgspec.structs.replace(known, clusters={"majors": ["paper:CCC"]})
    rows["pipeline_ticks"] = [tick(at * S, "paper:AAA", "A") for at in range(10)]
    with pytest.raises(RunlogError, match="'paper:AAA' is not among the feeds"):
        read({**rows, "fills": []}, strange)


def test_edited_facts_are_refused(read, rows, tmp_path):
    read(rows)
    path = tmp_path / "e" / "experiment.json"
    path.write_text(path.read_text().replace('"plan": "p"', '"plan": "q"'))
    with pytest.raises(ExperimentError, match="the plan was edited"):
        read_experiment(tmp_path / "e", GATE)


def test_inherited_positions_are_those_at_the_switch_and_two_wash_outs_later(read, rows, known):
    for row in rows["pipeline_ticks"]:
        row["position_quote"] = float((row["ts_ns"] - known.blocks[0].start_ns) // (60 * S))
    block = read(rows).variants[0].blocks[3]
    assert block.positions == [(180.0, 210.0)]
