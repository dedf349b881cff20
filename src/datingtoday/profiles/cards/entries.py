"""Cards and profiles as ready bytes: what lists and `user/show` are made of.

Three entries a person, made from the same rows: ``card`` (lists), ``profile`` (what another sees) and ``own``. Whoever
changes what they say calls `Cards.changed` in the same transaction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from datingtoday.infra.cache import CacheEntry, CacheRequest, ReadyCache
from datingtoday.infra.cache_reader import CacheReader
from datingtoday.infra.paired import paired
from datingtoday.media.processing.inspect import Kind
from datingtoday.media.service import MediaJudged
from datingtoday.media.signed_urls import UrlSigner
from datingtoday.profiles.cards.signable_json import SignableJson
from datingtoday.profiles.enumerations import EVERYONE
from datingtoday.profiles.models import UserStatus
from datingtoday.profiles.people import (
    People,
    Person,
    card_of,
    is_banned,
    is_gone,
    neutral_card,
    own_profile_of,
    public_profile_of,
    true_until,
)
from datingtoday.protocol.envelope import ReadyJson, to_json

KEPT_S = 600
"""Maximum lifetime of an entry. Photo URLs work for a day or longer from the moment that they are made."""


class _Entries(ABC):
    """Base of the three kinds."""

    kind: str
    with_album = False

    def __init__(self, people: People) -> None:
        self._people = people

    def key(self, what: int) -> str:
        # The braces keep one person's entries together on a Redis Cluster.
        return f"{self.kind}:{{{what}}}"

    def keys(self, user_ids: Sequence[int]) -> list[str]:
        """Keys of many entries."""
        kind = self.kind
        return [f"{kind}:{{{user_id}}}" for user_id in user_ids]

    def make(self, session: Session, wanted: Sequence[int], now: datetime) -> Mapping[int, CacheEntry]:
        people = self._people.read(session, wanted, album=self.with_album)
        return {user_id: self._made(person, now) for user_id, person in people.items()}

    def _made(self, person: Person, now: datetime) -> CacheEntry:
        until = true_until(person, now)
        life_s = KEPT_S if until is None else min(KEPT_S, (until - now).total_seconds())
        return CacheEntry(self.ready(person, now).dump(), life_s)

    @abstractmethod
    def ready(self, person: Person, now: datetime) -> SignableJson:
        """The entry of a person."""


class CardEntries(_Entries):
    """Cache entry: user id → card. The head is (authority, banned, deleted)."""

    kind = "card"

    def ready(self, person: Person, now: datetime) -> SignableJson:
        return SignableJson.of(_standing_of(person, now), card_of(person, now))


class ProfileEntries(_Entries):
    """Cache entry: user id → profile as others see it. The head is (authority, banned, deleted); of the
    gone there is only a head."""

    kind = "profile"
    with_album = True

    def ready(self, person: Person, now: datetime) -> SignableJson:
        gone = is_gone(person.row, now)
        return SignableJson.of(_standing_of(person, now), {} if gone else public_profile_of(person, now))


class OwnEntries(_Entries):
    """Cache entry: user id → the user's own profile."""

    kind = "own"
    with_album = True

    def ready(self, person: Person, now: datetime) -> SignableJson:
        return SignableJson.of(None, own_profile_of(person, now))


class Preferences(NamedTuple):
    """Preferences of a viewer, as lists and profiles need them."""

    gender: int
    sexual: int
    personal: bool
    """True if lists may go by the two."""
    stealthy: bool
    """Visits leave no trace: VIP, and chosen so."""
    authority: int
    """The viewer's setting of who may find them."""


class ViewerEntries(_Entries):
    """Cache entry: user id → preferences of a viewer, in the head."""

    kind = "viewer"

    def ready(self, person: Person, now: datetime) -> SignableJson:
        row = person.row
        is_stealthy = row.stealth and person.is_vip(now)
        return SignableJson.of([row.gender, row.sexual, row.personal, is_stealthy, row.authority], {})


@cache
def preferences_in(data: bytes) -> Preferences:
    """Content of an entry; there are at most some hundred different ones."""
    return Preferences(*SignableJson.load(data).head)


_NO_PREFERENCES = Preferences(0, 0, personal=False, stealthy=False, authority=EVERYONE)


class Cards:
    """Serves the short form of people for lists of any feature."""

    def __init__(self, entries: ReadyCache, signer: UrlSigner, people: People) -> None:
        self.signer = signer
        self.people = people
        self._cache = entries
        self.cards = CardEntries(people)
        self.profiles = ProfileEntries(people)
        self.own = OwnEntries(people)
        self.viewers = ViewerEntries(people)
        self._kinds: tuple[_Entries, ...] = (self.cards, self.profiles, self.own, self.viewers)

    def of(
        self,
        viewer_id: int,
        user_ids: Sequence[int],
        now: datetime,
        *,
        visible: Container[int] | None = None,
    ) -> list[ReadyJson]:
        """The cards in this order, in one round trip; neutral ones of who is gone or never was.

        :param visible: neutral ones of all others, too; None if `visibility.py` was asked about all before.
        """
        unique = [user_id for user_id in dict.fromkeys(user_ids) if visible is None or user_id in visible]
        found = self._cache.fetch([CacheRequest(self.cards, user_id) for user_id in unique], now)
        signature_of = self.signer.for_viewer(viewer_id)
        ready = {
            user_id: _neutral(user_id) if data is None else SignableJson.load(data).signed(signature_of)
            for user_id, data in paired(unique, found)
        }
        return [ready.get(user_id) or _neutral(user_id) for user_id in user_ids]

    def preferences_key(self, user_id: int) -> str:
        """The entry of the cache that `preferences_of` wants."""
        return self.viewers.key(user_id)

    def preferences_of(self, user_id: int, cache: CacheReader) -> Preferences:
        """The preferences of a person who exists."""
        data = cache.fetch_one(self.viewers, user_id)
        return preferences_in(data) if data else _NO_PREFERENCES

    def changed(self, session: Session, user_ids: Iterable[int]) -> None:
        """Invalidate the entries of these people with the session's commit."""
        self._cache.forget(session, self._keys(user_ids))

    def judged(self, session: Session, event: MediaJudged) -> None:
        """Listener: a photo may be shown from the session's commit on, or no longer."""
        if event.kind == Kind.PHOTO:
            self.changed(session, [event.user_id])

    def _keys(self, user_ids: Iterable[int]) -> list[str]:
        return [kind.key(user_id) for user_id in user_ids for kind in self._kinds]


def _standing_of(person: Person, now: datetime) -> list[Any]:
    row = person.row
    return [row.authority, is_banned(row, now), row.status == UserStatus.DELETED]


@cache
def _shape_of_neutral() -> tuple[bytes, bytes]:
    text = to_json(neutral_card(0))
    head, _, tail = text.partition(b'"user_id":0')
    return head + b'"user_id":', tail


def _neutral(user_id: int) -> ReadyJson:
    head, tail = _shape_of_neutral()
    return ReadyJson(head + str(user_id).encode() + tail)
