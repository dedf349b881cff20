"""Headers for browsers, header by header: which pages of other origins may read an answer."""

from __future__ import annotations

from typing import Any

import pytest

from datingtoday.protocol.cross_origin import CrossOrigin

PAGE = "https://app.example.com"
READABLE = "X-Request-Id, Retry-After, Allow, Content-Range, Accept-Ranges, ETag"
VARY = ("Vary", "Origin")
ALLOWED = [("Access-Control-Allow-Origin", PAGE), ("Access-Control-Expose-Headers", READABLE)]
ANYBODY = [("Access-Control-Allow-Origin", "*"), ("Access-Control-Expose-Headers", READABLE)]
PREFLIGHT = [("Access-Control-Allow-Methods", "GET, HEAD, POST"), ("Access-Control-Max-Age", "7200")]


def asked(
    path: str = "/api/x", method: str = "GET", origin: str | None = PAGE, **more: Any
) -> dict[str, Any]:
    by = {} if origin is None else {"HTTP_ORIGIN": origin}
    return {"PATH_INFO": path, "REQUEST_METHOD": method, **by, **more}


@pytest.mark.parametrize(
    ("origins", "environ", "headers"),
    [
        ((), asked(), []),
        ((PAGE,), asked("/docs"), []),
        ((PAGE,), asked("/apix"), []),
        ((PAGE,), asked(), [VARY, *ALLOWED]),
        ((PAGE,), asked(origin="https://other.example.com"), [VARY]),
        ((PAGE,), asked(origin=None), [VARY]),
        ((PAGE,), asked(origin="https://other.example.com", method="OPTIONS"), [VARY]),
        ((PAGE,), asked(method="OPTIONS"), [VARY, *ALLOWED, *PREFLIGHT]),
        (("*",), asked(origin=None), ANYBODY),
        (("*", PAGE), asked(method="POST"), ANYBODY),
        (
            ("*",),
            asked(method="OPTIONS", HTTP_ACCESS_CONTROL_REQUEST_HEADERS="content-type, X-Request-Id"),
            [*ANYBODY, *PREFLIGHT, ("Access-Control-Allow-Headers", "content-type, X-Request-Id")],
        ),
        (
            ("*",),
            asked(method="OPTIONS", HTTP_ACCESS_CONTROL_REQUEST_HEADERS="a\r\nSet-Cookie: b"),
            [*ANYBODY, *PREFLIGHT],
        ),
        (("*",), asked(HTTP_ACCESS_CONTROL_REQUEST_HEADERS="content-type"), ANYBODY),
    ],
)
def test_headers(origins: tuple[str, ...], environ: dict[str, Any], headers: list[tuple[str, str]]) -> None:
    assert CrossOrigin(origins).headers(environ) == headers
    assert CrossOrigin(origins).applies_to(environ) is (bool(origins) and environ["PATH_INFO"] == "/api/x")
