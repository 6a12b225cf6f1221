"""Requests: what waits for an answer, and when it has waited too long."""

from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS

from mmbot.execution.requests import NEVER_NS, Requests
from mmbot.units import MS

TIMEOUT = 100 * MS


def test_an_answer_tells_when_its_request_was_sent_and_only_once():
    requests = Requests(TIMEOUT)
    requests.sent(START_NS, "a")
    assert requests.answered("a") == START_NS
    assert requests.answered("a") is None
    assert requests.due_ns == NEVER_NS


def test_a_request_is_overdue_at_its_timeout_and_told_once():
    requests = Requests(TIMEOUT)
    requests.sent(START_NS, "a")
    assert requests.overdue(START_NS + TIMEOUT - 1) == []
    assert requests.overdue(START_NS + TIMEOUT) == [("a", START_NS)]
    assert requests.overdue(START_NS + 2 * TIMEOUT) == []
    assert requests.answered("a") is None


@given(st.lists(st.tuples(st.integers(0, 60 * MS), st.booleans(), st.integers(0, 9)), max_size=60))
def test_due_is_always_the_oldest_and_nothing_is_lost(steps: list[tuple[int, bool, int]]):
    requests, waiting, now_ns = Requests(TIMEOUT), dict[str, int](), START_NS
    for number, (step_ns, send, which) in enumerate(steps):
        now_ns += step_ns
        late = {name: at_ns for name, at_ns in waiting.items() if now_ns - at_ns >= TIMEOUT}
        assert dict(requests.overdue(now_ns)) == late
        waiting = {name: at_ns for name, at_ns in waiting.items() if name not in late}
        if send:
            requests.sent(now_ns, f"o{number}")
            waiting[f"o{number}"] = now_ns
        elif waiting:
            name = list(waiting)[which % len(waiting)]
            assert requests.answered(name) == waiting.pop(name)
        assert requests.due_ns == min(waiting.values(), default=NEVER_NS - TIMEOUT) + TIMEOUT
