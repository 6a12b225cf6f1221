"""What the steps share that needs the bot and the plugin at once: here alone do both meet.

Without the plugin (`-p no:mmgates`) there is nothing to run here, and collection stays clean.
"""

import json
import math
import os
import shlex
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from mmbot.clock import wall_ns
from mmbot.config.scenario import load_scenario
from mmbot.config.settings import load_config, settings_of
from mmbot.config.snapshot import SNAPSHOT, load_snapshot
from mmbot.errors import ConfigError, MmbotError
from mmbot.experiment.plan import load_experiment
from mmbot.ops import evidence, finish_line
from mmbot.ops.prep import Asked, Prep, PrepRequest, prepare, write
from mmbot.ops.prep import Verdict as PrepVerdict
from mmbot.ops.red_button import Rehearsal, RehearsalRequest, rehearse
from mmbot.ops.workflow import Task, task_named
from mmbot.runtime import provenance
from mmbot.telemetry.metrics import table
from mmbot.units import SECOND
from pytest_mmgates.alerting.exports import read_exports
from pytest_mmgates.alerting.page import NAME as PAGE
from pytest_mmgates.collection import steps_asked
from pytest_mmgates.commands.alerts import made
from pytest_mmgates.commands.check import read_gates
from pytest_mmgates.errors import MmgatesError
from pytest_mmgates.gatefile import read_gate
from pytest_mmgates.options import Options, read_options
from pytest_mmgates.report.files import pages, write_atomically
from pytest_mmgates.report.page import Banner, Table, facts_page
from pytest_mmgates.report.soak_start import Readiness, SoakStart
from pytest_mmgates.report.soak_start import soak_start as soak_start_files
from pytest_mmgates.steps import AB, DATASET

GB = 1e9
_FILE_TIMES_NS = SECOND // 50
"""How far behind the clock a file system's times may be."""
_MINUTES_TOLD = 120
"""Beyond, an age is told in hours."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Only what lies in this directory asks; None leaves the answer to others."""
    without_plugin = not config.pluginmanager.hasplugin("mmgates")
    return True if without_plugin and collection_path.suffix == ".py" else None


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Only the one process that writes keeps records. The plugin has said by now which one that is."""
    if config.pluginmanager.hasplugin("mmgates-controller"):
        config.pluginmanager.register(Recorder(config), "mmbot-recorder")


class Recorder:
    """Keeps a record of each step of the workflow that the session played (`mmbot.ops.evidence`), and the
    finish line. What played parts alone is no step: it has no record, and its verdict counts for nothing.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._options = read_options(config)
        self._began_ns = wall_ns()
        self._checks: dict[str, Counter[str]] = {}
        self._failures: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count checks by outcome; one that does not come to its call counts as what ended it."""
        if report.when == "call" or not report.passed:
            for step in steps_asked(self._config) & report.keywords.keys():
                self._checks.setdefault(step, Counter())[report.outcome] += 1
                if report.failed and report.longreprtext.strip():
                    self._failures.setdefault(step, report.longreprtext.strip().splitlines()[-1])

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Behind everybody who writes verdicts."""
        result = yield
        try:
            played = [self._record(step, int(session.exitstatus)) for step in self._checks]
            if any(played):
                finish_line.write(finish_line.look(_from_here(self._options.out_dir), wall_ns()))
        except (MmbotError, MmgatesError) as error:
            self._config.get_terminal_writer().line(f"ERROR: {error}", red=True)
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
        return result

    def _record(self, step: str, ended: int) -> bool:
        """Whether there is a record of it now: not of what left an older verdict as it was."""
        options, out = self._options, _from_here(self._options.out_dir)
        task = task_named(f"{step}.{options.stage}" if step == AB else step)
        if task is None or options.asked_parts or self._is_older(out / task.evidence):
            return False
        checks = self._checks[step]
        evidence.keep(
            task,
            out,
            said=evidence.found(task, out, checks, ended, self._failures.get(step)),
            checks=checks,
            command=shlex.join(["pytest", *self._config.invocation_params.args]),
            inputs=_inputs(options, task),
            code=provenance.code() | {"source_sha256": provenance.source_sha256()},
            now_ns=wall_ns(),
        )
        return True

    def _is_older(self, path: Path) -> bool:
        return path.is_file() and path.stat().st_mtime_ns < self._began_ns - _FILE_TIMES_NS


