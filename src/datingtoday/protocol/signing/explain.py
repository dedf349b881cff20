"""Explains a wrong signature to a developer on the same machine: what the server signed, and the likely mistake."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote, quote_plus

from datingtoday.infra.text import Text
from datingtoday.protocol.signing.strings_to_sign import (
    HMAC_SHA256,
    NO_FILE_SHA256,
    hmac_string,
    md5_strings,
    sign_hmac,
    sign_md5,
)

MASKED_SECRET = "<appsecret>"  # noqa: S105 - this is what stands in place of a secret

_SECRET_SENT = Text(
    "you sent the appsecret as a parameter: it signs and is never sent; choose another, this one is known now",
    "你把 appsecret 当参数发送了：它只用于签名，不能发送；请更换，它已经泄露",
)
_UNKNOWN = Text(
    "none of the usual mistakes fits: compare string_to_sign with yours byte by byte, then the appsecret",
    "不属于常见错误：请把 string_to_sign 与你的逐字节比较，再检查 appsecret",
)


def explain(
    params: Mapping[str, str],
    secrets: Sequence[str],
    *,
    sign_method: str,
    method: str,
    path: str,
    file_sha256: str,
    lang: str,
) -> dict[str, str]:
    """``data`` of the error: ``string_to_sign`` with the secret masked, and ``hint``."""
    given = params["sign"].lower()
    if sign_method == HMAC_SHA256:
        string = hmac_string(method, path, params, file_sha256)
    else:
        string = next(iter(md5_strings(params, MASKED_SECRET)))
    hint = _UNKNOWN
    for secret in secrets:
        if secret in params.values():
            hint = _SECRET_SENT
            break
        for candidate, meaning in _mistakes(params, secret, sign_method, method, path, file_sha256):
            if hmac.compare_digest(candidate, given):
                hint = meaning
                break
    return {"string_to_sign": _masked(string, secrets), "hint": hint.within(lang)}


def _masked(string: str, secrets: Sequence[str]) -> str:
    """Without the secrets that a client may have sent among its parameters, however they are encoded there."""
    for secret in secrets:
        for form in {secret, quote(secret, safe="-._~")}:
            string = string.replace(form, MASKED_SECRET)
    return string


def _mistakes(
    params: Mapping[str, str], secret: str, sign_method: str, method: str, path: str, file_sha256: str
) -> Iterator[tuple[str, Text]]:
    """Signatures that come out of the usual mistakes, with their names."""
    if sign_method == HMAC_SHA256:
        yield from _hmac_mistakes(params, secret, method, path, file_sha256)
        return
    for changed, meaning in _changed_params(params):
        for string in md5_strings(changed, secret):
            yield sign_md5(string), meaning
    for string, meaning in _md5_string_mistakes(params, secret):
        yield sign_md5(string), meaning
    for string in (*md5_strings(params, ""), hmac_string(method, path, params, file_sha256)):
        yield (
            hmac.new(secret.encode(), string.encode(), hashlib.md5).hexdigest(),
            Text(
                "you computed an HMAC with MD5; sign_method=md5 is a plain md5 with the secret at the end",
                "你用了 HMAC-MD5；sign_method=md5 是普通 md5，密钥接在末尾",
            ),
        )


def _changed_params(params: Mapping[str, str]) -> Iterator[tuple[dict[str, str], Text]]:
    encoded = Text(
        "you signed URL-encoded values; sign them as they are before encoding",
        "你对 URL 编码后的值签名了；应对编码前的原始值签名",
    )
    for quoting in (quote, quote_plus, lambda text: quote(text, safe="")):
        yield {name: quoting(value) for name, value in params.items()}, encoded
    if "token" in params:
        yield (
            {name: value for name, value in params.items() if name != "token"},
            Text("you sent a token but left it out of the signature", "你发送了 token，但没有把它放进签名"),
        )
    yield (
        {name: value for name, value in params.items() if value != ""},
        Text(
            "you left out empty values; they are signed as they stand", "你漏掉了空值参数；空值也要参与签名"
        ),
    )
    timestamp = params.get("timestamp", "")
    others = [timestamp[:10], f"{timestamp[:10]}000", f"{timestamp}000"] + (
        [f"{timestamp[:10]}.{timestamp[10:]}"] if len(timestamp) == 13 else []
    )
    for other in others:
        if other != timestamp:
            yield (
                {**params, "timestamp": other},
                Text(
                    "you signed another timestamp than you sent (seconds and milliseconds mixed up?)",
                    "签名用的 timestamp 与发送的不同（秒和毫秒混用？）",
                ),
            )
    yield (
        {name: value for name, value in params.items() if name != "userId"},
        Text("you sent userId but left it out of the signature", "你发送了 userId，但没有把它放进签名"),
    )
    yield (
        {name: value for name, value in params.items() if name != "sign_method"},
        Text(
            "sign_method takes part in the signature like any parameter",
            "sign_method 和其他参数一样要参与签名",
        ),
    )


def _md5_string_mistakes(params: Mapping[str, str], secret: str) -> Iterator[tuple[str, Text]]:
    token, timestamp, nonce = (params.get(name, "") for name in ("token", "timestamp", "nonce"))
    outside = {"timestamp", "nonce", "token", "sign"}
    inside = {name: value for name, value in params.items() if name not in outside}
    for names in (list(inside), [name for name in inside if name != "appkey"]):
        by_name = "&".join(f"{name}={inside[name]}" for name in sorted(names))
        as_sent = "&".join(f"{name}={inside[name]}" for name in names)
        by_pair = "&".join(sorted(f"{name}={inside[name]}" for name in names))
        tail = f"{timestamp}{nonce}"
        sorted_by_name = Text(
            "you sorted by name; md5 sorts whole name=value strings by byte",
            "你按参数名排序了；md5 方式应把 name=value 整串按字节排序",
        )
        unsorted = Text("you did not sort the parameters", "你没有对参数排序")
        for msg, meaning in ((by_name, sorted_by_name), (as_sent, unsorted)):
            yield f"{msg}{token}{tail}{secret}", meaning
            yield f"{token}{msg}{tail}{secret}", meaning
        yield (
            f"{by_pair}{token}{nonce}{timestamp}{secret}",
            Text("timestamp comes before nonce", "timestamp 应在 nonce 之前"),
        )
        for string in (f"{by_pair}{token}{tail}", f"{token}{by_pair}{tail}"):
            yield string, Text("you left out the appsecret at the end", "末尾缺少 appsecret")
        for string in (f"{secret}{by_pair}{token}{tail}", f"{secret}{token}{by_pair}{tail}"):
            yield string, Text("the appsecret belongs at the end", "appsecret 应放在末尾")
        for string in (f"{by_pair}&{token}{tail}{secret}", f"{by_pair}&{token}&{timestamp}&{nonce}&{secret}"):
            yield string, Text("only parameters are joined with &", "只有参数之间用 & 连接")
    everything = {name: value for name, value in params.items() if name != "sign"}
    yield (
        "&".join(sorted(f"{name}={value}" for name, value in everything.items())) + secret,
        Text(
            "timestamp, nonce and token do not stand among the parameters; they follow as bare values",
            "timestamp、nonce、token 不放在参数串里，而是在后面直接拼接其值",
        ),
    )


def _hmac_mistakes(
    params: Mapping[str, str], secret: str, method: str, path: str, file_sha256: str
) -> Iterator[tuple[str, Text]]:
    for other in ("GET", "POST", method.lower()):
        if other != method:
            yield (
                sign_hmac(hmac_string(other, path, params, file_sha256), secret),
                Text(
                    "you signed another method; use the upper-case one that you send",
                    "签名中的请求方法与实际不同",
                ),
            )
    for other in (path.removeprefix("/api"), path.lstrip("/"), f"{path}/"):
        yield (
            sign_hmac(hmac_string(method, other, params, file_sha256), secret),
            Text(
                "you signed another path; use it as sent, before the ?",
                "签名中的路径与实际不同；应为 ? 之前的原样路径",
            ),
        )
    names = sorted(name for name in params if name != "sign")
    raw = "&".join(f"{name}={params[name]}" for name in names)
    plus = "&".join(f"{quote_plus(name)}={quote_plus(params[name])}" for name in names)
    for query in (raw, plus):
        yield (
            sign_hmac(f"{method}\n{path}\n{query}\n{file_sha256}", secret),
            Text(
                "percent-encode names and values, keeping only A-Z a-z 0-9 - . _ ~ (a space is %20)",
                "参数名和值要做百分号编码，只保留 A-Z a-z 0-9 - . _ ~（空格是 %20）",
            ),
        )
    query = hmac_string(method, path, params, file_sha256).rsplit("\n", 1)[0]
    for string in (query, f"{query}\n"):
        yield (
            sign_hmac(string, secret),
            Text("the line with the file's sha256 is missing", "缺少文件 sha256 那一行"),
        )
    if file_sha256 != NO_FILE_SHA256:
        yield (
            sign_hmac(hmac_string(method, path, params), secret),
            Text("you left the file out of the signature", "签名没有包含文件"),
        )
    without_method = {name: value for name, value in params.items() if name != "sign_method"}
    yield (
        sign_hmac(hmac_string(method, path, without_method, file_sha256), secret),
        Text(
            "sign_method takes part in the signature like any parameter",
            "sign_method 和其他参数一样要参与签名",
        ),
    )
