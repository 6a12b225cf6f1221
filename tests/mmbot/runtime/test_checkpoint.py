"""A run that was cut off goes on behind its last checkpoint as if nothing had been, or says why it cannot."""

import dataclasses
import itertools
import json
import resource
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mmbot.builders import MARKET, HandStopwatch, linear, run_request, scenario_file

from mmbot.errors import ConfigError, OutputError
from mmbot.model.records import EventRow
from mmbot.runtime import checkpoint
from mmbot.runtime.run import EngineKind, Run, RunRequest, interrupted
from mmbot.telemetry.feeds import FeedWriter
from mmbot.units import SECOND

BUSY = {"telemetry": {"sample_interval_s": 1, "checkpoint_interval_s": 3}, "trace": {"sample_rate": 0.5}}
MIDNIGHT_NS = 1_767_225_600_000_000_000


def request(folder: Path, name: str, engine: EngineKind = EngineKind.PLAIN, **changes: Any) -> RunRequest:
    if not (folder / "scenarios" / "short.yaml").is_file():
        scenario_file(folder / "scenarios", config=BUSY)
    asked = run_request(folder, engine=engine, **changes)
    return dataclasses.replace(asked, directory=folder / name)


def opened(asked: RunRequest) -> Run:
    return Run(asked, HandStopwatch(1_000))


def played(run: Run) -> Run:
    for _ in run:
        pass
    return run


def cut_off(run: Run, batches: int, copy: Path) -> Path:
    """Take that many batches, and the directory as a killed process would leave it: what was written then."""
    playing = iter(run)
    for _ in itertools.islice(playing, batches):
        pass
    shutil.copytree(run.directory, copy)
    return copy


def rows(directory: Path) -> dict[str, list[dict[str, Any]]]:
    """Every row by file; what was measured of this machine left out."""
    return {
        path.name: list(map(_decided, path.read_text().splitlines())) for path in directory.glob("*.jsonl")
    }


def _decided(line: str) -> dict[str, Any]:
    row = json.loads(line)
    return {**row, "value": None} if row.get("name") == "rss_bytes" else row


def manifest(directory: Path) -> dict[str, Any]:
    return json.loads((directory / "manifest.json").read_bytes())


def refusal(directory: Path, **changes: Any) -> str:
    """Why a run cannot be resumed, and that its directory is as it was."""
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError) as caught:
        opened(dataclasses.replace(interrupted(directory), **changes))
    assert {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()} == before
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.fixture
def half(tmp_path: Path) -> Path:
    """The directory of a run that was killed."""
    return cut_off(opened(request(tmp_path, "first")), 30, tmp_path / "half")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[EngineKind, Run]:
    folder = tmp_path_factory.mktemp("whole")
    kinds = (EngineKind.PLAIN, EngineKind.COMPILED)
    return {kind: played(opened(request(folder, kind.value, kind))) for kind in kinds}


@pytest.mark.parametrize("engine", [EngineKind.PLAIN, EngineKind.COMPILED])
@settings(max_examples=5, deadline=None)
@given(batches=st.integers(1, 30), again=st.integers(0, 12))
def test_a_run_that_is_cut_off_anywhere_goes_on_as_if_nothing_had_been(
    tmp_path_factory: pytest.TempPathFactory,
    whole: dict[EngineKind, Run],
    engine: EngineKind,
    batches: int,
    again: int,
):
    folder = tmp_path_factory.mktemp("cut")
    directory = cut_off(opened(request(folder, "first", engine)), batches, folder / "second")
    if again:
        directory = cut_off(opened(interrupted(directory)), again, folder / "third")
    end = played(opened(interrupted(directory)))
    assert end.digest == whole[engine].digest
    assert end.counts == whole[engine].counts
    assert rows(directory) == rows(whole[engine].directory)
    found = manifest(directory)
    assert (found["status"], len(found["resumes"])) == ("complete", 2 if again else 1)
    assert not (directory / checkpoint.NAME).exists()


