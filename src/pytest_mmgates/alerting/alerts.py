"""Stop rules and warnings of the gates as alerts: one a condition, one for want of data.

An alert is true as soon as the rule's own windows are full, holds as long, and keeps firing for a window more
where the rule has a clear level: what made it fire has left the window by then. Where that is not what the
watch does, the annotation `differs` says how.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from pytest_mmgates.alerting.exports import Exports
from pytest_mmgates.alerting.naming import alert_annotations, alert_labels, alert_name, watched_rules
from pytest_mmgates.alerting.queries import QUERIES, Query, Stream, duration, number, selected
from pytest_mmgates.armrules import CANDIDATE
from pytest_mmgates.gatefile import Gate
from pytest_mmgates.units import NS_PER_S, Dimension, Quantity
from pytest_mmgates.watch.record import By, Section
from pytest_mmgates.watchrules import STEP_NS, Condition, WatchRule


@dataclass(frozen=True, slots=True)
class Case:
    """Streams, and when the alert fires on them: not before `from_ns`, None = never in `lasts_ns`."""

    streams: Stream
    from_ns: int | None
    lasts_ns: int


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert, and the streams that prove it: it fires on each `fires`, and never on `quiet`."""

    name: str
    expr: str
    hold_ns: int
    keep_ns: int
    labels: dict[str, str]
    annotations: dict[str, str]
    carries: Mapping[str, str]
    """Labels that its series have in the streams."""
    fires: Case
    quiet: Case


def alerts_of(gate: Gate, exports: Exports) -> list[Alert]:
    """Every stop rule, its fast twin, and every warning of a gate, in its order; of an experiment's gate
    those that watch arm B. Raises CommandError where the exported metrics do not suffice.
    """
    return [
        alert
        for section, rule in watched_rules(gate)
        for alert in _OfRule(gate, section, rule, exports).alerts()
    ]


class _OfRule:
    """The alerts of one rule."""

    def __init__(self, gate: Gate, section: Section, rule: WatchRule, exports: Exports) -> None:
        self._gate, self._section, self._rule = gate, section, rule
        self._arm = CANDIDATE if rule in gate.of_candidate else None
        self._subject = rule.subject if self._arm is None else f"{self._arm}.{rule.subject}"
        self._query: Query = QUERIES[rule.metric](exports, selected(rule.symbol, self._arm))
        self._dimension: Dimension = rule.dimension

    def alerts(self) -> Iterator[Alert]:
        yield self._alert("slow", self._rule.slow)
        if self._rule.fast is not None:
            yield self._alert("fast", self._rule.fast)
        if self._rule.no_data is not None:
            yield self._no_data(self._rule.no_data)

    def _alert(self, by: By, condition: Condition) -> Alert:
        query, window_ns = self._query, condition.window_ns
        whole_ns = window_ns + self._rule.windowed.warm_up_ns
        limit = self._base(condition.bound.limit)
        terms = [
            f"{query.value(window_ns)} {condition.bound.op} {number(limit)}",
            f"{query.count(window_ns)} >= {condition.least}",
            query.full(whole_ns),
        ]
        hold = f" for {condition.hold}" if condition.hold else ""
        lasts_ns = whole_ns + 2 * condition.hold_ns + 20 * STEP_NS
        bad, good = self._beyond(limit, condition), self._short_of(limit, condition)
        return Alert(
            name=alert_name(self._gate, self._section, self._rule, by),
            expr="\nand ".join(terms),
            hold_ns=condition.hold_ns,
            keep_ns=window_ns if condition.clear else 0,
            labels=alert_labels(self._gate, self._section),
            annotations=self._annotations(
                f"{self._subject} over {condition.window} is {condition.bound}{hold}",
                [*self._stands_still(condition), *query.differs],
            ),
            carries=self._query.carries,
            fires=Case(query.stream(bad, window_ns, lasts_ns), whole_ns + condition.hold_ns, lasts_ns),
            quiet=Case(query.stream(good, window_ns, lasts_ns), None, lasts_ns),
        )

    def _no_data(self, fires: Quantity) -> Alert:
        slow, fires_ns = self._rule.slow, self._rule.no_data_ns or 0
        missing = self._query.missing(slow.window_ns, slow.least)
        from_ns = missing.from_ns + fires_ns
        lasts_ns = from_ns + 60 * STEP_NS
        healthy = self._short_of(self._base(slow.bound.limit), slow)
        return Alert(
            name=alert_name(self._gate, self._section, self._rule, "no_data"),
            expr=missing.expr,
            hold_ns=fires_ns,
            keep_ns=0,
            labels=alert_labels(self._gate, self._section),
            annotations=self._annotations(
                f"{self._subject} over {slow.window} has had no value for {fires}",
                ["a target that is gone has no series: that is seen by `up`, not here"],
            ),
            carries=self._query.carries,
            fires=Case(missing.starved(lasts_ns), from_ns, lasts_ns),
            quiet=Case(self._query.stream(healthy, slow.window_ns, lasts_ns), None, lasts_ns),
        )

    def _annotations(self, summary: str, differs: Sequence[str]) -> dict[str, str]:
        told = alert_annotations(self._gate, self._rule, summary)
        return told | ({"differs": "; ".join(differs)} if differs else {})

    def _stands_still(self, condition: Condition) -> Iterator[str]:
        if condition.clear:
            over = duration(condition.window_ns)
            yield f"it ends {over} after the last breach, where the watch ends at {condition.clear}"
        if self._arm is not None:
            yield f"windows go on while arm {self._arm} does not quote, where the watch stands still"
        if condition.hold:
            yield "the hold begins anew when the comparison fails, where the watch lets its time stand still"

    def _base(self, limit: Quantity) -> float:
        """In base units of Prometheus."""
        base = Decimal(str(limit.base(self._dimension)))
        return float(base / NS_PER_S) if self._dimension is Dimension.TIME else float(base)

    def _beyond(self, limit: float, condition: Condition) -> float:
        """A value that is worse than the limit, and can be: a share is at most 1, a time its whole window."""
        if not condition.above:
            return limit / 2
        if self._dimension is Dimension.TIME:
            return condition.window_ns / NS_PER_S
        return (limit + 1) / 2 if self._dimension is Dimension.RATIO else 2 * limit

    def _short_of(self, limit: float, condition: Condition) -> float:
        if condition.above:
            return limit / 2
        return (limit + 1) / 2 if self._dimension is Dimension.RATIO else 2 * limit
