"""Signed requests in bulk, as a client of the articles signs them (md5)."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping
from urllib.parse import urlencode

from benchmarks.load import http_get

APPKEY = "BENCHKEY"
APPSECRET = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"


def signed_gets(path: str, own: Mapping[str, str], count: int) -> list[bytes]:
    """Signed requests, each with a nonce of its own; valid for a minute from now."""
    token = own.get("token", "")
    msg = "&".join(sorted(f"{name}={value}" for name, value in own.items() if name != "token"))
    timestamp = str(time.time_ns() // 1_000_000)
    fixed = urlencode({**own, "appkey": APPKEY, "timestamp": timestamp})
    made = []
    for _ in range(count):
        nonce = secrets.token_hex(6)
        sign = hashlib.md5(f"{msg}{token}{timestamp}{nonce}{APPSECRET}".encode()).hexdigest()
        made.append(http_get(f"{path}?{fixed}&nonce={nonce}&sign={sign}"))
    return made


def signed_posts(path: str, own: Mapping[str, str]) -> bytes:
    """One request with a form body; good for a minute from now."""
    params = {
        **own,
        "appkey": APPKEY,
        "timestamp": str(time.time_ns() // 1_000_000),
        "nonce": secrets.token_hex(6),
    }
    outside = {"appkey", "timestamp", "nonce", "token"}
    msg = "&".join(sorted(f"{name}={value}" for name, value in params.items() if name not in outside))
    text = msg + params.get("token", "") + params["timestamp"] + params["nonce"] + APPSECRET
    body = urlencode({**params, "sign": hashlib.md5(text.encode()).hexdigest()}).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