def _inputs(options: Options, task: Task) -> list[Path]:
    """What a step rests on: its rules, its configuration and market, and what the step before made."""
    found = [] if task.gate is None else [options.gates_dir / Path(task.gate).name]
    name = options.selected[0]
    if task.step in ("prep", "shadow", "soak"):
        found += [*(options.config_of(task.step) or (options.root / "config.yaml",)), options.file_of(name)]
    elif task.step == DATASET:
        feeds = [Path(place) for place in options.feeds] or [options.out_dir / "edge" / "feeds"]
        found += [place / "manifest.json" for place in feeds]
    elif task.step == AB:
        path = options.plan_of(options.experiment)
        plan = load_experiment(path, options.scenarios_dir).plan
        files = dict.fromkeys([*plan.files("A"), *plan.files("B")])
        found += [path, *files, options.file_of(plan.scenario)]
    elif task.step == "lock":
        found += [options.file_of(name), options.out_dir / "runs" / f"shadow-{name}" / "manifest.json"]
    return [_from_here(path) for path in found if path.is_file()]


@pytest.fixture(scope="session")
def prep(pytestconfig: pytest.Config) -> Prep:
    """Every check of prep, once per session; log and snapshot are written before the first is judged."""
    try:
        options = read_options(pytestconfig)
        prepared = prepare(_request(options))
        write(prepared)
        page = partial(_prep_page, prepared, options)
        write_atomically(
            pages(options.out_dir / "reports" / "PREP_LOG.md", options.formats("prep"), html=page)
        )
    except (MmbotError, MmgatesError) as error:
        pytest.fail(str(error), pytrace=False)
    return prepared


def _prep_page(prepared: Prep, options: Options) -> str:
    """What `PREP_LOG.md` says, as the page that the other steps have."""
    request = prepared.request
    red = [check.name for check in prepared.checks if check.verdict is not PrepVerdict.PASS]
    banner = Banner(
        title="prep",
        verdict=prepared.verdict,
        label=prepared.verdict,
        reason=", ".join(red),
        next="put right what is red" if red else "go on with the shadow run: pytest -m shadow",
        rerun=options.rerun("prep", request.scenarios[0]),
    )
    checks = [(check.verdict, check.name, check.found, check.expected) for check in prepared.checks]
    facts = [
        *(("configuration", path) for path in request.config),
        *(("scenario", name) for name in request.scenarios),
        *sorted(request.code.items()),
        ("snapshot", "taken" if prepared.snapshot else "not taken: something is red"),
    ]
    return facts_page(
        banner,
        [
            Table("Checks", ("verdict", "check", "found", "expected"), checks),
            Table("Provenance", ("what", "value"), facts),
        ],
    )


@pytest.fixture(scope="session")
def alert_rules(pytestconfig: pytest.Config) -> None:
    """`reports/ALERT_RULES.md`, from the gates and the metrics as they are now."""
    options = read_options(pytestconfig)
    path = options.out_dir / "reports" / PAGE
    try:
        exports = read_exports(msgspec.json.encode(table()), "mmbot metrics")
        write_atomically({path: made(read_gates(options.gates_dir), exports)[PAGE]})
    except MmgatesError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def red_button(pytestconfig: pytest.Config) -> Rehearsal:
    """The rehearsal of the red button, once per session; its report is written before it is judged."""
    options = read_options(pytestconfig)
    base, *_ = options.config_of("prep")
    path = options.out_dir / "reports" / "ROLLBACK_REHEARSAL.md"
    try:
        done = rehearse(RehearsalRequest(base, options.out_dir))
        write_atomically(pages(path, options.formats("rehearsal"), html=partial(rehearsal_page, done)))
    except (MmbotError, MmgatesError) as error:
        pytest.fail(str(error), pytrace=False)
    return done


def rehearsal_page(done: Rehearsal) -> str:
    """What `ROLLBACK_REHEARSAL.md` says, as the page that the other steps have."""
    banner = Banner(
        title="rehearsal",
        verdict=done.verdict,
        label=f"{done.verdict} (SYNTHETIC)",
        reason=", ".join(check.name for check in done.checks if not check.holds) or done.summary,
        next="" if done.verdict is PrepVerdict.PASS else "put right what is red before anything trades",
        rerun="pytest -m rehearsal",
        data_kind="synthetic",
    )
    checks = [(check.verdict, check.name, check.found, check.expected) for check in done.checks]
    return facts_page(
        banner,
        [
            Table("Times", ("since the button began", "took"), done.times, done.before),
            Table("Checks", ("verdict", "check", "found", "expected"), checks),
        ],
    )


