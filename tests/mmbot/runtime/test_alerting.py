"""A message is Alertmanager's; what came of it is an event of the run, which goes on meanwhile."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.mmbot.builders import REPO, START_NS, HandStopwatch, run_request
from tests.mmbot.net.test_ws import free_port

from mmbot.runtime import alerting
from mmbot.runtime.alerting import as_webhook
from mmbot.runtime.run import Run

NEWS: dict[str, Any] = {
    "alert": "SoakStopTakerShare",
    "status": "firing",
    "labels": {"severity": "critical", "owner": "desk", "step": "soak"},
    "annotations": {"summary": "taker_share[1h] 20% > 15%", "runbook": "docs/runbooks/soak.md"},
    "since_ns": START_NS,
    "until_ns": None,
}


def test_a_message_has_the_fields_of_version_4():
    message = as_webhook(NEWS, {"run_id": "r1"})
    assert set(message) == {
        *("version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels"),
        *("commonLabels", "commonAnnotations", "externalURL", "alerts"),
    }
    assert (message["version"], message["status"], message["truncatedAlerts"]) == ("4", "firing", 0)
    [alert] = message["alerts"]
    assert alert["labels"] == {"alertname": "SoakStopTakerShare", **NEWS["labels"], "run_id": "r1"}
    assert message["commonLabels"] == alert["labels"]
    assert alert["annotations"]["runbook"] == "docs/runbooks/soak.md"
    assert alert["endsAt"] == "0001-01-01T00:00:00Z"


def test_the_end_of_it_has_the_same_fingerprint_and_an_end():
    ended = NEWS | {"status": "resolved", "until_ns": START_NS + 90_500_000_000}
    [firing], [over] = (as_webhook(news, {})["alerts"] for news in (NEWS, ended))
    assert firing["fingerprint"] == over["fingerprint"]
    assert firing["startsAt"] == over["startsAt"]
    assert over["endsAt"] > over["startsAt"]
    assert over["status"] == "resolved"
    assert as_webhook(NEWS, {"run_id": "other"})["alerts"][0]["fingerprint"] != firing["fingerprint"]


def alerted(folder: Path, url: str | None) -> Run:
    """A run whose first batch is bad news."""
    config = [REPO / "config.yaml"]
    if url is not None:
        (folder / "hook.yaml").write_text(f"alerts:\n  webhook_url: {url}\n")
        config.append(folder / "hook.yaml")
    run = Run(run_request(folder, config=config), HandStopwatch(1_000))
    for number, _ in enumerate(run):
        if number == 0:
            run.alert(NEWS)
    return run


def kinds(run: Run) -> list[tuple[str, dict]]:
    lines = [line for path in run.directory.glob("events_*.jsonl") for line in path.read_bytes().splitlines()]
    rows = [msgspec.json.decode(line) for line in lines]
    return [(row["kind"], row["detail"]) for row in rows if row["kind"].startswith("alert")]


def test_a_receiver_that_is_not_there_ends_nothing_and_is_an_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(alerting, "_LAST_WORD_S", 0.0)
    run = alerted(tmp_path, f"http://127.0.0.1:{free_port()}/hook")
    [(kind, detail)] = kinds(run)
    assert kind == "alert_lost"
    assert detail["alert"] == "SoakStopTakerShare firing"
    assert detail["reason"]
    manifest = msgspec.json.decode((run.directory / "manifest.json").read_bytes())
    assert manifest["status"] == "complete"


def test_without_a_webhook_news_go_nowhere(tmp_path: Path):
    assert kinds(alerted(tmp_path, None)) == []
