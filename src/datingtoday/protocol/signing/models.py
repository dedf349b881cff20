"""Rows of the protocol: client programs, and what the replay guard keeps outside Redis."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, ForeignKey, Integer, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from datingtoday.infra.db import MYSQL_TABLE, Base, UTCDateTime

NAME_CHARS = 64


class ClientApp(Base):
    """A client program, known by its appkey."""

    __tablename__ = "client_app"
    __table_args__ = (MYSQL_TABLE,)

    appkey: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME_CHARS))
    hmac_only: Mapped[bool] = mapped_column(Boolean, default=False)
    disabled: Mapped[bool] = mapped_column(Boolean, default=False)
    create_time: Mapped[datetime] = mapped_column(UTCDateTime)
    secrets: Mapped[list[ClientSecret]] = relationship(
        back_populates="app", order_by="ClientSecret.id", cascade="all, delete-orphan", lazy="selectin"
    )

    def live_secrets(self, now: datetime) -> list[ClientSecret]:
        """Secrets that sign requests now, the oldest first."""
        return [secret for secret in self.secrets if secret.expires_at is None or secret.expires_at > now]


class ClientSecret(Base):
    """One appsecret of a client program; kept readable, because md5 and HMAC need it as it is."""

    __tablename__ = "client_secret"
    __table_args__ = (MYSQL_TABLE,)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    appkey: Mapped[str] = mapped_column(ForeignKey(ClientApp.appkey), index=True)
    secret: Mapped[str] = mapped_column(String(256))
    create_time: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    app: Mapped[ClientApp] = relationship(back_populates="secrets")


class ReplayBucket(Base):
    """A bucket of the guard's memory that was in use at some time."""

    __tablename__ = "replay_bucket"
    __table_args__ = (MYSQL_TABLE,)

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    first_used_at: Mapped[datetime] = mapped_column(UTCDateTime)
    lost_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    seal: Mapped[str | None] = mapped_column(String(32))
    holder: Mapped[str | None] = mapped_column(String(64))
    """The run id of the Redis process that has this bucket now: another's memory has gaps, however whole it is."""


class KeptSignature(Base):
    """An accepted md5 signature that can be read as that of a later time, until that time is over."""

    __tablename__ = "kept_signature"
    __table_args__ = (MYSQL_TABLE,)

    sign: Mapped[str] = mapped_column(String(32), primary_key=True)
    until: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
