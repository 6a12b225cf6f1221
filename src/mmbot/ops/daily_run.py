"""What one run did on one UTC day, from its rows: money by symbol, stops, breakers, memory, alerts.

    pnl of a day = sum over its fills of lots * (worth(close) - worth(price)) - fees - funding
                   + lots held before it * (worth(close) - worth(open))

close is the last mid of the day, open the last mid before it, both of the run's own ticks: the days of a run
add up to its ledger. Held before are the lots of the run's own fills; what an account held before the run is
in its position and not in its profit. Sums are `math.fsum`: they depend on no order. Edge is that of
`mmbot.edge`, as a dataset has it.

Held against it are two things that were made otherwise: the positions that the ticks tell, and the profit as
the legs of its fills add up to it.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np

from mmbot.calibration.dataset_edge import Columns
from mmbot.edge.fill import HORIZONS_S, signed_lots
from mmbot.errors import DatasetError
from mmbot.model.instrument import Instrument
from mmbot.model.records import FillRow
from mmbot.ops.daily_feeds import Place, load, mid_before, read, stamp
from mmbot.ops.dataset_feeds import fills_of, moment, whole
from mmbot.ops.dataset_rows import SymbolDays, SymbolRows
from mmbot.units import BPS, DAY, SECOND

HOUR_NS = 3_600 * SECOND
FLOOR_NS = 600 * SECOND
LEGS = ("gross_bps", *(f"adverse_{h}s_bps" for h in HORIZONS_S), "fees_bps", "net_bps", "slippage_bps")
_LATE_NS = SECOND
"""A tick tells of fills that came after it was due, while it waited to be done."""
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SymbolDay:
    """One symbol of one run. `fills` are columns, a row a fill of the day, bps with NaN where there is none.

    `pnl` None: no mid to mark at. `position_difference_lots`: what the ticks say that the position moved by,
    less what the fills say. `pnl_difference`: of the two ways to add up profit, by what was traded.
    """

    instrument: Instrument
    rows: SymbolRows
    funding: float
    pnl: float | None
    pnl_difference: float | None
    position_difference_lots: int
    position: float
    """Of the last tick, as the row has it."""

    @property
    def fills(self) -> Columns:
        return self.rows.fills

    @property
    def totals(self) -> Row:
        return self.rows.totals


@dataclass(slots=True)
class RunDay:
    """One run. `symbols` by their full name; times are moments of ISO 8601."""

    place: Place
    torn_files: int
    symbols: dict[str, SymbolDay] = field(default_factory=dict)
    events: list[Row] = field(default_factory=list)
    """By kind and reason, how many, of the day."""
    halts: list[Row] = field(default_factory=list)
    breakers: list[Row] = field(default_factory=list)
    processes: list[Row] = field(default_factory=list)
    equity: Row | None = None
    order_path: list[Row] = field(default_factory=list)
    alerts: list[Row] | None = None
    """None: nothing watched it, or what did has not said yet."""
    configurations: int = 1

    @property
    def spans(self) -> dict[str, tuple[int, int]]:
        """From first to last tick of the day, by symbol."""
        return {name: (one.rows.first_ns, one.rows.last_ns) for name, one in self.symbols.items()}

    @property
    def ticks(self) -> int:
        return sum(one.rows.ticks for one in self.symbols.values())

    @property
    def fills(self) -> int:
        return sum(one.totals["fills"] for one in self.symbols.values())


def run_day(database: duckdb.DuckDBPyConnection, place: Place, begin_ns: int, work: Path) -> RunDay:
    """Read it; its tables stay until the next run is. Raises DatasetError."""
    day = RunDay(place, load(database, place, begin_ns, work))
    named = database.execute(
        "SELECT DISTINCT symbol FROM pipeline_ticks WHERE ts_ns < ? ORDER BY 1", [begin_ns + DAY]
    ).fetchall()
    events = list(_events(database))
    for (symbol,) in named:
        found = _symbol_day(database, place, symbol, begin_ns, work, events)
        if found is not None:
            day.symbols[symbol] = found
    _refuse_unmarked(database, day, begin_ns)
    today = [event for event in events if event["ts_ns"] >= begin_ns]
    day.events = _counted(today)
    day.halts = [
        {"at": moment(one["ts_ns"]), "reason": one["detail"].get("reason")}
        for one in today
        if one["kind"] == "halt"
    ]
    day.configurations += sum(
        one["kind"] == "config" and one["detail"].get("outcome") == "in_force" for one in today
    )
    day.breakers = list(_breakers(events, begin_ns, _end_ns(day, begin_ns)))
    day.processes, day.equity = list(_processes(database, place, begin_ns, work)), _equity(database)
    day.order_path = _order_path(database)
    day.alerts = _alerts(place, begin_ns)
    return day


def _refuse_unmarked(database: duckdb.DuckDBPyConnection, day: RunDay, begin_ns: int) -> None:
    """Fills of a symbol without a tick have no mark: money that a sum would leave out."""
    sql = "SELECT symbol, count(*) FROM fills WHERE ts_ns >= ? GROUP BY 1 ORDER BY 1"
    for symbol, count in database.execute(sql, [begin_ns]).fetchall():
        if symbol not in day.symbols:
            named = day.place.manifest.run_id
            raise DatasetError(f"run {named}: {count} fills of {symbol} on a day without a tick of it")


def _end_ns(day: RunDay, begin_ns: int) -> int:
    """Of what the run saw of the day."""
    return max((last for _, last in day.spans.values()), default=begin_ns)


def _symbol_day(
    database: duckdb.DuckDBPyConnection,
    place: Place,
    symbol: str,
    begin_ns: int,
    work: Path,
    events: Sequence[Row],
) -> SymbolDay | None:
    """None where it has no tick."""
    instrument, within = place.instruments[symbol], (begin_ns, begin_ns + DAY)
    rows = SymbolDays(database, instrument, HOUR_NS, place.manifest.tick_ns, within).read()
    if rows is None:
        return None
    fills = [FillRow(*row) for row in fills_of(database, symbol)]
    today = [fill for fill in fills if fill.ts_ns >= begin_ns]
    held = sum(signed_lots(instrument, fill) for fill in fills if fill.ts_ns < begin_ns)
    funding = math.fsum(
        float(one["detail"]["payment"])
        for one in events
        if one["kind"] == "funding" and one["symbol"] == symbol and one["ts_ns"] >= begin_ns
    )
    opened = mid_before(database, place, symbol, begin_ns, work) if held else None
    marks = _Marks(instrument, _close(database, symbol, within), held, opened)
    first, last = _positions(database, symbol, within)
    pnl = marks.pnl(today, funding)
    return SymbolDay(
        instrument=instrument,
        rows=rows,
        funding=funding,
        pnl=pnl,
        pnl_difference=None if pnl is None else marks.difference(pnl, today, rows.fills, funding),
        position_difference_lots=_unexplained_lots(instrument, fills, (first, last)),
        position=last[1],
    )


def _close(database: duckdb.DuckDBPyConnection, symbol: str, within: tuple[int, int]) -> float | None:
    sql = (
        "SELECT arg_max(mid, ts_ns) FROM pipeline_ticks "
        "WHERE symbol = ? AND mid IS NOT NULL AND ts_ns >= ? AND ts_ns < ?"
    )
    (mid,) = database.execute(sql, [symbol, *within]).fetchone() or (None,)
    return None if mid is None else float(mid)


@dataclass(frozen=True, slots=True)
class _Marks:
    """What a day is marked with, and what was held when it began."""

    instrument: Instrument
    close: float | None
    held_lots: int
    opened: float | None

    def pnl(self, fills: Sequence[FillRow], funding: float) -> float | None:
        """After fees and funding; None without a mark that it takes."""
        if self.close is None or (self.held_lots and self.opened is None):
            return None
        worth = self.instrument.worth(self.close)
        booked = (
            signed_lots(self.instrument, fill) * (worth - self.instrument.worth(fill.price)) for fill in fills
        )
        return math.fsum([*booked, *(-fill.fee for fill in fills), self._carried(worth), -funding])

    def difference(self, pnl: float, fills: Sequence[FillRow], legs: Columns, funding: float) -> float:
        """To the same profit made of the legs of fills, by what was traded; those without a mid have none."""
        worth = self.instrument.worth(self.close or 0.0)
        terms = [self._carried(worth), -funding]
        ordered = sorted(fills, key=lambda fill: (fill.ts_ns, fill.recv_ns, fill.fill_id))
        edge = (legs["gross_bps"] + legs["fees_bps"]) * legs["weight"] / BPS
        for fill, settled in zip(ordered, edge.tolist(), strict=True):
            lots = signed_lots(self.instrument, fill)
            if fill.mid is None:
                terms.append(lots * (worth - self.instrument.worth(fill.price)) - fill.fee)
            else:
                terms.append(settled + lots * (worth - self.instrument.worth(fill.mid)))
        traded = math.fsum(
            self.instrument.notional(signed_lots(self.instrument, fill), fill.price) for fill in fills
        )
        return abs(math.fsum(terms) - pnl) / (traded or 1.0)

    def _carried(self, worth: float) -> float:
        if self.opened is None:
            return 0.0
        return self.held_lots * (worth - self.instrument.worth(self.opened))


Placed = tuple[int, float]
"""When, and the position then."""


def _positions(
    database: duckdb.DuckDBPyConnection, symbol: str, within: tuple[int, int]
) -> tuple[Placed, Placed]:
    """Of the first and the last tick of the day."""
    sql = (
        "SELECT min(ts_ns), arg_min(position, ts_ns), max(ts_ns), arg_max(position, ts_ns) "
        "FROM pipeline_ticks WHERE symbol = ? AND ts_ns >= ? AND ts_ns < ?"
    )
    first_ns, first, last_ns, last = database.execute(sql, [symbol, *within]).fetchone() or (0, 0.0, 0, 0.0)
    return (first_ns, first), (last_ns, last)


def _unexplained_lots(instrument: Instrument, fills: Sequence[FillRow], moved: tuple[Placed, Placed]) -> int:
    """How many lots the position moved that no fill moved it. At either end a fill may have come while the
    tick waited, so the nearest of what that allows counts.
    """
    said = round(moved[1][1] / instrument.lot) - round(moved[0][1] / instrument.lot)
    before, after = (set(_booked(instrument, fills, ts_ns)) for ts_ns, _ in moved)
    return min(abs(said - (end - begin)) for begin in before for end in after)


def _booked(instrument: Instrument, fills: Sequence[FillRow], ts_ns: int) -> Iterator[int]:
    """Lots of all fills that we knew of then, and with each of those that came within a second."""
    known = sorted(fills, key=lambda fill: (fill.recv_ns, fill.fill_id))
    sums = [0, *accumulate(signed_lots(instrument, fill) for fill in known)]
    for count, total in enumerate(sums):
        learned_ns = known[count - 1].recv_ns if count else 0
        following_ns = known[count].recv_ns if count < len(known) else None
        if learned_ns <= ts_ns + _LATE_NS and (following_ns is None or following_ns > ts_ns - _LATE_NS):
            yield total


def _events(database: duckdb.DuckDBPyConnection) -> Iterator[Row]:
    """In their order, since the run began."""
    for ts_ns, symbol, kind, detail in database.execute(
        "SELECT ts_ns, symbol, kind, detail FROM events ORDER BY ts_ns"
    ).fetchall():
        yield {
            "ts_ns": ts_ns,
            "symbol": symbol,
            "kind": kind,
            "detail": {} if detail is None else json.loads(detail),
        }


def _counted(events: Sequence[Row]) -> list[Row]:
    """By kind and by the name of its reason, which stands before a colon."""
    counts: dict[tuple[str, str], int] = {}
    for event in events:
        reason = str(event["detail"].get("reason") or "").partition(":")[0]
        counts[event["kind"], reason] = counts.get((event["kind"], reason), 0) + 1
    return [{"kind": kind, "reason": why, "count": count} for (kind, why), count in sorted(counts.items())]


def _breakers(events: Sequence[Row], begin_ns: int, end_ns: int) -> Iterator[Row]:
    """By venue that moved since the run began: how often it opened on the day, how long it was not closed."""
    moves: dict[str, list[tuple[int, str]]] = {}
    for event in events:
        if event["kind"] == "breaker":
            moves.setdefault(str(event["detail"]["venue"]), []).append(
                (event["ts_ns"], str(event["detail"]["state"]))
            )
    for venue, states in sorted(moves.items()):
        ends = [ts_ns for ts_ns, _ in states[1:]] + [max(end_ns, states[-1][0])]
        open_ns = sum(
            max(end - max(ts_ns, begin_ns), 0)
            for (ts_ns, state), end in zip(states, ends, strict=True)
            if state != "closed"
        )
        opened = sum(ts_ns >= begin_ns and state == "open" for ts_ns, state in states)
        yield {"venue": venue, "opened": opened, "not_closed_s": open_ns / SECOND, "state": states[-1][1]}


def _processes(database: duckdb.DuckDBPyConnection, place: Place, begin_ns: int, work: Path) -> Iterator[Row]:
    """Resident memory of each file of samples, since each part is a process of its own: the largest, and the
    floors of ten minutes, without the hour in which a process warms up.
    """
    columns = {"ts_ns": "BIGINT", "name": "VARCHAR", "value": "DOUBLE"}
    warm_ns = max(begin_ns, (place.manifest.started_ns or 0) + HOUR_NS)
    for path in place.files["samples"].get(stamp(begin_ns), ()):
        read(database, "process", columns, [whole(str(path), work)], (begin_ns, begin_ns + DAY))
        (most,) = database.execute("SELECT max(value) FROM process WHERE name = 'rss_bytes'").fetchone() or (
            None,
        )
        floors = database.execute(
            "SELECT (ts_ns - ?) // ?, min(value) FROM process WHERE name = 'rss_bytes' AND ts_ns >= ? "
            "GROUP BY 1 ORDER BY 1",
            [begin_ns, FLOOR_NS, warm_ns],
        ).fetchall()
        if most is not None:
            part = path.parent.name if path.parent.parent.name == "parts" else None
            yield {
                "run_id": place.manifest.run_id,
                "part": part,
                "rss_max_bytes": most,
                "rss_floors": [list(floor) for floor in floors],
            }


def _equity(database: duckdb.DuckDBPyConnection) -> Row | None:
    """Of a live account."""
    sql = (
        "SELECT arg_min(value, ts_ns), arg_max(value, ts_ns), min(value) FROM samples "
        "WHERE name = 'account_equity_usd'"
    )
    first, last, least = database.execute(sql).fetchone() or (None, None, None)
    return None if first is None else {"first_usd": first, "last_usd": last, "least_usd": least}


def _order_path(database: duckdb.DuckDBPyConnection) -> list[Row]:
    """Of ticks of a live run that created an order: how long each step took."""
    sql = (
        "SELECT name, count(*), quantile_disc(value, 0.5), quantile_disc(value, 0.95), max(value) "
        "FROM samples WHERE name LIKE 'order!_%!_us' ESCAPE '!' GROUP BY 1 ORDER BY 1"
    )
    names = ("step", "n", "p50_us", "p95_us", "max_us")
    return [dict(zip(names, row, strict=True)) for row in database.execute(sql).fetchall()]


class _Fired(msgspec.Struct):
    at_ns: int
    by: str
    why: str


class _Watched(msgspec.Struct):
    """A rule, as `watch.json` of a run has it."""

    rule: str
    section: str
    times: int = 0
    fired: _Fired | None = None


def _alerts(place: Place, begin_ns: int) -> list[Row] | None:
    """Rules that fired for the first time on the day, of the run and its parts."""
    found: list[Row] | None = None
    for folder in place.folders:
        path = folder / "watch.json"
        if not path.is_file():
            continue
        found = found or []
        for one in msgspec.json.decode(path.read_bytes(), type=list[_Watched]):
            if one.fired is not None and begin_ns <= one.fired.at_ns < begin_ns + DAY:
                at = moment(one.fired.at_ns)
                found.append(
                    {
                        "section": one.section,
                        "rule": one.rule,
                        "at": at,
                        "times": one.times,
                        "why": one.fired.why,
                    }
                )
    return found


def combined(days: Sequence[SymbolDay]) -> Row:
    """Symbols that settle in one currency, or one symbol of several runs, added up."""
    fills = sum(one.totals["fills"] for one in days)
    notional = math.fsum(one.totals["notional"] for one in days)
    pnls = [one.pnl for one in days]
    return {
        "fills": fills,
        "buys": sum(one.totals["buys"] for one in days),
        "notional": notional,
        "taker_share": _weighted([(one.totals["taker_share"], one.totals["notional"]) for one in days]),
        "fees": math.fsum(one.totals["fees"] for one in days),
        "funding": math.fsum(one.funding for one in days),
        "pnl": None if None in pnls else math.fsum(pnl for pnl in pnls if pnl is not None),
        "fills_with_net": sum(one.totals["fills_with_net"] for one in days),
        **{name: _mean(days, name) for name in LEGS},
    }


def _mean(days: Sequence[SymbolDay], name: str) -> float | None:
    """Of a leg, by weight, over fills that have a net and that leg; of one symbol as its dataset has it."""
    if len(days) == 1:
        found: float | None = days[0].totals[name]
        return found
    columns: Mapping[str, Any] = {
        of: np.concatenate([one.fills[of] for one in days]) for of in ("net_bps", "weight", name)
    }
    known = np.isfinite(columns["net_bps"]) & np.isfinite(columns[name])
    values, weights = columns[name][known].tolist(), columns["weight"][known].tolist()
    return _weighted(list(zip(values, weights, strict=True)))


def _weighted(values: Sequence[tuple[float | None, float]]) -> float | None:
    known = [(value, weight) for value, weight in values if value is not None]
    if len(known) == 1:
        return known[0][0]
    weight = math.fsum(weight for _, weight in known)
    return math.fsum(value * weight for value, weight in known) / weight if weight else None
