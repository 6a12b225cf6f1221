"""Alerts are what the rules say, whatever the bot calls its metrics."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import yaml
from tests.pytest_mmgates.alerting.promql import series_in

from pytest_mmgates.alerting.alerts import Alert, alerts_of
from pytest_mmgates.alerting.exports import Exported, Exports, read_exports
from pytest_mmgates.alerting.naming import alert_name, watched_rules
from pytest_mmgates.alerting.prometheus import rule_files
from pytest_mmgates.alerting.queries import QUERIES, quantile
from pytest_mmgates.armrules import parse_safety
from pytest_mmgates.errors import CommandError
from pytest_mmgates.gatefile import Gate, read_gate
from pytest_mmgates.metrics.windowed import WINDOWED

GATE = Path(__file__).parents[3] / "gates" / "soak.yaml"
SYMBOL = {"symbol": "symbol"}
ARMS = SYMBOL | {"trial": "arm"}
MONEY = ARMS | {"ccy": "instruments", "kind": "liquidity"}
FOREIGN = Exports(
    1,
    [
        Exported("bot_loops_total", "counter", "1", "", "pipeline_ticks", None, ARMS),
        Exported("bot_late_total", "counter", "1", "", "pipeline_ticks", "deadline_miss", ARMS),
        Exported("bot_reads_total", "counter", "1", "", "pipeline_ticks", "cache", ARMS | {"how": "cache"}),
        Exported("bot_trades_total", "counter", "1", "", "fills", None, MONEY | {"way": "side"}),
        Exported("bot_traded_total", "counter", "1", "", "fills", "price, qty", MONEY),
        Exported("bot_open", "gauge", "1", "", "events", "breaker.state", {"at": "breaker.venue"}),
        Exported("bot_bytes", "gauge", "bytes", "", "samples", "[rss_bytes]"),
        Exported("bot_loop_seconds", "histogram", "s", "", "pipeline_ticks", "tick_total_ns"),
        Exported("bot_step_seconds", "histogram", "s", "", "pipeline_ticks", "STAGE_ns", {"of": "STAGE_ns"}),
    ],
)


def gate_of(tmp_path: Path, *stop: str, warn: tuple[str, ...] = ()) -> Gate:
    text = yaml.safe_load(GATE.read_text()) | {"stop": list(stop)}
    text = {name: value for name, value in text.items() if name != "warn"}
    path = tmp_path / "soak.yaml"
    path.write_text(yaml.safe_dump(text | ({"warn": list(warn)} if warn else {})))
    return read_gate(path)


def alert(tmp_path: Path, rule: str) -> Alert:
    return alerts_of(gate_of(tmp_path, rule), FOREIGN)[0]


def test_everything_that_can_be_watched_can_be_asked_of_prometheus():
    assert set(QUERIES) == set(WINDOWED)


def test_a_rule_becomes_an_alert_with_its_hold_and_its_words(tmp_path: Path):
    rule = "deadline_miss.ratio[5m] > 5% for 10m clear 4%, n >= 300"
    found = alert(tmp_path, rule)
    assert found.name == "SoakStopDeadlineMissRatio"
    late, loops = (
        f"sum without (symbol, trial) (increase({name}[5m]))"
        for name in ("bot_late_total", "bot_loops_total")
    )
    assert found.expr.splitlines() == [
        f"{late} / {loops} > 0.05",
        f"and {loops} >= 300",
        "and sum without (symbol, trial) (bot_loops_total offset 5m)",
    ]
    assert (found.hold_ns, found.keep_ns) == (600_000_000_000, 300_000_000_000)
    assert found.labels == {"severity": "critical", "owner": "trading-infra", "step": "soak"}
    assert found.annotations["rule"] == rule
    assert found.annotations["runbook"] == "docs/runbooks/latency.md"
    assert "4%" in found.annotations["differs"]


def test_a_fast_twin_a_warning_and_the_want_of_data_are_alerts_of_their_own(tmp_path: Path):
    fast = "deadline_miss.ratio[5m] > 5% for 10m, fast [2m] > 15% for 1m"
    gate = gate_of(tmp_path, fast, warn=("taker_share[1h] > 9%, no_data wait",))
    assert [(one.name, one.labels["severity"]) for one in alerts_of(gate, FOREIGN)] == [
        ("SoakStopDeadlineMissRatio", "critical"),
        ("SoakStopDeadlineMissRatioFast", "critical"),
        ("SoakStopDeadlineMissRatioNoData", "critical"),
        ("SoakWarnTakerShare", "warning"),
    ]


def test_a_symbol_is_selected_in_every_term(tmp_path: Path):
    found = alert(tmp_path, 'md_cache.hit_ratio{symbol="v:BTC"}[5m] < 50%')
    assert found.expr.count('bot_loops_total{symbol="v:BTC"}') == 3
    assert 'bot_reads_total{symbol="v:BTC",how="hit"}' in found.expr


def test_rules_of_two_symbols_have_two_names(tmp_path: Path):
    rules = [f'deadline_miss.ratio{{symbol="v:{name}"}}[5m] > 5%, no_data wait' for name in ("A", "B")]
    names = [one.name for one in alerts_of(gate_of(tmp_path, *rules), FOREIGN)]
    assert names == ["SoakStopDeadlineMissRatio", "SoakStopDeadlineMissRatio2"]


def test_a_time_is_in_seconds_and_growth_in_bytes_an_hour(tmp_path: Path):
    breaker = alert(tmp_path, "breaker.open_time[6m] > 5m")
    assert "max without (at) (avg_over_time(bot_open[6m])) * 360 > 300" in breaker.expr
    memory = alert(tmp_path, "memory.slope[2h] > 100MB/h")
    assert "deriv(min_over_time(bot_bytes[10m])[2h:10m]) * 3600 > 100000000" in memory.expr
    assert "bot_bytes offset 3h" in memory.expr, "an hour of warm-up, then the window"


def test_shares_of_notional_keep_their_currency(tmp_path: Path):
    found = alert(tmp_path, "taker_share[1h] > 15%, n >= 100")
    assert 'sum without (symbol, trial, kind) (increase(bot_traded_total{kind="taker"}[1h]))' in found.expr
    assert "sum without (symbol, trial, kind, way) (increase(bot_trades_total[1h])) >= 100" in found.expr
    assert "currency" in found.annotations["differs"]


def test_expressions_name_exported_metrics_alone():
    exported = {metric.name for metric in FOREIGN.metrics}
    for one in alerts_of(read_gate(GATE), FOREIGN):
        assert series_in(one.expr)
        assert series_in(one.expr) <= exported


def test_every_alert_has_a_stream_that_fires_it_and_one_that_does_not():
    files = rule_files({"soak": alerts_of(read_gate(GATE), FOREIGN)}, "made")
    names = [
        rule["alert"] for group in yaml.safe_load(files["alerts.yml"])["groups"] for rule in group["rules"]
    ]
    cases: dict[str, list[bool]] = {name: [] for name in names}
    for test in yaml.safe_load(files["alerts_test.yml"])["tests"]:
        looks = test["alert_rule_test"]
        cases[looks[0]["alertname"]].append(any(look["exp_alerts"] for look in looks))
    assert len(names) == len(set(names))
    assert set(map(tuple, cases.values())) == {(True, False)}


def test_rules_of_safety_that_watch_the_candidate_are_alerts_of_its_series_alone():
    gate = read_gate(GATE.with_name("ab.yaml"))
    found = alerts_of(gate, FOREIGN)
    names = ("AbStopTakerShare", "AbStopTakerShareFast", "AbStopDeadlineMissRatio")
    assert [one.name for one in found] == [
        *names,
        "AbStopDeadlineMissRatioFast",
        "AbStopDeadlineMissRatioNoData",
    ]
    takers, _, late, _, missing = found
    assert 'increase(bot_late_total{trial="B"}[3m])' in late.expr
    assert late.expr.count('trial="B"') == 4
    assert takers.expr.count('trial="B"') == 4
    assert late.annotations["summary"].startswith("B.deadline_miss.ratio over 3m is >= 2%")
    assert "stands still" in late.annotations["differs"]
    silent, few = missing.expr.split("\nor ")
    whole = "sum without (symbol, trial) (increase(bot_loops_total[1m])) == 0"
    there = 'sum without (symbol, trial) (bot_loops_total{trial="B"})'
    assert silent == f"{whole} and {there}", "of a run that has this arm"
    assert few.endswith('(increase(bot_loops_total{trial="B"}[1m])) > 0'), "else nobody misses it"
    watched = replace(gate, stop=gate.of_candidate)
    assert [name for name, _ in watched_rules(watched)] == ["stop", "stop"]
    assert alert_name(watched, "stop", gate.of_candidate[1], "slow") == "AbStopDeadlineMissRatio"


def test_what_watches_the_arms_has_a_name_though_no_alert():
    rule = parse_safety("regress(tick_total.p95)[5m] <= 10% for 10m, no_data wait").violation
    gate = replace(read_gate(GATE), stop=(rule,))
    assert alert_name(gate, "stop", rule, "slow") == "SoakStopRegressTickTotalP95"


def test_a_bot_that_does_not_tell_arms_apart_is_told_so():
    metrics = [
        msgspec.structs.replace(one, labels={key: of for key, of in one.labels.items() if of != "arm"})
        for one in FOREIGN.metrics
    ]
    with pytest.raises(CommandError, match="found no label of field arm"):
        alerts_of(read_gate(GATE.with_name("ab.yaml")), Exports(1, metrics))


def test_a_quantile_is_asked_of_its_histogram():
    assert quantile(FOREIGN, "fetch_md.p95", "5m") == (
        'histogram_quantile(0.95, rate(bot_step_seconds_bucket{of="fetch_md"}[5m]))'
    )
    assert quantile(FOREIGN, "tick_total.p99", "1m") == (
        "histogram_quantile(0.99, rate(bot_loop_seconds_bucket[1m]))"
    )
    assert quantile(FOREIGN, "md_cache.age_p95", "5m") is None
    assert quantile(FOREIGN, "deadline_miss.ratio", "5m") is None


def test_a_table_without_what_a_rule_needs_is_refused(tmp_path: Path):
    thin = Exports(1, [metric for metric in FOREIGN.metrics if metric.name != "bot_late_total"])
    with pytest.raises(CommandError, match="found 0 of kind counter from deadline_miss of pipeline_ticks"):
        alerts_of(gate_of(tmp_path, "deadline_miss.ratio[5m] > 5%"), thin)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"{", "table.json: was no table of metrics: "),
        (b'{"schema": 2, "metrics": []}', "table.json: schema was 2, expected 1"),
        (b'{"schema": 1, "metrics": [{"name": "x"}]}', "table.json: was no table of metrics: "),
    ],
)
def test_what_is_no_table_is_one_line(text: bytes, expected: str):
    with pytest.raises(CommandError) as caught:
        read_exports(text, "table.json")
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_a_table_is_read_as_it_is_written():
    text = msgspec.json.encode(FOREIGN)
    assert read_exports(text, "-") == FOREIGN
