"""What the A/B step decides, on the real engine: of two equal arms, of planted effects, and of planted harm.

    python -m tests.bench.ab_campaign run FOLDER [--hours H] [--data FOLDER]
    python -m tests.bench.ab_campaign report FOLDER [--plans N]

`run` goes through a fixed list of jobs and keeps what came of each in FOLDER/results; started again, it goes
on with the next. Rows are read by the product and then deleted. Jobs:

    equal-N      72 hours of two synthetic symbols under arm A alone, to block records; 1 is soak-72h
    equal-nexo   the same of NEXOUSDT, 24.3 hours
    aa-N         a stage of 50 % of two equal arms, all 72 hours of the market of equal-N
    better-N     the same of an arm B that is better by its configuration, until it is decided
    slips-N      the same of one that gives its edge away, on a market and with coins of its own
    loses-N      the same, its gate without a limit of what may slip: judged by its net
    late-N       the same of one that misses its deadlines, on a market and with coins of its own
    replay-S     the replay stage, eight runs, of a synthetic market and of NEXOUSDT

`report` labels the block records of `equal` by plans that differ in nothing but their seed, so in their draws
of who comes first, and has the product decide each: its schedule, its pairs, its rule. That is A/A at the
price of one run. It is sound because a label decides nothing: with equal arms a run with labels is one
without, apart from names (`test_a_label_alone_changes_nothing_but_names` in test_arms_run.py), and block
records that are labelled are those of rows that are (test_ab_campaign.py). What labels put on afterwards
leave out is the switch itself: quotes pulled for some milliseconds, the same for both arms, in the wash-out.
`aa` shows what that changes: the noise of a pair beside that of labelled ones. All plans label the same
market, so their shares say what coins do; another market would have another noise.

A planted effect is added to the net of every fill of arm B, so to the block records: what a change would show
that earned so much more on each fill, and nothing else. `better`, `slips` and `loses` are changes of a
configuration. In markets of the last two less happens, so that forty are played in an hour.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from scipy.stats import beta

from mmbot.clock import stopwatch
from mmbot.experiment.plan import Arms, Plan, Stage, StageSpec
from mmbot.experiment.switchback import Schedule
from mmbot.units import SECOND
from pytest_mmgates.armrules import DeltaRule
from pytest_mmgates.experiment.blocks import Recorded, added, read_variant
from pytest_mmgates.experiment.decide import ExperimentDecision, decide
from pytest_mmgates.experiment.facts import Facts, PlannedBlock, read_facts
from pytest_mmgates.experiment.log import ExperimentLog
from pytest_mmgates.experiment.pairing import planned_pair_ends
from pytest_mmgates.experiment.record import BlockRecord, Part, VariantRecord
from pytest_mmgates.gatefile import Gate, read_gate
from pytest_mmgates.judgearms import judge_delta
from pytest_mmgates.loader import read_watch
from pytest_mmgates.rows import read_manifest
from pytest_mmgates.stats.acceptance import Decision
from pytest_mmgates.units import BPS
from pytest_mmgates.verdict import Verdict

ROOT = Path(__file__).parents[2]
MARKETS = 3
SEEDS = 24
"""Of arms that are late."""
START_NS = 1_767_225_600 * SECOND
HOURS = 72
LATE_HOURS = 2.2
HARM_HOURS = 30.0
"""Of an arm that loses; its net is looked at from 24 pairs on, so after 24 h."""
HARM_SEEDS = 20
LATE = "pipeline: {deadline_ms: 0.001}\n"
"""No tick of any machine is so fast."""
BETTER = "spread: {base_bps: 4.5}\n"
LOSES = "spread: {base_bps: 0.5, min_bps: 0.5}\n"
"""Quotes next to the mid, where arm A keeps 3 bps away from it."""
_MMBOT = ("-c", "from mmbot.cli import main; main()")
_CALM = {
    "pipeline": {"tick_interval_ms": 800, "deadline_ms": 2000},
    "md_cache": {"ttl_ms": 1500, "fresh_ms_for_pricing": 4000},
}
_QUIET = "trace: {enabled: false}\n"
_INSTRUMENT = {
    "venue": "bybit_linear",
    "quote": "USDT",
    "tick_size": "0.01",
    "lot_size": "0.01",
    "min_notional": 5,
    "fees": {"tier": "Bybit linear VIP 0", "maker_bps": 2.0, "taker_bps": 5.5},
}


@dataclass(frozen=True, slots=True)
class Market:
    """Two synthetic symbols. `number` makes their names and seeds."""

    number: int
    hours: float

    @property
    def name(self) -> str:
        return "soak-72h" if self.is_shipped else f"market-{self.number}"

    @property
    def is_shipped(self) -> bool:
        return self.number == 1

    @property
    def symbols(self) -> list[str]:
        if self.is_shipped:
            return ["SYNTH01USDT", "SYNTH02USDT"]
        return [f"SYNTH{self.number:03}{letter}USDT" for letter in "XY"]

    def calm(self) -> dict[str, Any]:
        """The same symbols, a tick and a few messages a second."""
        known = self.scenario()
        known["market"]["settings"] |= {"message_interval_ms": 300}
        return known | {"config": _CALM}

    def scenario(self) -> dict[str, Any]:
        symbols = {
            symbol: {"base": symbol.removesuffix("USDT"), "seed": 1000 + 2 * self.number + at}
            for at, symbol in enumerate(self.symbols)
        }
        settings = {"duration_s": self.hours * 3600 + 10}
        market = {"start_ns": START_NS, "instrument": _INSTRUMENT, "settings": settings, "symbols": symbols}
        return {
            "title": f"Market {self.number}",
            "kind": "synthetic",
            "duration": f"{self.hours:g}h",
            "seed": self.number,
            "market": market,
        }


class Desk:
    """The folder: a desk to work at, with all that the product asks for, and what came of each job."""

    def __init__(self, folder: Path, data: Path | None) -> None:
        self.folder = folder
        self.desk = folder / "desk"
        self.results = folder / "results"
        self.data = data

    def set_up(self) -> None:
        for name in ("gates", "scenarios", "experiments"):
            (self.desk / name).mkdir(parents=True, exist_ok=True)
        self.results.mkdir(exist_ok=True)
        for name in ("config.yaml", "config.soak_overrides.yaml", "gates/ab.yaml", "pyproject.toml",
                     "conftest.py", "scenarios/test_5_ab.py", "scenarios/nexo-24h.yaml"):  # fmt: skip
            shutil.copy(ROOT / name, self.desk / name)
        (self.desk / "tests").mkdir(exist_ok=True)
        (self.desk / "quiet.yaml").write_text(_QUIET)

    def put(self, market: Market, *, calm: bool = False) -> None:
        path = self.desk / "scenarios" / f"{market.name}.yaml"
        if market.is_shipped:
            shutil.copy(ROOT / "scenarios" / path.name, path)
            return
        path.write_bytes(msgspec.json.encode(market.calm() if calm else market.scenario()))

    def call(self, *words: str) -> float:
        """Run a command of the product at the desk; how long it took, in s. Its exit code says what is in the
        files that it writes.
        """
        environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}", "MMBOT_ENGINE": "compiled"}
        before = stopwatch()
        with (self.folder / "log.txt").open("a") as log:
            subprocess.run(
                [sys.executable, *words], cwd=self.desk, env=environment, check=False, stdout=log, stderr=log
            )
        return (stopwatch() - before) / SECOND

    def stage(self, plan: Plan, candidate: str, stage: str, *words: str) -> tuple[float, Path]:
        """Have a session judge a stage of a plan: how long it took, and where its artifacts are."""
        (self.desk / f"experiments/{plan.name}.b.yaml").write_text(candidate)
        (self.desk / f"experiments/{plan.name}.yaml").write_bytes(msgspec.json.encode(plan))
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        named = ["-m", "pytest", "-m", "ab", "-q", "-n", "0", "-p", "no:cacheprovider"]
        at = ["--mmgates-stage", stage] if stage == "replay" else ["--mmgates-rollout", stage]
        asked = ["--mmgates-experiment", plan.name, f"--mmgates-out={out}"]
        data = [] if self.data is None else [f"--mmgates-data={self.data}"]
        return self.call(*named, *at, *asked, *data, *words), out


def plan_of(name: str, scenario: str, clusters: Mapping[str, list[str]], seed: int, **changes: Any) -> Plan:
    """With the numbers of the shipped plan."""
    known: dict[str, Any] = {
        "name": name,
        "title": name,
        "scenario": scenario,
        "config": ["config.yaml", "config.soak_overrides.yaml", "quiet.yaml"],
        "arms": Arms([], [f"experiments/{name}.b.yaml"]),
        "clusters": dict(clusters),
        "switch": "apart",
        "block": "60m",
        "washout": "15m",
        "seed": seed,
        "stages": {
            Stage.REPLAY: StageSpec("24h", 24),
            Stage.TEN: StageSpec("24h", 8),
            Stage.FIFTY: StageSpec("24h", 24),
            Stage.HUNDRED: StageSpec("72h", 8),
        },
        "max_pairs": 336,
        "metric": "net_bps",
        "floor_bps": 0.2,
        "effect_bps": 0.3,
        "confidence": 0.975,
        "gate": "gates/ab.yaml",
    }
    return Plan(**known | changes)


def clusters_of(market: Market) -> dict[str, list[str]]:
    return {symbol.lower(): [f"bybit_linear:{symbol}"] for symbol in market.symbols}


def facts_of(plan: Plan, stage: Stage, blocks: Sequence[PlannedBlock]) -> Facts:
    """As the product makes them, but for a hash: here nobody edits a plan."""
    return Facts(
        schema=1,
        name=plan.name,
        title=plan.title,
        stage=stage.value,
        plan_hash="",
        content={},
        scenario=plan.scenario,
        seed=plan.seed,
        metric=plan.metric,
        floor_bps=plan.floor_bps,
        effect_bps=plan.effect_bps,
        confidence=plan.confidence,
        max_pairs=plan.max_pairs,
        least_pairs=plan.stages[stage].pairs,
        least_duration_ns=int(plan.stages[stage].duration_ns),
        block_ns=int(plan.block_ns),
        washout_ns=int(plan.washout_ns),
        switch=plan.switch,
        clusters=plan.clusters,
        gate=plan.gate,
        blocks=list(blocks),
    )


def unlabelled(plan: Plan, directory: Path) -> VariantRecord:
    """Block records of a run of arm A alone, whose blocks are those of the plan."""
    manifest = read_manifest(directory)
    start_ns, until_ns = manifest.started_ns, manifest.started_ns + manifest.duration_ns
    blocks = [
        PlannedBlock(cluster, at, None, "A", begin, begin + int(plan.washout_ns), begin + int(plan.block_ns))
        for cluster in plan.clusters
        for at, begin in enumerate(range(start_ns, until_ns, int(plan.block_ns)))
    ]
    record = read_variant(facts_of(plan, Stage.FIFTY, blocks), "", [Recorded(directory, None)])
    if record.void:
        raise RuntimeError(f"{directory}: {record.void}")
    return record


def labelled(plan: Plan, record: VariantRecord, stage: Stage = Stage.FIFTY) -> VariantRecord:
    """The same blocks, with arms and pairs that the plan draws."""
    schedule = Schedule(plan, stage, record.started_ns)
    blocks = []
    for block in record.blocks:
        drawn = schedule.block(block.cluster, block.index)
        blocks.append(msgspec.structs.replace(block, pair=drawn.pair, arm=drawn.arm))
    origins = [msgspec.structs.replace(one, plan_hash="", arm="AB") for one in record.origins]
    return msgspec.structs.replace(record, blocks=blocks, origins=origins)


def planted(record: VariantRecord, effect_bps: float) -> VariantRecord:
    """So much more net on every fill of arm B."""

    def more(part: Part) -> Part:
        money = effect_bps * part.notional / BPS
        return msgspec.structs.replace(part, net=part.net + money, gross=part.gross + money)

    def better(block: BlockRecord) -> BlockRecord:
        late = None if block.late is None else more(block.late)
        return msgspec.structs.replace(block, analysed=more(block.analysed), late=late)

    blocks = [better(block) if block.arm == "B" else block for block in record.blocks]
    return msgspec.structs.replace(record, blocks=blocks)


def joined(records: Sequence[VariantRecord]) -> VariantRecord:
    """Markets that were played at the same market time, as one experiment of more clusters."""
    return msgspec.structs.replace(
        records[0],
        origins=[origin for record in records for origin in record.origins],
        blocks=[block for record in records for block in record.blocks],
    )


def judged(plan: Plan, record: VariantRecord, rule: DeltaRule) -> ExperimentDecision:
    """What the product decides."""
    facts = facts_of(plan, Stage.FIFTY, [])
    return decide(facts, rule, ("synthetic", "recorded"), [record])


def safe(plan: Plan, record: VariantRecord, gate: Gate, stage: Stage) -> list[Verdict]:
    """What the product says at a stage for safety: of the net, and of slippage."""
    [slippage] = [rule for rule in gate.safety if isinstance(rule, DeltaRule)]
    log = ExperimentLog(facts_of(plan, stage, []), (record,), (), gate.accept[0], gate.evidence.source)
    found = judge_delta(gate.accept[0], log, accepts=True), judge_delta(slippage, log, accepts=False)
    return [one.verdict for one in found]


class Campaign:
    """The jobs, and what came of them."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.gate = read_gate(ROOT / "gates" / "ab.yaml")
        self.rule = self.gate.accept[0]

    def jobs(self) -> Iterator[str]:
        """So ordered that every beginning has something of each kind."""
        yield "equal-1"
        yield from (f"late-{seed}" for seed in range(1, 4))
        yield from ("equal-nexo", "replay-nexo", "better-1", "aa-1")
        for seed in range(1, HARM_SEEDS + 1):
            yield from (f"slips-{seed}", f"loses-{seed}")
        yield from (f"late-{seed}" for seed in range(4, SEEDS + 1))
        yield from (f"equal-{number}" for number in range(2, MARKETS + 1))
        yield "replay-synthetic"

    def run(self, until_s: float) -> None:
        self.desk.set_up()
        for job in self.jobs():
            path = self.desk.results / f"{job}.json"
            if stopwatch() / SECOND > until_s or path.exists():
                continue
            kind, _, of = job.partition("-")
            result = getattr(self, f"_{kind}")(of)
            path.write_bytes(msgspec.json.encode(result))

    def _equal(self, of: str) -> dict[str, Any]:
        if of == "nexo":
            scenario, clusters, words = "nexo-24h", {"nexo": ["binance_spot:NEXOUSDT"]}, ["--duration", "all"]
            words += [] if self.desk.data is None else ["--data", str(self.desk.data)]
        else:
            market = Market(int(of), HOURS)
            self.desk.put(market)
            scenario, clusters, words = market.name, clusters_of(market), []
        out = self.desk.folder / "run"
        shutil.rmtree(out, ignore_errors=True)
        files = ["--config", "config.yaml"]
        for name in ("config.soak_overrides.yaml", "quiet.yaml"):
            files += ["--config-override", name]
        took_s = self.desk.call(*_MMBOT, "run", "--scenario", scenario, *files, *words, "--out", str(out))
        plans = {"60m": plan_of("aa", scenario, clusters, 1)}
        if of == "nexo":
            plans["20m"] = plan_of("aa", scenario, clusters, 1, block="20m", washout="5m")
        records = {name: msgspec.to_builtins(unlabelled(plan, out)) for name, plan in plans.items()}
        shutil.rmtree(out)
        return {"scenario": scenario, "clusters": clusters, "took_s": took_s, "records": records}

    def _better(self, of: str) -> dict[str, Any]:
        return self._switchback(f"better-{of}", of, BETTER)

    def _aa(self, of: str) -> dict[str, Any]:
        return self._switchback(f"aa-{of}", of, "{}\n", "--mmgates-duration=all")

    def _switchback(self, name: str, of: str, candidate: str, *words: str) -> dict[str, Any]:
        """A stage of 50 %, as the product plays and judges it."""
        market = Market(int(of), HOURS)
        self.desk.put(market)
        plan = plan_of(name, market.name, clusters_of(market), int(of))
        took_s, out = self.desk.stage(plan, candidate, "50", *words)
        verdict = json.loads((out / "verdicts/ab.json").read_bytes())
        [run] = (out / f"runs/ab-{name}/live").iterdir()
        facts = read_facts(run.parents[1])
        decided = decide(
            facts, self.rule, (verdict["data_kind"],), [read_variant(facts, "", [Recorded(run, None)])]
        )
        shutil.rmtree(out)
        return {
            "took_s": took_s,
            "decision": verdict["decision"],
            "rules": verdict["rules"],
            "looks": [one.looks for one in decided.variants],
            "pair_bps": [one.deviation_bps for one in decided.variants],
        }

    def _slips(self, seed: str) -> dict[str, Any]:
        return self._harmed(f"slips-{seed}", int(seed))

    def _loses(self, seed: str) -> dict[str, Any]:
        gate = self.desk.desk / "gates/ab.yaml"
        shipped = gate.read_text()
        gate.write_text(shipped.replace("delta(slippage_bps) <= 0bps", "delta(slippage_bps) <= 1000bps"))
        try:
            return self._harmed(f"loses-{seed}", int(seed))
        finally:
            gate.write_text(shipped)

    def _harmed(self, name: str, seed: int) -> dict[str, Any]:
        """What took an arm away that does harm, after how many pairs, and when it was gone."""
        market = Market(300 + seed, HARM_HOURS)
        self.desk.put(market, calm=True)
        plan = plan_of(name, market.name, clusters_of(market), seed)
        took_s, out = self.desk.stage(plan, LOSES, "50")
        verdict = json.loads((out / "verdicts/ab.json").read_bytes())
        [run] = (out / f"runs/ab-{name}/live").iterdir()
        manifest = read_manifest(run)
        facts = read_facts(run.parents[1])
        record = read_variant(facts, "", [Recorded(run, None)])
        sums = {
            arm: added([block.analysed for block in record.blocks if block.arm == arm]) for arm in ("A", "B")
        }
        back = [
            row["ts_ns"]
            for row in _events(run)
            if row["kind"] == "course_in_force" and row["detail"]["course"] == "baseline"
        ]
        [course] = [row["ts_ns"] for row in _events(run) if _asks_for_baseline(row)] or [None]
        shutil.rmtree(out)
        return {
            "took_s": took_s,
            "status": manifest.status,
            "reason": manifest.reason,
            "rules": verdict["rules"],
            "hours": manifest.duration_ns / SECOND / 3600,
            "gone_s": (back[-1] - course) / SECOND if back and course else None,
            "net_bps": {arm: BPS * part.net / part.notional for arm, part in sums.items()},
            "pair_ended_ns": [at for at in planned_pair_ends(facts) if course is not None and at < course][
                -1:
            ],
            "rolled_back_ns": course,
        }

    def _late(self, seed: str) -> dict[str, Any]:
        """What fired, and when the candidate was gone."""
        market = Market(100 + int(seed), LATE_HOURS)
        self.desk.put(market)
        plan = plan_of(f"late-{seed}", market.name, clusters_of(market), int(seed))
        took_s, out = self.desk.stage(plan, LATE, "50", f"--mmgates-duration={LATE_HOURS:g}h")
        [run] = (out / f"runs/ab-{plan.name}/live").iterdir()
        events = _events(run)
        fired = next((record for record in read_watch(run) if record.fired), None)
        shutil.rmtree(out)
        times = {} if fired is None or fired.fired is None else _times(events, fired.fired.at_ns)
        return {"took_s": took_s, "rule": fired and fired.rule, "by": fired and fired.fired.by, **times}

    def _replay(self, of: str) -> dict[str, Any]:
        """E1: eight runs of a day and more."""
        if of == "nexo":
            plan = plan_of(
                "replay-nexo", "nexo-24h", {"nexo": ["binance_spot:NEXOUSDT"]}, 1, block="30m", washout="5m"
            )
            words, candidate = ["--mmgates-duration=all"], "spread: {base_bps: 16.0}\n"
        else:
            market = Market(1, HOURS)
            self.desk.put(market)
            plan = plan_of("replay-synthetic", market.name, clusters_of(market), 1)
            words, candidate = ["--mmgates-duration=26h"], "spread: {base_bps: 3.5}\n"
        took_s, out = self.desk.stage(plan, candidate, "replay", *words)
        verdict = json.loads((out / "verdicts/ab.json").read_bytes())
        shutil.rmtree(out)
        kept = ("verdict", "decision", "decision_reason", "rules", "void")
        return {"took_s": took_s} | {name: verdict[name] for name in kept}

    # what came of them

    def report(self, plans: int) -> Iterator[str]:
        found = {
            path.stem: json.loads(path.read_bytes()) for path in sorted(self.desk.results.glob("*.json"))
        }
        equal = {name: one for name, one in found.items() if name.startswith("equal-")}
        synthetic = [one for name, one in equal.items() if name != "equal-nexo"]
        if synthetic:
            yield from self._labels("synthetic, 60m blocks", synthetic, "60m", plans)
            yield from self._safety(synthetic, plans)
        if "equal-nexo" in equal:
            for block in ("60m", "20m"):
                yield from self._labels(f"NEXOUSDT, {block} blocks", [equal["equal-nexo"]], block, plans)
        yield from self._switchbacks(found)
        yield from _rollbacks([one for name, one in found.items() if name.startswith("late-")])
        for kind in ("slips", "loses"):
            yield from _harms(kind, [one for name, one in found.items() if name.startswith(f"{kind}-")])
        for name, one in found.items():
            if name.startswith("replay-"):
                yield f"{name}: {one['took_s']:.0f} s, {one['decision']}, {one['decision_reason']}"
                yield from _rules(one["rules"])

    def _labels(self, name: str, ran: Sequence[dict[str, Any]], block: str, plans: int) -> Iterator[str]:
        record = joined([msgspec.convert(one["records"][block], VariantRecord) for one in ran])
        clusters = {name: symbols for one in ran for name, symbols in one["clusters"].items()}
        lengths = {} if block == "60m" else {"block": "20m", "washout": "5m"}
        pairs = len(record.blocks) // 2
        fills = sum(one.analysed.fills for one in record.blocks)
        yield f"{name}: {len(ran)} runs, {pairs} pairs, {fills} fills, {plans} plans"
        for effect_bps in (0.0, 0.3, 0.4, -0.2, -0.5):
            decided = [
                judged(plan, planted(labelled(plan, record), effect_bps), self.rule)
                for plan in (plan_of("aa", "x", clusters, seed, **lengths) for seed in range(1, plans + 1))
            ]
            yield f"  {effect_bps:+.1f} bps: {_tally([one.decision for one in decided])}"
            looks = [one.variants[0].looks for one in decided if one.decision.final]
            noise = np.median([one.variants[0].deviation_bps for one in decided])
            after = f"after {np.median(looks):.0f} pairs (median)" if looks else "never"
            yield f"      decided {after}; noise of a pair {noise:.2f} bps"

    def _safety(self, ran: Sequence[dict[str, Any]], plans: int) -> Iterator[str]:
        """The same labels at the stages for safety, of 72 hours."""
        record = joined([msgspec.convert(one["records"]["60m"], VariantRecord) for one in ran])
        clusters = {name: symbols for one in ran for name, symbols in one["clusters"].items()}
        for stage in (Stage.TEN, Stage.HUNDRED):
            for effect_bps in (0.0, 0.3, -3.0):
                verdicts = [
                    safe(plan, planted(labelled(plan, record, stage), effect_bps), self.gate, stage)
                    for plan in (plan_of("aa", "x", clusters, seed) for seed in range(1, plans + 1))
                ]
                for rule, of_rule in zip(("net", "slippage"), zip(*verdicts, strict=True), strict=True):
                    if rule == "net" or not effect_bps:
                        yield f"  {stage} %, {effect_bps:+.1f} bps, {rule}: {_counted(of_rule)}"

    def _switchbacks(self, found: Mapping[str, dict[str, Any]]) -> Iterator[str]:
        for name, one in found.items():
            if name.startswith(("aa-", "better-")):
                noise = ", ".join(f"{value:.2f}" for value in one["pair_bps"])
                yield f"{name}: {one['took_s']:.0f} s, {one['decision']} after {one['looks']} pairs,"
                yield f"  noise of a pair {noise} bps"
                yield from _rules(one["rules"])


