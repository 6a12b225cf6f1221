"""A sweep from its options to its page: what is played, kept, gone on with, and said of it."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.mmbot.builders import REPO, START_NS, scenario_file

from mmbot.calibration.block_sums import SUMS, PointSums
from mmbot.edge.markout import Markouts
from mmbot.errors import ConfigError, RecordingError
from mmbot.model.records import FillRow, Row, TickRow
from mmbot.ops.sweep import Sweep, SweepRequest, open_sweep
from mmbot.ops.sweep_report import overlay_path, replay_line, write
from mmbot.ops.sweep_run import Outcome, Trouble, play_sweep
from mmbot.ops.sweep_shard import Shard, play
from mmbot.ops.sweep_store import SweepStore
from mmbot.ops.sweep_verdict import Verdict, judge
from mmbot.runtime.run import EngineKind, Run, RunRequest
from mmbot.units import DAY, HOUR, SECOND

Sweeping = Callable[..., Sweep]
_OF_TOO_FEW_SUMS = b'{"shard":"0/all/1","digest":"","seconds":1,"worker":"","blocks":{"0":[1]}}\n'


@pytest.fixture
def sweeping(tmp_path: Path) -> Sweeping:
    """Opens a sweep of the short scenario."""
    scenario_file(tmp_path / "scenarios")
    (tmp_path / "config.yaml").write_bytes((REPO / "config.yaml").read_bytes())

    def open_one(*sets: str, **changes: Any) -> Sweep:
        facts: dict[str, Any] = {
            "scenario": "short",
            "scenarios": tmp_path / "scenarios",
            "config": [tmp_path / "config.yaml"],
            "sets": sets or ("spread.base_bps=2,3,4",),
            "data": None,
            "out": tmp_path / "out",
        }
        return open_sweep(SweepRequest(**facts | changes))

    return open_one


def played(sweep: Sweep, *, again: bool = False, address: str | None = None) -> Outcome:
    with SweepStore(sweep.folder, sweep.content, sweep.sha256, again=again) as store:
        return play_sweep(sweep, store, address, lambda _: None, lambda _: None)


def point_sums(
    net_bps: np.ndarray, fills: int = 10, start_ns: int = START_NS, block_ns: int = 2 * HOUR
) -> PointSums:
    """A row a block: that net over a notional of 1000."""
    sums, nothing = PointSums(), dict.fromkeys(SUMS, 0.0)
    for at, bps in enumerate(net_bps.tolist()):
        row = nothing | {
            "net": bps / 10,
            "weight": 1000.0,
            "fills_with_net": fills,
            "fills": fills,
            "hours": 2.0,
        }
        sums.fold({start_ns + at * block_ns: list(row.values())})
    return sums


def outcome_of(sweep: Sweep, better_bps: float, blocks: int = 12, **changes: Any) -> Outcome:
    """Points that share a market; the last is better by so much."""
    rng = np.random.default_rng(1)
    market = rng.normal(0.0, 5.0, blocks)
    numbers = [one.number for one in sweep.played]
    sums = {number: point_sums(market + rng.normal(0.0, 0.3, blocks)) for number in numbers}
    sums[numbers[-1]] = point_sums(market + better_bps + rng.normal(0.0, 0.3, blocks))
    digests = {number: (str(number),) for number in numbers}
    return replace(Outcome(sums=sums, digests=digests, finished=len(numbers)), **changes)


def test_points_are_judged_before_anything_is_played(sweeping: Sweeping):
    """1 is below what the least would be, 1.9 below the maker fee of 2, 30 in force."""
    sweep = sweeping("spread.max_bps=1,1.9,30", "spread.min_bps=1.5,2")
    labels = {one.label: one for one in sweep.candidates}
    assert sweep.candidates[0].label == "in force"
    out_of_range = labels["spread.max_bps=1.0 spread.min_bps=1.5"]
    assert "spread.min_bps: was 1.5, expected at most spread.max_bps = 1.0" in str(out_of_range.refused)
    earns_nothing = labels["spread.max_bps=1.9 spread.min_bps=1.5"]
    assert "bybit_linear:SYNTHUSDT: even the widest half spread earns nothing" in str(earns_nothing.refused)
    assert labels["spread.max_bps=30.0 spread.min_bps=2.0"].same
    assert [one.label for one in sweep.played] == ["in force", "spread.max_bps=30.0 spread.min_bps=1.5"]


def test_a_setting_of_a_feature_that_is_off_is_the_settings_in_force(sweeping: Sweeping):
    sweep = sweeping("inventory.enabled=false", "inventory.max_skew_bps=1,2")
    assert [one.same for one in sweep.candidates] == [False, False, False]
    config = Path(str(sweep.request.config[0]))
    off = config.read_text().replace("inventory:\n  enabled: true", "inventory:\n  enabled: false")
    config.write_text(off, encoding="utf-8")
    assert all(one.same for one in sweeping("inventory.max_skew_bps=1,2").candidates[1:])


def test_every_point_has_the_same_tape_and_the_same_seeds(sweeping: Sweeping):
    sweep = sweeping(seeds=2)
    assert sweep.seeds == [1, 2]
    names = [name for name, _ in sweep.payloads(set())]
    assert names == [f"{one.number}/all/{seed}" for one in sweep.played for seed in (1, 2)]
    payloads = [payload for _, payload in sweep.payloads({"0/all/1"})]
    assert len(payloads) == len(names) - 1
    assert len({json.dumps(payload["market"]) for payload in payloads}) == 1


def test_a_shard_has_the_orders_and_the_net_of_the_run_that_it_stands_for(sweeping: Sweeping, tmp_path: Path):
    (_, shard), *_ = sweeping("spread.base_bps=2,4").shards(sweeping("spread.base_bps=2,4").candidates[1])
    overlay = tmp_path / "point.yaml"
    overlay.write_text("spread: {base_bps: 2.0}\n", encoding="utf-8")
    run = Run(
        RunRequest(
            scenario="short",
            scenarios=tmp_path / "scenarios",
            config=[tmp_path / "config.yaml", overlay],
            data=None,
            run_id="whole",
            directory=tmp_path / "whole",
        )
    )
    markouts = Markouts(run.instruments[0])
    run.observers.append(_Into(markouts))
    assert list(run)
    found = play({name: getattr(shard, name) for name in Shard.__struct_fields__})
    assert found["digest"] == run.digest
    total = dict(zip(SUMS, np.sum(list(found["blocks"].values()), axis=0), strict=True))
    assert total["fills"] == run.counts.fills > 0
    assert total["ticks"] == run.counts.ticks
    assert total["fills_with_net"] == markouts.edge.fills
    assert total["net"] == pytest.approx(markouts.edge.net.settled, rel=1e-12)


class _Into:
    """Rows into markouts."""

    def __init__(self, markouts: Markouts) -> None:
        self._markouts = markouts

    def rows(self, rows: list[Row]) -> None:
        for row in rows:
            if isinstance(row, TickRow):
                self._markouts.tick(row)
            elif isinstance(row, FillRow):
                self._markouts.fill(row)


def test_a_shard_writes_nothing(sweeping: Sweeping, tmp_path: Path):
    before = sorted(tmp_path.rglob("*"))
    (_, payload), *_ = sweeping().payloads(set())
    play(payload)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_worker_with_other_files_fails_the_shard(sweeping: Sweeping, tmp_path: Path):
    (_, payload), *_ = sweeping().payloads(set())
    with pytest.raises(ConfigError, match=r"data was \w{12} here, expected 0{12} of the sweep"):
        play({**payload, "market": {"bybit_linear:SYNTHUSDT": "0" * 64}})
    with (tmp_path / "config.yaml").open("a") as config:
        config.write("# changed\n")
    play(payload)
    text = (tmp_path / "config.yaml").read_text().replace("hold_ms: 500", "hold_ms: 600")
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"config.yaml: config_sha256 was \w{12} here, expected \w{12}"):
        play(payload)


def test_a_sweep_goes_on_where_it_was_and_comes_to_the_same(sweeping: Sweeping):
    sweep = sweeping()
    whole = played(sweep)
    lines = sweep.folder / "shards.jsonl"
    written = lines.read_bytes()
    assert (whole.finished, whole.resumed, len(written.splitlines())) == (3, 0, 3)
    first, second, third = written.splitlines(keepends=True)
    lines.write_bytes(third + first + second[:-10])
    resumed = played(sweep)
    assert (resumed.finished, resumed.resumed) == (3, 2)
    assert resumed.digests == whole.digests
    for number, sums in whole.sums.items():
        starts_ns = sorted(sums.starts_ns)
        assert (resumed.sums[number].table(starts_ns) == sums.table(starts_ns)).all()
    again = played(sweep)
    assert (again.finished, again.resumed) == (3, 3)


def test_another_metric_is_read_off_the_same_shards(sweeping: Sweeping):
    played(sweeping())
    assert played(sweeping(metric="fills")).resumed == 3


def test_an_edited_sweep_is_refused_unless_it_is_to_begin_again(sweeping: Sweeping):
    played(sweeping(name="one"))
    edited = sweeping("spread.base_bps=2,3,5", name="one")
    with pytest.raises(ConfigError, match=r"sweep\.json: is of another sweep, .*--again to throw it away"):
        played(edited)
    found = played(edited, again=True)
    assert (found.finished, found.resumed) == (3, 0)
    assert played(edited).resumed == 3


def test_a_folder_in_use_is_refused(sweeping: Sweeping):
    sweep = sweeping()
    with (
        SweepStore(sweep.folder, sweep.content, sweep.sha256, again=False),
        pytest.raises(ConfigError, match="a sweep is being played into it"),
    ):
        played(sweep)


@pytest.mark.parametrize("line", [b"{}\n", _OF_TOO_FEW_SUMS], ids=len)
def test_a_line_that_is_no_shard_is_told_with_its_place(sweeping: Sweeping, line: bytes):
    sweep = sweeping()
    played(sweep)
    with (sweep.folder / "shards.jsonl").open("ab") as lines:
        lines.write(line)
    with pytest.raises(ConfigError, match=r"shards\.jsonl:4: was no finished shard: "):
        played(sweep)


def test_a_shard_that_fails_leaves_its_point_without_data_and_the_line_that_replays_it(
    sweeping: Sweeping, tmp_path: Path
):
    sweep = sweeping()
    text = (tmp_path / "config.yaml").read_text().replace("hold_ms: 500", "hold_ms: 600")
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    outcome = played(sweep)
    assert outcome.finished == 0
    assert set(outcome.troubles) == {0, 1, 3}
    judged = judge(sweep, outcome)
    assert judged.verdict is Verdict.NO_DATA
    assert "configuration in force: shard 0/all/1: " in judged.reason
    page = write(judged).read_text()
    assert replay_line(sweep, "1/all/1") in page
    assert replay_line(sweep, "1/all/1").endswith("--shard 1/all/1")


def test_too_few_fills_are_no_data_with_their_count(sweeping: Sweeping):
    sweep = sweeping()
    judged = judge(sweep, played(sweep))
    assert judged.verdict is Verdict.NO_DATA
    assert re.fullmatch(r"configuration in force: \d+ fills with a net, expected 30", judged.reason)


def test_an_improvement_that_is_told_apart_passes_and_is_an_overlay(sweeping: Sweeping):
    sweep = sweeping()
    judged = judge(sweep, outcome_of(sweep, better_bps=6.0))
    assert (judged.verdict, judged.proposed, judged.region) == (Verdict.PASS, 3, {3})
    assert "no days were held back" in judged.reason
    page = write(judged).read_text()
    assert page.startswith("# Sweep short_spread.base_bps: PASS (SYNTHETIC)\n")
    written = overlay_path(sweep).read_text()
    assert written.endswith("spread:\n  base_bps: 4.0\n")
    assert "SYNTHETIC DATA" in written
    write(judge(sweep, outcome_of(sweep, better_bps=0.0)))
    assert not overlay_path(sweep).exists()


def test_a_best_that_is_not_told_apart_is_inconclusive_and_says_what_luck_would_show(sweeping: Sweeping):
    sweep = sweeping()
    judged = judge(sweep, outcome_of(sweep, better_bps=0.0))
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert 0 in judged.region
    assert judged.selected is not None
    assert f"{judged.selected.luck:+.3g} by luck" in judged.reason or "no point had a better" in judged.reason


def test_more_a_fill_that_is_less_an_hour_is_inconclusive(sweeping: Sweeping):
    """Wider quotes: half of the fills, each worth a little more."""
    sweep = sweeping()
    outcome = outcome_of(sweep, 0.0)
    for number, (bps, weight) in {0: (10.0, 1000.0), 3: (14.0, 500.0)}.items():
        starts_ns = sorted(outcome.sums[number].starts_ns)
        table = outcome.sums[number].table(starts_ns)
        table[:, SUMS.index("net")] = (bps + np.arange(len(starts_ns)) % 3) * weight / 1e4
        table[:, SUMS.index("weight")] = weight
        outcome.sums[number] = PointSums()
        outcome.sums[number].fold(dict(zip(starts_ns, table.tolist(), strict=True)))
    judged = judge(sweep, outcome)
    assert (judged.verdict, judged.proposed) == (Verdict.INCONCLUSIVE, 3)
    assert "; but it nets 0.375 USDT an hour, less than 0.55" in judged.reason


@pytest.mark.parametrize(
    ("later_bps", "verdict", "told"),
    [
        (6.0, Verdict.PASS, "; on held-back days +5.8"),
        (-6.0, Verdict.INCONCLUSIVE, "; not borne out on held-back"),
    ],
)
def test_what_was_selected_is_confirmed_on_days_that_did_not_select_it(
    sweeping: Sweeping, later_bps: float, verdict: Verdict, told: str
):
    """Four days of twelve blocks: three but for one block are seen, the last is held back."""
    sweep, blocks = sweeping(), 48
    outcome = outcome_of(sweep, better_bps=6.0, blocks=blocks)
    late = outcome.sums[3].table(sorted(outcome.sums[3].starts_ns))
    first_held = START_NS + 3 * DAY
    flipped = PointSums()
    for start_ns, row in zip(sorted(outcome.sums[3].starts_ns), late, strict=True):
        row[0] += (later_bps - 6.0) / 10 * (start_ns >= first_held)
        flipped.fold({start_ns: row.tolist()})
    outcome.sums[3] = flipped
    judged = judge(sweep, outcome)
    assert (judged.verdict, judged.proposed) == (verdict, 3)
    assert told in judged.reason
    assert (len(judged.blocks), len(judged.held_back)) == (35, 12)


def test_a_lost_cluster_ends_without_data_and_says_what_is_kept(sweeping: Sweeping):
    sweep = sweeping()
    judged = judge(sweep, outcome_of(sweep, 6.0, lost="cluster tcp://a:1: the scheduler is gone", finished=2))
    assert judged.verdict is Verdict.NO_DATA
    assert "the scheduler is gone; 2 of 3 shards are kept" in judged.reason


def test_a_failed_point_is_left_out_and_the_others_are_compared(sweeping: Sweeping):
    sweep = sweeping()
    outcome = outcome_of(sweep, 6.0, troubles={1: Trouble("1/all/1", "worker died twice", None)})
    del outcome.sums[1]
    judged = judge(sweep, outcome)
    assert judged.verdict is Verdict.PASS
    assert judged.of(1).no_data == "shard 1/all/1: worker died twice"
    assert "worker died twice" in write(judged).read_text()


def test_points_that_share_everything_with_the_configuration_in_force_are_marked(sweeping: Sweeping):
    sweep = sweeping()
    outcome = outcome_of(sweep, 0.0)
    outcome.sums[1], outcome.digests[1] = outcome.sums[0], outcome.digests[0]
    judged = judge(sweep, outcome)
    assert judged.of(1).same_orders
    assert judged.of(2).candidate.same
    page = write(judged).read_text()
    assert "| best region | 3 of 3 points |" in page
    assert "the very orders of the configuration in force" in page
    assert "the settings in force" in page


@pytest.mark.parametrize(
    "sets",
    [
        ("spread.model=adaptive,glft",),
        ("spread.base_bps=2,3,4", "emit.levels=1,2"),
        ("spread.base_bps=2,3", "emit.levels=1,2", "guards.enabled=true,false"),
    ],
    ids=len,
)
def test_pages_and_surface_are_the_same_bytes_for_the_same_sums(sweeping: Sweeping, sets: tuple[str, ...]):
    sweep = sweeping(*sets)
    outcome = outcome_of(sweep, 1.0)
    base = write(judge(sweep, outcome)).with_suffix("")
    files = [base.with_name(f"{base.name}.{kind}") for kind in ("md", "html", "json", "svg")]
    first = [file.read_bytes() for file in files]
    write(judge(sweep, outcome))
    assert [file.read_bytes() for file in files] == first
    found = json.loads(first[2])
    assert len(found["points"]) == len(sweep.candidates)
    assert b"<svg" in first[1]
    assert b"http-equiv" not in first[1]


def test_less_is_better_of_a_metric_that_says_so(sweeping: Sweeping):
    """Slippage is positive where it is bad."""
    sweep = sweeping(metric="slippage_bps")
    outcome = outcome_of(sweep, 0.0)
    for number, sums in outcome.sums.items():
        starts_ns = sorted(sums.starts_ns)
        table = sums.table(starts_ns)
        table[:, SUMS.index("slippage")] = 10.0 - number + np.arange(len(starts_ns)) % 3
        table[:, SUMS.index("slippage_weight")] = 1000.0
        outcome.sums[number] = PointSums()
        outcome.sums[number].fold(dict(zip(starts_ns, table.tolist(), strict=True)))
    judged = judge(sweep, outcome)
    assert (judged.verdict, judged.proposed) == (Verdict.PASS, 3)
    assert judged.of(3).metrics["slippage_bps"] == pytest.approx(80.0)
    assert judged.of(3).improvement == pytest.approx((30.0, 30.0, 30.0))


def test_what_cannot_be_swept_is_one_line(sweeping: Sweeping):
    with pytest.raises(ConfigError, match=r"--metric: was 'profit', expected one of: net_bps \("):
        sweeping(metric="profit")
    with pytest.raises(ConfigError, match="--block: was 7 s, expected 60 s at least"):
        sweeping(block_ns=7 * SECOND)
    with pytest.raises(ConfigError, match=r"--name: was '\.\./x', expected letters"):
        sweeping(name="../x")
    with pytest.raises(RecordingError, match="was asked for 1 h: no tape is looped"):
        sweeping(duration_s=3600.0)
    with pytest.raises(ConfigError, match="--cluster: cluster was 'here', expected local:N"):
        played(sweeping(), address="here")


def test_blocks_are_as_long_as_makes_a_dozen(sweeping: Sweeping):
    assert sweeping().block_ns == 120 * SECOND
    assert sweeping(block_ns=90 * SECOND).block_ns == 90 * SECOND


@pytest.mark.slow
def test_a_cluster_comes_to_the_same_sums_as_this_process(sweeping: Sweeping):
    here, there = (
        played(sweeping(name="here", seeds=2)),
        played(sweeping(name="there", seeds=2), address="local:2"),
    )
    assert here.digests == there.digests
    for number, sums in here.sums.items():
        starts_ns = sorted(sums.starts_ns)
        assert (there.sums[number].table(starts_ns) == sums.table(starts_ns)).all()


def test_the_kernel_plays_where_it_saves_more_than_it_costs(sweeping: Sweeping):
    assert sweeping().engine is EngineKind.AUTO
    assert sweeping("spread.base_bps=1:20:0.1", seeds=50).engine is EngineKind.COMPILED
    assert sweeping("sim.market_data.median_ms=1:200:1", seeds=50).engine is EngineKind.AUTO
