"""The disk in memory fails as real ones do."""

import pytest

from mmbot.sim.disk import Cut, Killed, SimDisk


def written(disk: SimDisk, *contents: bytes) -> int:
    file = disk.create("orders-000001.log")
    for content in contents:
        disk.write(file, content)
    return file


@pytest.mark.parametrize(("cut", "left"), [(Cut.NOTHING, b""), (Cut.PART, b"ab"), (Cut.ALL, b"abcd")])
def test_a_process_is_killed_in_a_write(cut: Cut, left: bytes):
    disk = SimDisk()
    file = written(disk)
    disk.cut = cut
    with pytest.raises(Killed):
        disk.write(file, b"abcd")
    disk.process_died()
    assert disk.read("orders-000001.log") == left
    disk.write(disk.append_to("orders-000001.log"), b"on")
    assert disk.read("orders-000001.log") == left + b"on"


@pytest.mark.parametrize(("kept", "left"), [(0.0, b"ab"), (0.5, b"abc"), (1.0, b"abcd")])
def test_a_machine_that_dies_keeps_what_was_synced(kept: float, left: bytes):
    disk = SimDisk()
    file = written(disk, b"ab")
    disk.sync(file)
    disk.sync_names()
    disk.write(file, b"cd")
    assert disk.is_synced(b"ab")
    assert not disk.is_synced(b"cd")
    assert disk.machine_died(kept) == 4 - len(left)
    assert disk.read("orders-000001.log") == left


def test_a_name_that_was_not_synced_is_gone_with_the_machine():
    disk = SimDisk()
    disk.sync_names()
    disk.sync(written(disk, b"ab"))
    disk.machine_died(1.0)
    assert disk.names() == []


def test_a_full_disk_takes_a_part_and_then_refuses():
    disk = SimDisk()
    file = written(disk, b"ab")
    disk.full = True
    assert disk.write(file, b"cdef") == 2
    with pytest.raises(OSError, match="No space left"):
        disk.write(file, b"ef")
    with pytest.raises(OSError, match="No space left"):
        disk.create("orders-000002.log")
    assert disk.read("orders-000001.log") == b"abcd"


def test_a_file_is_closed_once():
    disk = SimDisk()
    file = written(disk)
    disk.close(file)
    with pytest.raises(KeyError):
        disk.close(file)
