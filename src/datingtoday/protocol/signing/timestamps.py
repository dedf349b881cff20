"""The ``timestamp`` and ``nonce`` parameters: their forms, and the window in which a request is fresh."""

from __future__ import annotations

import re
from collections.abc import Callable

from datingtoday.infra.text import Text

_TIMESTAMP = re.compile(r"(?:([0-9]{13})|([0-9]{10})(?:\.([0-9]{1,9}))?)\Z", re.ASCII)
_NONCE = re.compile(r"[A-Za-z0-9_-]{4,64}\Z", re.ASCII)

TIMESTAMP_ALLOWED = Text(
    "Unix time as 13 digits (ms), 10 digits (s), or 10 digits, a point and 1 to 9 digits",
    "Unix 时间：13 位数字（毫秒）、10 位数字（秒），或 10 位数字加小数点加 1 到 9 位数字",
)
NONCE_ALLOWED = Text(
    "4 to 64 of A-Z a-z 0-9 _ -, new for every request", "4 到 64 个字符 A-Z a-z 0-9 _ -，每次请求都不同"
)


Clock = Callable[[], int]
"""Nanoseconds since the epoch, as `time.time_ns` gives them."""


def timestamp_ms(text: str) -> int | None:
    """Epoch milliseconds, rounded down; None if the text is not a timestamp."""
    match = _TIMESTAMP.match(text)
    if match is None:
        return None
    milliseconds, seconds, fraction = match.groups()
    if milliseconds is not None:
        return int(milliseconds)
    return int(seconds) * 1000 + int((fraction or "")[:3].ljust(3, "0"))


def is_nonce(text: str) -> bool:
    return _NONCE.match(text) is not None
