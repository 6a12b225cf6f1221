"""The model glft in a whole run: every number of its section decides, and what stands around it holds."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.mmbot.builders import REPO, run_request

from mmbot.runtime.run import EngineKind, Run

GLFT: dict[str, dict[str, Any]] = {
    "spread": {"model": "glft", "min_bps": 0.1, "slew_bps_per_s": 50.0},
    "glft": {"risk_aversion_per_quote": 0.5, "intensity_per_s": 0.4, "decay_per_bps": 0.5},
    "inventory": {"max_skew_bps": 30.0},
}


def played(folder: Path, name: str, engine: EngineKind = EngineKind.PLAIN, **changes: dict[str, Any]) -> Run:
    """The short scenario under the model, with changes on top."""
    layers = {section: GLFT.get(section, {}) | changes.get(section, {}) for section in GLFT | changes}
    overlay = folder / f"{name}.yaml"
    overlay.write_bytes(msgspec.json.encode(layers))
    run = Run(run_request(folder, name, config=[REPO / "config.yaml", overlay], engine=engine))
    for _ in run:
        pass
    return run


@pytest.mark.parametrize(
    "changes",
    [
        {"glft": {"risk_aversion_per_quote": 5.0}},
        {"glft": {"intensity_per_s": 0.04}},
        {"glft": {"decay_per_bps": 0.4}},
        {"spread": {"min_bps": 6.0}},
        {"spread": {"model": "adaptive"}},
        {"inventory": {"max_skew_bps": 0.0}},
    ],
    ids=str,
)
def test_every_number_of_the_model_and_every_bound_around_it_decides(tmp_path: Path, changes: dict):
    plain, changed = played(tmp_path, "plain"), played(tmp_path, "changed", **changes)
    assert plain.counts.fills > 0
    assert changed.digest != plain.digest


def test_numbers_of_the_adaptive_model_decide_nothing_under_the_other(tmp_path: Path):
    plain = played(tmp_path, "plain")
    changed = played(tmp_path, "changed", spread={"base_bps": 9.0, "volatility_weight_bps": 20.0})
    assert changed.digest == plain.digest


def test_the_flag_that_switches_it_off_leaves_the_adaptive_base(tmp_path: Path):
    off = played(tmp_path, "off", spread={"enabled": False})
    plain = played(tmp_path, "plain", spread={"enabled": False, "model": "adaptive"})
    assert off.digest == plain.digest


def test_the_kernel_and_the_wake_filter_play_it_alike(tmp_path: Path):
    plain = played(tmp_path, "plain")
    compiled = played(tmp_path, "compiled", EngineKind.COMPILED)
    request = run_request(
        tmp_path,
        "filtered",
        config=[REPO / "config.yaml", tmp_path / "plain.yaml"],
        engine=EngineKind.COMPILED,
        wake_filter=True,
    )
    filtered = Run(request)
    for _ in filtered:
        pass
    assert compiled.digest == plain.digest == filtered.digest
