"""Work on the hot list without a request: rows of days that are over go."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from datingtoday.discovery.hot.scores import HotScores
from datingtoday.infra.db import Database

BATCH_ROWS = 1_000


def tidy(
    database: Database,
    scores: HotScores,
    now: datetime,
    *,
    report_progress: Callable[[int], None] = lambda removed: None,
) -> int:
    """Remove attention that counts no more, in small transactions; how many rows.

    :param report_progress: called after every batch with how many are gone so far.
    """
    removed = 0
    while some := database.retried(lambda session: scores.remove_old(session, now, most=BATCH_ROWS)):
        removed += some
        report_progress(removed)
    return removed
