"""Both arms of an experiment in one engine: each cluster of symbols is quoted by one of them at a time.

At the first tick of a block whose arm is another, the cluster's quotes are pulled (guard `switch`), and its
symbols want none until every order is proven to have ended. Then the other arm's settings come into force,
the prefix of its client ids, and it quotes at that very tick. What the old arm held is handed over: nothing
is flattened. So no two arms ever have an order on one symbol, and whichever tick it takes, the blocks of the
schedule stay where they were drawn: what a switch costs is the new arm's, in its wash-out.

The course says who quotes: a stage's schedule, or one arm alone; arm A alone is the baseline, on which every
course begins and to which a rollback returns. A course may be set at any time, and is in force when no
cluster is on its way to another arm.

Events: `course` (somebody set it), `arm_block` (a block of a cluster begins), `arm_in_force` (after how long)
and `course_in_force`, with the hash of what each cluster then runs on.

Decided: with `switch: apart`, rooms that all symbols share (`SHARED`) are the same for both arms; with
`together` all clusters are one group, and none of them goes on before the last is ready.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from mmbot.book.cache import MdCacheSettings
from mmbot.book.market import EventMarket
from mmbot.config.settings import Settings
from mmbot.engine.engine import Engine
from mmbot.engine.symbol import SymbolBot
from mmbot.experiment.plan import Arm, Experiment, Plan, Stage
from mmbot.experiment.switchback import Schedule
from mmbot.model.commands import Message
from mmbot.model.orders import arm_of, symbol_prefix
from mmbot.model.records import EventRow, FillRow, Row
from mmbot.risk.account import Account
from mmbot.units import MS

BASELINE: Arm = "A"
SHARED = ("limits", "breaker", "throttle", "md_cache.max_inflight_refresh", "md_cache.refresh_retry_ms")
"""Sections and keys of rooms that all symbols share."""
Course = Schedule | Arm
_NEVER = 1 << 63


@dataclass(frozen=True, slots=True)
class ArmSettings:
    """An arm: its configuration as written, and what the rooms get of it."""

    written: Settings
    in_force: Settings


@dataclass(slots=True)
class _Group:
    """Symbols that change arms as one. `leaving_ns`: since when the arm in force is to go; None: it is not.
    `ends_ns`: of the block that they are in.
    """

    clusters: Sequence[str]
    bots: Sequence[SymbolBot]
    arm: Arm = BASELINE
    next_arm: Arm = BASELINE
    leaving_ns: int | None = None
    ends_ns: int = 0

    @property
    def working(self) -> bool:
        return any(bot.working for bot in self.bots)


class ArmedEngine(Engine):
    """An engine that begins on arm A, and follows a course from its first tick on."""

    def __init__(
        self,
        bots: Mapping[str, SymbolBot],
        feeds: Mapping[str, EventMarket],
        cache: MdCacheSettings,
        account: Account,
        plan: Plan,
        arms: Mapping[Arm, ArmSettings],
        course: Course | Stage,
    ) -> None:
        """`cache` and everything in the bots is of arm A. A stage begins at the first tick."""
        super().__init__(bots, feeds, cache, account)
        self.plan = plan
        self._arms = dict(arms)
        self._groups = _groups(plan, self.bots)
        self._group_of = {bot.key: group for group in self._groups for bot in group.bots}
        self._leaving: list[_Group] = []
        self._next_ns = _NEVER
        """When the next block of any group begins."""
        self._asked: Course | Stage | None = course
        self._reason = ""
        self._set_ns: int | None = None
        """When the course was set that is not yet in force."""
        self.course: Course = BASELINE

    def follow(self, now_ns: int, course: Course, reason: str) -> EventRow:
        """Go over to another course, from the next tick on. Returns the event that says so."""
        self.course, self._reason, self._set_ns, self._asked = course, reason, now_ns, None
        self._next_ns = now_ns
        for group in self._groups:
            group.ends_ns = now_ns
        return EventRow(now_ns, None, "course", {"course": course_name(course), "reason": reason})

    def arm_in_force(self, symbol: str) -> Arm:
        """Whose settings a symbol runs on now."""
        return self._group_of[symbol].arm

    def tick(self, now_ns: int, due: Iterable[SymbolBot] | None = None) -> Sequence[Message]:
        if self._halted is not None:
            return super().tick(now_ns, due)
        self._steer(now_ns)
        for group in self._leaving:
            for bot in group.bots:
                bot.switching(now_ns)
        before = len(self._ticks)
        messages = super().tick(now_ns, due)
        for row in islice(reversed(self._ticks), len(self._ticks) - before):
            row.arm = self._group_of[row.symbol].arm
        return messages

    def pull_quotes(self, now_ns: int) -> list[Message]:
        """Whoever stands aside changes arms all the same: nothing of either is quoted meanwhile."""
        if self._halted is None:
            self._steer(now_ns)
        return super().pull_quotes(now_ns)

    def drain(self) -> list[Row]:
        rows = super().drain()
        for row in rows:
            if type(row) is FillRow:
                row.arm = arm_of(row.client_id)
        return rows

    def _steer(self, now_ns: int) -> None:
        """Begin the blocks that are due, and put arms in force that nothing holds up any longer."""
        if self._asked is not None:
            asked = self._asked
            began = Schedule(self.plan, asked, now_ns) if isinstance(asked, Stage) else asked
            self._rows.append(self.follow(now_ns, began, "start"))
        if now_ns >= self._next_ns:
            self._begin_blocks(now_ns)
        if self._leaving:
            for group in self._leaving:
                if not group.working:
                    self._put_in_force(now_ns, group)
            self._leaving = [group for group in self._leaving if group.leaving_ns is not None]
        if self._set_ns is not None and not self._leaving:
            self._tell_in_force(now_ns, self._set_ns)
            self._set_ns = None

    def _begin_blocks(self, now_ns: int) -> None:
        course = self.course
        for group in self._groups:
            if now_ns < group.ends_ns:
                continue
            if not isinstance(course, Schedule):
                group.next_arm, group.ends_ns = course, _NEVER
            elif now_ns < course.start_ns:
                group.next_arm, group.ends_ns = BASELINE, course.start_ns
            else:
                self._begin_block(now_ns, group, course)
            if group.next_arm == group.arm:
                group.leaving_ns = None
            elif group.leaving_ns is None:
                group.leaving_ns = now_ns
        self._next_ns = min(group.ends_ns for group in self._groups)
        self._leaving = [group for group in self._groups if group.leaving_ns is not None]

    def _begin_block(self, now_ns: int, group: _Group, schedule: Schedule) -> None:
        for cluster in group.clusters:
            block = schedule.block_at(cluster, now_ns)
            group.next_arm, group.ends_ns = block.arm, block.end_ns
            detail: dict[str, str | int | float | None] = {
                "stage": schedule.stage.value,
                "cluster": cluster,
                "block": block.index,
                "pair": block.pair,
                "arm": block.arm,
                "start_ns": block.start_ns,
                "analysed_ns": block.analysed_ns,
                "end_ns": block.end_ns,
            }
            self._rows.append(EventRow(now_ns, None, "arm_block", detail))

    def _put_in_force(self, now_ns: int, group: _Group) -> None:
        """No order of the group is left: the other arm's from here on."""
        since_ns = now_ns if group.leaving_ns is None else group.leaving_ns
        group.arm, group.leaving_ns = group.next_arm, None
        settings = self._arms[group.arm]
        if len(group.bots) == len(self.bots):
            self.reconfigure(settings.in_force)
        else:
            for bot in group.bots:
                bot.reconfigure(settings.in_force)
        for bot in group.bots:
            bot.sign(symbol_prefix(group.arm, bot.instrument.symbol))
        for cluster in group.clusters:
            detail: dict[str, str | int | float | None] = {
                "cluster": cluster,
                "arm": group.arm,
                "config_sha256": settings.written.sha256(),
                "waited_ms": (now_ns - since_ns) / MS,
            }
            self._rows.append(EventRow(now_ns, None, "arm_in_force", detail))

    def _tell_in_force(self, now_ns: int, set_ns: int) -> None:
        """The course is in force: what each cluster runs on."""
        detail: dict[str, str | int | float | None] = {
            "course": course_name(self.course),
            "reason": self._reason,
            "waited_ms": (now_ns - set_ns) / MS,
        }
        for group in self._groups:
            sha256 = self._arms[group.arm].written.sha256()
            detail |= {f"{cluster}.config_sha256": sha256 for cluster in group.clusters}
        self._rows.append(EventRow(now_ns, None, "course_in_force", detail))


def course_name(course: Course) -> str:
    """`baseline`, `candidate`, or the stage."""
    if isinstance(course, Schedule):
        return course.stage.value
    return "baseline" if course == BASELINE else "candidate"


def shared_differences(experiment: Experiment, differing: Iterable[str]) -> list[str]:
    """Keys in which the arms may not differ, since clusters that change apart share their rooms."""
    if experiment.plan.switch == "together":
        return []
    return [key for key in differing if key in SHARED or key.partition(".")[0] in SHARED]


def _groups(plan: Plan, bots: Mapping[str, SymbolBot]) -> list[_Group]:
    """Clusters of the plan that this engine trades, in the plan's order; together they are one group."""
    traded = {
        name: [bots[symbol] for symbol in symbols if symbol in bots]
        for name, symbols in plan.clusters.items()
    }
    traded = {name: of_cluster for name, of_cluster in traded.items() if of_cluster}
    if plan.switch == "together":
        return [_Group(list(traded), [bot for of_cluster in traded.values() for bot in of_cluster])]
    return [_Group([name], of_cluster) for name, of_cluster in traded.items()]
