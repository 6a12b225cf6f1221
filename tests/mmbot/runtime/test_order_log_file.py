"""The order log on disk: a full or broken disk, a torn tail, a real kill."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.mmbot.builders import KEY, REPO

from mmbot.errors import OutputError, RecordingError
from mmbot.execution.order_log import read
from mmbot.execution.order_records import Agreed, CancelSent, CreateSent, LifecycleState, Record
from mmbot.model.account import Asked, Outcome, RequestAnswer
from mmbot.model.commands import SubmitOrder
from mmbot.model.instrument import Side
from mmbot.model.orders import OWN_PREFIXES
from mmbot.runtime.order_log_file import KEPT_FILES, OrderLogFile
from mmbot.sim.disk import SimDisk
from mmbot.units import Lots, Ns, Ticks

PREFIX = "mmA-"
FIRST = "orders-000001.log"


def create(number: int = 1) -> CreateSent:
    return CreateSent(Ns(number), SubmitOrder(KEY, f"mmA-SYNTHUSDT-{number}", Side.BUY, Ticks(1), Lots(1)))


def opened(folder: Path, **options: int) -> OrderLogFile:
    return OrderLogFile(folder, PREFIX, **options)


def records(folder: Path) -> list[Record]:
    with opened(folder) as log:
        assert log.content is not None
        return log.content.records


def test_a_new_log_is_empty_and_goes_on(tmp_path: Path):
    with opened(tmp_path / "orders") as log:
        assert log.content is None
        log.append([create(1)])
        log.append([])
        log.append([Agreed(Ns(2)), create(2)])
    with opened(tmp_path / "orders") as log:
        assert log.content is not None
        assert log.content.records == [create(1), Agreed(Ns(2)), create(2)]
        log.append([create(3)])
    assert len(records(tmp_path / "orders")) == 4


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of files at the moment they were brought to the disk."""
    sizes: list[int] = []
    really = os.fsync

    def watched(file: int) -> None:
        really(file)
        sizes.append(os.fstat(file).st_size)

    monkeypatch.setattr(os, "fsync", watched)
    return sizes


def test_a_create_is_on_the_disk_when_append_returns_and_a_cancel_need_not_be(
    tmp_path: Path, synced: list[int]
):
    with opened(tmp_path) as log:
        synced.clear()
        log.append([CancelSent(Ns(1), KEY, "mmA-SYNTHUSDT-1"), Agreed(Ns(2))])
        assert synced == []
        log.append([create()])
        assert synced == [(tmp_path / FIRST).stat().st_size]


@pytest.mark.parametrize("torn", [b"0", b"00000000 5 create {", b"\0" * 4_096, "añ".encode()[:2]])
def test_a_torn_tail_is_moved_aside_and_counted(tmp_path: Path, torn: bytes):
    with opened(tmp_path) as log:
        log.append([create(1)])
    whole = (tmp_path / FIRST).read_bytes()
    (tmp_path / FIRST).write_bytes(whole + torn)
    with opened(tmp_path) as log:
        assert log.torn_bytes == len(torn)
        assert (tmp_path / FIRST).read_bytes() == whole
        assert (tmp_path / "orders-000001.torn").read_bytes() == torn
        log.append([create(2)])
    assert records(tmp_path) == [create(1), create(2)]


