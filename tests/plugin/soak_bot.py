"""A bot that soaks: it writes metric streams (`streams`) as rows of a run, ten seconds a batch, and halts
when asked to. A scenario file is JSON: `hours`, `ill` (levels from `from_h` on), `parts`, `of_part`, `deaf`,
`dies_at_h` (when it is interrupted, the first time), `fails_at_h` (the same with an error), `told_at_h` (the
same with a SIGTERM, or SIGINT if `tells` says so, to itself, or to the `parent` process). It can be resumed
behind every 20th batch; with `out_m`, its market goes on for so many minutes before it does.
"""

import json
import os
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path

import foreign_bot
import streams

TICK = {
    "age_ns": 20_000_000,
    **{f"{stage}_ns": 1_000_000 for stage in foreign_bot.STAGES},
    "tick_total_ns": 6_000_000,
    "wait_ns": 0,
    "mid": 100.0,
    "bid": 99.9,
    "ask": 100.1,
    "position_quote": 0.0,
}


def settings_of(request):
    return json.loads(Path("scenarios", f"{request['scenario']}.yaml").read_text())


def parts(request):
    return settings_of(request).get("parts", [])


def open_run(request):
    with Path("requests.jsonl").open("a") as file:
        file.write(json.dumps(request, default=str) + "\n")
    settings = settings_of(request)
    if request["part"]:
        settings |= settings.get("of_part", {}).get(request["part"], {})
    return Run(request, settings)


class Run:
    def __init__(self, request, settings):
        self.request, self.settings = request, settings
        self.directory = Path(request["run_dir"])
        self.halted = self.suspended = None
        self.told = threading.Event()
        self.resumes = []
        self.symbol = f"{request['part'] or 'ABC'}USDT"
        self.counts = {"ticks": 0, "fills": 0}
        self.last_ns = streams.START_NS
        self.newest_ns = self.goes_on_ns = 0
        self.passed = self._cut() if request["resume"] else 0

    def halt(self, reason):
        if not self.settings.get("deaf"):
            self.halted = reason

    def suspend(self, reason):
        self.halted = self.suspended = reason
        self.told.set()

    def __iter__(self):
        self.directory.mkdir(parents=True, exist_ok=True)
        self._manifest("running")
        for feed in ("pipeline_ticks", "fills", "samples", "events"):
            self._append(feed, streams.START_NS, b"")
        identity = {"run_id": self.request["run_id"], "data_kind": self.settings["kind"]}
        settings = self.settings
        batches = streams.batches(
            settings["hours"],
            streams.Levels(**settings.get("ill", {})),
            from_h=settings.get("from_h", 1e9),
            identity=identity,
            tick=TICK,
            symbol=f"paper:{self.symbol}",
        )
        for number, (feed, lines) in enumerate(batches):
            if number < self.passed:
                continue
            ts_ns = json.loads(lines.partition(b"\n")[0])["ts_ns"]
            if ts_ns < self.goes_on_ns:
                continue
            yield from self._went_on(identity, ts_ns)
            self._meet((ts_ns - streams.START_NS) / 3.6e12)
            if not number % 20 or self.suspended:
                self._checkpoint(number)
            if self.halted is not None:
                break
            self._append(feed, ts_ns, lines)
            yield feed, lines
        self._manifest("complete" if self.halted is None else "halted")
        if not self.suspended:
            (self.directory / "checkpoint.bin").unlink()

    def _went_on(self, identity, ts_ns):
        """Behind an outage, once."""
        if not self.goes_on_ns:
            return
        self.goes_on_ns = 0
        row = {**identity, "arm": "A", **foreign_bot.outage(self.newest_ns, ts_ns)}
        self.resumes.append({"first_tick_ns": ts_ns, "outage_from_ns": self.newest_ns})
        lines = json.dumps(row).encode() + b"\n"
        self._append("events", ts_ns, lines)
        yield "events", lines

    def _meet(self, at_h):
        """What the scenario has in store for this time, once."""
        met = Path(f"met-{self.request['part']}")
        due = [
            name for name in ("dies_at_h", "fails_at_h", "told_at_h") if self.settings.get(name, 1e9) <= at_h
        ]
        if not due or met.exists():
            return
        met.touch()
        if due == ["dies_at_h"]:
            raise KeyboardInterrupt
        if due == ["fails_at_h"]:
            raise OSError(28, "No space left on device")
        whom = os.getppid() if "parent" in self.settings.get("tells", "") else os.getpid()
        os.kill(whom, signal.SIGINT if "SIGINT" in self.settings.get("tells", "") else signal.SIGTERM)
        assert self.told.wait(60)

    def _checkpoint(self, number):
        sizes = {path.name: path.stat().st_size for path in self.directory.glob("*.jsonl")}
        kept = {"number": number, "sizes": sizes, "counts": self.counts, "last_ns": self.last_ns}
        (self.directory / "checkpoint.bin").write_text(json.dumps(kept))

    def _cut(self):
        kept = json.loads((self.directory / "checkpoint.bin").read_bytes())
        for name, size in kept["sizes"].items():
            os.truncate(self.directory / name, size)
        self.counts, self.last_ns = kept["counts"], kept["last_ns"]
        if "out_m" in self.settings:
            self.newest_ns = self.last_ns + 9 * 10**9  # the last tick of ten
            self.goes_on_ns = self.newest_ns + round(self.settings["out_m"] * 60e9)
        else:
            self.resumes.append({"first_tick_ns": self.last_ns + 10**9})
        return kept["number"]

    def _append(self, feed, ts_ns, lines):
        day = f"{datetime.fromtimestamp(ts_ns // 10**9, UTC):%Y%m%d}"
        with (self.directory / f"{feed}_{day}.jsonl").open("ab") as file:
            file.write(lines)
        if feed in ("pipeline_ticks", "fills"):
            self.counts["ticks" if feed == "pipeline_ticks" else feed] += lines.count(b"\n")
        self.last_ns = max(self.last_ns, ts_ns)

    def _manifest(self, status):
        whole = {**foreign_bot.SETTINGS, "symbol": self.symbol, "kind": self.settings["kind"]}
        whole["clock"] = "wall" if "out_m" in self.settings else "virtual"
        manifest = {
            **foreign_bot.manifest_of(whole, dict(self.counts)),
            "run_id": self.request["run_id"],
            "step": "soak",
            "scenario": self.request["scenario"],
            "status": status,
            "reason": self.halted,
            "resumes": self.resumes,
            "started_ns": None if status == "running" else streams.START_NS,
            "ended_ns": None if status == "running" else self.last_ns + 10 * 10**9,
        }
        (self.directory / "manifest.json").write_text(json.dumps(manifest))
