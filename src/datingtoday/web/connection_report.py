"""Report on how a request arrived, for `datingtoday doctor`: peer, client address, forwarding headers.

Given by ``/healthz`` to whoever proves to know `[SECURITY] secret_key`, from any address: the doctor asks through the
public address, where a proxy stands in between.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any

PATH = "/healthz"
HEADER = "X-Datingtoday-Doctor"
MAX_AGE_S = 600
"""Generous: a wrong clock is one of the things that the doctor looks for."""
_PROOF = re.compile(r"([0-9]{1,12})\.([0-9a-f]{16})\.([0-9a-f]{64})\Z", re.ASCII)
_FORWARDING = {"X-Forwarded-For": "HTTP_X_FORWARDED_FOR", "Forwarded": "HTTP_FORWARDED"}
_MAX_HEADER_CHARS = 500


def proof(secret_key: bytes, now_s: int, nonce: str) -> str:
    """The header's value. :param nonce: 16 hex digits."""
    return f"{now_s}.{nonce}.{_digest(secret_key, now_s, nonce)}"


def is_proved(secret_key: bytes, header: str, now_s: float) -> bool:
    """True if the header was made with this key, at most `MAX_AGE_S` ago or ahead."""
    found = _PROOF.match(header)
    if found is None or not secret_key:
        return False
    made_at_s = int(found[1])
    expected = _digest(secret_key, made_at_s, found[2])
    return hmac.compare_digest(expected, found[3]) and abs(now_s - made_at_s) <= MAX_AGE_S


def report(environ: Mapping[str, Any], address: str, *, trusted: bool) -> dict[str, Any]:
    """The report. :param address: the client's, as limits count it. :param trusted: the peer is a trusted proxy."""
    return {
        "peer": str(environ.get("REMOTE_ADDR") or "unix"),
        "address": address,
        "trusted": trusted,
        "forwarding": {
            name: str(environ[variable])[:_MAX_HEADER_CHARS]
            for name, variable in _FORWARDING.items()
            if environ.get(variable)
        },
    }


def _digest(secret_key: bytes, now_s: int, nonce: str) -> str:
    message = f"datingtoday doctor|{now_s}|{nonce}".encode()
    return hmac.new(secret_key, message, hashlib.sha256).hexdigest()
