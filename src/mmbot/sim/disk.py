"""A disk in memory that fails as disks do: full, cut off in a write, and without what was never synced.

It keeps the promises of `runtime.disk.Disk`. A process that dies loses nothing that it wrote; a machine that
does keeps of each file what was synced, and perhaps some of what was not. Names are on the disk with
`sync_names`; a rename that was not synced is undone.
"""

import errno
from collections.abc import Callable
from enum import StrEnum

FIRST_FILE = 3
_TAIL_BYTES = 1 << 16


class Killed(BaseException):
    """The process ends here: nobody catches this."""


class Cut(StrEnum):
    """How much of a write is in the file when the process is killed in it."""

    NOTHING = "nothing"
    PART = "part"
    ALL = "all"


class _File:
    __slots__ = ("content", "synced")

    def __init__(self) -> None:
        self.content = bytearray()
        self.synced = 0


class SimDisk:
    """`full`: nothing more can be written. `cut`: the next write is the last one of its process."""

    def __init__(self, synced: Callable[[], None] = lambda: None) -> None:
        """`synced` hears of every file that was brought to the disk."""
        self._files: dict[str, _File] = {}
        self._kept: dict[str, _File] = {}
        """Names that are on the disk for good."""
        self._open: dict[int, _File] = {}
        self._numbers = FIRST_FILE
        self._synced = synced
        self.full = False
        self.cut: Cut | None = None
        self.refused = 0
        self.writes = 0

    def names(self) -> list[str]:
        return list(self._files)

    def read(self, name: str) -> bytes:
        return bytes(self._files[name].content)

    def create(self, name: str) -> int:
        self._files[name] = _File()
        return self.append_to(name)

    def append_to(self, name: str) -> int:
        self._refuse()
        self._numbers += 1
        self._open[self._numbers] = self._files.setdefault(name, _File())
        return self._numbers

    def write(self, file: int, content: bytes | memoryview) -> int:
        """A full disk takes a part first, as real ones do, then refuses."""
        held = self._open[file]
        self.writes += 1
        if self.cut is not None:
            self._die(held, content)
        if self.full:
            taken = len(content) // 2 if not self.refused else 0
            self.refused += 1
            if not taken:
                raise OSError(errno.ENOSPC, "No space left on device")
            held.content += content[:taken]
            return taken
        held.content += content
        return len(content)

    def sync(self, file: int) -> None:
        held = self._open[file]
        held.synced = len(held.content)
        self._synced()

    def truncate(self, file: int, length: int) -> None:
        held = self._open[file]
        del held.content[length:]
        held.synced = min(held.synced, length)

    def close(self, file: int) -> None:
        """Raises KeyError for a file that is not open: to close one twice may close somebody else's."""
        del self._open[file]

    def rename(self, name: str, to: str) -> None:
        self._files[to] = self._files.pop(name)

    def remove(self, name: str) -> None:
        del self._files[name]

    def sync_names(self) -> None:
        self._kept = dict(self._files)

    def process_died(self) -> None:
        """Its files are closed."""
        self._open.clear()
        self.cut = None

    def machine_died(self, kept_ratio: float) -> int:
        """What was not synced is gone but for that share of it, 0 to 1; returns how many bytes."""
        self.process_died()
        lost = 0
        self._files = dict(self._kept)
        for file in self._files.values():
            keep = file.synced + int((len(file.content) - file.synced) * kept_ratio)
            lost += len(file.content) - keep
            del file.content[keep:]
            file.synced = len(file.content)
        return lost

    def is_synced(self, text: bytes) -> bool:
        """Whether this stands in what is on the disk for certain of the newest log; mostly near its end."""
        newest = self._files[self.newest]
        tail = max(newest.synced - _TAIL_BYTES, 0)
        return newest.content.rfind(text, tail, newest.synced) >= 0 or newest.content.find(text, 0, tail) >= 0

    @property
    def newest(self) -> str:
        """The log that counts."""
        return max(name for name in self._files if name.endswith(".log"))

    @property
    def has_log(self) -> bool:
        return any(name.endswith(".log") for name in self._files)

    def _refuse(self) -> None:
        if self.full:
            self.refused += 1
            raise OSError(errno.ENOSPC, "No space left on device")

    def _die(self, held: _File, content: bytes | memoryview) -> None:
        whole = len(content)
        taken = {Cut.NOTHING: 0, Cut.PART: max(1, whole // 2), Cut.ALL: whole}[self.cut or Cut.ALL]
        held.content += content[:taken]
        raise Killed