@pytest.fixture(scope="session")
def soak_start(pytestconfig: pytest.Config) -> None:
    """What the soak starts from, written before it plays."""
    options = read_options(pytestconfig)
    try:
        start = _soak_start(options)
        reports = options.out_dir / "reports"
        write_atomically({reports / name: text for name, text in soak_start_files(start).items()})
    except (MmbotError, MmgatesError) as error:
        pytest.fail(str(error), pytrace=False)


def _soak_start(options: Options) -> SoakStart:
    path, config = options.gates_dir / "soak.yaml", options.config_of("soak")
    code = provenance.code()
    return SoakStart(
        gate=read_gate(path, shown_as=options.shown(path)),
        at=f"{datetime.fromtimestamp(wall_ns() // SECOND, tz=UTC):%Y-%m-%d %H:%M:%S} UTC",
        code=f"version {code['version']}, commit {code['commit']}"
        + (", with uncommitted changes" if code["dirty"] else ""),
        launch={name: options.rerun("soak", name) for name in options.selected},
        runs={name: options.out_dir / "runs" / f"soak-{name}" for name in options.selected},
        duration=options.duration or "the scenario's own",
        config=[options.shown(path) for path in config],
        readiness=list(_readiness(options, config)),
        rollback=list(_rollback(options)),
        versions=_versions(),
        links=dict(_links(options, config)),
    )


def _readiness(options: Options, config: Sequence[Path]) -> Iterator[Readiness]:
    """Of the steps before this one, of the configuration, the data and the disk."""
    settings = settings_of(load_config(config))
    sha256 = settings.sha256()
    for step in ("prep", "shadow"):
        path = options.out_dir / "verdicts" / f"{step}.json"
        verdict = _json(path)
        found = "never run"
        if verdict is not None:
            found = f"{verdict.get('label', verdict['verdict'])}, {_age(path)} ago"
        yield Readiness(
            f"{step} verdict", found, "PASS", None if verdict is None else verdict["verdict"] == "PASS"
        )
        if verdict is not None and step == "prep":
            prepared = verdict["config_sha256"]
            yield Readiness(
                "configuration", f"sha256 {sha256}", f"as prepared: {prepared}", sha256 == prepared
            )
    snapshot = options.out_dir / "release" / SNAPSHOT
    yield Readiness("way back", *_snapshot(snapshot))
    for name in options.selected:
        scenario, _ = load_scenario(name, options.folder_of(name))
        if scenario.kind == "recorded":
            held = options.data_dir is not None and all(
                (options.data_dir / file).is_file() for feed in scenario.feeds for file in feed.files
            )
            where = "no --mmgates-data" if options.data_dir is None else str(options.data_dir)
            yield Readiness(f"captures of {name}", where, "every file of the scenario", held)
    yield _writable(options)
    yield _disk(options, settings.pipeline.tick_interval_ms)


def _snapshot(path: Path) -> tuple[str, str, bool | None]:
    expected = "a snapshot as it was taken"
    if not path.is_file():
        return f"no {path}", expected, None
    try:
        taken = load_snapshot(path)
    except MmbotError as error:
        return str(error), expected, False
    return f"{path}, {len(taken.flags)} flags", expected, True


def _writable(options: Options) -> Readiness:
    """Where the soak writes: the directory, or the one that it will be made in."""
    there = _there(options.out_dir)
    found = f"{options.shown(there)}: {'writable' if os.access(there, os.W_OK) else 'not writable'}"
    return Readiness("directory", found, "writable", os.access(there, os.W_OK))


def _disk(options: Options, tick_interval_ms: float) -> Readiness:
    """Room for the rows, at the bytes a tick that the runs of this directory wrote."""
    free_gb = psutil.disk_usage(str(_there(options.out_dir))).free / GB
    found = f"{free_gb:.1f} GB free"
    most = max(_bytes_per_tick(options.out_dir / "runs"), default=None)
    if most is None:
        return Readiness("disk", found, "not known: no run before this one to reckon from", None)
    ticks = sum(_planned_ticks(options, name, tick_interval_ms) for name in options.selected)
    needed_gb = most * ticks / GB
    expected = f"{needed_gb:.1f} GB: {ticks} ticks of {most:.0f} bytes, as the largest run before wrote"
    return Readiness("disk", found, expected, free_gb > needed_gb)


