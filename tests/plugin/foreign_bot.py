"""A bot that pytest_mmgates has never seen: it keeps the protocol of `pytest_mmgates.sut` with nothing but
the standard library.

A scenario file is JSON (which is YAML) with any of the settings below. Its market is arithmetic: every figure
that a gate can ask for is known beforehand. Each run that is opened adds its request to `requests.jsonl` in
the working directory, so that a test can count engine runs.

A scenario with `parts` is played in parts, one a symbol.

`tuning.json` of the working directory stands for the bot's own code: the same settings, over the scenario's.
"""

import hashlib
import json
import os
import subprocess
from itertools import pairwise
from pathlib import Path

START_NS = 1_700_000_040_000_000_000
STAGES = ("fetch_md", "spread", "guards", "inventory", "queue_aware", "emit")

SETTINGS = {
    "minutes": 60.0,
    "tick_ms": 1000,
    "kind": "synthetic",
    "stop_after": 1.0,  # share of the duration after which ticks stop coming
    "hits": 0.9,  # share of cache hits
    "stage_ms": 2.0,
    "fetch_ms": 4.0,
    "wait_ms": 0.0,
    "misses": 0.0,  # share of deadline misses
    "gaps": 0,
    "crossed": 0,
    "fills": 40,
    "decision_mids": True,  # whether fills say at which mid their orders were decided
    "fills_from": 0.0,  # share of the ticks before the first fill
    "leak_mb_per_h": 0,
    "updates": True,  # whether book updates are sampled
    "events": True,  # whether there is an events feed at all
    "clock": "virtual",
    "outages": [],  # minutes from and until which no process played it, each a pair
    "status": "complete",
    "reason": None,
    "fail": None,  # "open" or "middle": bad input, at once or half way; "bug": another exception
    "corrupt": None,  # (feed, row index): that row becomes garbage
    "lose_ticks": 0,  # rows cut off the end
    "symbol": "ABCUSDT",
    "parts": [],  # symbols, each a part
    "of_part": {},  # settings of one part, by its name
    "die": False,  # kill the process in the middle, the first time
    "meet": None,  # "r" or "w": wait in the middle for the run that has the other letter
}


class CaptureError(Exception):
    """Bad input, in one line."""

    user_error = True


def settings_of(request):
    folder = Path("scenarios", "live") if request.get("live") else Path("scenarios")
    tuning = json.loads(Path("tuning.json").read_text()) if Path("tuning.json").exists() else {}
    return {**SETTINGS, **json.loads((folder / f"{request['scenario']}.yaml").read_text()), **tuning}


def parts(request):
    return settings_of(request)["parts"]


def open_run(request):
    with Path("requests.jsonl").open("a") as file:
        file.write(json.dumps({**request, "pid": os.getpid()}, default=str) + "\n")
    settings = settings_of(request)
    if request["part"]:
        settings |= {"symbol": request["part"], **settings["of_part"].get(request["part"], {})}
    if settings["fail"] == "open":
        raise CaptureError("captures/abc.zst: no such file")
    return Run(request, settings)


class Tape:
    """The latency tape of this bot: a loop in each stage, timed by the clock that it is given."""

    stages = (*STAGES, "tick_total")
    readings = (1,) * len(STAGES) + (len(STAGES),)
    ticks = 40
    sha256 = "ab" * 32
    kind = "synthetic"

    def __init__(self, clock):
        self.clock = clock

    def step(self, first, stop):
        return [(str(tick), [self.tick(tick)]) for tick in range(first, stop)]

    def tick(self, tick):
        times = [self.clock()]
        for _ in STAGES:
            sum(range(200 + 10 * (tick % 7)))
            times.append(self.clock())
        stages = [end - start for start, end in pairwise(times)]
        return (*stages, times[-1] - times[0])


def open_tape(request):
    return Tape(request["clock"])


