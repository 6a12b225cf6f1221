"""Is this request signed by the account that it names? The venue's half of Bybit's signing.

REST signs the very bytes that it sends: hex HMAC-SHA256(secret, timestamp + key + recv_window + query string
or body) (https://bybit-exchange.github.io/docs/v5/guide). A socket signs "GET/realtime" + expires
(https://bybit-exchange.github.io/docs/v5/ws/connect). Written apart from the client's half
(`venues.bybit.signing`), so that each holds the other to the rule.
"""

import hashlib
import hmac

from mmbot.units import MS
from mmbot.venues.paper.wire import Refused

_AHEAD_MS = 1_000
LONGEST_WINDOW_MS = 60_000


def signature(secret: str, signed: bytes) -> str:
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def check(secret: str, signed: bytes, given: str) -> None:
    """Raises Refused for a signature that is not this secret's."""
    if not hmac.compare_digest(signature(secret, signed), given):
        raise Refused(10004, "error sign! please check your signature generation algorithm.")


def check_time(timestamp: object, window: object, wall_ns: int) -> None:
    """The venue's rule: "server_time - recv_window <= timestamp < server_time + 1000". Raises Refused."""
    try:
        stamp_ms, window_ms = int(str(timestamp)), int(str(window))
    except ValueError as error:
        raise Refused(10001, f"timestamp or recv_window was no number: {timestamp}, {window}") from error
    now_ms = wall_ns // MS
    if not now_ms - min(window_ms, LONGEST_WINDOW_MS) <= stamp_ms < now_ms + _AHEAD_MS:
        raise Refused(
            10002,
            "invalid request, please check your server timestamp or recv_window param. "
            f"req_timestamp[{stamp_ms}],server_timestamp[{now_ms}],recv_window[{window_ms}]",
        )
