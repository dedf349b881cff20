"""Labels: what people can call themselves, and who has chosen which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from datingtoday.infra.cache import CacheEntry, ReadyCache
from datingtoday.profiles.cards.entries import Cards
from datingtoday.profiles.enumerations import LABEL_EVERYONE
from datingtoday.profiles.errors import LabelUnknown
from datingtoday.profiles.models import Label, UserLabel
from datingtoday.profiles.people import lock_people
from datingtoday.protocol.envelope import ReadyJson, to_json

LIST_KEPT_S = 3600
_GENDERS = (None, 0, 1, 2)


class LabelTaken(Exception):
    """A label of this name and gender exists."""


class LabelListEntries:
    """Cache entry: gender (None: all) → labels as JSON."""

    def key(self, what: int | None) -> str:
        return f"labels:{'all' if what is None else what}"

    def make(
        self, session: Session, wanted: Sequence[int | None], now: datetime
    ) -> Mapping[int | None, CacheEntry]:
        rows = session.scalars(select(Label).order_by(Label.gender, Label.id)).all()
        return {
            gender: CacheEntry(
                to_json([_told(row) for row in rows if gender is None or row.gender in (LABEL_EVERYONE, gender)]),
                LIST_KEPT_S,
            )
            for gender in wanted
        }  # fmt: skip


class Labels:
    """The rules of labels."""

    def __init__(self, entries: ReadyCache, cards: Cards) -> None:
        self._cache = entries
        self._cards = cards
        self._lists = LabelListEntries()

    def fitting(self, gender: int | None, now: datetime) -> ReadyJson:
        """All labels, or those that fit a gender: its own and everyone's."""
        data = self._cache.fetch_one(self._lists, gender, now)
        return ReadyJson(data or b"[]")

    def choose(self, session: Session, user_id: int, label_ids: Sequence[int]) -> list[dict[str, Any]]:
        """Replace my labels by these, in this order; none is fine. A label of any gender may be chosen.

        :raises LabelUnknown: nothing was changed.
        """
        lock_people(session, [user_id])
        # Locked, so that whoever renames one of them at the same time finds this person among those who have it.
        wanted = select(Label.id, Label.name).where(Label.id.in_(label_ids)).with_for_update(read=True)
        names = dict(session.execute(wanted).all()) if label_ids else {}
        for label_id in label_ids:
            if label_id not in names:
                raise LabelUnknown(label_id=label_id)
        session.execute(delete(UserLabel).where(UserLabel.user_id == user_id))
        session.add_all(
            UserLabel(user_id=user_id, label_id=label_id, position=position)
            for position, label_id in enumerate(label_ids)
        )
        self._cards.changed(session, [user_id])
        return [{"label_id": label_id, "name": names[label_id]} for label_id in label_ids]

    def all(self, session: Session) -> Sequence[Label]:
        """Every label, for the command."""
        return session.scalars(select(Label).order_by(Label.gender, Label.id)).all()

    def add(self, session: Session, name: str, gender: int, meaning: str) -> Label:
        """A new label. :raises LabelTaken: the transaction is lost."""
        label = Label(name=name, gender=gender, meaning=meaning)
        session.add(label)
        self._write(session, name)
        return label

    def rename(self, session: Session, label_id: int, name: str, meaning: str | None) -> Label | None:
        """Give a label another name, also where people have it already; None if there is no such label.

        :param meaning: None leaves it as it is. :raises LabelTaken: the transaction is lost.
        """
        label = session.get(Label, label_id, with_for_update=True)
        if label is None:
            return None
        label.name = name
        if meaning is not None:
            label.meaning = meaning
        self._write(session, name)
        holders = select(UserLabel.user_id).where(UserLabel.label_id == label_id)
        self._cards.changed(session, session.scalars(holders))
        return label

    def _write(self, session: Session, name: str) -> None:
        try:
            session.flush()
        except IntegrityError as error:
            raise LabelTaken(name) from error
        self._cache.forget(session, [self._lists.key(gender) for gender in _GENDERS])


def _told(label: Label) -> dict[str, Any]:
    return {
        "label_id": label.id,
        "name": label.name,
        "gender": label.gender,
        "meaning": label.meaning,
    }
