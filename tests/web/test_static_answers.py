"""Pages and files for browsers: kept, asked for again, and closed to other sites."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from datingtoday.web.connection_report import HEADER, is_proved, proof, report
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


@pytest.mark.parametrize("backend", ["embedded"], indirect=True)
def test_the_first_link_of_the_start_page_stands_out(app_of: Callable[..., Api]) -> None:
    for settings, first in (({}, "demo/split"), ({"DEMO_ENABLED": 0}, "docs")):
        page = ask(app_of(**{"DEMO_ENABLED": 1, "DOCS_ENABLED": 1, **settings}), "/").body.decode()
        links = re.findall(r'<a( class="first")? href="([^"]+)"', page)
        assert links[0] == (' class="first"', first)
        assert [style for style, _ in links[1:]] == [""] * (len(links) - 1)


@pytest.mark.parametrize("backend", ["embedded"], indirect=True)
def test_the_doctor_is_told_how_its_request_arrived(app_of: Callable[..., Api]) -> None:
    api = app_of(SERVER_TRUSTED_PROXIES="10.0.0.0/8, 127.0.0.1")
    key = api.parts.base.secret_key
    for peer, forwarded, told in (
        ("10.1.2.3", "203.0.113.7", ("10.1.2.3", "203.0.113.7", True)),
        ("203.0.113.9", "203.0.113.7", ("203.0.113.9", "203.0.113.9", False)),
        ("", "203.0.113.7", ("unix", "203.0.113.7", True)),
    ):
        headers = {"X-Forwarded-For": forwarded, HEADER: proof(key, int(time.time()), "0" * 16)}
        answer = api.app.test_client().get(
            "/healthz", headers=headers, environ_overrides={"REMOTE_ADDR": peer}
        )
        data = answer.get_json()["data"]
        assert (data["peer"], data["address"], data["trusted"]) == told
        assert data["forwarding"] == {"X-Forwarded-For": forwarded}
    assert api.send("GET", "/healthz", address="203.0.113.9", headers={HEADER: "0"}).status == 404
