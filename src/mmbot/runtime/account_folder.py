"""What one account at one venue keeps on this machine: who trades it, whether it may, and that it is alive.

    artifacts/accounts/<account>/
      lock        held by the one bot that trades the account, for as long as its process lives
      halted      the kill switch's marker: one line that says why. While it is there no bot creates an order
      heartbeat   a number that the bot moves every second; `mmbot guard` watches it
      owner       the account that the venue knows by our keys, since the first start
      orders/     the order log

`mmbot kill` writes the marker before it does anything else, so a bot that cannot be reached stops by itself
at its next tick. Everything fails closed: a marker that cannot be looked for counts as there.
"""

import os
from pathlib import Path

from filelock import FileLock, Timeout

from mmbot.errors import AccountError, OutputError
from mmbot.runtime.heartbeat import Heartbeat

ACCOUNTS = Path("artifacts/accounts")


class AccountFolder:
    """The folder of one account. Raises OutputError where it cannot be made."""

    def __init__(self, name: str, parent: Path = ACCOUNTS) -> None:
        self.path = parent / name
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be made: {error.strerror}") from error
        self._lock = FileLock(self.path / "lock")
        self._marker = self.path / "halted"
        self._heartbeat = Heartbeat(self.path / "heartbeat")
        self._owner = self.path / "owner"

    @property
    def orders(self) -> Path:
        """Folder of the order log."""
        return self.path / "orders"

    def claim(self) -> None:
        """Be the one that trades this account, until `release` or the end of the process, however it ends.

        Raises AccountError while another process is.
        """
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise AccountError(
                f"{self.path}: another bot trades this account; expected one at a time"
            ) from None

    def release(self) -> None:
        self._lock.release()

    def belong_to(self, uid: int) -> None:
        """From the first start on the folder is of one account of the venue's. Raises AccountError for that
        of another one: its order log and its marker are about other orders; OutputError.
        """
        try:
            with self._owner.open("x", encoding="utf-8") as file:
                file.write(f"{uid}\n")
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            self._check_owner(uid)
        except OSError as error:
            raise OutputError(f"{self._owner}: cannot be written: {error.strerror}") from error

    def check_owner(self, uid: int) -> None:
        """The same for who only looks: a folder that no bot has used yet belongs to nobody."""
        if self._owner.exists():
            self._check_owner(uid)

    def _check_owner(self, uid: int) -> None:
        try:
            found = self._owner.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise AccountError(f"{self._owner}: cannot be read: {error}") from error
        if found != str(uid):
            raise AccountError(
                f"{self.path}: belongs to the venue's account {found or 'nobody'}, the key to {uid}; "
                "expected a folder for each account: name another by --account, or use the other key"
            )

    @property
    def halted(self) -> str | None:
        """Why no order may be created; None if one may."""
        try:
            return self._marker.read_text(encoding="utf-8").strip() or "halted, without a reason"
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            return f"{self._marker}: cannot be read: {error}"

    def halt(self, reason: str) -> None:
        """Press the switch. A reason that already stands there stays. Raises OutputError."""
        try:
            with self._marker.open("x", encoding="utf-8") as file:
                file.write(reason.replace("\n", " ") + "\n")
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            return
        except OSError as error:
            raise OutputError(f"{self._marker}: cannot be written: {error.strerror}") from error

    def resume(self) -> str | None:
        """Take the marker away; returns what it said. Raises OutputError."""
        reason = self.halted
        try:
            self._marker.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{self._marker}: cannot be removed: {error.strerror}") from error
        return reason

    def beat(self, number: int) -> None:
        """Move the heartbeat. Raises OutputError."""
        self._heartbeat.beat(number)

    @property
    def heartbeat(self) -> int | None:
        """The number last written; None if there is none that can be read."""
        return self._heartbeat.number