class Run:
    def __init__(self, request, settings):
        self.request = request
        self.settings = settings
        self.halted = None

    def halt(self, reason):
        self.halted = reason

    def __iter__(self):
        if self.settings["fail"] == "bug":
            raise ZeroDivisionError("a bug of the bot")
        directory = Path(self.request["run_dir"])
        asked = {name: self.request[name] for name in ("run_id", "scenario", "step")}
        for name, lines in write_run(directory, self.settings, **asked):
            if self.settings["fail"] == "middle":
                raise CaptureError("captures/abc.zst:17: corrupt frame")
            yield name, lines
        if self.settings["meet"]:
            Path("meeting").open(self.settings["meet"]).close()
        if self.settings["die"] and not Path("died").exists():
            Path("died").touch()
            os._exit(1)


def write_run(directory, settings=None, *, run_id="r1", scenario="demo", step="shadow"):
    """Write a whole run directory and return its batches."""
    settings = {**SETTINGS, **(settings or {})}
    feeds = {"pipeline_ticks": ticks(settings), "fills": fills(settings), "samples": samples(settings)}
    if settings["events"]:
        feeds["events"] = events(settings)
    counts = {
        "ticks": len(feeds["pipeline_ticks"]),
        "fills": len(feeds["fills"]),
        "orders": 80,
        "cancels": 70,
        "rejects": 0,
    }
    if settings["lose_ticks"]:
        del feeds["pipeline_ticks"][-settings["lose_ticks"] :]
    manifest = {**manifest_of(settings, counts), "run_id": run_id, "scenario": scenario, "step": step}
    return write_feeds(directory, feeds, manifest, corrupt=settings["corrupt"])


def write_feeds(directory, feeds, manifest, *, corrupt=None):
    """Write rows as they are, each with the identity of the run."""
    directory.mkdir(parents=True)
    identity = {"run_id": manifest["run_id"], "arm": "A", "data_kind": manifest["data"]["kind"]}
    batches = []
    for feed, rows in feeds.items():
        lines = [json.dumps({**identity, **row}) for row in rows]
        if corrupt and corrupt[0] == feed:
            lines[corrupt[1]] = '{"ts_ns": 17, "symb'
        text = "".join(line + "\n" for line in lines).encode()
        (directory / f"{feed}_20231114.jsonl").write_bytes(text)
        batches.append((feed, text))
    (directory / "manifest.json").write_text(json.dumps(manifest))
    return batches


def full(settings):
    return f"paper:{settings['symbol']}"


def duration_ns(settings):
    return round(settings["minutes"] * 60e9)


def tick_times(settings):
    last = START_NS + round(duration_ns(settings) * settings["stop_after"])
    times = range(START_NS, last + 1, settings["tick_ms"] * 1_000_000)
    return [at for at in times if not any(start < at < end for start, end in outages(settings))]


def outages(settings):
    return [tuple(START_NS + round(minute * 60e9) for minute in outage) for outage in settings["outages"]]


def share(index, part):
    """True for `part` of all indices, spread evenly."""
    return int((index + 1) * part) > int(index * part)


def ticks(settings):
    return [tick(settings, index, ts_ns) for index, ts_ns in enumerate(tick_times(settings))]


def tick(settings, index, ts_ns):
    mid = 100.0 + 0.01 * (index % 50)
    stage_ns = round(settings["stage_ms"] * 1e6)
    fetch_ns = round(settings["fetch_ms"] * 1e6)
    return {
        "ts_ns": ts_ns,
        "symbol": full(settings),
        "seq": index,
        "cache": "hit" if share(index, settings["hits"]) else "stale",
        "age_ns": 20_000_000 + index % 7 * 1_000_000,
        **{f"{stage}_ns": fetch_ns if stage == "fetch_md" else stage_ns for stage in STAGES},
        "tick_total_ns": fetch_ns + 5 * stage_ns,
        "wait_ns": round(settings["wait_ms"] * 1e6),
        "deadline_miss": share(index, settings["misses"]),
        "guard": "NONE",
        "reasons": [],
        "mid": mid,
        "bid": mid - 0.05,
        "ask": mid + 0.05,
        "half_spread_bps": 5.0,
        "position": float(index % 3 - 1),
        "position_quote": 100.0 * (index % 3 - 1),
    }


