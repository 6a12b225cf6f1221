"""Four verdicts, evidence first."""

import math
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mmgates.judge import judge, judge_failed_run, judge_rule, label
from pytest_mmgates.metrics.measurement import Measurement
from pytest_mmgates.rows import ConfigInForce
from pytest_mmgates.rules import parse_rule
from pytest_mmgates.verdict import Verdict


def one(run, gate, text):
    return judge_rule(parse_rule(text), gate, run)


def test_pass(make_run, shadow_gate):
    verdict = one(make_run(), shadow_gate, "fetch_md.p95 <= 35ms")
    assert verdict.verdict is Verdict.PASS
    assert (verdict.value, verdict.limit, verdict.unit, verdict.n) == (4, 35, "ms", 3601)
    assert verdict.margin == pytest.approx(31 / 35)
    assert verdict.label == "PASS (SYNTHETIC)"


def test_fail(make_run, shadow_gate):
    verdict = one(make_run(kind="recorded"), shadow_gate, "fetch_md.p95 <= 3ms")
    assert (verdict.label, verdict.value) == ("FAIL", 4)
    assert verdict.margin == pytest.approx(-1 / 3)


def test_inconclusive(make_run, shadow_gate):
    """Fills of the last 72 s only: most end before their 60 s markout, so their average decides nothing."""
    assert one(make_run(), shadow_gate, "net_bps >= -1000").verdict is Verdict.PASS
    verdict = one(make_run(fills=40, fills_from=0.98), shadow_gate, "net_bps >= -1000")
    assert verdict.label == "INCONCLUSIVE (SYNTHETIC)"
    assert verdict.reason == "29 of 40 fills excluded"
    assert verdict.value is not None


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"minutes": 59}, "duration is 59m, asked for >= 60m"),
        ({"tick_ms": 2000}, "ticks is 1801, asked for >= 3000"),
        ({"stop_after": 0.5, "tick_ms": 500}, "duration is 60m, of which ticks span 30m"),
        ({"status": "halted", "reason": "red button"}, "the run is halted: red button"),
        ({"status": "running"}, "the run is running"),
        ({"status": "failed"}, "the run is failed"),
    ],
)
def test_evidence_that_is_not_met_leaves_no_verdict_and_no_value(make_run, shadow_gate, settings, reason):
    gate = judge(shadow_gate, make_run(**settings))
    assert gate.verdict is Verdict.NO_DATA
    assert reason in gate.reason
    for rule in gate.rules:
        assert (rule.verdict, rule.value, rule.margin) == (Verdict.NO_DATA, None, None)
        assert reason in rule.reason


def test_a_run_whose_quiet_ticks_were_left_out_is_not_judged(make_run, shadow_gate):
    run = make_run()
    counts = {**run.manifest.counts, "skipped_ticks": 7}
    filtered = replace(run, manifest=msgspec.structs.replace(run.manifest, counts=counts))
    gate = judge(shadow_gate, filtered)
    assert gate.verdict is Verdict.NO_DATA
    assert gate.reason == "7 ticks were left out of the run by a wake filter"


def test_a_run_whose_configuration_was_changed_is_not_judged(make_run, shadow_gate):
    run = make_run()
    first, second = ConfigInForce(1, "a" * 64), ConfigInForce(2, "b" * 64)

    def label(*configs: ConfigInForce) -> tuple[Verdict, str]:
        manifest = msgspec.structs.replace(run.manifest, configs=list(configs))
        gate = judge(shadow_gate, replace(run, manifest=manifest))
        return gate.verdict, gate.reason

    assert label(first)[0] is Verdict.PASS
    assert label(first, second) == (
        Verdict.NO_DATA,
        "the configuration was changed during the run, times: 1",
    )


def test_a_run_with_injected_faults_is_not_judged(make_run, shadow_gate):
    run = make_run()
    data = msgspec.structs.replace(run.manifest.data, injected=["gap@10m"])
    faulty = replace(run, manifest=msgspec.structs.replace(run.manifest, data=data))
    gate = judge(shadow_gate, faulty)
    assert (gate.verdict, gate.reason) == (Verdict.NO_DATA, "faults were put into the data: gap@10m")


