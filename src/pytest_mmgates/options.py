"""Options and ini keys, read once into one frozen object."""

import math
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pytest

from mmcluster import ClusterError, cluster_argument
from pytest_mmgates.errors import MarkError
from pytest_mmgates.perflab.instructions import VALGRIND
from pytest_mmgates.steps import AB, DAILY, DATASET, STEPS
from pytest_mmgates.units import NS_PER_S, Dimension, parse_duration

_ALL = "all"
_STAGES = ("replay", "10", "50", "100")
FORMATS = ("html", "md", "json")
_DEFAULT_OUT = "artifacts"
_MOST_PORT = 65535


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("mmgates", "market-making release gates")
    group.addoption(
        "--mmgates-scenario",
        action="append",
        default=[],
        metavar="NAME",
        help="scenario to run on, repeatable; 'all' = every one (default: the ini mmgates_default_scenario)",
    )
    group.addoption(
        "--mmgates-part",
        action="append",
        default=[],
        metavar="NAME",
        help="play and judge only this part of a scenario in parts, repeatable (default: all of them)",
    )
    group.addoption("--mmgates-data", metavar="DIR", help="captures (default: ../shared/data when present)")
    group.addoption(
        "--mmgates-out",
        metavar="DIR",
        default="artifacts",
        help="run directories, verdicts and artifacts (artifacts)",
    )
    group.addoption(
        "--mmgates-duration",
        metavar="TIME",
        help="market time of a run: 60m, 24h, or 'all' = the whole recording (default: the scenario's). Of"
        " --mmgates-rollout 50, which is played until it is decided, the least",
    )
    group.addoption(
        "--mmgates-config",
        action="append",
        default=[],
        metavar="FILE",
        help="configuration of the bot: a base, then overrides, repeatable (default: the step's, in the ini"
        " mmgates_config, else the bot's)",
    )
    group.addoption(
        "--mmgates-live",
        metavar="NAME",
        help="run on a live venue instead, a scenario of the folder 'live': shadow and soak then take as long"
        " as their market time",
    )
    group.addoption(
        "--mmgates-host",
        metavar="HOST",
        help="where the venue of --mmgates-live is, as its scenario would say (default: the scenario's host)",
    )
    group.addoption(
        "--mmgates-lock",
        action="store_true",
        help="with -m lock: lock the baseline of the scenario, from its shadow run",
    )
    group.addoption(
        "--mmgates-without-ab",
        metavar="REASON",
        help="lock a release baseline without an accepted A/B; the reason stays in the lock",
    )
    group.addoption(
        "--mmgates-base",
        metavar="COMMIT",
        help="commit that the change is made on: tell edits of gates beside it (default: beside the lock)",
    )
    group.addoption(
        "--mmgates-instructions",
        action="store_true",
        help="count instructions beside the comparison of stage times: a second opinion, by valgrind, about a"
        " minute more on 2 cores",
    )
    group.addoption(
        "--mmgates-resume",
        action="store_true",
        help="go on with the newest session in --mmgates-out that was interrupted: its runs continue behind"
        " their last checkpoint, live ones from now on",
    )
    group.addoption(
        "--mmgates-seeds", type=int, metavar="N", help="how many seeds a simulation plays (default: its own)"
    )
    group.addoption(
        "--mmgates-status-port",
        type=int,
        metavar="PORT",
        help="show each run on this loopback port while it plays; 0 takes a free one, which the run's file in"
        " OUT/running names (default: not at all)",
    )
    group.addoption("--mmgates-seed", type=int, metavar="N", help="seed of the run (default: the scenario's)")
    group.addoption(
        "--mmgates-from",
        metavar="MOMENT",
        help="begin of a dataset, ISO 8601: 2025-01-15T00:00:00Z (default: the first tick)",
    )
    group.addoption("--mmgates-to", metavar="MOMENT", help="end of a dataset (default: the last tick)")
    group.addoption(
        "--mmgates-interval", metavar="TIME", help="interval of a dataset: 5m (default: the system's own)"
    )
    group.addoption(
        "--mmgates-feeds",
        action="append",
        default=[],
        metavar="DIR",
        help="feeds of a dataset: a folder as a soak publishes it, or a run directory; repeatable"
        " (default: OUT/edge/feeds)",
    )
    group.addoption(
        "--mmgates-date",
        metavar="DATE",
        help="with -m daily: the UTC day, 2026-01-31 (default: the last whole one)",
    )
    group.addoption(
        "--mmgates-experiment",
        metavar="NAME",
        help="with -m ab: the experiment, by the name of its plan (default: the only one there is)",
    )
    group.addoption(
        "--mmgates-stage",
        metavar="STAGE",
        default="replay",
        choices=_STAGES,
        help="with -m ab: the stage to play (replay, 10, 50 or 100)",
    )
    group.addoption(
        "--mmgates-rollout",
        metavar="SHARE",
        choices=_STAGES[1:],
        help="with -m ab: the live stage to play, 10, 50 or 100 %% of blocks for the candidate: on the"
        " virtual clock, or with --mmgates-live where the plan says. Harm that its pairs show rolls it back"
        " while it is played",
    )
    group.addoption(
        "--mmgates-report",
        metavar="FORMATS",
        help="formats of the reports, of html, md and json (default: the ini mmgates_report, else md,json; of"
        " -m ab and daily html as well). JSON is always written: later steps read it",
    )
    group.addoption(
        "--mmgates-cluster",
        metavar="ADDRESS",
        help="play the parts of a replay on a Dask cluster: local:N = N processes of this machine,"
        " tcp://HOST:PORT = a scheduler that runs; '' = none (default: the ini mmgates_cluster)",
    )
    group.addoption(
        "--mmgates-shards",
        metavar="URL",
        help="where a cluster's workers keep the run directories of their parts: a folder that all machines"
        " reach, or s3://BUCKET/... (default: OUT/runs, where the workers are of this machine)",
    )
    parser.addini("mmgates_cluster", "Dask cluster that plays the parts of replays", default="")
    parser.addini(
        "mmgates_files", "names the captures that a run reads, as package.module:callable", default=""
    )
    parser.addini("mmgates_report", "formats of the reports: html,md,json", default="")
    parser.addini("mmgates_experiments", "directory of plans of experiments", default="experiments")
    parser.addini(
        "mmgates_experiment", "facts of an experiment's plan, as package.module:callable", default=""
    )
    parser.addini(
        "mmgates_rollout", "records how stages of a rollout went, as package.module:callable", default=""
    )
    parser.addini("mmgates_dataset", "makes a dataset, as package.module:callable", default="")
    parser.addini("mmgates_daily", "puts together the facts of a day, as package.module:callable", default="")
    parser.addini("mmgates_sut", "system under test, as package.module:callable", default="")
    parser.addini("mmgates_parts", "names the parts of a run, as package.module:callable", default="")
    parser.addini(
        "mmgates_config", "configuration of a step, a line each: STEP: FILE...", type="linelist", default=[]
    )
    parser.addini("mmgates_tape", "latency tape of the bot, as package.module:callable", default="")
    parser.addini("mmgates_source", "paths of the code under test: what a lock archives", type="linelist")
    parser.addini("mmgates_compare", "time for the comparison of stage times", default="80s")
    parser.addini(
        "mmgates_inconclusive", "what an inconclusive comparison does: fail or warn", default="fail"
    )
    parser.addini("mmgates_gates", "directory of gate files", default="gates")
    parser.addini("mmgates_scenarios", "directory of scenario files", default="scenarios")
    parser.addini("mmgates_default_scenario", "scenario of a bare run", default="demo")


