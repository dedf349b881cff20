"""Rows of logins: how a person proves who they are, their sessions, and the codes sent to numbers."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, Integer, SmallInteger, String
from sqlalchemy.orm import Mapped, backref, mapped_column, relationship

from datingtoday.infra.db import MYSQL_TABLE, Base, UTCDateTime
from datingtoday.profiles.models import UserInfo

LOGIN_BY_PHONE = "phone"
DEVICE_CHARS = 64


class UserAuth(Base):
    """Login of a person: one row per person, one to one with `UserInfo`, navigable both ways."""

    __tablename__ = "user_auth"
    __table_args__ = (
        Index("uq_user_auth_login_type_open_id", "login_type", "open_id", unique=True),
        Index("uq_user_auth_user_id", "user_id", unique=True),
        MYSQL_TABLE,
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(UserInfo.id))
    open_id: Mapped[str] = mapped_column(String(128))
    """Phone login: the number in E.164; deleted account: random text, so that the number is free."""
    session_key: Mapped[str | None] = mapped_column(String(128))
    login_type: Mapped[str] = mapped_column(String(16), default=LOGIN_BY_PHONE)
    login_time: Mapped[datetime | None] = mapped_column(UTCDateTime)
    create_time: Mapped[datetime] = mapped_column(UTCDateTime)
    user_basic: Mapped[UserInfo] = relationship(UserInfo, backref=backref("user_auth", uselist=False))


class UserSession(Base):
    """One logged-in device. Rows stay for a while after their end, so that their token is told from a made-up one."""

    __tablename__ = "user_session"
    __table_args__ = (
        Index("uq_user_session_token_hash", "token_hash", unique=True),
        Index("ix_user_session_user_id_ended_at", "user_id", "ended_at"),
        Index("ix_user_session_expires_at", "expires_at"),
        {**MYSQL_TABLE, "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(UserInfo.id))
    token_hash: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the token, lower-case hex; the token itself is nowhere."""
    device: Mapped[str] = mapped_column(String(DEVICE_CHARS), default="")
    login_time: Mapped[datetime] = mapped_column(UTCDateTime)
    last_seen: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    end_reason: Mapped[str | None] = mapped_column(String(16))


class SmsNumber(Base):
    """A number to which codes were sent; its row is what two requests for the same number wait for."""

    __tablename__ = "sms_number"
    __table_args__ = (Index("ix_sms_number_last_sent_at", "last_sent_at"), MYSQL_TABLE)

    phone: Mapped[str] = mapped_column(String(16), primary_key=True)
    last_sent_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class SmsCode(Base):
    """A code that was sent. Only the newest of its number and purpose counts (but see `unclear`)."""

    __tablename__ = "sms_code"
    __table_args__ = (
        Index("ix_sms_code_phone_sent_at", "phone", "sent_at"),
        Index("ix_sms_code_sent_at", "sent_at"),
        Index("ix_sms_code_prefix_sent_at", "prefix", "sent_at"),
        {**MYSQL_TABLE, "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    phone: Mapped[str] = mapped_column(String(16))
    prefix: Mapped[str] = mapped_column(String(8), default="", server_default="")
    """Prefix of the number (`phone_numbers.prefix_of`), for the ceilings."""
    network: Mapped[str] = mapped_column(String(32), default="", server_default="")
    """Hash of number and network that the code was asked for from, keyed as `code_hash`."""
    purpose: Mapped[str] = mapped_column(String(16))
    code_hash: Mapped[str] = mapped_column(String(64))
    """HMAC-SHA256 of number, purpose and code under the server's secret key, lower-case hex."""
    sent_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    tries: Mapped[int] = mapped_column(SmallInteger, default=0)
    used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    unclear: Mapped[bool] = mapped_column(Boolean, default=False)
    """The provider gave no clear answer: the message may arrive or not, so the code before it stays in force too."""


class SmsDecoy(Base):
    """A row to write where a wrong code has no try to count, so that it costs the same as one that has."""

    __tablename__ = "sms_decoy"
    __table_args__ = (MYSQL_TABLE,)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    tries: Mapped[int] = mapped_column(SmallInteger)
