"""`mmbot sweep`: a page and a verdict, or one line."""

from pathlib import Path

import pytest
from tests.mmbot.builders import REPO, Command, scenario_file

from mmbot.cli_sweep import _tell_troubles
from mmbot.ops.sweep import SweepRequest, open_sweep
from mmbot.ops.sweep_report import replay_line
from mmbot.ops.sweep_run import Trouble


def of_short(tmp_path: Path) -> tuple[str | Path, ...]:
    where = ("--scenario", "short", "--scenarios", tmp_path / "scenarios")
    return ("sweep", *where, "--config", REPO / "config.yaml", "--out", tmp_path / "out")


def test_a_sweep_says_its_verdict_and_where_its_page_is_and_goes_on(mmbot: Command, tmp_path: Path):
    asked = (*of_short(tmp_path), "--set", "spread.base_bps=2:4:1", "--seeds", "2")
    code, out, err = mmbot(*asked)
    page = tmp_path / "out/reports/SWEEP_short_spread.base_bps.md"
    assert (code, err) == (2, "")
    assert out.startswith("NO_DATA (SYNTHETIC): configuration in force: ")
    assert out.endswith(f"expected 30\nwritten to {page}\n")
    assert "# Sweep short_spread.base_bps: NO_DATA (SYNTHETIC)" in page.read_text()
    code, out, _ = mmbot(*asked)
    assert code == 2
    assert out.startswith("6 of 6 shards were there already\n")


def test_one_shard_is_played_by_itself_and_nothing_is_written(mmbot: Command, tmp_path: Path):
    asked = (*of_short(tmp_path), "--set", "spread.base_bps=2,3")
    code, out, _ = mmbot(*asked, "--shard", "1/all/1")
    assert code == 0
    assert out.startswith('{"digest":"')
    assert not (tmp_path / "out").exists()
    code, _, err = mmbot(*asked, "--shard", "2/all/1")
    assert (code, err) == (
        2,
        "mmbot: --shard: was '2/all/1', expected POINT/PART/SEED of this sweep, as in its report\n",
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--set", "spread.base=1"), "mmbot: --set spread.base: no such setting"),
        (
            ("--set", "spread.base_bps=2", "--metric", "x"),
            "mmbot: --metric: was 'x', expected one of: ",
        ),
        (("--set", "spread.base_bps=2", "--block", "soon"), "mmbot: --block: duration was 'soon'"),
        (("--set", "spread.base_bps=2", "--duration", "0s"), "mmbot: --duration: duration was '0s'"),
        (("--set", "spread.base_bps=2", "--cluster", "tcp://x"), "mmbot: --cluster: cluster was 'tcp://x'"),
    ],
    ids=str,
)
def test_what_cannot_be_swept_is_one_line_and_nothing_is_reported(
    mmbot: Command, tmp_path: Path, arguments: tuple[str, ...], told: str
):
    code, out, err = mmbot(*of_short(tmp_path), *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(told)
    assert err.count("\n") == 1
    assert not (tmp_path / "out" / "reports").exists()


def test_points_that_failed_are_told_with_the_line_that_plays_them_and_few_of_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    scenario_file(tmp_path)
    config = [REPO / "config.yaml"]
    sweep = open_sweep(SweepRequest("short", tmp_path, config, ["emit.levels=1:9:1"], None, tmp_path / "out"))
    bug = Trouble("1/all/1", "ValueError: no", "Traceback ...\nValueError: no")
    _tell_troubles(sweep, [bug, *(Trouble(f"{number}/all/1", "gone", None) for number in range(2, 9))])
    told = capsys.readouterr().err.splitlines()
    assert told[:2] == ["shard 1/all/1: Traceback ...", "ValueError: no"]
    assert told[2] == f"    {replay_line(sweep, '1/all/1')}"
    assert told[3] == "shard 2/all/1: gone"
    assert told[-1] == "and 3 more points, in the report"
    assert len(told) == 3 + 2 * 4 + 1
