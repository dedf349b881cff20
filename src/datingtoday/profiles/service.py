"""People: their profiles, and whether they take part."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from datingtoday.infra.cache import CacheRequest
from datingtoday.infra.cache_reader import CacheReader
from datingtoday.infra.events import Events
from datingtoday.media.processing.inspect import Kind
from datingtoday.media.service import MediaService
from datingtoday.profiles.cards.circles import CircleEntries
from datingtoday.profiles.cards.entries import Cards, preferences_in
from datingtoday.profiles.cards.signable_json import SignableJson, members
from datingtoday.profiles.enumerations import EVERYONE, FOLLOWED, LEAST_AGE_YEARS
from datingtoday.profiles.errors import UserNotFound
from datingtoday.profiles.models import UserInfo, UserStatus
from datingtoday.profiles.parameters import Birthday
from datingtoday.profiles.people import age_in_years
from datingtoday.profiles.visibility import Action, Relation, Rule, Ties, TiesEntries, Visibility
from datingtoday.protocol.envelope import ReadyJson
from datingtoday.protocol.errors import ParameterError

_NICKNAME_SIGNS = "23456789abcdefghjkmnpqrstuvwxyz"
"""Without signs that look alike."""


@dataclass(frozen=True, slots=True)
class ProfileVisited:
    """Event: a user, not in stealth, viewed another user's profile."""

    visitor_id: int
    user_id: int
    at: datetime
    is_listed: bool
    """True if the visitor may be listed: not while either of the two is hidden from the other."""


@dataclass(frozen=True, slots=True)
class ProfileChanged:
    """Event: what a person says of themselves, or their standing, is another one."""

    user_id: int
    at: datetime


@dataclass(frozen=True, slots=True)
class FirstActiveToday:
    """Event: a user's first activity on this UTC day."""

    user_id: int
    at: datetime


LeavingListener = Callable[[Session, int, datetime], None]


