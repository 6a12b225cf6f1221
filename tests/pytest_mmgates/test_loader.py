"""A run directory is read whole or refused with file and line."""

import json
import shutil

import numpy as np
import pytest

from pytest_mmgates.errors import RunlogError
from pytest_mmgates.loader import load
from pytest_mmgates.rows import _BLOCK_BYTES


@pytest.fixture(scope="module")
def pristine(foreign_bot, tmp_path_factory):
    directory = tmp_path_factory.mktemp("run") / "r"
    foreign_bot.write_run(directory, {"minutes": 1})
    return directory


@pytest.fixture
def run_dir(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "r")


def feed(run_dir, name="pipeline_ticks"):
    return run_dir / f"{name}_20231114.jsonl"


def edit_row(path, index, **changes):
    lines = path.read_text().splitlines()
    lines[index] = json.dumps({**json.loads(lines[index]), **changes})
    path.write_text("".join(f"{line}\n" for line in lines))


def edit_manifest(run_dir, **changes):
    path = run_dir / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_rows_become_columns(run_dir):
    run = load(run_dir)
    assert run.symbols == ("paper:ABCUSDT",)
    assert len(run.ticks) == 61
    assert run.duration_ns == run.of(None).covered_ns == 60_000_000_000
    assert (run.manifest.ttl_ms, run.manifest.deadline_ns) == (500, 200_000_000)
    assert set(run.ticks.fetch_md) == {4_000_000}
    assert len(run.fills) == 40
    assert run.of("paper:ABCUSDT").events == {"order": 1}
    assert run.manifest.instrument("paper:ABCUSDT").quote == "USDT"


def test_null_is_nan(run_dir):
    edit_row(feed(run_dir), 3, mid=None, age_ns=None, bid=None)
    ticks = load(run_dir).ticks
    assert np.flatnonzero(np.isnan(ticks.mid)).tolist() == [3]
    assert np.flatnonzero(np.isnan(ticks.age_ns)).tolist() == [3]
    assert np.flatnonzero(~ticks.quoted).tolist() == [3]


def test_days_follow_each_other(run_dir):
    lines = feed(run_dir).read_text().splitlines(keepends=True)
    feed(run_dir).write_text("".join(lines[:20]))
    (run_dir / "pipeline_ticks_20231115.jsonl").write_text("".join(lines[20:]))
    assert len(load(run_dir).ticks) == 61


def test_many_blocks_are_one_column(foreign_bot, tmp_path):
    foreign_bot.write_run(tmp_path / "r", {"minutes": 10, "tick_ms": 50})
    assert feed(tmp_path / "r").stat().st_size > _BLOCK_BYTES
    ticks = load(tmp_path / "r").ticks
    assert len(ticks) == 12_001
    assert (np.diff(ticks.ts_ns) == 50_000_000).all()


def test_an_error_far_into_a_file_is_named_with_its_line(foreign_bot, tmp_path):
    foreign_bot.write_run(
        tmp_path / "r", {"minutes": 10, "tick_ms": 50, "corrupt": ("pipeline_ticks", 11_999)}
    )
    with pytest.raises(RunlogError, match=r"pipeline_ticks_20231114\.jsonl:12000: corrupt row"):
        load(tmp_path / "r")


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("pipeline_ticks", {"symbol": "paper:XYZ"}, ":8: symbol 'paper:XYZ' is not among the feeds"),
        ("pipeline_ticks", {"run_id": "r2"}, ":8: row of run_id 'r2'"),
        ("pipeline_ticks", {"data_kind": "recorded"}, ":8: row of run_id 'r1' and data_kind 'recorded'"),
        ("pipeline_ticks", {"ts_ns": 5}, ":8: out of time order: 5 after"),
        ("pipeline_ticks", {"mid": float("nan")}, ":8: corrupt row: JSON is malformed"),
        ("pipeline_ticks", {"mid": float("inf")}, ":8: corrupt row"),
        ("pipeline_ticks", {"mid": 0}, ":8: corrupt row"),
        ("pipeline_ticks", {"cache": "warm"}, ":8: corrupt row: Invalid enum value 'warm'"),
        ("pipeline_ticks", {"fetch_md_ns": -1}, ":8: corrupt row"),
        ("pipeline_ticks", {"fetch_md_ns": 2**63}, ":8: corrupt row"),
        ("pipeline_ticks", {"wait_ns": "3"}, ":8: corrupt row: Expected `int`, got `str`"),
        ("pipeline_ticks", {"deadline_miss": None}, ":8: corrupt row"),
        ("fills", {"recv_ns": 5}, ":8: out of time order"),
        ("fills", {"qty": 0}, ":8: corrupt row"),
        ("fills", {"side": "long"}, ":8: corrupt row"),
        ("fills", {"fee": float("-inf")}, ":8: corrupt row"),
    ],
)
def test_a_row_that_cannot_be_believed_is_named(run_dir, name, changes, message):
    edit_row(feed(run_dir, name), 7, **changes)
    with pytest.raises(RunlogError) as caught:
        load(run_dir)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_number_too_large_for_a_float_is_corrupt(run_dir):
    path = feed(run_dir)
    path.write_text(path.read_text().replace('"half_spread_bps": 5.0', '"half_spread_bps": 1e999', 1))
    load(run_dir)  # nothing here reads that field
    path.write_text(path.read_text().replace('"position_quote": 0.0', '"position_quote": 1e999', 1))
    with pytest.raises(RunlogError, match="Number out of range"):
        load(run_dir)


