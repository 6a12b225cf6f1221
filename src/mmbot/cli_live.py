"""Live trading's commands: what `mmbot run --mode live` opens, and `kill`, `resume` and `guard` beside it."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from mmbot.clock import wall_ns
from mmbot.config.scenario import LiveSpec
from mmbot.errors import (
    AccountError,
    ConfigError,
    OrdersLeftError,
    OutputError,
    RemoteProtocolError,
    TransportError,
)
from mmbot.model.orders import OWN_PREFIXES
from mmbot.model.records import EventRow, Row
from mmbot.net.http import HttpClient
from mmbot.net.loop import run
from mmbot.ops import live as ops
from mmbot.runtime.account_folder import AccountFolder
from mmbot.runtime.guard import watch
from mmbot.runtime.live_request import LiveRequest
from mmbot.runtime.record import VENUES
from mmbot.runtime.sweep import SETTLED_NS, sweep
from mmbot.units import SECOND, parse_duration
from mmbot.venues.bybit.cancel_only import CancelOnly
from mmbot.venues.bybit.hosts import hosts
from mmbot.venues.credentials import Credentials

if TYPE_CHECKING:
    from mmbot.runtime.trade_run import TradeRun

AccountName = Annotated[
    str | None,
    typer.Option(help="Folder of the account in ARTIFACTS/accounts. Default: after venue and host."),
]
_Venue = Annotated[str, typer.Option(help="Name of a file in scenarios/live/.")]
_Host = Annotated[str | None, typer.Option(help="As the bot's. Default: the file's.")]
_Scenarios = Annotated[Path, typer.Option(help="Folder of scenario files.")]
_Artifacts = Annotated[Path, typer.Option(help="As the bot's.")]
_SAID = {
    "stand_aside": "no quotes: {reason}",
    "quoting": "quoting",
    "reconcile": "reconcile: {differences}",
    "foreign_orders": "orders of others, left alone: {orders}",
    "account_trouble": "account: {fault}: {reason}",
    "account_stale": "account: stream ended: {reason}",
    "off_order_execution": "position moved without an order: {what}",
    "halt": "halt: {reason}",
    "course": "rollout: {course}: {reason}",
    "course_in_force": "rollout: {course} in force after {waited_ms} ms",
}


class Notable:
    """Prints what an operator wants to read at once."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def rows(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if isinstance(row, EventRow) and row.kind in _SAID:
                detail = {name: value or "none" for name, value in row.detail.items()}
                self._console.print(_SAID[row.kind].format(**detail), markup=False, highlight=False)


def open_trading(
    request: LiveRequest, account: str | None, adopt: frozenset[str], artifacts: Path
) -> "TradeRun":
    """A live run whose account is ours alone, until it is released or this process ends. Raises ConfigError
    and AccountError for what forbids it.
    """
    from mmbot.runtime.trade_run import Account, TradeRun  # noqa: PLC0415 (numba costs 0.6 s to import)

    live = ops.check_live(request, os.environ, artifacts)
    credentials = ops.credentials(os.environ, ops.BOT_KEY)
    folder = AccountFolder(account or ops.account_name(live, request.host), artifacts / "accounts")
    halted = folder.halted
    if halted is not None:
        raise AccountError(
            f"{folder.path}: halted: {halted}; expected no marker: `mmbot resume` takes it away"
        )
    folder.claim()
    try:
        return TradeRun(request, Account(credentials, folder, adopt))
    except BaseException:
        folder.release()
        raise


@contextlib.contextmanager
def trading(
    request: LiveRequest, account: str | None, adopt: frozenset[str], artifacts: Path
) -> Iterator["TradeRun"]:
    """The same, for as long as it is wanted."""
    opened = open_trading(request, account, adopt, artifacts)
    try:
        yield opened
    finally:
        opened.release()


