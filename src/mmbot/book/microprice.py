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
from mmbot.kernels.layout import BUCKETS as _BUCKETS
from mmbot.kernels.layout import SPREADS as _SPREADS
from mmbot.kernels.layout import STATES as _STATES

_ROUNDS = 6
"""Terms of the series; the paper finds it flat after about six."""


class Transitions:
    """Counts of what followed what, one observation a tick.

    `counts`, with S states: rows 0..S-1 from that state to each state, mid unchanged; the next S rows the
    same, mid moved; the last row the sum of the moves out of each state, ticks. A kernel may own the array
    and count into it.
    """

    __slots__ = ("_mid_x2", "counts", "seen", "state")

    def __init__(self, counts: npt.NDArray[np.float64] | None = None) -> None:
        self.counts = np.zeros((2 * _STATES + 1, _STATES)) if counts is None else counts
        self.seen = 0
        self.state = -1
        self._mid_x2 = 0

    def observe(self, view: PricedView) -> None:
        before, state = self.state, _state(view)
        if before >= 0:
            moved_x2 = view.mid_x2 - self._mid_x2
            if moved_x2:
                self.counts[_STATES + before, state] += 1
                self.counts[2 * _STATES, before] += moved_x2 / 2
            else:
                self.counts[before, state] += 1
        self.state, self._mid_x2 = state, view.mid_x2
        self.seen += 1


class Microprice:
    """Estimator over a market's transitions; prices in ticks."""

    __slots__ = ("_refit_every", "next_fit", "table")

    def __init__(self, refit_every: int) -> None:
        self._refit_every = refit_every
        self.next_fit = refit_every
        """Number of observations at which the table is worked out anew."""
        self.table: list[float] | None = None
        """Adjustment by state, ticks; None before the first fit."""

    def __call__(self, transitions: Transitions, mid: float) -> float:
        """Microprice of the view that was observed last."""
        if transitions.seen >= self.next_fit:
            self.next_fit += self._refit_every
            self.table = fit(transitions.counts)
        return mid if self.table is None else mid + self.table[transitions.state]


def fit(counts: npt.NDArray[np.float64]) -> list[float] | None:
    """Adjustment of each state in ticks; None while no mid has moved."""
    mirror = np.array([_mirror(state) for state in range(_STATES)])
    one_way = counts[:_STATES], counts[_STATES : 2 * _STATES]
    stay, move = (part + part[np.ix_(mirror, mirror)] for part in one_way)
    moved = counts[2 * _STATES] - counts[2 * _STATES][mirror]
    if not move.any():
        return None
    total = stay.sum(axis=1) + move.sum(axis=1)
    weight = np.divide(1.0, total, out=np.zeros(_STATES), where=total > 0)
    # states that no move was ever seen to follow would make (I - Q) singular; nothing is expected of them
    live = move.any(axis=1)
    while (grown := live | (stay @ live > 0)).sum() > live.sum():
        live = grown
    stay = stay * np.outer(live, live)
    reach = np.linalg.pinv(np.eye(_STATES) - stay * weight[:, None])
    term = reach @ (moved * weight)
    after = reach @ (move * weight[:, None])
    adjustment = term
    for _ in range(_ROUNDS):
        term = after @ term
        adjustment = adjustment + term
    return [float(value) for value in adjustment]


def _state(view: PricedView) -> int:
    """Imbalance bucket and spread; counted from the smaller side, so that a mirrored book has the mirrored
    state.
    """
    bids, asks = view.bid_lots, view.ask_lots
    bucket = int(min(bids, asks) / (bids + asks) * _BUCKETS)
    if bids > asks:
        bucket = _BUCKETS - 1 - bucket
    spread = min(view.ask_tick - view.bid_tick, _SPREADS) - 1
    return spread * _BUCKETS + bucket


def _mirror(state: int) -> int:
    spread, bucket = divmod(state, _BUCKETS)
    return spread * _BUCKETS + _BUCKETS - 1 - bucket
