"""`mmbot top`: how a running run stands, on the terminal. The same figures as its status page."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mmbot.clock import pause
from mmbot.errors import ConfigError, RemoteProtocolError, TransportError
from mmbot.net.http import HttpClient
from mmbot.net.loop import run as run_loop
from mmbot.runtime.running import Status, read_status
from mmbot.runtime.tail import Tail
from mmbot.telemetry.figures import Section, headline, sections
from mmbot.telemetry.view import RunState

_EVERY_S = 1.0
_OK = 200
_MOST_CELLS = 1000
"""No table is as wide."""
_ENDED = ("complete", "halted", "failed")

States = Callable[[], RunState]
"""Asks a run how it stands."""


def top(
    run: Annotated[
        str | None,
        typer.Argument(
            help="Its name, as in RUNNING, or its run directory. Default: the only one that runs."
        ),
    ] = None,
    running: Annotated[Path, typer.Option(help="Folder in which bots say that they run.")] = Path(
        "artifacts/running"
    ),
    *,
    once: Annotated[bool, typer.Option("--once", help="Print how it stands now, and end.")] = False,
) -> None:
    """Show how a run stands, every second, until it ends or Ctrl-C.

    Asks the run's status page where it has one (`--status-port`), else reads the rows in its directory. Where
    the output is no terminal, it prints once.
    """
    states, console = _states(run, running), Console()
    if once or not console.is_terminal:
        console.print(shown(states(), console))
        return
    try:
        console.print(shown(watched(states, console), console))
    except KeyboardInterrupt:
        return


def shown(state: RunState, console: Console) -> Group:
    """The tables of a state. What they say is text, never markup."""
    tables = [_fitting(section, console) for section in sections(state) if section.rows]
    return Group(Text(headline(state), style="bold"), *tables)


def watched(states: States, console: Console, wait: Callable[[float], None] = pause) -> RunState:
    """Shows how the run stands until it has ended; returns the last that it said."""
    state = states()
    with Live(shown(state, console), console=console, screen=True, auto_refresh=False) as live:
        while state.state not in _ENDED:
            wait(_EVERY_S)
            try:
                state = states()
            except (TransportError, ConfigError):  # it has ended, and its page or directory with it
                return state
            live.update(shown(state, console), refresh=True)
    return state


def _fitting(section: Section, console: Console) -> Table:
    """A table that is wider than the terminal is turned, where that makes it narrower."""
    table = _table(section)
    wide = console.measure(table, options=console.options.update(max_width=_MOST_CELLS)).maximum
    if wide <= console.width or len(section.rows) >= len(section.columns):
        return table
    turned = list(zip(section.columns, *section.rows, strict=True))
    return _table(Section(section.title, turned[0], turned[1:]))


def _table(section: Section) -> Table:
    table = Table(
        title=section.title,
        title_justify="left",
        show_header=bool(section.columns),
        box=SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for index, column in enumerate(section.columns or ("", "")):
        left = section.text or not index
        table.add_column(Text(column), justify="left" if left else "right", overflow="fold")
    for row in section.rows:
        table.add_row(*map(Text, row))
    return table


def _states(run: str | None, running: Path) -> States:
    """Raises ConfigError where there is no such run."""
    if run is not None and Path(run).is_dir():
        return Tail(Path(run)).state
    status = _only(running) if run is None else _named(run, running)
    url = status.status_url
    if url is None:
        return Tail(Path(status.run_directory)).state
    return lambda: run_loop(_asked(url))


async def _asked(url: str) -> RunState:
    async with HttpClient(url) as http:
        reply = await http.request("GET", "/status.json")
    try:
        if reply.status != _OK:
            raise RemoteProtocolError(f"{url}status.json: answered {reply.status}, expected {_OK}")
        return msgspec.json.decode(reply.body, type=RunState)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(f"{url}status.json: was no state of a run: {error}") from error


def _named(run: str, running: Path) -> Status:
    path = running / f"{run}.json"
    status = read_status(path)
    if status is None:
        known = ", ".join(one.run_id for one in _alive(running)) or "none"
        raise ConfigError(f"{run}: no run directory, and no {path}; running here: {known}")
    if not status.alive:
        raise ConfigError(f"{run}: process {status.pid} is gone; its rows lie in {status.run_directory}")
    return status


def _only(running: Path) -> Status:
    found = _alive(running)
    if len(found) == 1:
        return found[0]
    names = ", ".join(one.run_id for one in found)
    raise ConfigError(f"{running}: {f'several run: {names}' if found else 'none runs'}, expected RUN")


def _alive(running: Path) -> list[Status]:
    statuses = (read_status(path) for path in sorted(running.glob("*.json")))
    return [status for status in statuses if status is not None and status.alive]
