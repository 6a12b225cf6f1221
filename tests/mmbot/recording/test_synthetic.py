"""A synthetic recording: generated once, named after all that made it, equal to its frames read back."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.mmbot.builders import KEY, MARKET, START_NS, linear

from mmbot.errors import OutputError, RecordingError
from mmbot.model.events import Trade
from mmbot.recording import synthetic
from mmbot.recording.columns import Columns
from mmbot.recording.importer import columns_of
from mmbot.recording.synthetic import synthetic_columns
from mmbot.recording.writer import RecordingWriter
from mmbot.sim.market import MarketSettings, SyntheticMarket
from mmbot.units import Ns
from mmbot.venues.bybit.feed import BybitFeed

SETTINGS = MarketSettings(**MARKET | {"duration_s": 5.0})


def generated(
    cache: Path, *, seed: int = 7, settings: MarketSettings = SETTINGS, start_ns: int = START_NS
) -> tuple[Columns, str]:
    return synthetic_columns(settings, linear(), seed=seed, start_ns=Ns(start_ns), cache=cache)


def market() -> SyntheticMarket:
    return SyntheticMarket(SETTINGS, 7, Ns(START_NS))


def pushed() -> Iterator[tuple[Ns, bytes]]:
    """Frames as Bybit would push them, each with the moment at which we would have received it."""
    feed = BybitFeed(linear(), SETTINGS.depth_levels)
    for event in market().events():
        yield event.recv_ns, feed.frame(event)


def test_it_holds_the_events_that_the_market_told(tmp_path: Path):
    told = [
        event if isinstance(event, Trade) else msgspec.structs.replace(event, update_id=0)
        for event in market().events()
    ]
    columns, _ = generated(tmp_path)
    assert list(columns.events(KEY)) == told
    assert columns.meta.frames == len(told) > 100


def test_its_frames_read_back_through_the_session_are_the_same_columns(tmp_path: Path):
    folder = tmp_path / "market"
    writer = RecordingWriter(folder, kind="synthetic", source="a test", instruments=[linear()])
    for recv_ns, frame in pushed():
        writer.add(recv_ns, frame)
    (file,) = writer.finish("complete").files
    read_back, _ = columns_of([folder / file.name], linear(), tmp_path)
    made, _ = generated(tmp_path)
    assert made.meta == read_back.meta
    for name, column in made.arrays.items():
        np.testing.assert_array_equal(column, read_back.arrays[name])


def test_it_is_generated_on_first_use_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first, name = generated(tmp_path)
    monkeypatch.delattr(synthetic, "SyntheticMarket")
    again, same_name = generated(tmp_path)
    assert (list(again.events(KEY)), same_name) == (list(first.events(KEY)), name)


def test_everything_that_makes_it_is_in_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    other = msgspec.structs.replace(SETTINGS, trades_per_s=1.0)
    names = {
        generated(tmp_path)[1],
        generated(tmp_path, seed=8)[1],
        generated(tmp_path, settings=other)[1],
        generated(tmp_path, start_ns=START_NS + 10**9)[1],
    }
    monkeypatch.setattr(synthetic, "GENERATOR_VERSION", -1)
    names.add(generated(tmp_path)[1])
    assert len(names) == 5


def test_the_same_seed_makes_the_same_market(tmp_path: Path):
    (one, name), (other, same_name) = generated(tmp_path / "a"), generated(tmp_path / "b")
    assert name == same_name
    for column, again in zip(one.arrays.values(), other.arrays.values(), strict=True):
        np.testing.assert_array_equal(column, again)


def test_a_market_too_large_for_columns_is_an_error_that_names_it(tmp_path: Path):
    huge = msgspec.structs.replace(SETTINGS, start_price_ticks=2**31)
    with pytest.raises(RecordingError, match=f"{KEY}: a generated price or size did not fit 32 bits"):
        generated(tmp_path, settings=huge)
    assert not [path for path in (tmp_path / "columns").iterdir() if path.is_dir()]


def test_a_cache_that_cannot_be_written_is_an_error_in_one_line(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written: ") as caught:
        generated(tmp_path / "file")
    assert "\n" not in str(caught.value)
