"""How long a condition has held: one small state machine, stepped at every look."""

from enum import Enum, auto

from pytest_mmgates.units import Dimension
from pytest_mmgates.watch.record import Held
from pytest_mmgates.watchrules import STEP_NS, Condition


class Now(Enum):
    """What the last look made of it."""

    HOLDS = auto()
    STANDS = auto()
    CLEARED = auto()


class Hold:
    """`held_ns` grows by the step while the condition is true look after look, stands still without a value
    or between limit and clear level, and is None once cleared.
    """

    def __init__(self, condition: Condition, dimension: Dimension) -> None:
        self._condition = condition
        self._dimension = dimension
        self.held_ns: int | None = None
        self.longest = Held()

    def look(self, now_ns: int, value: float | None) -> Now:
        """Take one value, or none."""
        if value is None:
            return Now.STANDS
        if self._condition.bound.holds(value, self._dimension):
            self.held_ns = 0 if self.held_ns is None else self.held_ns + STEP_NS
            if self.longest.at_ns is None or self.held_ns > self.longest.longest_ns:
                self.longest = Held(self.held_ns, now_ns)
            return Now.HOLDS
        if self._condition.is_cleared(value, self._dimension):
            self.held_ns = None
            return Now.CLEARED
        return Now.STANDS

    @property
    def fires(self) -> bool:
        """Whether it has held long enough. Asked after a look that found it true."""
        return self.held_ns is not None and self.held_ns >= self._condition.hold_ns

    @property
    def quarters(self) -> int:
        """Full quarters of the hold that have passed; 4 = it fires."""
        hold_ns = self._condition.hold_ns
        return 0 if self.held_ns is None or not hold_ns else min(4, 4 * self.held_ns // hold_ns)
