"""Hot reload: all of it or none, between two ticks, and nothing that the bot remembers is lost."""

import copy
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.mmbot.builders import MARKET, REPO, engine_of, linear, ms, run_request, scenario_file

from mmbot.config.flags import FLAGS, in_force
from mmbot.config.settings import Settings, leaves, load_settings
from mmbot.engine.engine import Engine
from mmbot.model.records import Row
from mmbot.runtime.reload import Reload, changeable, differences
from mmbot.runtime.run import EngineKind, Run

BUSY: dict[str, Any] = {
    "telemetry": {"sample_interval_s": 1},
    "spread": {"base_bps": 3.0, "min_bps": 1.0, "volatility_reference_bps": 0.1, "slew_bps_per_s": 100.0},
    "guards": {"soft_volatility_bps": 50.0, "hard_volatility_bps": 100.0},
    "inventory": {"dead_band_ratio": 0.01},
    "queue_aware": {"max_eta_s": 0.1, "max_reprice_bps": 100.0, "min_edge_bps": -100.0},
}
"""Quotes that trade; a batch of rows a second."""
MORE_THAN_ONE = {"guards.soft_widen_ratio"}
ENGINES = (EngineKind.PLAIN, EngineKind.COMPILED)

Act = Callable[[Run], None]


@pytest.fixture
def last(tmp_path: Path) -> Path:
    """The file with the last word."""
    scenario_file(
        tmp_path / "scenarios",
        market={
            "seed": 7,
            "start_ns": ms(0),
            "instrument": msgspec.to_builtins(linear()),
            "settings": {**MARKET, "duration_s": 40.0},
        },
    )
    path = tmp_path / "last.yaml"
    path.write_text("{}\n")
    return path


def opened(folder: Path, run_id: str, engine: EngineKind = EngineKind.PLAIN, **changes: Any) -> Run:
    busy = folder / "busy.yaml"
    busy.write_bytes(msgspec.json.encode(BUSY))
    config = [REPO / "config.yaml", busy, folder / "last.yaml"]
    return Run(run_request(folder, run_id, config=config, engine=engine, **changes))


class At:
    """Acts, and has the run reload, after that many seconds of it; 0: before its first tick."""

    def __init__(self, run: Run, acts: Mapping[int, Act]) -> None:
        self.told: list[Reload] = []
        self._run, self._acts, self._seconds = run, acts, 0
        run.observers.append(self)
        self._act(0)

    def rows(self, _: Sequence[Row]) -> None:
        """Rows come at the first tick and at every full second after it."""
        self._seconds += 1
        self._act(self._seconds)

    def _act(self, seconds: int) -> None:
        if seconds in self._acts:
            self._acts[seconds](self._run)
            self._run.reload(self.told.append)


def play(run: Run, acts: Mapping[int, Act]) -> list[Reload]:
    """To the end. Returns what came of the reloads."""
    at = At(run, acts)
    for _ in run:
        pass
    return at.told


def write(path: Path, **sections: Any) -> Act:
    return lambda _: path.write_bytes(msgspec.json.encode(sections)) and None


def manifest(folder: Path, run_id: str) -> dict[str, Any]:
    return msgspec.json.decode((folder / run_id / "manifest.json").read_bytes())


def rows_of_feed(directory: Path, feed: str) -> list[dict[str, Any]]:
    (path,) = directory.glob(f"{feed}_*.jsonl")
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def config_rows(folder: Path, run_id: str) -> list[dict[str, Any]]:
    return [row for row in rows_of_feed(folder / run_id, "events") if row["kind"] == "config"]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_reload_of_the_same_files_changes_nothing(tmp_path: Path, last: Path, engine: EngineKind):
    quiet, asked = opened(tmp_path, "quiet", engine), opened(tmp_path, "asked", engine)
    play(quiet, {})
    told = play(asked, {number: write(last) for number in (0, 1, 5, 9)})
    assert quiet.counts.fills > 0
    assert asked.digest == quiet.digest
    assert [(one.refused, one.changed) for one in told] == [(None, {})] * 4
    assert {row["detail"]["outcome"] for row in config_rows(tmp_path, "asked")} == {"unchanged"}
    assert len(manifest(tmp_path, "asked")["configs"]) == 1