def test_a_log_cut_at_any_byte_goes_on_where_its_last_whole_line_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Of a hundred records, through the last one, in the middle of a letter too; `test_order_log.py` cuts the
    whole file at every byte.
    """
    monkeypatch.setattr(os, "fsync", lambda _file: None)  # a cut stands for the machine's end, not its disk
    reason = "tiempo agotado ñ ✗"
    said = [
        RequestAnswer(KEY, f"mmA-SYNTHUSDT-{number}", Asked.CREATE, Outcome.UNKNOWN, 0, reason, Ns(number))
        for number in range(98)
    ]
    with opened(tmp_path) as log:
        log.append([create(1), create(2), *said])
    path = tmp_path / FIRST
    whole = path.read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
    assert len(ends) == 102
    for cut in range(ends[-2] - 1, len(whole)):
        path.write_bytes(whole[:cut])
        kept = max(end for end in ends if end <= cut)
        with opened(tmp_path) as log:
            assert log.content is not None
            assert (log.torn_bytes, len(log.content.records)) == (cut - kept, ends.index(kept) - 1)
            log.append([Agreed(Ns(1))])
        assert path.read_bytes().startswith(whole[:kept])
        assert records(tmp_path)[-1] == Agreed(Ns(1))


def test_corruption_is_an_error_that_names_file_and_offset_and_leaves_all_as_it_is(tmp_path: Path):
    with opened(tmp_path) as log:
        log.append([create(1)])
        log.append([create(2)])
    path = tmp_path / FIRST
    damaged = path.read_bytes().replace(b"SYNTHUSDT-1", b"SYNTHUSDT-7")
    path.write_bytes(damaged)
    with pytest.raises(RecordingError, match=rf"{FIRST}: offset \d+: checksum was"):
        opened(tmp_path)
    assert path.read_bytes() == damaged


def test_a_log_of_another_arm_is_refused(tmp_path: Path):
    opened(tmp_path).close()
    with pytest.raises(OutputError, match="holds orders of 'mmA-', expected 'mmB-'"):
        OrderLogFile(tmp_path, "mmB-")


def test_a_log_of_one_arm_goes_on_as_that_of_both_and_not_the_other_way_round(tmp_path: Path):
    opened(tmp_path).close()
    with OrderLogFile(tmp_path, OWN_PREFIXES) as log:
        log.checkpoint(LifecycleState(symbols={}, positions={}))
    with OrderLogFile(tmp_path, OWN_PREFIXES) as log:
        assert log.content is not None
        assert log.content.own_prefix == ("mmA-", "mmB-")
    with pytest.raises(OutputError, match=r"holds orders of .*mmB-.*, expected 'mmA-'"):
        opened(tmp_path)


def test_a_checkpoint_begins_a_new_file_and_old_ones_go(tmp_path: Path):
    state = LifecycleState(symbols={}, positions={}, agreed_ns=7)
    with opened(tmp_path, rotate_bytes=400) as log:
        turns = 0
        while turns < 2 * KEPT_FILES:
            log.append([create(turns + 1)])
            if log.full:
                log.checkpoint(state)
                turns += 1
                assert not log.full
    names = sorted(path.name for path in tmp_path.glob("orders-*"))
    assert names == [f"orders-{number:06d}.log" for number in range(turns + 2 - KEPT_FILES, turns + 2)]
    with opened(tmp_path) as log:
        assert log.content is not None
        assert (log.content.state.agreed_ns, log.content.records) == (7, [])


def test_a_checkpoint_that_was_not_finished_does_not_count(tmp_path: Path):
    with opened(tmp_path) as log:
        log.append([create(1)])
    (tmp_path / "orders-000002.new").write_bytes(b"half a checkpo")
    assert records(tmp_path) == [create(1)]


def test_a_full_disk_raises_before_the_create_leaves_and_the_log_takes_nothing_more(tmp_path: Path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    with opened(tmp_path) as log:
        log.append([create(1)])
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, log._file)
        os.close(full)
        with pytest.raises(OutputError, match="order log cannot be written: No space left on device"):
            log.append([create(2)])
        with pytest.raises(OutputError, match="takes nothing more: No space left on device"):
            log.append([create(3)])
    assert records(tmp_path) == [create(1)]


def test_a_short_write_at_a_size_limit_raises_and_leaves_a_torn_tail(tmp_path: Path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(tmp_path) as log:
        log.append([create(1)])
        size = (tmp_path / FIRST).stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, limits[1]))
        try:
            with pytest.raises(OutputError, match="order log cannot be written: File too large"):
                log.append([create(2)])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / FIRST).stat().st_size == size + 50
    with opened(tmp_path) as log:
        assert log.torn_bytes == 50
    assert records(tmp_path) == [create(1)]


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="order log cannot be written"):
        opened(tmp_path / "file" / "orders")


WRITER = """
import sys
from pathlib import Path
from tests.mmbot.runtime.test_order_log_file import create, opened
log, number = opened(Path(sys.argv[1])), 0
while True:
    number += 1
    log.append([create(number)])
    print(number, flush=True)
"""


def test_what_left_before_a_kill_is_in_the_log(tmp_path: Path):
    """A real process and a real SIGKILL: each number that it said came after its record was on the disk."""
    paths = os.pathsep.join([str(REPO / "src"), str(REPO)])
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": paths},
    )
    assert child.stdout is not None
    said = [int(child.stdout.readline()) for _ in range(20)]
    child.send_signal(signal.SIGKILL)
    rest = child.stdout.read().split()
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL
    last = int(rest[-1]) if rest else said[-1]
    written = records(tmp_path)
    assert written[:last] == [create(number) for number in range(1, last + 1)]
    assert len(written) <= last + 1
    assert read((tmp_path / FIRST).read_bytes(), FIRST).torn == b""


def test_a_log_whose_next_file_cannot_be_begun_closes_what_it_had_once():
    """A second close of a file's number may close what somebody else has opened by then."""
    disk = SimDisk()
    with OrderLogFile(Path("orders"), PREFIX, disk=disk) as log:
        log.append([create(1)])
        disk.full = True
        with pytest.raises(OutputError, match="No space left on device"):
            log.checkpoint(LifecycleState(symbols={}, positions={}))
        with pytest.raises(OutputError, match="takes nothing more"):
            log.append([create(2)])
    disk.full = False
    again = OrderLogFile(Path("orders"), PREFIX, disk=disk)
    assert again.content is not None
    assert again.content.records == [create(1)]
