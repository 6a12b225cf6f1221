"""How often the latency gate cries wolf, and how often it misses: gates run for real, one after the other.

    python -m tests.bench.perf_campaign run FOLDER [--hours H] [--seconds S]
    python -m tests.bench.perf_campaign report FOLDER
    python -m tests.bench.perf_campaign resample FOLDER [--gates N]
    python -m tests.bench.perf_campaign count FOLDER

`run` goes through a fixed plan (identical code, planted slowdowns, tail-only ones, one stage faster and
another slower), every other gate under a load of its own, and adds a line to FOLDER/gates.jsonl and a file of
raw rounds for each that is finished; started again, it goes on with the next. The code that is measured is
copied into FOLDER at the first start. On a machine where others work, `--seconds` gives a gate more time than
the usual 110 s, so that it ends when it is decided; how many needed more is counted. `report` counts;
`resample` draws gates from the recorded rounds of identical code, with the candidate's costs multiplied, to
estimate the same rates at exact sizes. `count` counts instructions instead: of the same code twice, of a
copy of it elsewhere, and of copies with slowdowns of +1, +3 and +5 % of their times planted in every stage.
"""

import argparse
import functools
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tests.bench.plants import LONG, STAGES, copied, plant, plant_tail

from mmbot.sut import open_tape
from pytest_mmgates.perflab import TOTAL, Code, Comparison, Gate, compare, costs
from pytest_mmgates.perflab.decide import MOST_ROUNDS
from pytest_mmgates.perflab.instructions import changes, count_instructions
from pytest_mmgates.perflab.rounds import DOOR, Lanes, Pairs, Round, cores, now_s

ROOT = Path(__file__).parents[2]
TAPE: Mapping[str, Any] = {DOOR: "mmbot.sut:open_tape", "scenario": "btc-like"}
LIMITS = {**dict.fromkeys(STAGES, 0.03), "tick_total": 0.10}
BUDGET_S = 110.0
KINDS = {"same": 60, "+3": 40, "+1": 10, "+5": 10, "+10": 10, "tail+10": 6, "tail+5": 6, "mixed": 6}
"""Gates of each kind."""
_COUNTED_PERCENT = (0, 1, 3, 5)
_CALIBRATION_ROUNDS = 12
_CALIBRATION = {**dict.fromkeys(STAGES, 40.0), "fetch_md": 400.0, "emit": 400.0}
"""What is planted to learn what a plant costs."""
_CALL_NS = 40.0
"""About what a sum over nothing costs; what a plant really costs is measured."""
_DEAREST = 0.90
_LOADS = (
    "while True: pass",
    "import numpy as np\na = np.ones(4_000_000)\nwhile True: a += 1.0",
)


@dataclass(frozen=True, slots=True)
class Planned:
    """One gate: what is planted on either side (stage -> ratio), and whether it makes a load of its own."""

    number: int
    kind: str
    baseline: Mapping[str, float]
    candidate: Mapping[str, float]
    loaded: bool


def plan() -> list[Planned]:
    """All gates, so mixed that any beginning of the list has its share of each kind."""
    order = sorted((index / count, kind) for kind, count in KINDS.items() for index in range(1, count + 1))
    return [_planned(number, kind) for number, (_, kind) in enumerate(order)]


def _planned(number: int, kind: str) -> Planned:
    draw = np.random.default_rng((5, number))
    baseline: dict[str, float] = {}
    candidate: dict[str, float] = {}
    if kind == "mixed":
        faster, slower = draw.permutation(STAGES)[:2]
        baseline, candidate = {str(faster): 0.02}, {str(slower): 0.04}
    elif kind.startswith("tail"):
        candidate = {str(draw.choice(LONG)): float(kind[5:]) / 100}
    elif kind != "same":
        candidate = {str(stage): float(kind) / 100 for stage in draw.permutation(STAGES)[:3]}
    return Planned(number, kind, baseline, candidate, loaded=bool(number % 2))


