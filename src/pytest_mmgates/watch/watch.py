"""The streaming judge of one run, or of one part of a run.

Every 10 seconds of the run's own time each rule is measured over its window; a stop rule that fires ends the
watch with a reason. Looks come late by at most the batch that the bot writes: a look is made when a feed
comes round again, so that all feeds of a time are in before it is judged. After a silence of the rows every
look of it is made up for, up to a day: no data is judged as if it had been looked at in time.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from pytest_mmgates.errors import RunlogError
from pytest_mmgates.metrics.measurement import Measurement, absent
from pytest_mmgates.metrics.windowed import COMPARED, Fresh
from pytest_mmgates.rows import Markets
from pytest_mmgates.units import Dimension, in_unit, show
from pytest_mmgates.watch.armtimes import LATEST_BUCKETS
from pytest_mmgates.watch.changes import Change
from pytest_mmgates.watch.hold import Hold, Now
from pytest_mmgates.watch.record import By, Fired, Section, Seen, WatchRecord, clock_text, moment_text
from pytest_mmgates.watch.sources import Sources
from pytest_mmgates.watchrules import LONGEST_NS, STEP_NS, Condition, WatchRule

_FEEDS = ("pipeline_ticks", "fills", "samples", "events")
_MOST_LOOKS = LONGEST_NS // STEP_NS
_TELL_AFTER_NS = 60_000_000_000


class Watch:
    """Rules over the rows of one run. `tell` is shown progress, a line at a time."""

    def __init__(
        self,
        stop: Sequence[WatchRule],
        warn: Sequence[WatchRule],
        markets: Callable[[], Markets],
        tell: Callable[[str], None],
        arm: str | None = None,
    ) -> None:
        """`arm`: of a run of two arms, watch ticks and fills of this one, in its own time: while only the
        other quotes nothing is judged, and every hold stands still.
        """
        self._tell = tell
        self._arm = arm
        self._changes: list[Change] = []
        changed = self._changes.append
        self._rules = [
            *(WatchedRule(rule, "stop", self._told, changed) for rule in stop),
            *(WatchedRule(rule, "warn", self._told, changed) for rule in warn),
        ]
        conditions = [condition for rule in self._rules for condition in rule.conditions]
        self._longest_ns = max((condition.window_ns for condition in conditions), default=0)
        compared = [rule for rule in self._rules if rule.rule.metric in COMPARED]
        self._timed_ns = max((one.window_ns for rule in compared for one in rule.conditions), default=0)
        self._markets = markets
        self._sources: Sources | None = None
        self._started: int | None = None
        self._restarted: int | None = None
        self._looked = 0
        self._newest = 0
        self._round: set[str] = set()
        self.halt_reason: str | None = None

    @property
    def records(self) -> tuple[WatchRecord, ...]:
        return tuple(rule.record for rule in self._rules)

    @property
    def looked_ns(self) -> int:
        """Until when it has looked, by the run's clock; 0 before the first row."""
        return self._looked * STEP_NS

    def says(self) -> list[dict[str, object]]:
        """What every rule said at the last look, as `pytest_mmgates.sut` hands it to the run."""
        return [
            {
                "rule": rule.record.rule,
                "section": rule.record.section,
                "says": rule.says(),
                "fired": rule.record.fired is not None,
            }
            for rule in self._rules
        ]

    def take_changes(self) -> list[Change]:
        """Which rules fired or ended since it was asked last."""
        changes = self._changes.copy()
        self._changes.clear()
        return changes

    def batch(self, feed: str, lines: bytes) -> None:
        """Take a batch of rows. Raises RunlogError for rows that cannot be believed."""
        if feed not in _FEEDS or not self._rules or self.halt_reason is not None:
            return
        if feed in self._round:
            self._round.clear()
            self._look_until(self._newest)
        self._round.add(feed)
        sources = self._sources = self._sources or Sources(
            self._markets(), self._longest_ns, self._went_on, self._arm, self._timed_ns
        )
        for number in sources.take(feed, lines):
            self._arrive(sources, feed, number)

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Nothing is told meanwhile."""
        tell, self._tell = self._tell, _nothing
        try:
            yield
        finally:
            self._tell = tell

    def _told(self, line: str) -> None:
        self._tell(line)

    def restart(self) -> None:
        """Rows from here on are another process's: its memory is measured from its own beginning."""
        self._went_on(self._newest)

    def _went_on(self, number: int) -> None:
        if self._sources is not None:
            self._sources.start(number)
            self._restarted = number

    def finish(self) -> None:
        """The run has ended: judge what is still to be judged, and say what all of it came to."""
        self._look_until(self._newest)
        if self._sources is not None and self.halt_reason is None:
            for rule in self._rules:
                rule.sum_up(self._sources)

    def _arrive(self, sources: Sources, feed: str, number: int) -> None:
        """A bucket is about to get rows. The first one is where the run starts."""
        if self._started is None:
            sources.start(number)
            self._started = self._looked = self._newest = number
        if number < self._looked - LATEST_BUCKETS:
            late = clock_text((self._looked - number) * STEP_NS)
            raise RunlogError(
                f"feed {feed}: rows came {late} late: expected feeds within 30 minutes of each other"
            )
        self._look_until(number - LATEST_BUCKETS)
        self._newest = max(self._newest, number)

    def _look_until(self, end: int) -> None:
        """Every look up to the beginning of the bucket `end`."""
        last = min(end, self._looked + _MOST_LOOKS)
        for at in range(self._looked + 1, last + 1):
            if self.halt_reason is None:
                self._look(at)
        self._looked = max(self._looked, end)

    def _look(self, end: int) -> None:
        """One look; none in an outage, which no process of the run could have used for better or worse, and
        none while the arm that is watched does not quote.
        """
        if self._sources is None or self._started is None:
            return
        if self._sources.out(end) or self._sources.idle(end):
            return
        for rule in self._rules:
            of_process = self._restarted is not None and rule.rule.windowed.warm_up_ns
            rule.look(self._sources, self._restarted or 0 if of_process else self._started, end)
            fired = rule.record.fired
            if fired is not None and rule.record.section == "stop" and self.halt_reason is None:
                self.halt_reason = f"stop rule {rule.rule}: {fired.why}"