class Profiles:
    """The rules of profiles."""

    def __init__(self, cards: Cards, visibility: Visibility, events: Events, media: MediaService) -> None:
        self._cards = cards
        self._circles = CircleEntries()
        self._visibility = visibility
        self._events = events
        self._media = media
        self._leaving: list[LeavingListener] = []

    def register_leaving(self, listener: LeavingListener) -> None:
        """Let a feature below end what it has for a person, within the transaction in which the account is deleted."""
        self._leaving.append(listener)

    def register(self, session: Session, *, phone: str, now: datetime) -> UserInfo:
        """A new person with a neutral nickname, which tells nothing of the number.

        :raises sqlalchemy.exc.IntegrityError: the number has an account.
        """
        person = UserInfo(
            phone=phone, nickname=neutral_nickname(), create_time=now, update_time=now, last_active=now
        )
        session.add(person)
        session.flush()
        return person

    def keys_to_show(self, viewer_id: int, peer_id: int | None) -> list[str]:
        """The entries of the cache that `show` wants."""
        if peer_id is None or peer_id == viewer_id:
            return [self._cards.own.key(viewer_id)]
        return [
            self._cards.profiles.key(peer_id),
            self._circles.key(viewer_id),
            self._cards.viewers.key(viewer_id),
        ]

    def show(
        self,
        session: Session,
        viewer_id: int,
        peer_id: int | None,
        cache: CacheReader,
    ) -> ReadyJson:
        """A profile as the viewer may see it; in at most one round trip to the cache, if it is there.

        Announces `ProfileVisited` if it is another's, and the viewer is not stealthy.

        :raises UserNotFound: nobody has this id, or the viewer may not see them.
        """
        if peer_id is None or peer_id == viewer_id:
            return self._show_self(viewer_id, cache)
        # The viewer's circle serves for every peer: the first look at a person finds all that it needs in the cache.
        requests: list[CacheRequest[Any]] = [
            CacheRequest(self._cards.profiles, peer_id),
            CacheRequest(self._circles, viewer_id),
            CacheRequest(self._cards.viewers, viewer_id),
        ]
        profile_bytes, circle_bytes, viewer_bytes = cache.fetch(requests)
        if profile_bytes is None or viewer_bytes is None:
            raise UserNotFound
        profile = SignableJson.load(profile_bytes)
        ties = self._ties(viewer_id, peer_id, circle_bytes, cache)
        authority, banned, deleted = profile.head
        relation = Relation(authority, banned, deleted, ties)
        # Most are visible to everybody: nothing else has to be asked then.
        if Visibility.rule(Action.SHOW, relation) is not Rule.YES and not self._visibility.decide(
            session, viewer_id, {peer_id: relation}, Action.SHOW, cache.now
        ):
            raise UserNotFound
        viewer = preferences_in(viewer_bytes)
        if not viewer.stealthy:
            is_listed = _is_listed(relation, viewer.authority)
            self._events.announce(session, ProfileVisited(viewer_id, peer_id, cache.now, is_listed))
        follows = members(following=ties.follows, followed_by=ties.followed)
        return profile.signed(self._cards.signer.for_viewer(viewer_id), follows)

    def _ties(self, viewer_id: int, peer_id: int, circle_bytes: bytes | None, cache: CacheReader) -> Ties:
        ties = CircleEntries.load(circle_bytes).ties(peer_id) if circle_bytes else None
        if ties is None:
            # Of a person who is tied to very many people.
            data = cache.fetch_one(self._visibility.ties, (viewer_id, peer_id))
            ties = TiesEntries.load(data or b"", viewer_id, peer_id)
        return ties

    def _show_self(self, user_id: int, cache: CacheReader) -> ReadyJson:
        own = cache.fetch_one(self._cards.own, user_id)
        if own is None:
            raise UserNotFound
        return SignableJson.load(own).signed(self._cards.signer.for_viewer(user_id))

    def update(self, session: Session, user_id: int, changes: Mapping[str, Any], now: datetime) -> ReadyJson:
        """Update a user's profile, and return it as it is then.

        :param changes: values by the names of `UserInfo`'s columns, cleared ones as they are stored.
        :raises ParameterError: the user would be too young. :raises MediaNotFound: the avatar is not one of
            the user's photos. Nothing was changed.
        """
        person = session.get_one(UserInfo, user_id, with_for_update=True)
        if (born := changes.get("birthday")) is not None:
            refuse_too_young(born, self._cards.people.days.today(now))
        changed = {name: value for name, value in changes.items() if getattr(person, name) != value}
        if "avatar" in changed:
            self._use_avatar(session, person, changed["avatar"], now)
        for name, value in changed.items():
            setattr(person, name, value)
        if changed:
            person.update_time = now
            self._changed(session, user_id, now)
        entry = self._cards.own.make(session, [user_id], now)[user_id]
        signature_of = self._cards.signer.for_viewer(user_id)
        # The articles answer with the id under this name.
        return SignableJson.load(entry.data).signed(signature_of, members(data=user_id))

    def _use_avatar(self, session: Session, person: UserInfo, media_id: str | None, now: datetime) -> None:
        if media_id is not None:
            self._media.attach(session, person.id, media_id, Kind.PHOTO)
        if person.avatar is not None:
            self._media.detach(session, [person.avatar], now)

    def note_active(self, session: Session, user_id: int, now: datetime) -> None:
        """The person is using the app. Others see the day, so what is cached changes once a day."""
        midnight = datetime.combine(now.date(), time(), now.tzinfo)
        this_one = update(UserInfo).where(UserInfo.id == user_id)
        first_today: Any = session.execute(
            this_one.where(UserInfo.last_active < midnight).values(last_active=now)
        )
        if first_today.rowcount:
            self._cards.changed(session, [user_id])
            self._events.announce(session, FirstActiveToday(user_id, now))
        else:
            session.execute(this_one.where(UserInfo.last_active < now).values(last_active=now))

    def lock(self, session: Session, user_id: int) -> UserInfo:
        """The person's row, locked and as it is committed."""
        return session.get_one(UserInfo, user_id, with_for_update=True, populate_existing=True)

    def set_phone(self, session: Session, person: UserInfo, phone: str | None, now: datetime) -> None:
        """Write another number, or none, into a row that is locked."""
        person.phone = phone
        person.update_time = now
        self._cards.changed(session, [person.id])

    def snapshot(self, session: Session, user_id: int, now: datetime) -> dict[str, Any]:
        """Profile as others see it now, with media ids in place of URLs, which expire: evidence for moderators."""
        person = self._cards.people.read(session, [user_id], album=True)[user_id]
        row = person.row
        return {
            "taken_at": now,
            "status": row.status,
            "nickname": row.nickname,
            "age": age_in_years(row.birthday, person.days.today(now)),
            **{
                name: getattr(row, name)
                for name in ("gender", "sexual", "height", "education", "salary", "emotion")
            },
            "intro": row.intro,
            "labels": [name for _, name in person.labels],
            "avatar": row.avatar,
            "album": [photo.media_id for photo in person.album],
            "create_time": row.create_time,
        }

    # --- standing; the logins that end with it are for who calls

    def ban(
        self, session: Session, user_id: int, *, until: datetime | None, reason: str, now: datetime
    ) -> None:
        """Hide a person and keep them out. :param until: None for good. :raises UserNotFound: nobody, or deleted."""
        person = self._taking_part(session, user_id)
        person.status = UserStatus.BANNED
        person.banned_until = until
        person.ban_reason = reason
        person.update_time = now
        self._changed(session, user_id, now)

    def unban(self, session: Session, user_id: int, now: datetime) -> bool:
        """End a ban; False if there was none. :raises UserNotFound: nobody, or deleted."""
        person = self._taking_part(session, user_id)
        if person.status != UserStatus.BANNED:
            return False
        person.status = UserStatus.ACTIVE
        person.banned_until = person.ban_reason = None
        person.update_time = now
        self._changed(session, user_id, now)
        return True

    def leave(self, session: Session, user_id: int, now: datetime) -> None:
        """The account is deleted: invisible, and its number free. :raises UserNotFound: nobody, or deleted already."""
        person = self._taking_part(session, user_id)
        person.status = UserStatus.DELETED
        person.phone = None
        person.deleted_at = now
        person.update_time = now
        self._changed(session, user_id, now)
        for listener in self._leaving:
            listener(session, user_id, now)

    def left_before(self, session: Session, moment: datetime, *, most: int) -> list[int]:
        """People who deleted their account before, and of whom not everything is purged yet."""
        left = (
            select(UserInfo.id).where(UserInfo.deleted_at < moment).order_by(UserInfo.deleted_at).limit(most)
        )
        return list(session.scalars(left))

    def purged(self, session: Session, user_id: int) -> int:
        """Nothing but the empty row is left of this person."""
        session.execute(update(UserInfo).where(UserInfo.id == user_id).values(deleted_at=None))
        return 1

    def is_purged(self, session: Session, user_id: int) -> bool:
        """True if only the empty row is left."""
        row = session.get(UserInfo, user_id)
        return row is not None and row.status == UserStatus.DELETED and row.deleted_at is None

    def _taking_part(self, session: Session, user_id: int) -> UserInfo:
        person = session.get(UserInfo, user_id, with_for_update=True, populate_existing=True)
        if person is None or person.status == UserStatus.DELETED:
            raise UserNotFound
        return person

    def _changed(self, session: Session, user_id: int, now: datetime) -> None:
        self._cards.changed(session, [user_id])
        self._events.announce(session, ProfileChanged(user_id, now))


def _is_listed(relation: Relation, visitor_authority: int) -> bool:
    """True if a visit leaves a trace, by `Action.VISIT` and by who may find the visitor; ignores stealth."""
    if Visibility.rule(Action.VISIT, relation) is Rule.NO:
        return False
    return visitor_authority == EVERYONE or (visitor_authority == FOLLOWED and relation.ties.follows)


def neutral_nickname() -> str:
    return "用户" + "".join(secrets.choice(_NICKNAME_SIGNS) for _ in range(8))


def refuse_too_young(born: date, today: date) -> None:
    """:raises ParameterError: younger than 18 on this day, or not born yet.

    The day is that of the service's time zone, by which the age that others see is counted as well.
    """
    age = age_in_years(born, today)
    if age is None or age < LEAST_AGE_YEARS:
        raise ParameterError.malformed("birthday", Birthday.allowed)
