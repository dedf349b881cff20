"""The album: a person's photos in their order, of which the first is the cover."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from datingtoday.media.errors import MediaNotFound
from datingtoday.media.models import Media
from datingtoday.media.processing.inspect import Kind
from datingtoday.media.service import MediaService
from datingtoday.profiles.cards.entries import Cards
from datingtoday.profiles.cards.signable_json import SignableJson
from datingtoday.profiles.enumerations import MAX_ALBUM
from datingtoday.profiles.errors import AlbumFull, UserNotFound
from datingtoday.profiles.models import UserAlbum, UserInfo
from datingtoday.profiles.people import album_of, lock_people
from datingtoday.profiles.visibility import Action, Visibility
from datingtoday.protocol.envelope import ReadyJson


class Album:
    """The rules of albums. Changes lock the owner's row, so two at once come one after the other."""

    def __init__(self, media: MediaService, visibility: Visibility, cards: Cards) -> None:
        self._media = media
        self._visibility = visibility
        self._cards = cards

    def show(self, session: Session, viewer_id: int, peer_id: int | None, now: datetime) -> ReadyJson:
        """An album as the viewer may see it: photos that are not approved are shown to their owner only.

        :raises UserNotFound: the viewer may not see this person.
        """
        owner_id = viewer_id if peer_id is None else peer_id
        if owner_id != viewer_id and not self._visibility.may(session, viewer_id, owner_id, Action.SHOW, now):
            raise UserNotFound
        return self._told(session, owner_id, viewer_id, now)

    def add(self, session: Session, user_id: int, media_id: str, now: datetime) -> ReadyJson:
        """Put a photo at the end; one that is there already stays where it is.

        :raises MediaNotFound: not one of the user's photos. :raises AlbumFull:
        """
        lock_people(session, [user_id])
        photos = self._photos(session, user_id)
        if all(photo.media_id != media_id for photo in photos):
            media = self._media.attach(session, user_id, media_id, Kind.PHOTO)
            if len(photos) >= MAX_ALBUM:
                raise AlbumFull(most=MAX_ALBUM)
            position = photos[-1].position + 1 if photos else 0
            session.add(UserAlbum(user_id=user_id, media_id=media.id, position=position, create_time=now))
            self._cards.changed(session, [user_id])
        return self._told(session, user_id, user_id, now)

    def remove(self, session: Session, user_id: int, photo_id: int, now: datetime) -> ReadyJson:
        """Take a photo out. :raises MediaNotFound: no photo of the user's album has this id."""
        lock_people(session, [user_id])
        photo = session.get(UserAlbum, photo_id)
        if photo is None or photo.user_id != user_id:
            raise MediaNotFound
        session.delete(photo)
        self._media.detach(session, [photo.media_id], now)
        self._cards.changed(session, [user_id])
        return self._told(session, user_id, user_id, now)

    def order(self, session: Session, user_id: int, photo_ids: Sequence[int], now: datetime) -> ReadyJson:
        """Put these first, in this order; the others follow in the order that they had.

        :raises MediaNotFound: one of them is not in the user's album; nothing was changed.
        """
        lock_people(session, [user_id])
        photos = {photo.photo_id: photo for photo in self._photos(session, user_id)}
        if not photos.keys() >= set(photo_ids):
            raise MediaNotFound
        rest = [photo_id for photo_id in photos if photo_id not in set(photo_ids)]
        for position, photo_id in enumerate([*photo_ids, *rest]):
            photos[photo_id].position = position
        self._cards.changed(session, [user_id])
        return self._told(session, user_id, user_id, now)

    def may_see(self, session: Session, viewer_id: int, media: Media, now: datetime, /) -> bool:
        """Media's authoriser for photos: those that a profile shows are for those who may see the profile.

        What else uses a photo (a report keeps it as evidence) shows it to nobody.
        """
        shown = session.scalar(
            select(func.count())
            .select_from(UserInfo)
            .where(
                UserInfo.id == media.user_id,
                or_(
                    UserInfo.avatar == media.id,
                    select(UserAlbum.photo_id)
                    .where(UserAlbum.media_id == media.id, UserAlbum.user_id == media.user_id)
                    .exists(),
                ),
            )
        )
        return bool(shown) and self._visibility.may(session, viewer_id, media.user_id, Action.SHOW, now)

    @staticmethod
    def _photos(session: Session, user_id: int) -> Sequence[UserAlbum]:
        return session.scalars(
            select(UserAlbum)
            .where(UserAlbum.user_id == user_id)
            .order_by(UserAlbum.position, UserAlbum.photo_id)
        ).all()

    def _told(self, session: Session, owner_id: int, viewer_id: int, now: datetime) -> ReadyJson:
        person = self._cards.people.read(session, [owner_id], album=True)[owner_id]
        data: list[dict[str, Any]] = album_of(person, now, to_owner=owner_id == viewer_id, with_times=True)
        return SignableJson.of(None, data).signed(self._cards.signer.for_viewer(viewer_id))
