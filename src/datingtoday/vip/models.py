"""Rows of products, orders, the ledger of VIP days, and what providers told.

No foreign keys, as in profiles: rows of the ledger outlive the account that they belong to.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Boolean, Index, Integer, SmallInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from datingtoday.infra.db import MYSQL_TABLE, Base, UTCDateTime

NAME_CHARS = 50
DESC_CHARS = 200
APPLE_ID_CHARS = 100
CLIENT_ID_CHARS = 64
TRANSACTION_CHARS = 64


class OrderState(StrEnum):
    """State of an order; `order_states.py` holds the ways between them."""

    UNPAID = "unpaid"
    PAID = "paid"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REFUNDED = "refunded"


class RefundState(StrEnum):
    """State of a refund: to be asked for, accepted by the provider, over, or given up."""

    DUE = "due"
    PROCESSING = "processing"
    DONE = "done"
    FAILED = "failed"


class Product(Base):
    """Product on sale. An order copies what it needs of it: a change never touches existing orders."""

    __tablename__ = "product"
    __table_args__ = (
        Index("uq_product_apple_id", "apple_id", unique=True),
        {**MYSQL_TABLE, "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(NAME_CHARS))
    desc: Mapped[str] = mapped_column(String(DESC_CHARS), default="")
    vip_time: Mapped[int] = mapped_column(Integer)
    """Days."""
    price_fen: Mapped[int] = mapped_column(Integer)
    apple_id: Mapped[str | None] = mapped_column(String(APPLE_ID_CHARS))
    """The product's id in App Store Connect; null: not sold there."""
    on_sale: Mapped[bool] = mapped_column(Boolean, default=True)


