"""A seed's faults: the same every time, different from seed to seed, over when they are over."""

from collections import Counter

from mmbot.sim.fault_plan import Fault, FaultPlan
from mmbot.units import SECOND

END_NS = 200 * SECOND


def test_a_seed_has_one_plan():
    one, other = FaultPlan(7, 0, END_NS), FaultPlan(7, 0, END_NS)
    assert (one.classes, one.episodes) == (other.classes, other.episodes)
    strikes = [[plan.strikes(fault, 0) for fault in Fault] for plan in (one, other) for _ in range(50)]
    assert strikes[:50] == strikes[50:]


def test_every_class_is_somebodys_favourite_and_a_seed_has_a_mix_of_its_own():
    seeds = len(Fault)
    plans = [FaultPlan(seed, 0, END_NS) for seed in range(seeds)]
    found = Counter(fault for plan in plans for fault in plan.classes)
    assert set(found) == set(Fault)
    assert all(list(Fault)[seed] in plan.classes for seed, plan in enumerate(plans))
    assert len({plan.classes for plan in plans}) == seeds
    assert all(len(plan.classes) < len(Fault) * 0.75 for plan in plans)


def test_faults_begin_and_end_in_time():
    for seed in range(100):
        plan = FaultPlan(seed, 0, END_NS)
        assert all(at.at_ns > 0 and at.at_ns + at.length_ns <= END_NS for at in plan.episodes)
        assert not any(plan.strikes(fault, END_NS) for fault in Fault for _ in range(20))


def test_what_happened_is_counted_and_what_may_not_happen_does_not():
    plan = FaultPlan(3, 0, END_NS, only=frozenset({Fault.ACK_LOST}))
    assert plan.episodes == []
    hits = sum(plan.strikes(Fault.ACK_LOST, 0) for _ in range(5_000))
    assert not any(plan.strikes(Fault.USER_LOSS, 0) for _ in range(5_000))
    assert plan.reached == {Fault.ACK_LOST: hits}
    assert hits > 0