def test_both_engines_take_every_flag_off_and_on_again_alike(tmp_path: Path, last: Path):
    def switched(flag: Any, *, to: bool) -> Act:
        section, key = flag.path
        return write(last, **{section: {key: to}})

    acts = {
        1 + number: switched(flag, to=to)
        for number, (flag, to) in enumerate(itertools.product(FLAGS, (False, True)))
        if isinstance(flag.default, bool)
    }
    duration_s = len(acts) + 4.0
    digests = {}
    for engine in ENGINES:
        last.write_text("{}\n")
        run = opened(tmp_path, engine.value, engine, duration_s=duration_s)
        told = play(run, acts)
        assert [one.refused for one in told] == [None] * len(acts)
        digests[run.digest] = run.counts
    assert len(digests) == 1
    last.write_text("{}\n")
    never = opened(tmp_path, "never", duration_s=duration_s)
    play(never, {})
    assert never.digest not in digests


def test_both_engines_change_the_model_and_back_alike(tmp_path: Path, last: Path):
    digests = set()
    for engine in ENGINES:
        last.write_text("{}\n")
        run = opened(tmp_path, engine.value, engine, duration_s=20.0)
        told = play(run, {5: write(last, spread={"model": "glft"}), 15: write(last)})
        assert [(one.refused, list(one.changed)) for one in told] == [(None, ["spread.model"])] * 2
        digests.add(run.digest)
    assert len(digests) == 1
    never = opened(tmp_path, "never", duration_s=20.0)
    play(never, {})
    assert never.digest not in digests


def test_quotes_go_with_the_pipeline_and_come_back_with_it(tmp_path: Path, last: Path):
    run = opened(tmp_path, "run")
    off, on = play(run, {4: write(last, pipeline={"enabled": False}), 8: write(last)})
    ticks = rows_of_feed(tmp_path / "run", "pipeline_ticks")
    between = [row for row in ticks if off.ts_ns <= row["ts_ns"] < on.ts_ns]
    after = [row for row in ticks if row["ts_ns"] >= on.ts_ns]
    assert len(between) == 40
    assert all(row["bid"] is row["ask"] is None for row in between)
    assert sum(row["bid"] is not None for row in after) > len(after) / 2  # a spike empties a side at times
    rows = config_rows(tmp_path, "run")
    assert [row["detail"]["changed"] for row in rows] == [
        "pipeline.enabled true -> false",
        "pipeline.enabled false -> true",
    ]
    first, second, third = manifest(tmp_path, "run")["configs"]
    assert first["config_sha256"] == third["config_sha256"] == manifest(tmp_path, "run")["config_sha256"]
    assert (second["first_tick_ns"], second["changed"]) == (off.ts_ns, {"pipeline.enabled": [True, False]})
    assert second["config_sha256"] == off.found_sha256 != off.before_sha256


def test_what_begins_to_matter_later_is_as_if_it_had_been_so_all_along(tmp_path: Path, last: Path):
    """A cap that no position has come near binds from then on as one that stood from the beginning."""
    first = {"inventory": {"max_skew_bps": 3.0}, "limits": {"max_order_notional_quote": 600}}
    halved = {**first, "limits": {"max_order_notional_quote": 501}, "emit": {"order_notional_quote": 500.0}}
    last.write_bytes(msgspec.json.encode(halved))
    always = opened(tmp_path, "always")
    play(always, {})
    last.write_bytes(msgspec.json.encode(first))
    later = opened(tmp_path, "later")
    play(later, {5: write(last, **halved)})
    assert later.digest == always.digest


def broken(path: Path) -> Act:
    return lambda _: path.write_text("pipeline: {enabled: maybe}\n") and None


def remarket(path: Path) -> Act:
    scenario = path.parent / "scenarios" / "short.yaml"
    return lambda _: (
        scenario.write_text(scenario.read_text().replace('"duration": "15s"', '"duration": "16s"')) and None
    )


