"""What every kind of run keeps: a directory with a manifest, the feeds, and its configuration.

The manifest is written when the run starts, when other settings come into force, and when it ends. A run that
dies leaves a manifest that says so.
"""

import contextlib
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import psutil

from mmbot.config.settings import Settings, SimSettings
from mmbot.engine.engine import Engine
from mmbot.errors import ConfigError, MmbotError, OutputError
from mmbot.experiment.arms import BASELINE, ArmedEngine, Course
from mmbot.files import write_durably
from mmbot.model.instrument import Instrument
from mmbot.model.records import EventRow, Row
from mmbot.runtime import provenance
from mmbot.runtime.arming import BOTH, Armed
from mmbot.runtime.player import Counts, Player
from mmbot.runtime.reload import Reload, Reloader, Sources
from mmbot.telemetry.feeds import Batch, FeedWriter
from mmbot.telemetry.registry import RunMetrics

if TYPE_CHECKING:
    from mmbot.net.web import Handler, WebServer
    from mmbot.runtime.alerting import Alerts

SCHEMA = 1


class Observer(Protocol):
    """Sees rows as they are written; for progress and closing tables."""

    def rows(self, rows: Sequence[Row]) -> None: ...


class KeptRun(ABC):
    """Opened: everything was validated and the market is at hand. Iterate once to play it."""

    engine: Engine
    instruments: list[Instrument]
    data_kind: str
    venue_is_simulated = True
    writes_at_once = False
    """Rows are with the system when they were written: what cannot be played again must survive a kill."""
    resumed_ns: int | None = None
    """The tick at which an interrupted run went on in this process."""
    planned_ns: float
    """How much time the run will cover, infinite where nobody knows."""
    _player: Player

    def __init__(
        self, run_id: str, directory: Path, arm: str, reloader: Reloader, armed: Armed | None = None
    ) -> None:
        """`armed`: both arms of an experiment, in place of `arm`."""
        self.run_id = run_id
        self.directory = directory
        self.observers: list[Observer] = []
        self._arm = arm if armed is None else BOTH
        self._armed = armed
        self._reloader = reloader
        self._first_settings = reloader.settings
        self._reloads: list[Reload] = []
        """Those that changed something."""
        self.metrics_port = reloader.settings.telemetry.metrics_port
        """Where metrics are served on loopback while the run is iterated; 0: a free port, None: nowhere."""
        self._server: WebServer | None = None
        self._alerts: Alerts | None = None

    @abstractmethod
    def _rows(self) -> Iterator[list[Row]]:
        """Play: rows in time order, a batch at a time."""

    @abstractmethod
    def _facts(self) -> dict[str, Any]:
        """What the manifest says of this kind of run, and of the data that it was played on."""

    @property
    @abstractmethod
    def _ended_ns(self) -> int | None:
        """When the run ended, once it has."""

    @property
    def facts(self) -> dict[str, Any]:
        """What the manifest says of this kind of run, and of its data."""
        return self._facts()

    @property
    def rollout(self) -> Path | None:
        """The folder of the rollout that the run follows, if it does."""
        return None

    @property
    def sources(self) -> Sources:
        return self._reloader.sources

    @property
    def settings(self) -> Settings:
        """As written, and in force now."""
        return self._reloader.settings

    @property
    def counts(self) -> Counts:
        return self._player.counts

    @property
    def started_ns(self) -> int | None:
        """Time of the run's first tick, in whichever process; None before it."""
        return self._player.started_ns

    def played_ns(self, now_ns: int) -> int:
        """How much of `planned_ns` is behind it."""
        return 0 if self.started_ns is None else now_ns - self.started_ns

    @property
    def digest(self) -> str:
        return self._player.digest

    def halt(self, reason: str) -> None:
        """Stop at the next tick with quotes pulled; the manifest says why."""
        self._player.halt(reason)

    def finish(self, reason: str) -> None:
        """End at the next tick as if the run's time were over: it has all that it is for. The manifest says
        why.
        """
        self._player.finish(reason)

    def suspend(self, reason: str) -> None:
        """Stop because the process has to: a run that can be resumed leaves a checkpoint before it halts."""
        self.halt(reason)

    def alert(self, news: Mapping[str, Any]) -> None:
        """A rule that watches the run fires or is over: tell the webhook, if there is one. Returns at once;
        what came of it is an event.
        """
        if self._alerts is not None:
            self._alerts.send(news)

    def reload(self, told: Callable[[Reload], None] | None = None) -> None:
        """Before the next tick, read the configuration again and put it in force, or refuse it and go on.
        `told` hears what came of it, at once; the feed of events and the manifest say it, too.

        Does nothing but take the wish: a signal's handler may call it.
        """
        self._player.between_ticks(functools.partial(self._reload, told))

    def rollback(self, reason: str) -> None:
        """Before the next tick, return to the baseline and stay there: the candidate's quotes are pulled, and
        the baseline quotes when they are gone; the events say when, and with which hash. Raises ConfigError
        for a run without a candidate.
        """
        self.follow(BASELINE, reason)

    def follow(self, course: Course, reason: str) -> None:
        """The same with any course of the experiment. Another thread may call it."""
        engine = self.engine
        if not isinstance(engine, ArmedEngine):
            raise ConfigError(f"{self.run_id}: runs one configuration: there is none to return to")
        self._player.between_ticks(functools.partial(engine.follow, course=course, reason=reason))

    def _reload(self, told: Callable[[Reload], None] | None, now_ns: int) -> EventRow:
        reload = self._reloader.reload(now_ns, self.engine)
        if reload.changed and not reload.refused:
            self._reloads.append(reload)
            self._write_manifest("running", None)
        if told is not None:
            told(reload)
        return reload.row

    @property
    def url(self) -> str | None:
        """Where the run is served, `http://127.0.0.1:9464`; None where it is not."""
        return None if self._server is None else self._server.url

    def __iter__(self) -> Iterator[Batch]:
        """Batches of (feed, bytes written), in time order. Raises OutputError for a directory that cannot be
        written, and ConfigError for a port that cannot be listened on, before anything is written.
        """
        with self._served():
            yield from self._kept()

    @contextlib.contextmanager
    def _served(self) -> Iterator[None]:
        """Metrics are served inside, if that is wanted."""
        if self.metrics_port is None:
            yield
            return
        from mmbot.net.web import serving  # noqa: PLC0415 (a web server costs 0.5 s to import)

        routes = {"/metrics": self.metrics()}
        with serving(routes, self.metrics_port, option="metrics port") as self._server:
            yield

    def metrics(self) -> "Handler":
        """Answers with the run's metrics, added up from the rows that it writes from now on."""
        from mmbot.net.web import Page  # noqa: PLC0415 (a web server costs 0.5 s to import)

        metrics = RunMetrics(self.instruments, run_id=self.run_id, arm=self._arm, data_kind=self.data_kind)
        self.observers.append(metrics)
        return lambda asked: Page(*metrics.exposed(asked.headers.get("Accept", "")))

    def _kept(self) -> Iterator[Batch]:
        """Between the first manifest and the last."""
        self._make_directory()
        self._write_manifest("running", None)
        try:
            yield from self._play()
        except BaseException as error:
            reason = str(error) if isinstance(error, MmbotError) else f"{type(error).__name__}: {error}"
            with contextlib.suppress(OutputError):  # on a full disk the first error is the one to tell
                self._write_manifest("failed", reason)
            raise
        halted = self._player.halt_reason
        self._write_manifest("halted" if halted else "complete", halted or self._player.finish_reason)

    def _make_directory(self) -> None:
        try:
            self.directory.mkdir(parents=True)
        except OSError as error:
            raise OutputError(f"{self.directory}: run directory cannot be made: {error.strerror}") from error

    def _play(self) -> Iterator[Batch]:
        with contextlib.closing(self._feed_writer()) as writer:
            for rows in self._rows_and_alerts():
                for observer in self.observers:
                    observer.rows(rows)
                if not writer.begun:
                    writer.touch(rows[0].ts_ns)
                batches = writer.write(rows)
                self._wrote(writer)
                yield from batches

    @abstractmethod
    def _feed_writer(self) -> FeedWriter:
        """Of this run's directory."""

    @abstractmethod
    def _wrote(self, writer: FeedWriter) -> None:
        """A batch is written, and nobody has seen it yet."""

    def _rows_and_alerts(self) -> Iterator[list[Row]]:
        """The rows, and what came of the alerts that were sent meanwhile."""
        url = self.settings.alerts.webhook_url
        if url is None:
            yield from self._rows()
            return
        facts = self._facts()
        labels = {"run_id": self.run_id, "data_kind": self.data_kind, "mode": facts["mode"]}
        from mmbot.runtime.alerting import Alerts  # noqa: PLC0415 (an HTTP client costs 0.5 s to import)

        alerts = self._alerts = Alerts(url, labels)
        now_ns, sent = 0, []
        try:
            for rows in self._rows():
                now_ns = rows[-1].ts_ns if rows else now_ns
                yield [*rows, *alerts.events(now_ns)]
        finally:
            sent = alerts.close(now_ns)
        if sent:
            yield [*sent]

    def _write_manifest(self, status: str, reason: str | None) -> None:
        path = self.directory / "manifest.json"
        text = msgspec.json.format(msgspec.json.encode(self._manifest(status, reason)), indent=1)
        try:
            write_durably(path, text, b"\n")
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error

    def _manifest(self, status: str, reason: str | None) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "run_id": self.run_id,
            "arm": self._arm,
            **self._facts(),
            "status": status,
            "reason": reason,
            "started_ns": self.started_ns,
            "ended_ns": None if status == "running" else self._ended_ns,
            "config": msgspec.to_builtins(self._first_settings),
            "config_sha256": self._first_settings.sha256(),
            "configs": self._configs(),
            "code": provenance.code(),
            "host": provenance.host(),
            "instruments": [_instrument(instrument) for instrument in self.instruments],
            "counts": msgspec.to_builtins(self.counts),
            "metrics_url": None if self.url is None else f"{self.url}/metrics",
            "run_digest": self.digest,
        }

    def _configs(self) -> list[dict[str, Any]]:
        """Every configuration that was in force, in order, the first being `config`."""
        first: dict[str, Any] = {
            "first_tick_ns": self.started_ns,
            "config_sha256": self._first_settings.sha256(),
            "changed": {},
        }
        return [
            first,
            *(
                {
                    "first_tick_ns": reload.ts_ns,
                    "config_sha256": reload.found_sha256,
                    "changed": reload.changed,
                }
                for reload in self._reloads
            ),
        ]


def models(sim: SimSettings, market_data: str) -> dict[str, str]:
    """What stands in for a venue, by name. `market_data`: where its latency is from."""
    return {
        "queue": sim.queue.name,
        "order_entry_latency": sim.entry.name,
        "order_response_latency": sim.response.name,
        "resync_latency": sim.resync.name,
        "market_data_latency": market_data,
        "market_impact": "none",
    }


def rss_bytes() -> Callable[[], int]:
    """Reads the resident memory of this process."""
    process = psutil.Process()
    return lambda: int(process.memory_info().rss)


def _instrument(instrument: Instrument) -> dict[str, Any]:
    return {
        "symbol": instrument.key,
        "venue": instrument.venue,
        "tick_size": instrument.tick_size,
        "lot_size": instrument.lot_size,
        "min_lots": instrument.min_lots,
        "max_lots": instrument.max_lots,
        "contract": instrument.contract.value,
        "contract_value": instrument.contract_value,
        "base": instrument.base,
        "quote": instrument.quote,
        "fee_tier": instrument.fees.tier,
        "maker_fee_bps": instrument.fees.maker_bps,
        "taker_fee_bps": instrument.fees.taker_bps,
    }
