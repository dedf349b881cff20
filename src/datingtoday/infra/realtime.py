"""Realtime: what connected devices are told at once, published to the push processes through Redis.

Each user has a channel; a push process subscribes to it while a device of theirs is connected there. A push is a hint
that may be lost: publishing never fails the caller, who has committed by then.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import structlog
from marshmallow import Schema
from redis.exceptions import ResponseError

from datingtoday.infra.batches import Batches
from datingtoday.infra.paired import paired
from datingtoday.infra.redis import RedisDown, RedisRole
from datingtoday.infra.text import Text

log = structlog.get_logger(__name__)

Observer = Callable[[str, int], None]
"""Called with ``published`` or ``failed``, and the number of events."""


@dataclass(frozen=True, slots=True)
class PushEvent:
    """An event for all connected devices of a user.

    :param name: of the event as clients see it: ``message``, ``read``, …; letters and ``_`` only.
    :param data: the payload, JSON in UTF-8; sent to the clients as it is.
    """

    user_id: int
    name: str
    data: bytes = b"{}"

    def dump(self) -> bytes:
        """The message on the channel."""
        return self.name.encode() + b" " + self.data


@dataclass(frozen=True, slots=True)
class PushKind:
    """An event that clients receive, for the documentation and its check.

    :param schema: dumps the payload.
    """

    name: str
    schema: Schema
    summary: Text


class _Empty(Schema):
    """No fields."""


RESYNC = PushKind(
    "resync",
    _Empty(),
    Text("Pushes may have been lost: call `message/sync`.", "可能丢失了推送：请调用 `message/sync`。"),
)


SEND_S = 0.005
"""Time for which events that are published soon are collected; what a process that is killed had not sent is lost."""
MAX_UNSENT = 20_000
"""Such events in a process's memory; what comes on top of them is lost."""
_SENT_AT_ONCE = 500

PROCESSES = "push:processes"
"""A channel that every push process subscribes to, so that they can be counted."""


def channel_of(user_id: int) -> str:
    """The Redis channel of a user; on a cluster a sharded one."""
    return f"push:{user_id}"


class Realtime:
    """Publishes events to the push processes.

    :param redis: the queue role. On a cluster sharded channels are used: a plain one is carried by every node.
    """

    def __init__(self, redis: RedisRole) -> None:
        self._redis = redis
        self._command = "SPUBLISH" if redis.is_cluster else "PUBLISH"
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self.observer: Observer | None = None
        self._kinds = {RESYNC.name: RESYNC}
        # By name: `publish` is found when it is called.
        self._unsent: Batches[PushEvent] = Batches(
            "push events",
            lambda events: self.publish(events),
            delay_s=SEND_S,
            max_items=MAX_UNSENT,
            max_at_once=_SENT_AT_ONCE,
        )

    @property
    def counts(self) -> dict[str, int]:
        """Events of this process so far: ``published`` and ``failed``."""
        with self._lock:
            return dict(self._counts)

    @property
    def kinds(self) -> Sequence[PushKind]:
        """The events that features have declared, by name."""
        return [self._kinds[name] for name in sorted(self._kinds)]

    def declare(self, kind: PushKind) -> None:
        """Declare an event that clients may receive.

        :raises RuntimeError: another feature has declared this name.
        """
        if kind.name in self._kinds:
            raise RuntimeError(f"the event {kind.name} is declared already")
        self._kinds[kind.name] = kind

    def publish(self, events: Sequence[PushEvent]) -> list[int] | None:
        """Publish events in one round trip; call it after the commit of what they tell. Never raises `RedisDown`.

        :return: for each event the number of push processes that received it: with 0 no device of that user is
            connected. None if Redis did not take them; that is logged and counted.
        """
        if not events:
            return []
        try:
            counts = self._redis.round_trip(
                [(self._command, channel_of(event.user_id), event.dump()) for event in events]
            )
        except (RedisDown, ResponseError) as error:
            log.warning("push_not_published", events=len(events), reason=str(error))
            self._count("failed", len(events))
            return None
        self._count("published", len(events))
        return [int(count) for count in counts]

    def publish_soon(self, events: Sequence[PushEvent]) -> None:
        """Publish events off the request's path, with those of other requests, in the order in which they came.

        For events of every day: a round trip of their own for each message cost an eighth of what sending it costs
        beyond an empty request (docs/decisions/chat-in-sql.md). Call it after the commit of what they tell.
        """
        for event in events:
            if not self._unsent.add(event):
                self._count("failed", 1)

    def flush(self) -> None:
        """Publish now what was to be published soon."""
        self._unsent.flush()

    def connected(self, user_ids: Collection[int]) -> set[int]:
        """The users with a device that receives events now; on a cluster all of them, since nobody knows.

        :raises RedisDown:
        """
        if self._redis.is_cluster or not user_ids:
            return set(user_ids)
        ids = list(user_ids)
        answer = self._redis.execute("PUBSUB", "NUMSUB", *map(channel_of, ids))
        return {user_id for user_id, receivers in paired(ids, answer[1::2]) if receivers}

    def processes(self) -> int:
        """Number of push processes that receive events now.

        :raises RedisDown:
        """
        try:
            return int(self._redis.execute(self._command, PROCESSES, b""))
        except ResponseError as error:
            raise RedisDown(str(error)) from error

    def probe(self, message: bytes) -> None:
        """Send a message to all push processes, by which each can measure how long its own takes.

        :raises RedisDown:
        """
        try:
            self._redis.execute(self._command, PROCESSES, message)
        except ResponseError as error:
            raise RedisDown(str(error)) from error

    def _count(self, outcome: str, events: int) -> None:
        with self._lock:
            self._counts[outcome] += events
        if self.observer is not None:
            self.observer(outcome, events)
