"""What SIGTERM and Ctrl-C do to a session that plays a run.

Whoever plays suspends the run: its quotes are pulled, what it knows is written, and where it can be resumed
it can (`sut.drive`). Everybody else must not undo that. A worker that waits for a run, or for its next test,
must not die of the signal: xdist would put another in its place, which would begin the run anew. The
controller plays nothing and passes the signal on: its workers end by themselves and say what came of it, so
that the session ends as any interrupted one does, with verdicts and exit code 2. A second Ctrl-C interrupts
at once.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import psutil

from pytest_mmgates.errors import Suspended

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def on_signals(told: Callable[[signal.Signals], None]) -> Iterator[None]:
    """`told` hears of SIGTERM and of the first Ctrl-C inside; the second one is a KeyboardInterrupt. In
    another than the main thread, where no signal arrives, nothing changes.
    """
    interrupted = False

    def handler(number: int, _frame: object) -> None:
        nonlocal interrupted
        if number == signal.SIGINT and interrupted:
            raise KeyboardInterrupt
        interrupted = interrupted or number == signal.SIGINT
        told(signal.Signals(number))

    with ExitStack() as before:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                before.callback(signal.signal, number, signal.getsignal(number))
                signal.signal(number, handler)
        yield


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """A wait inside is over when the process is told to end: raises Suspended."""

    def told(number: signal.Signals) -> None:
        raise Suspended(f"ABORTED by {number.name}: waited for {what}")

    with on_signals(told):
        yield


@contextmanager
def passed_on() -> Iterator[None]:
    """In xdist's controller: its children are the workers, and they are told."""

    def told(_number: signal.Signals) -> None:
        for worker in psutil.Process().children():
            with suppress(psutil.NoSuchProcess):
                worker.terminate()

    with on_signals(told):
        yield


@contextmanager
def outlived() -> Iterator[None]:
    """In a worker that plays nothing: the controller says when to end."""
    with on_signals(lambda _: None):
        yield
