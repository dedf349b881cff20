"""`/demo`: who gets which page, under which policy, and who may step into a demo account."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from datingtoday.accounts.demo_login import DemoLogin
from datingtoday.app import create_app
from datingtoday.infra.config.demo import DEMO_PHONES
from datingtoday.infra.config.serving import serving_problems
from datingtoday.infra.config.settings import load_settings
from tests.plugins.api import Answer, Api, RecordingSms

HERE = "127.0.0.1"
PHONE_IN_THE_NETWORK = "192.168.1.20"


@pytest.fixture
def embedded(tmp_path: Path) -> Api:
    """The embedded default: no database is named."""
    environ = {"DATINGTODAY_APP_APPKEY": "DEMOKEY1", "DATINGTODAY_APP_APPSECRET": "d0c5d0c5d0c5d0c5d0c5"}
    settings = load_settings("/dev/null", tmp_path, environ)
    sms = RecordingSms()
    return Api(create_app(settings, sms=sms), sms, address=HERE)


def ask(api: Api, path: str, *, host: str = "127.0.0.1:8000", address: str = HERE, **headers: str) -> Answer:
    return api.send("GET", path, address=address, headers={"Host": host} | headers)


def files_of(api: Api, page: str) -> list[str]:
    return sorted(set(re.findall(r'(?:src|href)="(/demo[^"?]+)"', ask(api, page).body.decode())))


@pytest.mark.parametrize("page", ["/demo", "/demo/split"])
def test_a_page_and_its_files(embedded: Api, page: str) -> None:
    answer = ask(embedded, page)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    found = files_of(embedded, page)
    assert any("/assets/" in path for path in found)
    for path in found:
        answer = ask(embedded, path)
        assert answer.status == 200, path
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert ask(embedded, path, **{"If-None-Match": answer.headers["ETag"]}).status in {200, 304}


def test_the_policy_allows_nothing_from_outside(embedded: Api) -> None:
    policy = ask(embedded, "/demo").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert not re.search(r"https?:|\*|unsafe", policy), policy


def test_no_file_of_another_folder(embedded: Api) -> None:
    for name in ("../index.html", "..%2findex.html", "nothing.js", ".."):
        assert ask(embedded, f"/demo/assets/{name}").status == 404


def test_the_code_is_told_on_this_machine_only(embedded: Api) -> None:
    here = ask(embedded, "/demo/config.json").json
    assert (here["appkey"], here["code"]) == ("DEMOKEY1", "888888")
    assert [f"+86{person['phone']}" for person in here["people"]] == list(DEMO_PHONES)
    there = ask(embedded, "/demo/config.json", host="192.168.1.5:8000", address=PHONE_IN_THE_NETWORK).json
    assert there["appkey"] == "DEMOKEY1"
    assert there["code"] is None


def test_a_foreign_name_that_points_here_gets_nothing(embedded: Api) -> None:
    for host in ("evil.example:8000", "127.0.0.1.evil.example"):
        assert ask(embedded, "/demo/config.json", host=host).status == 404


def test_off_with_a_database_of_your_own(api: Api, app_of: Callable[..., Api]) -> None:
    for path in ("/demo", "/demo/split", "/demo/config.json"):
        assert ask(api, path).status == 404
    switched_on = ask(app_of(DEMO_ENABLED=1), "/demo/config.json").json
    assert (switched_on["people"], switched_on["code"]) == ([], None)


def test_a_login_code_is_refused_outside_the_embedded_default(tmp_path: Path) -> None:
    environ = {"DATINGTODAY_DATABASE_URI": "sqlite:////tmp/x.db", "DATINGTODAY_DEMO_LOGIN_CODE": "123456"}
    problems = serving_problems(load_settings("/dev/null", tmp_path, environ))
    assert any("[DEMO] login_code" in problem.en for problem in problems)


@pytest.mark.parametrize(
    ("phone", "code", "is_local", "admits"),
    [
        (DEMO_PHONES[0], "888888", True, True),
        (DEMO_PHONES[2], "888888", True, True),
        (DEMO_PHONES[0], "888888", False, False),
        (DEMO_PHONES[0], "888887", True, False),
        (DEMO_PHONES[0], "", True, False),
        ("+8613800000004", "888888", True, False),
    ],
)
def test_who_steps_into_a_demo_account(phone: str, code: str, is_local: bool, admits: bool) -> None:
    assert DemoLogin("888888").admits(phone, code, is_local=is_local) is admits
    assert not DemoLogin().admits(phone, code, is_local=is_local)
