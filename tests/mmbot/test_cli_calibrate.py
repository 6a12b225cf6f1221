"""`mmbot calibrate`: what was measured is an overlay that a run takes; what was not is one line."""

from pathlib import Path

import msgspec
import pytest
from tests.mmbot.builders import REPO, Command, scenario_file


def test_what_was_calibrated_is_an_overlay_that_a_run_takes(mmbot: Command, tmp_path: Path):
    market = {
        "symbol": "bybit_linear:SYNTHUSDT",
        "duration_s": 300.0,
        "depth_levels": 20,
        "trades_per_s": 5.0,
    }
    long = msgspec.json.decode(scenario_file(tmp_path / "scenarios", "long").read_bytes())
    scenario_file(tmp_path / "scenarios", "long", market=long["market"] | {"settings": market})
    where = ("--scenario", "long", "--scenarios", tmp_path / "scenarios")
    code, printed, _ = mmbot("calibrate", "glft", *where)
    assert code == 0
    code, out, err = mmbot("calibrate", "glft", *where, "--out", tmp_path / "fitted.yaml")
    assert (code, out, err) == (0, f"written to {tmp_path / 'fitted.yaml'}\n", "")
    text = (tmp_path / "fitted.yaml").read_text(encoding="utf-8")
    assert text == printed
    for told in ("SYNTHETIC DATA", "data sha256 ", "windows of 1 s: ", "standard error", "chi squared"):
        assert told in text
    config = ("--config", REPO / "config.yaml", "--config-override", tmp_path / "fitted.yaml")
    code, shown, _ = mmbot("config", "show", *where, *config)
    assert code == 0
    assert "spread.model = glft" in shown
    fitted = dict(
        line.strip().split(": ") for line in text.splitlines() if "_per_" in line and "#" not in line
    )
    assert f"glft.decay_per_bps = {fitted['decay_per_bps']}" in shown
    code, _, _ = mmbot("run", *where, *config, "--duration", "10s", "--out", tmp_path / "out")
    assert code == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--scenario", "short"), "not enough evidence: "),
        (("--scenario", "short", "--symbol", "x:Y"), "scenario short: symbol was x:Y, expected one of "),
        (("--scenario", "short", "--window", "soon"), "--window: duration was 'soon'"),
        (("--scenario", "short", "--duration", "0s"), "--duration: duration was '0s'"),
    ],
    ids=str,
)
def test_what_cannot_be_calibrated_is_one_line_and_nothing_written(
    mmbot: Command, tmp_path: Path, arguments: tuple[str, ...], told: str
):
    out = tmp_path / "fitted.yaml"
    code, printed, err = mmbot(
        "calibrate", "glft", *arguments, "--scenarios", tmp_path / "scenarios", "--out", out
    )
    assert (code, printed) == (2, "")
    assert told in err
    assert err.count("\n") == 1
    assert not out.exists()
