"""May this delta follow? One small state machine for every venue's snapshot + delta rule.

A venue's session says how its ids link (that is the venue's rule, quoted there); this machine says what
follows from it: before a snapshot nothing is applied, an id at or below the last is a duplicate (the
snapshot's own id may still bridge), a broken link ends the chain until the next snapshot. Nothing is repaired
in silence: each refusal has a name.
"""

from mmbot.model.events import Trouble


class Sequencer:
    """Chain of update ids of one book. `last` is None before a snapshot and after a gap."""

    __slots__ = ("fresh", "last")

    def __init__(self) -> None:
        self.last: int | None = None
        self.fresh = False
        """True until the first delta after a snapshot; some venues bridge that one by a wider rule."""

    def snapshot(self, update_id: int) -> None:
        self.last = update_id
        self.fresh = True

    def delta(self, update_id: int, *, links: bool) -> Trouble | None:
        """None = apply it. `links`: by the venue's rule this delta follows `last` directly."""
        if self.last is None:
            return Trouble.BEFORE_SNAPSHOT
        if update_id < self.last or (update_id == self.last and not self.fresh):
            return Trouble.DUPLICATE
        if not links:
            self.last = None
            return Trouble.GAP
        self.last = update_id
        self.fresh = False
        return None
