"""Does `mmbot calibrate weights` find weights where they matter, and leave them alone where they do not?

    python -m tests.bench.weights run DIR --seeds 50           both markets; goes on where it was stopped
    python -m tests.bench.weights report DIR                   what docs/calibration.md says

Two synthetic markets, a day each, that differ in one parameter. In `regimes` an order moves the price the
further the more volatile the time is (`impact_volatility_power: 1`), so that what a fill loses grows with the
volatility score; in `plain` it does not. The bot is told the same in both: a half spread that covers what
`plain` costs and knows no score, which is wrong for the first.

A seed is the whole way: a soak with those weights, its dataset, the calibration (fitted on the first two
thirds of the day, confirmed on the last), and then old and proposed weights over a day of another seed, which
nobody has seen. Where the old weights are kept, what is in force there is the old ones: a difference of zero.

Of the means over seeds the interval is Student's t, each seed worth the same; of shares it is Clopper and
Pearson's.
"""

import argparse
import math
import resource
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from scipy.stats import beta
from scipy.stats import t as student

from mmbot.calibration.spread_need import Weights
from mmbot.ops.calibrate_weights import WeightsRequest, calibrate_weights, fills_of
from mmbot.ops.dataset import DatasetRequest, make_dataset, work_out
from mmbot.runtime.checkpoint import code_facts
from mmbot.runtime.run import EngineKind, Run, RunRequest

ROOT = Path(__file__).parents[2]
START_NS = 1_767_225_600_000_000_000
HOURS = 24
FRESH = 100_000
"""Added to a seed: the market that nobody has seen."""
MARKETS = {"regimes": 1.0, "plain": 0.0}
"""`impact_volatility_power` of each."""
WRONG = Weights(5.5, 0.0, 0.0, 0.0, 0.0)
MARKET = {
    "symbol": "bybit_linear:SYNTHUSDT",
    "duration_s": HOURS * 3_600.0 + 120.0,
    "message_interval_ms": 1_000,
    "volatility_bps_per_sqrt_min": 1.0,
    "volatility_log_sigma": 0.7,
    "volatility_half_life_s": 1_800.0,
    "trades_per_s": 0.5,
    "trade_lots_log_mean": 5.0,
    "impact_bps": 2.5,
}
INSTRUMENT = {
    "venue": "bybit_linear",
    "symbol": "SYNTHUSDT",
    "base": "SYNTH",
    "quote": "USDT",
    "tick_size": "0.01",
    "lot_size": "0.01",
    "min_notional": 5,
    "fees": {"tier": "maker 2 bps", "maker_bps": 2.0, "taker_bps": 5.5},
}
CONFIG: dict[str, dict[str, Any]] = {
    "pipeline": {"tick_interval_ms": 2_000, "deadline_ms": 4_000},
    "md_cache": {"ttl_ms": 3_000, "fresh_ms_for_pricing": 4_000},
    "spread": {**WRONG._asdict(), "max_bps": 40.0, "volatility_reference_bps": 0.9},
    "guards": {"soft_volatility_bps": 20.0, "hard_volatility_bps": 40.0},
    "emit": {"order_notional_quote": 100},
    "inventory": {"max_position_quote": 1_000},
    "trace": {"sample_rate": 0.25},
    "telemetry": {"checkpoint_interval_s": 0},
}


class Seed(msgspec.Struct, frozen=True):
    """What one seed came to. `fresh_old` and `fresh_new` are net_bps, earned and fills over the market that
    nobody has seen, where weights were proposed that came as far as the confirmation."""

    market: str
    seed: int
    fills: int
    net_bps: float
    """As recorded, over the window that was fitted."""
    kept_old: bool
    reason: str
    gain_bps2: tuple[float, float | None, float | None] | None
    """And its interval; null: without ends."""
    new: tuple[float, ...]
    confirmed: tuple[float | None, float | None, float | None] | None
    fresh_old: tuple[float, float, int] | None
    fresh_new: tuple[float, float, int] | None
    cpu_s: float
    code: str
    """Hash of the bot that did it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder with scenarios of one seed: `seen` and `fresh`."""

    folder: Path

    def write(self, market: str, seed: int) -> None:
        for name, drawn in (("seen", seed), ("fresh", seed + FRESH)):
            settings = {**MARKET, "impact_volatility_power": MARKETS[market]}
            content = {
                "title": f"{market}, seed {drawn}",
                "kind": "synthetic",
                "duration": f"{HOURS}h",
                "seed": 1,
                "market": {
                    "seed": drawn,
                    "start_ns": START_NS,
                    "instrument": INSTRUMENT,
                    "settings": settings,
                },
                "config": CONFIG,
            }
            (self.folder / f"{name}.yaml").write_bytes(msgspec.json.encode(content))

    def play(self, scenario: str, name: str, weights: Weights | None) -> Path:
        config = [ROOT / "config.yaml"]
        if weights is not None:
            config.append(self.folder / f"{name}.weights.yaml")
            config[-1].write_bytes(msgspec.json.encode({"spread": weights._asdict()}))
        run = Run(
            RunRequest(
                scenario=scenario,
                scenarios=self.folder,
                config=config,
                data=None,
                run_id=name,
                directory=self.folder / name,
                engine=EngineKind.COMPILED,
            )
        )
        for _ in run:
            pass
        return run.directory

    def earned(self, weights: Weights, name: str) -> tuple[float, float, int]:
        """net_bps, earned, and fills over the market that nobody has seen."""
        directory = self.play("fresh", name, weights)
        fills, _ = fills_of(work_out(DatasetRequest([str(directory)], self.folder / f"{name}.out")).fills)
        net = float(fills.net_bps @ fills.weight)
        return net / float(fills.weight.sum()), net / 1e4, len(fills)