@pytest.mark.parametrize("interval_s", [3, 5])
def test_checkpoints_stand_at_the_first_tick_and_at_whole_intervals(tmp_path: Path, interval_s: int):
    telemetry = {"sample_interval_s": 1, "checkpoint_interval_s": interval_s}
    scenario_file(tmp_path / "scenarios", config={"telemetry": telemetry})
    run = opened(request(tmp_path, "run"))
    stamps = [checkpoint.read(run.directory)[0].ts_ns for _ in run]
    first, *others = sorted(set(stamps))
    started_ns = manifest(run.directory)["started_ns"]
    step_ns = interval_s * SECOND
    assert first - started_ns < SECOND
    starts = [stamp_ns // step_ns * step_ns for stamp_ns in others]
    assert all(stamp_ns - start_ns <= SECOND for stamp_ns, start_ns in zip(others, starts, strict=True))
    expected = range(started_ns // step_ns * step_ns, stamps[-1] + 1, step_ns)
    assert starts == list(expected)[1:]


@pytest.mark.parametrize(
    "changes",
    [
        {"spread": {"model": "glft"}},
        {"sim": {"market_data": {"model": "lognormal", "median_ms": 8, "sigma": 1}}},
        {"fetch_md": {"fair_value": "microprice"}, "emit": {"levels": 3, "level_step_bps": 1.0}},
    ],
    ids=["glft", "lognormal", "microprice"],
)
def test_every_model_is_in_the_checkpoint(tmp_path: Path, changes: dict[str, Any]):
    scenario_file(tmp_path / "scenarios", config=BUSY | changes)
    expected = played(opened(request(tmp_path, "whole")))
    directory = cut_off(opened(request(tmp_path, "first")), 30, tmp_path / "half")
    run = played(opened(interrupted(directory)))
    assert (run.digest, run.counts) == (expected.digest, expected.counts)
    assert rows(directory) == rows(expected.directory)


def test_rows_behind_the_checkpoint_are_kept_aside_and_counted(half: Path):
    with (half / "pipeline_ticks_20260101.jsonl").open("ab") as file:
        file.write(b'{"torn')
    before = (half / "pipeline_ticks_20260101.jsonl").read_bytes()
    header, _ = checkpoint.read(half)
    run = opened(interrupted(half))
    assert run.resumed_ns == header.ts_ns
    kept = (half / "pipeline_ticks_20260101.jsonl").read_bytes()
    torn = (half / "torn" / "1" / "pipeline_ticks_20260101.jsonl").read_bytes()
    assert len(kept) == header.feeds["pipeline_ticks_20260101.jsonl"] > 0
    assert kept + torn == before
    played(run)
    [resume] = manifest(half)["resumes"]
    assert resume["first_tick_ns"] == header.ts_ns
    assert resume["torn_rows"]["pipeline_ticks_20260101.jsonl"] == torn.count(b"\n") + 1


def test_a_crash_in_the_middle_of_the_repair_loses_nothing(half: Path, whole: dict[EngineKind, Run]):
    (half / "torn" / "1").mkdir(parents=True)  # the tail was copied, and not yet cut off
    shutil.copy(half / "samples_20260101.jsonl", half / "torn" / "1")
    run = played(opened(interrupted(half)))
    assert run.digest == whole[EngineKind.PLAIN].digest
    assert rows(half) == rows(whole[EngineKind.PLAIN].directory)
    assert (half / "torn" / "2").is_dir()


def test_a_directory_that_takes_no_repair_is_one_line_and_loses_nothing(
    half: Path, whole: dict[EngineKind, Run]
):
    with (half / "fills_20260101.jsonl").open("ab") as file:
        file.write(b'{"torn')
    before = (half / "fills_20260101.jsonl").read_bytes()
    (half / "torn").write_text("in the way")
    with pytest.raises(OutputError, match="half: cannot be repaired: "):
        opened(interrupted(half))
    assert (half / "fills_20260101.jsonl").read_bytes() == before
    (half / "torn").unlink()
    assert played(opened(interrupted(half))).digest == whole[EngineKind.PLAIN].digest


def test_a_feed_that_lost_rows_is_refused(half: Path):
    path = half / "pipeline_ticks_20260101.jsonl"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(OutputError, match=r"holds 100 bytes, expected the [0-9]+ that its checkpoint counts"):
        opened(interrupted(half))
    assert not (half / "torn").exists()


def test_a_suspended_run_leaves_a_checkpoint_of_its_last_tick_and_loses_none(
    tmp_path: Path, whole: dict[EngineKind, Run]
):
    run = opened(request(tmp_path, "run"))
    for index, _ in enumerate(run):
        if index == 25:
            run.suspend("SIGTERM")
    left = manifest(run.directory)
    assert (left["status"], left["reason"]) == ("halted", "SIGTERM")
    assert left["counts"]["ticks"] < whole[EngineKind.PLAIN].counts.ticks
    end = played(opened(interrupted(run.directory)))
    assert end.digest == whole[EngineKind.PLAIN].digest
    assert rows(run.directory) == rows(whole[EngineKind.PLAIN].directory)
    [resume] = manifest(run.directory)["resumes"]
    halted_ticks = resume["torn_rows"].get("pipeline_ticks_20260101.jsonl", 0)
    assert halted_ticks == left["counts"]["ticks"] - tick_count_at(run.directory, resume["first_tick_ns"])


def tick_count_at(directory: Path, before_ns: int) -> int:
    ticks = rows(directory)["pipeline_ticks_20260101.jsonl"]
    return sum(row["ts_ns"] < before_ns for row in ticks)


def test_settings_that_changed_while_it_ran_are_in_force_still(tmp_path: Path):
    override = tmp_path / "override.yaml"
    override.write_text("spread: {base_bps: 6}\n")
    asked = request(tmp_path, "run")
    asked = dataclasses.replace(asked, config=[*asked.config, override])
    ends = []
    for name in ("unbroken", "broken"):
        override.write_text("spread: {base_bps: 6}\n")
        run = opened(dataclasses.replace(asked, directory=tmp_path / name))
        playing = iter(run)
        for _ in itertools.islice(playing, 10):
            pass
        override.write_text("spread: {base_bps: 9}\n")
        run.reload()
        if name == "broken":
            for _ in itertools.islice(playing, 30):
                pass
            shutil.copytree(run.directory, tmp_path / "copy")
            run = opened(interrupted(tmp_path / "copy"))
            playing = iter(run)
        ends.append(run)
        for _ in playing:
            pass
    unbroken, broken = ends
    assert broken.digest == unbroken.digest
    assert manifest(broken.directory)["configs"] == manifest(unbroken.directory)["configs"]
    assert len(manifest(broken.directory)["configs"]) == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"seed": 7}, "seed is 7, its checkpoint was written with 1"),
        ({"duration_s": 5.0}, "duration is 5000000000 ns"),
        ({"run_id": "other"}, "run is other, its checkpoint was written with run"),
        ({"step": "soak"}, "step is soak, its checkpoint was written with run"),
        ({"engine": EngineKind.COMPILED}, "engine is compiled, its checkpoint was written with plain"),
    ],
    ids=str,
)
def test_another_request_is_refused(half: Path, changes: dict[str, Any], reason: str):
    assert reason in refusal(half, **changes)


