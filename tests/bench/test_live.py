"""What live market data costs: JSON decoders on recorded frames, websocket clients on loopback."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import picows
import pytest
from tests.bench.workload import cpu_time

from mmbot.model.instrument import Fees, Instrument
from mmbot.net.ws import connect
from mmbot.recording.reader import frames
from mmbot.units import Ns
from mmbot.venues.bybit.session import BybitSession

pytest.importorskip("pytest_benchmark")
pytestmark = pytest.mark.bench

Benchmark = Any
BTC = Instrument(
    venue="bybit_linear",
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick_size="0.10",
    lot_size="0.001",
    min_notional=5.0,
    fees=Fees("test", 2.0, 5.5),
)
MESSAGES = 20_000


@pytest.fixture(scope="module")
def recorded(data_dir: Path) -> list[bytes]:
    """Book and trade frames of a real linear perpetual, 200 levels."""
    lines = frames([data_dir / "bybit_v5_20260809" / "linear_btcusdt.dat.gz"])
    return [
        frame.payload for frame in lines if frame.payload.startswith((b'{"topic":"ord', b'{"topic":"pub'))
    ]


def _decoder(name: str) -> Callable[[bytes], object]:
    if name == "orjson":
        loads: Callable[[bytes], object] = pytest.importorskip("orjson").loads
        return loads
    return {"json": json.loads, "msgspec": msgspec.json.decode}[name]


@pytest.mark.benchmark(group="recorded Bybit frames", timer=cpu_time)
@pytest.mark.parametrize("name", ["msgspec", "orjson", "json"])
def test_into_dicts(benchmark: Benchmark, recorded: list[bytes], name: str) -> None:
    """What a generic decoder makes of a frame, before any of it is checked or a number is read."""
    decode = _decoder(name)

    assert len(benchmark(lambda: [decode(payload) for payload in recorded])) == 430
    benchmark.extra_info["us_per_frame"] = benchmark.stats.stats.median * 1e6 / len(recorded)


@pytest.mark.benchmark(group="recorded Bybit frames", timer=cpu_time)
def test_into_events(benchmark: Benchmark, recorded: list[bytes]) -> None:
    """Our session: typed structs, ticks and lots, the chain, the number of levels."""

    def read() -> int:
        session = BybitSession([BTC], 200)
        return sum(len(session.receive(payload, Ns(1))) for payload in recorded)

    assert benchmark(read) == 1 + 413 + 56
    benchmark.extra_info["us_per_frame"] = benchmark.stats.stats.median * 1e6 / len(recorded)


class _Source(picows.WSListener):
    """Sends the messages when it is asked to."""

    def __init__(self, messages: list[bytes]) -> None:
        self._messages = messages

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type == picows.WSMsgType.TEXT:
            for message in self._messages:
                transport.send(picows.WSMsgType.TEXT, message)


async def _ours(url: str, count: int) -> int:
    done, seen = asyncio.Event(), 0

    def take(_: Ns, __: bytes) -> None:
        nonlocal seen
        seen += 1
        if seen == count:
            done.set()

    connection = await connect(url, take)
    connection.send(b"go")
    await done.wait()
    await connection.close()
    return seen


async def _aiohttp(url: str, count: int) -> int:
    import aiohttp  # noqa: PLC0415 (only for who measures)

    from mmbot.clock import wall_ns  # noqa: PLC0415

    seen = 0
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        await socket.send_str("go")
        async for message in socket:
            stamp = wall_ns()
            seen += bool(stamp and message.data.encode())
            if seen == count:
                return seen
    raise AssertionError(f"{seen} messages came")


@pytest.mark.benchmark(group="websocket client on loopback, server included", timer=cpu_time)
@pytest.mark.parametrize("client", [_ours, _aiohttp])
def test_client(benchmark: Benchmark, recorded: list[bytes], client: Callable[[str, int], Any]) -> None:
    messages = [recorded[1 + number % (len(recorded) - 1)] for number in range(MESSAGES)]

    async def once() -> int:
        server = await picows.ws_create_server(lambda _: _Source(messages), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            return int(await client(f"ws://127.0.0.1:{port}", MESSAGES))
        finally:
            server.close()

    uvloop = pytest.importorskip("uvloop")

    def play() -> int:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(once())

    assert benchmark.pedantic(play, rounds=5, warmup_rounds=1) == MESSAGES
    benchmark.extra_info["us_per_message"] = benchmark.stats.stats.median * 1e6 / MESSAGES
