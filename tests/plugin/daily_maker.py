"""A foreign maker of days: facts as a bot may write them, changed by whoever asks."""

import copy
import json
from pathlib import Path

DAY = "2026-01-08"
BEFORE = [f"2026-01-0{number}" for number in range(1, 8)]
TICKS = 864_000

STAGES = ("fetch_md", "spread", "guards", "inventory", "queue_aware", "emit", "tick_total", "wait")


def stage(name, p95_ns):
    times = {"p50_ns": p95_ns / 2, "p95_ns": p95_ns, "p99_ns": 2 * p95_ns, "max_ns": 9 * p95_ns}
    return {"stage": name, "n": TICKS, **times, "measured_p95_ns": p95_ns}


def earned(**changes):
    bps = {"gross_bps": 4.0, "adverse_1s_bps": -0.5, "adverse_5s_bps": -0.8, "adverse_60s_bps": -1.0}
    facts = {
        "currency": "USDT", "fills": 1_000, "buys": 500, "notional": 5e5, "taker_share": 0.02, "fees": 100.0,
        "funding": 0.0, "pnl": 50.0, "fills_with_net": 1_000, **bps, "fees_bps": -2.0, "net_bps": 1.0,
        "slippage_bps": 0.1,
    }  # fmt: skip
    return facts | changes


def run(**changes):
    facts = {
        "run_id": "run-1", "arm": "A", "step": "live", "scenario": "venue", "status": "running",
        "reason": None, "config_sha256": "c", "run_digest": None, "configurations": 1,
        "first_tick": f"{DAY}T00:00:00Z", "last_tick": f"{DAY}T23:59:59Z", "ended_on_day": False,
        "fell_silent": False, "ticks": TICKS, "fills": 1_000, "halts": [], "torn_files": 0,
        "feed_bytes": 1_000_000,
    }  # fmt: skip
    return facts | changes


def group(**changes):
    """A good day of real orders on one symbol."""
    books = {"position": 1.0, "position_difference_lots": 0, "pnl_difference": 0.0}
    coverage = {"ticks": TICKS, "covered_s": 86_400.0, "covered_ratio": 1.0, "gaps": [], "short_gaps": 0}
    ages = {f"age_{name}_ns": 1e7 for name in ("p50", "p95", "p99", "max")}
    hour = {
        "ticks": 36_000,
        "hit_ratio": 1.0,
        "tick_total_p95_ns": 4e4,
        "deadline_misses": 0,
        "hard_ticks": 0,
    }
    facts = {
        "data_kind": "live",
        "mode": "live",
        "runs": [run()],
        "left_out": [],
        "coverage": [{"symbol": "venue:AAA", **coverage}],
        "results": [earned()],
        "symbols": [{"symbol": "venue:AAA", **earned(), **books}],
        "latency": [stage(name, 4e4) for name in STAGES],
        "ticks": {
            "ticks": TICKS, "hits": TICKS, "stale": 0, "misses": 0, **ages, "deadline_misses": 0,
            "quoted": TICKS,
        },
        "guards": {"levels": {"NONE": TICKS}, "reasons": [], "hard_without_reason": 0},
        "hours": [{"hour": number, **hour, "fills": 40} for number in range(24)],
        "events": [],
        "breakers": [],
        "processes": [
            {
                "run_id": "run-1", "part": None, "rss_max_bytes": 1e8,
                "rss_floors": [[number, 1e8] for number in range(140)],
            }
        ],
        "equity": [],
        "order_path": [],
        "alerts": [],
        "watched_runs": 1,
    }  # fmt: skip
    return facts | changes


def day(*groups, name=DAY, unreadable=()):
    places = [{"place": place, "reason": "torn"} for place in unreadable]
    return {"schema": 1, "day": name, "groups": list(groups), "unreadable": places}


def write(folder, *days):
    """Files beside each other; the path of the last."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in days:
        (folder / f"{one['day']}.json").write_text(json.dumps(one))
    return folder / f"{days[-1]['day']}.json"


def changed(facts, path, value):
    """A copy with another value: `changed(group(), "ticks.hits", 3)`; a number in the path is an index."""
    result = copy.deepcopy(facts)
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    where = result
    for part in way:
        where = where[part]
    where[last] = value
    return result


def make(request):
    told = json.loads(Path("daily.json").read_text())
    if "error" in told:
        raise WrongDayError(told["error"])
    path = Path(request["out_dir"]) / "reports" / "daily"
    return str(write(path, day(*told["groups"], name=request["date"] or DAY)))


class WrongDayError(Exception):
    user_error = True
