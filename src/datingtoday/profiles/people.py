"""What is told of people: read from SQL for many at once, and written as card or profile."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from datingtoday.profiles.models import Label, UserAlbum, UserInfo, UserLabel, UserStatus
from datingtoday.profiles.ready_bytes import PhotoUrl

NEUTRAL_NICKNAME = "用户"
"""Of who is banned or has left."""
AVATAR_SIZE = "medium"
ALBUM_THUMB_SIZE = "thumb"


class VipDeadlines(Protocol):
    """Knows until when people are VIP."""

    def deadlines(self, session: Session, user_ids: Collection[int]) -> Mapping[int, datetime]:
        """Those who are or were VIP; in one statement."""


class NobodyIsVip:
    """While nobody sells it."""

    def deadlines(self, session: Session, user_ids: Collection[int]) -> Mapping[int, datetime]:
        return {}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody's row and what belongs to it."""

    row: UserInfo
    labels: tuple[tuple[int, str], ...] = ()
    """(label_id, name) in the order of the choice."""
    vip_until: datetime | None = None
    album: tuple[UserAlbum, ...] = field(default=())

    def is_vip(self, now: datetime) -> bool:
        return self.vip_until is not None and self.vip_until > now


def read_people(
    session: Session, user_ids: Collection[int], vip: VipDeadlines, *, album: bool = False
) -> dict[int, Person]:
    """Those of these people who exist, banned and deleted ones too.

    :param album: with their photos.
    """
    rows = session.scalars(select(UserInfo).where(UserInfo.id.in_(user_ids)))
    people = {row.id: row for row in rows}
    labels: dict[int, list[tuple[int, str]]] = {}
    for user_id, label_id, name in session.execute(
        select(UserLabel.user_id, Label.id, Label.name)
        .join(Label, Label.id == UserLabel.label_id)
        .where(UserLabel.user_id.in_(people))
        .order_by(UserLabel.user_id, UserLabel.position, Label.id)
    ):
        labels.setdefault(user_id, []).append((label_id, name))
    photos: dict[int, list[UserAlbum]] = {}
    if album:
        for photo in session.scalars(
            select(UserAlbum)
            .where(UserAlbum.user_id.in_(people))
            .order_by(UserAlbum.user_id, UserAlbum.position, UserAlbum.photo_id)
        ):
            photos.setdefault(photo.user_id, []).append(photo)
    deadlines = vip.deadlines(session, list(people))
    return {
        user_id: Person(
            row,
            tuple(labels.get(user_id, ())),
            deadlines.get(user_id),
            tuple(photos.get(user_id, ())),
        )
        for user_id, row in people.items()
    }


def lock_people(session: Session, user_ids: Collection[int]) -> None:
    """Wait for, and keep out, whoever else changes what belongs to these people, until the transaction ends.

    In the order of the ids, so that two who lock the same people cannot wait for each other.
    """
    session.execute(
        select(UserInfo.id).where(UserInfo.id.in_(user_ids)).order_by(UserInfo.id).with_for_update()
    ).all()


def is_banned(row: UserInfo, now: datetime) -> bool:
    """Banned now; a ban that has run out is none."""
    return row.status == UserStatus.BANNED and (row.banned_until is None or row.banned_until > now)


def is_gone(row: UserInfo, now: datetime) -> bool:
    """Deleted, or banned now."""
    return row.status == UserStatus.DELETED or is_banned(row, now)


def card_of(person: Person, now: datetime) -> dict[str, Any]:
    """The card of API.md for anybody."""
    if is_gone(person.row, now):
        return neutral_card(person.row.id)
    return {**_basics(person, now), "labels": [name for _, name in person.labels]}


def neutral_card(user_id: int) -> dict[str, Any]:
    """The card of who is banned, deleted or never was: tells nothing, and not which of them."""
    return {
        "user_id": user_id,
        "nickname": NEUTRAL_NICKNAME,
        "age": None,
        "gender": 0,
        "avatar": None,
        "height": None,
        "sexual": 0,
        "education": 0,
        "salary": None,
        "emotion": None,
        "vip": False,
        "labels": [],
    }


def public_profile_of(person: Person, now: datetime) -> dict[str, Any]:
    """What everybody who may see this person sees, without what depends on the viewer."""
    return {
        **_basics(person, now),
        "labels": [{"label_id": label_id, "name": name} for label_id, name in person.labels],
        "intro": person.row.intro,
        "album": album_of(person.album, now),
        "last_active": person.row.last_active.date(),
    }


def own_profile_of(person: Person, now: datetime) -> dict[str, Any]:
    """What a person sees of themselves."""
    row = person.row
    return {
        **public_profile_of(person, now),
        "following": False,
        "followed_by": False,
        "phone": row.phone,
        "email": row.email,
        "birthday": row.birthday,
        "authority": row.authority,
        "stealth": row.stealth,
        "personal": row.personal,
        "create_time": row.create_time,
        "vip_deadline": person.vip_until,
    }


def album_of(photos: Collection[UserAlbum], now: datetime) -> list[dict[str, Any]]:
    """Photos as a profile shows them."""
    return [
        {
            "photo_id": photo.photo_id,
            "url": PhotoUrl(photo.media_id, None, now),
            "thumb_url": PhotoUrl(photo.media_id, ALBUM_THUMB_SIZE, now),
        }
        for photo in photos
    ]


def true_until(person: Person, now: datetime) -> datetime | None:
    """When what is told of a person changes by itself: a birthday, the end of VIP or of a ban. None: never."""
    row = person.row
    moments = []
    if row.birthday is not None:
        moments.append(datetime.combine(next_birthday(row.birthday, now.date()), time(), UTC))
    if person.vip_until is not None and person.vip_until > now:
        moments.append(person.vip_until)
    if is_banned(row, now) and row.banned_until is not None:
        moments.append(row.banned_until)
    return min(moments, default=None)


def age_in_years(born: date | None, today: date) -> int | None:
    """Full years; None without a birthday. Who was born on 29 February is a year older on 1 March of other years."""
    if born is None:
        return None
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def next_birthday(born: date, today: date) -> date:
    """The next day, after today, on which the age changes."""
    for year in (today.year, today.year + 1):
        try:
            day = born.replace(year=year)
        except ValueError:
            day = date(year, 3, 1)
        if day > today:
            return day
    return today + timedelta(days=366)


def _basics(person: Person, now: datetime) -> dict[str, Any]:
    row = person.row
    return {
        "user_id": row.id,
        "nickname": row.nickname,
        "age": age_in_years(row.birthday, now.date()),
        "gender": row.gender,
        "avatar": None if row.avatar is None else PhotoUrl(row.avatar, AVATAR_SIZE, now),
        "height": row.height,
        "sexual": row.sexual,
        "education": row.education,
        "salary": row.salary,
        "emotion": row.emotion,
        "vip": person.is_vip(now),
    }
