"""Faults put into a recording: what a connection did to us, while the venue went on.

Each function returns a copy; the recording and its cache stay as they are. The venue's half of a replay acts
by `exch_ns`, ours by `recv_ns`, so a fault of the connection changes the second alone. A recording whose
venue stamps are not on our clock is stamped first (`stamped`): with the moments at which the replay would
have let the venue act, one modelled latency before we received.
"""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from mmbot.errors import RecordingError
from mmbot.model.events import Trouble
from mmbot.model.market_rows import BREAKS_OURS, LAST, TROUBLE
from mmbot.recording.columns import Columns

Arrays = dict[str, npt.NDArray[np.integer[Any]]]


def stamped(columns: Columns, behind_ns: int) -> Columns:
    """The venue's stamps are that much before ours. A sign of life has no stamp of its own: the venue's half
    meets it when it was received, and what follows it within `behind_ns` at that moment.
    """
    return Columns(columns.meta, {**columns.arrays, "exch_ns": columns.arrays["recv_ns"] - behind_ns})


def with_silence(columns: Columns, start_ns: int, lasts_ns: int) -> Columns:
    """The connection stalls: what would have been received in this time arrives at its end, all of it.

    Raises RecordingError unless all of it lies within the recording.
    """
    end_ns = start_ns + lasts_ns
    _check(columns, start_ns, end_ns)
    recv_ns = columns.arrays["recv_ns"]
    held = (recv_ns >= start_ns) & (recv_ns < end_ns)
    late = np.where(held, end_ns, recv_ns)
    snapshots = [place._replace(recv_ns=int(late[place.row])) for place in columns.meta.snapshots]
    return _copy(columns, {**columns.arrays, "recv_ns": late}, snapshots=snapshots)


def with_gap(columns: Columns, at_ns: int) -> Columns:
    """A frame is lost on its way to us: the first message received at or after this moment reveals it, and
    our book is not believed until the next snapshot.

    The lost frame is one without consequences at the venue: the recording holds no other. Raises
    RecordingError unless the moment lies within the recording.
    """
    _check(columns, at_ns, at_ns)
    arrays, meta = columns.arrays, columns.meta
    row = int(np.searchsorted(arrays["recv_ns"], at_ns))
    number = len(meta.troubles)
    inserted = {
        "exch_ns": arrays["exch_ns"][row],
        "recv_ns": arrays["recv_ns"][row],
        "tick": BREAKS_OURS,
        "lots": number,
        "kind": TROUBLE | LAST,
    }
    return _copy(
        columns,
        {name: np.insert(column, row, inserted[name]) for name, column in arrays.items()},
        rows=meta.rows + 1,
        snapshots=[place._replace(row=place.row + (place.row >= row)) for place in meta.snapshots],
        troubles=[*meta.troubles, (Trouble.GAP.value, "injected: a frame was lost on its way to us")],
    )


def _check(columns: Columns, start_ns: int, end_ns: int) -> None:
    meta = columns.meta
    if not meta.first_ns < start_ns <= end_ns <= meta.last_ns:
        raise RecordingError(
            f"a fault from {start_ns} to {end_ns} was asked for, expected one within the recording, "
            f"{meta.first_ns} to {meta.last_ns}"
        )


def _copy(columns: Columns, arrays: Arrays, **changes: Any) -> Columns:
    return Columns(msgspec.structs.replace(columns.meta, **changes), arrays)
