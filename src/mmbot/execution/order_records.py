"""What the order log holds: everything that moves the lifecycle, in the order in which it moved it."""

import msgspec

from mmbot.execution.position import PositionState
from mmbot.execution.tracked import TrackedOrder
from mmbot.model.account import Execution, OrderAbsent, OrderReport, RequestAnswer
from mmbot.model.commands import AmendOrder, SubmitOrder
from mmbot.model.events import Funding
from mmbot.units import Lots, Ns


class CreateSent(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Written, and on the disk, before the create leaves."""

    now_ns: Ns
    order: SubmitOrder


class CancelSent(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    now_ns: Ns
    symbol: str
    client_id: str


class AmendSent(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Written, and on the disk, before the amend leaves: it may make its order larger."""

    now_ns: Ns
    order: AmendOrder


class Checked(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Look-ups and repeated cancels were due."""

    now_ns: Ns


class Doubted(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The venue does not list an order that we hold to be there: look it up."""

    now_ns: Ns
    client_id: str


class Restarted(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A new engine, which knows none of the orders before it."""

    now_ns: Ns


class Opened(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A symbol's books begin with this position: executions up to `until_ns` (venue's time) are in it."""

    now_ns: Ns
    symbol: str
    lots: Lots
    entry_price: float | None
    until_ns: Ns


class Agreed(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Orders, fills and positions agreed with the venue's: executions before this moment are all booked."""

    now_ns: Ns


class SymbolState(msgspec.Struct, forbid_unknown_fields=True):
    """`orders`: the highest running number of a client id; `fills`: of a fill. `opened_ns` is the venue's
    time up to which executions are in the position that its books began with (None: not begun).
    """

    orders: int = 0
    fills: int = 0
    opened_ns: int | None = None
    funded_ns: int = 0


class Unmatched(msgspec.Struct, forbid_unknown_fields=True):
    """An execution whose order is not known yet."""

    execution: Execution
    check_ns: int
    checks: int = 0


class LifecycleState(msgspec.Struct, forbid_unknown_fields=True):
    """Everything. `open` and `closed` orders by client id, the longest closed first; `executions` that are
    booked, by exec_id, with the venue's time; those at or before `forgotten_ns` are too old to be told from
    booked ones.
    """

    symbols: dict[str, SymbolState]
    positions: dict[str, PositionState]
    open: dict[str, TrackedOrder] = {}
    closed: dict[str, TrackedOrder] = {}
    executions: dict[str, int] = {}
    unmatched: dict[str, Unmatched] = {}
    forgotten_ns: int = 0
    agreed_ns: int = 0


Record = (
    CreateSent
    | AmendSent
    | CancelSent
    | Checked
    | Doubted
    | Restarted
    | Opened
    | Agreed
    | OrderReport
    | Execution
    | RequestAnswer
    | OrderAbsent
    | Funding
)
