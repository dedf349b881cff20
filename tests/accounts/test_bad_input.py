"""Every parameter of every endpoint of logging in: missing, doubled, empty, too long, of another type or script, in the
wrong place. It is refused by its name, and nothing changes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.accounts.rows import all_rows
from tests.plugins.api import Answer, Api, User, new_phone

LONG = "1" * 5000
ANY_TEXT = ["\x00", "\u202eabc", "\ud7ff\ue000"]
"""A control character, an override of the direction, a private code point."""
NUMBERS = [
    "",
    " ",
    "x",
    "一",
    "１２３４５６",
    "\u0661\u0662\u0663\u0664\u0665\u0666",
    "1.0",
    "+1",
    "-1",
    "1e3",
    LONG,
]
PHONES = [*NUMBERS, "13912345678,13912345679", "[]", "null", "true", "110", "010-62345678"]
CODES = [*NUMBERS, "123", "123456789", "12345a", "123 456", " 123456", "123456\n", "0x1234"]
PURPOSES = ["", " ", "LOGIN", "Login", "log in", "login,delete", "логин", "登录", "0", "null", "x" * 5000]
DEVICES = ["d" * 65, "设" * 65, *ANY_TEXT]
FLAGS = ["", " ", "2", "-1", "01", "true", "yes", "１", "١", "1,0", LONG]
IDS = [*NUMBERS, "0", "2147483648", "9" * 30, "1,2", "01" * 8]
LATLNGS = [
    "", "x", "1", "1,2,3", "91,0", "0,181", "１,２", "1;2", LONG, "1,", ",", ".,1", "1e,2", "1e999,2", "nan,1", "inf,1",
    "0x1,2", "1_0,2", "--1,2", "1." + "0" * 400 + ",2",
]  # fmt: skip
"""These are refused with a code of their own, 502."""


@dataclass(frozen=True)
class Endpoint:
    """Good parameters, and for each what is bad."""

    path: str
    good: dict[str, str]
    bad: dict[str, list[str]]
    optional: frozenset[str] = field(default_factory=frozenset)
    method: str = "POST"
    needs_login: bool = False


CODE = {"code": "123456"}
NOBODYS = "2000000000"
"""An id that no session will have."""
NOT_YOUR_SESSION = "sessionId is not one of your sessions; allowed: an id of /api/auth/sessions"
ENDPOINTS = [
    Endpoint(
        "/api/auth/sendsms",
        {"purpose": "login"},
        {"phone": PHONES, "purpose": PURPOSES},
        frozenset({"purpose"}),
    ),
    Endpoint(
        "/api/auth/login",
        CODE | {"device": "d", "latlng": "1,2"},
        {"phone": PHONES, "code": CODES, "device": DEVICES, "latlng": LATLNGS},
        frozenset({"device", "latlng"}),
    ),
    Endpoint(
        "/api/auth/logout",
        {"all": "0", "sessionId": NOBODYS},
        {"all": FLAGS, "sessionId": IDS},
        frozenset({"all", "sessionId"}),
        needs_login=True,
    ),
    Endpoint("/api/user/phone", CODE, {"phone": PHONES, "code": CODES}, needs_login=True),
]
BY_PATH = {endpoint.path: endpoint for endpoint in ENDPOINTS}
PARAMETERS = [(endpoint.path, name) for endpoint in ENDPOINTS for name in endpoint.bad]


@pytest.fixture(scope="session")
def user(_shared_api: Api) -> User:
    """One person for all of it: nobody is ever logged out by what is refused."""
    return _shared_api.new_user()


@dataclass
class Client:
    """Sends requests to one endpoint; keeps what lay in the tables before."""

    api: Api
    endpoint: Endpoint
    user: User
    may_change: bool = False

    def __post_init__(self) -> None:
        self.before = all_rows(self.api.parts), {phone: [*sent] for phone, sent in self.api.sms.sent.items()}

    def good(self) -> dict[str, str]:
        own = dict(self.endpoint.good)
        return own | {"phone": new_phone()} if "phone" in self.endpoint.bad else own

    def signed(self, own: dict[str, str]) -> dict[str, str]:
        user = self.user if self.endpoint.needs_login else None
        return self.api.params(self.endpoint.method, self.endpoint.path, own, user=user)

    def send(self, own: dict[str, str]) -> Answer:
        return self.api.send(self.endpoint.method, self.endpoint.path, self.signed(own))

    def send_raw(
        self, body: str, *, query: str = "", content_type: str = "application/x-www-form-urlencoded"
    ) -> Answer:
        return self.api.send(
            "POST",
            self.endpoint.path,
            None,
            data=body.encode(),
            query_string=query,
            content_type=content_type,
        )

    def assert_refused(self, answer: Answer, name: str, *, code: int = 300, given: str = "") -> None:
        """Refused by its name."""
        assert (answer.status, answer.code) == (200, code), (given, answer.json)
        assert name in answer.msg.split(), (given, answer.msg)

    def assert_nothing_changed(self) -> None:
        assert all_rows(self.api.parts) == self.before[0]
        assert self.api.sms.sent == self.before[1]


@pytest.fixture
def client(api: Api, user: User, request: pytest.FixtureRequest) -> Iterator[Client]:
    """At the end of the test nothing may have changed."""
    made = Client(api, BY_PATH[request.getfixturevalue("path")], user)
    yield made
    if not made.may_change:
        made.assert_nothing_changed()


@pytest.mark.parametrize("path", BY_PATH)
def test_the_good_parameters_are_good(client: Client, path: str) -> None:
    """Otherwise the refusals would prove nothing: what is told of them is at most that code or id is unknown."""
    client.may_change = True
    answer = client.send(client.good())
    assert answer.code in {0, 503} or answer.msg == NOT_YOUR_SESSION


@pytest.mark.parametrize(("path", "name"), PARAMETERS)
def test_bad_values(client: Client, path: str, name: str) -> None:
    for value in client.endpoint.bad[name]:
        answer = client.send(client.good() | {name: value})
        client.assert_refused(answer, name, code=502 if name == "latlng" else 300, given=value)


@pytest.mark.parametrize(("path", "name"), [it for it in PARAMETERS if it[1] not in BY_PATH[it[0]].optional])
def test_missing(client: Client, path: str, name: str) -> None:
    own = client.good()
    del own[name]
    answer = client.send(own)
    client.assert_refused(answer, name)
    assert answer.msg.startswith(f"{name} is missing; allowed: ")


@pytest.mark.parametrize(("path", "name"), PARAMETERS)
def test_in_another_spelling_it_is_missing_or_ignored(client: Client, path: str, name: str) -> None:
    if name in client.endpoint.optional:
        client.may_change, client.user = True, client.api.new_user()
        bad = client.endpoint.bad[name][0]
        misspelt = {name.upper(): bad, f"{name}[]": bad}
        answer = client.send({key: value for key, value in client.good().items() if key != name} | misspelt)
        assert answer.code in {0, 503} or answer.msg == NOT_YOUR_SESSION
        return
    own = client.good()
    own[name.capitalize()] = own.pop(name)
    client.assert_refused(client.send(own), name)


@pytest.mark.parametrize(("path", "name"), PARAMETERS)
def test_doubled(client: Client, path: str, name: str) -> None:
    params = client.signed(client.good())
    for again in (params[name], "other"):
        answer = client.send_raw(urlencode([*params.items(), (name, again)]))
        client.assert_refused(answer, name)
        assert "twice" in answer.msg


@pytest.mark.parametrize(("path", "name"), PARAMETERS)
def test_doubled_in_a_multipart_body(client: Client, path: str, name: str) -> None:
    params = client.signed(client.good())
    parts = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        for key, value in [*params.items(), (name, params[name])]
    )
    answer = client.send_raw(f"{parts}--b--\r\n", content_type="multipart/form-data; boundary=b")
    client.assert_refused(answer, name)


@pytest.mark.parametrize(("path", "name"), PARAMETERS)
def test_in_the_query_beside_a_body(client: Client, path: str, name: str) -> None:
    params = client.signed(client.good())
    moved = {name: params.pop(name)}
    for query in (moved, {"x": "1"}):
        answer = client.send_raw(urlencode(params), query=urlencode(query))
        client.assert_refused(answer, "query")


@pytest.mark.parametrize(("path", "name"), PARAMETERS)
def test_bytes_that_are_not_utf_8(client: Client, path: str, name: str) -> None:
    params = client.signed(client.good())
    params.pop(name)
    for bad in ("%ff", "%c3%28", "%ed%a0%80", "%D6%D0"):
        answer = client.send_raw(f"{urlencode(params)}&{name}={bad}")
        assert (answer.status, answer.code) == (200, 300) and "UTF-8" in answer.msg


@pytest.mark.parametrize(("path", "name"), PARAMETERS)
def test_as_an_uploaded_file(client: Client, path: str, name: str) -> None:
    body = f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="x"\r\n\r\n1\r\n--b--\r\n'
    answer = client.send_raw(body, content_type="multipart/form-data; boundary=b")
    client.assert_refused(answer, name)


@pytest.mark.parametrize("path", BY_PATH)
def test_as_json(client: Client, path: str) -> None:
    answer = client.send_raw('{"phone": "13912345678"}', content_type="application/json")
    assert (answer.status, answer.code) == (415, 415)


@pytest.mark.parametrize("path", BY_PATH)
def test_reading_changes_nothing(client: Client, path: str) -> None:
    params = client.signed(client.good())
    answer = client.api.send("GET", path, params)
    assert (answer.status, answer.code, answer.headers["Allow"]) == (405, 405, "POST")


@pytest.mark.parametrize("path", [endpoint.path for endpoint in ENDPOINTS if endpoint.needs_login])
def test_without_a_login(client: Client, path: str) -> None:
    stranger = User(client.user.user_id, "0" * 32, "")
    for user in (None, stranger, User(client.user.user_id + 1, client.user.token, "")):
        params = client.api.params("POST", path, client.good(), user=user)
        assert client.api.send("POST", path, params).code == 504


@pytest.mark.parametrize("path", BY_PATH)
def test_the_first_bad_parameter_is_named(client: Client, path: str) -> None:
    names = [name for name in client.endpoint.bad if name != "latlng"]
    for first, second in itertools.pairwise(names):
        bad: dict[str, Any] = {name: client.endpoint.bad[name][0] for name in (first, second)}
        if first == "device":
            continue
        client.assert_refused(client.send(client.good() | bad), first)


@pytest.mark.parametrize("path", BY_PATH)
def test_the_refusal_is_told_in_chinese_too(client: Client, path: str) -> None:
    name = next(iter(client.endpoint.bad))
    answer = client.send(client.good() | {name: client.endpoint.bad[name][1], "lang": "zh"})
    assert name in answer.msg
    assert any("\u4e00" <= sign <= "\u9fff" for sign in answer.msg)
