"""Delivery: whose URL it is, whether that viewer may see the object now, and the bytes.

A URL says only who asks. Whether the object still exists, what moderators say of it, whether anything still shows it,
and what lies between viewer and owner (visibility, blocks, recalled messages) is asked anew every time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog
from sqlalchemy.orm import Session

from datingtoday.infra.db import Database
from datingtoday.infra.storage.storage import (
    ByteStream,
    ObjectMissing,
    Storage,
    StorageError,
    variant_key,
)
from datingtoday.media.http_ranges import Delivery, plan_delivery, plan_internal_redirect
from datingtoday.media.models import Media
from datingtoday.media.moderation import Verdict, may_be_shown
from datingtoday.media.processing.images import MIME
from datingtoday.media.processing.inspect import Kind
from datingtoday.media.signed_urls import Grant, UrlSigner
from datingtoday.protocol.errors import NotFound, Unavailable

log = structlog.get_logger(__name__)


class Authoriser(Protocol):
    """Says whether a viewer may see an upload that something of its owner's shows. Asked in a reading transaction,
    never about the owner; must be quick and must not write."""

    def __call__(self, session: Session, viewer_id: int, media: Media, now: datetime, /) -> bool: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """Request for media bytes; everything as it came, None where it says nothing."""

    media_id: str
    size: str | None = None
    expires: str | None = None
    signature: str | None = None
    range_header: str | None = None
    if_range: str | None = None
    if_none_match: str | None = None
    head_only: bool = False


@dataclass(frozen=True, slots=True)
class _Form:
    """One of the forms of an upload."""

    key: str
    mime: str
    size_bytes: int
    sha256: str


class MediaDelivery:
    """The rules of delivery. Safe in threads, once every authoriser is registered.

    :param x_accel: internal location of nginx that sends local files itself; empty: this program does.
    """

    def __init__(self, database: Database, storage: Storage, signer: UrlSigner, *, x_accel: str = "") -> None:
        self._database = database
        self._storage = storage
        self._signer = signer
        self._x_accel = x_accel
        self._authorisers: dict[Kind, Authoriser] = {}

    def register_authoriser(self, kind: Kind, authoriser: Authoriser) -> None:
        """Let this one decide about uploads of a kind; while nobody does, only owners see them. ValueError if
        one does already."""
        if kind in self._authorisers:
            raise ValueError(f"{kind} has an authoriser")
        self._authorisers[kind] = authoriser

    def withdraw_authoriser(self, kind: Kind) -> None:
        """End what `register_authoriser` began."""
        self._authorisers.pop(kind, None)

    def open(self, asked: Asked, now: datetime) -> tuple[Delivery, ByteStream | None]:
        """The answer and, if this program sends bytes, their stream, which the caller closes.

        Holds no connection to the database when it returns.

        :raises NotFound: whatever the reason, so that nobody learns what exists. :raises Unavailable: the store.
        """
        grant = self._signer.verify(
            asked.media_id, size=asked.size, expires=asked.expires, signature=asked.signature, now=now
        )
        if grant is None:
            raise NotFound
        with self._database.reading() as session:
            media = session.get(Media, grant.media_id)
            if media is None or not self.may_see(session, grant.viewer_id, media, now):
                raise NotFound
            form = _form_of(media, grant.size)
        if form is None:
            raise NotFound
        return self._deliver(form, grant, asked, now)

    def may_see(self, session: Session, viewer_id: int, media: Media, now: datetime) -> bool:
        own = media.user_id == viewer_id
        if not may_be_shown(Verdict(media.verdict), to_owner=own):
            return False
        if own:
            return True
        authoriser = self._authorisers.get(Kind(media.kind))
        return media.uses > 0 and authoriser is not None and authoriser(session, viewer_id, media, now)

    def _deliver(
        self, form: _Form, grant: Grant, asked: Asked, now: datetime
    ) -> tuple[Delivery, ByteStream | None]:
        path = self._storage.internal_path(form.key) if self._x_accel else None
        if path is not None:
            redirect = plan_internal_redirect(
                mime=form.mime,
                location=self._x_accel,
                internal_path=path,
                expires=grant.expires,
                now=now,
            )
            return redirect, None
        plan = plan_delivery(
            mime=form.mime,
            size_bytes=form.size_bytes,
            sha256=form.sha256,
            expires=grant.expires,
            now=now,
            range_header=asked.range_header,
            if_range=asked.if_range,
            if_none_match=asked.if_none_match,
        )
        if plan.body is None or asked.head_only:
            return plan, None
        try:
            return plan, self._storage.open_range(form.key, plan.body.start, plan.body.end)
        except ObjectMissing:
            log.error("media_file_missing", media_id=grant.media_id)
            raise NotFound from None
        except StorageError as error:
            log.error("media_not_read", media_id=grant.media_id, reason=str(error))
            raise Unavailable from error


def _form_of(media: Media, size: str | None) -> _Form | None:
    """None if the upload has no form of this size."""
    if size is None:
        return _Form(media.storage_key, media.mime, media.size_bytes, media.sha256)
    thumbs = {
        "medium": (media.medium_bytes, media.medium_sha256),
        "thumb": (media.thumb_bytes, media.thumb_sha256),
    }
    size_bytes, sha256 = thumbs[size]
    if size_bytes is None or sha256 is None:
        return None
    return _Form(variant_key(media.storage_key, size), MIME, size_bytes, sha256)