def _bytes_per_tick(runs: Path) -> Iterator[float]:
    """Of every run that has ended, whatever it wrote."""
    for path in [*runs.glob("shadow-*/manifest.json"), *runs.glob("soak-*/manifest.json")]:
        manifest = _json(path) or {}
        ticks = manifest.get("counts", {}).get("ticks", 0)
        if manifest.get("ended_ns") and ticks:
            yield sum(file.stat().st_size for file in path.parent.rglob("*") if file.is_file()) / ticks


def _planned_ticks(options: Options, name: str, tick_interval_ms: float) -> int:
    """Of all symbols. The whole of a recording is taken for as long as its scenario says."""
    scenario, _ = load_scenario(name, options.folder_of(name))
    symbols = len(scenario.instruments) or (len(scenario.live.symbols) if scenario.live else 0)
    asked_s = options.duration_s
    seconds = asked_s if asked_s and math.isfinite(asked_s) else scenario.duration_ns / SECOND
    return round(symbols * seconds * 1000 / tick_interval_ms)


def _there(path: Path) -> Path:
    """The path, or the nearest directory above it that is there."""
    return next(one for one in (path, *path.parents) if one.is_dir())


def _age(path: Path) -> str:
    """How long ago a file was written."""
    minutes = round((wall_ns() / SECOND - path.stat().st_mtime) / 60)
    return f"{minutes} min" if minutes < _MINUTES_TOLD else f"{minutes / 60:.1f} h"


def _versions() -> dict[str, str]:
    return {
        "pytest": pytest.__version__,
        **{name: str(found) for name, found in provenance.host().items()},
    }


def _links(options: Options, config: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Where the soak can be watched; what is not there says how it would be."""
    out, port = options.shown(options.out_dir), options.status_port
    exported = settings_of(load_config(config)).telemetry.metrics_port
    page = "none: `--mmgates-status-port PORT` shows the run"
    if port is not None:
        page = (
            f"`http://127.0.0.1:{port}/`" if port else f"on a free port, which `{out}/running/*.json` names"
        )
        page += f", or `mmbot top --running {shlex.quote(f'{out}/running')}`"
    yield "status page", page
    metrics = "none: they are on the status page's port, or on `telemetry.metrics_port`"
    if port or exported:
        metrics = f"`http://127.0.0.1:{port or exported}/metrics`"
    elif port == 0 or exported == 0:
        metrics = "on a free port: that of the status page, or `metrics_url` in the run's manifest"
    yield "metrics", metrics
    for name, path in (("dashboard", "ops/grafana/mmbot.json"), ("alert rules", "ops/prometheus/alerts.yml")):
        yield name, f"`{path}`" if (options.root / path).is_file() else f"none: {path} is not there"


def _rollback(options: Options) -> Iterator[str]:
    out = shlex.quote(options.shown(options.out_dir))
    yield f"`mmbot rollback --out {out} --dry-run` shows what would be set back"
    yield f"`mmbot rollback --out {out}` sets the flags back to `{out}/release/{SNAPSHOT}`"
    yield "start the bot again: it reads its configuration when it starts"
    yield f"`pytest -m shadow --mmgates-out={out}`: what was gone back to holds its gates"


def _json(path: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    return content


def _request(options: Options) -> PrepRequest:
    """What the person asked for, and what the gates ask of it."""
    return PrepRequest(
        config=[_from_here(path) for path in options.config_of("prep")],
        scenarios=options.selected,
        folder=options.scenarios_dir,
        data=options.data_dir,
        out=options.out_dir,
        asked=list(_asked(options)),
        code=provenance.code(),
        now_ns=wall_ns(),
    )


def _asked(options: Options) -> Iterator[Asked]:
    """Edge that the gates ask for. A gate file that cannot be read is an error here, as it is where it is
    used.
    """
    for path in sorted(options.gates_dir.glob("*.yaml")):
        gate = read_gate(path, shown_as=options.shown(path))
        for rule, line in zip(gate.require, gate.lines[: len(gate.require)], strict=True):
            if rule.metric == "net_bps" and rule.bound.op in (">=", ">", "=="):
                least = rule.bound.limit.base(rule.definition.dimension)
                yield Asked(str(rule), f"{gate.file}:{line}", least, rule.symbol)


def _from_here(path: Path) -> Path:
    """As people write it: the snapshot keeps the paths, and `mmbot rollback` opens them from here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
