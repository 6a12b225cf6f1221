"""A trading desk for tests: the paper exchange in this event loop, bots, guards and buttons as processes of
their own, in a folder as an operator has it. Whoever waits, waits for what the exchange does.
"""

import asyncio
import contextlib
import os
import shutil
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from tests.mmbot.builders import REPO

from mmbot.clock import stopwatch, wall_ns
from mmbot.config.scenario import load_scenario
from mmbot.execution.lifecycle import Lifecycle
from mmbot.execution.order_log import LogContent, read
from mmbot.execution.order_records import AmendSent
from mmbot.ops.prep import PrepRequest, Verdict, prepare, write
from mmbot.runtime.tape import open_tape
from mmbot.units import MS, SECOND
from mmbot.venues.paper.exchange import PaperExchange
from mmbot.venues.paper.faults import FaultSettings
from mmbot.venues.paper.server import PaperServer
from mmbot.venues.paper.settings import ApiKey, PaperSettings
from mmbot.venues.paper.tape import Feed

MMBOT = Path(sys.executable).with_name("mmbot")
PLACE = ("linear", "SYNTHUSDT")
SYMBOL = "bybit_linear:SYNTHUSDT"
KEY, SECRET = "botKeyNobodyMayRead", "botSecretNobodyMayRead"
OTHER = {"MMBOT_API_KEY": "anotherKey", "MMBOT_API_SECRET": "anotherSecret"}
"""Of another account at the exchange."""
PATIENCE_S = 60.0
QUICK = """\
pipeline: {tick_interval_ms: 20}
guards: {soft_volatility_bps: 50, hard_volatility_bps: 100}
telemetry: {sample_interval_s: 1}
"""
"""Five ticks where the shipped configuration has one, and a market that may run thirty times as fast."""

WIDE = QUICK + "spread: {min_bps: 80, max_bps: 90}\n"
"""Quotes that nothing fills: they are gone when somebody has cancelled them."""


class WatchedExchange(PaperExchange):
    """The paper exchange, which tells whoever waits that something may have happened in it."""

    def __init__(self, *arguments: Any) -> None:
        self.moved = asyncio.Event()
        self.seen: Callable[[], None] = lambda: None
        """Called whenever something may have happened."""
        super().__init__(*arguments)

    def publish(self) -> None:
        super().publish()
        self.seen()
        self.moved.set()


