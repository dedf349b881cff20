"""URLs of media that expire, and that open one object in one size for one viewer.

A URL is ``/api/media/<media_id>?size=…&expires=…&signature=…``. The signature carries the viewer's id in the
clear (base64url, so that the server knows whom to ask about) and a keyed BLAKE2b over object, size, expiry and
viewer, which costs a third of an HMAC: a page of people has ten of them. A URL proves who asks, for how long;
whether that viewer may see the object is decided at every delivery.

Pure functions of their arguments: `now` is passed in, nothing is stored, all servers with one secret agree.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import math
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

PATH = "/api/media/"
SIZES = ("thumb", "medium")
"""Values of `size`; without `size` it is the full object."""

PHOTO_RENEWAL_S = 86_400
"""A photo's URL stays the same for a day, so that clients and cards can keep it …"""
PHOTO_LEAST_LIFE_S = 86_400
"""… and works for at least another day, so that no list shows a URL that dies while one looks at it."""
CHAT_LIFE_S = 600

_MEDIA_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_EXPIRES = re.compile(r"[1-9][0-9]{9,10}")
_SIGNATURE = re.compile(r"[0-9A-Za-z_-]{54}")
_VIEWER_BYTES, _MAC_BYTES = 8, 32
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_PURPOSE = b"datingtoday: signed media URLs, version 2"


SignatureOf = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Grant:
    """Grant of a valid URL: `viewer_id` may be given `media_id` in `size`, if it is still theirs to see."""

    media_id: str
    size: str | None
    viewer_id: int
    expires: int
    """Unix time in seconds; the first second at which the URL works no more."""


class UrlSigner:
    """Makes and verifies. A URL costs about 3 µs; safe in threads."""

    def __init__(self, secret_key: str) -> None:
        """`secret_key`: the server's secret, from which a key for this one purpose is derived."""
        self._key = hmac.digest(secret_key.encode(), _PURPOSE, "sha256")

    def url(self, media_id: str, *, viewer_id: int, expires: int, size: str | None = None) -> str:
        """Path and query. ValueError for an id, size or expiry that `verify` would never accept."""
        signature = self.signature(media_id, viewer_id=viewer_id, expires=expires, size=size)
        return f"{unsigned_url(media_id, expires=expires, size=size)}{signature}"

    def signature(self, media_id: str, *, viewer_id: int, expires: int, size: str | None = None) -> str:
        """The last part of the URL: the only one that depends on the viewer."""
        return self.for_viewer(viewer_id)(signed_message(media_id, expires=expires, size=size)).decode()

    def for_viewer(self, viewer_id: int) -> SignatureOf:
        """Makes one viewer's signatures from `signed_message`, which is what entries that are cached for
        all viewers keep."""
        viewer = viewer_id.to_bytes(_VIEWER_BYTES, "big")
        mac = self._mac

        def signature_of(what: bytes) -> bytes:
            # 40 bytes are 54 signs, two of padding and a line break.
            return binascii.b2a_base64(viewer + mac(what, viewer))[:54].translate(_URL_SAFE)

        return signature_of

    def verify(
        self, media_id: str, *, size: str | None, expires: str | None, signature: str | None, now: datetime
    ) -> Grant | None:
        """The parameters as they came in (None: not sent). None for anything but an untouched, live URL."""
        try:
            _check(media_id, size, expires or "")
            raw = _decoded(signature or "")
        except ValueError:
            return None
        assert expires is not None  # noqa: S101 -- _check refused it
        viewer, mac = raw[:_VIEWER_BYTES], raw[_VIEWER_BYTES:]
        right = self._mac(signed_message(media_id, expires=int(expires), size=size), viewer)
        if not hmac.compare_digest(mac, right):
            return None
        if now.timestamp() >= int(expires):
            return None
        return Grant(media_id, size, int.from_bytes(viewer, "big"), int(expires))

    def _mac(self, what: bytes, viewer: bytes) -> bytes:
        return blake2b(what + viewer, key=self._key, digest_size=_MAC_BYTES).digest()


def signed_message(media_id: str, *, expires: int, size: str | None = None) -> bytes:
    """Message that a URL's signature covers, without the viewer. ValueError for an id, size or expiry
    that `verify` would never accept."""
    _check(media_id, size, str(expires))
    # No part can contain the separator and the viewer has a fixed length: no two meanings, one message.
    return f"{media_id}\n{size or ''}\n{expires}\n".encode()


def unsigned_url(media_id: str, *, expires: int, size: str | None = None) -> str:
    """The URL up to ``signature=``: the same for all viewers, so that cached cards can hold it."""
    chosen = "" if size is None else f"size={size}&"
    return f"{PATH}{media_id}?{chosen}expires={expires}&signature="


def photo_expires(media_id: str, now: datetime) -> int:
    """Expiry of a photo's URL: 24 to 48 hours ahead, changing once a day.

    The moment differs from object to object, so that the photos of all users do not fall out of all caches at
    midnight. Whatever holds such a URL (a cached card) may be kept for `PHOTO_LEAST_LIFE_S`: it works then.
    """
    offset = zlib.crc32(media_id.encode()) % PHOTO_RENEWAL_S
    earliest = math.ceil(now.timestamp()) + PHOTO_LEAST_LIFE_S
    return earliest + (offset - earliest) % PHOTO_RENEWAL_S


def chat_expires(now: datetime) -> int:
    """Expiry of the URL of what was sent in a chat: ten minutes ahead, cut to the second."""
    return int(now.timestamp()) + CHAT_LIFE_S


def _check(media_id: str, size: str | None, expires: str) -> None:
    if _MEDIA_ID.fullmatch(media_id) is None:
        raise ValueError("not a media id")
    if size is not None and size not in SIZES:
        raise ValueError("not a size")
    if _EXPIRES.fullmatch(expires) is None:
        raise ValueError("not a time")


def _decoded(signature: str) -> bytes:
    if _SIGNATURE.fullmatch(signature) is None:
        raise ValueError("not a signature")
    raw = base64.urlsafe_b64decode(signature + "==")
    # 54 letters hold four bits more than 40 bytes: only one of the sixteen spellings is ours.
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != signature:
        raise ValueError("not a signature")
    return raw
