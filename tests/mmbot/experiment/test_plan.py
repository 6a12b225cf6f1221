"""Plans: read strictly, and a hash that no edit survives."""

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.mmbot.builders import MARKET, REPO, START_NS, linear, scenario_file
from tests.mmbot.experiment.plans import MAJOR, OTHER, plan_file, written

from mmbot.errors import ConfigError
from mmbot.experiment.plan import Experiment, SeenData, Stage, load_experiment
from mmbot.units import SECOND

SYMBOLS = {"SYNTH01USDT": {"base": "S1", "seed": 1}, "SYNTH02USDT": {"base": "S2", "seed": 2}}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with all that the plan names."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPO / "config.yaml", tmp_path)
    (tmp_path / "wider.b.yaml").write_text("spread: {base_bps: 3.5}\n")
    (tmp_path / "ab.yaml").write_text("gate: ab\n")
    instrument = {
        key: value for key, value in msgspec.to_builtins(linear()).items() if key not in ("symbol", "base")
    }
    settings = {key: value for key, value in MARKET.items() if key != "symbol"}
    market = {"start_ns": START_NS, "instrument": instrument, "settings": settings, "symbols": SYMBOLS}
    scenario_file(tmp_path / "scenarios", "two", market=market)
    return tmp_path


def loaded(**changes: Any) -> Experiment:
    return load_experiment(plan_file(Path(), **changes), Path("scenarios"))


def refused(**changes: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(**changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_plan_knows_its_arms_and_stages():
    experiment = loaded()
    assert experiment.settings["A"].spread.base_bps == 3.0
    assert experiment.settings["B"].spread.base_bps == 3.5
    assert list(experiment.plan.stages) == list(Stage)
    assert experiment.plan.cluster_of(OTHER) == "others"
    assert experiment.config_sha256["B"] == {"two": experiment.settings["B"].sha256()}


def test_the_same_plan_has_the_same_hash_wherever_a_key_stands(project: Path):
    before = loaded().plan_hash
    text = msgspec.json.encode(dict(reversed(written().items())))
    (project / "wider.yaml").write_bytes(text)
    assert load_experiment(project / "wider.yaml", project / "scenarios").plan_hash == before


@pytest.mark.parametrize(
    "edit",
    [
        {"seed": 2},
        {"floor_bps": 0.1},
        {"max_pairs": 337},
        {"title": "Another"},
        {"washout": "16m"},
        {"calibrated_on": [{"sha256": "f00d"}]},
        {"clusters": {"majors": [MAJOR, OTHER]}},
    ],
    ids=lambda edit: next(iter(edit)),
)
def test_every_edit_of_the_plan_is_another_plan(edit: dict[str, Any]):
    assert loaded(**edit).plan_hash != loaded().plan_hash


@pytest.mark.parametrize("file", ["wider.b.yaml", "config.yaml", "ab.yaml"])
def test_every_edit_of_what_a_plan_names_is_another_plan(project: Path, file: str):
    before = loaded().plan_hash
    text = (project / file).read_text()
    edits = {
        "wider.b.yaml": ("3.5", "3.6"),
        "config.yaml": ("max_eta_s: 20", "max_eta_s: 21"),
        "ab.yaml": ("ab", "ab "),
    }
    (project / file).write_text(text.replace(*edits[file]))
    assert loaded().plan_hash != before


def test_an_edit_that_changes_no_value_is_the_same_plan(project: Path):
    before = loaded().plan_hash
    (project / "wider.b.yaml").write_text("# half a basis point\nspread:\n  base_bps: 3.5\n")
    assert loaded().plan_hash == before


def test_two_equal_arms_are_a_plan():
    assert loaded(arms={"A": [], "B": []}).settings["A"] == loaded().settings["A"]


WRONG = {
    "name": ({"name": "other"}, "name: was other, expected the file's own, wider"),
    "no config": ({"config": []}, "config: was empty, expected a base file"),
    "duration": ({"block": "60"}, "block: duration was '60'"),
    "wash-out": ({"washout": "60m"}, "washout: was 60m, expected below 60m"),
    "stage": ({"stages": {"replay": {"duration": "1h", "pairs": 0}}}, "missing: 10, 50, 100"),
    "effect": ({"effect_bps": 0.2}, "effect_bps: was 0.2, expected above floor_bps = 0.2"),
    "floor": ({"floor_bps": 0.0}, "floor_bps: was 0.0, expected more than 0"),
    "confidence": ({"confidence": 97.5}, "confidence: was 97.5, expected above 0.5 and below 1"),
    "metric": ({"metric": "pnl"}, "metric: Invalid enum value 'pnl'"),
    "unknown key": ({"floor": 1}, "floor: Object contains unknown field"),
    "twice": ({"clusters": {"all": [MAJOR, OTHER, MAJOR]}}, f"{MAJOR} was listed twice"),
    "lost": ({"clusters": {"all": [MAJOR]}}, f"{OTHER} of scenario two was in none"),
    "unknown": ({"clusters": {"all": [MAJOR, OTHER, "x:Y"]}}, "x:Y: in no scenario of the plan"),
    "window": (
        {"calibrated_on": [{"sha256": "f", "from": "2026-01-02T00:00Z", "to": "2026-01-01T00:00Z"}]},
        "calibrated_on.0: from was 2026-01-02T00:00Z, expected before to",
    ),
    "local time": (
        {"calibrated_on": [{"sha256": "f", "from": "2026-01-02T00:00"}]},
        "moment was '2026-01-02T00:00', expected an offset",
    ),
    "no gate": ({"gate": "none.yaml"}, "none.yaml: cannot be read: No such file or directory"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_plan_is_one_line_with_file_and_key(name: str):
    edit, message = WRONG[name]
    assert message in refused(**edit)


def test_arms_that_see_another_market_are_no_experiment(project: Path):
    (project / "wider.b.yaml").write_text("sim: {entry: {model: constant, median_ms: 1, sigma: 0}}\n")
    assert "arms.B: sim.entry.model was constant, expected lognormal as of arm A" in refused()


def test_live_settings_need_a_live_scenario():
    with pytest.raises(ConfigError, match=r"wider\.yaml: live: was absent"):
        load_experiment(plan_file(Path()), Path("scenarios"), live=True)


def test_seen_data_is_a_window_in_ns():
    seen = SeenData("f00d", "2026-01-01T00:00:00Z", "2026-01-01T02:00:00+01:00")
    assert seen.window_ns == (START_NS, START_NS + 3_600 * SECOND)
    assert SeenData("f00d").window_ns == (None, None)
