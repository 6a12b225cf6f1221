"""Folders of an experiment -> what gates judge. The same rows give the same verdict, whoever asks when."""

from collections.abc import Iterator
from pathlib import Path

from pytest_mmgates.errors import ExperimentError
from pytest_mmgates.experiment.blocks import Recorded, read_variant
from pytest_mmgates.experiment.facts import ARMS, REPLAY, Facts, read_facts
from pytest_mmgates.experiment.log import ExperimentLog
from pytest_mmgates.experiment.record import VariantRecord
from pytest_mmgates.gatefile import Gate
from pytest_mmgates.loader import PARTS, read_watch
from pytest_mmgates.watch.record import WatchRecord, merged_records

LIVE = "live"
"""Folder of the runs of a live stage, one after a restart beside another."""


def read_experiment(directory: Path, gate: Gate) -> ExperimentLog:
    """One stage. Raises ExperimentError and RunlogError for what cannot be believed."""
    if not gate.accept:
        raise ExperimentError(f"{gate.file}: has no `accept`, and judges no experiment")
    facts = read_facts(directory)
    variants = tuple(_replayed(facts, directory) if facts.stage == REPLAY else _live(facts, directory))
    watched = merged_records(list(_watched(facts, directory)))
    return ExperimentLog(facts, variants, watched, gate.accept[0], gate.evidence.source)


def _replayed(facts: Facts, directory: Path) -> Iterator[VariantRecord]:
    for name in dict.fromkeys(run.variant for run in facts.runs):
        runs = [
            Recorded(directory / PARTS / run.name, run.arm)
            for run in facts.runs
            if run.variant == name and (directory / PARTS / run.name).is_dir()
        ]
        if len(runs) == len(ARMS):
            yield read_variant(facts, name, runs)


def _live(facts: Facts, directory: Path) -> Iterator[VariantRecord]:
    runs = [Recorded(path.parent, None) for path in sorted(directory.glob(f"{LIVE}/*/manifest.json"))]
    if runs:
        yield read_variant(facts, "", runs)


def _watched(facts: Facts, directory: Path) -> Iterator[tuple[str, tuple[WatchRecord, ...]]]:
    if facts.stage == REPLAY:
        folders = [directory / PARTS / run.name for run in facts.runs if run.arm == "B"]
    else:
        folders = [path.parent for path in sorted(directory.glob(f"{LIVE}/*/manifest.json"))]
    yield from ((folder.name, read_watch(folder)) for folder in folders)
