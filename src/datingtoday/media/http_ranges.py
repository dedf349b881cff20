"""HTTP answers with media bytes: range, headers, and sender (this program or nginx).

Plain functions over values, without Flask. The rules are those of RFC 9110, sections 13 and 14.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

EXTENSIONS: Mapping[str, str] = {
    "image/jpeg": "jpg",
    "audio/mp4": "m4a",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "video/mp4": "mp4",
    "video/webm": "webm",
}
"""Every type that media ever delivers."""

_MAX_DIGITS = 18
_BYTE_RANGE = re.compile(r"(?i:bytes)=[ \t]*(?:([0-9]+)-([0-9]*)|-([0-9]+))[ \t]*", re.ASCII)


class RangeNotSatisfiable(Exception):
    """The range lies outside the object: HTTP 416."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes from `start` up to, not including, `end`; never empty."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """The answer: status, headers, and which bytes follow (None: no body)."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: ByteRange | None = None


def parse_range(header: str | None, size_bytes: int) -> ByteRange | None:
    """Parse the `Range` header for an object of this size; None: the whole object, with 200.

    A header that is malformed, of another unit or with several ranges is ignored, as the RFC allows (several
    ranges only help attackers, no player sends them). RangeNotSatisfiable if it begins after the end.
    Werkzeug's parser is not used: it refuses a suffix longer than the object, where the whole is to be sent.
    """
    match = _BYTE_RANGE.fullmatch(header or "")
    if match is None:
        return None
    first_digits, last_digits, suffix_digits = match.groups()
    if suffix_digits is not None:
        suffix = _number(suffix_digits)
        if suffix == 0:
            raise RangeNotSatisfiable
        if size_bytes == 0:
            return None  # Satisfiable, says the RFC, but no Content-Range can describe it.
        return ByteRange(max(0, size_bytes - suffix), size_bytes)
    first = _number(first_digits)
    last = _number(last_digits) if last_digits else None
    if last is not None and last < first:
        return None
    if first >= size_bytes:
        raise RangeNotSatisfiable
    return ByteRange(first, size_bytes if last is None else min(last + 1, size_bytes))


def _number(digits: str) -> int:
    """The number, or one that is larger than any object as well: a million digits are not worth converting."""
    return int(digits.lstrip("0")[:_MAX_DIGITS] or "0")


def base_headers(mime: str, *, expires: int, now: datetime) -> dict[str, str]:
    """The headers that every delivery has, whoever sends the bytes.

    The type is the one that the server itself gave the object, `nosniff` makes browsers keep to it, and the
    policy makes anything that gets interpreted nevertheless a page without scripts, requests and origin. The
    name is neutral. Only the viewer's own cache may keep it, for as long as the URL lives. KeyError for a
    type that is not among `EXTENSIONS`.
    """
    return {
        "Content-Type": mime,
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Content-Disposition": f'inline; filename="media.{EXTENSIONS[mime]}"',
        "Cache-Control": f"private, max-age={max(0, expires - int(now.timestamp()))}",
    }


def plan_delivery(
    *,
    mime: str,
    size_bytes: int,
    sha256: str,
    expires: int,
    now: datetime,
    range_header: str | None = None,
    if_range: str | None = None,
    if_none_match: str | None = None,
) -> Delivery:
    """The answer to a GET (or, without the body, a HEAD) whose viewer may see the object.

    `sha256` (hex) of the object's bytes is its entity tag; `expires`: Unix seconds of the URL; the other
    parameters are request headers as they came.
    """
    etag = f'"{sha256}"'
    headers = base_headers(mime, expires=expires, now=now) | {"ETag": etag, "Accept-Ranges": "bytes"}
    if if_none_match is not None and _matches(if_none_match, etag):
        del headers["Content-Type"], headers["Content-Disposition"]
        return Delivery(304, headers)
    # If-Range holds a date or a tag. Objects never change, so that a date never was given out.
    wanted = range_header if if_range is None or if_range.strip() == etag else None
    try:
        part = parse_range(wanted, size_bytes)
    except RangeNotSatisfiable:
        refused = {
            "Content-Range": f"bytes */{size_bytes}",
            "Content-Length": "0",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Accept-Ranges": "bytes",
        }
        return Delivery(416, refused)
    if part is None:
        headers["Content-Length"] = str(size_bytes)
        return Delivery(200, headers, ByteRange(0, size_bytes))
    headers["Content-Length"] = str(part.end - part.start)
    headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{size_bytes}"
    return Delivery(206, headers, part)


def plan_internal_redirect(
    *, mime: str, location: str, internal_path: str, expires: int, now: datetime
) -> Delivery:
    """Let nginx send the file from its internal `location` (``/_media/``), Range and all; see docs/media.md.

    nginx drops headers that it does not know from such an answer, so the location must set the policy itself.
    """
    headers = base_headers(mime, expires=expires, now=now)
    headers["X-Accel-Redirect"] = f"{location.rstrip('/')}/{internal_path}"
    return Delivery(200, headers)


def _matches(if_none_match: str, etag: str) -> bool:
    """Weak comparison, as If-None-Match demands it."""
    if if_none_match.strip() == "*":
        return True
    return any(tag.strip().removeprefix("W/") == etag for tag in if_none_match.split(","))