def test_another_configuration_is_refused(half: Path, tmp_path: Path):
    other = tmp_path / "other.yaml"
    other.write_text("spread: {base_bps: 9}\n")
    asked = interrupted(half)
    assert "configuration is " in refusal(half, config=[*asked.config, other])


def test_another_market_is_refused(half: Path, tmp_path: Path):
    path = tmp_path / "scenarios" / "short.yaml"
    path.write_text(path.read_text().replace('"seed": 7', '"seed": 8'))
    assert "market is " in refusal(half)


def test_other_code_is_refused(half: Path, monkeypatch: pytest.MonkeyPatch):
    header, _ = checkpoint.read(half)
    monkeypatch.setattr(checkpoint.provenance, "source_sha256", lambda: "0" * 64)
    assert f"code is {'0' * 64}, its checkpoint was written with {header.facts['code']}" in refusal(half)


def test_a_finished_run_is_refused(tmp_path: Path):
    played(opened(request(tmp_path, "run")))
    with pytest.raises(ConfigError, match="the run is complete: nothing to resume"):
        interrupted(tmp_path / "run")


def test_a_halted_run_is_refused(tmp_path: Path):
    run = opened(request(tmp_path, "run"))
    for index, _ in enumerate(run):
        if index == 10:
            run.halt("stop rule x")
    with pytest.raises(ConfigError, match="the run is halted: nothing to resume"):
        interrupted(run.directory)


def test_what_is_no_run_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="is no directory of a run"):
        interrupted(tmp_path)


