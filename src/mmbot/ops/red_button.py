"""The red button, rehearsed under load: an operator's own commands against the paper exchange.

An exchange on this machine plays several busy synthetic symbols at their own pace (83 books and 17 trades a
second each) in a process of its own; a bot trades a release on all of them, with real sockets, an order log
and several levels a side. When every symbol has orders, and some seconds of load have passed,
`mmbot rollback --kill` is started as a third process. Everything stays in `OUT/rehearsal/`.

Figures are read off what the run wrote down, all on this machine's clock: the audit log says when the button
began, the run's events and ticks when the configuration before the release was in force and when the bot
halted, its order log when its last order had ended, and its samples what the load was. The exchange is asked
for nothing but what `mmbot kill` asks it itself, whose exit code says that none is left.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

from mmbot import audit
from mmbot.clock import pause, stopwatch, wall_ns
from mmbot.config.scenario import load_scenario
from mmbot.config.settings import load_settings
from mmbot.errors import ConfigError, OutputError
from mmbot.execution.lifecycle import Lifecycle
from mmbot.execution.order_log import read
from mmbot.ops.dataset_manifest import Manifest, decoded_manifest
from mmbot.ops.files import write_atomically
from mmbot.ops.prep import PrepRequest, Verdict, prepare, write
from mmbot.units import SECOND

_KEY, _SECRET = "rehearsal", "rehearsal-secret"
_MESSAGE_MS, _TRADES_PER_S = 12, 17.0
_MARKET_NS = 1_767_225_600 * SECOND
_PATIENCE_S = 90.0
_LOOK_S = 0.05
_LIMIT_FACTOR = 10
_RELEASE = "queue_aware: {{enabled: {on}}}\n"
"""What the release switched on, and the button switches off."""
_LOAD = """\
emit: {levels: 2, order_notional_quote: 200}
aligner: {hold_bps: 2.0, lead_bps: 1.0}
throttle: {messages_per_s: 100, reserved_for_cancels: 40}
guards: {soft_volatility_bps: 50, hard_volatility_bps: 100}
telemetry: {sample_interval_s: 1}
"""
"""Four orders a symbol, and what the exchange takes with its limit factor. Guards that pulled the quotes of a
busy market would leave nothing to cancel.
"""
MOST_TO_BASELINE_S, MOST_TO_LAST_ORDER_S = 2.0, 5.0
CHECKS = (
    "load",
    "orders before",
    "exit code",
    "baseline in force",
    "baseline in time",
    "halted",
    "last order in time",
    "no order left",
)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RehearsalRequest:
    """`config`: the base file that the release stands on. `load_s`: how long it trades before the button."""

    config: Path
    out: Path
    symbols: int = 5
    load_s: float = 5.0
    least_updates_per_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report."""

    name: str
    holds: bool
    found: str
    expected: str

    @property
    def verdict(self) -> Verdict:
        return Verdict.PASS if self.holds else Verdict.FAIL


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What the rows say. Times are seconds since the button began, by its audit log; `started_s` is how long
    the command took before that, to start and to check. None: it did not happen.
    """

    symbols: int
    code: int
    said: str
    orders_before: int
    least_updates_per_s: float
    started_s: float
    to_baseline_s: float | None
    to_first_tick_s: float | None
    to_halt_s: float | None
    to_last_order_s: float | None
    orders_left: int
    expected_sha256: str
    found_sha256: str | None
    run: Path
    request: RehearsalRequest

    @property
    def checks(self) -> tuple[Check, ...]:
        request = self.request
        return (
            Check(
                "load",
                self.least_updates_per_s >= request.least_updates_per_s,
                f"{self.least_updates_per_s:.0f} book updates a second of the slowest symbol",
                f"at least {request.least_updates_per_s:g} of each of {self.symbols}",
            ),
            Check(
                "orders before",
                self.orders_before >= 2 * self.symbols,
                f"{self.orders_before} open by the order log",
                f"at least {2 * self.symbols}",
            ),
            Check("exit code", self.code == 0, str(self.code), "0: no order of ours is left"),
            Check(
                "baseline in force",
                self.found_sha256 == self.expected_sha256,
                str(self.found_sha256),
                self.expected_sha256,
            ),
            _in_time("baseline in time", self.to_first_tick_s, MOST_TO_BASELINE_S),
            Check(
                "halted", self.to_halt_s is not None, _seconds(self.to_halt_s), "the bot halts by the marker"
            ),
            _in_time("last order in time", self.to_last_order_s, MOST_TO_LAST_ORDER_S),
            Check("no order left", self.orders_left == 0, f"{self.orders_left} by the order log", "0"),
        )

    @property
    def verdict(self) -> Verdict:
        return Verdict.PASS if all(one.holds for one in self.checks) else Verdict.FAIL

    @property
    def summary(self) -> str:
        return (
            f"{self.symbols} busy symbols with {self.orders_before} orders open,"
            f" {self.least_updates_per_s:.0f} book updates a second at least"
        )

    @property
    def times(self) -> tuple[tuple[str, str], ...]:
        """What took how long since the button began, in words."""
        return (
            ("configuration before the release in force", _seconds(self.to_baseline_s)),
            ("first tick under it", _seconds(self.to_first_tick_s)),
            ("bot halted", _seconds(self.to_halt_s)),
            ("last order gone", _seconds(self.to_last_order_s)),
        )

    @property
    def before(self) -> str:
        return f"The command had been started {_seconds(self.started_s)} before: Python, and its checks."

    def check(self, name: str) -> Check:
        return next(one for one in self.checks if one.name == name)


def rehearse(request: RehearsalRequest) -> Rehearsal:
    """Walk it, and write the report. Raises ConfigError where it cannot begin, and OutputError."""
    folder = request.out / "rehearsal"
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _lay_out(request, folder)
    except OSError as error:
        raise OutputError(f"{error.filename}: cannot be written: {error.strerror}") from error
    done = _Stage(request, folder).walk()
    write_atomically(
        {
            request.out / "reports" / "ROLLBACK_REHEARSAL.md": report(done).encode(),
            request.out / "verdicts" / "rehearsal.json": _verdict(done),
        }
    )
    return done


def _in_time(name: str, found_s: float | None, most_s: float) -> Check:
    holds = found_s is not None and found_s <= most_s
    return Check(name, holds, _seconds(found_s), f"at most {most_s:g} s")


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.3f} s"


def _lay_out(request: RehearsalRequest, folder: Path) -> None:
    """A desk in a folder: the configuration, the market, and a release that was prepared after another."""
    (folder / "scenarios" / "live").mkdir(parents=True)
    shutil.copyfile(request.config, folder / "config.yaml")
    (folder / "load.yaml").write_text(_LOAD, encoding="utf-8")
    market = _market(request)
    (folder / "scenarios" / "busy.yaml").write_text(yaml.safe_dump(market), encoding="utf-8")
    live = _live(list(market["market"]["symbols"]))
    (folder / "scenarios" / "live" / "busy.yaml").write_text(yaml.safe_dump(live), encoding="utf-8")
    for on in ("false", "true"):
        (folder / "release.yaml").write_text(_RELEASE.format(on=on), encoding="utf-8")
        prepared = prepare(_prep(folder))
        write(prepared)
        if prepared.verdict is not Verdict.PASS:
            red = next(one for one in prepared.checks if one.verdict is not Verdict.PASS)
            raise ConfigError(f"rehearsal: prep is not green: {red.name}: {red.found}")


def _files(folder: Path) -> list[Path]:
    return [folder / name for name in ("config.yaml", "load.yaml", "release.yaml")]


def _prep(folder: Path) -> PrepRequest:
    return PrepRequest(
        config=_files(folder),
        scenarios=["busy"],
        folder=folder / "scenarios",
        data=None,
        out=folder / "artifacts",
        asked=[],
        code={},
        now_ns=wall_ns(),
        soak_s=_PATIENCE_S,
    )


def _market(request: RehearsalRequest) -> Row:
    seconds = request.load_s + 2 * _PATIENCE_S
    return {
        "title": f"{request.symbols} busy synthetic perpetuals",
        "kind": "synthetic",
        "duration": f"{round(seconds)}s",
        "seed": 1,
        "market": {
            "start_ns": _MARKET_NS,
            "instrument": {
                "venue": "bybit_linear", "quote": "USDT", "tick_size": "0.01", "lot_size": "0.01",
                "min_notional": 5, "fees": {"tier": "plain", "maker_bps": 2.0, "taker_bps": 5.5},
            },
            "settings": {
                "duration_s": seconds, "message_interval_ms": _MESSAGE_MS, "trades_per_s": _TRADES_PER_S,
            },
            "symbols": {
                f"BUSY{number:02}USDT": {"base": f"BUSY{number:02}", "seed": 200 + number}
                for number in range(1, request.symbols + 1)
            },
        },
    }  # fmt: skip


def _live(symbols: list[str]) -> Row:
    """The same as a venue; the simulated one takes no part, and says so as the shipped scenario does."""
    venue = {"venue": "bybit_linear", "symbols": symbols, "depth": 50, "host": "testnet"}
    return {
        "title": "under load",
        "kind": "live",
        "duration": "60m",
        "seed": 1,
        "live": {**venue, "orders_per_s": 10 * _LIMIT_FACTOR},
    }


class _Stage:
    """The processes of one rehearsal, and the folder that they write in."""

    def __init__(self, request: RehearsalRequest, folder: Path) -> None:
        self._request = request
        self._folder = folder
        self._run = folder / "run"
        keys = {"MMBOT_API_KEY": _KEY, "MMBOT_API_SECRET": _SECRET, "MMBOT_LIVE": "1", "COLUMNS": "200"}
        self._environment = os.environ | keys

    def walk(self) -> Rehearsal:
        paper = self._started("paper", "--scenario", "busy", "--key", f"{_KEY}:{_SECRET}", *_LIMITS)
        try:
            host = self._address(paper)
            bot = self._started("run", "--mode", "live", *self._configured(), *_at(host), "--out", "run")
            try:
                self._until_quoting(bot)
                pause(self._request.load_s)
                pressed_ns = wall_ns()
                button = self._started("rollback", "--kill", "--reason", "rehearsal", *_at(host))
                code = button.wait(timeout=_PATIENCE_S)
                bot.wait(timeout=_PATIENCE_S)
            finally:
                bot.kill()
                bot.wait()
        except subprocess.TimeoutExpired as error:
            raise ConfigError(
                f"rehearsal: a command took longer than {_PATIENCE_S:g} s: {error.cmd}"
            ) from error
        finally:
            paper.terminate()
            paper.wait()
        return self._told(pressed_ns, code)

    def _started(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """One of our own commands, in the folder; what it says goes into a file of its own."""
        with (self._folder / f"{arguments[0]}.log").open("wb") as log:
            return subprocess.Popen(  # noqa: S603 (no shell; each argument is one word)
                [sys.executable, "-c", "from mmbot.cli import main; main()", *arguments],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _said(self, command: str) -> str:
        return (self._folder / f"{command}.log").read_text(encoding="utf-8", errors="replace")

    def _configured(self) -> list[str]:
        base, *overrides = [path.name for path in _files(self._folder)]
        return ["--config", base, *(word for name in overrides for word in ("--config-override", name))]

    def _address(self, paper: "subprocess.Popen[bytes]") -> str:
        """Where the exchange listens."""
        for _ in _looks(paper, "the exchange did not listen"):
            first = self._said("paper").splitlines()[:1]
            if first and "http://" in first[0]:
                return "http://" + first[0].rpartition("http://")[2].strip()
        raise ConfigError(f"rehearsal: the exchange ended: {self._said('paper').strip()}")

    def _until_quoting(self, bot: "subprocess.Popen[bytes]") -> None:
        """Every symbol has two orders at the venue, by the samples of the run."""
        for _ in _looks(bot, "not every symbol has orders"):
            newest = {
                row["symbol"]: row["value"]
                for row in self._rows("samples")
                if row["name"] == "resting_orders"
            }
            if len(newest) == self._request.symbols and min(newest.values()) >= 2:  # noqa: PLR2004 (a bid and an ask)
                return
        raise ConfigError(f"rehearsal: the bot ended: {self._said('run').strip()}")

    def _rows(self, feed: str) -> list[Row]:
        """Whole lines that are on the disk."""
        content = b"".join(path.read_bytes() for path in sorted(self._run.glob(f"{feed}_????????.jsonl")))
        return [msgspec.json.decode(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]

    def _told(self, pressed_ns: int, code: int) -> Rehearsal:
        """What the rows say of it."""
        begun_ns = self._begun_ns(pressed_ns)
        found = [row for row in self._rows("events") if row["ts_ns"] >= pressed_ns]
        swap = next(
            (one for one in found if one["kind"] == "config" and one["detail"]["outcome"] == "in_force"), None
        )
        halt = next((one for one in found if one["kind"] == "halt"), None)
        orders = list(self._orders())
        ticks = sorted({row["ts_ns"] for row in self._rows("pipeline_ticks")})
        swap_ns = None if swap is None else swap["ts_ns"]
        first_ns = next((ts_ns for ts_ns in ticks if swap_ns is not None and ts_ns >= swap_ns), None)
        last_ns = next((ts_ns for ts_ns, count in reversed(orders) if count), None)
        gone_ns = next(
            (ts_ns for ts_ns, count in orders if last_ns is not None and ts_ns >= last_ns and not count), None
        )

        def since(ts_ns: int | None) -> float | None:
            return None if ts_ns is None else (ts_ns - begun_ns) / SECOND

        return Rehearsal(
            symbols=self._request.symbols,
            code=code,
            said=self._said("rollback").strip(),
            orders_before=next((count for ts_ns, count in reversed(orders) if ts_ns <= begun_ns), 0),
            least_updates_per_s=self._least_updates_per_s(pressed_ns),
            started_s=(begun_ns - pressed_ns) / SECOND,
            to_baseline_s=since(swap_ns),
            to_first_tick_s=since(first_ns),
            to_halt_s=None if halt is None else since(halt["ts_ns"]),
            to_last_order_s=since(gone_ns),
            orders_left=orders[-1][1] if orders else 0,
            expected_sha256=self._baseline_sha256(),
            found_sha256=None if swap is None else swap["detail"]["new_sha256"],
            run=self._run,
            request=self._request,
        )

    def _begun_ns(self, pressed_ns: int) -> int:
        log = self._folder / "artifacts" / "release" / "audit.jsonl"
        begun = [one["ts_ns"] for one in audit.records(log) if one["action"] == "rollback_begun"]
        if not begun:
            raise ConfigError(f"rehearsal: the button did not begin: {self._said('rollback').strip()}")
        return int(begun[-1]) if begun[-1] >= pressed_ns else pressed_ns

    def _baseline_sha256(self) -> str:
        """Of what the files say without what the release switched on, with the scenario's overlay."""
        _, overlay = load_scenario("busy", self._folder / "scenarios" / "live")
        before = self._folder / "before.yaml"
        before.write_text(_RELEASE.format(on="false"), encoding="utf-8")
        *files, _ = _files(self._folder)
        return load_settings([*files, before], overlay).sha256()

    def _orders(self) -> Iterator[tuple[int, int]]:
        """When, and how many orders were open by then: the order log, record by record."""
        path = max(self._folder.glob("artifacts/accounts/*/orders/orders-*.log"))
        content = read(path.read_bytes(), str(path))
        instruments = [one.instrument for one in _manifest(self._run).instruments]
        lifecycle = Lifecycle(instruments, content.own_prefix, state=content.state)
        for record in content.records:
            lifecycle.apply(record)
            ts_ns = getattr(record, "now_ns", None) or getattr(record, "recv_ns", None)
            if ts_ns is not None:
                yield int(ts_ns), len(lifecycle.open)

    def _least_updates_per_s(self, until_ns: int) -> float:
        """Over the seconds before the button, of the symbol with the fewest."""
        from_ns = until_ns - round(self._request.load_s * SECOND)
        found: dict[str, list[tuple[int, float]]] = {}
        for row in self._rows("samples"):
            if row["name"] == "book_updates" and from_ns <= row["ts_ns"] <= until_ns:
                found.setdefault(row["symbol"], []).append((row["ts_ns"], row["value"]))
        rates = [
            (values[-1][1] - values[0][1]) * SECOND / (values[-1][0] - values[0][0])
            for values in found.values()
            if values[-1][0] > values[0][0]
        ]
        return min(rates) if len(rates) == self._request.symbols else 0.0