@dataclass(frozen=True, slots=True)
class Options:
    """What the person asked for, with all paths absolute."""

    root: Path
    sut: str
    parts: str
    gates_dir: Path
    scenarios_dir: Path
    default_scenario: str
    asked: tuple[str, ...]
    data_dir: Path | None
    out_dir: Path
    duration: str | None
    duration_s: float | None
    config: tuple[Path, ...]
    step_config: Mapping[str, tuple[Path, ...]]
    seed: int | None
    seeds: int | None
    live: str | None
    host: str | None
    tape: str
    source: tuple[str, ...]
    compare_s: float
    inconclusive_warns: bool
    lock: bool
    without_ab: str | None
    base: str | None
    instructions: bool
    dataset: str
    daily: str
    date: str | None
    from_moment: str | None
    to_moment: str | None
    interval_s: float | None
    feeds: tuple[str, ...]
    resume: bool
    status_port: int | None
    asked_parts: tuple[str, ...]
    experiments_dir: Path
    asked_experiment: str | None
    experiment_door: str
    rollout_door: str
    stage: str
    asked_formats: frozenset[str]
    cluster: str | None
    shards: str | None
    files: str
    has_workers: bool
    """Of pytest-xdist."""

    def formats(self, step: str) -> frozenset[str]:
        """Of the reports of a step. The pages of an experiment and of a day are more than their Markdown."""
        if self.asked_formats:
            return self.asked_formats | {"json"}
        return frozenset(FORMATS) if step in (AB, DAILY) else frozenset({"md", "json"})

    def is_live(self, scenario: str) -> bool:
        """Whether a scenario is the live venue that was asked for."""
        return scenario == self.live

    def folder_of(self, scenario: str) -> Path:
        """Where the scenario's file lies."""
        return self.live_dir if self.is_live(scenario) else self.scenarios_dir

    def file_of(self, scenario: str) -> Path:
        """The scenario's file; that of a stretch is its market's."""
        return self.folder_of(scenario) / f"{base_of(scenario)}.yaml"

    @property
    def experiment(self) -> str:
        """The name of the plan that was asked for, or of the only one; MarkError where it is not there."""
        known = sorted(path.stem for path in self.experiments_dir.glob("*.yaml") if "." not in path.stem)
        if self.asked_experiment is None and len(known) == 1:
            return known[0]
        if self.asked_experiment not in known:
            there = f"in {self.shown(self.experiments_dir)}: there is {', '.join(known) or 'none'}"
            raise MarkError(f"--mmgates-experiment: no experiment {self.asked_experiment or ''!r} {there}")
        return self.asked_experiment

    def plan_of(self, experiment: str) -> Path:
        """The file of a plan."""
        return self.experiments_dir / f"{experiment}.yaml"

    @property
    def live_dir(self) -> Path:
        return self.scenarios_dir / "live"

    def config_of(self, step: str) -> tuple[Path, ...]:
        """Files to load: those that were asked for, else those of the step; none = the bot's own default."""
        return self.config or self.step_config.get(step, ())

    @property
    def existing(self) -> tuple[str, ...]:
        """Every scenario there is: the default first, because the first one selected names the artifacts."""
        names = sorted(path.stem for path in self.scenarios_dir.glob("*.yaml"))
        return tuple(sorted(names, key=lambda name: name != self.default_scenario))

    @property
    def selected(self) -> tuple[str, ...]:
        if self.live is not None:
            return (self.live,)
        if not self.asked:
            return (self.default_scenario,)
        every = self.existing
        return tuple(
            dict.fromkeys(name for word in self.asked for name in (every if word == _ALL else (word,)))
        )

    def missing_scenario(self, names: Sequence[str]) -> str | None:
        """Why one of the names cannot be run, or None."""
        wrong = [name for name in names if base_of(name) not in self.existing and not self.is_live(name)]
        if not wrong:
            return None
        known = ", ".join(self.existing) or "none"
        return f"no scenario {wrong[0]!r} in {self.shown(self.scenarios_dir)}: there is {known}"

    def check_asked(self) -> None:
        """What was asked for and is not there is an error before anything is collected, never a skip."""
        reason = self.missing_scenario([name for name in self.asked if name != _ALL])
        if reason:
            raise pytest.UsageError(f"--mmgates-scenario: {reason}")
        if _ALL in self.asked and not self.existing:
            raise pytest.UsageError(
                f"--mmgates-scenario all: no scenario in {self.shown(self.scenarios_dir)}"
            )
        self._check_live()
        self._check_lock()
        self._check_cluster()
        if self.data_dir and not self.data_dir.is_dir():
            raise pytest.UsageError(f"--mmgates-data: no directory {self.data_dir}")
        for path in self.config:
            if not path.is_file():
                raise pytest.UsageError(f"--mmgates-config: no file {path}")
        for step, paths in self.step_config.items():
            for path in paths:
                if not path.is_file():
                    raise pytest.UsageError(f"ini mmgates_config: {step}: no file {path}")

    def _check_live(self) -> None:
        """A live venue is there, is the only one that was asked for, and its run ends."""
        if self.live is None:
            if self.host is not None:
                raise pytest.UsageError("--mmgates-host: is of --mmgates-live, which was not given")
            return
        known = sorted(path.stem for path in self.live_dir.glob("*.yaml"))
        if self.live not in known:
            there = f"{self.shown(self.live_dir)}: there is {', '.join(known) or 'none'}"
            raise pytest.UsageError(f"--mmgates-live: no live scenario {self.live!r} in {there}")
        if self.asked:
            raise pytest.UsageError("--mmgates-live: stands for the scenario, expected no --mmgates-scenario")
        if self.live in self.existing:
            raise pytest.UsageError(f"--mmgates-live: {self.live!r} is a scenario that is not live, too")
        if self.duration == _ALL:
            raise pytest.UsageError("--mmgates-duration: 'all' of a live market has no end, expected a time")

    def _check_cluster(self) -> None:
        """A cluster plays replays alone, and is in place of the workers of pytest-xdist."""
        if self.cluster is None:
            if self.shards is not None:
                raise pytest.UsageError("--mmgates-shards: is of --mmgates-cluster, which was not given")
            return
        unfit = {
            "-n": self.has_workers,
            "--mmgates-live": self.live is not None,
            "--mmgates-status-port": self.status_port is not None,
            f"--mmgates-rollout {self.stage}": self.stage != _STAGES[0],
        }
        for option, given in unfit.items():
            if given:
                raise pytest.UsageError(
                    f"--mmgates-cluster: its own workers play, and replays only: expected no {option}"
                )

    def _check_lock(self) -> None:
        if self.without_ab is not None and not self.lock:
            raise pytest.UsageError("--mmgates-without-ab: is of --mmgates-lock, which was not given")
        if self.instructions and shutil.which(VALGRIND) is None:
            raise pytest.UsageError(f"--mmgates-instructions: no {VALGRIND} on the path, which counts them")

    def shown(self, path: Path) -> str:
        """A path as people write it: relative to the root where it lies inside."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)

    def rerun(self, step: str, scenario: str) -> str:
        """The command that makes this run again. A path stands in one word with its option: pytest takes an
        existing path of an option that it does not know yet for a place to find tests in.
        """
        words = ["pytest", "-m", step]
        if step == DATASET:
            return shlex.join([*words, *self._rerun_dataset()])
        if step == DAILY:
            return shlex.join([*words, "--mmgates-date", scenario])
        if step == AB:
            words += ["--mmgates-experiment", scenario]
            words += [f"--mmgates-{'stage' if self.stage == _STAGES[0] else 'rollout'}", self.stage]
            words += ["--mmgates-live", self.live] if self.live else []
            words += ["--mmgates-host", self.host] if self.host else []
            return shlex.join([*words, *(["--mmgates-duration", self.duration] if self.duration else [])])
        words += ["--mmgates-live" if self.is_live(scenario) else "--mmgates-scenario", scenario]
        for part in self.asked_parts:
            words += ["--mmgates-part", part]
        words += ["--mmgates-host", self.host] if self.host and self.is_live(scenario) else []
        words += ["--mmgates-duration", self.duration] if self.duration else []
        if self.data_dir not in (None, _captures_beside(self.root)):
            words += [f"--mmgates-data={self.shown(self.data_dir)}"]
        words += ["--mmgates-seed", str(self.seed)] if self.seed is not None else []
        for path in self.config:
            words += [f"--mmgates-config={self.shown(path)}"]
        return shlex.join(words)

    def _rerun_dataset(self) -> list[str]:
        asked = {"from": self.from_moment, "to": self.to_moment}
        asked["interval"] = None if self.interval_s is None else f"{self.interval_s:g}s"
        words = [f"--mmgates-{name}={value}" for name, value in asked.items() if value is not None]
        return words + [f"--mmgates-feeds={self.shown(Path(feeds))}" for feeds in self.feeds]

    def replay(self, step: str, seed: int) -> str:
        """The command that plays one seed of a step again."""
        words = ["pytest", "-m", step, "--mmgates-seed", str(seed)]
        return shlex.join(words + [f"--mmgates-config={self.shown(path)}" for path in self.config])


def read_options(config: pytest.Config) -> Options:
    root, here = config.rootpath, config.invocation_params.dir
    duration = config.getoption("mmgates_duration")
    out_dir = _out_dir(config.getoption("mmgates_out"), root, here)
    return Options(
        root=root,
        sut=config.getini("mmgates_sut"),
        parts=config.getini("mmgates_parts"),
        gates_dir=root / config.getini("mmgates_gates"),
        scenarios_dir=root / config.getini("mmgates_scenarios"),
        default_scenario=config.getini("mmgates_default_scenario"),
        asked=tuple(config.getoption("mmgates_scenario")),
        data_dir=_data_dir(config.getoption("mmgates_data"), root, here),
        out_dir=out_dir,
        duration=duration,
        duration_s=_seconds("--mmgates-duration", duration),
        config=tuple(here / path for path in config.getoption("mmgates_config")),
        step_config=_step_config(config.getini("mmgates_config"), root),
        seed=config.getoption("mmgates_seed"),
        seeds=_seeds(config.getoption("mmgates_seeds")),
        live=config.getoption("mmgates_live"),
        host=config.getoption("mmgates_host"),
        tape=config.getini("mmgates_tape"),
        source=tuple(config.getini("mmgates_source")),
        compare_s=_compare_s(config.getini("mmgates_compare")),
        inconclusive_warns=_inconclusive_warns(config.getini("mmgates_inconclusive")),
        lock=config.getoption("mmgates_lock"),
        without_ab=config.getoption("mmgates_without_ab"),
        base=config.getoption("mmgates_base"),
        instructions=config.getoption("mmgates_instructions"),
        dataset=config.getini("mmgates_dataset"),
        daily=config.getini("mmgates_daily"),
        date=config.getoption("mmgates_date"),
        from_moment=config.getoption("mmgates_from"),
        to_moment=config.getoption("mmgates_to"),
        interval_s=_seconds("--mmgates-interval", config.getoption("mmgates_interval")),
        feeds=_feeds(config.getoption("mmgates_feeds"), out_dir, here),
        resume=config.getoption("mmgates_resume"),
        status_port=_status_port(config),
        asked_parts=tuple(dict.fromkeys(config.getoption("mmgates_part"))),
        experiments_dir=root / config.getini("mmgates_experiments"),
        asked_experiment=config.getoption("mmgates_experiment"),
        experiment_door=config.getini("mmgates_experiment"),
        rollout_door=config.getini("mmgates_rollout"),
        stage=config.getoption("mmgates_rollout") or config.getoption("mmgates_stage"),
        asked_formats=_formats(config),
        cluster=_cluster(config),
        shards=_shards(config.getoption("mmgates_shards"), here),
        files=config.getini("mmgates_files"),
        has_workers=bool(config.getoption("numprocesses", default=None)),
    )


def _cluster(config: pytest.Config) -> str | None:
    """None where everything is played here."""
    asked, said = config.getoption("mmgates_cluster"), config.getini("mmgates_cluster")
    address: str = said if asked is None else asked
    if not address:
        return None
    try:
        return cluster_argument(address)
    except ClusterError as error:
        raise pytest.UsageError(f"--mmgates-cluster: {error}") from error


def _shards(asked: str | None, here: Path) -> str | None:
    """A folder as an absolute path; a place in an object store as it was typed."""
    if asked is None:
        return None
    return asked.rstrip("/") if "://" in asked else str(here / asked)


def _formats(config: pytest.Config) -> frozenset[str]:
    """Empty where nothing was asked for."""
    asked, said = config.getoption("mmgates_report"), config.getini("mmgates_report")
    where, text = ("--mmgates-report", asked) if asked is not None else ("ini mmgates_report", said)
    words = [word.strip() for word in text.split(",")] if text or asked is not None else []
    wrong = [word for word in words if word not in FORMATS]
    if wrong:
        raise pytest.UsageError(f"{where}: found {wrong[0]!r}, expected some of {', '.join(FORMATS)}")
    return frozenset(words)


def _compare_s(text: str) -> float:
    try:
        return parse_duration(text).base(Dimension.TIME) / NS_PER_S
    except ValueError as error:
        raise pytest.UsageError(f"ini mmgates_compare: {error}") from error


def _inconclusive_warns(text: str) -> bool:
    if text not in ("fail", "warn"):
        raise pytest.UsageError(f"ini mmgates_inconclusive: found {text!r}, expected fail or warn")
    return text == "warn"


def _feeds(asked: Sequence[str], out_dir: Path, here: Path) -> tuple[str, ...]:
    """Folders as absolute paths; a place in an object store as it was typed."""
    named = [name if "://" in name else str(here / name) for name in asked]
    return tuple(named) or (str(out_dir / "edge" / "feeds"),)


def _status_port(config: pytest.Config) -> int | None:
    """One page shows one run: runs of several workers at once cannot have one port."""
    port: int | None = config.getoption("mmgates_status_port")
    if port is not None and not 0 <= port <= _MOST_PORT:
        raise pytest.UsageError(f"--mmgates-status-port: was {port}, expected 0 to {_MOST_PORT}")
    if port is not None and config.getoption("numprocesses", default=None):
        raise pytest.UsageError("--mmgates-status-port: shows one run at a time, expected no -n")
    return port


def _step_config(lines: Sequence[str], root: Path) -> Mapping[str, tuple[Path, ...]]:
    """Configuration files by step; the files of the ini belong to the project."""
    found: dict[str, tuple[Path, ...]] = {}
    for line in lines:
        step, colon, files = line.partition(":")
        step = step.strip()
        if not colon or step not in STEPS or step in found or not files.split():
            raise pytest.UsageError(
                f"ini mmgates_config: found {line!r}: expected STEP: FILE..., each step at most once"
            )
        found[step] = tuple(root / name for name in files.split())
    return MappingProxyType(found)


def _data_dir(asked: str | None, root: Path, here: Path) -> Path | None:
    if asked is not None:
        return here / asked
    beside = _captures_beside(root)
    return beside if beside.is_dir() else None


def _captures_beside(root: Path) -> Path:
    return root.parent / "shared" / "data"


def _out_dir(asked: str, root: Path, here: Path) -> Path:
    """The default belongs to the project; a directory that was typed belongs to where it was typed."""
    return root / asked if asked == _DEFAULT_OUT else here / asked


def base_of(scenario: str) -> str:
    """The scenario that a stretch is of: `demo-14d@soak` -> `demo-14d`."""
    return scenario.partition("@")[0]


def _seeds(asked: int | None) -> int | None:
    if asked is not None and asked < 1:
        raise pytest.UsageError(f"--mmgates-seeds: was {asked}, expected at least 1")
    return asked


def _seconds(option: str, duration: str | None) -> float | None:
    if duration is None:
        return None
    if duration == _ALL and option == "--mmgates-duration":
        return math.inf
    try:
        return parse_duration(duration).base(Dimension.TIME) / NS_PER_S
    except ValueError as error:
        also = ", or 'all'" if option == "--mmgates-duration" else ""
        raise pytest.UsageError(f"{option}: {error}{also}") from error
