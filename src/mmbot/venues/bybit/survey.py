"""A survey of an account, sans-IO: all of its open orders, its executions since a time, its positions, by
REST and in this order, each complete before the next is asked for.

In this order, because an order that fills meanwhile must not be missed: what is no longer listed as open is
then among the executions, or has moved the position.
"""

from collections.abc import Sequence

from mmbot.model.account import AccountReport, Execution, OrderReport, PositionReport, VenueAccount
from mmbot.model.instrument import Instrument
from mmbot.units import MS, Ns
from mmbot.venues.bybit.codec import category
from mmbot.venues.bybit.queries import Ask, Query

_STAGES = (Ask.OPEN_ORDERS, Ask.EXECUTIONS, Ask.POSITIONS)


class Survey:
    """One survey, from its first question to its last answer."""

    __slots__ = ("_asked_ns", "_awaited", "_instruments", "_reports", "_since_ms", "_stage")

    def __init__(self, instruments: Sequence[Instrument], asked_ns: Ns, since_ns: Ns) -> None:
        self._instruments = instruments
        self._asked_ns = asked_ns
        self._since_ms = since_ns // MS
        self._stage = -1
        self._awaited = 0
        self._reports: list[AccountReport] = []

    def next_queries(self) -> list[Query]:
        """The questions of the next stage; none when all is answered."""
        self._stage += 1
        if self._stage == len(_STAGES):
            return []
        ask = _STAGES[self._stage]
        start_ms = self._since_ms if ask is Ask.EXECUTIONS else 0
        asked = [
            Query(ask, category(one), one.symbol, start_ms=start_ms, survey=True)
            for one in self._instruments
            if ask is not Ask.POSITIONS or category(one) != "spot"
        ]
        self._awaited = len(asked)
        return asked or self.next_queries()

    def took(self, reports: Sequence[AccountReport], following: Query | None) -> list[Query]:
        """A page came; returns what to ask next, nothing while others of its stage are awaited, or at the
        end.
        """
        self._reports += reports
        if following is not None:
            return [following]
        self._awaited -= 1
        return [] if self._awaited else self.next_queries()

    @property
    def over(self) -> bool:
        return self._stage == len(_STAGES)

    def result(self, recv_ns: Ns) -> VenueAccount:
        """All of it, known as of then."""
        reports = self._reports
        return VenueAccount(
            asked_ns=self._asked_ns,
            open_orders=[one for one in reports if isinstance(one, OrderReport)],
            executions=[one for one in reports if isinstance(one, Execution)],
            positions=[one for one in reports if isinstance(one, PositionReport)],
            recv_ns=recv_ns,
        )

    @property
    def others(self) -> list[AccountReport]:
        """What stood among the executions and is none of an order."""
        return [one for one in self._reports if not isinstance(one, OrderReport | Execution | PositionReport)]
