"""The bot trades on the paper exchange: real processes, real sockets, a real order log."""

import signal
from pathlib import Path

import pytest
from tests.system.live import KEY, OTHER, SECRET, SYMBOL, trading_desk

from mmbot.clock import stopwatch
from mmbot.units import SECOND

pytestmark = pytest.mark.asyncio


def files(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in folder.rglob("*") if file.is_file()]


async def test_minutes_of_market_leave_books_that_are_the_exchanges(tmp_path: Path) -> None:
    async with trading_desk(tmp_path, speed=30.0) as desk:
        bot = await desk.bot()
        await desk.until(lambda: len(desk.executions) > 2 and desk.amended)
        bot.send_signal(signal.SIGTERM)
        await desk.traded(bot)

        instrument = desk.exchange.markets[0].instrument
        fills, [manifest] = desk.rows("fills"), desk.manifests()
        lots = [round(row["qty"] / instrument.lot) * (1 if row["side"] == "buy" else -1) for row in fills]
        assert len(fills) == len(desk.executions) > 2
        assert [row["fill_id"] for row in fills] == list(range(1, len(fills) + 1))
        assert sum(lots) == desk.position == desk.log().positions[SYMBOL].lots
        assert all(row["mid"] is not None for row in fills)
        assert (manifest["mode"], manifest["clock"], manifest["orders_left"]) == ("live", "wall", 0)
        assert manifest["data"]["kind"] == "synthetic"
        assert manifest["counts"]["fills"] == len(fills)
        assert manifest["counts"]["amends"] > 0, "orders move by amends over the wire"
        rejects = [row["detail"] for row in desk.rows("events") if row["kind"] == "amend_reject"]
        assert all("unchanged" not in reject["reason"] for reject in rejects), "each amend changes something"
        assert manifest["throttle"] == {"messages_per_s": 40, "reserved_for_cancels": 20}
        refused = [row["detail"]["reason"] for row in desk.rows("events") if row["kind"] == "order_reject"]
        assert not any("rate limit" in reason for reason in refused), "what is too much waits"


async def test_the_button_stops_a_bot_until_it_is_let_and_no_byte_holds_a_secret(tmp_path: Path) -> None:
    async with trading_desk(tmp_path) as desk:
        guard = await desk.process("guard")
        bot = await desk.bot()
        await desk.until(lambda: desk.open >= 2)

        code, said = await desk.ended(await desk.process("kill", "--reason", "drill"))

        assert code == 0, said
        assert "no order of ours is left" in said
        _, stopped = await desk.traded(bot)
        assert "halt: kill switch: drill" in stopped
        refused, why = await desk.ended(await desk.bot())
        assert (refused, "halted: drill" in why) == (2, True), why
        resumed, _ = await desk.ended(await desk.process("resume"))
        assert resumed == 0
        refused, why = await desk.ended(await desk.bot(**OTHER))
        assert (refused, "belongs to the venue's account" in why) == (2, True), why
        killed, why = await desk.ended(await desk.process("kill", **OTHER))
        assert (killed, "orders of ours may be left" in why) == (3, True), why
        guard.send_signal(signal.SIGTERM)
        await desk.ended(guard)

        written = files(tmp_path)
        everything = b"".join([*written, *desk.said.values()])
        assert len(written) > 10
        assert b"mmA-SYNTHUSDT-1" in everything
        assert KEY.encode() not in everything
        assert SECRET.encode() not in everything


async def test_sigterm_pulls_quotes_within_a_second_and_a_second_bot_is_refused(tmp_path: Path) -> None:
    async with trading_desk(tmp_path) as desk:
        bot = await desk.bot()
        await desk.until(lambda: desk.open >= 2)
        code, said = await desk.ended(await desk.bot())
        assert (code, "another bot trades this account" in said) == (2, True), said
        await desk.until(lambda: desk.open >= 2)

        bot.send_signal(signal.SIGTERM)
        began_ns = stopwatch()
        await desk.until(lambda: desk.open == 0)

        assert (stopwatch() - began_ns) / SECOND < 1.0
        _, stopped = await desk.traded(bot)
        assert "halt: SIGTERM" in stopped
        assert desk.manifests()[0]["status"] == "halted"


async def test_a_venue_that_is_out_of_reach_is_never_called_stopped(tmp_path: Path) -> None:
    async with trading_desk(tmp_path) as desk:
        bot = await desk.bot()
        await desk.until(lambda: desk.open >= 2)
        await desk.close_exchange()
        bot.send_signal(signal.SIGTERM)

        code, said = await desk.ended(bot)

        assert code == 3
        assert "mmbot: orders may be left at http://127.0.0.1" in said
        [manifest] = desk.manifests()
        assert (manifest["status"], manifest["orders_left"]) == ("failed", None)
        killed, why = await desk.ended(await desk.process("kill", "--give-up", "1s"))
        assert (killed, "orders of ours may be left" in why) == (3, True), why


@pytest.mark.slow
async def test_a_dead_user_stream_is_noticed_within_ten_seconds(tmp_path: Path) -> None:
    """Sockets stay open and say nothing more, REST answers: the worst way to die."""
    async with trading_desk(tmp_path) as desk:
        bot = await desk.bot()
        await desk.until(lambda: desk.open >= 2)
        desk.exchange.faults.set({"silent": True})
        began_ns = stopwatch()
        await desk.heard(bot, "account: stream ended: nothing was received for")
        await desk.heard(bot, "no quotes: the account's stream is not current")
        assert (stopwatch() - began_ns) / SECOND < 10.0
        await desk.until(lambda: desk.open == 0)
        desk.exchange.faults.set({"silent": False})
        await desk.until(lambda: desk.open >= 2, patience_s=90.0)
        bot.send_signal(signal.SIGTERM)
        await desk.traded(bot)


async def test_a_clock_that_is_wrong_halts(tmp_path: Path) -> None:
    async with trading_desk(tmp_path, limit_factor=1, clock_skew_ms=3_000) as desk:
        _, said = await desk.traded(await desk.bot())
        assert "halt: clock: venue is +" in said
        assert desk.executions == []
        assert SYMBOL not in {row["symbol"] for row in desk.rows("fills")}
        [manifest] = desk.manifests()
        assert manifest["throttle"] == {"messages_per_s": 20, "reserved_for_cancels": 10}, "ten of a kind"
