"""Microprice: the expected mid after the next mid moves, given imbalance and spread, fitted while running.

After S. Stoikov, "The micro-price: a high-frequency estimator of future prices", Quantitative Finance 18
(2018): state = (imbalance bucket, spread); Q = transitions that leave the mid, R = transitions that move it
by one of K sizes, T = the states after a move. G1 = (I - Q)^-1 R k, B = (I - Q)^-1 T, and the adjustment is
the sum of B^i G1. Counts are symmetrised (buying pressure on one side mirrors selling on the other), which
makes B^i G1 converge to 0. Observations are taken at every tick; the table is solved again every
`refit_every` of them, so the result is a function of the data alone.

Before the first fit the estimate is the mid itself: no adjustment has been learned.
"""

import numpy as np
import numpy.typing as npt

from mmbot.book.measures import PricedView

_BUCKETS = 10
_SPREADS = 3
_STATES = _BUCKETS * _SPREADS
_ROUNDS = 6
"""Terms of the series; the paper finds it flat after about six."""


class Microprice:
    """Estimator for one instrument; prices in ticks."""

    def __init__(self, refit_every: int) -> None:
        self._refit_every = refit_every
        self._stay = np.zeros((_STATES, _STATES))
        self._move = np.zeros((_STATES, _STATES))
        self._move_sum = np.zeros(_STATES)
        self._table: list[float] | None = None
        self._state = -1
        self._mid_x2 = 0
        self._seen = 0

    def update(self, view: PricedView) -> float:
        """Observe this tick's view; return the microprice in ticks."""
        state = _state(view)
        if self._state >= 0 and (state != self._state or view.mid_x2 != self._mid_x2):
            self._observe(self._state, state, view.mid_x2 - self._mid_x2)
        elif self._state >= 0:
            self._stay[state, state] += 1
        self._state, self._mid_x2 = state, view.mid_x2
        self._seen += 1
        if self._seen % self._refit_every == 0:
            self._table = self._fit()
        return view.mid if self._table is None else view.mid + self._table[state]

    def _observe(self, before: int, after: int, moved_x2: int) -> None:
        if moved_x2:
            self._move[before, after] += 1
            self._move_sum[before] += moved_x2 / 2
        else:
            self._stay[before, after] += 1

    def _fit(self) -> list[float] | None:
        mirror = np.array([_mirror(state) for state in range(_STATES)])
        stay = self._stay + self._stay[np.ix_(mirror, mirror)]
        move = self._move + self._move[np.ix_(mirror, mirror)]
        moved = self._move_sum - self._move_sum[mirror]
        total = stay.sum(axis=1) + move.sum(axis=1)
        if not move.any():
            return None
        weight = np.divide(1.0, total, out=np.zeros(_STATES), where=total > 0)
        # a state from which no move was ever seen would make (I - Q) singular; it adds nothing
        reach = np.linalg.pinv(np.eye(_STATES) - stay * weight[:, None])
        first = reach @ (moved * weight)
        after = reach @ (move * weight[:, None])
        adjustment: npt.NDArray[np.float64] = first
        term = first
        for _ in range(_ROUNDS):
            term = after @ term
            adjustment = adjustment + term
        return [float(value) for value in adjustment]


def _state(view: PricedView) -> int:
    bucket = min(int(view.imbalance * _BUCKETS), _BUCKETS - 1)
    spread = min(view.ask_tick - view.bid_tick, _SPREADS) - 1
    return spread * _BUCKETS + bucket


def _mirror(state: int) -> int:
    spread, bucket = divmod(state, _BUCKETS)
    return spread * _BUCKETS + _BUCKETS - 1 - bucket
