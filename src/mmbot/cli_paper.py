"""`mmbot paper`: serve a scenario's market as a Bybit v5 exchange on loopback."""

import asyncio
import contextlib
import logging
import math
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from mmbot.clock import wall_ns
from mmbot.errors import ConfigError
from mmbot.runtime.paper import PaperRequest, open_exchange
from mmbot.venues.paper.faults import Faults, FaultSettings
from mmbot.venues.paper.server import PaperServer, Speed

_MOST_SPEED = 1_000.0
_DATA = Path("../shared/data")


def paper(
    scenario: Annotated[str, typer.Option(help="Name of a file in scenarios/.")] = "demo",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="On 127.0.0.1; 0 takes a free one.")] = 0,
    speed: Annotated[
        str, typer.Option(help="1, 10, ... times real time, or max: as fast as clients take it.")
    ] = "1",
    key: Annotated[
        list[str] | None, typer.Option(help="An account, KEY:SECRET; repeatable. Default: paper:paper.")
    ] = None,
    balance: Annotated[
        list[str] | None, typer.Option(help="What each account holds at first, COIN=AMOUNT; repeatable.")
    ] = None,
    limit_factor: Annotated[int, typer.Option(min=1, help="Times the plain rate limits.")] = 1,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="A fault switch, NAME=VALUE; repeatable. POST /paper/faults sets them later."),
    ] = None,
    config: Annotated[Path, typer.Option(help="Base configuration: its sim.queue is used.")] = Path(
        "config.yaml"
    ),
    data: Annotated[
        Path | None, typer.Option(help="Folder of captures. Default: ../shared/data if there.")
    ] = None,
    scenarios: Annotated[Path, typer.Option(help="Folder of scenario files.")] = Path("scenarios"),
) -> None:
    """Serve a scenario as an exchange that speaks Bybit v5: paper-trade with any Bybit client.

    Prints its address when it listens, and runs until interrupted. The tape is played once.
    """
    request = PaperRequest(
        scenario=scenario,
        scenarios=scenarios,
        config=[config],
        data=data or (_DATA if _DATA.is_dir() else None),
        keys=dict(_pair(text, ":", "--key", "KEY:SECRET") for text in key or ["paper:paper"]),
        balances={coin: _amount(text) for coin, text in _pairs(balance, "--balance", "COIN=AMOUNT")},
        limit_factor=limit_factor,
        faults=_faults(fault),
    )
    logging.basicConfig(format="%(name)s: %(message)s")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(request, port, _speed(speed)))


async def _serve(request: PaperRequest, port: int, speed: Speed) -> None:
    exchange, kind = open_exchange(request, wall_ns)
    async with PaperServer(exchange, speed, wall_ns).running(port) as server:
        typer.echo(f"paper exchange of {request.scenario} ({kind}) on http://127.0.0.1:{server.port}")
        for market in exchange.markets:
            typer.echo(f"    {market.category} {market.instrument.symbol}")
        await asyncio.Event().wait()


def _speed(text: str) -> Speed:
    if text == "max":
        return "max"
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0 < speed <= _MOST_SPEED:
        raise ConfigError(f"--speed: was {text!r}, expected max or a number up to {_MOST_SPEED:g}")
    return speed


def _faults(switches: list[str] | None) -> FaultSettings:
    """Values are JSON (`0.1`, `true`), or plain words."""
    faults = Faults(FaultSettings())
    for name, text in _pairs(switches, "--fault", "NAME=VALUE"):
        try:
            value = msgspec.json.decode(text)
        except msgspec.DecodeError:
            value = text
        faults.set({name: value})
    return faults.now


def _pairs(texts: list[str] | None, option: str, expected: str) -> list[tuple[str, str]]:
    return [_pair(text, "=", option, expected) for text in texts or []]


def _pair(text: str, separator: str, option: str, expected: str) -> tuple[str, str]:
    left, found, right = text.partition(separator)
    if not (left and found and right):
        raise ConfigError(f"{option}: was {text!r}, expected {expected}")
    return left, right


def _amount(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not (math.isfinite(amount) and amount >= 0):
        raise ConfigError(f"--balance: was {text!r}, expected an amount of at least 0")
    return amount
