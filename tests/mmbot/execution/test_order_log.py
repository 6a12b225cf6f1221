"""The order log's codec: a cut gives back what was whole before it, damage is an error that says where."""

import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import KEY, START_NS, linear
from tests.mmbot.execution.desk import PREFIX, Desk, MemoryLog
from tests.mmbot.execution.nasty_venue import NastyVenue

from mmbot.errors import RecordingError
from mmbot.execution.lifecycle import Lifecycle
from mmbot.execution.order_log import Schema, encoded, head, must_sync, read
from mmbot.execution.order_records import Agreed, CancelSent, CreateSent, LifecycleState
from mmbot.model.account import Asked, Outcome, RequestAnswer
from mmbot.model.commands import SubmitOrder
from mmbot.model.instrument import Side
from mmbot.units import Lots, Ns, Ticks

EMPTY = LifecycleState(symbols={}, positions={})
ID = "mmA-SYNTHUSDT-1"
CREATE = CreateSent(Ns(1), SubmitOrder(KEY, ID, Side.BUY, Ticks(1), Lots(1)))


def answer(number: int) -> RequestAnswer:
    """With text that a cut may fall into."""
    return RequestAnswer(
        KEY, ID, Asked.CREATE, Outcome.UNKNOWN, 0, f"tiempo agotado ñ {number} ✗\r\n", Ns(number)
    )


HUNDRED = [Agreed(Ns(number)) if number % 9 else answer(number) for number in range(100)]
HEAD = head(PREFIX, EMPTY)
WHOLE = HEAD + encoded(HUNDRED, 3)


def test_what_is_written_is_read():
    content = read(WHOLE, "log")
    assert (content.own_prefix, content.records) == (PREFIX, HUNDRED)
    assert (content.lines, content.length, content.torn) == (102, len(WHOLE), b"")


def test_a_cut_at_any_byte_leaves_the_whole_lines_before_it():
    for cut in range(len(HEAD), len(WHOLE)):
        content = read(WHOLE[:cut], "log")
        assert content.records == HUNDRED[: WHOLE[:cut].count(b"\n") - 2]
        assert WHOLE[: content.length] + content.torn == WHOLE[:cut]


def test_a_log_cut_in_its_head_is_an_error():
    for cut in range(len(HEAD)):
        with pytest.raises(RecordingError, match="log: expected an order log"):
            read(HEAD[:cut], "log")


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_a_changed_byte_is_an_error_with_its_offset_or_a_shorter_log(place: int, change: int):
    damaged = bytearray(WHOLE)
    damaged[place] ^= change
    last_line = WHOLE.rindex(b"\n", 0, -1) + 1
    if place == len(WHOLE) - 1:
        assert read(bytes(damaged), "log").torn == bytes(damaged[last_line:])
        return
    with pytest.raises(RecordingError, match=r"log: offset \d+") as raised:
        read(bytes(damaged), "log")
    offset = int(str(raised.value).split("offset ")[1].split(":")[0])
    assert offset <= place < WHOLE.index(b"\n", place) + 1
    assert WHOLE.count(b"\n", offset, place) == 0 or WHOLE[place : place + 1] == b"\n"


def test_a_missing_repeated_or_swapped_line_is_an_error():
    lines = WHOLE.splitlines(keepends=True)
    for wrong in (lines[:5] + lines[6:], lines[:6] + lines[5:], [*lines[:5], lines[6], lines[5], *lines[7:]]):
        with pytest.raises(RecordingError, match="line number was"):
            read(b"".join(wrong), "log")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "expected an order log, which begins with schema and state"),
        (b"{}\n", "checksum was"),
        (encoded([Schema(1, PREFIX), EMPTY], 1), "schema was 1, expected 2"),
        (encoded([Schema(2, PREFIX), Agreed(Ns(1))], 1), "begins with schema and state"),
        (HEAD + encoded([EMPTY], 3), "a second LifecycleState"),
    ],
)
def test_what_is_no_order_log_of_ours_is_an_error(content: bytes, fault: str):
    with pytest.raises(RecordingError, match=fault):
        read(content, "log")


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b'3 agreed {"now_ns":1,"more":2}', "unknown field"),
        (b'3 agreed {"now_ns":"1"}', "Expected `int`"),
        (b'3 agreed { "now_ns":1}', "not spelled as it is written"),
        (b'3 agreed {"now_ns":1.0}', "got `float`"),
        (b"3 agreed {}", "missing required field"),
        (b"3 greed {}", "kind was b'greed', expected one of schema, state, create"),
        (b"3 agreed \xff", "agreed record"),
        (b'3 absent {"symbol":"a","client_id":"b","recv_ns":1,"x":1}', "not spelled as it is written"),
    ],
)
def test_a_record_has_to_be_spelled_as_it_is_written(body: bytes, fault: str):
    with pytest.raises(RecordingError, match=fault) as raised:
        read(HEAD + b"%08x %b\n" % (zlib.crc32(body), body), "log")
    assert f"log: offset {len(HEAD)}: " in str(raised.value)


def test_a_create_has_to_be_on_the_disk_and_nothing_else_waits_for_it():
    assert must_sync([Agreed(Ns(1)), CREATE])
    assert not must_sync([Agreed(Ns(1)), CancelSent(Ns(1), KEY, ID), *HUNDRED])


def test_a_log_with_checkpoints_anywhere_gives_the_same_state():
    """Byte for byte, and whatever comes after goes on the same way."""
    desk = Desk(NastyVenue(11, KEY, start_ns=START_NS), MemoryLog())
    desk.run(20)
    log = read(desk.log.content, "log")
    for cut in range(0, len(log.records), 7):
        first = Lifecycle([linear()], PREFIX, state=read(desk.log.content, "log").state)
        for record in log.records[:cut]:
            first.apply(record)
        checkpoint = read(head(PREFIX, first.checkpoint()), "checkpoint").state
        second = Lifecycle([linear()], PREFIX, state=checkpoint)
        for record in log.records[cut:]:
            second.apply(record)
        desk.invariants.replays_to(second.checkpoint())
    assert len(log.records) > 50
    assert msgspec.json.encode(log.state) == msgspec.json.encode(EMPTY)
