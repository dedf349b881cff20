"""Rows of people's profiles."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import Boolean, Date, Index, Integer, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from datingtoday.infra.db import MYSQL_TABLE, Base, UTCDateTime

FIRST_USER_ID = 100785
"""Accounts imported from the original database lie below."""


class UserStatus(StrEnum):
    """Whether an account takes part."""

    ACTIVE = "active"
    BANNED = "banned"
    DELETED = "deleted"


class UserInfo(Base):
    """A person. Numbers of enumerations are the original database's; see `enumerations.py`."""

    __tablename__ = "user_info"
    __table_args__ = (
        Index("uq_user_info_phone", "phone", unique=True),
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
    nickname: Mapped[str] = mapped_column(String(64))
    gender: Mapped[int] = mapped_column(SmallInteger, default=0)
    birthday: Mapped[date | None] = mapped_column(Date)
    avatar: Mapped[str | None] = mapped_column(String(128))
    """The id of a media object of one's own."""
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
    last_active: Mapped[datetime] = mapped_column(UTCDateTime)
    create_time: Mapped[datetime] = mapped_column(UTCDateTime)
    update_time: Mapped[datetime] = mapped_column(UTCDateTime)
