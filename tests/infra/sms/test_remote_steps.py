"""The way to a vendor step by step: addresses, answers of every size and status, and deadlines. Nobody is contacted."""

from __future__ import annotations

import io
import json
import logging
import threading
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

from datingtoday.infra.config.providers import SmsSection
from datingtoday.infra.config.settings import ConfigError
from datingtoday.infra.sms import make as make_module
from datingtoday.infra.sms import remote
from datingtoday.infra.sms.provider import SmsFailed, SmsFailureKind
from datingtoday.infra.sms.remote import Endpoint, EndpointAdapter, call_within

HERE = Endpoint("https", "api.example.com")
UNAVAILABLE, SETTINGS = SmsFailureKind.UNAVAILABLE, SmsFailureKind.SETTINGS


class Raw(io.BytesIO):
    def read(self, size: int | None = -1, *, decode_content: bool = False) -> bytes:
        assert decode_content
        return super().read(size)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the address answer, or fail; the outcome of a request to it."""

    def ask(outcome: Any, status: int = 200, url: str = "https://API.example.com/?x=1") -> Any:
        def send(_: object, request: object, **options: Any) -> requests.Response:
            assert options == {"stream": True, "timeout": 3, "verify": True, "proxies": {}}
            if isinstance(outcome, Exception):
                raise outcome
            made = requests.Response()
            made.status_code, made.raw = status, Raw(outcome)
            return made

        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        monkeypatch.setattr(HTTPAdapter, "send", send)
        request = requests.Request("GET", url).prepare()
        proxies = {"https": "http://10.0.0.1"}
        try:
            return EndpointAdapter(HERE, "made-up").send(request, timeout=3, verify=False, proxies=proxies)
        except SmsFailed as failed:
            return failed.reason, failed.kind, failed.maybe_sent

    return ask


class TestAnswers:
    @pytest.mark.parametrize("size", [2, 64 * 1024])
    def test_up_to_64_kilobytes_are_read(self, answer: Any, size: int) -> None:
        body = b"{" + b" " * (size - 2) + b"}"
        found = answer(body)
        assert (found.status_code, found.raw.read()) == (200, body)

    def test_more_is_unreadable(self, answer: Any) -> None:
        body = b"{" + b" " * (64 * 1024 - 1) + b"}"
        assert answer(body) == ("unreadable_answer", UNAVAILABLE, True)

    @pytest.mark.parametrize("body", [b"", b"[]", b"1", b"{", b"\xff", b"[" * 30_000])
    def test_what_is_no_json_object_is_not_the_vendors(self, answer: Any, body: bytes) -> None:
        assert answer(body) == ("unreadable_answer", UNAVAILABLE, True)
        assert answer(body, 404) == ("http_404", SETTINGS, False)
        assert answer(body, 502) == ("http_502", UNAVAILABLE, True)

    @pytest.mark.parametrize(
        ("status", "is_redirect"), [(299, False), (300, True), (399, True), (400, False), (500, False)]
    )
    def test_redirects_are_mistakes_of_the_settings(
        self, answer: Any, status: int, is_redirect: bool
    ) -> None:
        found = answer(b"{}", status)
        if is_redirect:
            assert found == ("redirect", SETTINGS, False)
        else:
            assert found.status_code == status

    @pytest.mark.parametrize(
        "url",
        ["http://api.example.com/", "https://api.example.com:444/", "https://other.example.com/"],
    )
    def test_no_other_address_is_asked(self, answer: Any, url: str) -> None:
        assert answer(ZeroDivisionError(), url=url) == ("other_address", SETTINGS, False)

    @pytest.mark.parametrize(
        ("error", "reason", "kind", "maybe_sent"),
        [
            (requests.exceptions.SSLError(), "tls", SETTINGS, False),
            (requests.exceptions.ConnectTimeout(), "timeout", UNAVAILABLE, False),
            (requests.exceptions.ReadTimeout(), "timeout", UNAVAILABLE, True),
            (requests.exceptions.ConnectionError(), "connection_lost", UNAVAILABLE, True),
            (requests.exceptions.ConnectionError("x"), "connection_lost", UNAVAILABLE, True),
            (requests.exceptions.ChunkedEncodingError(), "connection_lost", UNAVAILABLE, True),
            (urllib3.exceptions.DecodeError(), "unreadable_answer", UNAVAILABLE, True),
            (urllib3.exceptions.ProtocolError(), "connection_lost", UNAVAILABLE, True),
            (OSError(), "connection_lost", UNAVAILABLE, True),
        ],
    )
    def test_what_goes_wrong_on_the_way(
        self, answer: Any, error: Exception, reason: str, kind: SmsFailureKind, maybe_sent: bool
    ) -> None:
        assert answer(error) == (reason, kind, maybe_sent)

    def test_one_that_never_connected_has_sent_nothing(self, answer: Any) -> None:
        pool: Any = None
        inner = urllib3.exceptions.MaxRetryError(
            pool, "/", urllib3.exceptions.NewConnectionError(pool, "refused")
        )
        error = requests.exceptions.ConnectionError(inner)
        assert answer(error) == ("connect", UNAVAILABLE, False)


class TestAddresses:
    @pytest.mark.parametrize(
        ("url", "origin"),
        [
            ("https://API.example.com", "https://api.example.com"),
            ("https://api.example.com:8443/", "https://api.example.com:8443"),
            ("http://localhost:1", "http://localhost:1"), ("http://127.3.2.1", "http://127.3.2.1"),
            ("http://[::1]:5", "http://[::1]:5"),
        ],
    )  # fmt: skip
    def test_those_that_are_taken(self, url: str, origin: str) -> None:
        assert Endpoint.from_settings("aliyun_endpoint", url).origin == origin

    @pytest.mark.parametrize("url", ["http://10.0.0.1", "http://example.com", "ftp://example.com", ""])
    def test_plain_http_is_for_this_machine(self, url: str) -> None:
        with pytest.raises(ConfigError) as caught:
            Endpoint.from_settings("aliyun_endpoint", url)
        assert (caught.value.en, caught.value.zh) == (
            "[SMS] aliyun_endpoint: http:// is allowed for loopback addresses only; use https://",
            "[SMS] aliyun_endpoint：http:// 仅允许用于本机回环地址，请使用 https://",
        )

    @pytest.mark.parametrize("rest", ["u@h", "h/x", "h?x", "h#x"])
    def test_nothing_but_scheme_host_and_port(self, rest: str) -> None:
        with pytest.raises(ConfigError) as caught:
            Endpoint.from_settings("aliyun_endpoint", f"https://{rest}")
        assert (caught.value.en, caught.value.zh) == (
            "[SMS] aliyun_endpoint: only scheme, host and port are allowed",
            "[SMS] aliyun_endpoint：只允许协议、主机和端口",
        )


class TestDeadline:
    def test_a_call_has_a_thread_of_its_own(self) -> None:
        thread = call_within(60, threading.current_thread)
        assert (thread.name, thread.daemon) == ("sms", True)
        with pytest.raises(ZeroDivisionError):
            call_within(60, lambda: 1 // 0)

    def test_one_that_does_not_end_is_left_behind(self) -> None:
        may_end = threading.Event()
        with pytest.raises(TimeoutError):
            call_within(0.01, lambda: may_end.wait(60))
        may_end.set()


def test_lines_of_the_http_library_lose_their_queries() -> None:
    for arguments, kept in (
        (("GET", "/?Phone=13812345678", 200, "a?b"), ("GET", "/", 200, "a")),
        ((), ()),
    ):
        record = logging.LogRecord("urllib3", logging.DEBUG, "pool.py", 1, "x", arguments, None)
        assert remote._without_queries(record) is True
        assert record.args == kept
    record = logging.LogRecord("urllib3", logging.DEBUG, "pool.py", 1, "x", ({"a": "b?c"},), None)
    assert remote._without_queries(record) is True
    assert json.dumps(record.args) == '{"a": "b?c"}'


@pytest.mark.parametrize(
    ("module", "is_told"),
    [
        ("tencentcloud.common", True), ("requests", True), ("urllib3.util", True), ("darabonba.core", True),
        ("json", False), ("x.requests", False), (None, False),
    ],
)  # fmt: skip
def test_a_module_of_something_else_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, module: str | None, is_told: bool
) -> None:
    def fail(_: object) -> None:
        raise ModuleNotFoundError(name=module)

    monkeypatch.setattr(make_module, "_tencent", fail)
    monkeypatch.setitem(make_module._NEEDED, "tencent", ())
    with pytest.raises(ConfigError if is_told else ModuleNotFoundError) as caught:
        make_module.make_sms_provider(SmsSection(provider="tencent"))
    if is_told:
        assert str(caught.value) == (
            "[SMS] provider: tencent is not installed; run `pip install -r requirements.txt` "
            "(or install datingtoday[tencent])"
        )