class Campaign:
    """The folder and what is in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = folder / "gates.jsonl"
        self._calibration = folder / "calibration.json"

    def finished(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()] if self._log.exists() else []

    def rounds(self, gate: Mapping[str, Any]) -> Iterator[Round]:
        """The raw rounds of a finished gate."""
        with np.load(self.folder / gate["rounds_file"]) as held:
            facts = json.loads(str(held["facts"]))
            for a, b, fact in zip(held["baseline"], held["candidate"], facts, strict=True):
                yield Round(baseline=a.astype(float), candidate=b.astype(float), **fact)

    def run(self, hours: float, budget_s: float) -> None:
        """Go on with the plan."""
        self.folder.mkdir(parents=True, exist_ok=True)
        until_s = now_s() + hours * 3600
        self._base()
        calibrated = self._calibrated()
        done = {gate["number"] for gate in self.finished()}
        for planned in plan():
            if planned.number not in done and now_s() < until_s:
                self._play(planned, calibrated, budget_s)

    def counted(self) -> Iterator[str]:
        """By what is planted: what instructions say of each stage, and the seconds it took to count them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        python = Path(sys.executable)
        codes = {"again": Code("again", self._base(), python)}
        calibrated = self._calibrated()
        for percent in _COUNTED_PERCENT:
            planted = dict.fromkeys(STAGES, percent / 100) if percent else {}
            name = f"counted-at-{percent}-percent-more"
            codes[f"{percent:+} %"] = self._code(name, planted, "counted", calibrated)
        base = count_instructions(Code("base", self._base(), python), TAPE)
        yield f"{'base':8} {base.seconds:.0f} s, load {os.getloadavg()[0]:.1f}"
        for label, code in codes.items():
            found = count_instructions(code, TAPE)
            told = (
                f"{stage} {line:+.2%} (tail {tail:+.2%})"
                for stage in base.counts
                for line, tail in [changes(base.counts[stage], found.counts[stage])]
            )
            yield f"{label:8} {found.seconds:.0f} s: {', '.join(told)}"

    def _base(self) -> Path:
        base = self.folder / "code" / "base"
        return base if base.exists() else copied(ROOT, base)

    def _code(
        self, name: str, planted: Mapping[str, float], kind: str, calibrated: Mapping[str, Any]
    ) -> Code:
        root = self.folder / "code" / name
        if not root.exists():
            copied(self._base(), root)
            for stage, ratio in planted.items():
                cost = calibrated[stage]
                if kind.startswith("tail"):
                    zeros = (ratio * cost["dear_ns"] - _CALL_NS) / cost["unit_ns"]
                    plant_tail(root, stage, cost["dear_ticks_ns"], round(zeros))
                else:
                    call_ns = _CALL_NS if stage in LONG else 0.0
                    plant(root, stage, (ratio * cost["median_ns"] - call_ns) / cost["unit_ns"])
        return Code(name, root, Path(sys.executable))

    def _calibrated(self) -> dict[str, Any]:
        """By stage: what a unit of a plant costs, and what its ticks cost; of the dearest ones, when too."""
        if self._calibration.exists():
            return json.loads(self._calibration.read_text())
        dense = self.folder / "code" / "dense"
        if not dense.exists():
            copied(self._base(), dense)
            for stage in STAGES:
                plant(dense, stage, _CALIBRATION[stage])
        python = Path(sys.executable)
        pairs = Pairs(Code("base", self._base(), python), Code("dense", dense, python), TAPE, 1)
        with Lanes(pairs, cores(), None, _CALIBRATION_ROUNDS) as playing:
            rounds = list(playing.rounds())
        os.chdir(self._base())
        tape = open_tape({key: value for key, value in TAPE.items() if key != DOOR})
        times_ns = np.array(tape._now_ns[-tape.ticks :])
        found: dict[str, Any] = {}
        for column, stage in enumerate(STAGES):
            a, b = costs(rounds, column)
            median_ns = float(np.median(a.min(axis=0)))
            added_ns = float(np.median(b.min(axis=0) - a.min(axis=0)))
            call_ns = _CALL_NS if stage in LONG else 0.0
            least = a.min(axis=0)
            dear = least >= np.quantile(least, _DEAREST)
            found[stage] = {
                "median_ns": median_ns,
                "unit_ns": (added_ns - call_ns) / _CALIBRATION[stage],
                "dear_ns": float(least[dear].mean()),
                "dear_ticks_ns": times_ns[dear].tolist(),
            }
        self._calibration.write_text(json.dumps(found))
        return found

    def _play(self, planned: Planned, calibrated: Mapping[str, Any], budget_s: float) -> None:
        name = f"{planned.number:03}"
        baseline = self._code(f"{name}a", planned.baseline, planned.kind, calibrated)
        candidate = self._code(f"{name}b", planned.candidate, planned.kind, calibrated)
        rounds: list[Round] = []
        before = os.getloadavg()[0]
        with _load(wanted=planned.loaded):
            found = compare(
                baseline, candidate, TAPE, limits=LIMITS, budget_s=budget_s, seed=planned.number,
                record=rounds.append,
            )  # fmt: skip
        file = f"{name}.npz"
        facts = [
            {key: getattr(one, key) for key in Round.__slots__ if key not in ("baseline", "candidate")}
            for one in rounds
        ]
        np.savez_compressed(
            self.folder / file,
            baseline=np.array([one.baseline for one in rounds], np.float32),
            candidate=np.array([one.candidate for one in rounds], np.float32),
            facts=json.dumps(facts),
        )
        line = {
            "number": planned.number,
            "kind": planned.kind,
            "planted": {"baseline": dict(planned.baseline), "candidate": dict(planned.candidate)},
            "loaded": planned.loaded,
            "load_before": before,
            "rounds_file": file,
            **_told(found),
        }
        with self._log.open("a") as log:
            log.write(json.dumps(line) + "\n")


