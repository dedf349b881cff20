"""Ready-made JSON that differs from viewer to viewer only in the signatures of its photo URLs.

A URL is signed for one viewer, so what is cached for all of them has a gap where each signature belongs. A gap is
one NUL byte, which JSON never contains. Filling one costs about 2 µs; making the JSON anew would cost SQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

import orjson

from datingtoday.media.signed_urls import SignatureOf, signed_message, unsigned_url
from datingtoday.profiles.photo_urls import PhotoUrl
from datingtoday.protocol.envelope import ReadyJson, wire_time

_GAP = b"\0"
_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


class SignableJson:
    """JSON with gaps, and a head of a few values for the server itself."""

    __slots__ = ("_end", "_gaps", "_parts", "head")

    def __init__(self, head: Any, gaps: Sequence[bytes], body: bytes) -> None:
        self.head = head
        self._gaps = gaps
        self._end = body[-1:]
        # With a place for a signature between any two of them.
        self._parts = [b""] * (2 * len(gaps) + 1)
        self._parts[::2] = body[:-1].split(_GAP, len(gaps))

    @classmethod
    def of(cls, head: Any, content: Any) -> SignableJson:
        """From plain values, moments, days and `PhotoUrl`."""
        gaps: list[bytes] = []

        def on_the_wire(value: Any) -> Any:
            if isinstance(value, PhotoUrl):
                gaps.append(signed_message(value.media_id, expires=value.expires, size=value.size))
                url = unsigned_url(value.media_id, expires=value.expires, size=value.size)
                return orjson.Fragment(b'"' + url.encode() + _GAP + b'"')
            if isinstance(value, datetime):
                return wire_time(value)
            if isinstance(value, date):
                return value.isoformat()
            raise TypeError(f"{type(value).__name__} has no form on the wire")

        body = orjson.dumps(content, default=on_the_wire, option=_OPTIONS)
        return cls(head, gaps, body)

    @classmethod
    def joined(cls, objects: Iterable[tuple[SignableJson, bytes]]) -> SignableJson:
        """Objects side by side with commas between them, each with what it gets at its end; at least one."""
        gaps: list[bytes] = []
        bodies: list[bytes] = []
        for ready, more in objects:
            gaps += ready._gaps
            bodies.append(ready._body(more))
        return cls(None, gaps, b",".join(bodies))

    @classmethod
    def load(cls, data: bytes) -> SignableJson:
        line, _, body = data.partition(b"\n")
        head, gaps = orjson.loads(line)
        return cls(head, [what.encode() for what in gaps], body)

    def dump(self) -> bytes:
        gaps = [what.decode() for what in self._gaps]
        return orjson.dumps([self.head, gaps]) + b"\n" + self._body()

    def signed(self, signature_of: SignatureOf, more: bytes = b"") -> ReadyJson:
        """The JSON with every URL signed for the viewer whose signatures these are.

        :param more: what an object gets at its end, from a comma on.
        """
        parts = self._parts.copy()
        parts[1::2] = map(signature_of, self._gaps)
        parts += (more, self._end)
        return ReadyJson(b"".join(parts))

    def _body(self, more: bytes = b"") -> bytes:
        return _GAP.join(self._parts[::2]) + more + self._end


def members(**more: Any) -> bytes:
    """Members that `SignableJson.signed` appends to an object."""
    return b"," + orjson.dumps(more)[1:-1]
