"""Reports of unexpected errors to Sentry, made of log records with an exception; only if `[SENTRY] dsn` is set.

A report has the exception with its stack, the name of the log event, `request_id` and `trace_id`: no local variables,
no request, no breadcrumbs. Every text of it goes through the same mask as the logs.
"""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from typing import Any

from datingtoday.infra.config.reporting import SentrySection
from datingtoday.infra.logs import mask

Report = Callable[[dict[str, Any]], None]
_TAGS = ("event", "request_id", "trace_id", "job", "logger")
_KEPT = frozenset(
    {"event_id", "trace_id", "span_id", "request_id", "release", "platform", "timestamp", "sdk"}
)
FLUSH_S = 1.0


def reporter_of(section: SentrySection) -> Report | None:
    """Reports a log record; None if that is switched off."""
    if not section.dsn:
        return None
    _start(section)
    return _report


@cache
def _start(section: SentrySection) -> None:
    import sentry_sdk

    sentry_sdk.init(
        dsn=section.dsn,
        environment=section.environment,
        release=f"datingtoday@{version('datingtoday')}",
        # Nothing is observed by itself: not requests, not logging, not SQL; so there are no breadcrumbs and sessions.
        default_integrations=False,
        include_local_variables=False,
        include_source_context=False,
        max_request_body_size="never",
        before_send=_masked,
    )
    atexit.register(flush)


def flush() -> None:
    """Send what waits, for at most `FLUSH_S`; nothing where reports are off."""
    if _start.cache_info().currsize:
        import sentry_sdk

        sentry_sdk.flush(timeout=FLUSH_S)


def _report(record: dict[str, Any]) -> None:
    """Report a log record that has an exception; others are not reported."""
    found = record.get("exc_info")
    error = found[1] if isinstance(found, tuple) else found
    if error is True:
        error = sys.exc_info()[1]
    if not isinstance(error, BaseException):
        return
    import sentry_sdk

    with sentry_sdk.new_scope() as scope:
        for name in _TAGS:
            if record.get(name):
                scope.set_tag(name, str(record[name])[:200])
        scope.capture_exception(error)


def _masked(event: Any, _hint: object) -> Any:
    return _without_secrets("", event)


def _without_secrets(key: str, value: Any) -> Any:
    if isinstance(value, str):
        return value if key in _KEPT else mask(value)
    if isinstance(value, dict):
        return {name: _without_secrets(str(name), part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_secrets(key, part) for part in value]
    return value
