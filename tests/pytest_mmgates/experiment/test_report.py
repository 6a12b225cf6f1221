"""The report of an experiment: the same bytes of the same input, well-formed charts, nothing executable."""

import msgspec
import pytest
from tests.pytest_mmgates.experiment.recorded import RULE, SOURCES, live, replay
from tests.pytest_mmgates.experiment.test_blocks import GATE

from pytest_mmgates.armrules import CandidateRule
from pytest_mmgates.experiment.log import ExperimentLog
from pytest_mmgates.judge import judge
from pytest_mmgates.report import experiment_report
from pytest_mmgates.report.experiment_report import ReplayBefore, facts_of, replay_json, stem
from pytest_mmgates.report.result import RunResult
from pytest_mmgates.watch.record import Fired, WatchRecord


def watched(*fired):
    """Records of arm B's rules; those of these metrics have fired."""
    for rule in (one for one in GATE.safety if isinstance(one, CandidateRule)):
        record = WatchRecord(str(rule.violation), "stop", above=True, judged=9, worst=0.0, worst_n=9)
        if rule.metric in fired:
            record.fired = Fired(at_ns=1, by="slow", value=0.5, n=9, why="for 10 min")
        yield record


def reported(made, before=None, fired=(), *, seen=True, **changes):
    known, variants = made
    records = tuple(watched(*fired)) if seen else ()
    log = ExperimentLog(msgspec.structs.replace(known, **changes), tuple(variants), records, RULE, SOURCES)
    result = RunResult("ab", "wider", "wider", "pytest -m ab", None, None, [judge(GATE, log)], experiment=log)
    facts = facts_of(result, log, before)
    return log, experiment_report.text(facts), experiment_report.page(facts)


def test_the_same_experiment_is_the_same_bytes():
    assert reported(live())[1:] == reported(live())[1:]


def test_a_live_stage_shows_its_numbers():
    log, text, page = reported(live(0.5), ReplayBefore(live()[0].plan_hash, {"near": 0.9}))
    found = log.decision.variants[0]
    for number in (found.bounds.estimate, found.bounds.low, found.bounds.high):
        assert f"{number:+.3f}" in text
        assert f"{number:+.3f}" in page
    assert "go on to 100 %" in text
    assert f"- near: {found.bounds.estimate - 0.9:+.3f} bps" in text
    assert "estimate after one wash-out" in page
    assert stem(log).startswith("ab_run_online_20260104_")
    believed = found.bounds.estimate - (found.bounds.estimate - found.bounds.low) / 4
    assert f"{believed:+.3f}" in text


def test_a_replay_of_another_plan_is_no_replay_of_this():
    assert "Live less replay" not in reported(live(), ReplayBefore("f00d", {"near": 0.9}))[1]


def test_a_replay_shows_every_variant_and_is_kept_for_later():
    log, text, page = reported(replay())
    assert page.count('<svg class="chart"') == 4
    assert all(f"| {variant.name} | ACCEPT |" in text for variant in log.variants)
    assert stem(log).startswith("ab_replay_")
    before = ReplayBefore(**msgspec.json.decode(replay_json(log)))
    assert list(before.estimates) == ["v0", "v1", "v2", "v3"]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (live(-0.5), "reject the candidate"),
        (live(0.2, noise_bps=1.0), "needs more market"),
        (live(0.2, noise_bps=1.0, max_pairs=30), "another plan, with more market"),
        (replay(blocks=10), "another plan, with more market"),
        (live(0.5, pairs=40, stage="10"), "50 %"),
    ],
)
def test_what_comes_next_is_said(made, said):
    assert said in reported(made)[1].split("**Next:**")[1].split("\n")[0]


def test_what_the_gate_does_not_let_pass_does_not_go_on():
    broken = reported(live(0.5), fired=("taker_share",))[1].split("**Next:**")[1]
    assert broken.startswith(" take the candidate away, a rule of safety is broken: B.taker_share[6h]")
    unseen = reported(live(0.5), seen=False)[1].split("**Next:**")[1]
    assert unseen.startswith(" not yet: it is accepted, and B.taker_share[6h]")


def test_a_void_experiment_is_reported_as_such():
    known, variants = live()
    other = [msgspec.structs.replace(variants[0], void=["flipped labels: fill at 17"])]
    _, text, page = reported((known, other))
    assert "- void: flipped labels: fill at 17" in text
    assert "record again" in page
    assert "<svg" not in page


def test_text_of_a_plan_is_text():
    page = reported(live(), title="<script>alert(1)</script> & more")[2]
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in page
    for word in ("http://", "https://", "src=", "@import", "onload"):
        assert word not in page
