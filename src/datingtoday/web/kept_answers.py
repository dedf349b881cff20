"""Answers that browsers keep, and ask about each time."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Response, request


def kept(response: Response, headers: Mapping[str, str]) -> Response:
    """The response with these headers and an ETag; without content for a browser that has it already."""
    response.headers.update({**headers, "Cache-Control": "no-cache"})
    response.add_etag()
    response.make_conditional(request.environ)
    return response
