"""Binance signatures: https://developers.binance.com/docs/derivatives/usds-margined-futures/general-info

`signature` is the HMAC of the query string (or form body) and comes last in it; the key goes into a header.
"""

from mmbot.venues.credentials import Credentials


def key_header(credentials: Credentials) -> dict[str, str]:
    return {"X-MBX-APIKEY": credentials.key}


def signed_query(credentials: Credentials, query: str, timestamp_ms: int, recv_window_ms: int) -> str:
    """The parameters with window, time by the venue's clock, and signature; `query` may be empty."""
    stamped = f"{query}{'&' if query else ''}recvWindow={recv_window_ms}&timestamp={timestamp_ms}"
    return f"{stamped}&signature={credentials.secret.sign(stamped.encode())}"
