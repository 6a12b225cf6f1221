"""`mmbot record` as a process: what it prints, how it is stopped, what it says of bad input."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from tests.mmbot.builders import Command, linear
from tests.mmbot.runtime.test_record import DEPTH, INSTRUMENTS, everything
from tests.mmbot.venues.loopback_bybit import bybit

from mmbot.cli_record import table
from mmbot.recording.manifest import read_manifest
from mmbot.runtime.record_statistics import RecordStatistics

SYMBOLS = ",".join(instrument.symbol for instrument in INSTRUMENTS)


async def started(url: str, out: Path) -> asyncio.subprocess.Process:
    command = ("record", "--symbols", SYMBOLS, "--host", url, "--depth", str(DEPTH))
    code = "from mmbot.cli import main; main()"
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, *command, "--out", str(out)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "COLUMNS": "200"},
    )


@pytest.mark.asyncio
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_order(tmp_path: Path, number: signal.Signals):
    out = tmp_path / "out"
    async with asyncio.timeout(60), bybit(INSTRUMENTS, everything) as venue:
        process = await started(venue.url, out)
        await venue.request("subscribe")
        process.send_signal(number)
        said, complained = await process.communicate()

    assert (process.returncode, complained) == (0, b"")
    manifest = read_manifest(out)
    assert manifest.status == "complete"
    last = said.decode().splitlines()[-1]
    assert last == f"mmbot run --scenario recording --scenarios {out} --data {out}"


def size(out: Path) -> int:
    """Bytes on the disk."""
    return sum(path.stat().st_size for path in out.glob("frames_*.zst"))


@pytest.mark.asyncio
async def test_what_was_killed_is_repaired(tmp_path: Path, mmbot: Command):
    out = tmp_path / "out"
    async with asyncio.timeout(60), bybit(INSTRUMENTS, everything) as venue:
        process = await started(venue.url, out)
        await venue.request("subscribe")
        sizes = {0}
        while len(sizes) < 3:  # the first half second is whole when the second is begun
            await venue.push(b'{"op":"pong"}')
            sizes.add(await asyncio.to_thread(size, out))  # the detour leaves the recorder time to keep up
        process.kill()
        await process.communicate()
    assert read_manifest(out).status == "recording"

    code, said, complained = await asyncio.to_thread(mmbot, "record", "--repair", "--out", out)

    assert (code, complained) == (0, "")
    assert "bytes moved aside" in said
    assert read_manifest(out).reason == "cut off, and mended"
    assert (out / "recording.yaml").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--symbols", ""), "--symbols: was '', expected at least one, each once"),
        (("--symbols", "A,A"), "--symbols: was 'A,A', expected at least one, each once"),
        (("--host", "ftp://x"), "host was 'ftp://x', expected mainnet, testnet, a domain, or http"),
        (("--venue", "kraken"), "venue was 'kraken', expected one of bybit"),
        (("--repair",), "--repair: needs --out"),
    ],
)
def test_bad_input_is_one_line(mmbot: Command, options: tuple[str, ...], message: str):
    code, _, complained = mmbot("record", *options)
    assert (code, complained.count("\n")) == (2, 1)
    assert message in complained


def test_the_table_has_a_row_a_symbol():
    shown = table(RecordStatistics([linear()]))
    assert shown.row_count == 1
    assert shown.title == "0 s, not connected , 0 connections lost"
