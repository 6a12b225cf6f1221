"""Is the workflow's candidate truly better on `demo-14d`, or only on the fourteen days that are committed?

    mmbot all --virtual
    python -m tests.bench.workflow_market run DIR
    python -m tests.bench.workflow_market report DIR                what docs/workflow.md says

A seed is a day of the same market that nobody has seen: both symbols drawn anew, played with the baseline
and with the candidate, weights and nudge, as `mmbot all` calibrated it once. Net of a day is that of all its
fills, a ratio of sums as in an A/B. Each seed is worth the same; the interval is Student's t.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from tests.bench.weights import mean

from mmbot.config.strict_yaml import load
from mmbot.ops.calibrate_weights import fills_of
from mmbot.ops.dataset import DatasetRequest, work_out
from mmbot.ops.walk import CONFIG, TEMPLATE
from mmbot.runtime.run import EngineKind, Run, RunRequest

ROOT = Path(__file__).parents[2]
SCENARIO = "demo-14d"
OVERLAY = ROOT / f"artifacts/virtual/{SCENARIO}/edge/calibrated_weights.yaml"
HOURS = 24
FRESH = 100_000
"""Added to a seed: no scenario has it."""

ROWS = {"net_bps": "net, bps a fill", "earned": "earned a day, USDT", "fills": "fills a day"}


class Arm(msgspec.Struct, frozen=True):
    net_bps: float
    earned: float
    fills: int


class Day(msgspec.Struct, frozen=True):
    seed: int
    overlay: str
    arms: dict[str, Arm]


def scenario_of(seed: int, folder: Path) -> None:
    """A day of the market, with other draws."""
    content: dict[str, Any] = load(ROOT / f"scenarios/{SCENARIO}.yaml").data
    market = content["market"]
    market["settings"]["duration_s"] = HOURS * 3_600 + 120
    for number, own in enumerate(market["symbols"].values()):
        own["seed"] = FRESH + 2 * seed + number
    del content["stretches"]
    content |= {"duration": f"{HOURS}h", "title": f"seed {seed}"}
    (folder / "day.yaml").write_bytes(msgspec.json.encode(content))


def played(seed: int, overlay: Path) -> Day:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenario_of(seed, folder)
        nudge = [ROOT / file for file in load(ROOT / TEMPLATE).data["arms"]["B"][1:]]
        arms = {"A": [], "B": [overlay, *nudge]}
        return Day(seed, overlay.read_text(), {arm: _arm(folder, arm, files) for arm, files in arms.items()})


def _arm(folder: Path, arm: str, files: Sequence[Path]) -> Arm:
    run = Run(
        RunRequest(
            scenario="day",
            scenarios=folder,
            config=[*(ROOT / file for file in CONFIG), *files],
            data=None,
            run_id=arm,
            directory=folder / arm,
            arm=arm,
            engine=EngineKind.COMPILED,
        )
    )
    for _ in run:
        pass
    fills, _ = fills_of(work_out(DatasetRequest([str(run.directory)], folder / f"{arm}.out")).fills)
    net = float(fills.net_bps @ fills.weight)
    return Arm(net / float(fills.weight.sum()), net / 1e4, len(fills))


def run(folder: Path, overlay: Path, seeds: int) -> None:
    """A file a seed; those that are there are left alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(1, seeds + 1):
        path = folder / f"{seed:03d}.json"
        if not path.exists():
            path.write_bytes(msgspec.json.encode(played(seed, overlay)))
            sys.stderr.write(f"{path.name}\n")


def report(days: Sequence[Day]) -> Iterator[str]:
    """Markdown."""
    if len({day.overlay for day in days}) != 1:
        raise SystemExit("days were played with more than one overlay, expected one")
    arms = {arm: [day.arms[arm] for day in days] for arm in "AB"}
    pairs = list(zip(arms["A"], arms["B"], strict=True))
    yield "| | A | B | B less A |"
    yield "|---|---|---|---|"
    for title, field in (
        ("net, bps a fill", "net_bps"),
        ("earned a day, USDT", "earned"),
        ("fills a day", "fills"),
    ):
        cells = [mean([getattr(one, field) for one in arms[arm]]) for arm in "AB"]
        cells.append(mean([getattr(b, field) - getattr(a, field) for a, b in pairs]))
        yield f"| {title} | {' | '.join(cells)} |"
    better = sum(b.net_bps - a.net_bps > 0.2 for a, b in pairs)
    yield f"\nBetter by more than 0.2 bps in {better} of {len(days)} days."


def main(arguments: Sequence[str]) -> None:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("run", "report"):
        command = commands.add_parser(name)
        command.add_argument("folder", type=Path)
        if name == "run":
            command.add_argument("--overlay", type=Path, default=OVERLAY)
            command.add_argument("--seeds", type=int, default=10)
    asked = parser.parse_args(arguments)
    if asked.command == "run":
        run(asked.folder, asked.overlay, asked.seeds)
    days = [msgspec.json.decode(path.read_bytes(), type=Day) for path in sorted(asked.folder.glob("*.json"))]
    sys.stdout.write("\n".join([*report(days), ""]))


if __name__ == "__main__":
    main(sys.argv[1:])
