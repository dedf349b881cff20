"""`GET /` and `/docs`: what they send, to whom, and under which policy."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from datingtoday.app import create_app
from datingtoday.infra.config.settings import load_settings
from tests.plugins.api import Answer, Api, RecordingSms

HERE = "127.0.0.1"
SECRET = "d0c5d0c5d0c5d0c5d0c5"
KEYS = "/docs/keys.json"


@pytest.fixture
def embedded(tmp_path: Path) -> Api:
    """The embedded default: no database is named."""
    environ = {"DATINGTODAY_APP_APPKEY": "DOCSKEY1", "DATINGTODAY_APP_APPSECRET": SECRET}
    settings = load_settings("/dev/null", tmp_path, environ)
    assert settings.embedded
    sms = RecordingSms()
    return Api(create_app(settings, sms=sms), sms, address=HERE)


def ask(api: Api, path: str, *, host: str = "127.0.0.1:8000", address: str = HERE, **headers: str) -> Answer:
    return api.send("GET", path, address=address, headers={"Host": host} | headers)


class TestKeys:
    @pytest.mark.parametrize(
        "host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "127.0.0.1", "localhost"]
    )
    def test_for_a_page_on_this_machine(self, embedded: Api, host: str) -> None:
        answer = ask(embedded, KEYS, host=host, **{"Sec-Fetch-Site": "same-origin"})
        assert answer.data == {"appkey": "DOCSKEY1", "appsecret": SECRET}
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"

    def test_for_nobody_else(self, embedded: Api) -> None:
        refused = [
            ask(embedded, KEYS, address="192.0.2.1"),
            ask(embedded, KEYS, **{"X-Forwarded-For": "192.0.2.1"}),
            ask(embedded, KEYS, **{"X-Forwarded-For": HERE}),
            # A foreign name that points here, and a foreign page in the same browser.
            ask(embedded, KEYS, host="evil.example:8000"),
            ask(embedded, KEYS, host="127.0.0.1.evil.example"),
            ask(embedded, KEYS, **{"Sec-Fetch-Site": "cross-site"}),
            ask(embedded, KEYS, **{"Sec-Fetch-Site": "same-site"}),
        ]
        assert {answer.status for answer in refused} == {404}
        assert not any(SECRET in answer.body.decode() for answer in refused)

    def test_never_with_a_database_of_your_own(self, api: Api) -> None:
        assert ask(api, KEYS).status == 404

    def test_the_secret_is_nowhere_else(self, embedded: Api) -> None:
        for path in ("/", "/docs", "/openapi.json", *files_of(embedded)):
            assert SECRET not in ask(embedded, path).body.decode(errors="replace"), path


def files_of(api: Api) -> list[str]:
    page = ask(api, "/docs").body.decode()
    found = {f"/{found}" for found in re.findall(r'(?:src|href)="(docs/[^"]+)"', page)}
    # Like keys.json it has the key, on this machine only: see test_postman.py.
    return sorted(found - {"/docs/postman_environment.json"})


class TestPage:
    def test_its_files_are_there(self, embedded: Api) -> None:
        found = files_of(embedded)
        assert "/docs/swagger-ui-bundle.js" in found
        assert "/docs/docs.js" in found
        for path in found:
            answer = ask(embedded, path)
            assert answer.status == 200, path
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert ask(embedded, path, **{"If-None-Match": answer.headers["ETag"]}).status == 304

    def test_its_policy_allows_nothing_from_outside(self, embedded: Api) -> None:
        for path in ("/docs", "/"):
            policy = ask(embedded, path).headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert not re.search(r"https?:|\*|unsafe", policy), policy

    def test_it_names_no_other_server(self, embedded: Api) -> None:
        for path in ("/docs", "/docs/docs.js", "/docs/page.css", "/docs/signing.js", "/"):
            assert not re.search(r"https?://", ask(embedded, path).body.decode()), path

    @pytest.mark.parametrize("name", ["../index.html", "..%2findex.html", "index.html", "nothing.js", ".."])
    def test_no_other_files(self, embedded: Api, name: str) -> None:
        assert ask(embedded, f"/docs/{name}").status == 404

    def test_with_a_slash(self, embedded: Api) -> None:
        answer = ask(embedded, "/docs/")
        assert answer.status == 308
        assert answer.headers["Location"].endswith("/docs")


class TestIndex:
    def test_says_what_runs_here_in_both_languages_and_leads_on(self, embedded: Api) -> None:
        answer = ask(embedded, "/")
        page = answer.body.decode()
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        for text in (
            'href="docs"',
            'href="openapi.json"',
            'href="demo/split"',
            "README.md",
            "README.zh-CN.md",
            "交友",
            "dating",
        ):
            assert text in page
        linked = re.findall(r'(?:src|href)="/?([^"]+)"', page)
        assert {f"/{path}": ask(embedded, f"/{path}").status for path in linked} == {
            f"/{path}": 200 for path in linked
        }
        assert ask(embedded, "/favicon.ico").headers["Content-Type"] == "image/svg+xml"

    def test_says_nothing_of_what_is_switched_off(self, app_of: Callable[..., Api]) -> None:
        page = ask(app_of(DOCS_ENABLED=0), "/").body.decode()
        assert "openapi.json" not in page
        assert "demo" not in page
        assert "README.md" in page

    def test_no_other_files(self, embedded: Api) -> None:
        for name in ("docs.js", "../demo_page.py", "..%2fparts.py"):
            assert ask(embedded, f"/static/{name}").status == 404

    def test_can_be_switched_off(self, app_of: Callable[..., Api]) -> None:
        assert ask(app_of(SERVER_INDEX_PAGE=0), "/").status == 404
