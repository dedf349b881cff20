"""Rows of uploads and what belongs to them, kept in step: usage, and the list of what the store must forget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from datingtoday.media.models import Media, MediaGarbage, MediaUsage, is_shared


def locked_usage(session: Session, user_id: int) -> MediaUsage:
    """The person's usage, locked until the transaction ends; made if there is none."""
    find = select(MediaUsage).where(MediaUsage.user_id == user_id).with_for_update()
    find = find.execution_options(populate_existing=True)
    usage = session.scalars(find).one_or_none()
    if usage is not None:
        return usage
    try:
        with session.begin_nested():
            usage = MediaUsage(user_id=user_id, files=0, stored_bytes=0)
            session.add(usage)
    except IntegrityError:
        # Another upload of the same person was first.
        return session.scalars(find).one()
    return usage


def drop(session: Session, rows: Sequence[Media]) -> None:
    """Remove these rows, which the transaction has locked; their files go to the garbage, their bytes are free.

    Files that others' rows show as well stay.
    """
    if not rows:
        return
    files: Counter[int] = Counter()
    freed: Counter[int] = Counter()
    for row in rows:
        files[row.user_id] += 1
        freed[row.user_id] += row.stored_bytes
        if not is_shared(row.storage_key):
            # Some moment of the past: to be collected as soon as this is committed.
            session.add(MediaGarbage(storage_key=row.storage_key, collect_after=row.create_time, stored=True))
    session.execute(delete(Media).where(Media.id.in_([row.id for row in rows])))
    for user_id in sorted(files):
        session.execute(
            update(MediaUsage)
            .where(MediaUsage.user_id == user_id)
            .values(
                files=MediaUsage.files - files[user_id],
                stored_bytes=MediaUsage.stored_bytes - freed[user_id],
            )
        )
