"""The language of an answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

_LANG_IN_QUERY = re.compile(r"(?:^|&)lang=([A-Za-z-]+)")


def lang_of(environ: Mapping[str, Any], params: Mapping[str, str] | None = None) -> str:
    """``zh`` or ``en``: the parameter ``lang`` if it is there, else what ``Accept-Language`` prefers.

    :param params: None if they could not be read; then ``lang`` counts at least where it stands in the query.
    """
    if params is not None:
        asked = params.get("lang")
    else:
        found = _LANG_IN_QUERY.search(environ.get("QUERY_STRING", ""))
        asked = found[1] if found else None
    if asked is not None:
        return "zh" if asked.lower().startswith("zh") else "en"
    header = environ.get("HTTP_ACCEPT_LANGUAGE")
    if not header or "zh" not in header.lower():
        return "en"
    accepted = parse_accept_header(header, LanguageAccept)
    return accepted.best_match(["en", "zh"], default="en") or "en"
