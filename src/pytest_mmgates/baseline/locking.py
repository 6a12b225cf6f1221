"""How a baseline is locked and unlocked.

Decided: what is locked is judged again from the rows of its shadow run, never taken from a verdict file; the
run must be of the commit that is checked out, without uncommitted changes, so that the archive is the code
that was judged. A synthetic market makes a `pull-request` baseline. A recorded or live one makes a `release`
baseline, which needs an accepted A/B, or a reason why there is none; the reason stays in the file. A lock is
never replaced: it is unlocked first, with a reason, and that is a line of its history.
"""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from pytest_mmgates.baseline.edits import gate_files
from pytest_mmgates.baseline.latency import code
from pytest_mmgates.baseline.lockfile import (
    BASELINES,
    SCHEMA,
    AcceptedProof,
    Event,
    InstructionProfile,
    Kind,
    Lock,
    Market,
    Source,
    encoded_lock,
    lock_path,
    read_lock,
)
from pytest_mmgates.baseline.source import archive, changed_paths, compressed, head_of, sha256
from pytest_mmgates.errors import BaselineError, RunlogError
from pytest_mmgates.gatefile import Gate
from pytest_mmgates.judge import GateVerdict, judge
from pytest_mmgates.loader import load
from pytest_mmgates.options import Options
from pytest_mmgates.perflab import PerfError, prove
from pytest_mmgates.perflab.instructions import count_instructions
from pytest_mmgates.perflab.stored import fingerprint
from pytest_mmgates.report.budgets import stage_budgets
from pytest_mmgates.report.files import pages, write_atomically
from pytest_mmgates.report.lock_report import gates_status, lock_page, lock_report
from pytest_mmgates.report.result import RunResult
from pytest_mmgates.runlog import RunLog
from pytest_mmgates.verdict import Verdict

_PROOF_ROUNDS = 16


def lock_baseline(options: Options, shadow: Gate, ci: Gate) -> list[Path]:
    """Lock the first selected scenario; the files written. Raises BaselineError and writes nothing."""
    name = options.selected[0]
    path = lock_path(options.gates_dir, name)
    before = _unlocked(options, path)
    run = _shadow_run(options, name)
    verdict = _passed(shadow, run)
    kind: Kind = "pull-request" if run.data_kind == "synthetic" else "release"
    without_ab = _acceptance(options, kind)
    source, tar = _source(options, name, run)
    tape, proof, absent_why = _proof(options, name)
    instructions, uncounted_why = _instructions(options, tape)
    budgets = stage_budgets(RunResult("shadow", name, name, "", run, None, [verdict]))
    lock = Lock(
        schema=SCHEMA,
        name=name,
        kind=kind,
        status="locked",
        source=source,
        market=_market(options, run, budgets),
        config_files=tuple(options.shown(file) for file in options.config_of("shadow")),
        config_sha256=run.manifest.config_sha256,
        run_digest=_run_digest(run),
        gates=gate_files(options.gates_dir),
        stages=budgets["stages"],
        tick_total=budgets["tick_total"],
        md_cache=budgets["md_cache"],
        machine=dict(run.manifest.host),
        tape=tape,
        proof=proof,
        proof_absent=absent_why,
        instructions=instructions,
        instructions_absent=uncounted_why,
        without_ab=without_ab,
        recipe=_recipe(options, name, source, without_ab),
        history=(*_history(before), _event("lock", source.commit, without_ab, before)),
    )
    return _write(options, path, lock, ci, compressed(tar))


def unlock_baseline(path: Path, reason: str, commit: str) -> None:
    """Mark a lock as unlocked, with its reason. Raises BaselineError for one that is not locked."""
    lock = read_lock(path, shown_as=str(path))
    if lock.status != "locked":
        raise BaselineError(f"{path}: is unlocked already: {lock.history[-1].reason}")
    if not reason.strip():
        raise BaselineError("--reason: found nothing, expected why the baseline is unlocked")
    history = (*lock.history, _event("unlock", commit, reason, lock))
    write_atomically({path: encoded_lock(msgspec.structs.replace(lock, status="unlocked", history=history))})


def _unlocked(options: Options, path: Path) -> Lock | None:
    if not path.is_file():
        return None
    lock = read_lock(path, shown_as=options.shown(path))
    if lock.status == "locked":
        raise BaselineError(
            f"{options.shown(path)}: is locked at {lock.commit[:12]}; first `mmgates baseline unlock`"
        )
    return lock


def _shadow_run(options: Options, name: str) -> RunLog:
    directory = options.out_dir / "runs" / f"shadow-{name}"
    try:
        return load(directory)
    except RunlogError as error:
        raise BaselineError(f"no shadow run to lock: {error}: `{options.rerun('shadow', name)}`") from error


def _passed(gate: Gate, run: RunLog) -> GateVerdict:
    verdict = judge(gate, run)
    if verdict.verdict is not Verdict.PASS:
        red = [f"{rule.rule} is {rule.verdict}" for rule in verdict.worst_first if rule.verdict != "PASS"]
        raise BaselineError(f"{run.directory}: only a PASS can be locked: {'; '.join(red)}")
    return verdict


