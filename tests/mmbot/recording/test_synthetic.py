"""A synthetic recording: generated once, labelled, read back through the door of captures."""

from pathlib import Path

import msgspec
import pytest
from tests.mmbot.builders import KEY, MARKET, START_NS, linear

from mmbot.errors import OutputError
from mmbot.model.events import BookDelta, BookSnapshot, Trade
from mmbot.recording.importer import columns_of
from mmbot.recording.reader import sha256
from mmbot.recording.synthetic import synthetic_recording
from mmbot.recording.writer import RecordingManifest
from mmbot.sim.market import MarketSettings, SyntheticMarket
from mmbot.units import Ns

SETTINGS = MarketSettings(**MARKET | {"duration_s": 5.0})


def generated(cache: Path, *, seed: int = 7, settings: MarketSettings = SETTINGS) -> Path:
    return synthetic_recording(settings, linear(), seed=seed, start_ns=Ns(START_NS), cache=cache)


def test_it_is_generated_on_first_use_and_found_again(tmp_path: Path):
    path = generated(tmp_path)
    stamp = path.stat().st_mtime_ns
    assert generated(tmp_path) == path
    assert path.stat().st_mtime_ns == stamp


def test_everything_that_makes_it_is_in_its_name(tmp_path: Path):
    other = msgspec.structs.replace(SETTINGS, trades_per_s=1.0)
    assert len({generated(tmp_path), generated(tmp_path, seed=8), generated(tmp_path, settings=other)}) == 3


def test_the_same_seed_makes_the_same_bytes(tmp_path: Path):
    assert sha256([generated(tmp_path / "a")]) == sha256([generated(tmp_path / "b")])


def test_its_manifest_says_that_it_is_synthetic_and_from_which_seed(tmp_path: Path):
    path = generated(tmp_path)
    manifest = msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=RecordingManifest)
    assert manifest.kind == "synthetic"
    assert "seed 7" in manifest.source
    assert manifest.instruments == [linear()]


def test_its_columns_are_the_events_that_the_market_told(tmp_path: Path):
    columns, _ = columns_of([generated(tmp_path)], linear(), tmp_path)
    told = [
        event if isinstance(event, Trade) else msgspec.structs.replace(event, update_id=0)
        for event in SyntheticMarket(SETTINGS, 7, Ns(START_NS)).events()
    ]
    found = list(columns.events(KEY))
    assert found == told
    assert isinstance(found[0], BookSnapshot)
    assert {type(event) for event in found} == {BookSnapshot, BookDelta, Trade}


def test_a_cache_that_cannot_be_written_is_an_error_in_one_line(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written: ") as caught:
        generated(tmp_path / "file")
    assert "\n" not in str(caught.value)