def kill(
    reason: Annotated[str, typer.Option(help="Stands in the marker.")] = "mmbot kill",
    venue: _Venue = "bybit",
    host: _Host = None,
    account: AccountName = None,
    give_up: Annotated[
        str | None, typer.Option(help="Stop trying after 30s, 5m, ... Default: never.")
    ] = None,
    scenarios: _Scenarios = Path("scenarios"),
    artifacts: _Artifacts = Path("artifacts"),
) -> None:
    """Stop the bot of an account and cancel its orders, whether it still runs or not.

    First writes the marker at which the bot halts, then cancels own orders one by one over a connection of
    its own, until the venue has listed none for 6 s. Exit code 0 only then; 3 where orders may be left.
    Keys: MMBOT_API_KEY, MMBOT_API_SECRET. `mmbot resume` lets the bot start again.
    """
    give_up_ns = None if give_up is None else _nanoseconds("--give-up", give_up)
    live, folder = _account(venue, host, account, scenarios, artifacts)
    marked = True
    try:
        folder.halt(reason)
        typer.echo(f"{folder.path}: halted: {folder.halted}")
    except OutputError as error:
        marked = False
        typer.echo(f"mmbot kill: {error}; the bot may go on: stop its process", err=True)
    credentials = ops.credentials(os.environ, ops.BOT_KEY)
    try:
        left = run(_swept(live, host, credentials, folder, give_up_ns))
    except AccountError as error:
        raise OrdersLeftError(f"orders of ours may be left: {error}") from error
    if left is None or left:
        names = ", ".join(left or ["nobody knows which"])
        raise OrdersLeftError(f"orders of ours may be left: {names}")
    if not marked:
        raise OrdersLeftError("no order is left now, but the marker could not be written")
    typer.echo("no order of ours is left")


def resume(
    venue: _Venue = "bybit",
    host: _Host = None,
    account: AccountName = None,
    scenarios: _Scenarios = Path("scenarios"),
    artifacts: _Artifacts = Path("artifacts"),
) -> None:
    """Take the kill switch's marker away: the bot of this account may be started again."""
    _, folder = _account(venue, host, account, scenarios, artifacts)
    said = folder.resume()
    typer.echo(f"{folder.path}: " + ("was not halted" if said is None else f"no longer halted: {said}"))


def guard(
    venue: _Venue = "bybit",
    host: _Host = None,
    account: AccountName = None,
    patience: Annotated[
        str, typer.Option(help="How long the heartbeat may stand still. The bot's moves each second.")
    ] = "3s",
    scenarios: _Scenarios = Path("scenarios"),
    artifacts: _Artifacts = Path("artifacts"),
) -> None:
    """The dead man's switch: when the bot's heartbeat stops, cancel its orders until it beats again.

    Runs until it is interrupted, in a process and with keys of its own: MMBOT_GUARD_API_KEY,
    MMBOT_GUARD_API_SECRET. Says what it does.
    """
    patience_ns = _nanoseconds("--patience", patience)
    live, folder = _account(venue, host, account, scenarios, artifacts)
    credentials = ops.credentials(os.environ, ops.GUARD_KEY)
    run(_guarded(live, host, credentials, folder, patience_ns / SECOND))


async def _swept(
    live: LiveSpec,
    host: str | None,
    credentials: Credentials,
    folder: AccountFolder,
    give_up_ns: int | None,
) -> list[str] | None:
    async with HttpClient(hosts(host or live.host).rest) as http:
        door = _door(http, live, credentials)
        await _proven(folder, door, _said("mmbot kill"))
        left = await sweep(door, _said("mmbot kill"), settled_ns=SETTLED_NS, give_up_ns=give_up_ns)
    return None if left is None else [f"{order.symbol} {order.client_id}" for order in left]


async def _guarded(
    live: LiveSpec, host: str | None, credentials: Credentials, folder: AccountFolder, patience_s: float
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)  # noqa: TID251 (signals)
    async with HttpClient(hosts(host or live.host).rest) as http:
        door = _door(http, live, credentials)
        await _proven(folder, door, _said("mmbot guard"))
        await watch(folder, door, patience_s, _said("mmbot guard"), stop)


async def _proven(folder: AccountFolder, door: CancelOnly, said: Callable[[str], None]) -> None:
    """With the keys of another account nothing of ours could be found. Raises AccountError; a venue that does
    not say whose they are is no reason not to try.
    """
    try:
        folder.check_owner(await door.uid())
    except (TransportError, RemoteProtocolError) as error:
        said(f"the venue does not say whose key this is: {error}")


def _door(http: HttpClient, live: LiveSpec, credentials: Credentials) -> CancelOnly:
    return CancelOnly(http, credentials, VENUES[live.venue], OWN_PREFIXES, wall_ns)


def _account(
    venue: str, host: str | None, account: str | None, scenarios: Path, artifacts: Path
) -> tuple[LiveSpec, AccountFolder]:
    live = ops.market(venue, scenarios / "live")
    ops.check_host(live, host)
    return live, AccountFolder(account or ops.account_name(live, host), artifacts / "accounts")


def _said(who: str) -> Callable[[str], None]:
    return lambda what: typer.echo(f"{who}: {what}")


def _nanoseconds(option: str, duration: str) -> int:
    try:
        return parse_duration(duration)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from error