def test_data_of_a_kind_that_was_not_asked_for_is_no_data(make_run, shadow_gate):
    strict = replace(shadow_gate, evidence=replace(shadow_gate.evidence, source=("recorded",)))
    gate = judge(strict, make_run())
    assert gate.label == "NO_DATA (SYNTHETIC)"
    assert gate.reason == "source is synthetic, asked for recorded"
    assert judge(strict, make_run(kind="recorded")).label == "PASS"


def test_a_metric_without_data_is_no_data(make_run, shadow_gate):
    verdict = one(make_run(fills=0), shadow_gate, "net_bps >= 0")
    assert (verdict.verdict, verdict.reason, verdict.value) == (Verdict.NO_DATA, "no fills", None)


def test_a_symbol_that_the_run_does_not_have_is_no_data(make_run, shadow_gate):
    verdict = one(make_run(), shadow_gate, 'fetch_md.p95{symbol="paper:XYZ"} <= 35ms')
    assert verdict.verdict is Verdict.NO_DATA
    assert verdict.reason == "no symbol paper:XYZ in this run, which has paper:ABCUSDT"
    assert (
        one(make_run(), shadow_gate, 'fetch_md.p95{symbol="paper:ABCUSDT"} <= 35ms').verdict is Verdict.PASS
    )


@pytest.mark.parametrize(
    ("measurement", "verdict"),
    [
        (Measurement(math.nan, 5), Verdict.NO_DATA),
        (Measurement(math.inf, 5), Verdict.NO_DATA),
        (Measurement(None, 5, reason="because"), Verdict.NO_DATA),
        (Measurement(1.0, 0), Verdict.NO_DATA),
        (Measurement(1.0, 5, doubt="thin"), Verdict.INCONCLUSIVE),
        (Measurement(1.0, 5), Verdict.PASS),
        (Measurement(9.0, 5), Verdict.FAIL),
    ],
)
def test_what_a_measurement_can_say(make_run, shadow_gate, monkeypatch, measurement, verdict):
    """The table of metrics is a plain value here: one line of it is put in that says exactly this."""
    metric = parse_rule("ticks.count <= 5").definition
    table = {"ticks.count": replace(metric, measure=lambda _run, _symbol: measurement)}
    monkeypatch.setattr("pytest_mmgates.rules.METRICS", table)
    found = one(make_run(), shadow_gate, "ticks.count <= 5")
    assert found.verdict is verdict
    assert (found.value is None) == (verdict is Verdict.NO_DATA)


def test_more_than_half_from_a_model_is_marked(make_run, shadow_gate):
    assert one(make_run(wait_ms=3), shadow_gate, "fetch_md.p95 <= 35ms").mark is None
    marked = one(make_run(wait_ms=5), shadow_gate, "fetch_md.p95 <= 35ms")
    assert (marked.mark, marked.measured, marked.modelled, marked.value) == ("MODELLED", 4, 5, 9)
    assert one(make_run(wait_ms=5, clock="wall"), shadow_gate, "fetch_md.p95 <= 35ms").mark is None


def test_a_limit_of_zero_has_no_relative_margin(make_run, shadow_gate):
    assert one(make_run(), shadow_gate, "book.gaps == 0").margin is None


def test_a_gate_is_as_bad_as_its_worst_rule(make_run, shadow_gate):
    gate = judge(shadow_gate, make_run(hits=0.5, kind="recorded"))
    assert gate.label == "FAIL"
    assert [rule.verdict for rule in gate.rules].count(Verdict.PASS) == 3
    assert gate.worst_first[0].rule == "md_cache.hit_ratio >= 0.7"


def test_a_failed_run_is_no_data_throughout(shadow_gate):
    gate = judge_failed_run(shadow_gate, "abc.zst:17: corrupt frame")
    assert (gate.label, gate.data_kind) == ("NO_DATA", None)
    assert {rule.reason for rule in gate.rules} == {"abc.zst:17: corrupt frame"}


@given(st.sampled_from(Verdict))
def test_every_label_on_synthetic_data_says_so(verdict):
    assert label(verdict, "synthetic") == f"{verdict} (SYNTHETIC)"
    assert label(verdict, "recorded") == str(verdict)
    assert sorted(Verdict, key=lambda item: -item.badness) == [
        Verdict.FAIL,
        Verdict.NO_DATA,
        Verdict.INCONCLUSIVE,
        Verdict.PASS,
    ]
