"""Messages of every provider: what is logged of one, what an answer's status means, what a terminal shows."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from datingtoday.infra.sms import provider as provider_module
from datingtoday.infra.sms.console import ConsoleSms
from datingtoday.infra.sms.provider import LoggedSms, SmsFailed, SmsFailureKind
from datingtoday.infra.sms.remote import http_failure
from tests.infra.sms.vendors import Aliyun, Tencent

PHONE, CODE = "+8613812345678", "918273"


class Provider(LoggedSms):
    """Answers with an id, or fails."""

    name = "made-up"

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome

    def _deliver(self, phone: str, code: str, *, purpose: str, ttl_s: int) -> str | None:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        given: str | None = self.outcome
        return given

    def send(self) -> str | None:
        return self.send_code(PHONE, CODE, purpose="login", ttl_s=1).message_id


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Log lines; each message takes a quarter of a second."""
    times = iter([10.0, 10.25] * 10)
    found: list[Any] = []

    def note(_logger: Any, method: str, record: Any) -> Any:
        found.append({**record, "level": method})
        raise structlog.DropEvent

    log = structlog.wrap_logger(structlog.PrintLogger(), processors=[note])
    monkeypatch.setattr(provider_module, "_log", log)
    monkeypatch.setattr(provider_module, "time", SimpleNamespace(monotonic=lambda: next(times)))
    return found


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("i" * 128, True), ("i" * 129, False), ("id\n", False), ("x2345678x", False), ("x345678x", True),
        (f"a{CODE}b", False), ("a91827b", True), (None, True),
    ],
)  # fmt: skip
def test_an_id_is_kept_unless_it_tells_number_or_code(
    lines: list[Any], given: str | None, kept: bool
) -> None:
    expected = given if kept else None
    assert Provider(given).send() == expected
    (line,) = lines
    assert (line["event"], line["message_id"], line["duration_ms"]) == ("sms_sent", expected, 250.0)
    assert (line["provider"], line["purpose"], line["level"]) == ("made-up", "login", "info")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, ""), ({"phone": "+1234567"}, ""), ({"phone": "+123456789012345"}, ""), ({"code": "1234"}, ""),
        ({"code": "1234567890"}, ""), ({"purpose": "a" * 32}, ""),
        ({"phone": "+123456"}, "phone"), ({"phone": "+1234567890123456"}, "phone"), ({"phone": "+0234567"}, "phone"),
        ({"phone": "13812345678"}, "phone"), ({"code": "123"}, "code"), ({"code": "12345678901"}, "code"),
        ({"code": "12a4"}, "code"), ({"purpose": ""}, "purpose"), ({"purpose": "a" * 33}, "purpose"),
        ({"purpose": "Login"}, "purpose"), ({"ttl_s": 0}, "ttl_s"), ({"ttl_s": -1}, "ttl_s"),
    ],
)  # fmt: skip
def test_arguments_of_another_form_are_a_mistake(lines: list[Any], change: Any, told: str) -> None:
    arguments = {"phone": PHONE, "code": CODE, "purpose": "login", "ttl_s": 1, **change}
    if not told:
        assert Provider("id").send_code(**arguments).message_id == "id"
        return
    with pytest.raises(ValueError, match=f"^{told} must be "):
        Provider("id").send_code(**arguments)
    assert lines == []


@pytest.mark.parametrize(
    ("kind", "level", "is_retryable"),
    [
        (SmsFailureKind.SETTINGS, "error", False), (SmsFailureKind.NUMBER, "warning", False),
        (SmsFailureKind.THROTTLED, "warning", True), (SmsFailureKind.UNAVAILABLE, "warning", True),
    ],
)  # fmt: skip
def test_a_failure_that_an_operator_must_mend_is_an_error(
    lines: list[Any], kind: SmsFailureKind, level: str, is_retryable: bool
) -> None:
    with pytest.raises(SmsFailed) as caught:
        Provider(SmsFailed("made-up", "isv.X", kind, request_id=f"r{CODE}")).send()
    failed = caught.value
    assert (failed.retryable, failed.maybe_sent, failed.request_id) == (is_retryable, False, None)
    assert (failed.__cause__, failed.__context__) == (None, None)
    (line,) = lines
    assert (line["event"], line["level"], line["kind"]) == ("sms_failed", level, kind.value)
    assert (line["reason"], line["maybe_sent"], line["request_id"]) == ("isv.X", False, None)


def test_an_exception_of_a_vendor_may_have_sent_the_message(lines: list[Any]) -> None:
    with pytest.raises(SmsFailed) as caught:
        Provider(KeyError(PHONE)).send()
    assert (caught.value.reason, caught.value.maybe_sent) == ("unexpected.KeyError", True)
    assert PHONE not in str(lines)


@pytest.mark.parametrize(
    ("status", "reason", "kind", "maybe_sent"),
    [
        (200, "unreadable_answer", SmsFailureKind.UNAVAILABLE, True),
        (399, "unreadable_answer", SmsFailureKind.UNAVAILABLE, True),
        (400, "http_400", SmsFailureKind.SETTINGS, False),
        (499, "http_499", SmsFailureKind.SETTINGS, False),
        (500, "http_500", SmsFailureKind.UNAVAILABLE, True),
        (599, "http_599", SmsFailureKind.UNAVAILABLE, True),
    ],
)
def test_an_answer_that_is_not_the_vendors(
    status: int, reason: str, kind: SmsFailureKind, maybe_sent: bool
) -> None:
    failed = http_failure("made-up", status)
    assert (failed.reason, failed.kind, failed.maybe_sent) == (reason, kind, maybe_sent)


@pytest.mark.parametrize(
    ("ttl_s", "shown"),
    [(1, "1 s"), (59, "59 s"), (60, "1 min"), (61, "61 s"), (300, "5 min"), (3600, "60 min")],
)
def test_the_terminal_shows_how_long_a_code_works(
    capfd: pytest.CaptureFixture[str], ttl_s: int, shown: str
) -> None:
    ConsoleSms().send_code(PHONE, CODE, purpose="login", ttl_s=ttl_s)
    assert f"login code {CODE} (valid {shown})\n" in capfd.readouterr().out


def test_sdks_write_down_nothing_of_a_request(aliyun: Aliyun, tencent: Tencent) -> None:
    sdks = ("darabonba-core", "alibabacloud-tea", "credentials", "tencentcloud_sdk_common")
    loggers = {name: logging.getLogger(name) for name in (*sdks, "urllib3.connectionpool")}
    for logger in loggers.values():
        # As in a process in which nobody has made a provider yet.
        logger.filters.clear()
    aliyun.provider()
    tencent.provider()
    for name in sdks:
        record = logging.LogRecord(name, logging.ERROR, "sdk.py", 1, "POST %s", (CODE,), None)
        assert not loggers[name].filter(record)
    arguments = ("GET", f"/?PhoneNumbers={PHONE}&TemplateParam={CODE}", 200)
    record = logging.LogRecord("urllib3", logging.DEBUG, "pool.py", 1, '"%s %s" %s', arguments, None)
    assert loggers["urllib3.connectionpool"].filter(record)
    assert record.getMessage() == '"GET /" 200'