def test_every_cut_of_the_last_row_is_torn_or_missed(run_dir):
    content = feed(run_dir).read_bytes()
    last = content[:-1].rindex(b"\n") + 1
    for size in range(last + 1, len(content), 13):
        feed(run_dir).write_bytes(content[:size])
        with pytest.raises(RunlogError, match=r":61: torn row"):
            load(run_dir)
    feed(run_dir).write_bytes(content[:last])
    with pytest.raises(RunlogError, match=r"manifest\.json counts 61 ticks, the files hold 60"):
        load(run_dir)


def test_an_empty_line_is_corrupt(run_dir):
    feed(run_dir).write_text(feed(run_dir).read_text().replace("\n", "\n\n", 1))
    with pytest.raises(RunlogError, match=r":2: corrupt row"):
        load(run_dir)


def test_two_rows_on_one_line_are_corrupt(run_dir):
    feed(run_dir).write_text(feed(run_dir).read_text().replace("\n", " ", 1))
    with pytest.raises(RunlogError, match=r":1: corrupt row"):
        load(run_dir)


def test_a_manifest_that_cannot_be_believed_is_named(run_dir):
    edit_manifest(run_dir, schema=2)
    with pytest.raises(RunlogError, match=r"manifest\.json: Invalid enum value 2"):
        load(run_dir)
    edit_manifest(run_dir, schema=1, config={"pipeline": {"deadline_ms": 200}})
    with pytest.raises(RunlogError, match=r"config has no number md_cache\.ttl_ms"):
        load(run_dir)
    (run_dir / "manifest.json").write_text("{")
    with pytest.raises(RunlogError, match=r"manifest\.json: "):
        load(run_dir)
    (run_dir / "manifest.json").unlink()
    with pytest.raises(RunlogError, match=r"manifest\.json: No such file"):
        load(run_dir)


def test_another_run_in_the_same_place_is_refused(run_dir):
    with pytest.raises(RunlogError, match="holds run r1, expected r2"):
        load(run_dir, run_id="r2")


def test_no_events_feed_is_not_no_events(run_dir):
    feed(run_dir, "events").write_text("")
    assert load(run_dir).tally.process.events == {}
    feed(run_dir, "events").unlink()
    assert load(run_dir).tally.process.events is None


def test_one_symbol_on_two_venues_must_be_named_in_full(run_dir):
    manifest = json.loads((run_dir / "manifest.json").read_text())
    other = {**manifest["data"]["feeds"][0], "venue": "other"}
    edit_manifest(run_dir, data={**manifest["data"], "feeds": [*manifest["data"]["feeds"], other]})
    assert load(run_dir).symbols == ("paper:ABCUSDT", "other:ABCUSDT")
    edit_row(feed(run_dir), 2, symbol="ABCUSDT")
    with pytest.raises(RunlogError, match=r":3: symbol 'ABCUSDT' is not among"):
        load(run_dir)
