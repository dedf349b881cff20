"""Work without a request: unused uploads and files that nothing refers to go; failed moderators are asked again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from datingtoday.media.models import Media, MediaGarbage, keys_of
from datingtoday.media.moderation import Verdict
from datingtoday.media.service import MAX_STORING_TIME, MediaService
from datingtoday.media.stored import drop

log = structlog.get_logger(__name__)

MAX_ANSWER_TIME = timedelta(minutes=5)
"""A moderator that has not answered for so long failed, or the process that asked it died."""


MAX_BATCH_ROWS = 200
"""Rows that one transaction of a purge changes."""
LOOK_AGAIN = timedelta(days=1)
"""After which an object that was not where it should be is looked for again."""


@dataclass(frozen=True, slots=True)
class Purged:
    """Result of a purge."""

    unused: int
    """Uploads that nothing had shown for long enough."""
    objects: int
    """Objects that were deleted in the store: those uploads', and those of failed ones and of people who left."""
    leftovers: int
    """Unfinished files of processes that were killed, on this machine."""
    missing: int
    """Objects that should have been there and were not; they are looked for again after `LOOK_AGAIN`."""


def purge(
    media: MediaService,
    now: datetime,
    *,
    unused_for: timedelta,
    batch_rows: int = MAX_BATCH_ROWS,
    report_progress: Callable[[str, int], None] = lambda what, count: None,
) -> Purged:
    """Remove uploads that nothing has shown for so long, and every file that no row refers to.

    In small transactions, and none while files are deleted. May run beside servers and other purges, be stopped, and
    run again: what is left in the store is always written down.

    :param report_progress: called after every batch with ``unused`` or ``objects`` and how many are gone so far.
    :raises DatabaseDown, StorageError: what was removed until then stays removed.
    """
    unused, objects, missing = purge_rows(
        media, now, unused_for=unused_for, batch_rows=batch_rows, report_progress=report_progress
    )
    return Purged(unused, objects, remove_leftovers(media, now), missing)


def purge_rows(
    media: MediaService,
    now: datetime,
    *,
    unused_for: timedelta,
    batch_rows: int = MAX_BATCH_ROWS,
    report_progress: Callable[[str, int], None] = lambda what, count: None,
) -> tuple[int, int, int]:
    """The part of `purge` that SQL knows of: how many uploads and objects went, and how many objects are missing."""
    unused = objects = missing = 0
    while removed := media.database.retried(_remove_unused(now - unused_for, batch_rows)):
        unused += removed
        report_progress("unused", unused)
    while found := _garbage(media, now, batch_rows):
        lost = [key for key, stored in found if stored and not media.storage.exists(key)]
        for key in lost:
            log.error("stored_object_missing", storage_key=key)
        missing += len(lost)
        keys = [key for key, _ in found if key not in lost]
        # From here on a missing object is one that this purge, or one that was stopped, has deleted.
        media.database.retried(_begin_deletion(keys, lost, now + LOOK_AGAIN))
        for key in keys:
            for form in keys_of(key):
                media.storage.delete(form)
        media.database.retried(_forget(keys))
        objects += len(keys)
        report_progress("objects", objects)
    return unused, objects, missing


def remove_leftovers(media: MediaService, now: datetime) -> int:
    """The part of `purge` that only this machine's disk knows of: unfinished files; how many."""
    removed = media.preparer.remove_leftovers(now - MAX_STORING_TIME)
    return removed + media.storage.remove_leftovers(now - MAX_STORING_TIME)


def ask_again(
    media: MediaService,
    now: datetime,
    *,
    report_progress: Callable[[str, Verdict | None], None] = lambda id_, verdict: None,
) -> int:
    """Ask the moderator about every upload that it has not answered for; how many have an answer now.

    :param report_progress: called with every media id and the answer; None if it failed again.
    :raises DatabaseDown: answers until then are kept.
    """
    with media.database.reading() as session:
        waiting = session.scalars(
            select(Media.id)
            .where(
                Media.verdict == Verdict.PENDING,
                Media.asked_at.is_(None),
                Media.create_time < now - MAX_ANSWER_TIME,
            )
            .order_by(Media.create_time)
        ).all()
    answered = 0
    for media_id in waiting:
        verdict = media.ask(media_id, now)
        answered += verdict is not None
        report_progress(media_id, verdict)
    return answered


def _remove_unused(before: datetime, most: int) -> Callable[[Session], int]:
    def work(session: Session) -> int:
        # Rows that a request is just attaching are locked: it wins.
        rows = session.scalars(
            select(Media)
            .where(Media.unused_since < before)
            .order_by(Media.unused_since)
            .limit(most)
            .with_for_update(skip_locked=True)
        ).all()
        drop(session, rows)
        return len(rows)

    return work


def _garbage(media: MediaService, now: datetime, most: int) -> list[tuple[str, bool]]:
    """Keys, and whether their objects must be there."""
    with media.database.reading() as session:
        found = select(MediaGarbage.storage_key, MediaGarbage.stored).where(MediaGarbage.collect_after <= now)
        rows = session.execute(found.order_by(MediaGarbage.collect_after).limit(most))
        return [(key, stored) for key, stored in rows]


def _begin_deletion(keys: list[str], lost: list[str], again_at: datetime) -> Callable[[Session], None]:
    def work(session: Session) -> None:
        garbage = update(MediaGarbage)
        session.execute(garbage.where(MediaGarbage.storage_key.in_(keys)).values(stored=False))
        session.execute(garbage.where(MediaGarbage.storage_key.in_(lost)).values(collect_after=again_at))

    return work


def _forget(keys: list[str]) -> Callable[[Session], None]:
    def work(session: Session) -> None:
        session.execute(delete(MediaGarbage).where(MediaGarbage.storage_key.in_(keys)))

    return work
