"""A foreign bot with experiments: a run is one arm under one set of models, with fills whose net is what
`experiment.json` says of it. It keeps the protocol of `pytest_mmgates.experiment.facts`.
"""

import hashlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import foreign_bot

SETTINGS = {
    "blocks": 28,
    "gain_bps": {"near": 0.5, "far": 0.5},  # of arm B, by models
    "noise_bps": 0.05,
    "misses": 0.0,  # share of arm B's missed deadlines
    "floor_bps": 0.2,
    "gate": "gates/ab.yaml",
    "flip": False,
    "edit": False,
}
START_NS = 1_700_000_000_000_000_000 // 3_600_000_000_000 * 3_600_000_000_000
TICK_S = 10
BLOCK_S = 600
FILL_S = 60


class PlanError(Exception):
    user_error = True


def told():
    return {**SETTINGS, **json.loads(Path("experiment.json").read_text())}


def open_experiment(request):
    settings = told()
    if not Path(request["plan"]).is_file():
        raise PlanError(f"{request['plan']}: no such plan")
    content = {"plan": Path(request["plan"]).read_text()}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return {
        "schema": 1,
        "name": Path(request["plan"]).stem,
        "title": "A <wider> spread & more",
        "stage": request["stage"],
        "plan_hash": hashlib.sha256(text.encode()).hexdigest(),
        "content": content,
        "scenario": "demo",
        "seed": 3,
        "metric": "net_bps",
        "floor_bps": settings["floor_bps"],
        "effect_bps": 0.3,
        "confidence": 0.975,
        "max_pairs": 48,
        "least_pairs": 24,
        "least_duration_ns": 4 * 3600 * 10**9,
        "block_ns": BLOCK_S * 10**9,
        "washout_ns": BLOCK_S // 4 * 10**9,
        "switch": "apart",
        "clusters": {"one": ["paper:ABCUSDT"]},
        "gate": settings["gate"],
        "runs": [
            {"variant": models, "arm": arm, "config": ["base.yaml", f"{models}.yaml"]}
            for models in settings["gain_bps"]
            for arm in "AB"
        ],
        "blocks": [],
    }


def open_run(request):
    with Path("requests.jsonl").open("a") as file:
        file.write(json.dumps(request) + "\n")
    return Run(request, told())


class Run:
    def __init__(self, request, settings):
        self.request, self.settings = request, settings
        self.reason = None

    def halt(self, reason):
        self.reason = reason

    def __iter__(self):
        directory = Path(self.request["run_dir"])
        ticks, fills = list(self.ticks()), list(self.fills())
        manifest = self.manifest(len(ticks), len(fills))
        directory.mkdir(parents=True)
        (directory / "manifest.json").write_text(json.dumps({**manifest, "status": "running"}))
        kept = {"pipeline_ticks": [], "fills": []}
        for until_ns in range(START_NS + BLOCK_S * 10**9, self.ended_ns + 1, BLOCK_S * 10**9):
            for feed, rows in (("pipeline_ticks", ticks), ("fills", fills)):
                due = [row for row in rows if until_ns - BLOCK_S * 10**9 <= row["ts_ns"] < until_ns]
                kept[feed] += due
                yield feed, "".join(json.dumps(row) + "\n" for row in due).encode()
            if self.reason:
                break
        for feed, rows in kept.items():
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (directory / f"{feed}_20231114.jsonl").write_text(text)
        ended = {"status": "halted" if self.reason else "complete", "reason": self.reason}
        counts = {"ticks": len(kept["pipeline_ticks"]), "fills": len(kept["fills"])}
        (directory / "manifest.json").write_text(json.dumps({**manifest, **ended, "counts": counts}))

    @property
    def seconds(self):
        """A block more at either end: to warm up, and to mark out."""
        return (self.settings["blocks"] + 2) * BLOCK_S

    @property
    def ended_ns(self):
        return START_NS + self.seconds * 10**9

    @property
    def identity(self):
        arm = self.request["arm"]
        return {
            "run_id": self.request["run_id"],
            "arm": arm,
            "data_kind": "recorded",
            "symbol": "paper:ABCUSDT",
        }

    def ticks(self):
        stages = {f"{stage}_ns": 1000 for stage in foreign_bot.STAGES}
        missed = self.settings["misses"] if self.request["arm"] == "B" else 0.0
        for at in range(self.seconds // TICK_S):
            yield {
                **self.identity,
                "ts_ns": START_NS + at * TICK_S * 10**9,
                "cache": "hit",
                "age_ns": 1,
                **stages,
                "tick_total_ns": 6000,
                "wait_ns": 0,
                "deadline_miss": foreign_bot.share(at, missed),
                "mid": 100.0,
                "bid": 99.9,
                "ask": 100.1,
                "position_quote": 0.0,
            }

    def fills(self):
        arm, models = self.request["arm"], Path(self.request["config"][-1]).stem
        gain = self.settings["gain_bps"][models] if arm == "B" else 0.0
        named = ("B" if arm == "A" else "A") if self.settings["flip"] else arm
        for at in range(self.seconds // FILL_S):
            text = f"{arm} {at * FILL_S // BLOCK_S}"
            wobble = int(hashlib.sha256(text.encode()).hexdigest()[:6], 16) / 2**24 - 0.5
            net_bps = 1.0 + gain + self.settings["noise_bps"] * wobble
            ts_ns = START_NS + (at * FILL_S + 30) * 10**9
            yield {
                **self.identity,
                "ts_ns": ts_ns,
                "recv_ns": ts_ns,
                "client_id": f"mm{named}-{at}",
                "side": "buy",
                "price": 100.0 * (1 - net_bps / 1e4),
                "qty": 1.0,
                "liquidity": "maker",
                "fee": 0.0,
                "mid": 100.0,
                "decision_mid": 100.0,
            }

    def manifest(self, ticks, fills):
        settings = {**foreign_bot.SETTINGS, "kind": "recorded"}
        played_for = "f00d" if self.settings["edit"] else self.request["plan_hash"]
        return {
            **foreign_bot.manifest_of(settings, {"ticks": ticks, "fills": fills}),
            "run_id": self.request["run_id"],
            "scenario": self.request["scenario"],
            "step": "ab",
            "arm": self.request["arm"],
            "started_ns": START_NS,
            "ended_ns": self.ended_ns,
            "experiment": {"plan_hash": played_for},
            "config": {
                "md_cache": {"ttl_ms": 500},
                "pipeline": {"deadline_ms": 200, "tick_interval_ms": TICK_S * 1000},
            },
        }
