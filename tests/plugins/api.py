"""The application under test, and a client that signs.

Fixtures:

    app_of      makes an application for settings given as ``SECTION_KEY=value`` on a migrated backend
    api         a client of an application with default settings (limits are on); one application per worker and backend
                serves many tests, so every test uses people and addresses of its own, which the client makes up
"""

from __future__ import annotations

import hashlib
import hmac
import io
import itertools
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from datingtoday.app import PARTS, Parts, create_app
from datingtoday.infra.config.settings import Settings, load_settings
from datingtoday.infra.sms.provider import SmsReceipt
from tests.plugins.backend import Backend
from tests.plugins.contract import contract_of
from tests.plugins.processes import REDIS_TIMEOUT_S
from tests.plugins.schema import bring_up

APPKEY = "TESTKEY1"
APPSECRET = "5b1f0c1d2e3f4a5b6c7d8e9f00112233"
SECRET_KEY = "00" * 31 + "01"
NO_FILE = hashlib.sha256(b"").hexdigest()

_phones = itertools.count(secrets.randbelow(50_000_000))


@dataclass(frozen=True)
class User:
    """A logged-in person."""

    user_id: int
    token: str
    phone: str


@dataclass(frozen=True)
class Answer:
    """An answer of the server."""

    status: int
    json: Any
    headers: Any
    body: bytes

    @property
    def code(self) -> int:
        return int(self.json["code"])

    @property
    def msg(self) -> str:
        return str(self.json["msg"])

    @property
    def data(self) -> Any:
        """Data of a success; anything else fails the test and shows the answer."""
        assert self.status == 200 and self.code == 0, (self.status, self.json)
        return self.json.get("data")


class RecordingSms:
    """Keeps what was sent; ``fail_with`` makes the next sends fail."""

    name = "recording"

    def __init__(self) -> None:
        self.sent: dict[str, list[str]] = {}
        self.fail_with: Exception | None = None

    def send_code(self, phone: str, code: str, *, purpose: str, ttl_s: int) -> SmsReceipt:
        if self.fail_with is not None:
            raise self.fail_with
        self.sent.setdefault(phone, []).append(code)
        return SmsReceipt(provider=self.name, message_id=None)

    def last(self, phone: str) -> str:
        """The newest code that was sent to a number in E.164."""
        return self.sent[phone][-1]


def new_phone() -> str:
    """A mainland mobile number that no other test uses."""
    return f"139{next(_phones) % 100_000_000:08d}"


def new_address() -> str:
    """An address that no other test uses, for limits per address."""
    return f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"


_LETTERS = str.maketrans("0123456789", "ghijklmnop")


def _new_nonce() -> str:
    """A nonce with which an md5 signature has no later reading: the few that have one would write a row at random."""
    return secrets.token_hex(32).translate(_LETTERS)


def md5_sign(
    params: dict[str, str], secret: str, *, token_first: bool = False, with_appkey: bool = False
) -> str:
    """As the articles' clients sign; written without the server's code."""
    outside = {"timestamp", "nonce", "token", "sign"} | (set() if with_appkey else {"appkey"})
    msg = "&".join(
        sorted((f"{name}={value}" for name, value in params.items() if name not in outside), key=str.encode)
    )
    token = params.get("token", "")
    head = token + msg if token_first else msg + token
    return hashlib.md5(f"{head}{params['timestamp']}{params['nonce']}{secret}".encode()).hexdigest()


def hmac_sign(method: str, path: str, params: dict[str, str], secret: str, file: bytes = b"") -> str:
    def encode(text: str) -> str:
        return quote(text, safe="-._~")

    query = "&".join(f"{encode(name)}={encode(params[name])}" for name in sorted(params) if name != "sign")
    text = f"{method}\n{path}\n{query}\n{hashlib.sha256(file).hexdigest()}"
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


