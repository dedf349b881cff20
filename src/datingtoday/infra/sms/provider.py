"""Interface of SMS providers, and the base class that times and logs each message."""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import structlog
from structlog.typing import FilteringBoundLogger

_log: FilteringBoundLogger = structlog.get_logger(__name__)

_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_CODE = re.compile(r"[0-9]{4,10}")
_PURPOSE = re.compile(r"[a-z_]{1,32}")
# A vendor's error code. Longer runs of digits are refused: a reason can carry neither number nor code.
_REASON = re.compile(r"(?!.*[0-9]{4})[A-Za-z][A-Za-z0-9._:-]{0,79}")


class SmsFailureKind(StrEnum):
    """Kinds of failure, by who can do something about it."""

    THROTTLED = "throttled"
    """The vendor's flow control; passes by itself."""
    NUMBER = "number"
    """The vendor does not serve this number; the person needs another one."""
    SETTINGS = "settings"
    """Keys, signature, template, balance or clock; the operator must act."""
    UNAVAILABLE = "unavailable"
    """Network, timeout, vendor out of order; passes by itself."""


class SmsFailed(Exception):
    """The message was not accepted, or it is unknown whether it was.

    `reason` is the vendor's own code (`isv.BUSINESS_LIMIT_CONTROL`), or one of ours for what happens on the
    way (`timeout`, `connect`, `tls`, `redirect`, `http_500`, `unreadable_answer`, …). Neither it nor any
    other part of this exception contains the number, the code or a secret.

    `maybe_sent` is True where the request had left and no clear answer came back: the message may still
    arrive, so the code should stay valid, and whoever can provoke it should not get messages without limit.
    """

    def __init__(
        self,
        provider: str,
        reason: str,
        kind: SmsFailureKind,
        *,
        maybe_sent: bool = False,
        request_id: str | None = None,
    ) -> None:
        self.provider = provider
        self.reason = reason if _REASON.fullmatch(reason) else "unknown"
        self.kind = kind
        self.maybe_sent = maybe_sent
        self.request_id = request_id
        super().__init__(f"SMS by {provider} failed: {self.reason}")

    @property
    def retryable(self) -> bool:
        """True if the same message may be accepted later without anybody changing anything."""
        return self.kind in (SmsFailureKind.THROTTLED, SmsFailureKind.UNAVAILABLE)


@dataclass(frozen=True, slots=True)
class SmsReceipt:
    """The vendor accepted the message; whether it reaches the telephone is not known yet."""

    provider: str
    message_id: str | None
    """The vendor's id of the message, for asking its support; None where there is none."""


class SmsProvider(Protocol):
    """Carries codes to telephones. One object serves all threads of a process."""

    name: str

    def send_code(self, phone: str, code: str, *, purpose: str, ttl_s: int) -> SmsReceipt:
        """Send once, never twice, and answer within the configured `[SMS] timeout_s`.

        `phone` in E.164 with the plus; `code` 4 to 10 ASCII digits; `purpose` as in the API (`login`, …);
        `ttl_s` how long the code works. Raises SmsFailed; ValueError for arguments of another form. Must not
        be called inside a database transaction. Sending the same code twice sends two messages.
        """
        ...


class LoggedSms(ABC):
    """Base of all providers: one log line for each message, with its duration, without number and code."""

    name: str

    def send_code(self, phone: str, code: str, *, purpose: str, ttl_s: int) -> SmsReceipt:
        """See SmsProvider."""
        # The messages do not repeat the values: they are a person's number and a secret.
        if _PHONE.fullmatch(phone) is None:
            raise ValueError("phone must be E.164, beginning with +")
        if _CODE.fullmatch(code) is None:
            raise ValueError("code must be 4 to 10 ASCII digits")
        if _PURPOSE.fullmatch(purpose) is None:
            raise ValueError("purpose must be a word of lower-case letters")
        if ttl_s <= 0:
            raise ValueError("ttl_s must be positive")
        started = time.monotonic()
        failure: SmsFailed | None = None
        message_id: str | None = None
        try:
            message_id = self._deliver(phone, code, purpose=purpose, ttl_s=ttl_s)
        except SmsFailed as error:
            failure = error
        except Exception as error:
            failure = SmsFailed(
                self.name, f"unexpected.{type(error).__name__}", SmsFailureKind.UNAVAILABLE, maybe_sent=True
            )
        log = _log.bind(
            provider=self.name, purpose=purpose, duration_ms=round((time.monotonic() - started) * 1000, 1)
        )
        if failure is None:
            message_id = _harmless(message_id, phone, code)
            log.info("sms_sent", message_id=message_id)
            return SmsReceipt(self.name, message_id)
        failure.request_id = _harmless(failure.request_id, phone, code)
        report = log.error if failure.kind is SmsFailureKind.SETTINGS else log.warning
        report(
            "sms_failed",
            reason=failure.reason,
            kind=failure.kind.value,
            maybe_sent=failure.maybe_sent,
            request_id=failure.request_id,
        )
        # What lies behind (URLs, requests, frames of the SDK) names number and code: cut it off, since
        # whoever reports exceptions would write it down.
        failure.__cause__ = failure.__context__ = None
        raise failure.with_traceback(None)

    @abstractmethod
    def _deliver(self, phone: str, code: str, *, purpose: str, ttl_s: int) -> str | None:
        """Send, once; the vendor's message id. Raises SmsFailed."""


def _harmless(vendor_id: str | None, phone: str, code: str) -> str | None:
    """The id, unless it contains what must not be logged."""
    if vendor_id is None or len(vendor_id) > 128 or not vendor_id.isprintable():
        return None
    # Seven digits: the shortest subscriber numbers, and more than enough to recognise a longer one.
    return None if phone[-7:] in vendor_id or code in vendor_id else vendor_id
