"""Jobs in SQL: when each is due next, and which worker runs it now."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from datingtoday.infra.db import MYSQL_TABLE, Base

NAME_CHARS = 120
HOLDER_CHARS = 100
ERROR_CHARS = 300


class JobLease(Base):
    """One row per job, or per job and host; moments are the database's clock in epoch milliseconds."""

    __tablename__ = "job_lease"
    __table_args__ = (MYSQL_TABLE,)

    name: Mapped[str] = mapped_column(String(NAME_CHARS), primary_key=True)
    """The job; followed by ``@`` and the host where each host has its own."""
    due_ms: Mapped[int] = mapped_column(BigInteger)
    """The next run; moves on only after a success."""
    holder: Mapped[str] = mapped_column(String(HOLDER_CHARS))
    """Worker that runs it now; empty: none."""
    until_ms: Mapped[int] = mapped_column(BigInteger)
    """End of the holder's lease; without a holder, the moment before which a failed job is not tried again."""
    started_ms: Mapped[int] = mapped_column(BigInteger)
    """Start of the last run; 0: never."""
    finished_ms: Mapped[int] = mapped_column(BigInteger)
    """End of the last successful run; 0: never."""
    took_ms: Mapped[int] = mapped_column(Integer)
    """Length of the last successful run."""
    runs: Mapped[int] = mapped_column(BigInteger)
    """Successful runs."""
    failures: Mapped[int] = mapped_column(Integer)
    """Failed runs since the last success."""
    error: Mapped[str] = mapped_column(String(ERROR_CHARS))
    """Reason of the last failure; empty after a success."""
