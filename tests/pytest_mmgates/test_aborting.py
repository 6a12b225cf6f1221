"""A run whose session is over elsewhere ends, and says whether anybody can go on with it."""

import pytest

from pytest_mmgates.errors import Suspended
from pytest_mmgates.playing import HaltNotes, WatchJudge
from pytest_mmgates.sut import CHECKPOINT, drive
from pytest_mmgates.watch.watch import Watch


class Endless:
    """A run that lasts until it is told to end."""

    told = False

    def halt(self, _reason):
        self.told = True

    def __iter__(self):
        while not self.told:
            yield "events", b""


@pytest.mark.parametrize(
    ("request_of", "checkpoint", "said"),
    [
        ({}, True, "--mmgates-resume goes on with it"),
        ({}, False, "it cannot be resumed"),
        ({"stage": "50"}, True, "the stage begins anew"),
    ],
)
def test_it_says_what_becomes_of_the_run(tmp_path, request_of, checkpoint, said):
    if checkpoint:
        (tmp_path / CHECKPOINT).touch()
    HaltNotes(tmp_path, "other").abort("SIGTERM")
    judge = WatchJudge(None, Watch((), (), dict, lambda _: None), HaltNotes(tmp_path, "one"))
    request = {"run_dir": str(tmp_path), "run_id": "r1", **request_of}
    with pytest.raises(Suspended, match=rf"^ABORTED by the end of part other: run r1 is halted; {said}$"):
        drive(lambda _: Endless(), request, judge)
