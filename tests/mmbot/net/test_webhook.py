"""The webhook against a receiver on loopback: in order, again where it may help, and never waited for."""

import asyncio
import queue

import pytest
from tests.mmbot.net.receiver import receiving
from tests.mmbot.net.test_ws import free_port

from mmbot.net.webhook import MOST_TRIES, Posted, Webhook
from mmbot.units import Ns

pytestmark = pytest.mark.asyncio
SOON = Ns(1_000_000)


async def posted(url: str, *subjects: str, within_s: float = 30.0) -> list[Posted]:
    told: queue.SimpleQueue[Posted] = queue.SimpleQueue()
    webhook = Webhook(url, told.put, first_wait_ns=SOON)
    for subject in subjects:
        webhook.post(subject, f'"{subject}"'.encode())
    await asyncio.to_thread(webhook.close, within_s)
    return [told.get_nowait() for _ in subjects]


async def test_messages_arrive_whole_and_in_order():
    async with receiving(200) as (receiver, url):
        came = await posted(url, "one", "two", "three")
    assert came == [Posted(subject, 1, None) for subject in ("one", "two", "three")]
    assert receiver.heard == [
        ("/hook?team=mm", f'"{subject}"'.encode(), "application/json") for subject in ("one", "two", "three")
    ]


@pytest.mark.parametrize("passing", [500, 503, 429, 408])
async def test_what_may_pass_is_tried_again(passing: int):
    async with receiving(passing, passing, 200) as (receiver, url):
        assert await posted(url, "one") == [Posted("one", 3, None)]
    assert len(receiver.heard) == 3


@pytest.mark.parametrize("final", [302, 400, 404])
async def test_what_is_refused_for_good_is_not(final: int):
    async with receiving(final, 200) as (_, url):
        assert await posted(url, "one", "two") == [
            Posted("one", 1, f"answered {final}"),
            Posted("two", 1, None),
        ]


async def test_who_never_takes_it_is_given_up():
    async with receiving(503) as (receiver, url):
        assert await posted(url, "one") == [Posted("one", MOST_TRIES, "answered 503")]
    assert len(receiver.heard) == MOST_TRIES


async def test_who_is_not_there_is_given_up():
    [came] = await posted(f"http://127.0.0.1:{free_port()}/hook", "one")
    assert came.tries == MOST_TRIES
    assert came.refusal is not None
    assert came.refusal.startswith("POST http://127.0.0.1:")
    assert "no connection" in came.refusal


async def test_who_does_not_answer_is_not_waited_for():
    async with receiving(None) as (receiver, url):
        told: queue.SimpleQueue[Posted] = queue.SimpleQueue()
        webhook = Webhook(url, told.put)
        webhook.post("one", b"1")
        webhook.post("two", b"2")
        await receiver.asked.wait()
        assert told.empty(), "posting returned before anybody answered"
        await asyncio.to_thread(webhook.close, 0.0)
        assert [told.get_nowait() for _ in range(2)] == [
            Posted("one", 1, "there was no time left"),
            Posted("two", 0, "there was no time left"),
        ]
