"""Uploads for tests: over the protocol, or straight into tables and store, which is quicker and takes any row."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import func, select

from datingtoday.infra.db import Base
from datingtoday.infra.storage.storage import new_key, variant_key
from datingtoday.media.models import Media
from datingtoday.media.stored import locked_usage
from tests.media.image_samples import photo, saved
from tests.plugins.api import Answer, Api, User

UPLOAD = "/api/media/upload"


@cache
def small_photo() -> bytes:
    return saved(photo(320, 240), "JPEG")


def upload(api: Api, user: User, content: bytes | None = None, kind: str = "photo") -> Answer:
    """The answer to an upload, of a small photo if nothing else is given."""
    return api.upload(UPLOAD, user, small_photo() if content is None else content, kind=kind)


def make_media(
    api: Api, user: User | int, kind: str = "photo", *, content: bytes = b"full form", **columns: Any
) -> Media:
    """An upload that is stored, and counted, with other ``columns`` of `Media` than the ordinary ones.

    Its forms are ``content`` and, where the kind has them, ``medium`` and ``thumb`` with the media id behind.
    """
    now = datetime.now(UTC)
    user_id = user if isinstance(user, int) else user.user_id
    mime = {"audio": "audio/mp4", "video": "video/mp4"}.get(kind, "image/jpeg")
    row = Media(
        **{
            "id": secrets.token_hex(16),
            "user_id": user_id,
            "kind": kind,
            "mime": mime,
            "storage_key": new_key(),
            "size_bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "verdict": "approved",
            "unused_since": None if columns.get("uses") else now,
            "create_time": columns.get("unused_since") or now,
            **columns,
        }
    )
    storage = api.parts.media.service.storage
    storage.put(row.storage_key, content, mime)
    if kind != "audio":
        for name in ("medium", "thumb"):
            form = f"{name} {row.id}".encode()
            storage.put(variant_key(row.storage_key, name), form, "image/jpeg")
            setattr(row, f"{name}_bytes", len(form))
            setattr(row, f"{name}_sha256", hashlib.sha256(form).hexdigest())
    with api.parts.base.database.transaction() as session:
        usage = locked_usage(session, user_id)
        usage.files += 1
        usage.stored_bytes += row.stored_bytes
        session.add(row)
    return row


def row_of(api: Api, media_id: str) -> Media | None:
    with api.parts.base.database.transaction(write=False) as session:
        return session.get(Media, media_id)


def set_media(api: Api, media_id: str, **columns: Any) -> None:
    with api.parts.base.database.transaction() as session:
        row = session.get_one(Media, media_id)
        for name, value in columns.items():
            setattr(row, name, value)


def stored(api: Api, storage_key: str) -> list[bool]:
    """Forms (full, medium, thumb) that the store has."""
    keys = [storage_key, variant_key(storage_key, "medium"), variant_key(storage_key, "thumb")]
    return [api.parts.media.service.storage.exists(key) for key in keys]


def count(api: Api, table: type[Base], **columns: Any) -> int:
    with api.parts.base.database.transaction(write=False) as session:
        found = select(func.count()).select_from(table).filter_by(**columns)
        return session.scalars(found).one()
