"""One bot an account, and a switch that fails closed."""

import subprocess
import sys
from pathlib import Path

import pytest

from mmbot.errors import AccountError, OutputError
from mmbot.runtime.account_folder import AccountFolder

_HOLD = """
import sys
from pathlib import Path
from mmbot.runtime.account_folder import AccountFolder
folder = AccountFolder("a", Path(sys.argv[1]))
folder.claim()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_bot_is_refused_until_the_first_is_gone_however_it_went(tmp_path: Path):
    command = [sys.executable, "-c", _HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        mine = AccountFolder("a", tmp_path)
        with pytest.raises(AccountError, match="another bot trades this account"):
            mine.claim()
        AccountFolder("b", tmp_path).claim()
        holder.kill()
    mine.claim()
    mine.release()


def test_the_marker_keeps_its_first_reason_and_goes_only_when_told(tmp_path: Path):
    folder = AccountFolder("a", tmp_path)
    assert folder.halted is None
    folder.halt("operator:\nlooks wrong")
    folder.halt("again")
    assert AccountFolder("a", tmp_path).halted == "operator: looks wrong"
    assert folder.resume() == "operator: looks wrong"
    assert folder.halted is None
    assert folder.resume() is None


@pytest.mark.parametrize("spoil", ["empty", "bytes", "folder"])
def test_a_marker_that_cannot_be_read_is_a_marker(tmp_path: Path, spoil: str):
    folder = AccountFolder("a", tmp_path)
    marker = folder.path / "halted"
    if spoil == "empty":
        marker.touch()
    elif spoil == "bytes":
        marker.write_bytes(b"\xff\xfe")
    else:
        marker.mkdir()
    assert folder.halted


def test_a_heartbeat_is_a_number_or_nothing(tmp_path: Path):
    folder = AccountFolder("a", tmp_path)
    assert folder.heartbeat is None
    folder.beat(41)
    folder.beat(42)
    assert folder.heartbeat == 42
    (folder.path / "heartbeat").write_text("4x")
    assert folder.heartbeat is None


def test_a_place_that_cannot_be_made_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made"):
        AccountFolder("a", tmp_path / "file")


def test_a_folder_belongs_to_one_account_of_the_venue_from_its_first_start_on(tmp_path: Path):
    folder = AccountFolder("a", tmp_path)
    folder.check_owner(8)
    folder.belong_to(7)
    AccountFolder("a", tmp_path).belong_to(7)
    for check in (folder.belong_to, folder.check_owner):
        with pytest.raises(AccountError, match="belongs to the venue's account 7, the key to 8; expected"):
            check(8)
    AccountFolder("b", tmp_path).belong_to(8)


@pytest.mark.parametrize("spoiled", [b"", b"\xff", b"seven"])
def test_a_folder_whose_owner_cannot_be_read_is_nobodys_to_trade(tmp_path: Path, spoiled: bytes):
    folder = AccountFolder("a", tmp_path)
    (folder.path / "owner").write_bytes(spoiled)
    with pytest.raises(AccountError, match=r"owner: cannot be read|belongs to"):
        folder.belong_to(7)
