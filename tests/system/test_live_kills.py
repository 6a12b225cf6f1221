"""Bots that die without a word: kill -9 at any moment, with a guard beside them or without."""

import signal
from pathlib import Path

import numpy as np
import pytest
from tests.system.live import QUICK, SYMBOL, WIDE, Desk, trading_desk

pytestmark = pytest.mark.asyncio
GUARD_WITHIN_S = 5.0


async def killed_at(desk: Desk, moment: int) -> None:
    """Start a bot and kill it when that many ids have been given to its orders and executions."""
    first = desk.entered
    bot = await desk.bot()
    await desk.until(lambda: desk.entered - first >= moment)
    bot.send_signal(signal.SIGKILL)
    assert await bot.wait() == -signal.SIGKILL


def books_are_right(desk: Desk) -> None:
    """Every execution of the exchange is booked once, over all runs, and the position follows."""
    log = desk.log()
    assert log.positions[SYMBOL].lots == desk.position
    assert all(log.is_booked(row["execId"]) for row in desk.executions)
    assert log.symbol_state(SYMBOL).fills == len(desk.executions)
    numbers = [row["fill_id"] for row in desk.rows("fills")]
    assert len(numbers) == len(set(numbers))


async def restarted(desk: Desk) -> None:
    """A bot that starts after the death, cleans up, quotes again and ends in order."""
    bot = await desk.bot("--duration", "1s")
    code, said = await desk.traded(bot)
    assert code == 0
    assert "reconcile: none" in said
    books_are_right(desk)


async def test_the_guard_takes_the_orders_of_a_bot_that_was_killed(tmp_path: Path) -> None:
    async with trading_desk(tmp_path, speed=1.0, config=WIDE) as desk:
        guard = await desk.process("guard")
        await desk.heard(guard, "watching")
        bot = await desk.bot()
        await desk.until(lambda: desk.open == 2)
        bot.send_signal(signal.SIGKILL)
        await bot.wait()
        assert desk.open == 2

        took_s = await desk.until(lambda: desk.open == 0)

        assert took_s < GUARD_WITHIN_S
        await desk.heard(
            guard, "no heartbeat for more than 3 s: 2 own orders open, cancels sent: mmA-SYNTHUSDT-"
        )
        await desk.heard(guard, "no heartbeat for more than 3 s: no own order is open")
        guard.send_signal(signal.SIGTERM)
        assert (await desk.ended(guard))[0] == 0


@pytest.mark.slow
async def test_a_restart_after_kills_at_any_moment_cleans_up(tmp_path: Path) -> None:
    moments = np.random.default_rng(1)
    async with trading_desk(tmp_path) as desk:
        for _ in range(2):
            await killed_at(desk, int(moments.integers(1, 40)))
        await restarted(desk)


@pytest.mark.slow
async def test_a_run_that_was_killed_goes_on_under_its_name(tmp_path: Path) -> None:
    """Its orders come back through the order log; its rows go on, and tell of the time between."""
    often = f"{QUICK}telemetry: {{checkpoint_interval_s: 1, sample_interval_s: 1}}\n".replace(
        "telemetry: {sample_interval_s: 1}\n", ""
    )
    async with trading_desk(tmp_path, config=often) as desk:
        bot = await desk.bot("--duration", "4s")
        await desk.until(lambda: len(desk.executions) > 0)
        bot.send_signal(signal.SIGKILL)
        await bot.wait()
        directory = desk.directory
        before = desk.rows("pipeline_ticks")
        code, said = await desk.ended(await desk.resumed(directory, MMBOT_LIVE="0"))
        assert (code, "MMBOT_LIVE was 0" in said) == (2, True)

        code, said = await desk.traded(await desk.resumed(directory))

        assert code == 0, said
        books_are_right(desk)
        (manifest,) = desk.manifests()
        assert (manifest["status"], manifest["mode"]) == ("complete", "live")
        (resume,) = manifest["resumes"]
        lost_ns = resume["first_tick_ns"] - resume["outage_from_ns"]
        assert lost_ns > 0
        ticks = desk.rows("pipeline_ticks")
        assert ticks[: len(before)] == before
        assert [row["seq"] for row in ticks] == list(range(1, len(ticks) + 1))
        assert not any(resume["outage_from_ns"] < row["ts_ns"] < resume["first_tick_ns"] for row in ticks)


@pytest.mark.slow
async def test_two_hundred_kills_one_after_another(tmp_path: Path) -> None:
    """One account, one order log: each bot goes on where the one before was killed."""
    moments = np.random.default_rng(7)
    for desk_number in range(20):
        folder = tmp_path / str(desk_number)
        folder.mkdir()
        async with trading_desk(folder) as desk:
            for _ in range(10):
                await killed_at(desk, int(moments.integers(1, 40)))
            await restarted(desk)
