"""Uploads: taken, checked, stored and counted; and what other features ask about them.

An album photo, an avatar and a message each `attach` what they show and `detach` it when they go. Nobody but its
owner is shown what nothing uses, and a job removes it after a while.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO, Any

import structlog
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from datingtoday.infra.db import Database, DatabaseDown
from datingtoday.infra.events import Events
from datingtoday.infra.storage.storage import Storage, StorageError, new_key, variant_key
from datingtoday.media.errors import FileRefused, MediaNotFound
from datingtoday.media.models import Media, MediaGarbage, MediaUsage, keys_of
from datingtoday.media.moderation import ApproveAll, Judgement, Moderator, Subject, Verdict
from datingtoday.media.processing.inspect import Kind
from datingtoday.media.processing.prepare import MediaPreparer, Prepared
from datingtoday.media.signed_urls import UrlSigner, chat_expires, photo_expires
from datingtoday.media.stored import locked_usage
from datingtoday.media.uploads_at_once import UploadsAtOnce
from datingtoday.protocol.errors import Unavailable

log = structlog.get_logger(__name__)

MAX_STORING_TIME = timedelta(hours=1)
"""An upload that is older and still not finished has died; what it stored is garbage."""
_POSTER = "medium"
_MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Quota:
    """Storage limit of one person, all forms counted; what the unused-uploads job removes is free again."""

    files: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class MediaJudged:
    """Event: the verdict over an upload is another one than before."""

    media_id: str
    user_id: int
    kind: str
    verdict: Verdict


class MediaService:
    """The rules of uploads. Safe in threads."""

    def __init__(
        self,
        database: Database,
        storage: Storage,
        preparer: MediaPreparer,
        signer: UrlSigner,
        moderator: Moderator,
        events: Events,
        quota: Quota,
        at_once: UploadsAtOnce,
    ) -> None:
        self.database = database
        self.storage = storage
        self.preparer = preparer
        self.signer = signer
        self._moderator = moderator
        self._events = events
        self._quota = quota
        self.at_once = at_once

    # --- for other features

    def get_own(self, session: Session, user_id: int, media_id: str, *kinds: Kind) -> Media:
        """An upload of this person that may be shown to others now or once a moderator has seen it.

        :param kinds: what it may be; none: anything.
        :raises MediaNotFound: there is none, it belongs to another user, has another kind, or was refused.
        """
        row = session.get(Media, media_id)
        return _usable(row, user_id, kinds)

    def attach(self, session: Session, user_id: int, media_id: str, *kinds: Kind) -> Media:
        """`get_own`, and from the commit on something shows it. Once for every thing that does.

        The row stays locked until the transaction ends: the job that removes unused uploads waits.

        :raises MediaNotFound: as `get_own`.
        """
        row = _usable(_locked(session, media_id), user_id, kinds)
        row.uses += 1
        row.unused_since = None
        return row

    def detach(self, session: Session, media_ids: Collection[str], now: datetime) -> None:
        """Count one use less for each of these uploads; those that are gone are skipped."""
        for media_id in sorted(media_ids):
            row = _locked(session, media_id)
            if row is None or row.uses == 0:
                log.warning("media_detached_too_often", media_id=media_id)
                continue
            row.uses -= 1
            row.unused_since = None if row.uses else now

    def read(self, session: Session, media_ids: Collection[str]) -> dict[str, Media]:
        """Existing ones of these uploads, in one statement."""
        if not media_ids:
            return {}
        rows = session.scalars(select(Media).where(Media.id.in_(sorted(set(media_ids)))))
        return {row.id: row for row in rows}

    def urls(self, media: Media, viewer_id: int, now: datetime) -> dict[str, str]:
        """``url``, and ``thumb_url`` where there is one, for this viewer; no SQL, about 3 µs each.

        Photos' change once a day and work for at least a day more, all others' live ten minutes.
        """
        expires = photo_expires(media.id, now) if media.kind == Kind.PHOTO else chat_expires(now)
        found = {"url": self.signer.url(media.id, viewer_id=viewer_id, expires=expires)}
        if media.has_thumbs:
            found["thumb_url"] = self.signer.url(media.id, viewer_id=viewer_id, expires=expires, size="thumb")
        return found

    def describe(self, media: Media, viewer_id: int, now: datetime) -> dict[str, Any]:
        """The shape ``media`` of the wire contract; what does not apply is left out."""
        data: dict[str, Any] = {
            "media_id": media.id,
            "kind": media.kind,
            "mime": media.mime,
            "bytes": media.size_bytes,
            **self.urls(media, viewer_id, now),
        }
        more = {"width": media.width, "height": media.height, "duration_ms": media.duration_ms}
        return data | {name: value for name, value in more.items() if value is not None}

    # --- uploading

    def upload(self, user_id: int, kind: Kind, file: IO[bytes], now: datetime) -> dict[str, Any]:
        """Take an upload and describe what it became. Opens transactions of its own, none of them while it works.

        Whatever fails, nothing is counted, and what was stored is deleted, by the purge job if need be.

        :raises FileRefused: the file, or the person's quota. :raises Unavailable: store or decoders are busy or down.
        :raises RateLimited: the person's other uploads are still worked on.
        """
        with self.at_once.place(user_id, now):
            return self._upload(user_id, kind, file, now)

    def _upload(self, user_id: int, kind: Kind, file: IO[bytes], now: datetime) -> dict[str, Any]:
        deadline = time.monotonic() + MAX_STORING_TIME.total_seconds() / 2
        with self.database.reading() as session:
            self._refuse_if_full(session.get(MediaUsage, user_id), 1)
        with self.preparer.prepare(kind, file) as prepared:
            row = _row_of(prepared, user_id, now)
            with self.database.transaction() as session:
                session.add(MediaGarbage(storage_key=row.storage_key, collect_after=now + MAX_STORING_TIME))
            try:
                self._store(row.storage_key, prepared)
                if isinstance(self._moderator, ApproveAll):
                    # Needs no look, so no transaction of its own either.
                    _write(row, Judgement(Verdict.APPROVED), now)
                self.database.retried(lambda session: self._keep(session, row, deadline))
            except BaseException:
                self._discard(row.storage_key)
                raise
        if row.verdict != Verdict.APPROVED:
            self._judge_new(row.id, now)
        return self.describe(row, user_id, now)

    def _store(self, key: str, prepared: Prepared) -> None:
        try:
            # The full form comes last: what has it has all.
            for name, thumb in prepared.thumbs.items():
                self.storage.put(variant_key(key, name), thumb.content, thumb.mime)
            self.storage.put(key, prepared.main.content, prepared.main.mime)
        except StorageError as error:
            log.error("media_not_stored", reason=str(error))
            raise Unavailable from error

    def _keep(self, session: Session, row: Media, deadline: float) -> None:
        """Count it and write it down; from the commit on it exists.

        :param deadline: of the monotonic clock, well before the purge may take the files for garbage.
        """
        usage = locked_usage(session, row.user_id)
        self._refuse_if_full(usage, row.stored_bytes)
        usage.files += 1
        usage.stored_bytes += row.stored_bytes
        ours: Any = session.execute(delete(MediaGarbage).where(MediaGarbage.storage_key == row.storage_key))
        if not ours.rowcount or time.monotonic() > deadline:
            log.error("media_stored_too_slowly")
            raise Unavailable
        session.add(row)

    def _discard(self, storage_key: str) -> None:
        """Delete what a failed upload stored, if the store can do it now; the purge job does the rest."""
        try:
            for key in keys_of(storage_key):
                self.storage.delete(key)
            with self.database.transaction() as session:
                session.execute(delete(MediaGarbage).where(MediaGarbage.storage_key == storage_key))
        except (StorageError, DatabaseDown) as error:
            log.warning("media_left_for_the_purge", reason=str(error))

    def _refuse_if_full(self, usage: MediaUsage | None, more_bytes: int) -> None:
        if usage is None:
            return
        quota = self._quota
        if usage.files >= quota.files or usage.stored_bytes + more_bytes > quota.stored_bytes:
            megabytes = f"{usage.stored_bytes // _MEGABYTE} / {quota.stored_bytes // _MEGABYTE} MB"
            used = f"{usage.files} / {quota.files}, {megabytes}"
            raise FileRefused(
                f"your storage is full ({used}); remove something, and try again a day later",
                f"存储空间已满（{used}）；请删除一些内容，一天后再试",
            )

    # --- moderation

    def _judge_new(self, media_id: str, now: datetime) -> None:
        """Ask the moderator about an upload that is stored. It is taken, whatever happens here: without an answer it
        stays pending, and the job asks again."""
        try:
            self.ask(media_id, now)
        except DatabaseDown as error:
            log.warning("verdict_not_written", media_id=media_id, reason=str(error))

    def _answer_on(self, row: Media) -> Judgement | None:
        """None if the moderator failed."""
        key = variant_key(row.storage_key, _POSTER) if row.kind == Kind.VIDEO else row.storage_key
        subject = Subject(row.id, row.kind, row.mime, row.user_id, lambda: self._read_all(key))
        try:
            return self._moderator.judge(subject)
        except Exception:
            log.exception("moderator_failed", media_id=row.id)
            return None

    def _read_all(self, key: str) -> bytes:
        return b"".join(self.storage.open_range(key))

    def ask(self, media_id: str, now: datetime) -> Verdict | None:
        """Ask the moderator about an upload, in no transaction, and write the answer down.

        :return: its answer; None: it failed, a moderator decided meanwhile, or the upload is gone.
        """
        with self.database.reading() as session:
            row = session.get(Media, media_id)
        judgement = None if row is None else self._answer_on(row)
        if judgement is None:
            return None
        with self.database.transaction() as session:
            row = _locked(session, media_id)
            if row is None or row.verdict != Verdict.PENDING:
                return None
            self._judged(session, row, judgement, now)
        return judgement.verdict

    def decide(self, session: Session, media_id: str, judgement: Judgement, now: datetime) -> Media:
        """Write down what a person, or a vendor that answers late, says of an upload; the last word counts.

        :raises MediaNotFound:
        """
        row = _locked(session, media_id)
        if row is None:
            raise MediaNotFound
        self._judged(session, row, judgement, now)
        return row

    def _judged(self, session: Session, row: Media, judgement: Judgement, now: datetime) -> None:
        before = row.verdict
        _write(row, judgement, now)
        if row.verdict != before:
            self._events.announce(session, MediaJudged(row.id, row.user_id, row.kind, judgement.verdict))

    def judged(self, session: Session, verdict: Verdict, *, most: int) -> list[Media]:
        """Uploads with this verdict, the oldest first."""
        found = select(Media).where(Media.verdict == verdict).order_by(Media.create_time).limit(most)
        return list(session.scalars(found))


def _write(row: Media, judgement: Judgement, now: datetime) -> None:
    row.verdict = judgement.verdict
    row.reason = judgement.reason[:200]
    row.reference = judgement.reference[:100]
    row.asked_at = now


def _locked(session: Session, media_id: str) -> Media | None:
    return session.get(Media, media_id, with_for_update=True, populate_existing=True)


def _usable(row: Media | None, user_id: int, kinds: Collection[Kind]) -> Media:
    if row is None or row.user_id != user_id or row.verdict == Verdict.REFUSED:
        raise MediaNotFound
    if kinds and row.kind not in kinds:
        raise MediaNotFound
    return row


def _row_of(prepared: Prepared, user_id: int, now: datetime) -> Media:
    main, medium, thumb = prepared.main, prepared.thumbs.get("medium"), prepared.thumbs.get("thumb")
    return Media(
        id=secrets.token_hex(16),
        user_id=user_id,
        kind=prepared.kind,
        mime=main.mime,
        storage_key=new_key(),
        size_bytes=main.size_bytes,
        sha256=main.sha256,
        medium_bytes=medium and medium.size_bytes,
        medium_sha256=medium and medium.sha256,
        thumb_bytes=thumb and thumb.size_bytes,
        thumb_sha256=thumb and thumb.sha256,
        width=main.width,
        height=main.height,
        duration_ms=prepared.duration_ms,
        verdict=Verdict.PENDING,
        reason="",
        reference="",
        uses=0,
        unused_since=now,
        create_time=now,
    )
