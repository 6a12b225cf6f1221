"""Rate limits: requests a rolling second per account and kind, and per address.

Limits of https://bybit-exchange.github.io/docs/v5/rate-limit. A batch has a bucket of its own and costs one
per order in it; when it asks for more than is left, the first ones pass. Over: retCode 10006.
"""

from collections import deque

from mmbot.units import MS, SECOND

_IP_LIMIT, _IP_WINDOW_NS, _IP_BAN_NS = 600, 5 * SECOND, 600 * SECOND
READS_PER_S = 50


def per_second(category: str, action: str) -> int:
    """Plain limit of one kind of order request: spot creates and cancels 20, all else 10."""
    return 20 if category == "spot" and action in ("create", "cancel") else 10


class Bucket:
    """A rolling second."""

    __slots__ = ("_limit", "_spent")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._spent: deque[int] = deque()

    def spend(self, now_ns: int, wanted: int) -> int:
        """How many of `wanted` may pass now; they are spent."""
        while self._spent and self._spent[0] <= now_ns - SECOND:
            self._spent.popleft()
        passed = min(wanted, self._limit - len(self._spent))
        self._spent.extend([now_ns] * passed)
        return passed

    def headers(self, now_ns: int) -> dict[str, str]:
        """What the venue says of the bucket: "the timestamp indicating when your request limit resets if you
        have exceeded your rate limit. Otherwise, this is just the current timestamp".
        """
        left = self._limit - len(self._spent)
        resets_ns = self._spent[0] + SECOND if not left else now_ns
        return {
            "X-Bapi-Limit": str(self._limit),
            "X-Bapi-Limit-Status": str(left),
            "X-Bapi-Limit-Reset-Timestamp": str(resets_ns // MS),
        }


class Limits:
    """Buckets of one account."""

    def __init__(self, factor: int) -> None:
        self._factor = factor
        self._buckets: dict[str, Bucket] = {}

    def bucket(self, name: str, limit: int) -> Bucket:
        if name not in self._buckets:
            self._buckets[name] = Bucket(limit * self._factor)
        return self._buckets[name]


class Address:
    """Requests of one address: more than 600 in 5 s, and it is shut out for 10 minutes."""

    __slots__ = ("_banned_until_ns", "_seen")

    def __init__(self) -> None:
        self._seen: deque[int] = deque()
        self._banned_until_ns = 0

    def admits(self, now_ns: int) -> bool:
        if now_ns < self._banned_until_ns:
            return False
        while self._seen and self._seen[0] <= now_ns - _IP_WINDOW_NS:
            self._seen.popleft()
        self._seen.append(now_ns)
        if len(self._seen) > _IP_LIMIT:
            self._banned_until_ns = now_ns + _IP_BAN_NS
            return False
        return True
