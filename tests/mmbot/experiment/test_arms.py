"""Both arms in one engine, by hand: who may quote when, what a switch waits for, where a rollback ends."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS, HandStopwatch, confirmed, linear, ms, shipped_settings, snapshot
from tests.mmbot.experiment.plans import MAJOR, OTHER, plan

from mmbot.experiment.arms import ArmedEngine, Course, shared_differences
from mmbot.experiment.plan import Arm, Experiment, Stage
from mmbot.experiment.switchback import Schedule
from mmbot.model.commands import CancelOrder, Command, SubmitOrder, unpacked
from mmbot.model.events import CancelReject, Fill, OrderAck, OrderCancelled, Tick
from mmbot.model.orders import arm_of
from mmbot.model.records import EventRow, FillRow, Row, TickRow
from mmbot.runtime.arming import Armed
from mmbot.runtime.assemble import build_engine, plain_markets
from mmbot.units import Lots, Ns

BIDS, ASKS = [(7_490, 500)], [(7_510, 500)]
WIDER = {"spread": {"base_bps": 5.0}}
INSTRUMENTS = [linear(symbol="SYNTH01USDT"), linear(symbol="SYNTH02USDT")]
UNGUARDED = {"guards": {"soft_volatility_bps": 1e6, "hard_volatility_bps": 1e6}}


class Bench:
    """An engine of two symbols, and a venue that answers when it is told to."""

    def __init__(self, course: Course | Stage = "A", **changes: Any) -> None:
        settings: Mapping[Arm, Any] = {
            "A": shipped_settings(**UNGUARDED),
            "B": shipped_settings(**UNGUARDED, **WIDER),
        }
        self.experiment = Experiment(plan(block="1s", washout="0.1s", **changes), settings, {}, "")
        markets = plain_markets(settings["A"], INSTRUMENTS)
        engine = build_engine(
            settings["A"],
            INSTRUMENTS,
            markets,
            arm="A",
            clock=HandStopwatch(1_000),
            armed=Armed(self.experiment, course),
        )
        assert isinstance(engine, ArmedEngine)
        self.engine = engine
        self.open: dict[str, str] = {}
        """Client id -> symbol of orders that may be at the venue."""
        self.cancels: list[CancelOrder] = []
        self.rows: list[Row] = []
        for instrument in INSTRUMENTS:
            self.engine.step(snapshot(BIDS, ASKS, symbol=instrument.key))

    def tick(self, at_ms: float, *, answer: bool = True) -> list[Command]:
        for instrument in INSTRUMENTS:
            self.engine.step(confirmed(ms(at_ms), symbol=instrument.key))
        commands = list(unpacked(self.engine.step(Tick(Ns(ms(at_ms))))))
        for command in commands:
            if isinstance(command, SubmitOrder):
                others = {arm_of(one) for one, symbol in self.open.items() if symbol == command.symbol}
                assert others <= {arm_of(command.client_id)}, "two arms on one symbol"
                self.open[command.client_id] = command.symbol
                self.engine.step(OrderAck(command.symbol, command.client_id, Ns(ms(at_ms))))
            elif isinstance(command, CancelOrder):
                self.cancels.append(command)
        if answer:
            self.answer(at_ms)
        self.rows += self.engine.drain()
        return commands

    def answer(self, at_ms: float, most: int = 100) -> None:
        """The venue confirms cancels, the oldest first."""
        for command in self.cancels[:most]:
            del self.open[command.client_id]
            self.engine.step(OrderCancelled(command.symbol, command.client_id, Ns(ms(at_ms)), Lots(1)))
        del self.cancels[:most]

    def fill(self, client_id: str, at_ms: float) -> None:
        symbol = self.open.pop(client_id)
        order = self.engine.bots[symbol]._blotter._by_id[client_id]
        lots, now_ns = Lots(order.leaves_lots), Ns(ms(at_ms))
        filled = Fill(
            symbol, client_id, 1, now_ns, now_ns, order.side, order.tick, lots, maker=True, mid_x2=15_000
        )
        self.engine.step(filled)

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [row.detail for row in self.rows if isinstance(row, EventRow) and row.kind == kind]

    def arms(self) -> set[str]:
        return {arm_of(client_id) for client_id in self.open}


def submits(commands: Sequence[Command]) -> list[str]:
    return [one.client_id for one in commands if isinstance(one, SubmitOrder)]


def test_the_old_arm_leaves_before_the_new_one_quotes_and_numbers_go_on():
    bench = Bench()
    bench.tick(0)
    assert bench.arms() == {"A"}
    bench.engine.follow(Ns(ms(100)), "B", "by hand")
    pulled = bench.tick(100, answer=False)
    assert len(pulled) == 4
    assert all(isinstance(command, CancelOrder) for command in pulled)
    assert bench.tick(200, answer=False) == []
    bench.answer(250)
    quoted = submits(bench.tick(300))
    assert sorted(quoted) == sorted(f"mmB-{one.symbol}-{number}" for one in INSTRUMENTS for number in (3, 4))
    assert [event["waited_ms"] for event in bench.events("arm_in_force")] == [200, 200]


def test_a_tick_that_waits_for_a_switch_says_so_and_wants_nothing():
    bench = Bench()
    bench.tick(0)
    bench.engine.follow(Ns(ms(100)), "B", "by hand")
    bench.tick(100, answer=False)
    bench.answer(150)
    bench.tick(200)
    of_first = [row for row in bench.rows if isinstance(row, TickRow) and row.symbol == MAJOR]
    assert [(row.arm, row.guard, row.reasons, row.bid is None) for row in of_first] == [
        ("A", "NONE", (), False),
        ("A", "HARD", ("switch",), True),
        ("B", "NONE", (), False),
    ]
    assert of_first[2].half_spread_bps > of_first[0].half_spread_bps


def test_the_inventory_is_handed_over_and_a_late_fill_belongs_to_who_sent_the_order():
    bench = Bench()
    bench.tick(0)
    mine = next(client_id for client_id, symbol in bench.open.items() if symbol == MAJOR)
    bench.engine.follow(Ns(ms(100)), "B", "by hand")
    bench.tick(100, answer=False)
    bench.fill(mine, 150)
    bench.cancels = [one for one in bench.cancels if one.client_id != mine]
    bench.answer(160)
    bench.tick(200)
    bench.engine.step(CancelReject(MAJOR, mine, Ns(ms(210)), "filled"))
    bench.tick(300)
    [fill] = [row for row in bench.rows if isinstance(row, FillRow)]
    assert (fill.arm, fill.client_id) == ("A", mine)
    assert bench.engine.arm_in_force(MAJOR) == "B"
    assert bench.engine.bots[MAJOR].position.lots != 0


def test_blocks_begin_where_the_schedule_drew_them_and_each_cluster_by_itself():
    bench = Bench(Stage.FIFTY)
    for at_ms in range(0, 8_000, 100):
        bench.tick(at_ms)
    schedule = bench.engine.course
    assert isinstance(schedule, Schedule)
    drawn = [
        (block.cluster, block.index, block.pair, block.arm, block.start_ns)
        for index in range(8)
        for cluster in ("majors", "others")
        for block in [schedule.block(cluster, index)]
    ]
    told = [
        (one["cluster"], one["block"], one["pair"], one["arm"], one["start_ns"])
        for one in bench.events("arm_block")
    ]
    assert told == drawn
    assert {arm for *_, arm, _ in drawn} == {"A", "B"}
    for row in bench.rows:
        if isinstance(row, TickRow) and row.guard == "NONE":
            assert row.arm == schedule.arm_at(row.symbol, row.ts_ns)
    assert bench.events("arm_block").pop(0)["start_ns"] == START_NS


def test_together_nobody_goes_on_before_the_last_has_left():
    bench = Bench(switch="together")
    bench.tick(0)
    bench.engine.follow(Ns(ms(100)), "B", "by hand")
    bench.tick(100, answer=False)
    bench.answer(150, most=3)
    assert bench.tick(200, answer=False) == []
    bench.answer(250)
    assert len(submits(bench.tick(300))) == 4


def test_apart_who_has_left_goes_on():
    bench = Bench()
    bench.tick(0)
    bench.engine.follow(Ns(ms(100)), "B", "by hand")
    bench.tick(100, answer=False)
    bench.cancels.sort(key=lambda one: one.symbol)
    bench.answer(150, most=2)
    assert {arm_of(one) for one in submits(bench.tick(200, answer=False))} == {"B"}
    assert bench.arms() == {"A", "B"}


def test_a_rollback_ends_on_the_baseline_with_its_hash_and_no_order_of_the_candidate_after_it():
    bench = Bench("B")
    bench.tick(0)
    bench.tick(100)
    assert bench.arms() == {"B"}
    bench.engine.follow(Ns(ms(200)), "A", "taker share was 12 %")
    asked = bench.tick(200, answer=False)
    bench.tick(300, answer=False)
    bench.answer(350)
    later = [command for at_ms in (400, 500, 600) for command in bench.tick(at_ms)]
    assert submits(asked) == []
    assert {arm_of(one) for one in submits(later)} == {"A"}
    [_, done] = bench.events("course_in_force")
    baseline = bench.experiment.settings["A"].sha256()
    assert done == {
        "course": "baseline",
        "reason": "taker share was 12 %",
        "waited_ms": 200,
        "majors.config_sha256": baseline,
        "others.config_sha256": baseline,
    }


def test_who_is_on_the_baseline_is_back_on_it_at_once():
    bench = Bench()
    bench.tick(0)
    bench.engine.follow(Ns(ms(100)), "A", "drill")
    assert bench.tick(100) == []
    assert [event["waited_ms"] for event in bench.events("course_in_force")] == [0, 0]


def test_a_switch_that_is_called_off_quotes_on():
    bench = Bench()
    bench.tick(0)
    bench.engine.follow(Ns(ms(100)), "B", "by hand")
    bench.tick(100, answer=False)
    bench.engine.follow(Ns(ms(200)), "A", "no")
    bench.answer(200)
    assert {arm_of(one) for one in submits(bench.tick(200))} == {"A"}
    assert bench.events("arm_in_force") == []


def test_standing_aside_changes_arms_and_quotes_nothing():
    bench = Bench()
    bench.tick(0)
    bench.engine.follow(Ns(ms(100)), "B", "by hand")
    for command in unpacked(bench.engine.pull_quotes(ms(100))):
        assert isinstance(command, CancelOrder)
        bench.cancels.append(command)
    bench.answer(150)
    assert bench.engine.pull_quotes(ms(200)) == []
    assert bench.engine.arm_in_force(MAJOR) == bench.engine.arm_in_force(OTHER) == "B"


def test_halted_nothing_is_quoted_by_anybody():
    bench = Bench()
    bench.tick(0)
    bench.engine.halt(ms(100), "stop")
    bench.engine.follow(Ns(ms(100)), "B", "by hand")
    assert submits(bench.tick(200)) == []


def test_a_schedule_of_the_future_waits_on_the_baseline():
    bench = Bench()
    bench.tick(0)
    bench.engine.follow(Ns(ms(0)), Schedule(bench.experiment.plan, Stage.HUNDRED, ms(500)), "stage")
    for at_ms in range(100, 4_000, 100):
        bench.tick(at_ms)
        assert at_ms >= 500 or bench.arms() == {"A"}
    assert "B" in {event["arm"] for event in bench.events("arm_in_force")}


@given(
    st.lists(
        st.tuples(st.sampled_from(["A", "B", "stage", None]), st.integers(0, 4)), min_size=5, max_size=40
    )
)
def test_however_slow_the_venue_and_whatever_is_asked_no_symbol_ever_has_orders_of_two_arms(steps):
    bench = Bench(Stage.FIFTY)
    for number, (course, answers) in enumerate(steps):
        now_ns = ms(number * 300)
        if course is not None:
            wanted = Schedule(bench.experiment.plan, Stage.FIFTY, now_ns) if course == "stage" else course
            bench.engine.follow(Ns(now_ns), wanted, "drawn")
        bench.tick(number * 300, answer=False)  # asserts it at every create
        bench.answer(number * 300 + 100, most=answers)


@pytest.mark.parametrize(
    ("switch", "refused"),
    [("together", []), ("apart", ["limits.max_position_quote", "throttle.messages_per_s"])],
)
def test_rooms_that_all_symbols_share_are_the_same_unless_all_change_together(
    switch: str, refused: list[str]
):
    experiment = Experiment(plan(switch=switch), {}, {}, "")
    changed = ["spread.base_bps", "limits.max_position_quote", "throttle.messages_per_s"]
    assert shared_differences(experiment, changed) == refused
