"""Rows that bind what Redis remembers to the Redis process that remembers it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from datingtoday.infra.db import MYSQL_TABLE, Base

NAME_CHARS = 32
KEY_CHARS = 200


class RedisMemory(Base):
    """One memory (a role's entries; on a cluster one bucket of them) and the epoch in which entries are believed."""

    __tablename__ = "redis_memory"
    __table_args__ = (MYSQL_TABLE,)

    name: Mapped[str] = mapped_column(String(NAME_CHARS), primary_key=True)
    holder: Mapped[str] = mapped_column(String(64))
    """The run id of the Redis process that had this memory when the epoch began."""
    epoch: Mapped[str] = mapped_column(String(16))


class UnsentChange(Base):
    """An entry that a committed transaction changed while Redis could not be told; gone once it was."""

    __tablename__ = "redis_unsent_change"
    __table_args__ = (Index("ix_redis_unsent_change_memory_id", "memory", "id"), MYSQL_TABLE)

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    memory: Mapped[str] = mapped_column(String(NAME_CHARS))
    key: Mapped[str] = mapped_column(String(KEY_CHARS))
