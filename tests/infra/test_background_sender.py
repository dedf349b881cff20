"""Items that requests leave in memory: sent in batches, in order, by a thread that nobody waits for; never too many."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from datingtoday.infra import background_sender
from datingtoday.infra.background_sender import BackgroundSender
from datingtoday.infra.realtime import PushEvent, Realtime
from datingtoday.infra.redis import RedisRole
from tests.plugins.polling import wait_until

NEVER_S = 3_600.0
"""The thread would send after the end of the test."""


class Sent:
    """Batches that were sent; each may be made to fail."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.failures = 0

    def __call__(self, batch: Sequence[int]) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("away")
        self.batches.append(list(batch))


Make = Callable[..., BackgroundSender[int]]


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def make(sent: Sent) -> Make:
    def made(delay_s: float = NEVER_S, **options: int) -> BackgroundSender[int]:
        limits = {"max_unsent": 100, "max_at_once": 3, **options}
        return BackgroundSender("test sender", sent, delay_s=delay_s, **limits)

    return made


def threads() -> int:
    return sum(thread.name == "test sender" for thread in threading.enumerate())


def test_batches_in_order(make: Make, sent: Sent) -> None:
    sender = make()
    assert all(sender.add(number) for number in range(7))
    sender.flush()
    assert sent.batches == [[0, 1, 2], [3, 4, 5], [6]]
    sender.flush()
    assert len(sent.batches) == 3, "each once"


def test_one_too_many_is_refused_until_there_is_room(make: Make, sent: Sent) -> None:
    sender = make(max_unsent=2)
    assert [sender.add(number) for number in range(3)] == [True, True, False]
    sender.flush()
    assert sender.add(3)
    sender.flush()
    assert sent.batches == [[0, 1], [3]]


def test_a_thread_sends_again_and_again_and_survives_a_failure(make: Make, sent: Sent) -> None:
    before = threads()
    sender = make(delay_s=0.001)
    assert threads() == before, "none before there is something to send"
    sender.add(1)
    wait_until(lambda: sent.batches == [[1]], "the first")
    sent.failures = 1
    sender.add(2)
    wait_until(lambda: not sent.failures, "the failure")
    sender.add(3)
    wait_until(lambda: sent.batches[-1] == [3], "the next")
    assert threads() == before + 1
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "test sender")


def test_a_forked_child_sends_only_its_own(make: Make, sent: Sent) -> None:
    sender = make()
    sender.add(1)
    pid = os.fork()
    if pid == 0:
        sender.add(2)
        sender.flush()
        os._exit(0 if (sent.batches, threads()) == ([[2]], 1) else 1)
    assert os.waitpid(pid, 0)[1] == 0
    sender.flush()
    assert sent.batches == [[1]]


def test_a_process_that_ends_sends_first(make: Make, sent: Sent) -> None:
    sender = make()
    sender.add(1)
    background_sender._at_exit(sender)
    # It may be gone by then, and so may what a fork has left.
    background_sender._at_exit(None)
    background_sender._after_fork(None)
    assert sent.batches == [[1]]


def test_events_are_published_five_hundred_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    realtime, published = Realtime(RedisRole("redis://127.0.0.1:1/0")), list[int]()

    def publish(events: Sequence[PushEvent]) -> list[int]:
        published.append(len(events))
        return []

    sender: Any = realtime._sender
    monkeypatch.setattr(realtime, "publish", publish)
    sender._delay_s = NEVER_S
    for number in range(1_100):
        sender.add(PushEvent(number, "x"))
    sender.flush()
    assert published == [500, 500, 100]