REFUSED: dict[str, tuple[Callable[[Path], Act], str]] = {
    "the venue": (
        lambda path: write(path, sim={"entry": {"median_ms": 6}}, pipeline={"enabled": False}),
        "cannot change while running: sim.entry.median_ms 5.0 -> 6.0",
    ),
    "a window": (
        lambda path: write(path, breaker={"window_s": 31}),
        "cannot change while running: breaker.window_s 30.0 -> 31.0",
    ),
    "no configuration": (broken, "last.yaml:1: pipeline.enabled: "),
    "no file": (lambda path: lambda _: path.unlink(), "last.yaml: cannot be read"),
    "the market": (remarket, "scenario short: its market was changed"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_cannot_be_taken_whole_is_refused_whole(tmp_path: Path, last: Path, why: str):
    act, expected = REFUSED[why]
    untouched = opened(tmp_path, "untouched")
    play(untouched, {})
    run = opened(tmp_path, "run")
    before = run.settings
    (told,) = play(run, {5: act(last)})
    assert expected in str(told.refused)
    assert run.settings == before
    assert run.digest == untouched.digest
    assert told.in_force_sha256 == before.sha256()
    (row,) = config_rows(tmp_path, "run")
    assert (row["detail"]["outcome"], row["detail"]["reason"]) == ("refused", told.refused)
    assert len(manifest(tmp_path, "run")["configs"]) == 1


def test_a_run_with_the_wake_filter_says_that_it_cannot(tmp_path: Path, last: Path):
    run = opened(tmp_path, "run", EngineKind.COMPILED, wake_filter=True)
    (told,) = play(run, {3: write(last, pipeline={"enabled": False})})
    assert "wake filter" in str(told.refused)
    assert run.counts.orders > 0


def test_every_flag_can_change_while_running():
    touched = {key for flag in FLAGS for key in (flag.key, *flag.off)}
    assert {key for key in touched if not changeable(key)} == set()


def test_a_section_that_nobody_listed_cannot_change():
    assert not changeable("sim.queue.model")
    assert not changeable("telemetry.sample_interval_s")
    assert not changeable("unheard_of.enabled")


def other(settings: Settings) -> Settings:
    """The same with another value under every key that can change while running."""
    data = msgspec.to_builtins(settings)
    for key, value in leaves(data).items():
        if changeable(key):
            *sections, name = key.split(".")
            section = functools.reduce(lambda part, inner: part[inner], sections, data)
            section[name] = _other(key, value)
    return msgspec.convert(data, Settings)


def _other(key: str, value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return {"microprice": "mid", "adaptive": "glft"}[value]
    if isinstance(value, int):
        return value + 1
    return value * (2 if key in MORE_THAN_ONE else 0.5)


def held(thing: Any, path: str = "", seen: frozenset[int] = frozenset()) -> Iterator[tuple[str, Any]]:
    """Everything that an object holds, by path; values that are neither ours nor containers as they are."""
    if id(thing) in seen:
        return
    seen |= {id(thing)}
    if isinstance(thing, functools.partial):
        yield from held(thing.keywords, path, seen)
    elif isinstance(thing, Mapping):
        yield f"{path}.keys", list(map(str, thing))
        for key, value in thing.items():
            yield from held(value, f"{path}.{key}", seen)
    elif type(thing).__module__.startswith("mmbot.") and not isinstance(thing, (str, int, msgspec.Struct)):
        names = {name for base in type(thing).__mro__ for name in getattr(base, "__slots__", ())}
        for name in sorted(names | set(getattr(thing, "__dict__", ()))):
            yield from held(getattr(thing, name), f"{path}.{name}", seen)
    elif isinstance(thing, msgspec.Struct):
        yield path, msgspec.json.encode(thing)
    elif not callable(thing):
        yield path, thing if not hasattr(thing, "tolist") else thing.tolist()


WORKED_OUT_ANEW = (
    "._size",
    "._sized_for",
    "._sized_by",
    "._timeout_ns",
    ".due_ns",
    ".next_seq",
    "vitals.calm",
)
"""What settings and state make together."""


def state(engine: Engine) -> dict[str, Any]:
    return dict(held(copy.deepcopy(engine)))


@pytest.fixture(scope="module")
def shipped() -> Settings:
    return load_settings([REPO / "config.yaml"])


@pytest.mark.usefixtures("last")
def test_every_room_is_told_and_forgets_nothing(tmp_path: Path):
    """In the middle of a run: where a bot made from the old and one made from the new settings differ, the
    reloaded one is as the new; everything else is as it was.
    """
    run = opened(tmp_path, "run")
    after = other(run.settings)
    assert set(differences(run.settings, after)) == {
        key for key in leaves(msgspec.to_builtins(run.settings)) if changeable(key)
    }
    fresh_old, fresh_new = (state(engine_of(in_force(one))) for one in (run.settings, after))
    for _ in itertools.islice(run, 24):
        pass
    was = state(run.engine)
    run.engine.reconfigure(in_force(after))
    now = state(run.engine)
    told = {path for path, value in fresh_new.items() if fresh_old[path] != value}
    anew = {path for path in now if path.endswith(WORKED_OUT_ANEW)}
    assert len(told) > 20
    assert {path for path in told - anew if now[path] != fresh_new[path]} == set()
    kept = was.keys() - told - anew
    assert {path for path in kept if now[path] != was[path]} == set()
    assert sum(was[path] != fresh_old.get(path) for path in kept) > 20
    run.engine.reconfigure(in_force(run.settings))
    assert {
        path for path, value in state(run.engine).items() if path not in anew and value != was[path]
    } == set()
