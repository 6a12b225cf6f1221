"""How many requests Bybit will still take: https://bybit-exchange.github.io/docs/v5/rate-limit

- By account: orders in a rolling second, counted apart for futures and spot, creates, amends and cancels,
  single and batch; "a batch costs one per order inside". Every answer states the limit and what is left of
  it (`X-Bapi-Limit`, `X-Bapi-Limit-Status`); what the venue counted beyond ours was spent by another session
  of the account, and is spent here too. Over it: retCode 10006, and nothing of that kind until the stated
  reset.
- By address: 600 HTTP requests in 5 s. Over it: HTTP 403 "access too frequent", and all traffic stops for 10
  minutes. This one creates, cancels and queries share, so a share of it (30 %) is kept for cancels: a bot
  that may not take its quotes back is worse off than one that may not quote.

The bot's own throttle (`risk.throttle`) is what we want to send, this is what the venue will take.
"""

from collections import deque
from collections.abc import Mapping

import msgspec

from mmbot.errors import RemoteProtocolError
from mmbot.model.account import Asked
from mmbot.units import SECOND, Ns
from mmbot.venues.bybit.codec import Category
from mmbot.venues.bybit.orders import Operation, OrderRequest

BAN_NS = 600 * SECOND
_ADDRESS_REQUESTS = 600
_ADDRESS_WINDOW_NS = 5 * SECOND
_MOST_RETRY_S = 600
_START_LIMITS = {"futures": 10, "spot": 20}
_START_AMENDS = 10
_MOST_DIGITS = 16


class BudgetSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`cancel_share` of the address's requests is never spent on anything else."""

    cancel_share: float = 0.3


class LimitState(msgspec.Struct, frozen=True, gc=False):
    """What the headers of an answer say; `reset_ms` by the venue's clock."""

    limit: int
    left: int
    reset_ms: int


class _Window:
    """What was spent in a rolling time."""

    __slots__ = ("_length_ns", "_spent", "_used", "blocked_until_ns", "limit")

    def __init__(self, limit: int, length_ns: int) -> None:
        self.limit = limit
        self.blocked_until_ns = 0
        self._length_ns = length_ns
        self._spent: deque[tuple[int, int]] = deque()
        self._used = 0

    def left(self, now_ns: int) -> int:
        spent, first_ns = self._spent, now_ns - self._length_ns
        while spent and spent[0][0] <= first_ns:
            self._used -= spent.popleft()[1]
        return 0 if now_ns < self.blocked_until_ns else self.limit - self._used

    def spend(self, now_ns: int, count: int) -> None:
        self._spent.append((now_ns, count))
        self._used += count


class Budget:
    """Of one account behind one address."""

    def __init__(self, settings: BudgetSettings) -> None:
        self._kept = round(settings.cancel_share * _ADDRESS_REQUESTS)
        self._address = _Window(_ADDRESS_REQUESTS, _ADDRESS_WINDOW_NS)
        self._no_queries_until_ns = 0
        self._orders: dict[tuple[str, Operation], _Window] = {
            (market, operation): _Window(_START_AMENDS if operation.asked is Asked.AMEND else limit, SECOND)
            for market, limit in _START_LIMITS.items()
            for operation in Operation
        }

    @property
    def stopped_until_ns(self) -> Ns:
        """No traffic at all before this."""
        return Ns(self._address.blocked_until_ns)

    def order_room(self, category: Category, operation: Operation, now_ns: Ns, *, http: bool) -> int:
        """How many orders may go out in one request now."""
        if http:
            room = self._address.left(now_ns) - (0 if operation.cancels else self._kept)
        else:
            room = 0 if now_ns < self.stopped_until_ns else 1
        return max(self._window(category, operation).left(now_ns), 0) if room > 0 else 0

    def query_room(self, now_ns: Ns) -> int:
        """How many queries may go out now."""
        if now_ns < self._no_queries_until_ns:
            return 0
        return max(self._address.left(now_ns) - self._kept, 0)

    def pause_queries(self, until_ns: int) -> None:
        """The venue asked for patience: no question before then."""
        self._no_queries_until_ns = max(self._no_queries_until_ns, until_ns)

    def spend(self, request: OrderRequest, now_ns: Ns, *, http: bool) -> None:
        """A request has gone out."""
        self._window(request.category, request.operation).spend(now_ns, len(request.client_ids))
        if http:
            self._address.spend(now_ns, 1)

    def spend_query(self, now_ns: Ns) -> None:
        self._address.spend(now_ns, 1)

    def stated(self, category: Category, operation: Operation, state: LimitState, now_ns: Ns) -> None:
        """The venue's own count, from an answer."""
        window = self._window(category, operation)
        window.limit = state.limit
        elsewhere = window.left(now_ns) - state.left
        if elsewhere > 0 and now_ns >= window.blocked_until_ns:
            window.spend(now_ns, elsewhere)

    def limited(self, category: Category, operation: Operation, until_ns: Ns) -> None:
        """10006: nothing of this kind until then."""
        window = self._window(category, operation)
        window.blocked_until_ns = max(window.blocked_until_ns, until_ns)

    def banned(self, now_ns: Ns) -> Ns:
        """403 or 10018: stop everything; returns until when."""
        self._address.blocked_until_ns = now_ns + BAN_NS
        return self.stopped_until_ns

    def _window(self, category: Category, operation: Operation) -> _Window:
        return self._orders["spot" if category == "spot" else "futures", operation]


def retry_after_ns(headers: Mapping[str, str]) -> int:
    """How long an answer asks to wait (`Retry-After`, whole seconds, at most the 10 minutes of a ban); 0
    where it says nothing of the kind: a date, which HTTP allows too, is none that this venue sends.
    """
    found = {name.lower(): value for name, value in headers.items()}.get("retry-after", "")
    if not (found.isascii() and found.isdecimal() and len(found) <= _MOST_DIGITS):
        return 0
    return min(int(found), _MOST_RETRY_S) * SECOND


def limit_state(headers: dict[str, str]) -> LimitState | None:
    """The three headers, whatever their case; None where an answer has none. Raises RemoteProtocolError for
    numbers that are none.
    """
    found = {name.lower(): value for name, value in headers.items()}
    if "x-bapi-limit" not in found:
        return None
    names = ("x-bapi-limit", "x-bapi-limit-status", "x-bapi-limit-reset-timestamp")
    numbers = []
    for name in names:
        text = found.get(name, "")
        if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
            raise RemoteProtocolError(f"header {name} was {text[:40]!r}, expected a whole number")
        numbers.append(int(text))
    return LimitState(*numbers)