def _rules(rules: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for rule in rules:
        value = f"{rule['value']} {rule['unit']}, n {rule['n']}"
        yield f"  {rule['verdict']} {rule['rule']}: {value}; {rule['reason']}"


def _times(events: Sequence[Mapping[str, Any]], fired_ns: int | None) -> dict[str, float]:
    """From when the candidate first quoted, and from when a rule was found broken, to the rollback and to the
    baseline in force, when no order of the candidate is left.
    """
    began = [one["ts_ns"] for one in events if one["kind"] == "arm_in_force" and one["detail"]["arm"] == "B"]
    asked = [
        one["ts_ns"] for one in events if one["kind"] == "course" and one["detail"]["course"] == "baseline"
    ]
    back = [
        one["ts_ns"]
        for one in events
        if one["kind"] == "course_in_force" and one["detail"]["course"] == "baseline"
    ]
    if not (began and asked and back and fired_ns):
        return {}
    moments = {"fired": fired_ns, "rolled_back": asked[0], "gone": back[-1]}
    return {f"{name}_s": (ns - began[0]) / SECOND for name, ns in moments.items()}


def _rollbacks(late: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    gone = [one for one in late if "gone_s" in one]
    if not gone:
        return
    by = dict(Counter(one["by"] for one in gone))
    yield f"late: rolled back {_share(len(gone), len(late))}, by {by}; in s of market time"
    spans = {
        "from when the candidate quotes, which is when it is late, to the rule found broken": (
            None,
            "fired_s",
        ),
        "the same to the rollback": (None, "rolled_back_s"),
        "from the rule found broken to the rollback": ("fired_s", "rolled_back_s"),
        "from the rule found broken to the last order gone": ("fired_s", "gone_s"),
        "from the rollback to the last order gone": ("rolled_back_s", "gone_s"),
    }
    for name, (since, until) in spans.items():
        lengths = [one[until] - (0.0 if since is None else one[since]) for one in gone]
        low, middle, high = np.quantile(lengths, [0, 0.5, 1])
        yield f"  {name}: median {middle:.1f}, {low:.1f} to {high:.1f}"


def _events(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(run.glob("events_*.jsonl")) for line in path.open()]


def _asks_for_baseline(row: Mapping[str, Any]) -> bool:
    return row["kind"] == "course" and row["detail"]["course"] == "baseline"


def _harms(kind: str, found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Of arms that do harm: by what they were taken away, when, and how fast they were gone."""
    if not found:
        return
    harmed = [one for one in found if one["gone_s"] is not None]
    by = Counter(one["reason"].partition(" ")[0] for one in harmed)
    yield f"{kind}: rolled back {_share(len(harmed), len(found))}, by {dict(by)}"
    lost = [one["net_bps"]["B"] - one["net_bps"]["A"] for one in found]
    yield f"  net of B less A: {np.median(lost):+.2f} bps, {min(lost):+.2f} to {max(lost):+.2f}"
    spans = {
        "pairs until it was found": [
            int(re.findall(r"after (\d+) pairs", one["reason"])[-1]) for one in harmed
        ],
        "hours until the rollback": [one["hours"] for one in harmed],
        "s from the end of the pair to the rollback": [
            (one["rolled_back_ns"] - one["pair_ended_ns"][0]) / SECOND for one in harmed
        ],
        "s from the rollback to the last order of B gone": [one["gone_s"] for one in harmed],
    }
    for name, lengths in spans.items():
        low, middle, high = np.quantile(lengths, [0, 0.5, 1])
        yield f"  {name}: median {middle:.1f}, {low:.1f} to {high:.1f}"


def exact(hits: int, tests: int) -> tuple[float, float]:
    """95 % confidence limits of a share (Clopper, Pearson, Biometrika 1934)."""
    low = 0.0 if not hits else float(beta.ppf(0.025, hits, tests - hits + 1))
    return low, 1.0 if hits == tests else float(beta.ppf(0.975, hits + 1, tests - hits))


def _share(hits: int, tests: int) -> str:
    low, high = exact(hits, tests)
    return f"{hits} of {tests} ({low:.1%} to {high:.1%})"


def _tally(decided: Sequence[Decision]) -> str:
    """As verdicts: what is not decided is INCONCLUSIVE."""
    return _counted([Decision.INCONCLUSIVE if one is Decision.GO_ON else one for one in decided])


def _counted(words: Sequence[Decision] | Sequence[Verdict]) -> str:
    counts = Counter(map(str, words))
    return ", ".join(f"{name} {_share(count, len(words))}" for name, count in sorted(counts.items()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["run", "report"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--plans", type=int, default=200)
    asked = parser.parse_args()
    campaign = Campaign(Desk(asked.folder.resolve(), asked.data))
    if asked.what == "run":
        campaign.run(stopwatch() / SECOND + 3600 * asked.hours)
    else:
        sys.stdout.writelines(f"{line}\n" for line in campaign.report(asked.plans))


if __name__ == "__main__":
    main()