class UserOrder(Base):
    """One purchase."""

    __tablename__ = "user_order"
    __table_args__ = (
        Index("uq_user_order_trade_no", "trade_no", unique=True),
        Index("uq_user_order_user_id_client_id", "user_id", "client_id", unique=True),
        Index("uq_user_order_channel_transaction_id", "channel", "transaction_id", unique=True),
        Index("uq_user_order_account_token", "account_token", unique=True),
        Index("ix_user_order_user_id_order_time_id", "user_id", "order_time", "id"),
        Index("ix_user_order_state_expire_at", "state", "expire_at"),
        Index("ix_user_order_poll_at", "poll_at"),
        Index("ix_user_order_order_time", "order_time"),
        {**MYSQL_TABLE, "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    user_id: Mapped[int] = mapped_column(Integer)
    product_id: Mapped[int] = mapped_column(Integer)
    product_name: Mapped[str] = mapped_column(String(NAME_CHARS))
    vip_days: Mapped[int] = mapped_column(Integer)
    fee_fen: Mapped[int] = mapped_column(Integer)
    currency: Mapped[str] = mapped_column(String(3), default="CNY")
    channel: Mapped[str] = mapped_column(String(16))
    trade_no: Mapped[str] = mapped_column(String(32))
    """Our number at the provider (its ``out_trade_no``)."""
    client_id: Mapped[str] = mapped_column(String(CLIENT_ID_CHARS))
    state: Mapped[str] = mapped_column(String(16), default=OrderState.UNPAID)
    open_id: Mapped[str | None] = mapped_column(String(128))
    """The payer, as the provider names them."""
    account_token: Mapped[str | None] = mapped_column(String(36))
    """Apple's appAccountToken of this order; null on other channels."""
    apple_id: Mapped[str | None] = mapped_column(String(APPLE_ID_CHARS))
    """The product's id in App Store Connect when it was ordered; null on other channels."""
    transaction_id: Mapped[str | None] = mapped_column(String(TRANSACTION_CHARS))
    """The provider's number of the payment that paid the order."""
    pay_params: Mapped[str | None] = mapped_column(Text)
    """JSON for the client's payment SDK; null until the provider has answered."""
    order_time: Mapped[datetime] = mapped_column(UTCDateTime)
    expire_at: Mapped[datetime] = mapped_column(UTCDateTime)
    paid_time: Mapped[datetime | None] = mapped_column(UTCDateTime)
    refunded_time: Mapped[datetime | None] = mapped_column(UTCDateTime)
    is_closed: Mapped[bool] = mapped_column(Boolean, default=False)
    """The provider takes no payment for it any more."""
    poll_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """Moment at which the provider is asked about it next; null: no more."""
    polls: Mapped[int] = mapped_column(SmallInteger, default=0)

    def state_at(self, now: datetime) -> OrderState:
        """The state by rule: an unpaid order whose time is over is expired, written down or not."""
        if self.state == OrderState.UNPAID and self.expire_at <= now:
            return OrderState.EXPIRED
        return OrderState(self.state)


class VipGrant(Base):
    """The ledger: days that an order gave. At most one row an order, by primary key."""

    __tablename__ = "vip_grant"
    __table_args__ = (Index("ix_vip_grant_user_id_granted_at", "user_id", "granted_at"), MYSQL_TABLE)

    order_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    user_id: Mapped[int] = mapped_column(Integer)
    days: Mapped[int] = mapped_column(Integer)
    length_s: Mapped[int] = mapped_column(Integer)
    """Length that counts: the days in seconds, or what was left of them when a refund was reversed."""
    granted_at: Mapped[datetime] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    unused_s: Mapped[int] = mapped_column(Integer, default=0)
    """Revoked grants: the time by which the deadline moved back."""


class VipInfo(Base):
    """Until when a person is VIP: what replaying the ledger gives. The row is the lock of a person's ledger."""

    __tablename__ = "vip_info"
    __table_args__ = (MYSQL_TABLE,)

    user_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    vip_deadline: Mapped[datetime | None] = mapped_column(UTCDateTime)
    left_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """Moment at which the person deleted the account: later payments are refunded."""


class PayNotice(Base):
    """A notification that was accepted; repeated ones are told by it."""

    __tablename__ = "pay_notice"
    __table_args__ = (
        Index("uq_pay_notice_channel_notice_id", "channel", "notice_id", unique=True),
        Index("ix_pay_notice_at", "at"),
        {**MYSQL_TABLE, "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    channel: Mapped[str] = mapped_column(String(16))
    notice_id: Mapped[str] = mapped_column(String(128))
    trade_no: Mapped[str] = mapped_column(String(32))
    kind: Mapped[str] = mapped_column(String(32))
    verdict: Mapped[str] = mapped_column(String(32))
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    digest: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the body, lower-case hex."""


class OrderRefund(Base):
    """Money that went back for an order, in one or several parts; parts that sum to the fee end the order."""

    __tablename__ = "order_refund"
    __table_args__ = (
        Index("uq_order_refund_channel_refund_id", "channel", "refund_id", unique=True),
        Index("ix_order_refund_order_id", "order_id"),
        Index("ix_order_refund_transaction_id", "transaction_id"),
        {**MYSQL_TABLE, "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    order_id: Mapped[int] = mapped_column(Integer)
    channel: Mapped[str] = mapped_column(String(16))
    refund_id: Mapped[str] = mapped_column(String(96))
    """The provider's number of this refund, or one for all refunds of a payment together."""
    transaction_id: Mapped[str] = mapped_column(String(TRANSACTION_CHARS))
    amount_fen: Mapped[int] = mapped_column(Integer)
    at: Mapped[datetime] = mapped_column(UTCDateTime)


class RefundTask(Base):
    """A payment that has to go back: it paid nothing, or an operator decided so."""

    __tablename__ = "refund_task"
    __table_args__ = (
        Index("uq_refund_task_channel_transaction_id", "channel", "transaction_id", unique=True),
        Index("ix_refund_task_state_try_at", "state", "try_at"),
        Index("ix_refund_task_order_id", "order_id"),
        {**MYSQL_TABLE, "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    order_id: Mapped[int] = mapped_column(Integer)
    channel: Mapped[str] = mapped_column(String(16))
    transaction_id: Mapped[str] = mapped_column(String(TRANSACTION_CHARS))
    refund_no: Mapped[str] = mapped_column(String(64))
    """Derived from the transaction: asking again is the same refund."""
    fee_fen: Mapped[int] = mapped_column(Integer)
    reason: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(16), default=RefundState.DUE)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    try_at: Mapped[datetime] = mapped_column(UTCDateTime)
    tries: Mapped[int] = mapped_column(SmallInteger, default=0)
