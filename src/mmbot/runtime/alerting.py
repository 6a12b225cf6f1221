"""Alerts of a run, posted in the shape of Alertmanager's webhook, and what came of them as events.

One message holds one alert: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config, version
4. Its times are those of the run's own clock: of the wall in a live run, of the market in a replay (the label
`mode` says which). A message is never waited for while the run plays; when it has ended, quotes pulled, what
still waits has a few seconds.
"""

import datetime as dt
import hashlib
from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec

from mmbot.model.records import EventRow
from mmbot.net.webhook import Posted, Webhook
from mmbot.units import SECOND

_NEVER = "0001-01-01T00:00:00Z"
"""How Go's zero time is written: the end of what has not ended."""
_LAST_WORD_S = 5.0


class Alerts:
    """Where one run's alerts go."""

    def __init__(self, url: str, run_labels: Mapping[str, str]) -> None:
        """`run_labels`: which run this is; they are added to those of each alert."""
        self._run_labels = dict(run_labels)
        self._posted: deque[Posted] = deque()
        self._webhook = Webhook(url, self._posted.append)

    def send(self, news: Mapping[str, Any]) -> None:
        """Post what the gates tell (`pytest_mmgates.sut`). Returns at once."""
        message = as_webhook(news, self._run_labels)
        self._webhook.post(f"{news['alert']} {news['status']}", msgspec.json.encode(message))

    def events(self, now_ns: int) -> list[EventRow]:
        """What came of messages since this was asked last."""
        rows = []
        while self._posted:
            posted = self._posted.popleft()
            detail: dict[str, str | int | float | None] = {"alert": posted.subject, "tries": posted.tries}
            kind = "alert_sent" if posted.refusal is None else "alert_lost"
            if posted.refusal is not None:
                detail["reason"] = posted.refusal
            rows.append(EventRow(now_ns, None, kind, detail))
        return rows

    def close(self, now_ns: int) -> list[EventRow]:
        """The run has ended: wait a little for what is not sent yet. What came of the rest."""
        self._webhook.close(_LAST_WORD_S)
        return self.events(now_ns)


def as_webhook(news: Mapping[str, Any], run_labels: Mapping[str, str]) -> dict[str, Any]:
    """Alertmanager's message of one alert."""
    labels = {"alertname": news["alert"], **news["labels"], **run_labels}
    annotations, status = dict(news["annotations"]), news["status"]
    until_ns = news["until_ns"]
    alert = {
        "status": status,
        "labels": labels,
        "annotations": annotations,
        "startsAt": _rfc3339(news["since_ns"]),
        "endsAt": _NEVER if until_ns is None else _rfc3339(until_ns),
        "generatorURL": "",
        "fingerprint": _fingerprint(labels),
    }
    return {
        "version": "4",
        "groupKey": f'{{}}:{{alertname="{news["alert"]}"}}',
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "mmbot",
        "groupLabels": {"alertname": news["alert"]},
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": "",
        "alerts": [alert],
    }


def _rfc3339(ns: int) -> str:
    seconds, rest_ns = divmod(ns, SECOND)
    at = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{rest_ns // 1_000_000:03d}Z"


def _fingerprint(labels: Mapping[str, str]) -> str:
    """The same for the same labels: how a receiver knows the resolved from the firing."""
    return hashlib.sha256(msgspec.json.encode(labels, order="sorted")).hexdigest()[:16]
