"""Structured logs: one JSON object a line on stderr, without secrets, phone numbers, tokens or codes."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

import orjson
import structlog

_HIDDEN_KEYS = frozenset(
    {"token", "sign", "appsecret", "secret", "secret_key", "phone", "code_sent", "password", "uri"}
)
_NUMBER = re.compile(r"(?<!\d)\+?\d{11,15}(?!\d)")
_TOKEN = re.compile(r"\b[0-9a-f]{32}\b|\b[0-9a-f]{64}\b")


def configure_logs(level: str = "info") -> None:
    """Send structlog's and the standard library's records to stderr as JSON lines; safe to call again.

    :param level: ``debug``, ``info``, ``warning`` or ``error``.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        hide_personal_data,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(serializer=_dump)],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processor=structlog.processors.JSONRenderer(serializer=_dump)
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # What libraries say below a warning is theirs, not the operator's.
    root.setLevel(logging.WARNING)


def hide_personal_data(_logger: Any, _method: str, record: dict[str, Any]) -> dict[str, Any]:
    """Mask values under telling keys, and whatever looks like a phone number or a token in any text.

    An exception's text can carry parameters of a statement or a request, so texts are searched as well.
    """
    for key, value in record.items():
        if key in _HIDDEN_KEYS and value is not None:
            record[key] = "***"
        elif isinstance(value, str) and key not in ("timestamp", "request_id", "level", "event"):
            record[key] = _TOKEN.sub("<token>", _NUMBER.sub("<number>", value))
    return record


def _dump(record: dict[str, Any], **_options: Any) -> str:
    return orjson.dumps(record, default=repr).decode()
