"""Base of the providers that are called over the network.

The vendors' SDKs follow redirects, take proxies and logins from the environment, log whole requests when
asked to, and wait without a bound for name resolution or for an answer that drips in. Here they get a
connection that reaches the configured endpoint and nothing else, and a deadline for everything together.
"""

from __future__ import annotations

import io
import ipaddress
import json
import logging
import os
import queue
import threading
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from datingtoday.infra.config.settings import ConfigError
from datingtoday.infra.sms.provider import LoggedSms, SmsFailed, SmsFailureKind

T = TypeVar("T")

MAX_ANSWER_BYTES = 64 * 1024
"""Vendors answer with less than 1 KiB."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Address of a vendor's API: `scheme://netloc`, no path."""

    scheme: str
    netloc: str

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.netloc}"

    @classmethod
    def from_settings(cls, key: str, url: str) -> Endpoint:
        """Parse `[SMS] <key>`; ConfigError unless it is https:// (http:// for loopback) and a bare host."""
        parts = urlsplit(url)
        if parts.username is not None or parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ConfigError(
                f"[SMS] {key}: only scheme, host and port are allowed",
                f"[SMS] {key}：只允许协议、主机和端口",
            )
        if parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
            raise ConfigError(
                f"[SMS] {key}: http:// is allowed for loopback addresses only; use https://",
                f"[SMS] {key}：http:// 仅允许用于本机回环地址，请使用 https://",
            )
        return cls(parts.scheme, parts.netloc.lower())


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class EndpointAdapter(HTTPAdapter):
    """Speaks to one endpoint: no proxies, no redirects, no second attempt, short JSON answers only.

    Raises SmsFailed for everything that goes wrong on the way. What it returns is a JSON object, with a
    status below 300 or from 400 on.
    """

    def __init__(self, endpoint: Endpoint, provider: str) -> None:
        self._endpoint = endpoint
        self._provider = provider
        super().__init__(max_retries=0)

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        target = urlsplit(request.url or "")
        if (target.scheme, target.netloc.lower()) != (self._endpoint.scheme, self._endpoint.netloc):
            raise self._failed("other_address", SmsFailureKind.SETTINGS)
        # As OpenSSL's programs do; otherwise the certificates that come with `certifi`.
        authorities = os.environ.get("SSL_CERT_FILE") or True
        try:
            response = super().send(request, stream=True, timeout=timeout, verify=authorities, proxies={})
            # One byte more than allowed, to see that there is more.
            body = response.raw.read(MAX_ANSWER_BYTES + 1, decode_content=True)
        except requests.exceptions.SSLError:
            raise self._failed("tls", SmsFailureKind.SETTINGS) from None
        except requests.exceptions.ConnectTimeout:
            raise self._failed("timeout", SmsFailureKind.UNAVAILABLE) from None
        except (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError):
            raise self._failed("timeout", SmsFailureKind.UNAVAILABLE, maybe_sent=True) from None
        except requests.exceptions.ConnectionError as error:
            if _never_connected(error):
                raise self._failed("connect", SmsFailureKind.UNAVAILABLE) from None
            raise self._failed("connection_lost", SmsFailureKind.UNAVAILABLE, maybe_sent=True) from None
        except urllib3.exceptions.DecodeError:
            raise self._failed("unreadable_answer", SmsFailureKind.UNAVAILABLE, maybe_sent=True) from None
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError):
            raise self._failed("connection_lost", SmsFailureKind.UNAVAILABLE, maybe_sent=True) from None
        if len(body) > MAX_ANSWER_BYTES:
            response.close()
            raise self._failed("unreadable_answer", SmsFailureKind.UNAVAILABLE, maybe_sent=True)
        status = response.status_code
        if 300 <= status < 400:
            raise self._failed("redirect", SmsFailureKind.SETTINGS)
        if not _is_json_object(body):
            raise http_failure(self._provider, status)
        response.raw = io.BytesIO(body)
        return response

    def _failed(self, reason: str, kind: SmsFailureKind, *, maybe_sent: bool = False) -> SmsFailed:
        return SmsFailed(self._provider, reason, kind, maybe_sent=maybe_sent)


def http_failure(provider: str, status: int) -> SmsFailed:
    """The failure for an answer that is not the vendor's own, by its HTTP status."""
    if 400 <= status < 500:
        # Nobody's API here: a wrong endpoint, or a firewall.
        return SmsFailed(provider, f"http_{status}", SmsFailureKind.SETTINGS)
    # A gateway in front of the vendor may give up (5xx) on a message that was passed on.
    reason = f"http_{status}" if status >= 500 else "unreadable_answer"
    return SmsFailed(provider, reason, SmsFailureKind.UNAVAILABLE, maybe_sent=True)


def _never_connected(error: requests.exceptions.ConnectionError) -> bool:
    inner = error.args[0] if error.args else None
    return isinstance(getattr(inner, "reason", None), urllib3.exceptions.NewConnectionError)


def _is_json_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False


def endpoint_session(endpoint: Endpoint, provider: str) -> requests.Session:
    """A session that can reach nothing but the endpoint, and takes nothing from the environment."""
    session = requests.Session()
    # Otherwise proxies, and a login from ~/.netrc in place of the signature.
    session.trust_env = False
    session.adapters.clear()
    for scheme in ("http://", "https://"):
        session.mount(scheme, EndpointAdapter(endpoint, provider))
    return session


def keep_out_of_logs(*names: str) -> None:
    """Silence SDK loggers that write whole requests (number, code, signature); idempotent.

    A filter rather than a level: levels are set anew by whoever configures logging later. urllib3 writes the
    addresses that it visits, and in Aliyun's the query holds number and code: its lines lose the queries.
    """
    for name in names:
        logging.getLogger(name).addFilter(_nothing)
    logging.getLogger("urllib3.connectionpool").addFilter(_without_queries)


def _nothing(record: logging.LogRecord) -> bool:
    return False


def _without_queries(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(
            value.partition("?")[0] if isinstance(value, str) else value for value in record.args
        )
    return True


def call_within(timeout_s: float, call: Callable[[], T]) -> T:
    """Run `call` in a thread of its own; TimeoutError if it has not ended after `timeout_s` seconds.

    The thread is then left behind; it ends with its own socket timeouts or name resolution. Only so is there
    a bound: socket timeouts count each read by itself, and none covers the resolver.
    """
    outcome: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put((call(), None))
        except BaseException as error:
            outcome.put((None, error))

    threading.Thread(target=run, name="sms", daemon=True).start()
    try:
        value, error = outcome.get(timeout=timeout_s)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return value  # type: ignore[return-value]  # a T unless there was an error


class RemoteSms(LoggedSms):
    """Base of the vendors' providers. `timeout_s` bounds the whole of `send_code`."""

    def __init__(self, endpoint: Endpoint, timeout_s: float) -> None:
        self._endpoint = endpoint
        self._timeout_s = timeout_s

    def _deliver(self, phone: str, code: str, *, purpose: str, ttl_s: int) -> str | None:
        try:
            return call_within(self._timeout_s, lambda: self._request(phone, code))
        except TimeoutError:
            raise SmsFailed(self.name, "timeout", SmsFailureKind.UNAVAILABLE, maybe_sent=True) from None

    @abstractmethod
    def _request(self, phone: str, code: str) -> str | None:
        """One request by the SDK; the vendor's message id. Raises SmsFailed."""
