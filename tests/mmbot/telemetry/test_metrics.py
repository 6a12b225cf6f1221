"""The table of metrics keeps Prometheus's conventions, and is printed as it is."""

import re
from pathlib import Path

import msgspec
import pytest
from tests.mmbot.builders import REPO, Command

from mmbot.model.records import EventRow, FillRow, SampleRow, TickRow
from mmbot.telemetry.metrics import METRICS, STAGES, Metric, table

ROWS = {"pipeline_ticks": TickRow, "fills": FillRow, "samples": SampleRow, "events": EventRow}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_follow_the_conventions_of_prometheus(metric: Metric):
    assert re.fullmatch(r"mmbot_[a-z0-9_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.name.endswith("_seconds") == (metric.unit == "seconds")
    assert metric.name.endswith("_bytes") == (metric.unit == "bytes")
    assert metric.help.endswith(".")
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(set(metric.buckets))


@pytest.mark.parametrize(
    "metric", [metric for metric in METRICS if metric.feed in ROWS], ids=lambda metric: metric.name
)
def test_each_comes_from_fields_that_rows_have(metric: Metric):
    named = [metric.field or "", *metric.labels.values()]
    fields = {name for names in named for name in names.split(", ") if re.fullmatch(r"[a-z_]+", name)}
    fields -= {"instruments"}
    known = {*ROWS[metric.feed].__struct_fields__, *(f"{stage}_ns" for stage in STAGES)}
    assert fields <= known | ({"halt"} if metric.feed == "events" else set())


def test_no_name_stands_there_twice():
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_the_command_prints_the_table(mmbot: Command):
    code, out, err = mmbot("metrics", "--json")
    assert (code, err) == (0, "")
    assert msgspec.json.decode(out) == msgspec.json.decode(msgspec.json.encode(table()))


def test_the_document_holds_the_table(mmbot: Command):
    _, out, _ = mmbot("metrics", "--markdown")
    assert out in (Path(REPO) / "docs/metrics.md").read_text()
    assert out.count("\n") == len(METRICS) + 2
