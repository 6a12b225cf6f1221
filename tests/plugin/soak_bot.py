"""A bot that soaks: it writes metric streams (`streams`) as rows of a run, ten seconds a batch, and halts
when asked to. A scenario file is JSON: `hours`, `ill` (levels from `from_h` on), `parts`, `of_part`, `deaf`.
"""

import json
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
        self.halted = None
        self.symbol = f"{request['part'] or 'ABC'}USDT"
        self.counts = {"ticks": 0, "fills": 0}
        self.last_ns = streams.START_NS

    def halt(self, reason):
        if not self.settings.get("deaf"):
            self.halted = reason

    def __iter__(self):
        self.directory.mkdir(parents=True)
        self._manifest("running")
        for feed in ("pipeline_ticks", "fills", "samples", "events"):
            self._append(feed, streams.START_NS, b"")
        identity = {"run_id": self.request["run_id"], "data_kind": self.settings["kind"]}
        settings = self.settings
        for feed, lines in streams.batches(
            settings["hours"],
            streams.Levels(**settings.get("ill", {})),
            from_h=settings.get("from_h", 1e9),
            identity=identity,
            tick=TICK,
            symbol=f"paper:{self.symbol}",
        ):
            if self.halted is not None:
                break
            self._append(feed, json.loads(lines.partition(b"\n")[0])["ts_ns"], lines)
            yield feed, lines
        self._manifest("complete" if self.halted is None else "halted")

    def _append(self, feed, ts_ns, lines):
        day = f"{datetime.fromtimestamp(ts_ns // 10**9, UTC):%Y%m%d}"
        with (self.directory / f"{feed}_{day}.jsonl").open("ab") as file:
            file.write(lines)
        if feed in ("pipeline_ticks", "fills"):
            self.counts["ticks" if feed == "pipeline_ticks" else feed] += lines.count(b"\n")
        self.last_ns = max(self.last_ns, ts_ns)

    def _manifest(self, status):
        whole = {**foreign_bot.SETTINGS, "symbol": self.symbol, "kind": self.settings["kind"]}
        manifest = {
            **foreign_bot.manifest_of(whole, dict(self.counts)),
            "run_id": self.request["run_id"],
            "step": "soak",
            "scenario": self.request["scenario"],
            "status": status,
            "reason": self.halted,
            "started_ns": None if status == "running" else streams.START_NS,
            "ended_ns": None if status == "running" else self.last_ns + 10 * 10**9,
        }
        (self.directory / "manifest.json").write_text(json.dumps(manifest))