def test_without_checkpoints_there_is_nothing_to_resume(tmp_path: Path):
    scenario_file(tmp_path / "scenarios", config={"telemetry": {"checkpoint_interval_s": 0}})
    run = opened(request(tmp_path, "run"))
    directory = cut_off(run, 1, tmp_path / "half")
    with pytest.raises(ConfigError, match="before its first checkpoint, or writes none"):
        interrupted(directory)


def test_a_damaged_checkpoint_is_refused_and_not_unpickled(half: Path):
    path = half / checkpoint.NAME
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="its state is not what was written"):
        interrupted(half)
    path.write_bytes(content[:40])
    with pytest.raises(ConfigError, match="is no checkpoint that this code reads"):
        interrupted(half)


def test_a_run_that_is_being_played_is_refused(tmp_path: Path):
    run = opened(request(tmp_path, "run"))
    playing = iter(run)
    next(playing)
    with pytest.raises(ConfigError, match="another process is playing this run"):
        opened(interrupted(run.directory))


def limited(run: Run, size: int) -> OutputError:
    """Play it while the system lets no file grow beyond that size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        with pytest.raises(OutputError) as caught:
            played(run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    return caught.value


def test_a_full_disk_fails_the_run_which_goes_on_when_there_is_room(
    tmp_path: Path, whole: dict[EngineKind, Run]
):
    expected = whole[EngineKind.PLAIN]
    size = (expected.directory / "pipeline_ticks_20260101.jsonl").stat().st_size
    run = opened(request(tmp_path, "run"))
    error = limited(run, size * 2 // 3)
    assert str(error).endswith("cannot be written: File too large")
    left = manifest(run.directory)
    assert (left["status"], left["reason"]) == ("failed", str(error))
    assert played(opened(interrupted(run.directory))).digest == expected.digest
    assert rows(run.directory) == rows(expected.directory)


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(half: Path, whole: dict[EngineKind, Run]):
    header, _ = checkpoint.read(half)
    run = opened(interrupted(half))
    (half / f"{checkpoint.NAME}.partial").symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"checkpoint\.bin: cannot be written: No space left on device"):
        played(run)
    assert manifest(half)["status"] == "failed"
    assert checkpoint.read(half)[0] == header
    (half / f"{checkpoint.NAME}.partial").unlink()
    del run
    assert played(opened(interrupted(half))).digest == whole[EngineKind.PLAIN].digest


@pytest.fixture
def midnight(tmp_path: Path) -> Path:
    """A run over midnight, cut off behind it."""
    instrument = msgspec.to_builtins(linear())
    market = {"seed": 7, "start_ns": MIDNIGHT_NS - 8 * SECOND, "instrument": instrument, "settings": MARKET}
    scenario_file(tmp_path / "scenarios", config=BUSY, market=market)
    return cut_off(opened(request(tmp_path, "first")), 60, tmp_path / "half")


def test_a_day_that_closed_is_also_there_compressed(midnight: Path):
    closed = sorted(path.name for path in midnight.glob("*.zst"))
    assert "pipeline_ticks_20251231.jsonl.zst" in closed
    assert not [name for name in closed if "20260101" in name]
    for name in closed:
        packed = (midnight / name).read_bytes()
        rows_of_day = (midnight / name.removesuffix(".zst")).read_bytes()
        assert zstandard.ZstdDecompressor().decompress(packed) == rows_of_day


def test_a_resume_closes_the_days_that_the_crash_left_open(midnight: Path):
    before = {path.name: path.read_bytes() for path in midnight.glob("*.zst")}
    for path in midnight.glob("*.zst"):
        path.unlink()
    played(opened(interrupted(midnight)))
    assert {path.name: path.read_bytes() for path in midnight.glob("*.zst")} == before


def test_a_late_row_of_a_closed_day_takes_its_compressed_file_away(midnight: Path):
    header, _ = checkpoint.read(midnight)
    path = midnight / "events_20251231.jsonl.zst"
    assert path.exists()
    writer = FeedWriter(midnight, run_id="run", arm="A", data_kind="synthetic", written=header.feeds)
    late = EventRow(MIDNIGHT_NS - 1, None, "late", {})
    writer.write([late])
    writer.sync()
    assert not path.exists()
    writer.close_days(MIDNIGHT_NS)
    assert b'"kind":"late"' in zstandard.ZstdDecompressor().decompress(path.read_bytes())
    writer.close()
