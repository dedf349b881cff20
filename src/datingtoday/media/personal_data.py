"""Personal data of media."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from datingtoday.infra.personal_data import PersonColumn, remove_some
from datingtoday.media.models import Media, MediaUsage
from datingtoday.media.service import MediaService
from datingtoday.media.stored import drop


class MediaData:
    """Uploads: handed out with URLs that work for their owner, removed with their files (by the purge of media)."""

    name = "media"
    holds = (PersonColumn("media", "user_id"), PersonColumn("media_usage", "user_id"))

    def __init__(self, media: MediaService) -> None:
        self._media = media

    def export(self, session: Session, user_id: int, now: datetime) -> dict[str, Any]:
        rows = session.scalars(
            select(Media).where(Media.user_id == user_id).order_by(Media.create_time, Media.id)
        )
        usage = session.get(MediaUsage, user_id)
        # Not `uses`: a report that keeps a photo as evidence counts there, and nobody is told of reports.
        return {
            "uploads": [
                {
                    **self._media.describe(row, user_id, now),
                    "moderation": row.verdict,
                    "create_time": row.create_time,
                }
                for row in rows
            ],
            "files": usage.files if usage else 0,
            "stored_bytes": usage.stored_bytes if usage else 0,
        }

    def remove(self, session: Session, user_id: int, most: int) -> int:
        rows = session.scalars(
            select(Media).where(Media.user_id == user_id).order_by(Media.id).limit(most).with_for_update()
        ).all()
        drop(session, rows)
        return len(rows) or remove_some(session, MediaUsage, MediaUsage.user_id == user_id, most)
