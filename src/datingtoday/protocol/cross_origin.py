"""Cross-origin requests (CORS): which web pages of other origins a browser lets read the answers of the API.

Nothing here decides what a request may do: every request is signed, and there are no cookies that a foreign page could
use. It only tells browsers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from datingtoday.protocol.declared_routes import API_PREFIX

Headers = list[tuple[str, str]]

ANY = "*"
_PREFLIGHT_LIFE_S = 7200
"""Maximum time that browsers cache a preflight."""
_READABLE = "X-Request-Id, Retry-After, Allow, Content-Range, Accept-Ranges, ETag"
"""Headers of answers that a page may read beside the few that it always may."""
_HEADER_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,1000}\Z", re.ASCII)


class CrossOrigin:
    """Writes the headers that browsers ask for.

    :param origins: ``https://app.example.com``, or ``*`` for any; empty: no headers at all.
    """

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origins)

    def applies_to(self, environ: dict[str, Any]) -> bool:
        """True if answers of this path carry the headers."""
        return bool(self._origins) and str(environ.get("PATH_INFO", "")).startswith(API_PREFIX)

    def headers(self, environ: dict[str, Any]) -> Headers:
        """Headers of an answer of the API."""
        if not self.applies_to(environ):
            return []
        origin = str(environ.get("HTTP_ORIGIN", ""))
        headers = [] if ANY in self._origins else [("Vary", "Origin")]
        if ANY in self._origins:
            allowed = ANY
        elif origin in self._origins:
            allowed = origin
        else:
            return headers
        headers += [("Access-Control-Allow-Origin", allowed), ("Access-Control-Expose-Headers", _READABLE)]
        if environ.get("REQUEST_METHOD") == "OPTIONS":
            headers += self._preflight(environ)
        return headers

    def _preflight(self, environ: dict[str, Any]) -> Headers:
        headers = [
            ("Access-Control-Allow-Methods", "GET, HEAD, POST"),
            ("Access-Control-Max-Age", str(_PREFLIGHT_LIFE_S)),
        ]
        wanted = str(environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", ""))
        if _HEADER_NAMES.match(wanted):
            headers.append(("Access-Control-Allow-Headers", wanted))
        return headers
