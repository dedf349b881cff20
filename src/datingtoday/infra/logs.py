"""Structured logs: one JSON object a line on stderr, without secrets, phone numbers, tokens or codes."""

from __future__ import annotations

import io
import logging
import re
import sys
import threading
from collections.abc import Callable
from typing import Any

import orjson
import structlog

_HIDDEN_NAMES = (
    "token", "sign", "appsecret", "secret", "secret_key", "phone", "code_sent", "password", "uri", "open_id",
    "latlng", "authorization", "cookie",
)  # fmt: skip
_HIDDEN_KEYS = frozenset(_HIDDEN_NAMES)
_KEPT_KEYS = frozenset({"timestamp", "request_id", "trace_id", "level"})
"""Written by the logs themselves."""
_NUMBER = re.compile(r"(?<!\d)\+?\d(?:[ -]?\d){10,14}(?!\d)")
_TOKEN = re.compile(r"[0-9a-fA-F]{32,}")
# In a query, a form, JSON, or the text of a mapping.
_ASSIGNED = re.compile(
    r"\b(" + "|".join((*_HIDDEN_NAMES, "accessToken", "refreshToken")) + r")"
    r"""(['"]?\s*(?:=|%3[dD]|:)\s*)(?:"[^"]*"|'[^']*'|[^\s&'",;)}\]]+)""",
    re.IGNORECASE,
)
_CODE = re.compile(r"""\b(code['"]?\s*(?:=|%3[dD]|:)\s*['"]?)\d{6}(?!\d)""", re.IGNORECASE)
"""Sent by SMS, of six digits; error codes have fewer."""
_LOGIN_IN_URI = re.compile(r"://[^/\s@]*@")


class _Stderr(io.StringIO):
    """Standard error as it is when a line is written: loggers are kept for longer than a replaced stream lives."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


_STDERR = _Stderr()


def configure_logs(level: str = "info", report: Callable[[dict[str, Any]], None] | None = None) -> None:
    """Send structlog's and the standard library's records to stderr as JSON lines; safe to call again.

    So are warnings, and exceptions that nobody catches.

    :param level: ``debug``, ``info``, ``warning`` or ``error``.
    :param report: told of every record that has an exception; None: nobody is.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *([] if report is None else [_Reporting(report)]),
        structlog.processors.format_exc_info,
        hide_personal_data,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(serializer=_dump)],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=_STDERR),
        cache_logger_on_first_use=True,
    )
    handler = _Handler(_STDERR)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processor=structlog.processors.JSONRenderer(serializer=_dump)
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # What libraries say below a warning is theirs, not the operator's.
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


class _Reporting:
    """A processor that passes records with an exception on; a report that fails does not keep a line from the log."""

    def __init__(self, report: Callable[[dict[str, Any]], None]) -> None:
        self._report = report

    def __call__(self, _logger: Any, method: str, record: dict[str, Any]) -> dict[str, Any]:
        if record.get("exc_info") and method in ("error", "exception", "critical"):
            try:
                self._report(record)
            except Exception as error:
                record["report_failed"] = type(error).__name__
        return record


class _Handler(logging.StreamHandler[Any]):
    """Writes records; one that cannot be formatted is told by its place, and never as it is."""

    def handleError(self, record: logging.LogRecord) -> None:
        line = {
            "event": "log_record_malformed",
            "level": "error",
            "logger": record.name,
            "line": record.lineno,
        }
        self.stream.write(_dump(line) + self.terminator)


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    structlog.get_logger("uncaught").error("uncaught_error", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(failed: threading.ExceptHookArgs) -> None:
    error = failed.exc_value or failed.exc_type()
    name = None if failed.thread is None else failed.thread.name
    trace = (failed.exc_type, error, failed.exc_traceback)
    structlog.get_logger("uncaught").error("uncaught_error_in_thread", thread=name, exc_info=trace)


def hide_personal_data(_logger: Any, _method: str, record: dict[str, Any]) -> dict[str, Any]:
    """Mask values under telling keys, and whatever looks like a phone number or a token in any text.

    An exception's text can carry parameters of a statement or a request, so texts are searched as well, at any depth.
    """
    for key, value in record.items():
        # What the standard library hands over beside the text is read by nobody but the formatter.
        if key not in _KEPT_KEYS and not key.startswith("_"):
            record[key] = _hidden(key, value)
    return record


def _hidden(key: str, value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return "***" if key in _HIDDEN_KEYS and value is not None else value
    if key in _HIDDEN_KEYS:
        return "***"
    if isinstance(value, dict):
        return {mask(str(name)): _hidden(str(name).lower(), part) for name, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_hidden(key, part) for part in value]
    if isinstance(value, (bytes, bytearray)):
        return mask(bytes(value).decode("utf-8", "backslashreplace"))
    return mask(value if isinstance(value, str) else repr(value))


def mask(text: str) -> str:
    """A text without phone numbers, tokens, and values of parameters with telling names."""
    text = _LOGIN_IN_URI.sub("://***@", text)
    text = _CODE.sub(r"\1***", _ASSIGNED.sub(r"\1\2***", text))
    return _TOKEN.sub("<token>", _NUMBER.sub("<number>", text))


def _dump(record: dict[str, Any], **_options: Any) -> str:
    return orjson.dumps(record, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
