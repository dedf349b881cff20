"""Public and own profile data: read from SQL for many people at once, and written as card or profile."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from datingtoday.infra.days import UTC_DAYS, ServiceDays
from datingtoday.media.models import Media
from datingtoday.media.moderation import Verdict, may_be_shown
from datingtoday.profiles.models import Label, UserAlbum, UserInfo, UserLabel, UserStatus, is_ban_in_force
from datingtoday.profiles.photo_urls import PhotoUrl

NEUTRAL_NICKNAME = "用户"
"""Nickname of a person who is banned or has left."""
AVATAR_SIZE = "medium"
ALBUM_THUMB_SIZE = "thumb"


class VipDeadlines(Protocol):
    """Knows until when people are VIP."""

    def deadlines(self, session: Session, user_ids: Collection[int]) -> Mapping[int, datetime]:
        """End of VIP by user id, of those who are or were VIP; in one statement."""


class MediaRows(Protocol):
    """Knows uploads; `MediaService` is it."""

    def read(self, session: Session, media_ids: Collection[str]) -> Mapping[str, Media]:
        """Existing ones of these uploads; in one statement."""


@dataclass(frozen=True, slots=True)
class Person:
    """A person's row and what belongs to it."""

    row: UserInfo
    labels: tuple[tuple[int, str], ...] = ()
    """(label_id, name) in the order of the choice."""
    vip_until: datetime | None = None
    album: tuple[UserAlbum, ...] = ()
    media: Mapping[str, Media] = field(default_factory=dict)
    """The uploads of avatar and album."""
    days: ServiceDays = UTC_DAYS
    """By which the age is counted."""

    def is_vip(self, now: datetime) -> bool:
        return self.vip_until is not None and self.vip_until > now

    def shows(self, media_id: str, *, to_owner: bool) -> bool:
        """True if moderators let this photo be seen."""
        media = self.media.get(media_id)
        return media is not None and may_be_shown(Verdict(media.verdict), to_owner=to_owner)


class People:
    """Reads people."""

    def __init__(self, vip: VipDeadlines, media: MediaRows, days: ServiceDays) -> None:
        self.days = days
        self._vip = vip
        self._media = media

    def read(self, session: Session, user_ids: Collection[int], *, album: bool = False) -> dict[int, Person]:
        """Existing ones of these people, banned and deleted ones too; in at most five statements.

        :param album: with their photos.
        """
        rows = {row.id: row for row in session.scalars(select(UserInfo).where(UserInfo.id.in_(user_ids)))}
        labels = _labels_of(session, rows)
        photos = _photos_of(session, rows) if album else {}
        deadlines = self._vip.deadlines(session, list(rows))
        media_ids = {row.avatar for row in rows.values() if row.avatar is not None}
        media_ids.update(photo.media_id for own in photos.values() for photo in own)
        media = self._media.read(session, media_ids)
        return {
            user_id: Person(
                row,
                tuple(labels.get(user_id, ())),
                deadlines.get(user_id),
                tuple(photos.get(user_id, ())),
                media,
                self.days,
            )
            for user_id, row in rows.items()
        }


def _labels_of(session: Session, user_ids: Collection[int]) -> dict[int, list[tuple[int, str]]]:
    labels: dict[int, list[tuple[int, str]]] = {}
    for user_id, label_id, name in session.execute(
        select(UserLabel.user_id, Label.id, Label.name)
        .join(Label, Label.id == UserLabel.label_id)
        .where(UserLabel.user_id.in_(user_ids))
        .order_by(UserLabel.user_id, UserLabel.position, Label.id)
    ):
        labels.setdefault(user_id, []).append((label_id, name))
    return labels


def _photos_of(session: Session, user_ids: Collection[int]) -> dict[int, list[UserAlbum]]:
    photos: dict[int, list[UserAlbum]] = {}
    for photo in session.scalars(
        select(UserAlbum)
        .where(UserAlbum.user_id.in_(user_ids))
        .order_by(UserAlbum.user_id, UserAlbum.position, UserAlbum.photo_id)
    ):
        photos.setdefault(photo.user_id, []).append(photo)
    return photos


def lock_people(session: Session, user_ids: Collection[int]) -> None:
    """Wait for, and keep out, whoever else changes what belongs to these people, until the transaction ends.

    In the order of the ids, so that two who lock the same people cannot wait for each other.
    """
    session.execute(
        select(UserInfo.id).where(UserInfo.id.in_(user_ids)).order_by(UserInfo.id).with_for_update()
    ).all()


def is_banned(row: UserInfo, now: datetime) -> bool:
    """Banned now; a ban that has run out is none."""
    return is_ban_in_force(row.status, row.banned_until, now)


def is_gone(row: UserInfo, now: datetime) -> bool:
    """Deleted, or banned now."""
    return row.status == UserStatus.DELETED or is_banned(row, now)


def card_of(person: Person, now: datetime) -> dict[str, Any]:
    """The card of API.md for anybody."""
    if is_gone(person.row, now):
        return neutral_card(person.row.id)
    return {**_basics(person, now, to_owner=False), "labels": [name for _, name in person.labels]}


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


def public_profile_of(person: Person, now: datetime, *, to_owner: bool = False) -> dict[str, Any]:
    """Public profile, without what depends on the viewer."""
    return {
        **_basics(person, now, to_owner=to_owner),
        "labels": [{"label_id": label_id, "name": name} for label_id, name in person.labels],
        "intro": person.row.intro,
        "album": album_of(person, now, to_owner=to_owner),
        "last_active": person.row.last_active.date(),
    }


def own_profile_of(person: Person, now: datetime) -> dict[str, Any]:
    """Own profile."""
    row = person.row
    return {
        **public_profile_of(person, now, to_owner=True),
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


def album_of(
    person: Person, now: datetime, *, to_owner: bool = False, with_times: bool = False
) -> list[dict[str, Any]]:
    """The photos that moderators let be seen.

    :param with_times: with the moments at which they were added.
    """
    return [
        {
            "photo_id": photo.photo_id,
            "url": PhotoUrl(photo.media_id, None, now),
            "thumb_url": PhotoUrl(photo.media_id, ALBUM_THUMB_SIZE, now),
            **({"create_time": photo.create_time} if with_times else {}),
        }
        for photo in person.album
        if person.shows(photo.media_id, to_owner=to_owner)
    ]


def true_until(person: Person, now: datetime) -> datetime | None:
    """Moment at which this profile next changes on its own: a birthday, the end of VIP or of a
    ban. None: never."""
    row = person.row
    moments = []
    if row.birthday is not None:
        moments.append(person.days.beginning_of(next_birthday(row.birthday, person.days.today(now))))
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
    this_year = _birthday_in(today.year, born)
    return this_year if this_year > today else _birthday_in(today.year + 1, born)


def _birthday_in(year: int, born: date) -> date:
    try:
        return born.replace(year=year)
    except ValueError:
        return date(year, 3, 1)


def _basics(person: Person, now: datetime, *, to_owner: bool) -> dict[str, Any]:
    row = person.row
    avatar = row.avatar if row.avatar is not None and person.shows(row.avatar, to_owner=to_owner) else None
    return {
        "user_id": row.id,
        "nickname": row.nickname,
        "age": age_in_years(row.birthday, person.days.today(now)),
        "gender": row.gender,
        "avatar": None if avatar is None else PhotoUrl(avatar, AVATAR_SIZE, now),
        "height": row.height,
        "sexual": row.sexual,
        "education": row.education,
        "salary": row.salary,
        "emotion": row.emotion,
        "vip": person.is_vip(now),
    }
