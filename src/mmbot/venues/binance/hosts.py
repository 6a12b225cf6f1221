"""Where Binance USD-M futures are found, by the routes of 2026: depth under `/public`, trades under
`/market`, accounts under `/private`
(https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams). A stream
asked for on the wrong route is dropped without an error, so which is where stands here alone.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from mmbot.errors import ConfigError

Route = Literal["public", "market"]
ROUTES: tuple[Route, ...] = ("public", "market")
TRADE_STREAM = "aggTrade"
_STREAMS: dict[Route, str] = {"public": "depth@100ms", "market": TRADE_STREAM}
_SNAPSHOT_LEVELS = 1000


class UsdmHosts(NamedTuple):
    """REST and websockets, without a path."""

    rest: str
    stream: str

    def route(self, route: Route, symbols: Sequence[str]) -> str:
        """The combined stream of these symbols on a route."""
        names = "/".join(f"{symbol.lower()}@{_STREAMS[route]}" for symbol in symbols)
        return f"{self.stream}/{route}/stream?streams={names}"

    def private(self, listen_key: str) -> str:
        """The user stream that a listen key opens."""
        return f"{self.stream}/private/ws/{listen_key}"


def usdm_hosts(name: str) -> UsdmHosts:
    """`mainnet`, `testnet`, or one address for both doors. Raises ConfigError."""
    if name == "mainnet":
        return UsdmHosts("https://fapi.binance.com", "wss://fstream.binance.com")
    if name == "testnet":
        return UsdmHosts("https://testnet.binancefuture.com", "wss://stream.binancefuture.com")
    if name.startswith(("http://", "https://")) and name.count("/") == 2:  # noqa: PLR2004 (those of the scheme)
        return UsdmHosts(name, "ws" + name.removeprefix("http"))
    raise ConfigError(f"host was {name!r}, expected mainnet, testnet or http(s)://HOST[:PORT]")


def depth_target(symbol: str) -> str:
    """The REST snapshot that a stream is aligned with."""
    return f"/fapi/v1/depth?symbol={symbol}&limit={_SNAPSHOT_LEVELS}"