def played(market: str, seed: int) -> Seed:
    began_s = _cpu_s()
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        place.write(market, seed)
        soak = place.play("seen", "soak", None)
        dataset = make_dataset(DatasetRequest([str(soak)], place.folder / "out"))
        made = calibrate_weights(
            WeightsRequest(
                dataset=dataset,
                config=[ROOT / "config.yaml"],
                scenarios=place.folder,
                data=None,
                engine=EngineKind.COMPILED,
            )
        )
        result = made.result
        gain, confirmation = result.walk.gain_bps2, result.confirmation
        return Seed(
            market=market,
            seed=seed,
            fills=result.fills,
            net_bps=result.net_bps,
            kept_old=result.kept_old,
            reason=result.reason,
            gain_bps2=gain,
            new=result.new,
            confirmed=None if confirmation is None else confirmation.net_bps,
            fresh_old=None if confirmation is None else place.earned(result.old, "old"),
            fresh_new=None if confirmation is None else place.earned(result.new, "new"),
            cpu_s=_cpu_s() - began_s,
            code=_CODE,
        )


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


_CODE = code_facts()["code"]


def run(folder: Path, seeds: int, jobs: int) -> None:
    """A file a seed; those that are there are left alone."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{market}-{seed:03d}.json" for seed in range(1, seeds + 1) for market in MARKETS]
    missing = [path for path in paths if not path.exists()]
    with ProcessPoolExecutor(jobs) as pool:
        for path in pool.map(_kept, missing):
            sys.stderr.write(f"{path.name}\n")


def _kept(path: Path) -> Path:
    market, _, seed = path.stem.partition("-")
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.encode(played(market, int(seed))))
    partial.replace(path)
    return path


def read(folder: Path) -> list[Seed]:
    found = [
        msgspec.json.decode(path.read_bytes(), type=Seed) for path in sorted(folder.glob("*-[0-9]*.json"))
    ]
    if len({one.code for one in found}) > 1:
        raise SystemExit(f"{folder}: was made by more than one version of the bot, expected one")
    return found


def report(found: Sequence[Seed]) -> Iterator[str]:
    """Markdown: a row a market."""
    head = ("market", "seeds", "kept the old", "old net bps", "in force minus old", "proposed minus old")
    head += ("earned an hour, in force minus old", "earned an hour, proposed minus old", "CPU s a seed")
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for market in MARKETS:
        of = [one for one in found if one.market == market]
        if not of:
            continue
        pairs = {one.seed: (one.fresh_old, one.fresh_new) for one in of if one.fresh_old and one.fresh_new}
        gains = {seed: after[0] - before[0] for seed, (before, after) in pairs.items()}
        earned = {seed: (after[1] - before[1]) / HOURS for seed, (before, after) in pairs.items()}
        cells = (
            market,
            str(len(of)),
            share(sum(one.kept_old for one in of), len(of)),
            mean([one.net_bps for one in of]),
            mean([0.0 if one.kept_old else gains[one.seed] for one in of]),
            f"{mean(list(gains.values()))} (of {len(gains)})",
            mean([0.0 if one.kept_old else earned[one.seed] for one in of], digits=3),
            f"{mean(list(earned.values()), digits=3)} (of {len(earned)})",
            f"{np.mean([one.cpu_s for one in of]):.0f}",
        )
        yield f"| {' | '.join(cells)} |"


def mean(values: Sequence[float], digits: int = 2) -> str:
    """With its 95 % interval."""
    if not values:
        return "none"
    centre = float(np.mean(values))
    if len(values) == 1:
        return f"{centre:+.{digits}f}"
    reach = student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    return f"{centre:+.{digits}f} ({centre - reach:+.{digits}f} to {centre + reach:+.{digits}f})"


def share(count: int, of: int) -> str:
    """With its 95 % interval (Clopper and Pearson, Biometrika 26, 1934)."""
    low = beta.ppf(0.025, count, of - count + 1) if count else 0.0
    high = beta.ppf(0.975, count + 1, of - count) if count < of else 1.0
    return f"{count} of {of} ({low:.0%} to {high:.0%})"


def main(arguments: Sequence[str]) -> None:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("run", "report"):
        command = commands.add_parser(name)
        command.add_argument("folder", type=Path)
        if name == "run":
            command.add_argument("--seeds", type=int, default=50)
            command.add_argument("--jobs", type=int, default=1, help="seeds at one time")
    asked = parser.parse_args(arguments)
    if asked.command == "run":
        run(asked.folder, asked.seeds, asked.jobs)
    sys.stdout.write("\n".join([*report(read(asked.folder)), ""]))


if __name__ == "__main__":
    main(sys.argv[1:])
