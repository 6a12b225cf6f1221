"""A run directory as a RunLog, or refused.

Decided: rows are read once, by the process that played them, in bounded memory (`feeds`, `tally`); what they
add up to is kept beside them in `tally.json`, from which any other process of the session takes it. Beyond
what `feeds` checks, there must be as many ticks and fills as the manifest counted, so that a file cut at the
end of a line is noticed too. A run in parts is the tallies of its parts, merged in their order.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from pathlib import Path

import msgspec

from pytest_mmgates.baseline.record import ComparisonRecord, decoded_comparison, encoded_comparison
from pytest_mmgates.errors import RunlogError
from pytest_mmgates.feeds import Feeds
from pytest_mmgates.outages import Outage
from pytest_mmgates.report.files import write_atomically
from pytest_mmgates.rows import ELSEWHERE, Manifest, read_manifest
from pytest_mmgates.runlog import RunLog
from pytest_mmgates.tally import Tally, merged
from pytest_mmgates.tally.fold import tally_of
from pytest_mmgates.tally.tally import decoded, encoded
from pytest_mmgates.watch.record import WatchRecord, decoded_records, encoded_records, merged_records

PARTS = "parts"
_TALLY = "tally.json"
_WATCH = "watch.json"
SUMMARY = ("manifest.json", _WATCH, _TALLY)
"""What a verdict needs of a run that was played. The tally is kept last: it says that the rest is there."""
_COMPARISON = "comparison.json"


def load(directory: Path, *, run_id: str | None = None) -> RunLog:
    """Read the rows of a run, or raise RunlogError. `run_id`: the run that is expected there."""
    return _load(directory, run_id, _read_rows)


def load_tallied(directory: Path, *, run_id: str) -> RunLog:
    """The same from what `keep_tally` kept."""
    return _load(directory, run_id, _read_tally)


def keep_tally(run: RunLog) -> None:
    write_atomically({run.directory / _TALLY: encoded(run.tally).decode()})


def keep_watch(directory: Path, records: Sequence[WatchRecord]) -> None:
    """Keep what a watch saw beside the rows that it saw."""
    write_atomically({directory / _WATCH: encoded_records(records)})


def keep_summary(directory: Path, files: Mapping[str, str], rows: str) -> None:
    """Keep what a run came to that was played elsewhere, and where its rows are."""
    directory.mkdir(parents=True, exist_ok=True)
    write_atomically({directory / ELSEWHERE: rows + "\n"})
    write_atomically({directory / name: files[name] for name in SUMMARY})


def keep_comparison(directory: Path, record: ComparisonRecord) -> None:
    """Keep what a run came to beside the locked baseline."""
    write_atomically({directory / _COMPARISON: encoded_comparison(record)})


def is_tallied(directory: Path) -> bool:
    return (directory / _TALLY).is_file()


def _load(directory: Path, run_id: str | None, read: Callable[[Path, Manifest], Tally]) -> RunLog:
    manifest = read_manifest(directory)
    if run_id is not None and manifest.run_id != run_id:
        raise RunlogError(f"{directory}: holds run {manifest.run_id}, expected {run_id}")
    if not manifest.parts:
        watched, comparison = read_watch(directory), _read_comparison(directory)
        return RunLog(directory, manifest, read(directory, manifest), (), watched, comparison)
    parts = tuple(_load(directory / PARTS / entry.name, manifest.run_id, read) for entry in manifest.parts)
    for entry, part in zip(manifest.parts, parts, strict=True):
        if entry.run_digest != part.manifest.run_digest:
            raise RunlogError(
                f"{part.directory}: holds run digest {part.manifest.run_digest}, expected {entry.run_digest}"
            )
    watched = merged_records([(part.directory.name, part.watched) for part in parts])
    return RunLog(directory, manifest, reduce(merged, (part.tally for part in parts)), parts, watched)


def _read_rows(directory: Path, manifest: Manifest) -> Tally:
    feeds = Feeds(directory, manifest)
    _check_outages(directory, manifest, feeds.outages())
    tally = tally_of(feeds, manifest)
    symbols = tally.symbols.values()
    found = {"ticks": sum(one.ticks for one in symbols), "fills": sum(one.fills for one in symbols)}
    for name, count in found.items():
        counted = manifest.counts.get(name)
        if manifest.status == "complete" and counted != count:
            raise RunlogError(f"{directory}: manifest.json counts {counted} {name}, the files hold {count}")
    return tally


def _check_outages(directory: Path, manifest: Manifest, told: Sequence[Outage]) -> None:
    """A time that nobody played is never evidence: manifest and rows tell of the same ones."""
    told_texts, texts = [str(one) for one in told], [str(one) for one in manifest.outages]
    if tuple(told) != manifest.outages:
        raise RunlogError(
            f"{directory}: manifest.json has outages {', '.join(texts) or 'none'}, "
            f"the events {', '.join(told_texts) or 'none'}"
        )
    silent = [resume.first_tick_ns for resume in manifest.resumes if resume.outage_from_ns is None]
    if manifest.clock == "wall" and silent:
        raise RunlogError(
            f"{directory}: resumed on the wall clock at {silent[0]}, expected an outage before it: no market "
            "waits"
        )


def _read_tally(directory: Path, _manifest: Manifest) -> Tally:
    path = directory / _TALLY
    try:
        return decoded(path.read_bytes())
    except OSError as error:
        raise RunlogError(f"{path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise RunlogError(f"{path}: {error}") from error


def read_watch(directory: Path) -> tuple[WatchRecord, ...]:
    """What stop rules and warnings came to; nothing where a run was not watched."""
    path = directory / _WATCH
    try:
        return decoded_records(path.read_bytes()) if path.is_file() else ()
    except (OSError, msgspec.MsgspecError) as error:
        raise RunlogError(f"{path}: {error}") from error


def _read_comparison(directory: Path) -> ComparisonRecord | None:
    path = directory / _COMPARISON
    try:
        return decoded_comparison(path.read_bytes()) if path.is_file() else None
    except (OSError, msgspec.MsgspecError) as error:
        raise RunlogError(f"{path}: {error}") from error
