"""`OUT/history.sqlite`: what every session measured, and whether a metric creeps.

One row for each rule that was judged, in the order of the sessions; a lock is a row of its own. The file is
local and disposable: what it holds is in the verdict files too, until the next session replaces them.

**Creep.** A gate sees one change at a time; ten steps of a per cent pass it one by one. The test here sees
the passes since the last lock, at most the latest 60: Mann and Kendall's rank test for a trend in the worse
direction, with the normal approximation and its correction for ties and continuity (Kendall, Rank
Correlation Methods, 1948), beside Theil and Sen's slope. It asks for at least 12 values and p < 0.0005. It
looks again after every pass, so p alone is no false-alarm rate: by simulation (`pytest -m stats
tests/pytest_mmgates/test_history.py`), without a trend and with independent errors, 1.1 % of histories of 100
passes see an alarm at all; a creep of a twentieth of the errors' standard deviation a pass is found after 40
passes, of a fifth after 19 (medians). Rows that failed are left out: they were not merged.
"""

import math
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import NormalDist, median

from pytest_mmgates.errors import OutputError

HISTORY = "history.sqlite"
LEAST, MOST = 12, 60
ALARM_P = 0.0005
_TABLE = """
create table if not exists verdicts (
  id integer primary key,
  session text not null, kind text not null, step text, scenario text, gate text, metric text, rule text,
  verdict text, value real, unit text, op text, data_kind text, commit_sha text, lock_digest text
)
"""
_FIELDS = (
    "session", "kind", "step", "scenario", "gate", "metric", "rule", "verdict", "value", "unit", "op",
    "data_kind", "commit_sha", "lock_digest",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One rule of one session; `kind` is `verdict`, or `lock` for a point from which a new baseline holds.
    `op` tells which direction is worse.
    """

    session: str
    kind: str
    step: str | None = None
    scenario: str | None = None
    gate: str | None = None
    metric: str | None = None
    rule: str | None = None
    verdict: str | None = None
    value: float | None = None
    unit: str | None = None
    op: str | None = None
    data_kind: str | None = None
    commit_sha: str | None = None
    lock_digest: str | None = None


@dataclass(frozen=True, slots=True)
class Creep:
    """Whether values creep: p of no trend against a worse one, the slope per pass, what it comes to."""

    n: int
    p: float
    slope: float
    total: float

    @property
    def alarm(self) -> bool:
        return self.p < ALARM_P


def append(path: Path, rows: Sequence[Row]) -> None:
    """Add rows in their order; nothing happens without any. Raises OutputError."""
    if not rows:
        return
    marks = ", ".join("?" * len(_FIELDS))
    insert = f"insert into verdicts ({', '.join(_FIELDS)}) values ({marks})"  # noqa: S608 - fixed names
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=30)) as database, database:
            database.execute(_TABLE)
            database.executemany(insert, [tuple(getattr(row, name) for name in _FIELDS) for row in rows])
    except (OSError, sqlite3.Error) as error:
        raise OutputError(f"cannot be written: {path}: {error}") from error


def read(path: Path, metric: str, scenario: str | None) -> list[Row]:
    """Measured rows of a metric, and locks, in their order. OutputError for what is no history."""
    query = (
        f"select {', '.join(_FIELDS)} from verdicts where"  # noqa: S608 - fixed names
        " (kind = 'lock' or (metric = ? and value is not null)) and (? is null or scenario = ?) order by id"
    )
    if not path.is_file():
        raise OutputError(f"{path}: found no history: it begins with the first session that judges a gate")
    try:
        with closing(sqlite3.connect(path)) as database:
            return [Row(*found) for found in database.execute(query, (metric, scenario, scenario))]
    except sqlite3.Error as error:
        raise OutputError(f"{path}: cannot be read: {error}") from error


def metrics(path: Path) -> list[str]:
    """Every metric that was ever measured."""
    with closing(sqlite3.connect(path)) as database:
        query = "select distinct metric from verdicts where value is not null order by metric"
        return [name for (name,) in database.execute(query)]


def since_lock(rows: Sequence[Row]) -> list[Row]:
    """The passes after the last lock, the latest of them."""
    locks = [index for index, row in enumerate(rows) if row.kind == "lock"]
    recent = rows[locks[-1] + 1 :] if locks else rows
    return [row for row in recent if row.kind == "verdict" and row.verdict == "PASS"][-MOST:]


def creep(values: Sequence[float], *, worse_above: bool) -> Creep | None:
    """The test on values in their order, or None for fewer than it takes."""
    n = len(values)
    if n < LEAST:
        return None
    pairs = list(combinations(enumerate(values), 2))
    score = sum(_sign(later - earlier) for (_, earlier), (_, later) in pairs)
    slope = median((later - earlier) / (j - i) for (i, earlier), (j, later) in pairs)
    towards = score if worse_above else -score
    spread = math.sqrt(_variance(values))
    z = 0.0 if spread == 0 else (towards - _sign(towards)) / spread
    return Creep(n, 1 - NormalDist().cdf(z), slope, slope * (n - 1))


def worse_above(op: str | None) -> bool:
    """Whether larger values of a rule are worse."""
    return op not in (">", ">=")


def ticks(values: Sequence[float]) -> str:
    """Values as a line of eight heights."""
    low, high = min(values), max(values)
    steps = "▁▂▃▄▅▆▇█"
    return "".join(steps[0 if high == low else round(7 * (one - low) / (high - low))] for one in values)


def lines_of(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Stretches between locks, each with what began it."""
    label, stretch = "from the beginning", list[Row]()
    for row in rows:
        if row.kind == "lock":
            if stretch:
                yield label, stretch
            label, stretch = f"from lock {(row.lock_digest or '')[:12]}", []
        else:
            stretch.append(row)
    yield label, stretch


def _variance(values: Sequence[float]) -> float:
    """Of the score without a trend, less what ties take."""
    n = len(values)
    ties = [values.count(value) for value in set(values)]
    return (n * (n - 1) * (2 * n + 5) - sum(t * (t - 1) * (2 * t + 5) for t in ties)) / 18


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
