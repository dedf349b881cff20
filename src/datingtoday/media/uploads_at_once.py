"""Places for uploads: a limit on those of one person that are worked on at the same time, over all processes."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import structlog

from datingtoday.infra.ratelimit import RateLimits, TooMany
from datingtoday.infra.redis import RedisDown
from datingtoday.protocol.errors import RateLimited

log = structlog.get_logger(__name__)

LEASE_S = 120
"""An upload that takes longer has died with its process, and its place is free again."""
RETRY_AFTER_S = 2
NAME = "uploads"


class UploadsAtOnce:
    """Places for uploads, counted in Redis; while that is down each process counts its own.

    :param most: for each person; None: no limit.
    """

    def __init__(self, limits: RateLimits, most: int | None) -> None:
        self._limits = limits
        self._most = most
        self._here: Counter[int] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def place(self, user_id: int, now: datetime) -> Iterator[None]:
        """Hold one of the person's places. :raises RateLimited: all are taken."""
        if self._most is None:
            yield
            return
        with self._place_here(user_id, self._most):
            receipt = self._take(user_id, now)
            try:
                yield
            finally:
                self._give_back(user_id, receipt)

    @contextmanager
    def _place_here(self, user_id: int, most: int) -> Iterator[None]:
        with self._lock:
            if self._here[user_id] >= most:
                raise RateLimited(RETRY_AFTER_S)
            self._here[user_id] += 1
        try:
            yield
        finally:
            with self._lock:
                # Keeps only those who hold a place.
                self._here -= Counter((user_id,))

    def _take(self, user_id: int, now: datetime) -> str:
        try:
            return self._limits.hit(NAME, str(user_id), self._most, per_s=LEASE_S, now=now)
        except TooMany as error:
            raise RateLimited(min(RETRY_AFTER_S, error.retry_after_s)) from None
        except RedisDown as error:
            log.warning("uploads_counted_here_only", reason=str(error))
            return ""

    def _give_back(self, user_id: int, receipt: str) -> None:
        try:
            self._limits.give_back(NAME, str(user_id), receipt)
        except RedisDown as error:
            # The place is free again when the lease has run out.
            log.warning("upload_place_not_given_back", reason=str(error))
