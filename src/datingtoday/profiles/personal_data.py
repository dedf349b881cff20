"""Personal data of profiles."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from datingtoday.infra.db import Base
from datingtoday.infra.personal_data import PersonColumn, remove_some
from datingtoday.profiles.models import Label, UserAlbum, UserBlock, UserFollow, UserInfo, UserLabel
from datingtoday.profiles.people import NEUTRAL_NICKNAME
from datingtoday.profiles.visibility import findable

_STAYS = "the row stays, emptied, so that nobody gets the id again and old conversations have a neutral card"


class ProfileData:
    """Profile, labels, album, follows and blocks."""

    name = "profile"
    holds = (
        PersonColumn("user_info", "id", not_removed=_STAYS),
        PersonColumn("user_info", "phone"),
        PersonColumn("user_label", "user_id"),
        PersonColumn("user_album", "user_id"),
        PersonColumn("user_follow", "user_id"),
        PersonColumn("user_follow", "peer_id"),
        PersonColumn("user_block", "user_id"),
        PersonColumn("user_block", "peer_id", not_exported="whom others block is theirs to know"),
    )

    def export(self, session: Session, user_id: int, now: datetime) -> dict[str, Any]:
        row = session.get_one(UserInfo, user_id)
        labels = (
            select(Label.id, Label.name)
            .join(UserLabel, UserLabel.label_id == Label.id)
            .where(UserLabel.user_id == user_id)
            .order_by(UserLabel.position)
        )
        album = select(UserAlbum).where(UserAlbum.user_id == user_id).order_by(UserAlbum.position)
        fans = (
            select(UserFollow.user_id, UserFollow.create_time)
            .join(UserInfo, UserInfo.id == UserFollow.user_id)
            .where(UserFollow.peer_id == user_id, findable(user_id, now))
            .order_by(UserFollow.create_time)
        )
        return {
            "profile": {column.key: getattr(row, column.key) for column in UserInfo.__mapper__.column_attrs},
            "labels": [{"label_id": number, "name": name} for number, name in session.execute(labels)],
            "album": [
                {"photo_id": photo.photo_id, "media_id": photo.media_id, "create_time": photo.create_time}
                for photo in session.scalars(album)
            ],
            "following": _peers(session, UserFollow, user_id),
            "fans": [{"user_id": fan, "create_time": at} for fan, at in session.execute(fans)],
            "blocked": _peers(session, UserBlock, user_id),
        }

    def remove(self, session: Session, user_id: int, most: int) -> int:
        where: list[tuple[type[Base], ColumnElement[bool]]] = [
            (UserLabel, UserLabel.user_id == user_id),
            (UserAlbum, UserAlbum.user_id == user_id),
            (UserFollow, UserFollow.user_id == user_id),
            (UserFollow, UserFollow.peer_id == user_id),
            (UserBlock, UserBlock.user_id == user_id),
            (UserBlock, UserBlock.peer_id == user_id),
        ]
        for table, which in where:
            if removed := remove_some(session, table, which, most):
                return removed
        return self._empty(session, user_id)

    def _empty(self, session: Session, user_id: int) -> int:
        """Leave of the person's row what `_STAYS` says; 0 if it is so already.

        What is cached of the person has been neutral since the account was deleted.
        """
        row = session.get_one(UserInfo, user_id)
        empty: dict[str, Any] = {
            "phone": None, "email": None, "nickname": NEUTRAL_NICKNAME, "gender": 0, "birthday": None, "avatar": None,
            "emotion": None, "height": None, "sexual": 0, "education": 0, "salary": None, "authority": 0, "intro": "",
            "stealth": False, "personal": True, "banned_until": None, "ban_reason": None,
            "create_time": row.deleted_at or row.create_time, "update_time": row.deleted_at or row.update_time,
            "last_active": row.deleted_at or row.last_active,
        }  # fmt: skip
        changes = {name: value for name, value in empty.items() if getattr(row, name) != value}
        for name, value in changes.items():
            setattr(row, name, value)
        return int(bool(changes))


def _peers(session: Session, table: type[UserFollow | UserBlock], user_id: int) -> list[dict[str, Any]]:
    rows = session.execute(
        select(table.peer_id, table.create_time).where(table.user_id == user_id).order_by(table.create_time)
    )
    return [{"user_id": peer_id, "create_time": at} for peer_id, at in rows]
