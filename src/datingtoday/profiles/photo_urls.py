"""URLs of photos in answers: named by media id and size, and signed for each viewer later."""

from __future__ import annotations

from datetime import datetime

from datingtoday.media.signed_urls import photo_expires


class PhotoUrl:
    """The URL of a photo in one size, to be signed for whoever sees it."""

    __slots__ = ("expires", "media_id", "size")

    def __init__(self, media_id: str, size: str | None, now: datetime) -> None:
        self.media_id = media_id
        self.size = size
        self.expires = photo_expires(media_id, now)
