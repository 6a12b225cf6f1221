"""The facts of a day, as the system under test wrote them: `DATE.json`, schema 1. Keys may be more.

Times are ISO 8601 in UTC, durations and prices wear their unit, a value that was not measured is null.
"""

from typing import Literal

import msgspec

from pytest_mmgates.rows import DataKind


class Gap(msgspec.Struct, frozen=True):
    """No run has a tick between the two."""

    begin: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    seconds: float


class Coverage(msgspec.Struct, frozen=True):
    """Of one symbol."""

    symbol: str
    ticks: int
    covered_s: float
    covered_ratio: float
    gaps: list[Gap]
    short_gaps: int


class Halt(msgspec.Struct, frozen=True):
    """A run was stopped."""

    at: str
    reason: str | None


class Run(msgspec.Struct, frozen=True):
    """A run that has rows of the day. `fell_silent`: it never said that it ended, and has no tick at the end
    of the day.
    """

    run_id: str
    arm: str
    step: str
    scenario: str
    status: Literal["running", "complete", "halted", "failed"]
    reason: str | None
    config_sha256: str
    run_digest: str | None
    configurations: int
    first_tick: str | None
    last_tick: str | None
    ended_on_day: bool
    fell_silent: bool
    ticks: int
    fills: int
    halts: list[Halt]
    torn_files: int
    feed_bytes: int


class LeftOut(msgspec.Struct, frozen=True):
    """A run whose rows are not counted."""

    run_id: str
    reason: str


class Earned(msgspec.Struct, frozen=True, kw_only=True):
    """Money in `currency`; bps by weight, positive = good for us but of slippage."""

    currency: str
    fills: int
    buys: int
    notional: float
    taker_share: float | None
    fees: float
    funding: float
    pnl: float | None
    fills_with_net: int
    gross_bps: float | None
    adverse_1s_bps: float | None
    adverse_5s_bps: float | None
    adverse_60s_bps: float | None
    fees_bps: float | None
    net_bps: float | None
    slippage_bps: float | None


class SymbolEarned(Earned, frozen=True, kw_only=True):
    """Of one symbol. `position` is that of its last tick, null where it has several runs.
    `position_difference_lots`: by what ticks say that it moved, less what fills say; `pnl_difference`: of two
    ways to add up profit, relative to what was traded.
    """

    symbol: str
    position: float | None
    position_difference_lots: int
    pnl_difference: float | None


class StageTimes(msgspec.Struct, frozen=True):
    """Of all ticks; `measured_p95_ns` is without the wait for I/O."""

    stage: str
    n: int
    p50_ns: float
    p95_ns: float
    p99_ns: float
    max_ns: float
    measured_p95_ns: float


class Ticks(msgspec.Struct, frozen=True):
    """How reads of the book were served, and which ticks were late."""

    ticks: int
    hits: int
    stale: int
    misses: int
    age_p50_ns: float | None
    age_p95_ns: float | None
    age_p99_ns: float | None
    age_max_ns: float | None
    deadline_misses: int
    quoted: int


class GuardReason(msgspec.Struct, frozen=True):
    """Ticks at this level that had this reason; a tick may have several."""

    level: str
    reason: str
    ticks: int


class Guards(msgspec.Struct, frozen=True):
    """Ticks by level."""

    levels: dict[str, int]
    reasons: list[GuardReason]
    hard_without_reason: int


class Hour(msgspec.Struct, frozen=True):
    """One of the 24."""

    hour: int
    ticks: int
    hit_ratio: float | None
    tick_total_p95_ns: float | None
    deadline_misses: int
    hard_ticks: int
    fills: int


class Counted(msgspec.Struct, frozen=True):
    """Events of a kind, with one reason or none."""

    kind: str
    reason: str
    count: int


class Breaker(msgspec.Struct, frozen=True):
    """Of a venue where it moved."""

    venue: str
    opened: int
    not_closed_s: float
    state: str


class Process(msgspec.Struct, frozen=True):
    """Resident memory; floors are the least of each ten minutes, by their number."""

    run_id: str
    part: str | None
    rss_max_bytes: float
    rss_floors: list[tuple[int, float]]


class Equity(msgspec.Struct, frozen=True):
    """Of a live account."""

    run_id: str
    first_usd: float
    last_usd: float
    least_usd: float


class OrderStep(msgspec.Struct, frozen=True):
    """Of ticks of a live run that created an order."""

    run_id: str
    step: str
    n: int
    p50_us: float
    p95_us: float
    max_us: float


class FiredAlert(msgspec.Struct, frozen=True):
    """A rule that watched a run, and fired for the first time on the day."""

    run_id: str
    section: Literal["stop", "warn"]
    rule: str
    at: str
    times: int
    why: str


class Group(msgspec.Struct, frozen=True):
    """Runs of one kind of data and mode."""

    data_kind: DataKind
    mode: str
    runs: list[Run]
    left_out: list[LeftOut]
    coverage: list[Coverage]
    results: list[Earned]
    symbols: list[SymbolEarned]
    latency: list[StageTimes]
    ticks: Ticks | None
    guards: Guards | None
    hours: list[Hour]
    events: list[Counted]
    breakers: list[Breaker]
    processes: list[Process]
    equity: list[Equity]
    order_path: list[OrderStep]
    alerts: list[FiredAlert]
    watched_runs: int

    @property
    def key(self) -> tuple[str, str]:
        return self.data_kind, self.mode

    @property
    def name(self) -> str:
        return f"{self.mode} on {'SYNTHETIC' if self.data_kind == 'synthetic' else self.data_kind} data"

    def stage(self, name: str) -> StageTimes | None:
        return next((one for one in self.latency if one.stage == name), None)

    def count(self, *kinds: str) -> int:
        """Events of these kinds."""
        return sum(one.count for one in self.events if one.kind in kinds)


class Unreadable(msgspec.Struct, frozen=True):
    """A run that tells nothing, and why."""

    place: str
    reason: str


class Day(msgspec.Struct, frozen=True):
    """The whole file. Groups are in the order of how far they can be believed."""

    schema: Literal[1]
    day: str
    groups: list[Group]
    unreadable: list[Unreadable]

    def group(self, key: tuple[str, str]) -> Group | None:
        return next((group for group in self.groups if group.key == key), None)


ERRORS = (
    "order_reject", "amend_reject", "answer_timeout", "late_fill", "off_order_execution", "account_trouble",
    "account_stale", "lost", "gap", "crossed", "depth", "range", "ticks_dropped", "alert_lost",
)  # fmt: skip
"""Kinds of events in which something went wrong."""
RETRIES = ("resync_request", "order_deferred", "reconcile")
"""Kinds of events in which something was tried again."""
