"""Many seeds of a nasty venue: no order twice, no fill twice, nothing left behind, the same position
everywhere; and the process killed at every write of its log.
"""

from collections import Counter

import pytest
from tests.mmbot.builders import KEY, START_NS, linear
from tests.mmbot.execution.desk import PREFIX, Desk, KilledError, MemoryLog
from tests.mmbot.execution.nasty_venue import FAULTS, NastyVenue

from mmbot.execution.lifecycle import Lifecycle
from mmbot.execution.order_log import read
from mmbot.units import SECOND

TRADING_S, SETTLING_S = 20, 45


def played(seed: int) -> Desk:
    """Trading under faults, then calm until all is proven."""
    desk = Desk(NastyVenue(seed, KEY, start_ns=START_NS), MemoryLog())
    desk.run(TRADING_S)
    desk.settle(SETTLING_S)
    return desk


def judged(desk: Desk) -> None:
    """What must hold at the end of every seed."""
    venue, lifecycle = desk.venue, desk.lifecycle
    assert venue.doubles == 0
    assert venue.refused_twice == []
    assert venue.live == []
    assert list(lifecycle.open) == []
    assert lifecycle.unmatched == []
    assert desk.reconciler.refusal is None
    exec_ids = [execution.exec_id for execution in venue.executions]
    assert [exec_id for exec_id in exec_ids if not lifecycle.is_booked(exec_id)] == []
    assert lifecycle.symbol_state(KEY).fills == len(exec_ids)
    assert desk.position == lifecycle.positions[KEY].lots == venue.position


def replayed(content: bytes) -> Lifecycle:
    log = read(content, "log")
    lifecycle = Lifecycle([linear()], PREFIX, state=log.state)
    for record in log.records:
        lifecycle.apply(record)
    return lifecycle


def play_seeds(seeds: range) -> Counter[str]:
    reached: Counter[str] = Counter()
    for seed in seeds:
        desk = played(seed)
        judged(desk)
        desk.invariants.replays_to(replayed(desk.log.content).checkpoint())
        reached += Counter(dict.fromkeys((name for name, times in desk.venue.reached.items() if times), 1))
        reached["fills"] += desk.fills
        reached["amends"] += desk.venue.amends
        reached["late_fill"] += sum(row.kind == "late_fill" for row in desk.rows)
    return reached


def test_seeds():
    judge_reach(play_seeds(range(200)), 200)


@pytest.mark.slow
def test_ten_thousand_seeds():
    judge_reach(play_seeds(range(10_000)), 10_000)


def judge_reach(reached: Counter[str], seeds: int) -> None:
    """A fault that hardly ever happens proves nothing."""
    assert all(reached[fault] >= seeds / 100 for fault in FAULTS)
    assert reached["fills"] > seeds
    assert reached["amends"] > seeds


def killed_and_restarted(seed: int, how: str, kill_at: int, again_at: int | None = None) -> tuple[Desk, int]:
    """Killed at a write, and perhaps at another one of its recovery; then left alone to the end. The desk of
    the last start, and how often it was killed.
    """
    venue, log = NastyVenue(seed, KEY, start_ns=START_NS), MemoryLog(kill_at=kill_at, how=how)
    now_ns, deaths = START_NS, 0
    while True:
        desk = Desk(venue, log, now_ns)
        try:
            desk.run(TRADING_S)
            desk.settle(SETTLING_S)
        except KilledError:
            deaths += 1
            venue.disconnect()
            now_ns = desk.now_ns + SECOND
            log = log.reopened(again_at if deaths == 1 else None, how)
        else:
            return desk, deaths


HOWS = ("before", "torn", "after", "machine")


def kill_everywhere(seeds: range, hows: tuple[str, ...]) -> int:
    kills = 0
    for seed in seeds:
        for kill_at in range(1, played(seed).log.writes + 1):
            how = hows[kill_at % len(hows)]
            desk, deaths = killed_and_restarted(seed, how, kill_at)
            judged(desk)
            kills += deaths
    return kills


def test_killed_at_every_write_of_the_log():
    assert kill_everywhere(range(2), HOWS) > 100


@pytest.mark.slow
@pytest.mark.parametrize("how", HOWS)
def test_killed_at_every_write_of_many_seeds(how: str):
    assert kill_everywhere(range(20), (how,)) > 1_000


@pytest.mark.parametrize("how", HOWS)
def test_killed_again_at_every_write_of_the_recovery(how: str):
    for again_at in range(1, 12):
        desk, deaths = killed_and_restarted(5, how, 60, again_at)
        judged(desk)
        assert deaths == 2
