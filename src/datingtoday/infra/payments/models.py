"""The row of the sandbox: what a payment provider would remember of a payment."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from datingtoday.infra.db import MYSQL_TABLE, Base, UTCDateTime


class TradeState(StrEnum):
    """State of a payment at the sandbox."""

    OPEN = "open"
    PAID = "paid"
    REFUNDED = "refunded"
    CLOSED = "closed"


class SandboxTrade(Base):
    """A payment at the sandbox; nobody else reads it."""

    __tablename__ = "sandbox_trade"
    __table_args__ = (Index("uq_sandbox_trade_page_key", "page_key", unique=True), MYSQL_TABLE)

    trade_no: Mapped[str] = mapped_column(String(32), primary_key=True)
    page_key: Mapped[str] = mapped_column(String(43))
    """The random part of the page's address."""
    subject: Mapped[str] = mapped_column(String(64))
    amount_fen: Mapped[int] = mapped_column(Integer)
    currency: Mapped[str] = mapped_column(String(3))
    expire_at: Mapped[datetime] = mapped_column(UTCDateTime)
    state: Mapped[str] = mapped_column(String(16), default=TradeState.OPEN)
    transaction_id: Mapped[str | None] = mapped_column(String(64))
    paid_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    refunded_fen: Mapped[int] = mapped_column(Integer, default=0)
    refunded_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
