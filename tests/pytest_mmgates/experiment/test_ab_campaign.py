"""Labels that are put on afterwards are those that the product would read, and a plant is what it says."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.bench.ab_campaign import exact, facts_of, judged, labelled, plan_of, planted, unlabelled
from tests.pytest_mmgates.experiment.recorded import HOUR, START_NS, S, fill, tick, write

from mmbot.experiment.plan import Stage
from mmbot.experiment.switchback import Schedule
from pytest_mmgates.armrules import parse_accept
from pytest_mmgates.experiment.blocks import Recorded, read_variant
from pytest_mmgates.experiment.facts import PlannedBlock
from pytest_mmgates.experiment.record import VariantRecord

CLUSTERS = {"one": ["paper:AAA"], "two": ["paper:BBB"]}
BLOCKS = 60


def rows(plan: Any, *, labels: bool) -> dict[str, list[dict[str, Any]]]:
    """Both symbols, a tick a minute and a fill every seven: of arm A, or of the arm that the plan draws."""
    schedule = Schedule(plan, Stage.FIFTY, START_NS)

    def arm(symbol: str, ts_ns: int) -> str:
        return schedule.arm_at(symbol, ts_ns) if labels else "A"

    end_ns = START_NS + BLOCKS * HOUR + HOUR // 2
    symbols = [symbol for [symbol] in CLUSTERS.values()]
    ticks = [
        tick(ts_ns, symbol, arm(symbol, ts_ns), position_quote=float(ts_ns // S % 97))
        for ts_ns in range(START_NS, end_ns, 60 * S)
        for symbol in symbols
    ]
    fills = [
        fill(ts_ns, symbol, arm(symbol, ts_ns), 1.0 + (ts_ns // S * 7919 % 1009) / 500)
        for ts_ns in range(START_NS + 30 * S, end_ns - 120 * S, 7 * 60 * S)
        for symbol in symbols
    ]
    return {"pipeline_ticks": ticks, "fills": fills}


@pytest.fixture(scope="module")
def plan() -> Any:
    return plan_of("aa", "demo", CLUSTERS, 5)


@pytest.fixture(scope="module")
def unmarked(plan: Any, foreign_bot: Any, tmp_path_factory: pytest.TempPathFactory) -> VariantRecord:
    folder = tmp_path_factory.mktemp("alone")
    made = write(foreign_bot, folder, facts_of(plan, Stage.FIFTY, []), rows(plan, labels=False))
    return unlabelled(plan, made / "live/r1")


def test_labelled_records_are_those_of_labelled_rows(
    plan: Any,
    unmarked: VariantRecord,
    foreign_bot: Any,
    tmp_path: Path,
) -> None:
    schedule = Schedule(plan, Stage.FIFTY, START_NS)
    until_ns = START_NS + BLOCKS * HOUR + HOUR // 2
    drawn = [block for name in CLUSTERS for block in schedule.blocks(name, until_ns)]
    facts = facts_of(
        plan, Stage.FIFTY, [msgspec.convert(msgspec.to_builtins(one), PlannedBlock) for one in drawn]
    )
    made = write(foreign_bot, tmp_path, facts, rows(plan, labels=True))
    read = read_variant(facts, "", [Recorded(made / "live/r1", None)])
    found = labelled(plan, unmarked)
    assert read.void == []
    assert {block.arm for block in found.blocks} == {"A", "B"}
    assert found.blocks == read.blocks
    assert found.blocks != unmarked.blocks


@pytest.mark.parametrize("effect_bps", [0.3, -0.5])
def test_a_plant_moves_the_estimate_by_what_was_planted(
    plan: Any, unmarked: VariantRecord, effect_bps: float
) -> None:
    never = parse_accept("delta(net_bps) >= 0.2bps by sequence(0.975), pairs >= 1000")
    record = labelled(plan, unmarked)
    [before] = judged(plan, record, never).variants
    [after] = judged(plan, planted(record, effect_bps), never).variants
    assert before.bounds is not None
    assert after.bounds is not None
    assert before.bounds.n == after.bounds.n == BLOCKS
    assert after.bounds.estimate - before.bounds.estimate == pytest.approx(effect_bps)
    assert after.arms["A"] == before.arms["A"]


def test_limits_are_exact() -> None:
    assert exact(0, 200) == pytest.approx((0.0, 0.01828), abs=1e-5)
    assert exact(200, 200) == pytest.approx((0.98172, 1.0), abs=1e-5)
    assert exact(5, 200) == pytest.approx((0.00817, 0.05739), abs=1e-4)
