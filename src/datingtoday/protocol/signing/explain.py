"""Explains a wrong signature to a developer on the same machine: what the server signed, and the likely mistake."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from marshmallow import Schema
from marshmallow.fields import Field

from datingtoday.infra.text import Text
from datingtoday.protocol.signing.attempts import SignedRequest, find_mistake
from datingtoday.protocol.signing.hmac_mistakes import hmac_attempts
from datingtoday.protocol.signing.md5_mistakes import md5_attempts
from datingtoday.protocol.signing.strings_to_sign import (
    HMAC_SHA256,
    MD5,
    SIGN_LENGTHS,
    hmac_string,
    md5_strings,
)

MASKED_SECRET = "<appsecret>"  # noqa: S105 - this is what stands in place of a secret

_HEX = re.compile(r"[0-9A-Fa-f]+\Z", re.ASCII)
_SECRET_SENT = Text(
    "you sent the appsecret as a parameter: it signs and is never sent; choose another, this one is known now",
    "你把 appsecret 当参数发送了：它只用于签名，不能发送；请更换，它已经泄露",
)
_UNKNOWN = Text(
    "none of the usual mistakes fits: compare string_to_sign with yours byte by byte; if they are the same, your "
    "appsecret is not this appkey's (white space around it was tried). `datingtoday sign explain --string` compares",
    "不属于常见错误：请把 string_to_sign 与你的逐字节比较；如果相同，说明你的 appsecret 不是这个 appkey 的"
    "（已排除首尾空白）。可用 `datingtoday sign explain --string` 比较",
)
SAME_STRING = Text(
    "your string is right, so the secret or the hash is wrong: the appsecret must be this appkey's",
    "你的待签名字符串正确，所以是密钥或哈希不对：appsecret 必须是这个 appkey 的",
)


def explain(request: SignedRequest, secrets: Sequence[str], *, sign_method: str, lang: str) -> dict[str, str]:
    """``data`` of the error: ``string_to_sign`` with the secret masked, and ``hint``."""
    string = right_string(request, sign_method)
    hint = likely_mistake(request, secrets, sign_method) or _UNKNOWN
    return {"string_to_sign": _masked(string, secrets), "hint": hint.within(lang)}


def right_string(request: SignedRequest, sign_method: str) -> str:
    """The string to sign; of md5 the first of its forms, with the secret masked."""
    if sign_method == HMAC_SHA256:
        return hmac_string(request.method, request.path, request.params, request.file_sha256)
    return next(iter(md5_strings(request.params, MASKED_SECRET)))


def likely_mistake(request: SignedRequest, secrets: Sequence[str], sign_method: str) -> Text | None:
    """The mistake that leads to the request's signature; None if no usual one does."""
    given = request.params["sign"].lower()
    for secret in secrets:
        if secret in request.params.values():
            return _SECRET_SENT
        is_hmac = sign_method == HMAC_SHA256
        attempts = hmac_attempts(request, secret) if is_hmac else md5_attempts(request, secret)
        if (found := find_mistake(attempts, given, "sha256" if is_hmac else "md5")) is not None:
            return found
    return None


def compare_strings(request: SignedRequest, secrets: Sequence[str], sign_method: str, own: str) -> Text:
    """First difference between a developer's own string and the right one, or that the secret is wrong.

    :param own: with or without the secret at its end, which may be masked.
    """
    for secret in (MASKED_SECRET, *secrets):
        own = own.removesuffix(secret)
    if sign_method == HMAC_SHA256:
        rights = [right_string(request, sign_method)]
    else:
        rights = list(md5_strings(request.params, ""))
    if own in rights:
        return SAME_STRING
    nearest = max(rights, key=lambda right: _same_chars(right, own))
    at = _same_chars(nearest, own)
    # A mask is not as long as what it stands for: the difference is elsewhere in what is shown.
    shown, mine = _masked(nearest, secrets), _masked(own, secrets)
    start = _same_chars(shown, mine)
    wanted, found = shown[start : start + 20], mine[start : start + 20]
    return Text(
        f"your string differs from character {at + 1} on: it has {found!r}, right is {wanted!r}",
        f"你的待签名字符串从第 {at + 1} 个字符起不同：你的是 {found!r}，应为 {wanted!r}",
    )


def _same_chars(one: str, other: str) -> int:
    """Length of their common beginning."""
    return next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _masked(string: str, secrets: Sequence[str]) -> str:
    """Without the secrets that a client may have sent among its parameters, however they are encoded there."""
    for secret in secrets:
        for form in {secret, quote(secret, safe="-._~")}:
            string = string.replace(form, MASKED_SECRET)
    return string


def declared_params(schema: Schema | None) -> dict[str, str]:
    """Names of an endpoint's own parameters, with the values that stand for absent ones ("" where nothing does)."""
    fields = schema.load_fields if schema is not None else {}
    return {field.data_key or name: _default_of(field) for name, field in fields.items()}


def _default_of(field: Field[Any]) -> str:
    default = field.load_default
    if isinstance(default, bool):
        return "1" if default else "0"
    return str(default) if isinstance(default, (str, int)) else ""


def of_another_method(sign: str) -> Text | None:
    """Text on a signature that has the form of the other method; None for any other."""
    if len(sign) == SIGN_LENGTHS[HMAC_SHA256] and _HEX.match(sign):
        return Text(
            "32 hex digits for md5; 64 are an hmac-sha256 signature: send sign_method=hmac-sha256, and sign it too",
            "md5 为 32 位十六进制；64 位是 hmac-sha256 签名：请同时发送 sign_method=hmac-sha256，并让它参与签名",
        )
    if len(sign) == SIGN_LENGTHS[MD5] and _HEX.match(sign):
        return Text(
            "64 hex digits for hmac-sha256; 32 are an md5 signature: leave sign_method out or send md5",
            "hmac-sha256 为 64 位十六进制；32 位是 md5 签名：请省略 sign_method 或发送 md5",
        )
    return None
