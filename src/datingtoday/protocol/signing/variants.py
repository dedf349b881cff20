"""Sets of parameters that were signed in place of those that were sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import combinations
from urllib.parse import quote, quote_plus

from datingtoday.infra.text import Text
from datingtoday.protocol.signing.attempts import SignedRequest
from datingtoday.protocol.signing.strings_to_sign import HMAC_SHA256, MD5

_MAX_PAIRED = 14
"""Parameters among which two may have been left out together."""
_CLOCK_READS_MS = 40
"""Difference of two readings of the clock within one request."""
_EMPTY_VALUES = ("", "null", "undefined", "None", "nil")
_ROUND = re.compile(r"[0-9]{1,15}\Z", re.ASCII)

Params = dict[str, str]
Variant = tuple[Params, Text]

SIGN_METHOD_LEFT_OUT = Text(
    "sign_method takes part in the signature like any parameter", "sign_method 和其他参数一样要参与签名"
)
ENCODERS: tuple[tuple[Callable[[str], str], str], ...] = (
    (quote, "Python quote"),
    (quote_plus, "quote_plus, Java URLEncoder, URLSearchParams"),
    (lambda text: quote(text, safe=""), "RFC 3986"),
    (lambda text: quote(text, safe="!'()*-._~"), "encodeURIComponent"),
)
"""Encoders of common libraries, for values that md5 signs as they are."""


def unsigned_parameters(request: SignedRequest) -> Iterator[Variant]:
    """Parameters that were sent and not signed: one, two, or all but a few."""
    sent = request.sent
    if "" in sent.values():
        yield (
            {name: value for name, value in sent.items() if value != ""},
            Text(
                "you left out empty values; they are signed as they stand",
                "你漏掉了空值参数；空值也要参与签名",
            ),
        )
    for count in (1, 2) if len(sent) <= _MAX_PAIRED else (1,):
        for left_out in combinations(sent, count):
            yield _without(sent, *left_out), _left_out(left_out)
    common = ("userId", "lang", "sign_method", "token", "appkey")
    for count in (3, 4, 5):
        for left_out in combinations([name for name in common if name in sent], count):
            yield _without(sent, *left_out), _left_out(left_out)


def unsent_parameters(request: SignedRequest) -> Iterator[Variant]:
    """Parameters that were signed and not sent: HTTP libraries drop null and empty values."""
    sent = request.sent
    absent = {name: default for name, default in request.declared.items() if name not in sent}
    absent |= {name: "" for name in ("lang", "token", "userId", "sign") if name not in sent}
    for name, default in absent.items():
        for value in dict.fromkeys((*_EMPTY_VALUES, default)):
            yield (
                {**sent, name: value},
                Text(
                    f"you signed {name}={value} but did not send it; sign exactly what is sent",
                    f"你对 {name}={value} 签名了，但没有发送它；签名的参数必须与发送的一致",
                ),
            )
    if "sign_method" not in sent:
        for method in (MD5, HMAC_SHA256):
            yield (
                {**sent, "sign_method": method},
                Text(
                    f"you signed sign_method={method} but did not send it",
                    f"你对 sign_method={method} 签名了，但没有发送它",
                ),
            )
    everything = Text(
        "you signed parameters without a value that were not sent; sign exactly what is sent",
        "你对没有值、也没有发送的参数签名了；签名的参数必须与发送的一致",
    )
    for value in _EMPTY_VALUES:
        yield {**dict.fromkeys(request.declared, value), **sent}, everything


def other_values(request: SignedRequest) -> Iterator[Variant]:
    """Values that were signed in another form than they were sent."""
    sent = request.sent
    timestamp = sent.get("timestamp", "")
    for other in _other_timestamps(timestamp):
        yield (
            {**sent, "timestamp": other},
            Text(
                "you signed another timestamp than you sent (seconds and milliseconds mixed up, or two clock reads?)",
                "签名用的 timestamp 与发送的不同（秒和毫秒混用，或取了两次时间？）",
            ),
        )
    trimmed = {name: value.strip() for name, value in sent.items()}
    if trimmed != sent:
        yield (
            trimmed,
            Text(
                "you signed trimmed values but sent them untrimmed", "你对去除首尾空白的值签名，却发送了原值"
            ),
        )
    for name, value in sent.items():
        if _ROUND.match(value) and name not in ("timestamp", "nonce"):
            yield (
                {**sent, name: f"{value}.0"},
                Text(
                    f"you signed {name} as a decimal number ({value}.0)",
                    f"你把 {name} 当作小数签名了（{value}.0）",
                ),
            )
        if value in ("0", "1"):
            for word in ("true", "True") if value == "1" else ("false", "False"):
                yield (
                    {**sent, name: word},
                    Text(
                        f"you signed {name}={word} but sent {value}",
                        f"你对 {name}={word} 签名，却发送了 {value}",
                    ),
                )


def encoded_values(request: SignedRequest) -> Iterator[Variant]:
    """Values that were signed URL-encoded, for md5, which signs them as they are."""
    for encode, _ in ENCODERS:
        yield (
            {name: encode(value) for name, value in request.sent.items()},
            Text(
                "you signed URL-encoded values; sign them as they are before encoding",
                "你对 URL 编码后的值签名了；应对编码前的原始值签名",
            ),
        )


def _other_timestamps(timestamp: str) -> Iterator[str]:
    whole = timestamp[:10]
    others = [whole, f"{whole}000", f"{timestamp}000"]
    if len(timestamp) == 13:
        others.append(f"{whole}.{timestamp[10:]}")
    if timestamp.isascii() and timestamp.isdigit():
        number = int(timestamp)
        reach = range(-_CLOCK_READS_MS, _CLOCK_READS_MS + 1) if len(timestamp) == 13 else (-1, 1)
        others += [str(number + step) for step in reach]
    return iter([other for other in dict.fromkeys(others) if other != timestamp])


def _left_out(names: tuple[str, ...]) -> Text:
    if names == ("sign_method",):
        return SIGN_METHOD_LEFT_OUT
    listed = ", ".join(names)
    return Text(
        f"you sent {listed} but left it out of the signature", f"你发送了 {listed}，但没有把它放进签名"
    )


def _without(params: Params, *names: str) -> Params:
    return {name: value for name, value in params.items() if name not in names}
