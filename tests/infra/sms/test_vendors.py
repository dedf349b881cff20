"""Contract of both vendors' providers, against stand-ins that verify signatures."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import traceback
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from datingtoday.infra.sms.make import make_sms_provider
from datingtoday.infra.sms.provider import SmsFailed, SmsFailureKind, SmsProvider
from tests.infra.sms.conftest import CODE, PHONE, Contacts
from tests.infra.sms.vendors import SIGN, Sent, Vendor
from tests.stand_ins.http_server import PATIENCE_S, Answer, Drip, Hang, Hangup, Misbehaviour

HTML = {"Content-Type": "text/html"}
JSON = {"Content-Type": "application/json"}
GZIP = JSON | {"Content-Encoding": "gzip"}
SUCCESS = b'{"Code":"OK","Response":{"SendStatusSet":[{"Code":"Ok"}]}}'
# Far above the time that a vendor gets, because the machine may be busy; who waits for the stand-in waits longer.
BOUND_S = PATIENCE_S - 1


def send(provider: SmsProvider, phone: str = PHONE, code: str = CODE) -> Any:
    return provider.send_code(phone, code, purpose="login", ttl_s=300)


def failure(provider: SmsProvider) -> SmsFailed:
    started = time.monotonic()
    with pytest.raises(SmsFailed) as caught:
        send(provider)
    assert time.monotonic() - started < BOUND_S
    return caught.value


@pytest.mark.parametrize("phone", [PHONE, "+85251234567", "+12025550143", "+886912345678", "+491701234567"])
def test_delivers_number_signature_template_and_code(vendor: Vendor, phone: str) -> None:
    settings = vendor.settings()
    receipt = send(make_sms_provider(settings), phone)
    template = settings.aliyun_template_code or settings.tencent_template_id
    assert vendor.sent() == [Sent(vendor.number(phone), SIGN, template, CODE)]
    assert receipt.provider == vendor.name
    assert receipt.message_id


def test_leading_zeros_of_a_code_stay(vendor: Vendor) -> None:
    send(vendor.provider(), code="000042")
    assert vendor.sent()[0].code == "000042"


def test_a_success_is_logged_with_its_duration(vendor: Vendor, logged: list[Any]) -> None:
    receipt = send(vendor.provider())
    (event,) = logged
    assert event.pop("duration_ms") > 0
    assert event == {
        "event": "sms_sent",
        "log_level": "info",
        "provider": vendor.name,
        "purpose": "login",
        "message_id": receipt.message_id,
    }


def test_wrong_secret_is_refused(vendor: Vendor, logged: list[Any]) -> None:
    error = failure(make_sms_provider(vendor.with_wrong_secret()))
    assert (error.provider, error.reason) == (vendor.name, vendor.wrong_secret)
    assert (error.kind, error.retryable, error.maybe_sent) == (SmsFailureKind.SETTINGS, False, False)
    assert vendor.sent() == []
    (event,) = logged
    assert event.pop("duration_ms") > 0
    assert event == {
        "event": "sms_failed",
        "log_level": "error",
        "provider": vendor.name,
        "purpose": "login",
        "reason": vendor.wrong_secret,
        "kind": "settings",
        "maybe_sent": False,
        "request_id": error.request_id,
    }
    assert error.request_id


def test_wrong_clock_is_refused(vendor: Vendor) -> None:
    reason, age_s = vendor.too_old
    vendor.stand_in.clock = lambda: time.time() + age_s  # type: ignore[attr-defined]
    error = failure(vendor.provider())
    assert (error.reason, error.kind) == (reason, SmsFailureKind.SETTINGS)
    assert vendor.sent() == []


def test_wrong_template_and_signature_name_are_refused(vendor: Vendor) -> None:
    for key in ("sign_name", "template_code" if vendor.name == "aliyun" else "template_id"):
        error = failure(vendor.provider(**{f"{vendor.name}_{key}": "another"}))
        assert (error.kind, error.retryable, error.maybe_sent) == (SmsFailureKind.SETTINGS, False, False)
    assert vendor.sent() == []


@pytest.mark.parametrize(
    ("misbehaviour", "reason", "kind", "maybe_sent"),
    [
        (Answer(500, b"<html>", HTML), "http_500", "unavailable", True),
        (Answer(502, b"", HTML), "http_502", "unavailable", True),
        (Answer(503, b"busy"), "http_503", "unavailable", True),
        (Answer(404, b"<html>", HTML), "http_404", "settings", False),
        (Answer(200, b"", JSON), "unreadable_answer", "unavailable", True),
        (Answer(200, b"\xff\xfe{", JSON), "unreadable_answer", "unavailable", True),
        (Answer(200, b"not json", JSON), "unreadable_answer", "unavailable", True),
        (Answer(200, b"[]", JSON), "unreadable_answer", "unavailable", True),
        (Answer(200, b"{}", JSON), "unreadable_answer", "unavailable", True),
        (Answer(200, b'{"Response":{}}', JSON), "unreadable_answer", "unavailable", True),
        (Answer(200, b'{"Response":[]}', JSON), "unreadable_answer", "unavailable", True),
        (Answer(200, b'{"Code":1}', JSON), "unreadable_answer", "unavailable", True),
        (
            Answer(200, b'{"Response":{"SendStatusSet":[{"Code":7}]}}', JSON),
            "unreadable_answer",
            "unavailable",
            True,
        ),
        (Answer(200, b'{"Response":{"Error":{}}}', JSON), "unreadable_answer", "unavailable", True),
        (Answer(200, b"[" * 50_000, JSON), "unreadable_answer", "unavailable", True),
        (Answer(200, SUCCESS + b" " * 200_000, JSON), "unreadable_answer", "unavailable", True),
        (Answer(200, b"no gzip", GZIP), "unreadable_answer", "unavailable", True),
        (Hang(), "timeout", "unavailable", True),
        (Drip(), "timeout", "unavailable", True),
        (Hangup(), "connection_lost", "unavailable", True),
    ],
    ids=lambda value: value.body[:30].decode(errors="replace") if isinstance(value, Answer) else None,
)
def test_what_can_happen_on_the_way(
    vendor: Vendor, misbehaviour: Misbehaviour, reason: str, kind: str, maybe_sent: bool
) -> None:
    provider = vendor.provider()
    vendor.stand_in.misbehave = misbehaviour
    error = failure(provider)
    assert (error.provider, error.reason, error.kind.value) == (vendor.name, reason, kind)
    assert error.maybe_sent is maybe_sent
    assert error.retryable is (kind == "unavailable")
    # A second request could have been a second message.
    assert len(vendor.stand_in.requests) == 1
    vendor.stand_in.misbehave = None
    send(provider)
    assert len(vendor.sent()) == 1


def test_an_answer_that_unpacks_to_much_costs_no_memory(vendor: Vendor) -> None:
    provider = vendor.provider(timeout_s=20)
    vendor.stand_in.misbehave = Answer(200, gzip.compress(SUCCESS + b" " * 50_000_000), GZIP)
    tracemalloc.start()
    try:
        with pytest.raises(SmsFailed) as caught:
            send(provider)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
    assert caught.value.reason == "unreadable_answer"


def test_connection_refused(vendor: Vendor, contacts: Contacts) -> None:
    provider = vendor.provider()
    vendor.stand_in.close()
    error = failure(provider)
    assert contacts.connects == 1
    assert (error.reason, error.kind, error.maybe_sent) == ("connect", SmsFailureKind.UNAVAILABLE, False)


def test_a_kept_connection_that_died_sends_nothing_twice(vendor: Vendor) -> None:
    provider = vendor.provider()
    send(provider)
    vendor.stand_in.misbehave = Hangup()
    failure(provider)
    assert len(vendor.stand_in.requests) == 2


def test_a_resolver_that_does_not_answer(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = vendor.provider(**{f"{vendor.name}_endpoint": "https://sms.invalid"})
    asked, released = threading.Event(), threading.Event()

    def stuck(*_: Any, **__: Any) -> Any:
        asked.set()
        released.wait(PATIENCE_S)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", stuck)
    error = failure(provider)
    assert asked.is_set()
    assert (error.reason, error.kind) == ("timeout", SmsFailureKind.UNAVAILABLE)
    released.set()
    wait_until(lambda: not sms_threads())


def test_threads_that_were_left_behind_end(vendor: Vendor) -> None:
    provider = vendor.provider()
    vendor.stand_in.misbehave = Drip()
    failure(provider)
    assert sms_threads()
    vendor.stand_in.close()
    wait_until(lambda: not sms_threads())


def sms_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "sms"]


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def test_an_unexpected_exception_is_a_failure_too(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = vendor.provider()

    def broken(*_: Any) -> Any:
        raise KeyError(f"{PHONE} {CODE}")

    monkeypatch.setattr(provider, "_request", broken)
    error = failure(provider)
    assert (error.reason, error.retryable, error.maybe_sent) == ("unexpected.KeyError", True, True)
    assert_clean(error)


def test_no_failure_carries_number_or_code(vendor: Vendor) -> None:
    # The stand-ins repeat the request in this error's message, as the vendors do.
    assert_clean(failure(make_sms_provider(vendor.with_wrong_secret())))
    vendor.stand_in.misbehave = Hangup()
    assert_clean(failure(vendor.provider()))


def assert_clean(error: SmsFailed) -> None:
    told = traceback.TracebackException.from_exception(error, capture_locals=False)
    written = "".join(told.format()) + repr(vars(error)) + str(error) + repr(error)
    assert PHONE[3:] not in written
    assert CODE not in written
    assert error.__context__ is None
    assert error.__cause__ is None
    # Tools that report exceptions show the variables of each frame: none of the SDK may be left.
    frames = [frame.name for frame in told.stack]
    assert frames[-1] == "send_code"
    assert not {"_request", "_deliver", "run"} & set(frames)


@pytest.mark.parametrize("code", [PHONE, f"isv.{PHONE[3:]}", f"E{CODE}", "two words", "x" * 200, "坏"])
def test_a_code_of_the_vendor_that_is_none(vendor: Vendor, code: str) -> None:
    vendor.refuse(code, "")
    error = failure(vendor.provider())
    assert (error.reason, error.retryable) == ("unknown", False)


def test_ids_of_the_vendor_that_contain_number_or_code_are_dropped(aliyun: Any, tencent: Any) -> None:
    for bad in (f"{PHONE[3:]}^0", f"no-{CODE}", "a\nb", "x" * 129):
        aliyun.stand_in.misbehave = Answer.of_json(200, {"Code": "OK", "BizId": bad})
        assert send(aliyun.provider()).message_id is None
        aliyun.stand_in.misbehave = Answer.of_json(400, {"Code": "InternalError", "RequestId": bad})
        assert failure(aliyun.provider()).request_id is None
        status = {"Code": "Ok", "SerialNo": bad}
        tencent.stand_in.misbehave = Answer.of_json(200, {"Response": {"SendStatusSet": [status]}})
        assert send(tencent.provider()).message_id is None


def test_many_threads_share_one_provider(vendor: Vendor) -> None:
    provider = vendor.provider(timeout_s=20)
    codes = [f"{number:06d}" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        receipts = list(pool.map(lambda code: send(provider, code=code), codes))
    assert sorted(message.code for message in vendor.sent()) == codes
    assert len({receipt.message_id for receipt in receipts}) == len(codes)


@pytest.mark.parametrize(
    ("phone", "code", "purpose", "ttl_s"),
    [
        ("18922986865", CODE, "login", 300),
        ("+86 189 2298 6865", CODE, "login", 300),
        ("+8618922986865\n", CODE, "login", 300),
        ("+٨٦١٨٩٢٢٩٨٦٨٦٥", CODE, "login", 300),
        ("+", CODE, "login", 300),
        (PHONE, "12a456", "login", 300),
        (PHONE, "123456\n", "login", 300),
        (PHONE, "", "login", 300),
        (PHONE, CODE, "Login now", 300),
        (PHONE, CODE, "login", 0),
    ],
)
def test_arguments_of_another_form(vendor: Vendor, phone: str, code: str, purpose: str, ttl_s: int) -> None:
    with pytest.raises(ValueError, match="must be") as caught:
        vendor.provider().send_code(phone, code, purpose=purpose, ttl_s=ttl_s)
    assert PHONE[3:] not in str(caught.value)
    assert vendor.stand_in.requests == []
