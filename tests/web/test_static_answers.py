"""Pages and files for browsers: kept, asked for again, and closed to other sites."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from datingtoday.web.connection_report import is_proved, proof, report
from tests.plugins.api import Answer, Api

HERE = "127.0.0.1"
KEY = bytes(range(32))
PATHS = {
    "/docs": "text/html; charset=utf-8",
    "/docs/docs.js": "text/javascript; charset=utf-8",
    "/docs/favicon-32x32.png": "image/png",
    "/docs/postman_collection.json": "application/json",
    "/openapi.json": "application/json",
    "/asyncapi.json": "application/json",
    "/static/index.css": "text/css; charset=utf-8",
    "/favicon.ico": "image/svg+xml",
    "/demo": "text/html; charset=utf-8",
    "/demo/split": "text/html; charset=utf-8",
    "/demo/heart.svg": "image/svg+xml",
}


@pytest.fixture(scope="module", params=["embedded"])
def shared_backend(shared_backend: object) -> object:
    return shared_backend


@pytest.fixture
def own(app_of: Callable[..., Api]) -> Api:
    return app_of(DEMO_ENABLED=1, DOCS_ENABLED=1)


def ask(api: Api, path: str, **headers: str) -> Answer:
    return api.send("GET", path, address=HERE, headers=headers)


def test_browsers_keep_them_and_ask_whether_they_have_changed(own: Api) -> None:
    for path, content_type in PATHS.items():
        answer = ask(own, path)
        assert (answer.status, answer.headers["Content-Type"]) == (200, content_type), path
        assert answer.headers["Cache-Control"] == "no-cache", path
        assert answer.headers["X-Content-Type-Options"] == "nosniff", path
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'"), path
        again = ask(own, path, **{"If-None-Match": answer.headers["ETag"]})
        assert (again.status, again.body) == (304, b""), path
        assert ask(own, path, **{"If-None-Match": '"other"'}).status == 200, path


def test_a_slash_too_many_leads_to_the_page(own: Api) -> None:
    for path, target in (("/docs/", "../docs"), ("/demo/", "../demo")):
        answer = ask(own, path)
        assert (answer.status, answer.headers["Location"]) == (308, target)


def test_files_that_do_not_exist(own: Api) -> None:
    for path in ("/docs/nothing.js", "/static/nothing.css", "/demo/assets/nothing.js"):
        assert ask(own, path).status == 404


@pytest.mark.parametrize(
    ("age_s", "is_good"), [(0, True), (600, True), (-600, True), (600.5, False), (-600.5, False)]
)
def test_a_proof_is_good_for_ten_minutes(age_s: float, is_good: bool) -> None:
    assert is_proved(KEY, proof(KEY, 1_795_305_600, "0" * 16), 1_795_305_600 + age_s) is is_good
    assert not is_proved(b"", proof(b"", 1_795_305_600, "0" * 16), 1_795_305_600)
    assert not is_proved(bytes(32), proof(KEY, 1_795_305_600, "0" * 16), 1_795_305_600)


def test_a_report_cuts_long_headers() -> None:
    told = report({"HTTP_FORWARDED": "x" * 600, "HTTP_X_FORWARDED_FOR": ""}, "1.2.3.4", trusted=True)
    assert told == {
        "peer": "unix",
        "address": "1.2.3.4",
        "trusted": True,
        "forwarding": {"Forwarded": "x" * 500},
    }
