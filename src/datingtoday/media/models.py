"""Rows of uploads. What lies in the store is named by `storage_key`, which no client ever sees."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Index, Integer, String, false
from sqlalchemy.orm import Mapped, mapped_column

from datingtoday.infra.db import MYSQL_TABLE, Base, UTCDateTime
from datingtoday.infra.storage.storage import variant_key

FULL = "full"
THUMBS = ("medium", "thumb")
_SHARED = "5eed" * 4
"""Prefix of the names of shared objects; a random name has it once in 2^64 times."""


class Media(Base):
    """An upload that is stored. Nothing refers to a row before its files are complete."""

    __tablename__ = "media"
    __table_args__ = (
        Index("ix_media_user_id_create_time", "user_id", "create_time"),
        Index("ix_media_unused_since", "unused_since"),
        Index("ix_media_verdict_create_time", "verdict", "create_time"),
        MYSQL_TABLE,
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    """128 random bits in hex."""
    user_id: Mapped[int] = mapped_column(Integer)
    """The uploader."""
    kind: Mapped[str] = mapped_column(String(8))
    mime: Mapped[str] = mapped_column(String(32))
    """Type of the full form; the smaller forms are JPEGs."""
    storage_key: Mapped[str] = mapped_column(String(32))
    size_bytes: Mapped[int] = mapped_column(Integer)
    sha256: Mapped[str] = mapped_column(String(64))
    """Hex, of the stored full form: its entity tag."""
    medium_bytes: Mapped[int | None] = mapped_column(Integer)
    medium_sha256: Mapped[str | None] = mapped_column(String(64))
    thumb_bytes: Mapped[int | None] = mapped_column(Integer)
    thumb_sha256: Mapped[str | None] = mapped_column(String(64))
    width: Mapped[int | None] = mapped_column(Integer)
    """Pixels, upright."""
    height: Mapped[int | None] = mapped_column(Integer)
    duration_ms: Mapped[int | None] = mapped_column(Integer)
    verdict: Mapped[str] = mapped_column(String(8))
    """A `moderation.Verdict`."""
    reason: Mapped[str] = mapped_column(String(200), default="")
    """Reason, for moderators."""
    reference: Mapped[str] = mapped_column(String(100), default="")
    """The vendor's own number for the case."""
    asked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """Moment at which a moderator last answered, be it with pending; null: it has to be asked (again)."""
    uses: Mapped[int] = mapped_column(Integer, default=0)
    """Number of things (album photos, an avatar, messages) that show it."""
    unused_since: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """Null while something uses it."""
    create_time: Mapped[datetime] = mapped_column(UTCDateTime)

    @property
    def has_thumbs(self) -> bool:
        return self.thumb_bytes is not None

    @property
    def stored_bytes(self) -> int:
        """Bytes of all forms together, as the quota counts them."""
        return self.size_bytes + (self.medium_bytes or 0) + (self.thumb_bytes or 0)

    @property
    def storage_keys(self) -> list[str]:
        return keys_of(self.storage_key)


class MediaUsage(Base):
    """Storage used by a person. Written in the transactions that write `media`, so the two always agree; the
    row's lock makes uploads that end at the same time count one after another."""

    __tablename__ = "media_usage"
    __table_args__ = (MYSQL_TABLE,)

    user_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    files: Mapped[int] = mapped_column(Integer, default=0)
    stored_bytes: Mapped[int] = mapped_column(BigInteger, default=0)


class MediaGarbage(Base):
    """Objects of the store that nothing refers to: written down before an upload is stored, so that a crash leaves
    no file that nobody knows, and when a row of `media` goes. The purge job deletes them."""

    __tablename__ = "media_garbage"
    __table_args__ = (Index("ix_media_garbage_collect_after", "collect_after"), MYSQL_TABLE)

    storage_key: Mapped[str] = mapped_column(String(32), primary_key=True)
    collect_after: Mapped[datetime] = mapped_column(UTCDateTime)
    stored: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    """True: the upload was complete, so its object must be there until its deletion begins."""


def shared_key(digest: str) -> str:
    """The name of an object that any number of rows may show, and that therefore never becomes garbage.

    :param digest: hex, 16 digits or more, of what the object holds.
    """
    return _SHARED + digest[: 32 - len(_SHARED)]


def is_shared(storage_key: str) -> bool:
    """True if other rows may show the same object."""
    return storage_key.startswith(_SHARED)


def keys_of(storage_key: str) -> list[str]:
    """The names of all forms of an object in the store, whether or not it has them."""
    return [storage_key, *(variant_key(storage_key, name) for name in THUMBS)]
