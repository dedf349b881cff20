"""The path as it was sent, which signatures cover."""

from __future__ import annotations

from typing import Any

import pytest

from datingtoday.protocol.guard import raw_path


@pytest.mark.parametrize(
    ("sent", "path"),
    [
        ("/api/user/show", "/api/user/show"),
        ("/api/user/show?a=/b", "/api/user/show"),
        ("/api/user%2Fshow#part", "/api/user%2Fshow"),
        ("/api/http://a/b", "/api/http://a/b"),
        ("http://api.example.com/api/user/show?a=1", "/api/user/show"),
        ("http://api.example.com/api/http://a/b", "/api/http://a/b"),
        ("http://api.example.com", "/"),
    ],
)
def test_the_path_of_a_request_line(sent: str, path: str) -> None:
    for name in ("RAW_URI", "REQUEST_URI"):
        environ: dict[str, Any] = {name: sent, "PATH_INFO": "/other"}
        assert raw_path(environ) == path


def test_without_a_request_line_it_is_the_decoded_path() -> None:
    assert raw_path({"PATH_INFO": "/api/user/show"}) == "/api/user/show"
    assert raw_path({}) == ""
