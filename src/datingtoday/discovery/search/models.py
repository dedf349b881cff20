"""Folded nicknames and their grams, by which the search finds people.

Derived from profiles: `datingtoday hot rebuild` makes them again. No foreign keys, for the reason that
`profiles/models.py` gives.
"""

from __future__ import annotations

from sqlalchemy import Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from datingtoday.infra.db import MYSQL_TABLE, Base

FOLDED_CHARS = 200


class SearchName(Base):
    """A person's nickname in the form in which nicknames are compared; see `nicknames.py`."""

    __tablename__ = "search_name"
    __table_args__ = (MYSQL_TABLE,)

    user_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    folded: Mapped[str] = mapped_column(String(FOLDED_CHARS))


class SearchGram(Base):
    """A character, or two neighbours, of a nickname, as a number; see `nicknames.py`.

    The key's order is the search's order, so who has a gram is found by walking one range of it.
    """

    __tablename__ = "search_gram"
    __table_args__ = (MYSQL_TABLE,)

    gram: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    user_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