def _told(found: Comparison) -> dict[str, Any]:
    return {
        "outcome": found.outcome,
        "seconds": found.seconds,
        "rounds": found.rounds,
        "load": found.load,
        "stages": {
            one.stage: [one.outcome, one.change, one.low, one.high, one.tail, one.rounds]
            for one in found.stages
        },
    }


@contextmanager
def _load(*, wanted: bool) -> Iterator[None]:
    """A busy loop and a hog of memory bandwidth, wherever the scheduler puts them."""
    hogs = [subprocess.Popen([sys.executable, "-c", code]) for code in _LOADS] if wanted else []
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


def wilson(hits: int, tests: int) -> tuple[float, float]:
    """95 % confidence limits of a share."""
    if not tests:
        return 0.0, 1.0
    z = 1.96
    share, scale = hits / tests, 1 + z * z / tests
    centre = (share + z * z / (2 * tests)) / scale
    reach = z * np.sqrt(share * (1 - share) / tests + z * z / (4 * tests * tests)) / scale
    return max(0.0, float(centre - reach)), min(1.0, float(centre + reach))


def _tally(outcomes: Sequence[str]) -> str:
    """How many were what; of FAIL the share's limits too."""
    failed, total = outcomes.count("FAIL"), len(outcomes)
    low, high = wilson(failed, total)
    passed, left = outcomes.count("PASS"), outcomes.count("INCONCLUSIVE")
    return f"FAIL {failed}/{total} [{low:.1%}, {high:.1%}] PASS {passed} INCONCLUSIVE {left}"


def report(campaign: Campaign) -> Iterator[str]:
    """Gates by kind and load, then stage tests by what was planted in the stage."""
    gates = campaign.finished()
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for gate in gates:
        groups[f"{gate['kind']}{', loaded' if gate['loaded'] else ''}"].append(gate)
    for label, group in sorted(groups.items()):
        seconds, loads = [gate["seconds"] for gate in group], [gate["load"] for gate in group]
        yield f"{label:14} gates {_tally([gate['outcome'] for gate in group])}"
        late = sum(one > BUDGET_S for one in seconds)
        took = f"{np.mean(seconds):.0f} s ({max(seconds):.0f}), {late} over {BUDGET_S:.0f} s"
        yield f"{'':14} {took}, load {min(loads):.1f} to {max(loads):.1f}"
    for label, by_stage in _stage_tests(gates).items():
        yield f"\nstage tests, {label}"
        for stage, found in by_stage.items():
            changes = np.array([one[1] for one in found if np.isfinite(one[1])])
            worst = changes[np.argmax(np.abs(changes))]
            yield f"  {stage:12} {_tally([one[0] for one in found])}"
            yield f"  {'':12} found {changes.mean():+.2%} sd {changes.std():.2%} worst {worst:+.2%}"
        yield f"  {'all':12} {_tally([one[0] for found in by_stage.values() for one in found])}"