def _acceptance(options: Options, kind: Kind) -> str | None:
    """Why a release baseline has no A/B behind it; None where it has one, or needs none."""
    if kind == "pull-request":
        if options.without_ab is not None:
            raise BaselineError("--mmgates-without-ab: a pull-request baseline needs no A/B, expected none")
        return None
    if options.without_ab is not None:
        if not options.without_ab.strip():
            raise BaselineError("--mmgates-without-ab: found nothing, expected a reason")
        return options.without_ab
    path = options.out_dir / "verdicts" / "ab.json"
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        found = {}
    if found.get("verdict") != "PASS" or found.get("data_kind") == "synthetic":
        what = found.get("label", "no verdict")
        raise BaselineError(
            f"{options.shown(path)}: {what}: a release needs an accepted A/B on recorded or live data,"
            " or --mmgates-without-ab REASON"
        )
    if found.get("stage") == "replay":
        raise BaselineError(
            f"{options.shown(path)}: accepted in a replay alone: a release needs an A/B that was traded,"
            " or --mmgates-without-ab REASON"
        )
    return None


def _source(options: Options, name: str, run: RunLog) -> tuple[Source, bytes]:
    """The archive of the code that made the run."""
    paths = options.source
    if not paths:
        raise BaselineError("ini mmgates_source: is empty, expected the paths of the code to lock")
    commit, committed_at = head_of(options.root)
    made_by = run.manifest.code.get("commit")
    if made_by != commit:
        raise BaselineError(f"{run.directory}: was made by commit {made_by}, expected {commit}: play it anew")
    changed = changed_paths(options.root, paths)
    if changed or run.manifest.code.get("dirty"):
        what = f"{changed[0]} is not committed" if changed else "the run was made by uncommitted changes"
        raise BaselineError(f"{what}: only a commit can be locked")
    tar = archive(options.root, commit, paths)
    return Source(commit, committed_at, paths, f"{name}.source.tar.xz", sha256(tar)), tar


def _market(options: Options, run: RunLog, budgets: Mapping[str, Any]) -> Market:
    name = run.manifest.scenario
    return Market(
        scenario=name,
        scenario_sha256=sha256(options.file_of(name).read_bytes()),
        data_kind=run.data_kind,
        data_sha256=run.manifest.data.sha256,
        duration_min=budgets["test_duration_min"],
        seed=run.manifest.seed,
        tick_count=budgets["tick_count"],
    )


def _run_digest(run: RunLog) -> str:
    if run.manifest.run_digest is None:
        raise BaselineError(f"{run.directory}: the manifest has no run_digest: behaviour cannot be locked")
    return run.manifest.run_digest


def _proof(options: Options, name: str) -> tuple[dict[str, Any] | None, AcceptedProof | None, str | None]:
    """The tape, and what the same code against itself shows on it. `prove` refuses error bars that cannot be
    believed.
    """
    if not options.tape:
        return None, None, "ini mmgates_tape is empty: stage times cannot be compared"
    tape = {"door": options.tape, "scenario": name}
    found = prove(code("baseline", options.root), tape, rounds=_PROOF_ROUNDS, seed=1)
    proof = AcceptedProof(
        z_rms=found.z_rms,
        factors=found.factors,
        floor=found.floor,
        profile={
            stage: " ".join(f"{ns:.1f}" for ns in costs_ns) for stage, costs_ns in found.profile.items()
        },
        machine=fingerprint(),
        seconds=round(found.seconds, 1),
        rounds=found.rounds,
    )
    return tape, proof, None


def _instructions(
    options: Options, tape: Mapping[str, Any] | None
) -> tuple[InstructionProfile | None, str | None]:
    """What rung 2 needs. It is optional: valgrind may be missing, or not run this code."""
    if tape is None:
        return None, "ini mmgates_tape is empty"
    try:
        return InstructionProfile.of(count_instructions(code("baseline", options.root), tape)), None
    except PerfError as error:
        return None, str(error)


def _recipe(options: Options, name: str, source: Source, without_ab: str | None) -> tuple[str, ...]:
    lock = f"pytest -m lock --mmgates-lock --mmgates-scenario {name}"
    return (
        f"git checkout {source.commit}",
        options.rerun("shadow", name),
        lock if without_ab is None else f"{lock} --mmgates-without-ab={json.dumps(without_ab)}",
        f"git archive --format=tar {source.commit} -- {' '.join(source.paths)} | sha256sum",
    )


def _history(before: Lock | None) -> tuple[Event, ...]:
    return before.history if before else ()


def _event(action: str, commit: str, reason: str | None, before: Lock | None) -> Event:
    return msgspec.convert(
        {"action": action, "commit": commit, "reason": reason, "digest": before.digest if before else None},
        Event,
    )


def _write(options: Options, path: Path, lock: Lock, ci: Gate, packed: bytes) -> list[Path]:
    """The committed twin and the artifact are the same bytes."""
    text = encoded_lock(lock)
    stored = read_back(text)
    archive_path = options.gates_dir / BASELINES / lock.source.archive
    archive_path.parent.mkdir(parents=True, exist_ok=True)
    archive_path.write_bytes(packed)
    reports, asked = options.out_dir / "reports", options.formats("lock")
    files: dict[Path, str | None] = {
        path: text,
        options.out_dir / "baseline" / "stage_budgets.locked.json": text,
        **pages(
            reports / "BASELINE_LOCK_REPORT.md",
            asked,
            md=partial(lock_report, stored),
            html=partial(lock_page, stored, ci),
        ),
        **pages(reports / "CI_GATES_STATUS.md", asked, md=partial(gates_status, stored, ci)),
    }
    write_atomically(files)
    return [*(path for path, made in files.items() if made is not None), archive_path]


def read_back(text: str) -> Lock:
    """The lock as the file says it, digest included."""
    return msgspec.json.decode(text.encode(), type=Lock)
