"""How long to wait before trying again: exponential, with jitter from a seed. Pure."""

import numpy as np

from mmbot.units import SECOND, Ns

FIRST_NS = Ns(SECOND // 2)
LONGEST_NS = Ns(30 * SECOND)


class Backoff:
    """Waits of one peer. The nth lies between half of `first * 2^n` and all of it ("equal jitter"), and never
    outside `first` to `longest`: clients that were cut off together do not come back together.
    """

    __slots__ = ("_draws", "_first_ns", "_longest_ns", "_step_ns")

    def __init__(self, seed: int, first_ns: Ns = FIRST_NS, longest_ns: Ns = LONGEST_NS) -> None:
        if not 0 < first_ns <= longest_ns:
            raise ValueError(f"waits were {first_ns} to {longest_ns} ns, expected a rising range above 0")
        self._draws = np.random.default_rng(seed)
        self._first_ns, self._longest_ns = first_ns, longest_ns
        self._step_ns = 2 * first_ns

    def next_ns(self) -> Ns:
        """The wait before the next try."""
        step_ns = min(self._step_ns, self._longest_ns)
        self._step_ns = 2 * step_ns
        return Ns(max(self._first_ns, int(self._draws.integers(step_ns // 2, step_ns, endpoint=True))))

    def reset(self) -> None:
        """The peer is well again: the next wait is a first one."""
        self._step_ns = 2 * self._first_ns
