"""Rows of people's profiles.

Only what belongs to a login has foreign keys (`accounts`). Rows that connect people have none: checking them would
lock the rows of both people, and all followers of a popular user would wait for everybody else. Rows of
deleted people are removed by the purge, which a test holds against every table.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import Boolean, Date, Index, Integer, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from datingtoday.infra.db import MYSQL_TABLE, Base, UTCDateTime

FIRST_USER_ID = 100785
"""Accounts imported from the original database lie below."""


class UserStatus(StrEnum):
    """Status of an account."""

    ACTIVE = "active"
    BANNED = "banned"
    DELETED = "deleted"


def is_ban_in_force(status: str, banned_until: datetime | None, now: datetime) -> bool:
    """True if a row with these values is banned now; a ban that has run out is none.

    :param banned_until: None for good.
    """
    return status == UserStatus.BANNED and (banned_until is None or banned_until > now)


class UserInfo(Base):
    """A person. Numbers of enumerations are the original database's; see `enumerations.py`."""

    __tablename__ = "user_info"
    __table_args__ = (
        Index("uq_user_info_phone", "phone", unique=True),
        Index("ix_user_info_deleted_at", "deleted_at"),
        Index("ix_user_info_education", "education"),
        {
            **MYSQL_TABLE,
            "mysql_auto_increment": str(FIRST_USER_ID),
            "mariadb_auto_increment": str(FIRST_USER_ID),
            "sqlite_autoincrement": True,
        },
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    phone: Mapped[str | None] = mapped_column(String(16))
    """E.164; null once the account is deleted, so that the number is free at once."""
    email: Mapped[str | None] = mapped_column(String(64))
    nickname: Mapped[str] = mapped_column(String(255))
    gender: Mapped[int] = mapped_column(SmallInteger, default=0)
    birthday: Mapped[date | None] = mapped_column(Date)
    avatar: Mapped[str | None] = mapped_column(String(128))
    """The id of one of the user's uploads."""
    emotion: Mapped[int | None] = mapped_column(SmallInteger)
    height: Mapped[int | None] = mapped_column(SmallInteger)
    sexual: Mapped[int] = mapped_column(SmallInteger, default=0)
    education: Mapped[int] = mapped_column(SmallInteger, default=0)
    salary: Mapped[int | None] = mapped_column(SmallInteger)
    authority: Mapped[int] = mapped_column(SmallInteger, default=1)
    intro: Mapped[str] = mapped_column(String(500), default="")
    stealth: Mapped[bool] = mapped_column(Boolean, default=False)
    personal: Mapped[bool] = mapped_column(Boolean, default=True)
    status: Mapped[str] = mapped_column(String(16), default=UserStatus.ACTIVE)
    banned_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """Null while banned means for good."""
    ban_reason: Mapped[str | None] = mapped_column(String(200))
    deleted_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """Moment at which the person deleted the account; null again once everything was purged and only
    this row is left."""
    last_active: Mapped[datetime] = mapped_column(UTCDateTime)
    create_time: Mapped[datetime] = mapped_column(UTCDateTime)
    update_time: Mapped[datetime] = mapped_column(UTCDateTime)


class Label(Base):
    """Labels that people can choose. The first ones come with the migration, others by `datingtoday label`."""

    __tablename__ = "label"
    __table_args__ = (
        Index("uq_label_gender_name", "gender", "name", unique=True),
        {**MYSQL_TABLE, "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(50))
    gender: Mapped[int] = mapped_column(SmallInteger, default=0)
    """Gender it is for: 0 everyone, 1 men, 2 women."""
    meaning: Mapped[str] = mapped_column(String(20), default="")


class UserLabel(Base):
    """A label that a person chose; ``position`` keeps the order of the choice."""

    __tablename__ = "user_label"
    __table_args__ = (Index("ix_user_label_label_id_user_id", "label_id", "user_id"), MYSQL_TABLE)

    user_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    label_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(SmallInteger, default=0)


class UserAlbum(Base):
    """A photo in a person's album; the first position is the cover."""

    __tablename__ = "user_album"
    __table_args__ = (
        Index("uq_user_album_user_id_media_id", "user_id", "media_id", unique=True),
        Index("ix_user_album_user_id_position", "user_id", "position"),
        Index("ix_user_album_media_id", "media_id"),
        {**MYSQL_TABLE, "sqlite_autoincrement": True},
    )

    photo_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    user_id: Mapped[int] = mapped_column(Integer)
    media_id: Mapped[str] = mapped_column(String(64))
    position: Mapped[int] = mapped_column(SmallInteger)
    create_time: Mapped[datetime] = mapped_column(UTCDateTime)


class UserFollow(Base):
    """``user_id`` follows ``peer_id``."""

    __tablename__ = "user_follow"
    __table_args__ = (
        Index("ix_user_follow_user_id_create_time_peer_id", "user_id", "create_time", "peer_id"),
        Index("ix_user_follow_peer_id_create_time_user_id", "peer_id", "create_time", "user_id"),
        MYSQL_TABLE,
    )

    user_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    peer_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    create_time: Mapped[datetime] = mapped_column(UTCDateTime)


class UserBlock(Base):
    """``user_id`` has blocked ``peer_id``."""

    __tablename__ = "user_block"
    __table_args__ = (
        Index("ix_user_block_user_id_create_time_peer_id", "user_id", "create_time", "peer_id"),
        Index("ix_user_block_peer_id", "peer_id"),
        MYSQL_TABLE,
    )

    user_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    peer_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    create_time: Mapped[datetime] = mapped_column(UTCDateTime)
