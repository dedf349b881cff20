"""The event `visitor`: how many visitors there are, told by whoever recorded visits, at most once in 2 s per person."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping

import structlog

from datingtoday.infra.db import DatabaseDown
from datingtoday.infra.milliseconds import to_s
from datingtoday.infra.paired import paired
from datingtoday.infra.realtime import PushEvent, Realtime
from datingtoday.infra.redis import RedisDown, RedisRole

log = structlog.get_logger(__name__)

PAUSE_MS = 2_000
"""Between two events to the same person."""
_MAX_WAITING = 20_000
_POLL_S = 0.1

Payloads = Callable[[Collection[int]], Mapping[int, bytes]]
"""Payloads by user id, as SQL says now."""


class VisitorPush:
    """Tells connected people about new visitors, from a thread of its own: who records visits never waits for it.

    The first visit is told at once; of those within the pause after it, the last event tells all. Processes take turns
    by a key in Redis. What is not told is a hint that was lost: `visitor/count` is the truth.
    """

    def __init__(self, redis: RedisRole, realtime: Realtime, payloads: Payloads) -> None:
        self._redis = redis
        self._realtime = realtime
        self._payloads = payloads
        self._waiting: dict[int, float] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def tell(self, user_ids: Collection[int]) -> None:
        """Tell these people soon; costs the caller nothing."""
        with self._lock:
            for user_id in user_ids:
                if len(self._waiting) < _MAX_WAITING:
                    self._waiting.setdefault(user_id, 0.0)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="visitor push", daemon=True)
                self._thread.start()
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            try:
                self.step()
            except (RedisDown, DatabaseDown) as error:
                log.warning("visitors_not_told", reason=str(error))
                self._drop_all()
            except Exception:
                log.exception("visitors_not_told")
                self._drop_all()
            with self._lock:
                if not self._waiting:
                    self._wake.clear()
            time.sleep(_POLL_S)

    def step(self) -> int:
        """Tell those whose pause is over; how many. :raises RedisDown, DatabaseDown:"""
        now = time.monotonic()
        with self._lock:
            due = [user_id for user_id, not_before in self._waiting.items() if not_before <= now][:500]
        if not due:
            return 0
        connected = self._realtime.connected(due)
        with self._lock:
            for user_id in set(due) - connected:
                self._waiting.pop(user_id, None)
        chosen = sorted(connected)
        taken = self._redis.round_trip(
            [("SET", f"visitor:told:{user_id}", b"1", "NX", "PX", PAUSE_MS) for user_id in chosen]
        )
        mine = [user_id for user_id, answer in paired(chosen, taken) if answer is not None]
        with self._lock:
            for user_id in chosen:
                self._waiting[user_id] = now + to_s(PAUSE_MS / 8)
            for user_id in mine:
                # Before the numbers are read: who visits from here on is told about with the next event.
                self._waiting.pop(user_id, None)
        events = [PushEvent(user_id, "visitor", data) for user_id, data in self._payloads(mine).items()]
        self._realtime.publish(events)
        return len(events)

    def _drop_all(self) -> None:
        with self._lock:
            self._waiting.clear()
