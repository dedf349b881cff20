"""Scores of the hot list, and the attention that they are made of.

Scores are derived: `datingtoday hot rebuild` makes them again from `HotDay`, which is the only record of who received
how much attention on which day. No foreign keys, for the reason that `profiles/models.py` gives.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Double, Index, Integer, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from datingtoday.infra.db import MYSQL_TABLE, Base


class HotPerson(Base):
    """A person's ranking: people on the same shelf are ordered by ``score``."""

    __tablename__ = "hot_person"
    __table_args__ = (Index("ix_hot_person_shelf_score_user_id", "shelf", "score", "user_id"), MYSQL_TABLE)

    user_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    shelf: Mapped[int | None] = mapped_column(SmallInteger)
    """Gender and wanted gender in one number (`ranking.shelf_of`); null for who is not to be listed."""
    attention: Mapped[float] = mapped_column(Double)
    """The binary logarithm of the attention received, weighed forward from a landmark; see `ranking.py`."""
    bonus: Mapped[float] = mapped_column(Double)
    """For the completeness of the profile, in the same scale."""
    score: Mapped[float] = mapped_column(Double)
    """``attention + bonus``, stored because an index needs it."""


class HotDay(Base):
    """Attention that a person received on a day, counted in days from the landmark."""

    __tablename__ = "hot_day"
    __table_args__ = (Index("ix_hot_day_day", "day"), MYSQL_TABLE)

    user_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    day: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    weight: Mapped[float] = mapped_column(Double)
    """In points, each giver's weighed by `hot/givers.py`; a sum of multiples of 1/64."""
    people: Mapped[int] = mapped_column(Integer)
    """Number of different people it came from."""
    active: Mapped[bool] = mapped_column(Boolean, default=False)
    """True if the person used the app on this day."""


class HotAttention(Base):
    """Attention of ``peer_id`` that counted for ``user_id`` on a day; nobody counts twice. Kept for two days."""

    __tablename__ = "hot_attention"
    __table_args__ = (
        Index("ix_hot_attention_day", "day"),
        Index("ix_hot_attention_peer_id", "peer_id"),
        MYSQL_TABLE,
    )

    user_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    day: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    peer_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    weight: Mapped[float] = mapped_column(Double)
    """In points, weighed."""
