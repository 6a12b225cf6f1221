"""Experiments as they would have been recorded: blocks made of numbers, and rows on the disk.

The market of the rows stands still at 100, so a fill's net is what its price gives away, and every sum is
known beforehand.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from pytest_mmgates.armrules import parse_accept
from pytest_mmgates.experiment.facts import ALL, REPLAY, Facts, PlannedBlock, keep_facts
from pytest_mmgates.experiment.record import BlockRecord, Origin, Part, TickTimes, VariantRecord

S = 1_000_000_000
HOUR = 3600 * S
START_NS = 1_767_225_600 * S
SYMBOLS = {"majors": ["paper:AAA"], "others": ["paper:BBB"]}
RULE = parse_accept("delta(net_bps) >= 0.2bps by sequence(0.975), pairs >= 24")
SOURCES = ("recorded", "live", "synthetic")
NOTIONAL = 10_000.0


def plan_hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def facts(stage: str = "50", blocks: Sequence[PlannedBlock] = (), **changes: Any) -> Facts:
    content = changes.pop("content", {"plan": "p"})
    known: dict[str, Any] = {
        "schema": 1,
        "name": "wider",
        "title": "A wider spread",
        "stage": stage,
        "plan_hash": plan_hash(content),
        "content": content,
        "scenario": "demo",
        "seed": 1,
        "metric": "net_bps",
        "floor_bps": 0.2,
        "effect_bps": 0.3,
        "confidence": 0.975,
        "max_pairs": 100,
        "least_pairs": 24,
        "least_duration_ns": 24 * HOUR,
        "block_ns": HOUR,
        "washout_ns": HOUR // 4,
        "switch": "apart",
        "clusters": {"majors": SYMBOLS["majors"]},
        "gate": "gates/ab.yaml",
        "blocks": list(blocks),
    }
    return Facts(**known | changes)


def planned(pairs: int, cluster: str = "majors", stage: str = "50") -> list[PlannedBlock]:
    """Blocks of pairs in an order that a coin chose; at 10 and 100 % each is among four pairs of one arm."""
    coins = np.random.default_rng(1).random(pairs) < 0.5
    alone = {"10": "A", "100": "B"}.get(stage)
    rows: list[tuple[int | None, str]] = []
    for pair, coin in enumerate(coins):
        rows += [(pair, arm) for arm in ("AB" if coin else "BA")]
        rows += [(None, alone)] * 8 if alone else []
    starts = range(START_NS, START_NS + len(rows) * HOUR, HOUR)
    return [
        PlannedBlock(cluster, at, pair, arm, start_ns, start_ns + HOUR // 4, start_ns + HOUR)
        for at, ((pair, arm), start_ns) in enumerate(zip(rows, starts, strict=True))
    ]


def part(net_bps: float, *, slippage_bps: float = 0.5, notional: float = NOTIONAL, fills: int = 20) -> Part:
    money = notional / 1e4
    return Part(
        fills=fills,
        net=net_bps * money,
        notional=notional,
        gross=net_bps * money + money,
        fees=-money,
        slippage=slippage_bps * money,
        slippage_notional=notional,
    )


def block(plan: PlannedBlock, net_bps: float, late_bps: float | None = None, **changes: Any) -> BlockRecord:
    record = BlockRecord(
        cluster=plan.cluster,
        index=plan.index,
        pair=plan.pair,
        arm=plan.arm,
        start_ns=plan.start_ns,
        end_ns=plan.end_ns,
        expected=2700,
        ticks=2700,
        with_book=2700,
        analysed=part(net_bps),
        late=part(net_bps if late_bps is None else late_bps, notional=NOTIONAL / 1.5),
    )
    return msgspec.structs.replace(record, **changes)


def origin(known: Facts, arm: str = "A", **changes: Any) -> Origin:
    hours = max((one.end_ns for one in known.blocks), default=START_NS + 30 * HOUR)
    made = Origin(
        run_id="r1",
        arm=arm,
        config_sha256="ef" * 32,
        data_sha256="ab" * 32,
        data_kind="recorded",
        plan_hash=known.plan_hash,
        run_digest="d",
        models={"queue": "q"},
        status="complete",
        reason=None,
        started_ns=START_NS,
        ended_ns=hours,
    )
    return msgspec.structs.replace(made, **changes)


def variant(known: Facts, blocks: Sequence[BlockRecord], name: str = "", **changes: Any) -> VariantRecord:
    times = {arm: TickTimes(100_000, 1e6) for arm in "AB"}
    return VariantRecord(name, [origin(known, **changes)], list(blocks), times, [])


def live(
    gain_bps: float = 0.5,
    *,
    pairs: int = 40,
    noise_bps: float = 0.3,
    seed: int = 1,
    stage: str = "50",
    change: Callable[[BlockRecord], BlockRecord] = lambda one: one,
    **changes: Any,
) -> tuple[Facts, list[VariantRecord]]:
    """A stage of one cluster: B is better by so much, in noise."""
    known = facts(stage, planned(pairs, stage=stage), **changes)
    noise = np.random.default_rng(seed + 1).normal(0, noise_bps, len(known.blocks))
    blocks = [
        change(block(plan, 1.0 + gain_bps * (plan.arm == "B") + noise[at]))
        for at, plan in enumerate(known.blocks)
    ]
    return known, [variant(known, blocks)]


def replay(
    gains_bps: Sequence[float] = (0.5, 0.5, 0.5, 0.5),
    *,
    blocks: int = 48,
    noise_bps: float = 0.1,
    keep: float = 0.0,
    seed: int = 1,
) -> tuple[Facts, list[VariantRecord]]:
    """Four variants: in each B is better by so much; neighbouring differences are correlated by `keep`."""
    known = facts(REPLAY)
    found = []
    for number, gain_bps in enumerate(gains_bps):
        noise = np.random.default_rng(seed + number).normal(0, 1, blocks)
        for at in range(1, blocks):
            noise[at] = keep * noise[at - 1] + np.sqrt(1 - keep**2) * noise[at]
        rows = []
        for at in range(blocks):
            start_ns = START_NS + at * HOUR
            for arm in "AB":
                plan = PlannedBlock(ALL, at, at, arm, start_ns, start_ns, start_ns + HOUR)
                better = (gain_bps + noise_bps * noise[at]) * (arm == "B")
                rows.append(block(plan, 1.0 + better, late=None))
        found.append(variant(known, rows, f"v{number}"))
    return known, found


def rows_of(known: Facts, net_bps: Callable[[PlannedBlock], float]) -> dict[str, list[dict]]:
    """A tick a minute and a fill every ten minutes of the planned blocks, and ticks of an hour after."""
    ticks, fills = [], []
    for plan in known.blocks:
        [symbol] = known.clusters[plan.cluster]
        ticks += [tick(at_ns, symbol, plan.arm) for at_ns in range(plan.start_ns, plan.end_ns, 60 * S)]
        times = range(plan.start_ns + 60 * S, plan.end_ns, 600 * S)
        fills += [fill(at_ns, symbol, plan.arm, net_bps(plan)) for at_ns in times]
    last = known.blocks[-1]
    [symbol] = known.clusters[last.cluster]
    ticks += [tick(last.end_ns + at * S, symbol, last.arm) for at in range(0, 3600, 60)]
    return {"pipeline_ticks": ticks, "fills": fills}


def tick(ts_ns: int, symbol: str, arm: str, **changes: Any) -> dict[str, Any]:
    stages = ("fetch_md", "spread", "guards", "inventory", "queue_aware", "emit")
    row = {
        "ts_ns": ts_ns,
        "symbol": symbol,
        "arm": arm,
        "cache": "hit",
        "age_ns": 1,
        **{f"{stage}_ns": 1000 for stage in stages},
        "tick_total_ns": 6000,
        "wait_ns": 0,
        "deadline_miss": False,
        "mid": 100.0,
        "bid": 99.9,
        "ask": 100.1,
        "position_quote": 0.0,
    }
    return row | changes


def fill(ts_ns: int, symbol: str, arm: str, net_bps: float, **changes: Any) -> dict[str, Any]:
    row = {
        "ts_ns": ts_ns,
        "recv_ns": ts_ns,
        "symbol": symbol,
        "arm": arm,
        "client_id": f"mm{arm}-{ts_ns}",
        "side": "buy",
        "price": 100.0 * (1 - net_bps / 1e4),
        "qty": 1.0,
        "liquidity": "maker",
        "fee": 0.0,
        "mid": 100.0,
        "decision_mid": 100.0,
    }
    return row | changes


def write(foreign_bot: Any, directory, known: Facts, feeds: dict[str, list[dict]], **changes: Any):
    """One live run of the experiment, and what was planned."""
    symbols = [symbol for symbols in known.clusters.values() for symbol in symbols]
    manifest = foreign_bot.manifest_of(foreign_bot.SETTINGS, {})
    venue_and_name = [symbol.split(":") for symbol in symbols]
    instrument = manifest["instruments"][0]
    manifest |= {
        "run_id": "r1",
        "scenario": "demo",
        "step": "ab",
        "arm": "AB",
        "started_ns": START_NS,
        "ended_ns": feeds["pipeline_ticks"][-1]["ts_ns"],
        "experiment": {"plan_hash": known.plan_hash},
        "config": {"md_cache": {"ttl_ms": 500}, "pipeline": {"deadline_ms": 200, "tick_interval_ms": 60_000}},
        "data": {
            "kind": "recorded",
            "sha256": "ab" * 32,
            "feeds": [{"symbol": name, "venue": venue} for venue, name in venue_and_name],
        },
        "instruments": [{**instrument, "symbol": name, "venue": venue} for venue, name in venue_and_name],
    }
    keep_facts(directory, known)
    foreign_bot.write_feeds(directory / "live" / "r1", feeds, manifest | changes)
    return directory
