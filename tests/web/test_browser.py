"""`/docs` in a real browser: requests are tried out by hand, and nothing is asked of anybody but this server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

from tests.cli.running_server import RunningServer
from tests.plugins.api import new_phone
from tests.plugins.browser import Browser, Page
from tests.plugins.polling import wait_until

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser(run_folder: Path) -> Iterator[Browser]:
    folder = run_folder / "browser"
    folder.mkdir()
    made = Browser(folder)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def server(run_folder: Path) -> Iterator[RunningServer]:
    """The embedded default, as `make run` starts it."""
    made = RunningServer(run_folder / "docs-server")
    try:
        yield made.wait_until_ready()
    finally:
        made.end()


class DocsPage:
    """The page, used as a person does."""

    def __init__(self, page: Page, server: RunningServer) -> None:
        self.page = page
        page.open(f"{server.url}/docs")
        page.wait_for_element("body[data-ready='1']")
        page.wait_for_element(".opblock")

    def open(self, operation: str) -> str:
        """Open an operation's block, if it is not; what selects it."""
        block = f"#operations-{operation}"
        if not self.page.text(f"{block}.is-open"):
            self.page.click(f"{block} .opblock-summary-control")
        self.page.wait_for_element(f"{block} .execute")
        return block

    def call(self, operation: str, **values: str) -> Any:
        """Open an operation, fill its fields in, execute; the answer that is shown."""
        block = self.open(operation)
        for name, value in values.items():
            row = f'{block} [data-property-name="{name}"]'
            self.page.wait_for_element(f"{row} input[type=text]")
            self.page.type(f"{row} input[type=text]", value)
        # Every answer has another X-Request-Id, so that an old one is told from a new one.
        answer = f"{block} .live-responses-table"
        before = self.page.text(answer)
        self.page.click(f"{block} .execute")
        wait_until(
            lambda: self.page.text(answer) not in ("", before) and self.page.text(f"{answer} code"),
            f"the answer of {operation}",
            deadline_s=40,
        )
        return json.loads(self.page.text(f"{answer} code"))

    def log_in(self) -> int:
        phone = new_phone()
        sent = self.call("auth-post_auth_sendsms", phone=phone)
        logged_in = self.call("auth-post_auth_login", phone=phone, code=sent["data"]["code"])
        assert logged_in["code"] == 0, logged_in
        return int(logged_in["data"]["user_id"])

    def state(self, what: str) -> str:
        return self.page.text(f"#{what}-state")


@pytest.fixture
def docs(browser: Browser, server: RunningServer) -> Iterator[DocsPage]:
    page = browser.new_page()
    try:
        yield DocsPage(page, server)
    finally:
        page.close()


def test_a_login_and_what_needs_it(docs: DocsPage, server: RunningServer) -> None:
    assert "signed by this page" in docs.state("signing")
    assert "not yet" in docs.state("login")

    user_id = docs.log_in()

    assert str(user_id) in docs.state("login")
    profile = docs.call("user-get_user_show")
    assert (profile["code"], profile["data"]["user_id"]) == (0, user_id)
    sessions = docs.call("auth-get_auth_sessions")
    assert [session["current"] for session in sessions["data"]] == [True]

    assert docs.page.problems == []
    asked = {urlsplit(url).netloc for url in docs.page.requests}
    assert asked == {urlsplit(server.url).netloc}


def test_empty_fields_are_left_out(docs: DocsPage) -> None:
    docs.log_in()
    shown = docs.page.text("#operations-auth-post_auth_login .curl-command")
    assert "code=" in shown
    assert "latlng" not in shown
    assert "sign_method=hmac-sha256" in shown


def test_values_that_must_be_encoded_are_signed(docs: DocsPage) -> None:
    docs.log_in()
    intro = "a+b & c=d 100% 你好 !'()*~"
    assert docs.call("user-post_user_update", intro=intro)["code"] == 0
    assert docs.call("user-get_user_show")["data"]["intro"] == intro


def test_a_file_is_signed_with_its_request(docs: DocsPage, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (640, 480), (200, 120, 40)).save(photo)
    docs.log_in()
    block = docs.open("media-post_media_upload")
    docs.page.choose(f'{block} [data-property-name="kind"] select', "photo")
    docs.page.choose_file(f'{block} [data-property-name="file"] input[type=file]', photo)
    answer = docs.call("media-post_media_upload")
    assert answer["code"] == 0, answer
    assert (answer["data"]["width"], answer["data"]["height"]) == (640, 480)


def test_the_language_can_be_chosen(docs: DocsPage) -> None:
    docs.page.choose("#lang", "zh")
    refused = docs.call("auth-post_auth_sendsms", phone="123")
    assert refused["code"] == 300
    assert re.search(r"[\u4e00-\u9fff]", refused["msg"])


def test_without_a_key_one_types_it(browser: Browser, server: RunningServer, tmp_path: Path) -> None:
    """As on a server with a database of its own, which gives its key to nobody."""
    database = tmp_path / "own.sqlite3"
    key, secret = "TYPEDKEY", "typed-secret-typed-secret"
    other = RunningServer(
        tmp_path / "data",
        "--migrate",
        DATABASE_URI=f"sqlite:///{database}",
        APP_APPKEY=key,
        APP_APPSECRET=secret,
        SECURITY_SECRET_KEY="ab" * 32,
        SMS_ALLOW_CONSOLE="1",
    )
    page = browser.new_page()
    try:
        docs = DocsPage(page, other.wait_until_ready())
        assert "cannot sign" in docs.state("signing")
        assert docs.call("auth-post_auth_sendsms", phone=new_phone())["msg"] == "appkey is none."
        page.type("#appkey", key)
        page.type("#appsecret", secret)
        page.click("#keys button")
        assert "signed by this page" in docs.state("signing")
        assert docs.call("auth-post_auth_sendsms", phone=new_phone())["code"] == 0
        assert page.run("document.querySelector('#appsecret').value") == ""
        assert not any(secret in url for url in page.requests)
        assert page.run("localStorage.length + sessionStorage.length") == 0
    finally:
        page.close()
        other.end()
