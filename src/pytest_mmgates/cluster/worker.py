"""A shard, played on a worker."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from pytest_mmgates.cluster import places
from pytest_mmgates.cluster.captures import data_of_worker
from pytest_mmgates.cluster.shard import Shard, Summary
from pytest_mmgates.experiment.making import watching
from pytest_mmgates.gatefile import Gate, read_gate
from pytest_mmgates.loader import SUMMARY
from pytest_mmgates.playing import HaltNotes, WatchJudge, play
from pytest_mmgates.rows import read_markets
from pytest_mmgates.watch.watch import Watch


def play_shard(payload: dict[str, Any]) -> dict[str, Any]:
    """Play a part and summarise it. Raises what playing it raises."""
    shard = msgspec.convert(payload, Shard)
    with TemporaryDirectory(prefix="mmgates-shard-") as scratch:
        summary = _played(shard, Path(scratch))
    built_in: dict[str, Any] = msgspec.to_builtins(summary)
    return built_in


def _played(shard: Shard, scratch: Path) -> Summary:
    run_dir = (scratch / "parts" if shard.directory is None else Path(shard.directory)) / shard.part
    request = {
        **shard.request,
        "run_dir": str(run_dir),
        "running_dir": str(scratch / "running"),
        "config": _written(shard.config, scratch / "config"),
        "data_dir": data_of_worker(shard.request["data_dir"], shard.captures),
    }
    said: list[str] = []
    gate = _gate(shard)
    stop, warn = (gate.stop, gate.warn) if gate else ((), ())
    watch = Watch(stop, warn, lambda: read_markets(run_dir), said.append, None)
    judge = WatchJudge(gate, watch, HaltNotes(run_dir.parent, shard.part))
    play(shard.sut, request, watch, judge, resume=shard.resume)
    return Summary(
        files={name: (run_dir / name).read_text(encoding="utf-8") for name in SUMMARY},
        said=said,
        halted=watch.halt_reason,
        rows=None if shard.place is None else places.put(run_dir, f"{shard.place}/{shard.part}"),
    )


def _gate(shard: Shard) -> Gate | None:
    if shard.gate is None:
        return None
    gate = read_gate(Path(shard.gate), shown_as=shard.gate)
    return watching(gate) if shard.candidate else gate


def _written(config: list[tuple[str, str]], folder: Path) -> list[str]:
    """The files of a configuration, each in a folder of its own: two may have one name."""
    paths = [folder / str(number) / name for number, (name, _) in enumerate(config)]
    for path, (_, text) in zip(paths, config, strict=True):
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    return [str(path) for path in paths]
