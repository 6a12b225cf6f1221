"""A calibrated overlay says where its values came from, and is refused once a value was changed by hand."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.mmbot.builders import REPO

from mmbot.config.calibrated import Window, opened, sealed, window_of
from mmbot.config.settings import load_settings
from mmbot.config.strict_yaml import load
from mmbot.errors import ConfigError

WINDOW = Window("d" * 64, 10**18, 2 * 10**18, ["bybit_linear:SYNTHUSDT"])
FACTS: dict[str, Any] = {
    "made_by": "mmbot calibrate weights",
    "outcome": "new",
    "reason": "",
    "data_kind": "synthetic",
    "dataset": "calib_20260101_20260102",
    "dataset_sha256": "a" * 64,
    "config_sha256": "c" * 64,
    "window": {
        "data_sha256": "d" * 64,
        "from_ns": 10**18,
        "to_ns": 2 * 10**18,
        "symbols": ["bybit_linear:SYNTHUSDT"],
    },
    "window_sha256": WINDOW.sha256,
    "intervals": {"spread.base_bps": [3.9, 4.6]},
}
VALUES = {"spread": {"base_bps": 4.25, "volatility_weight_bps": 6.0}}


def overlay(folder: Path, facts: dict[str, Any] = FACTS, values: dict[str, Any] = VALUES) -> Path:
    path = folder / "calibrated_weights.yaml"
    path.write_text(yaml.safe_dump(sealed(facts, values), sort_keys=False), encoding="utf-8")
    return path


def test_its_values_are_in_force_and_its_window_can_be_asked(tmp_path: Path):
    path = overlay(tmp_path)
    settings = load_settings([REPO / "config.yaml", path])
    assert (settings.spread.base_bps, settings.spread.volatility_weight_bps) == (4.25, 6.0)
    assert window_of(path) == WINDOW
    plain = tmp_path / "plain.yaml"
    plain.write_text("spread: {base_bps: 4.25, volatility_weight_bps: 6.0}", encoding="utf-8")
    assert settings.sha256() == load_settings([REPO / "config.yaml", plain]).sha256()
    assert window_of(plain) is None


def test_one_that_keeps_the_old_weights_changes_nothing(tmp_path: Path):
    path = overlay(tmp_path, FACTS | {"outcome": "old", "reason": "not enough evidence: 3 fills"}, {})
    assert load_settings([REPO / "config.yaml", path]) == load_settings([REPO / "config.yaml"])


@pytest.mark.parametrize(
    ("was", "edited"),
    [
        ("base_bps: 4.25", "base_bps: 4.24"),
        ("outcome: new", "outcome: old"),
        ("data_kind: synthetic", "data_kind: recorded"),
        ("to_ns: 2000000000000000000", "to_ns: 2000000000000000001"),
        ("volatility_weight_bps: 6.0", "volatility_weight_bps: 6.0\n  max_bps: 50.0"),
    ],
)
def test_what_was_edited_by_hand_is_refused_where_it_is_loaded(tmp_path: Path, was: str, edited: str):
    path = overlay(tmp_path)
    text = path.read_text(encoding="utf-8")
    assert text.count(was) == 1
    path.write_text(text.replace(was, edited), encoding="utf-8")
    line = next(
        number for number, one in enumerate(path.read_text().splitlines(), 1) if one.startswith("  sha256:")
    )
    told = rf"{path}:{line}: calibration\.sha256: was .*edited after it was calibrated"
    with pytest.raises(ConfigError, match=told) as caught:
        load_settings([REPO / "config.yaml", path])
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="edited after it was calibrated"):
        window_of(path)


def test_a_window_of_another_hash_is_refused(tmp_path: Path):
    path = overlay(tmp_path, FACTS | {"window_sha256": "b" * 64})
    with pytest.raises(ConfigError, match="window_sha256: was bbbbbbbbbbbb, the window hashes to"):
        opened(load(path))


def test_an_unknown_or_missing_fact_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="surprise"):
        opened(load(overlay(tmp_path, FACTS | {"surprise": 1})))
    without = {name: value for name, value in FACTS.items() if name != "dataset_sha256"}
    with pytest.raises(ConfigError, match="dataset_sha256"):
        opened(load(overlay(tmp_path, without)))


def test_windows_are_told_apart_by_data_time_and_symbols():
    others = (
        Window("e" * 64, WINDOW.from_ns, WINDOW.to_ns, WINDOW.symbols),
        Window(WINDOW.data_sha256, WINDOW.from_ns + 1, WINDOW.to_ns, WINDOW.symbols),
        Window(WINDOW.data_sha256, WINDOW.from_ns, WINDOW.to_ns, [*WINDOW.symbols, "bybit_linear:XUSDT"]),
    )
    assert len({one.sha256 for one in (WINDOW, *others)}) == 4