class Desk:
    """One folder, one account, any number of processes."""

    def __init__(self, folder: Path, exchange: WatchedExchange, config: str, limit_factor: int) -> None:
        self.folder = folder
        self.exchange = exchange
        self.port = 0
        self.close_exchange: Callable[[], Awaitable[None]]
        """From then on nobody answers."""
        self.said: dict[int, bytes] = {}
        """What processes printed, by pid."""
        self._processes: list[Process] = []
        shutil.copy(REPO / "config.yaml", folder)
        (folder / "quick.yaml").write_text(config)
        (folder / "scenarios/live").mkdir(parents=True)
        shutil.copy(REPO / "scenarios/demo.yaml", folder / "scenarios")
        market = (REPO / "scenarios/live/paper.yaml").read_text()
        takes = f"  orders_per_s: {10 * limit_factor}\n"
        (folder / "scenarios/live/paper.yaml").write_text(market.replace("  depth:", f"{takes}  depth:"))
        request = PrepRequest(
            config=[Path("config.yaml"), Path("quick.yaml")],
            scenarios=["demo"],
            folder=Path("scenarios"),
            data=None,
            out=Path("artifacts"),
            asked=[],
            code={"version": "test", "commit": None, "dirty": None},
            now_ns=wall_ns(),
        )
        with contextlib.chdir(folder):
            prepared = prepare(request)
            assert prepared.verdict is Verdict.PASS
            write(prepared)

    @property
    def open(self) -> int:
        """Orders at the exchange."""
        return len(self._desk.open)

    @property
    def position(self) -> int:
        """Of the account, at the exchange, in lots."""
        return int(self._desk.position.lots)

    @property
    def executions(self) -> list[Mapping[str, Any]]:
        return list(self.exchange.members[KEY].account.executions)

    @property
    def _desk(self) -> Any:
        return self.exchange.members[KEY].account.desks[PLACE]

    async def until(self, holds: Callable[[], bool], patience_s: float = PATIENCE_S) -> float:
        """Wait until that holds at the exchange; returns how many seconds it took."""
        began_ns = stopwatch()
        async with asyncio.timeout(patience_s):
            while not holds():
                self.exchange.moved.clear()
                await self.exchange.moved.wait()
        return (stopwatch() - began_ns) / SECOND

    @property
    def entered(self) -> int:
        """Orders that ever came to the exchange, and executions: they share a counter."""
        return int(self._desk._ids)

    async def bot(self, *arguments: str, **environment: str) -> Process:
        command = ["run", "--mode", "live", "--config", "config.yaml", "--config-override", "quick.yaml"]
        return await self.process(*command, "--venue", "paper", *arguments, **environment)

    async def resumed(self, directory: Path, **environment: str) -> Process:
        """The bot that was interrupted there, going on as it was asked for."""
        return await self._started("run", "--resume", str(directory), **environment)

    async def process(self, *arguments: str, **environment: str) -> Process:
        where = ["--venue", "paper"] if "--venue" not in arguments else []
        where += ["--host", f"http://127.0.0.1:{self.port}"]
        return await self._started(*arguments, *(where if arguments[0] != "rollout" else []), **environment)

    async def _started(self, *arguments: str, **environment: str) -> Process:
        return await self.started(str(MMBOT), *arguments, **environment)

    async def started(self, *command: str, **environment: str) -> Process:
        """Any program, in the folder and with the keys."""
        keys = {"MMBOT_API_KEY": KEY, "MMBOT_API_SECRET": SECRET, "MMBOT_LIVE": "1"}
        guard = {"MMBOT_GUARD_API_KEY": KEY, "MMBOT_GUARD_API_SECRET": SECRET}
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.folder,
            env=os.environ | keys | guard | {"COLUMNS": "200"} | environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._processes.append(process)
        self.said[process.pid] = b""
        return process

    async def heard(self, process: Process, words: str) -> None:
        """Wait until it prints a line with these words."""
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            while line := await process.stdout.readline():
                self.said[process.pid] += line
                if words.encode() in line:
                    return
        raise AssertionError(f"{words!r} was not said: {self.said[process.pid].decode()}")

    async def ended(self, process: Process, patience_s: float = PATIENCE_S) -> tuple[int, str]:
        """Its exit code, and all that it printed."""
        assert process.stdout is not None
        async with asyncio.timeout(patience_s):
            self.said[process.pid] += await process.stdout.read()
            code = await process.wait()
        return code, self.said[process.pid].decode()

    async def traded(self, process: Process, patience_s: float = PATIENCE_S) -> tuple[int, str]:
        """The same, and the account as the venue has it when it is over: every claim of the bot holds."""
        code, said = await self.ended(process, patience_s)
        assert code == 0, said
        assert self.open == 0
        return code, said

    def rows(self, feed: str) -> list[dict[str, Any]]:
        """Rows of all runs, in time order of the files."""
        files = sorted(self.folder.glob(f"artifacts/runs/*/{feed}_*.jsonl"))
        return [msgspec.json.decode(line) for file in files for line in file.read_bytes().splitlines()]

    def manifests(self) -> list[dict[str, Any]]:
        files = sorted(self.folder.glob("artifacts/runs/*/manifest.json"))
        return [msgspec.json.decode(file.read_bytes()) for file in files]

    @property
    def directory(self) -> Path:
        """Of the only run."""
        (found,) = self.folder.glob("artifacts/runs/*")
        return found

    @property
    def amended(self) -> bool:
        """Whether the bot sent an amend, by its order log."""
        written = self.folder.glob("artifacts/accounts/*/orders/orders-*.log")
        return any(
            isinstance(record, AmendSent) for path in written for record in self._content(path).records
        )

    def log(self) -> Lifecycle:
        """What the order log says."""
        content = self._content(max(self.folder.glob("artifacts/accounts/*/orders/orders-*.log")))
        instruments = [market.instrument for market in self.exchange.markets]
        lifecycle = Lifecycle(instruments, content.own_prefix, state=content.state)
        for record in content.records:
            lifecycle.apply(record)
        return lifecycle

    def _content(self, path: Path) -> LogContent:
        return read(path.read_bytes(), str(path))

    async def end(self) -> None:
        for process in self._processes:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()


@contextlib.asynccontextmanager
async def trading_desk(
    folder: Path, speed: float = 10.0, config: str = QUICK, limit_factor: int = 10, **faults: Any
) -> AsyncIterator[Desk]:
    """The demo market at that speed, and a desk in that folder; the exchange takes so many times what Bybit
    does, and the bot knows.
    """
    scenario, _ = load_scenario("demo", REPO / "scenarios")
    tape = open_tape(scenario, "demo", None, folder / "cache")
    feeds = [Feed(feed.instrument, feed.events()) for feed in tape.feeds]
    key = ApiKey(KEY, SECRET, {"USDT": 100_000.0, "SYNTH": 1_000.0})
    other = ApiKey(*OTHER.values(), {"USDT": 100_000.0})
    exchange = WatchedExchange(
        feeds,
        [key, other],
        PaperSettings(limit_factor=limit_factor),
        wall_ns() // MS * MS,
        FaultSettings(**faults),
    )
    desk = Desk(folder, exchange, config, limit_factor)
    async with contextlib.AsyncExitStack() as serving:
        server = await serving.enter_async_context(PaperServer(exchange, speed, wall_ns).running(0))
        desk.port, desk.close_exchange = server.port, serving.aclose
        try:
            yield desk
        finally:
            await desk.end()