def fills(settings):
    decided = settings["decision_mids"]
    times = list(tick_times(settings))
    times = times[round(len(times) * settings["fills_from"]) :]
    step = max(1, len(times) // (settings["fills"] + 1)) if settings["fills"] else 1
    return [
        {**fill(index, ts_ns), "symbol": full(settings), **({} if decided else {"decision_mid": None})}
        for index, ts_ns in enumerate(times[step::step][: settings["fills"]])
    ]


def fill(index, ts_ns):
    return {
        "ts_ns": ts_ns,
        "recv_ns": ts_ns + 5_000_000,
        "symbol": "paper:ABCUSDT",
        "fill_id": index,
        "client_id": f"c{index}",
        "side": "buy" if index % 2 else "sell",
        "price": 100.0 if index % 2 else 100.2,
        "qty": 1.0 + index % 3,
        "liquidity": "maker" if index % 10 else "taker",
        "fee": 0.01,
        "order_price": 100.0,
        "mid": 100.1,
        "decision_mid": 100.1,
    }


def samples(settings):
    rows = []
    for index, ts_ns in enumerate(list(tick_times(settings))[::60]):
        leak = settings["leak_mb_per_h"] * 1e6 * (ts_ns - START_NS) / 3600e9
        rows.append(
            {"ts_ns": ts_ns, "symbol": None, "name": "rss_bytes", "value": 100_000_000 + index + leak}
        )
        if settings["updates"]:
            rows.append(
                {"ts_ns": ts_ns, "symbol": full(settings), "name": "book_updates", "value": 120 * (index + 1)}
            )
    return rows


def events(settings):
    kinds = ["gap"] * settings["gaps"] + ["crossed"] * settings["crossed"] + ["order"]
    rows = [{"ts_ns": START_NS, "symbol": full(settings), "kind": kind, "detail": {}} for kind in kinds]
    return rows + [outage(start, end) for start, end in outages(settings)]


def outage(start, end):
    detail = {"reason": "outage", "from_ns": start, "until_ns": end}
    return {"ts_ns": end, "symbol": None, "kind": "gap", "detail": detail}


def manifest_of(settings, counts):
    return {
        "schema": 1,
        "step": "shadow",
        "arm": "A",
        "mode": "replay",
        "clock": settings["clock"],
        "status": settings["status"],
        "reason": settings["reason"],
        "started_ns": START_NS,
        "ended_ns": START_NS + duration_ns(settings),
        "seed": 7,
        "data": {
            "kind": settings["kind"],
            "sha256": "ab" * 32,
            "feeds": [
                {"symbol": settings["symbol"], "venue": "paper", "files": ["abc.zst"], "sha256": "cd" * 32}
            ],
        },
        "config": {"md_cache": {"ttl_ms": 500}, "pipeline": {"deadline_ms": 200}},
        "config_sha256": "ef" * 32,
        "code": {"version": "0.1", "commit": commit(), "dirty": None},
        "host": {"python": "3.11", "numpy": "2", "platform": "linux", "cpus": 2},
        "models": {"queue": "risk_averse", "market_impact": "none"},
        "instruments": [
            {
                "symbol": settings["symbol"],
                "venue": "paper",
                "tick_size": "0.01",
                "lot_size": "0.01",
                "contract": "linear",
                "contract_value": 1.0,
                "base": "ABC",
                "quote": "USDT",
                "maker_fee_bps": 1.0,
                "taker_fee_bps": 5.0,
            }
        ],
        "counts": counts,
        "resumes": [
            {"first_tick_ns": end, "outage_from_ns": start, "torn_rows": {}}
            for start, end in outages(settings)
        ],
        "run_digest": hashlib.sha256(json.dumps(fills(settings)).encode()).hexdigest(),
    }


def commit():
    """Of the project that the bot runs in, where that is a checkout."""
    if not Path(".git").exists():
        return None
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    return done.stdout.strip()