def _stage_tests(gates: Sequence[dict[str, Any]]) -> dict[str, dict[str, list[Any]]]:
    """What was planted -> stage -> tests."""
    tests: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for gate in gates:
        planted = gate["planted"]
        for stage in (*STAGES, "tick_total"):
            if gate["kind"] == "same":
                label = "same"
            elif stage in planted["candidate"]:
                label = gate["kind"]
            else:
                label = "faster" if stage in planted["baseline"] else "others of planted gates"
            tests[label][stage].append(gate["stages"][stage])
    return tests


def resample(campaign: Campaign, gates: int) -> Iterator[str]:
    """Gates of random rounds of identical code, in random order with random side labels, the candidate's
    costs multiplied: at all ticks, or at the dearest tenth of each stage's alone.
    """
    pool = [one for gate in campaign.finished() if gate["kind"] == "same" for one in campaign.rounds(gate)]
    yield f"{len(pool)} rounds of identical code, {gates} gates a line"
    everywhere = np.ones_like(pool[0].baseline, dtype=np.bool_)
    yield from _resampled(pool, everywhere, "all ticks", (0.0, 0.01, 0.02, 0.03, 0.05, 0.10), gates)
    yield from _resampled(pool, _dear(pool), "dearest tenth", (0.03, 0.05, 0.10), gates)


def _resampled(
    pool: Sequence[Round], ticks: np.ndarray, where: str, ratios: Sequence[float], gates: int
) -> Iterator[str]:
    """`ticks`: what is multiplied, shape [ticks, stages]."""
    rng = np.random.default_rng(3)
    for ratio in ratios:
        slowed = 1.0 + ratio * ticks
        slowed[:, pool[0].stages.index(TOTAL)] = 1.0
        found = [_drawn(pool, slowed, rng) for _ in range(gates)]
        whole = ["FAIL" if any(one.outcome == "FAIL" for one in verdicts) else "" for verdicts in found]
        used = np.mean([max(one.rounds for one in verdicts) for verdicts in found])
        yield f"{ratio:+.0%} at {where}: gates FAIL {whole.count('FAIL')}/{gates}, {used:.1f} rounds used"
        for stage in STAGES:
            outcomes = [one.outcome for verdicts in found for one in verdicts if one.stage == stage]
            yield f"    {stage:12} {_tally(outcomes)}"


def _dear(pool: Sequence[Round]) -> np.ndarray:
    """Which ticks are a stage's dearest tenth, shape [ticks, stages]."""
    least = np.min([one.baseline for one in pool], axis=0)
    return least >= np.quantile(least, _DEAREST, axis=0)


def _drawn(pool: Sequence[Round], slowed: np.ndarray, rng: np.random.Generator) -> Any:
    gate = Gate(pool[0].stages, LIMITS, int(rng.integers(1 << 30)))
    for index in rng.permutation(len(pool))[:MOST_ROUNDS]:
        one = pool[index]
        a, b = (one.baseline, one.candidate) if rng.integers(2) else (one.candidate, one.baseline)
        if gate.add(replace(one, baseline=a, candidate=b * slowed)):
            break
    return gate.verdicts()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("run", "report", "resample", "count"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hours", type=float, default=12.0)
    parser.add_argument("--gates", type=int, default=100, help="of a resampled line")
    parser.add_argument("--seconds", type=float, default=BUDGET_S)
    asked = parser.parse_args()
    campaign = Campaign(asked.folder.resolve())
    if asked.what == "run":
        campaign.run(asked.hours, asked.seconds)
        return
    said = {
        "report": report,
        "resample": functools.partial(resample, gates=asked.gates),
        "count": Campaign.counted,
    }
    for line in said[asked.what](campaign):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
