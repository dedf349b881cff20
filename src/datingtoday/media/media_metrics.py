"""Numbers on uploads for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from datingtoday.infra.db import Database
from datingtoday.infra.metric_declarations import declare
from datingtoday.media.models import Media
from datingtoday.media.moderation import Verdict

if TYPE_CHECKING:
    from prometheus_client.core import Metric

WAITING = declare(
    "datingtoday_media_waiting",
    "gauge",
    en="Uploads that wait for moderation; only their owners see them.",
    zh="等待审核的上传数，此时仅本人可见。",
)
OLDEST = declare(
    "datingtoday_media_waiting_seconds",
    "gauge",
    en="Age of the oldest upload that waits for moderation; 0: none waits.",
    zh="等待审核最久的上传已等待的秒数；0 表示没有。",
)


class MediaNumbers:
    """A reader for `Metrics.register`; :raises DatabaseDown: from `read`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, now: datetime) -> Iterator[Metric]:
        """Both are found in one index."""
        statement = select(func.count(), func.min(Media.create_time)).where(Media.verdict == Verdict.PENDING)
        with self._database.reading() as session:
            row = session.execute(statement).one()
        number: int = row[0]
        oldest: datetime | None = row[1]
        waiting, age = WAITING.family(), OLDEST.family()
        waiting.add_metric([], number)
        age.add_metric([], 0 if oldest is None else max(0.0, (now - oldest).total_seconds()))
        yield waiting
        yield age
