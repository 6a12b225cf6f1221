"""ops/ is what the gates and the bot's metrics make: alerts that Prometheus reads, and that fire in time."""

import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import yaml
from tests.mmbot.builders import linear
from tests.pytest_mmgates.alerting.promql import series_in

from mmbot.telemetry.metrics import METRICS, table
from mmbot.telemetry.registry import RunMetrics
from pytest_mmgates.cli import main

ROOT = Path(__file__).parents[2]
OPS = ROOT / "ops"
GUIDE = (ROOT / "docs/metrics.md").read_text()
NAMES = {name for metric in METRICS for name in (metric.name, f"{metric.name}_bucket")}


def alerts(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """`mmbot metrics --json | mmgates alerts ...`: its exit code."""
    pipe = io.TextIOWrapper(io.BytesIO(msgspec.json.encode(table())))
    monkeypatch.setattr(sys, "stdin", pipe)
    monkeypatch.setattr(
        sys, "argv", ["mmgates", "alerts", "--gates", str(ROOT / "gates"), *map(str, arguments)]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed: `apt-get install prometheus`")
    return found


def test_the_files_are_current(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    assert alerts(monkeypatch, "--check", "--out", OPS) == 0, capsys.readouterr().out


def test_a_file_that_is_not_current_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    assert alerts(monkeypatch, "--out", tmp_path) == 0
    rules = tmp_path / "prometheus" / "alerts.yml"
    rules.write_text(rules.read_text().replace("for: 10m", "for: 20m", 1))
    capsys.readouterr()
    assert alerts(monkeypatch, "--check", "--out", tmp_path) == 1
    out = capsys.readouterr().out
    assert out.startswith(f"{rules}: is not what the gates and metrics make")
    assert out.count("\n") == 1


def test_expressions_name_exported_metrics_alone():
    groups = yaml.safe_load((OPS / "prometheus/alerts.yml").read_text())["groups"]
    of_gates = [rule for group in groups if group["name"] != "mmgates-targets" for rule in group["rules"]]
    assert len(of_gates) > 10
    for rule in of_gates:
        assert series_in(rule["expr"]) <= NAMES, rule["alert"]


def test_the_page_of_alerts_has_every_rule_of_prometheus_and_no_other():
    page = (OPS / "ALERT_RULES.md").read_text()
    groups = yaml.safe_load((OPS / "prometheus/alerts.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \| (.*) \| (.*) \|$", page, re.MULTILINE)
    assert rows == [
        (
            rule["alert"],
            rule["labels"]["severity"],
            rule["annotations"]["summary"],
            rule.get("for", "at once"),
            rule["annotations"]["runbook"],
        )
        for rule in rules
    ]
    assert re.findall(r"```promql\n(.*?)\n```", page, re.DOTALL) == [rule["expr"] for rule in rules]


def test_the_dashboard_names_exported_metrics_alone():
    panels = json.loads((OPS / "grafana/mmbot.json").read_text())["panels"]
    asked = {name for panel in panels for one in panel.get("targets", ()) for name in series_in(one["expr"])}
    assert asked
    assert asked <= NAMES


def test_the_scratch_parser_sees_a_name_that_is_not_exported():
    expr = 'sum without (symbol) (rate(mmbot_ticks_total{symbol="x"}[5m])) > 0.5 and other_total offset 5m'
    assert series_in(expr) == {"mmbot_ticks_total", "other_total"}


def test_prometheus_reads_the_rules():
    command = [promtool(), "check", "rules", str(OPS / "prometheus/alerts.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_reads_the_configuration_in_the_guide(tmp_path: Path):
    [config] = re.findall(r"```yaml\n(# prometheus\.yml\n.*?)```", GUIDE, re.DOTALL)
    (tmp_path / "prometheus.yml").write_text(config)
    shutil.copy(OPS / "prometheus/alerts.yml", tmp_path)
    command = [promtool(), "check", "config", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        yaml.safe_load(config)["scrape_configs"][0]["job_name"] in (OPS / "prometheus/alerts.yml").read_text()
    )


def test_prometheus_has_nothing_to_say_about_the_names():
    text, _ = RunMetrics([linear()], run_id="r", arm="A", data_kind="synthetic").exposed("")
    command = [promtool(), "check", "metrics"]
    done = subprocess.run(command, input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_a_table_that_cannot_be_read_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    assert alerts(monkeypatch, "--metrics", tmp_path / "none.json", "--out", tmp_path / "ops") == 2
    assert capsys.readouterr().err == (
        f"mmgates: --metrics {tmp_path}/none.json: cannot be read: No such file or directory\n"
    )
    assert not (tmp_path / "ops").exists()


@pytest.mark.slow
def test_every_alert_fires_in_time_and_stays_quiet_otherwise():
    command = [promtool(), "test", "rules", str(OPS / "prometheus/alerts_test.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_an_alert_that_comes_later_is_found(tmp_path: Path):
    rules = (OPS / "prometheus/alerts.yml").read_text().replace("for: 10m", "for: 11m")
    (tmp_path / "alerts.yml").write_text(rules)
    tests = yaml.safe_load((OPS / "prometheus/alerts_test.yml").read_text())
    tests["tests"] = [
        one for one in tests["tests"] if one["name"].startswith("SoakStopDeadlineMissRatio fires")
    ]
    assert len(tests["tests"]) == 1
    (tmp_path / "alerts_test.yml").write_text(yaml.safe_dump(tests))
    command = [promtool(), "test", "rules", str(tmp_path / "alerts_test.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "SoakStopDeadlineMissRatio" in done.stdout + done.stderr