_LIMITS = ("--limit-factor", str(_LIMIT_FACTOR), "--config", "config.yaml")


def _at(host: str) -> list[str]:
    return ["--venue", "busy", "--host", host]


def _looks(process: "subprocess.Popen[bytes]", what: str) -> Iterator[None]:
    """Again and again, until the process has ended. Raises ConfigError when that takes too long."""
    give_up_ns = stopwatch() + round(_PATIENCE_S * SECOND)
    while process.poll() is None:
        if stopwatch() > give_up_ns:
            raise ConfigError(f"rehearsal: {what} within {_PATIENCE_S:g} s")
        yield
        pause(_LOOK_S)


def _manifest(run: Path) -> Manifest:
    path = run / "manifest.json"
    return decoded_manifest(path.read_bytes(), str(path))


def report(done: Rehearsal) -> str:
    """`ROLLBACK_REHEARSAL.md`."""
    lines = [
        f"# Rollback rehearsal: {done.verdict} (SYNTHETIC)",
        "",
        f"`mmbot rollback --kill` on the paper exchange: {done.summary}.",
        "",
        "| since the button began | took |",
        "|---|---|",
        *(f"| {what} | {took} |" for what, took in done.times),
        "",
        done.before,
        "",
        "| check | verdict | found | expected |",
        "|---|---|---|---|",
        *(f"| {one.name} | {one.verdict} | {one.found} | {one.expected} |" for one in done.checks),
        "",
        "Made from the run's events, ticks, samples and order log, and from the audit log.",
    ]
    return "\n".join(lines) + "\n"


def _verdict(done: Rehearsal) -> bytes:
    """For machines: keys only grow."""
    facts = {
        "schema": 1,
        "step": "rehearsal",
        "verdict": done.verdict,
        "data_kind": "synthetic",
        "seconds": {
            "started": done.started_s,
            "to_baseline": done.to_baseline_s,
            "to_first_tick": done.to_first_tick_s,
            "to_halt": done.to_halt_s,
            "to_last_order": done.to_last_order_s,
        },
        "checks": [
            {
                "name": one.name,
                "verdict": one.verdict,
                "found": one.found,
                "expected": one.expected,
            }
            for one in done.checks
        ],
    }
    return msgspec.json.format(msgspec.json.encode(facts), indent=1) + b"\n"
