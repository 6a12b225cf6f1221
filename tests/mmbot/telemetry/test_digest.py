"""The digest: everything that was decided and traded, in order, and nothing that was measured."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import KEY, START_NS, fill

from mmbot.model.commands import AmendOrder, CancelOrder, Command, RequestSnapshot, SubmitOrder
from mmbot.model.events import Fill
from mmbot.model.instrument import Side
from mmbot.telemetry.digest import RunDigest, combined
from mmbot.units import Lots, Ns, Ticks

SUBMIT = SubmitOrder(KEY, "mmA-1", Side.BUY, Ticks(7_500), Lots(100))
AMEND = AmendOrder(KEY, "mmA-1", Ticks(7_500), Lots(100))
FILL = fill(Side.BUY, 7_500, 100, mid_x2=15_001)


def digest(*facts: Command | Fill, at_ns: int = START_NS) -> str:
    running = RunDigest()
    for fact in facts:
        if isinstance(fact, Fill):
            running.fill(fact)
        else:
            running.command(at_ns, fact)
    return running.hexdigest()


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": "mmA-2"},
        {"side": Side.SELL},
        {"tick": Ticks(7_501)},
        {"lots": Lots(101)},
        {"post_only": False},
        {"symbol": "other"},
    ],
    ids=str,
)
def test_every_field_of_an_order_counts(changed: dict):
    assert digest(SUBMIT) != digest(msgspec.structs.replace(SUBMIT, **changed))


@pytest.mark.parametrize(
    "changed",
    [{"client_id": "mmA-2"}, {"tick": Ticks(7_501)}, {"lots": Lots(101)}, {"symbol": "other"}],
    ids=str,
)
def test_every_field_of_an_amend_counts(changed: dict):
    assert digest(AMEND) != digest(msgspec.structs.replace(AMEND, **changed))


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": "mmA-2"},
        {"side": Side.SELL},
        {"tick": Ticks(7_501)},
        {"lots": Lots(101)},
        {"maker": False},
        {"venue_ns": Ns(START_NS + 1)},
        {"recv_ns": Ns(START_NS + 1)},
    ],
    ids=str,
)
def test_every_fact_of_a_fill_counts(changed: dict):
    assert digest(FILL) != digest(msgspec.structs.replace(FILL, **changed))


def test_the_moment_of_a_command_counts():
    for command in (SUBMIT, AMEND, CancelOrder(KEY, "mmA-1"), RequestSnapshot(KEY)):
        assert digest(command) != digest(command, at_ns=START_NS + 1)


facts = st.sampled_from(
    [SUBMIT, CancelOrder(KEY, "mmA-1"), RequestSnapshot(KEY), FILL, CancelOrder(KEY, "mmA-2"), AMEND]
)


@given(st.lists(facts, max_size=6), st.lists(facts, max_size=6))
def test_digests_are_equal_exactly_when_the_same_things_happened_in_the_same_order(
    one: list[Command | Fill], other: list[Command | Fill]
):
    assert (digest(*one) == digest(*other)) == (one == other)


def test_a_run_digest_does_not_depend_on_the_order_in_which_symbols_were_played():
    one, other = RunDigest(), RunDigest()
    one.command(START_NS, SUBMIT)
    other.fill(FILL)
    assert combined({"a": one, "b": other}) == combined({"b": other, "a": one})
    assert combined({"a": one, "b": other}) != combined({"a": other, "b": one})


def test_a_digest_can_be_read_on_the_way():
    running = RunDigest()
    before = running.hexdigest()
    running.command(START_NS, SUBMIT)
    assert running.hexdigest() != before
    assert running.hexdigest() == running.hexdigest() == digest(SUBMIT)
