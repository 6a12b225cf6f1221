"""What a sweep says: a verdict on the best region, figures of every point, and what is not known.

PASS: a point is told to be better than the configuration in force, deflated for the number of points, and on
days that it was not selected on where there are three (`calibration.selection`). INCONCLUSIVE: none is told
apart, held-back days do not bear it out, or what it nets an hour is less than before: a spread so wide that
nobody comes would have the best net_bps of all. NO_DATA: too few blocks or fills, or shards that are missing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from mmbot.calibration.block_sums import METRICS, SUMS, Floats
from mmbot.calibration.selection import LEAST_UNITS, Selected, Surface, confirm, select, split, tellable
from mmbot.calibration.spread_need import Interval
from mmbot.ops.sweep import Candidate, Sweep
from mmbot.ops.sweep_run import Outcome

LEAST_FILLS = 30
"""With a net, of a point and of the one in force, to be compared."""


class Verdict(StrEnum):
    PASS = "PASS"  # noqa: S105 (a verdict)
    INCONCLUSIVE = "INCONCLUSIVE"
    NO_DATA = "NO_DATA"


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one point, over the blocks that were selected on. A metric is None where there is none; `no_data`:
    why the point is not compared. `improvement` over the point in force, positive = better.
    """

    candidate: Candidate
    metrics: dict[str, float | None]
    fills: int
    no_data: str | None
    same_orders: bool = False
    improvement: Interval | None = None
    in_region: bool = False


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Of the proposed point, over held-back blocks."""

    blocks: int
    fills: tuple[int, int]
    """Of the point in force, and of the proposed one."""
    improvement: Interval


@dataclass(frozen=True, slots=True)
class Judged:
    """A sweep's result. `best` and `proposed` are numbers of candidates; `trials` are compared with the point
    in force.
    """

    sweep: Sweep
    outcome: Outcome
    verdict: Verdict
    reason: str
    figures: Sequence[Figures]
    blocks: Sequence[int]
    """Starts, ns, of those selected on."""
    held_back: Sequence[int]
    trials: int = 0
    selected: Selected | None = None
    best: int | None = None
    proposed: int | None = None
    confirmation: Confirmation | None = None
    region: frozenset[int] = field(default_factory=frozenset)

    def of(self, number: int) -> Figures:
        return self.figures[number]


@dataclass(frozen=True, slots=True)
class _Table:
    """Sums of every candidate that has them: by candidate, block and column of `SUMS`."""

    numbers: list[int]
    starts_ns: list[int]
    sums: Floats

    def surface(self, sweep: Sweep) -> Surface:
        """Oriented so that more is better."""
        above, below = sweep.metric.of(self.sums)
        return Surface(sweep.metric.sign * above, below)

    def fills(self, blocks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """With a net, by candidate."""
        counted: Floats = self.sums[:, blocks, SUMS.index("fills_with_net")].sum(axis=1)
        return np.asarray(np.rint(counted), np.int64)


def judge(sweep: Sweep, outcome: Outcome) -> Judged:
    """From the sums alone."""
    table = _table(sweep, outcome)
    seen, held = split(table.starts_ns)
    surface = table.surface(sweep)
    fills = table.fills(seen)
    known = tellable(surface.over(seen)) if len(seen) else np.zeros(len(table.numbers), np.bool_)
    figures = [_figures(sweep, outcome, table, one, seen, fills, known) for one in sweep.candidates]
    blocks, held_back = ([table.starts_ns[at] for at in part] for part in (seen, held))
    missing = _missing(sweep, outcome, figures, len(blocks))
    if missing is not None:
        return Judged(sweep, outcome, Verdict.NO_DATA, missing, figures, blocks, held_back)
    compared = [at for at, number in enumerate(table.numbers) if figures[number].no_data is None]
    numbers = [table.numbers[at] for at in compared]
    selected = select(surface.of(compared).over(seen), numbers.index(0))
    region = frozenset(numbers[at] for at in selected.region)
    proposed = None if selected.proposed is None else numbers[selected.proposed]
    confirmation = None
    if proposed is not None and len(held):
        confirmation = _confirmation(table, surface, proposed, held)
    best = numbers[selected.best]
    verdict, reason = _verdict(sweep, selected, best, proposed, confirmation)
    if verdict is Verdict.PASS and proposed is not None:
        verdict, reason = _earning(figures[0], figures[proposed], sweep.settled_in, reason)
    return Judged(
        sweep=sweep,
        outcome=outcome,
        verdict=verdict,
        reason=reason,
        figures=_with_improvements(sweep, figures, numbers, selected, region),
        blocks=blocks,
        held_back=held_back,
        trials=len(numbers) - 1,
        selected=selected,
        best=best,
        proposed=proposed,
        confirmation=confirmation,
        region=region,
    )


def _table(sweep: Sweep, outcome: Outcome) -> _Table:
    numbers = [one.number for one in sweep.candidates if one.number in outcome.sums]
    starts_ns = sorted(set[int]().union(*(outcome.sums[number].starts_ns for number in numbers)))
    tables = [outcome.sums[number].table(starts_ns) for number in numbers]
    shape = (len(numbers), len(starts_ns), len(SUMS))
    return _Table(numbers, starts_ns, np.array(tables).reshape(shape))


def _figures(
    sweep: Sweep,
    outcome: Outcome,
    table: _Table,
    candidate: Candidate,
    seen: npt.NDArray[np.int64],
    fills: npt.NDArray[np.int64],
    known: npt.NDArray[np.bool_],
) -> Figures:
    """Of one candidate: those of the point in force where it stands for the same settings."""
    number = 0 if candidate.same else candidate.number
    if number not in table.numbers:
        unknown = dict[str, float | None].fromkeys(METRICS)
        return Figures(candidate, unknown, 0, _why_not_played(outcome, candidate))
    at = table.numbers.index(number)
    total = table.sums[at, seen].sum(axis=0)
    count, no_data = int(fills[at]), None
    if candidate.same:
        no_data = "stands for the settings in force"
    elif count < LEAST_FILLS:
        no_data = f"{count} fills with a net, expected {LEAST_FILLS}"
    elif not known[at]:
        no_data = f"without one block there is no {sweep.metric.name}"
    same_orders = number != 0 and outcome.digests[number] == outcome.digests.get(0)
    return Figures(candidate, _metrics(total), count, no_data, same_orders)


def _metrics(total: Floats) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name, metric in METRICS.items():
        above, below = metric.of(total)
        found[name] = float(above / below) if below > 0 else None
    return found


def _why_not_played(outcome: Outcome, candidate: Candidate) -> str:
    if candidate.refused is not None:
        return f"refused: {candidate.refused}"
    trouble = outcome.troubles.get(candidate.number)
    if trouble is not None:
        return f"shard {trouble.shard}: {trouble.error}"
    return f"not played: {outcome.lost}" if outcome.lost else "not played"


def _missing(sweep: Sweep, outcome: Outcome, figures: Sequence[Figures], blocks: int) -> str | None:
    """Why nothing can be told."""
    total = len(sweep.played) * sweep.shards_a_point
    if outcome.lost is not None:
        return f"{outcome.lost}; {outcome.finished} of {total} shards are kept: start it again to go on"
    if figures[0].no_data is not None:
        return f"configuration in force: {figures[0].no_data}"
    if blocks < LEAST_UNITS:
        return f"{blocks} blocks of {sweep.block_ns / 1e9:g} s, expected {LEAST_UNITS}: a longer --duration"
    if all(one.no_data is not None for one in figures[1:]):
        return f"no point can be compared; the first: {figures[1].candidate.label}: {figures[1].no_data}"
    return None


def _confirmation(
    table: _Table, surface: Surface, proposed: int, held: npt.NDArray[np.int64]
) -> Confirmation:
    fills = table.fills(held)
    in_force, chosen = table.numbers.index(0), table.numbers.index(proposed)
    return Confirmation(
        blocks=len(held),
        fills=(int(fills[in_force]), int(fills[chosen])),
        improvement=confirm(surface.over(held), chosen, in_force),
    )


def _verdict(
    sweep: Sweep, selected: Selected, best: int, proposed: int | None, confirmation: Confirmation | None
) -> tuple[Verdict, str]:
    name, labels = sweep.metric.name, [one.label for one in sweep.candidates]
    luck = f"the best of as many equal points would show {selected.luck:+.3g} by luck"
    if proposed is None:
        if best == 0:
            return Verdict.INCONCLUSIVE, f"no point had a better {name} than the configuration in force"
        return Verdict.INCONCLUSIVE, (
            f"{labels[best]} was best, {_told(selected.improvements[selected.best])} over the configuration"
            f" in force: not told apart, {luck}"
        )
    assert selected.proposed is not None  # noqa: S101 (the same point by its place)
    better = f"{labels[proposed]}: {name} better by {_told(selected.improvements[selected.proposed])}; {luck}"
    if confirmation is None:
        return Verdict.PASS, f"{better}; no days were held back to confirm it on"
    if min(confirmation.fills) < LEAST_FILLS:
        held = f"held-back days had {min(confirmation.fills)} fills, expected {LEAST_FILLS}"
        return Verdict.INCONCLUSIVE, f"{better}; {held}"
    told = _told(confirmation.improvement)
    if not confirmation.improvement.low > 0:
        return Verdict.INCONCLUSIVE, f"{better}; not borne out on held-back days: {told}"
    return Verdict.PASS, f"{better}; on held-back days {told}"


def _earning(before: Figures, after: Figures, currency: str, reason: str) -> tuple[Verdict, str]:
    """A pass, unless it nets less an hour."""
    old, new = before.metrics["net_quote"], after.metrics["net_quote"]
    if old is None or new is None or new >= old:
        return Verdict.PASS, reason
    return Verdict.INCONCLUSIVE, f"{reason}; but it nets {new:.4g} {currency} an hour, less than {old:.4g}"


def _told(interval: Interval) -> str:
    """`+0.412 (+0.1 to +0.7)`."""
    if not math.isfinite(interval.low):
        return f"{interval.value:+.3g} (no interval)"
    return f"{interval.value:+.3g} ({interval.low:+.3g} to {interval.high:+.3g})"


def _with_improvements(
    sweep: Sweep, figures: Sequence[Figures], numbers: list[int], selected: Selected, region: frozenset[int]
) -> list[Figures]:
    """The same, and how each compared point did against the one in force."""
    found = list(figures)
    for at, number in enumerate(numbers):
        improvement = None if number == 0 else selected.improvements[at]
        found[number] = replace(figures[number], improvement=improvement, in_region=number in region)
    same = (one.number for one in sweep.candidates if one.same)
    for number in same:
        found[number] = replace(figures[number], in_region=0 in region)
    return found
