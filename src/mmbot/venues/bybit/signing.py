"""Bybit v5 signatures: https://bybit-exchange.github.io/docs/v5/guide and /v5/ws/connect.

REST signs `timestamp + key + recv_window + (query string | body)`, byte for byte what is sent; a private
websocket signs `GET/realtime + expires`, within its first message. Times are milliseconds by the venue's
clock; it takes a request when `server - recv_window <= timestamp < server + 1000`.
"""

from mmbot.venues.credentials import Credentials


def rest_headers(
    credentials: Credentials, timestamp_ms: int, recv_window_ms: int, payload: str
) -> dict[str, str]:
    """Headers of one request; `payload` is the query string of a GET, the body of a POST."""
    stamp, window = str(timestamp_ms), str(recv_window_ms)
    signed = f"{stamp}{credentials.key}{window}{payload}"
    return {
        "X-BAPI-API-KEY": credentials.key,
        "X-BAPI-TIMESTAMP": stamp,
        "X-BAPI-RECV-WINDOW": window,
        "X-BAPI-SIGN": credentials.secret.sign(signed.encode()),
    }


def ws_auth(credentials: Credentials, expires_ms: int) -> str:
    """The first message of a private or trade connection; `expires_ms` lies in the future.

    It carries no request id: private connections name it `req_id`, trade ones `reqId`, and there is one
    answer.
    """
    sign = credentials.secret.sign(f"GET/realtime{expires_ms}".encode())
    return f'{{"op":"auth","args":["{credentials.key}",{expires_ms},"{sign}"]}}'