class Api:
    """Calls an application as a mobile client does: common parameters and signature are added."""

    def __init__(self, app: Flask, sms: RecordingSms, *, address: str | None = None) -> None:
        self.app = app
        self.sms = sms
        self.address = address or new_address()
        self.appkey, self.appsecret = APPKEY, APPSECRET

    @property
    def parts(self) -> Parts:
        parts: Parts = self.app.extensions[PARTS]
        return parts

    def cache_name(self, key: str) -> str:
        """Name of a cache entry in Redis now."""
        return self.parts.base.cache.memory.names([key])[0]

    def params(
        self,
        method: str,
        path: str,
        own: dict[str, Any],
        *,
        user: User | None = None,
        sign_method: str | None = None,
        file: bytes = b"",
        **common: str,
    ) -> dict[str, str]:
        """A request's parameters with the common ones, signed; ``common`` replaces some before signing."""
        params = {name: str(value) for name, value in own.items()}
        params |= {
            "appkey": self.appkey,
            "timestamp": str(time.time_ns() // 1_000_000),
            "nonce": _new_nonce(),
        }
        if user is not None:
            params |= {"userId": str(user.user_id), "token": user.token}
        if sign_method is not None:
            params["sign_method"] = sign_method
        params |= common
        if sign_method == "hmac-sha256":
            params["sign"] = hmac_sign(method, path, params, self.appsecret, file)
        else:
            params["sign"] = md5_sign(params, self.appsecret)
        return params

    def send(
        self,
        method: str,
        path: str,
        params: dict[str, str] | None = None,
        *,
        address: str | None = None,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> Answer:
        """Send parameters as they are: a query for GET, a form for POST. ``options`` go to Flask's test client."""
        if params is not None:
            options["query_string" if method == "GET" else "data"] = params
        response = self.app.test_client().open(
            path,
            method=method,
            headers=headers,
            environ_base={"REMOTE_ADDR": address or self.address},
            **options,
        )
        body = response.data
        if response.status_code in (429, 503) and path.startswith("/api/"):
            # OpenAPI promises it.
            assert int(response.headers["Retry-After"]) >= 1, response.headers
        contract_of(self.app).check(
            method, path.partition("?")[0], response.status_code, response.content_type or "", body
        )
        return Answer(response.status_code, response.get_json(silent=True), response.headers, body)

    def get(self, path: str, user: User | None = None, **own: Any) -> Answer:
        return self.send("GET", path, self.params("GET", path, own, user=user))

    def post(self, path: str, user: User | None = None, **own: Any) -> Answer:
        return self.send("POST", path, self.params("POST", path, own, user=user))

    def upload(self, path: str, user: User, data: bytes, *, filename: str = "file.bin", **own: Any) -> Answer:
        """A multipart request with one file, signed with hmac-sha256."""
        params: dict[str, Any] = self.params(
            "POST", path, own, user=user, sign_method="hmac-sha256", file=data
        )
        return self.send_file(path, params, data, filename=filename)

    def send_file(
        self, path: str, params: dict[str, Any], data: bytes, *, filename: str = "file.bin"
    ) -> Answer:
        """Send parameters, signed or not, and one file as they are."""
        # Encoded here: Flask's client puts what is larger into a temporary file, which it leaves open.
        boundary, body = encode_multipart({**params, "file": FileStorage(io.BytesIO(data), filename)})
        return self.send("POST", path, data=body, content_type=f"multipart/form-data; boundary={boundary}")

    def new_code(self, phone: str, purpose: str = "login") -> str:
        """Ask for a code and read it off the SMS."""
        self.post("/api/auth/sendsms", phone=phone, purpose=purpose).data  # noqa: B018 - asserts success
        return self.sms.last(f"+86{phone}" if not phone.startswith("+") else phone)

    def new_user(self, phone: str | None = None, **own: Any) -> User:
        """Register and log in over the protocol, from an address of its own."""
        phone = phone or new_phone()
        other = Api(self.app, self.sms)
        data = other.post("/api/auth/login", phone=phone, code=other.new_code(phone), **own).data
        return User(data["user_id"], data["token"], phone)


def settings_of(backend: Backend, data_dir: Path, **values: Any) -> Settings:
    """Settings on a test backend; ``values`` as ``SECTION_KEY=value``."""
    environ = {
        "DATABASE_URI": backend.database_uri,
        "REDIS_URI": backend.redis_uri,
        "REDIS_CACHE_URI": backend.cache_uri,
        "REDIS_QUEUE_URI": backend.queue_uri,
        "REDIS_TIMEOUT_S": REDIS_TIMEOUT_S,
        "APP_APPKEY": APPKEY,
        "APP_APPSECRET": APPSECRET,
        "SECURITY_SECRET_KEY": SECRET_KEY,
        "PAY_SANDBOX": "1",
        "LOG_ACCESS": "0",
    } | {name: str(value) for name, value in values.items()}
    return load_settings(None, data_dir, {f"DATINGTODAY_{name}": value for name, value in environ.items()})


def make_api(backend: Backend, data_dir: Path, **values: Any) -> Api:
    """A migrated application and its client."""
    settings = settings_of(backend, data_dir, **values)
    bring_up(settings.database.uri)
    sms = RecordingSms()
    return Api(create_app(settings, sms=sms), sms)


@pytest.fixture
def app_of(backend: Backend, tmp_path: Path) -> Callable[..., Api]:
    """Applications of its own for a test, on a backend of its own."""
    return lambda **values: make_api(backend, tmp_path, **values)


@pytest.fixture
def app_with_commands(
    app_of: Callable[..., Api], backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Api]:
    """Makes an application; the commands of this test use its database, Redis, data folder and settings, in English."""

    def made(**values: Any) -> Api:
        api = app_of(**values)
        for name, value in {
            **values,
            "DATABASE_URI": backend.database_uri,
            "REDIS_URI": backend.redis_uri,
            "REDIS_CACHE_URI": backend.cache_uri,
            "SECURITY_SECRET_KEY": api.parts.base.settings.security.secret_key,
            "DATA": str(api.parts.base.settings.data_dir),
        }.items():
            monkeypatch.setenv(f"DATINGTODAY_{name}", str(value))
        monkeypatch.setenv("LC_ALL", "C.UTF-8")
        return api

    return made


@pytest.fixture(scope="session")
def _shared_api(shared_backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    api = make_api(shared_backend, tmp_path_factory.mktemp("data"))
    yield api
    api.parts.base.database.dispose()


@pytest.fixture
def api(_shared_api: Api) -> Api:
    """A client with an address of its own."""
    return Api(_shared_api.app, _shared_api.sms)


@pytest.fixture(scope="session")
def _unlimited_api(
    shared_backend: Backend, _shared_api: Api, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    sms = RecordingSms()
    settings = settings_of(shared_backend, tmp_path_factory.mktemp("data"), LIMITS_ENABLED=0)
    api = Api(create_app(settings, sms=sms), sms)
    yield api
    api.parts.base.database.dispose()
    api.parts.base.guard_redis.close()


@pytest.fixture
def unlimited(_unlimited_api: Api) -> Api:
    """The same of an application without limits, for tests that need several codes for one number."""
    return Api(_unlimited_api.app, _unlimited_api.sms)
