"""Many seeds, and whether together they prove anything.

A class of faults that was never reached, or a way of coping that was never gone, says nothing of the bot:
such a campaign is inconclusive. From `THOROUGH` seeds on, each class has to be reached in one of a hundred,
and each way of coping ten times. A single seed that is replayed proves what it proves.
"""

import multiprocessing
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from mmbot.runtime.simulation.simulation import Result, Setup, simulate
from mmbot.sim.fault_plan import Fault

THOROUGH = 500
_LEAST_RATIO = 0.01
_LEAST_TIMES = 10
_IN_ONE_PROCESS = 8
_AT_ONCE = 4

WAYS_OF_COPING = (
    "account_current",
    "account_stale",
    "account_trouble",
    "amend_reject",
    "answer_timeout",
    "ended by disk_full",
    "ended by halt",
    "foreign_orders",
    "halt: kill switch",
    "late_fill",
    "order_reject: lost",
    "orphans found",
    "quoting",
    "resync_done",
    "stand_aside: the account's stream is not current",
    "ticks_dropped",
    "torn tail cut off",
    "unsynced records lost",
)
"""Rows that the bot writes when it copes, and what a start found."""


@dataclass(slots=True)
class Campaign:
    """What the seeds came to together. `seeds`: how many were played."""

    seeds: int = 0
    broken: list[Result] = field(default_factory=list)
    seeds_reached: Counter[str] = field(default_factory=Counter)
    """Class -> seeds that reached it."""
    reached: Counter[str] = field(default_factory=Counter)
    """Class -> how often it happened."""
    branches: Counter[str] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    simulated_ns: int = 0

    def add(self, result: Result) -> None:
        self.seeds += 1
        if result.broken is not None:
            self.broken.append(result)
        self.seeds_reached.update(result.reached.keys())
        self.reached.update(result.reached)
        self.branches.update(result.branches)
        self.checks.update(result.checks)
        self.counts.update(result.counts)
        self.simulated_ns += result.simulated_ns

    @property
    def unproven(self) -> list[str]:
        """What was reached too seldom; empty when the campaign is conclusive."""
        thorough = self.seeds >= THOROUGH
        least = max(1, round(self.seeds * _LEAST_RATIO)) if thorough else 1
        found = [
            f"{fault}: reached in {self.seeds_reached[fault]} seeds of {self.seeds}, expected {least}"
            for fault in Fault
            if self.seeds_reached[fault] < least
        ]
        return found + [
            f"{way}: {self.branches[way]} times, expected {_LEAST_TIMES}"
            for way in WAYS_OF_COPING
            if thorough and self.branches[way] < _LEAST_TIMES
        ]


def play(setup: Setup, seeds: Sequence[int], processes: int) -> Iterator[Result]:
    """Every seed, in their order. Raises ConfigError for a setup that cannot be played."""
    if len(seeds) <= _IN_ONE_PROCESS or processes == 1:
        yield from (simulate(setup, seed) for seed in seeds)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn) as pool:
        yield from pool.map(simulate, [setup] * len(seeds), seeds, chunksize=_AT_ONCE)
