"""Where Bybit v5 is found: https://bybit-exchange.github.io/docs/v5/guide. Regional hosts exist, so any may
be named.
"""

from typing import NamedTuple
from urllib.parse import urlsplit

from mmbot.errors import ConfigError


class Hosts(NamedTuple):
    """REST (`https://api.bybit.com`) and websockets (`wss://stream.bybit.com`), without a path."""

    rest: str
    stream: str

    def public(self, category: str) -> str:
        """The public stream of `linear`, `spot` or `inverse`."""
        return f"{self.stream}/v5/public/{category}"


MAINNET = Hosts("https://api.bybit.com", "wss://stream.bybit.com")
TESTNET = Hosts("https://api-testnet.bybit.com", "wss://stream-testnet.bybit.com")


def hosts(name: str) -> Hosts:
    """`mainnet`, `testnet`, a domain of Bybit's (`bybit.eu`: `api.` and `stream.` are put before it), or one
    address for both (`http://127.0.0.1:8080`). Raises ConfigError for anything else.
    """
    if name in ("mainnet", "testnet"):
        return MAINNET if name == "mainnet" else TESTNET
    url = urlsplit(name)
    if url.scheme in ("http", "https") and url.netloc and not url.path.strip("/") and not url.query:
        rest = f"{url.scheme}://{url.netloc}"
        return Hosts(rest, "ws" + rest.removeprefix("http"))
    if not url.scheme and name and all(part.replace("-", "").isalnum() for part in name.split(".")):
        return Hosts(f"https://api.{name}", f"wss://stream.{name}")
    raise ConfigError(f"host was {name!r}, expected mainnet, testnet, a domain, or http(s)://HOST[:PORT]")
