"""A plan is the configuration of one scenario with the prices of its own market."""

from pathlib import Path

from tests.mmbot.builders import NEXO, REPO, capture, ms, recorded_file, scenario_file, wire_snapshot

from mmbot.ops.plan import plan

CONFIG = [REPO / "config.yaml"]


def test_a_generated_market_has_the_price_it_starts_at(tmp_path: Path):
    scenario_file(tmp_path, config={"emit": {"levels": 3}})
    planned = plan("short", tmp_path, CONFIG, None)
    assert [one.price for one in planned.economics] == [75.0]
    assert planned.settings.emit.levels == 3
    assert planned.document.where(("emit", "levels")).startswith(f"{tmp_path}/short.yaml:")


def test_a_recording_has_the_middle_of_its_first_book_and_without_it_no_price(tmp_path: Path):
    book = wire_snapshot(1, [["1.200", "5"], ["1.190", "5"]], [["1.210", "5"]])
    capture(tmp_path / "data" / "nexo.dat", [(ms(0), book), (ms(900), b'{"_sent":{}}')])
    recorded_file(tmp_path, [(NEXO, "nexo.dat")])
    (known,) = plan("taped", tmp_path, CONFIG, tmp_path / "data").economics
    assert known.price == 1.205
    (unknown,) = plan("taped", tmp_path, CONFIG, None).economics
    assert unknown.price is None
