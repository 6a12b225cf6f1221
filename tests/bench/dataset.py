"""How long a calibration dataset takes, and how much memory, over rows of a real run.

    python tests/bench/dataset.py --folder /some/disk/with/20GB

One hour of `demo` is played; its rows are written again and again through the bot's own writer, shifted by
whole hours and under the names of other symbols, as a run in parts. So every row is one that the engine
wrote, and what is repeated is repeated: the figures are about reading and adding up, not about what the
market does. A dataset is then made in a process of its own, whose time and largest resident memory are
printed, and the load of the machine meanwhile.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from mmbot.clock import stopwatch
from mmbot.model.records import FillRow, Row, TickRow, TraceRow
from mmbot.ops.dataset import DatasetRequest, make_dataset
from mmbot.runtime.run import Run, RunRequest
from mmbot.telemetry.feeds import FeedWriter
from mmbot.units import SECOND

REPO = Path(__file__).parents[2]
HOUR_NS = 3_600 * SECOND
START_NS = 1_767_225_600 * SECOND
KINDS: dict[str, type[Row]] = {"pipeline_ticks": TickRow, "fills": FillRow, "trace": TraceRow}


@dataclass(frozen=True)
class Size:
    """`fills_times`: how often each fill of the hour stands in it, a millisecond apart."""

    name: str
    hours: int
    symbols: int
    fills_times: int = 1


SIZES = (
    Size("36 h, 1 symbol", 36, 1),
    Size("72 h, 1 symbol", 72, 1),
    Size("72 h, 1 symbol, many fills", 72, 1, fills_times=20),
    Size("72 h, 5 symbols", 72, 5),
    Size("72 h, 10 symbols", 72, 10),
)


def one_hour(folder: Path) -> Path:
    """The run directory of an hour of `demo`, on the configuration as it is shipped."""
    request = RunRequest(
        scenario="demo",
        scenarios=REPO / "scenarios",
        config=[REPO / "config.yaml"],
        data=None,
        run_id="hour",
        directory=folder / "hour",
    )
    for _ in Run(request):
        pass
    return folder / "hour"


def rows_of(run: Path, feed: str) -> list[Any]:
    decoder = msgspec.json.Decoder(KINDS[feed])
    return [
        row for path in sorted(run.glob(f"{feed}_*.jsonl")) for row in decoder.decode_lines(path.read_bytes())
    ]


def written(folder: Path, hour: Path, size: Size) -> Path:
    """A run in parts of so many hours and symbols."""
    manifest = json.loads((hour / "manifest.json").read_bytes())
    ticks, fills, trace = (rows_of(hour, feed) for feed in KINDS)
    symbols = [f"SYNTH{number:02d}USDT" for number in range(1, size.symbols + 1)]
    run = folder / size.name.replace(" ", "").replace(",", "-")
    for name in symbols:
        part = run / "parts" / name
        part.mkdir(parents=True)
        writer = FeedWriter(part, run_id=manifest["run_id"], arm="A", data_kind="synthetic")
        for batch in shifted(ticks, fills, trace, f"bybit_linear:{name}", size):
            writer.write(batch)
        writer.close()
    (stated,) = manifest["instruments"]
    instruments = [stated | {"symbol": f"bybit_linear:{name}"} for name in symbols]
    many = size.hours * size.symbols
    counts = manifest["counts"] | {"ticks": len(ticks) * many, "fills": len(fills) * many * size.fills_times}
    told = {"instruments": instruments, "counts": counts, "parts": [{"name": name} for name in symbols]}
    (run / "manifest.json").write_text(json.dumps(manifest | told))
    return run


def shifted(
    ticks: list[TickRow], fills: list[FillRow], trace: list[TraceRow], symbol: str, size: Size
) -> Iterator[Sequence[Row]]:
    """The hour's rows under another name, an hour later each time; the rows themselves are reused."""
    first = [(row, row.ts_ns) for row in (*ticks, *trace)]
    for hour in range(size.hours):
        for row, ts_ns in first:
            row.ts_ns = ts_ns + hour * HOUR_NS
            row.symbol = symbol
        yield [row for row, _ in first]
        yield [
            msgspec.structs.replace(
                fill,
                ts_ns=fill.ts_ns + hour * HOUR_NS + again * 1_000_000,
                recv_ns=fill.recv_ns + hour * HOUR_NS + again * 1_000_000,
                fill_id=fill.fill_id + (hour * size.fills_times + again) * len(fills),
                symbol=symbol,
            )
            for fill in fills
            for again in range(size.fills_times)
        ]
    for row, ts_ns in first:
        row.ts_ns = ts_ns


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def made(run: Path, out: Path) -> None:
    """In this process: make the dataset, print what it took as JSON."""
    began_ns = stopwatch()
    path = make_dataset(DatasetRequest(places=[str(run)], out=out))
    wall_s = (stopwatch() - began_ns) / SECOND
    used = resource.getrusage(resource.RUSAGE_SELF)
    content = json.loads(path.read_bytes())
    (read,) = content["provenance"]
    _say(
        json.dumps(
            {
                "wall_s": wall_s,
                "cpu_s": used.ru_utime + used.ru_stime,
                "rss_mb": used.ru_maxrss / 1_000,
                "load": os.getloadavg()[0],
                "rows": read["rows_read"],
                "gb": sum(file["bytes"] for file in read["files"]) / 1e9,
                "intervals": content["filters"]["intervals"],
            }
        )
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folder", type=Path, help="where to write rows, a new folder of it is used")
    options.add_argument("--only", help="sizes whose name contains this")
    options.add_argument("--made", nargs=2, type=Path, help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.made:
        made(*asked.made)
        return
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        folder = Path(name)
        hour = one_hour(folder)
        _say("| rows of | ticks | fills | traced | GB | seconds | CPU s | RSS MB | CPU us a tick | load |")
        _say("|---|---|---|---|---|---|---|---|---|---|")
        for size in SIZES:
            if asked.only and asked.only not in size.name:
                continue
            run = written(folder, hour, size)
            command = [sys.executable, __file__, "--made", str(run), str(folder / "out")]
            took = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            shutil.rmtree(run)
            rows = took["rows"]
            cells = [size.name, rows["pipeline_ticks"], rows["fills"], rows["trace"], f"{took['gb']:.2f}"]
            cells += [f"{took[name]:.1f}" for name in ("wall_s", "cpu_s")] + [f"{took['rss_mb']:.0f}"]
            cells += [f"{took['cpu_s'] / rows['pipeline_ticks'] * 1e6:.2f}", f"{took['load']:.0f}"]
            _say(f"| {' | '.join(str(cell) for cell in cells)} |")


if __name__ == "__main__":
    main()
