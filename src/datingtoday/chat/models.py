"""Rows of chat: conversations, each side's contact, messages, and every account's stream of events."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum

from sqlalchemy import BigInteger, Boolean, Index, Integer, LargeBinary, SmallInteger, String
from sqlalchemy.dialects.mysql import BINARY, VARBINARY
from sqlalchemy.orm import Mapped, mapped_column

from datingtoday.infra.db import MYSQL_TABLE, Base, UTCDateTime

CONTENT_CHARS = 2000
PREVIEW_CHARS = 255
CLIENT_ID_CHARS = 64
_SEQ_BITS = 22
MAX_SEQ = (1 << _SEQ_BITS) - 1
"""The most messages that a conversation can hold."""
MAX_MESSAGE_ID = 2**53 - 1
"""JavaScript keeps whole numbers up to here."""
FIRST_EPOCH = 1


def message_id_of(conversation_id: int, seq: int) -> int:
    """The number of a message on the wire: the row is found by primary key, and no third index is needed."""
    return conversation_id << _SEQ_BITS | seq


def place_of(message_id: int) -> tuple[int, int]:
    """(conversation_id, seq)"""
    return message_id >> _SEQ_BITS, message_id & MAX_SEQ


class EventKind(IntEnum):
    """Kinds of entries of an account's stream; the numbers are stored."""

    MESSAGE = 1
    READ = 2
    RECALL = 3
    CONTACT = 4


class Conversation(Base):
    """Gives two people's conversation its id; a row is never changed."""

    __tablename__ = "conversation"
    __table_args__ = (
        Index("uq_conversation_low_uid_high_uid", "low_uid", "high_uid", unique=True),
        {**MYSQL_TABLE, "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    low_uid: Mapped[int] = mapped_column(Integer)
    """The smaller of the two user ids."""
    high_uid: Mapped[int] = mapped_column(Integer)
    creator_id: Mapped[int] = mapped_column(Integer)
    """Author of the first message."""
    create_time: Mapped[datetime] = mapped_column(UTCDateTime)


class Contact(Base):
    """One side of a conversation. The two rows of a pair change together, under the lock of the row whose ``user_id``
    is the smaller one."""

    __tablename__ = "contacts"
    __table_args__ = (
        Index("ix_contacts_user_id_update_ms", "user_id", "update_ms"),
        Index("ix_contacts_creator_id_create_time", "creator_id", "create_time"),
        MYSQL_TABLE,
    )

    user_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    peer_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    conversation_id: Mapped[int] = mapped_column(Integer)
    creator_id: Mapped[int] = mapped_column(Integer)
    """Author of the first message; for the limit on new conversations."""
    last_seq: Mapped[int] = mapped_column(Integer, default=0)
    last_msg: Mapped[str] = mapped_column(String(PREVIEW_CHARS), default="")
    last_type: Mapped[str] = mapped_column(String(8), default="")
    """Type of the last message; ``recalled`` if it was recalled."""
    unread: Mapped[int] = mapped_column(Integer, default=0)
    """Messages of the peer that are neither read, hidden nor recalled."""
    read_seq: Mapped[int] = mapped_column(Integer, default=0)
    """Up to where ``user_id`` has read."""
    peer_read_seq: Mapped[int] = mapped_column(Integer, default=0)
    hidden_seq: Mapped[int] = mapped_column(Integer, default=0)
    """Up to where ``user_id`` has removed the history."""
    known: Mapped[bool] = mapped_column(Boolean, default=False)
    """The peer has written."""
    update_ms: Mapped[int] = mapped_column(BigInteger, default=0)
    """Moment at which the last message was sent; never goes back."""
    create_time: Mapped[datetime] = mapped_column(UTCDateTime)


class Inbox(Base):
    """The head of an account's stream. Positions are given out under this row's lock, which is held until the
    commit: whoever sees a position sees all before it."""

    __tablename__ = "inbox"
    __table_args__ = (MYSQL_TABLE,)

    user_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    head: Mapped[int] = mapped_column(Integer, default=0)
    """The last position that was given out."""
    pace_ms: Mapped[int] = mapped_column(BigInteger, default=0)
    """Moment at which this account's sends will have been paid off at the allowed pace (a leaky bucket, GCRA)."""
    closed: Mapped[bool] = mapped_column(Boolean, default=False)
    """The account was purged: nothing is written into its stream any more."""


class Message(Base):
    """A message. A recalled or purged one keeps its row without content, so ``seq`` has no gaps, and a repeated
    ``client_id`` is still known."""

    __tablename__ = "message"
    __table_args__ = (
        Index("uq_message_from_uid_client_id", "from_uid", "client_id", unique=True),
        MYSQL_TABLE,
    )

    conversation_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    """Counts 1, 2, 3 … in the conversation."""
    from_uid: Mapped[int] = mapped_column(Integer)
    to_uid: Mapped[int] = mapped_column(Integer)
    client_id: Mapped[bytes] = mapped_column(
        LargeBinary(CLIENT_ID_CHARS).with_variant(VARBINARY(CLIENT_ID_CHARS), "mysql", "mariadb")
    )
    """Bytes, so that neither case nor a space at the end makes two the same."""
    msg_type: Mapped[str] = mapped_column(String(8))
    content: Mapped[str | None] = mapped_column(String(CONTENT_CHARS))
    media_id: Mapped[str | None] = mapped_column(String(32))
    send_ms: Mapped[int] = mapped_column(BigInteger)
    recalled: Mapped[bool] = mapped_column(Boolean, default=False)
    """Also of what the purge of an account emptied."""
    digest: Mapped[bytes] = mapped_column(LargeBinary(32).with_variant(BINARY(32), "mysql", "mariadb"))
    """SHA-256 of receiver, type and content; tells whether a repeated ``client_id`` means the same message."""


class MessageMedia(Base):
    """The messages that show an upload; read at every delivery. Removed when the message is recalled or purged."""

    __tablename__ = "message_media"
    __table_args__ = (MYSQL_TABLE,)

    media_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    conversation_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)


class ChatEvent(Base):
    """An entry of an account's stream."""

    __tablename__ = "chat_event"
    __table_args__ = (MYSQL_TABLE,)

    user_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    pos: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    """Counts 1, 2, 3 … in the account."""
    kind: Mapped[int] = mapped_column(SmallInteger)
    """An `EventKind`."""
    conversation_id: Mapped[int] = mapped_column(Integer)
    seq: Mapped[int] = mapped_column(Integer)
    peer_id: Mapped[int] = mapped_column(Integer)
    by_me: Mapped[bool] = mapped_column(Boolean, default=False)


class ChatEpoch(Base):
    """One row: the number that clients compare to notice that the database was set back."""

    __tablename__ = "chat_epoch"
    __table_args__ = (MYSQL_TABLE,)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    epoch: Mapped[int] = mapped_column(BigInteger)