def _nothing(_line: str) -> None:
    pass


class WatchedRule:
    """One rule and what became of it so far."""

    def __init__(
        self,
        rule: WatchRule,
        section: Section,
        tell: Callable[[str], None],
        changed: Callable[[Change], None] = lambda _: None,
    ) -> None:
        self.rule = rule
        self.conditions = [rule.slow] if rule.fast is None else [rule.slow, rule.fast]
        self.record = WatchRecord(str(rule), section, above=rule.above)
        self._dimension: Dimension = rule.dimension
        self._holds = [Hold(condition, self._dimension) for condition in self.conditions]
        self._told = [0 for _ in self.conditions]
        self._fired = [False for _ in self.conditions]
        self._missing_ns = 0
        self._found: Measurement | None = None
        """By the slow condition at the last look."""
        self._tell = tell
        self._changed = changed
        self._firing: dict[By, Change] = {}

    def says(self) -> str | None:
        """The last value, and how long what holds has held; None before the first look.

        `7.1%, > 5% since 08:40 of 10:00`
        """
        found = self._found
        if found is None:
            return None
        said = [
            f"{self._missing()}: {found.reason}"
            if found.value is None
            else self._value(self.rule.slow, found)
        ]
        for hold, condition in zip(self._holds, self.conditions, strict=True):
            if hold.held_ns is not None and condition.hold is not None:
                window = "" if condition is self.rule.slow else f" in {condition.window}"
                said.append(f"{condition.bound}{window} {self._since(hold.held_ns, condition)}")
        if self.record.fired is not None:
            said.append(f"fired {self.record.times}x, first {self.record.fired.why}")
        return ", ".join(said)

    def look(self, sources: Sources, started: int, end: int) -> None:
        """Measure and step every condition whose window is full."""
        for index, condition in enumerate(self.conditions):
            if end * STEP_NS < started * STEP_NS + self.rule.windowed.warm_up_ns + condition.window_ns:
                continue
            found = self._measured(sources, condition, end)
            if index == 0:
                self._found = found
                self._count(found, end * STEP_NS)
            self._step(index, found, end * STEP_NS)

    def sum_up(self, sources: Sources) -> None:
        """Everything that was watched, for whoever cannot wait for a full window."""
        windowed, symbol = self.rule.windowed, self.rule.symbol
        code = None if symbol is None else sources.code(symbol)
        if windowed.is_share and (symbol is None or code is not None):
            found = windowed.measure(sources.whole(code))
            self.record.seen = None if found.value is None else Seen(found.value, found.n)

    def _measured(self, sources: Sources, condition: Condition, end: int) -> Measurement:
        """A value, or none with the reason."""
        windowed, symbol = self.rule.windowed, self.rule.symbol
        code = None if symbol is None else sources.code(symbol)
        if symbol is not None and code is None:
            return absent(f"no symbol {symbol} in this run")
        if windowed.fresh is Fresh.TICKS and not sources.ticked(end, code):
            return absent("no ticks")
        found = windowed.measure(sources.window(end, condition.window_ns, code))
        if found.value is not None and found.n < condition.least:
            return absent(
                f"{found.n} {windowed.counts} in {condition.window}, asked for {condition.least}", found.n
            )
        return found

    def _count(self, found: Measurement, now_ns: int) -> None:
        """Keep the record of the slow condition; without a value, the time without one."""
        record = self.record
        if found.value is None:
            record.absent += 1
            if record.absent_why is None or found.n > record.most_n:
                record.absent_why, record.most_n = found.reason, found.n
            self._miss(found, now_ns)
            return
        self._missing_ns = 0
        self._over("no_data", now_ns)
        record.judged += 1
        if record.is_worse(found.value):
            record.worst, record.worst_n, record.worst_ns = found.value, found.n, now_ns

    def _miss(self, found: Measurement, now_ns: int) -> None:
        self._missing_ns += STEP_NS
        fires_ns = self.rule.no_data_ns
        if fires_ns is None:
            return
        why = f"no data for {clock_text(self._missing_ns)}: {found.reason}"
        if self._missing_ns == fires_ns:
            self._fire(Fired(now_ns, "no_data", None, found.n, f"{why} at {moment_text(now_ns)}"))
        elif self._missing_ns == _TELL_AFTER_NS:
            self._tell(f"{self.rule.subject}[{self.rule.slow.window}] {self._missing()}")

    def _missing(self) -> str:
        fires_ns = self.rule.no_data_ns
        of = "" if fires_ns is None else f" of {clock_text(fires_ns)}"
        return f"no data: since {clock_text(self._missing_ns)}{of}"

    def _step(self, index: int, found: Measurement, now_ns: int) -> None:
        hold, condition = self._holds[index], self.conditions[index]
        now = hold.look(now_ns, found.value)
        if index == 0:
            self.record.slow = hold.longest
        else:
            self.record.fast = hold.longest
        if now is Now.CLEARED:
            if self._told[index]:
                self._tell(f"{self._shown(condition, found)}: cleared")
            self._told[index], self._fired[index] = 0, False
            self._over("fast" if index else "slow", now_ns)
        elif now is Now.HOLDS and hold.fires and not self._fired[index]:
            self._fired[index] = True
            for_ = "" if condition.hold is None else f" for {condition.hold}"
            why = f"{self._shown(condition, found)}{for_} (n {found.n}) at {moment_text(now_ns)}"
            self._fire(Fired(now_ns, "fast" if index else "slow", found.value, found.n, why))
        elif now is Now.HOLDS and hold.quarters > self._told[index]:
            self._told[index] = hold.quarters
            self._tell(f"{self._shown(condition, found)}: {self._since(hold.held_ns or 0, condition)}")

    def _fire(self, fired: Fired) -> None:
        self.record.times += 1
        self.record.fired = self.record.fired or fired
        self._tell(f"{self.record.section}: {fired.why}")
        change = Change(self.rule, self.record.section, fired.by, fired.at_ns, fired.why)
        self._firing[fired.by] = change
        self._changed(change)

    def _over(self, by: By, now_ns: int) -> None:
        """It fires no longer, if it did."""
        change = self._firing.pop(by, None)
        if change is not None:
            self._changed(replace(change, until_ns=now_ns))

    def _shown(self, condition: Condition, found: Measurement) -> str:
        """`deadline_miss.ratio[5m] 7.1% > 5%`."""
        return f"{self.rule.subject}[{condition.window}] {self._value(condition, found)} {condition.bound}"

    def _value(self, condition: Condition, found: Measurement) -> str:
        """In the unit of the limit."""
        limit = condition.bound.limit
        value = in_unit(found.value or 0.0, self._dimension, limit.unit)
        return f"{show(value, near=float(limit.number))}{limit.unit}"

    @staticmethod
    def _since(held_ns: int, condition: Condition) -> str:
        return f"since {clock_text(held_ns)} of {clock_text(condition.hold_ns)}"
