"""Usual mistakes of those who sign with md5."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from datingtoday.infra.text import Text
from datingtoday.protocol.signing import variants
from datingtoday.protocol.signing.attempts import Attempt, SignedRequest, secret_variants
from datingtoday.protocol.signing.strings_to_sign import NO_FILE_SHA256, hmac_string, md5_strings

_OUTSIDE = frozenset({"timestamp", "nonce", "token", "sign"})
_WRONG_PLACE = Text(
    "the token is in the wrong place: it follows the parameters or comes before them, then timestamp and nonce",
    "token 的位置不对：应紧接在参数串之后或之前，然后才是 timestamp 和 nonce",
)
_NAMED_TOKEN = Text(
    "you signed token=…; the token stands as a bare value after or before the parameters",
    "你把 token 以 token=… 的形式签名了；应只拼接其值，放在参数串之后或之前",
)
_AMPERSAND = Text("only parameters are joined with &", "只有参数之间用 & 连接")


def md5_attempts(request: SignedRequest, secret: str) -> Iterator[Attempt]:
    """Strings that may have been hashed, the likeliest first."""
    key = secret.encode()
    for changed, meaning in variants.unsigned_parameters(request):
        yield from _all_forms(changed, key, meaning)
    for order, meaning in _orders(request.sent):
        yield from _forms_of(order, request.sent, key, meaning)
    yield from _token_mistakes(request.sent, key)
    yield from _end_mistakes(request.sent, key)
    for wrong_key, meaning in secret_variants(secret):
        yield from _all_forms(request.sent, wrong_key, meaning)
    for more in (variants.encoded_values, variants.unsent_parameters, variants.other_values):
        for changed, meaning in more(request):
            yield from _all_forms(changed, key, meaning)
    yield from _charset_mistakes(request.sent, secret)
    yield from _hash_mistakes(request, secret)


def _all_forms(params: Mapping[str, str], key: bytes, meaning: Text) -> Iterator[Attempt]:
    for string in md5_strings(params, ""):
        yield Attempt(string.encode() + key, meaning)


def _pairs(params: Mapping[str, str], *, appkey: bool) -> list[str]:
    """``name=value`` of the parameters among which the token is not, in the order in which they came."""
    outside = _OUTSIDE if appkey else _OUTSIDE | {"appkey"}
    return [f"{name}={value}" for name, value in params.items() if name not in outside]


def _orders(params: Mapping[str, str]) -> Iterator[tuple[list[str], Text]]:
    """The parameters in every order but the right one."""
    unsorted = Text("you did not sort the parameters", "你没有对参数排序")
    by_name = Text(
        "you sorted by name; md5 sorts whole name=value strings by byte",
        "你按参数名排序了；md5 方式应把 name=value 整串按字节排序",
    )
    by_letter = Text(
        "you sorted without regard to case; sort by byte, upper-case letters come first",
        "你的排序忽略了大小写；应按字节排序，大写字母在前",
    )
    downwards = Text("you sorted in descending order", "你按降序排序了")
    for appkey in (True, False):
        pairs = _pairs(params, appkey=appkey)
        yield sorted(pairs, key=lambda pair: pair.partition("=")[0]), by_name
        yield pairs, unsorted
        yield sorted(pairs, key=str.lower), by_letter
        yield sorted(pairs, reverse=True), downwards


def _forms_of(pairs: list[str], params: Mapping[str, str], key: bytes, meaning: Text) -> Iterator[Attempt]:
    msg, token, tail = "&".join(pairs), params.get("token", ""), _tail(params)
    for string in dict.fromkeys((f"{msg}{token}{tail}", f"{token}{msg}{tail}")):
        yield Attempt(string.encode() + key, meaning)


def _tail(params: Mapping[str, str]) -> str:
    return params.get("timestamp", "") + params.get("nonce", "")


def _token_mistakes(params: Mapping[str, str], key: bytes) -> Iterator[Attempt]:
    token = params.get("token", "")
    if not token:
        return
    timestamp, nonce = params.get("timestamp", ""), params.get("nonce", "")
    secret = key.decode()
    for appkey in (True, False):
        pairs = sorted(_pairs(params, appkey=appkey), key=str.encode)
        msg, named = "&".join(pairs), f"token={token}"
        within = "&".join(sorted([*pairs, named], key=str.encode))
        for string in (
            f"{within}{timestamp}{nonce}",
            f"{msg}&{named}{timestamp}{nonce}",
            f"{msg}{named}{timestamp}{nonce}",
            f"{named}{msg}{timestamp}{nonce}",
            f"{named}&{msg}{timestamp}{nonce}",
            f"{within}{token}{timestamp}{nonce}",
        ):
            yield Attempt(string.encode() + key, _NAMED_TOKEN)
        for string in (
            f"{msg}{timestamp}{token}{nonce}{secret}",
            f"{msg}{timestamp}{nonce}{token}{secret}",
            f"{msg}{timestamp}{nonce}{secret}{token}",
            f"{timestamp}{nonce}{msg}{token}{secret}",
        ):
            yield Attempt(string.encode(), _WRONG_PLACE)


def _end_mistakes(params: Mapping[str, str], key: bytes) -> Iterator[Attempt]:
    """Wrong joints and a wrong end of the string."""
    secret = key.decode()
    token, timestamp, nonce = (params.get(name, "") for name in ("token", "timestamp", "nonce"))
    order = Text("timestamp comes before nonce", "timestamp 应在 nonce 之前")
    no_secret = Text("you left out the appsecret at the end", "末尾缺少 appsecret")
    secret_first = Text("the appsecret belongs at the end", "appsecret 应放在末尾")
    line_end = Text(
        "you hashed a line end at the end: an appsecret with white space or a line end around it, or echo for printf",
        "字符串末尾多了换行：appsecret 首尾带有空白或换行，或者用了 echo 而不是 printf",
    )
    named_secret = Text(
        "the appsecret is appended as a bare value, without a name such as &key= or &appsecret=",
        "appsecret 直接拼接在末尾，不带 &key= 或 &appsecret= 之类的名称",
    )
    among = Text(
        "timestamp, nonce and token do not stand among the parameters; they follow as bare values",
        "timestamp、nonce、token 不放在参数串里，而是在后面直接拼接其值",
    )
    everything = {name: value for name, value in params.items() if name != "sign"}
    for appkey in (True, False):
        msg = "&".join(sorted(_pairs(params, appkey=appkey), key=str.encode))
        for head in dict.fromkeys((f"{msg}{token}", f"{token}{msg}")):
            tail = f"{timestamp}{nonce}"
            yield Attempt(f"{head}{nonce}{timestamp}{secret}".encode(), order)
            yield Attempt(f"{head}{tail}".encode(), no_secret)
            yield Attempt(f"{secret}{head}{tail}".encode(), secret_first)
            yield Attempt(f"{secret}{head}{tail}{secret}".encode(), secret_first)
            for end in ("\n", "\r\n"):
                yield Attempt(f"{head}{tail}{secret}{end}".encode(), line_end)
            for name in ("key", "secret", "appsecret", "appSecret"):
                yield Attempt(f"{head}{tail}&{name}={secret}".encode(), named_secret)
        for string in (
            f"{msg}&{token}{timestamp}{nonce}{secret}",
            f"{msg}&{token}&{timestamp}&{nonce}&{secret}",
            f"{msg}{token}&timestamp={timestamp}&nonce={nonce}{secret}",
        ):
            yield Attempt(string.encode(), _AMPERSAND)
        listed = [f"{name}={value}" for name, value in everything.items() if appkey or name != "appkey"]
        whole = "&".join(sorted(listed, key=str.encode))
        yield Attempt(f"{whole}{secret}".encode(), among)
        for name in ("key", "secret", "appsecret", "appSecret"):
            yield Attempt(f"{whole}&{name}={secret}".encode(), named_secret)


def _charset_mistakes(params: Mapping[str, str], secret: str) -> Iterator[Attempt]:
    for name, shown in (
        ("gb18030", "GBK"),
        ("latin-1", "ISO-8859-1"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"),
    ):
        meaning = Text(
            f"you hashed the characters as {shown}; name UTF-8 when you turn the string into bytes",
            f"你按 {shown} 把字符串转成了字节；请明确使用 UTF-8",
        )
        for string in md5_strings(params, secret):
            yield Attempt(string.encode(name, errors="replace"), meaning)


def _hash_mistakes(request: SignedRequest, secret: str) -> Iterator[Attempt]:
    """Another function than a plain md5."""
    keyed = Text(
        "you computed an HMAC with MD5; sign_method=md5 is a plain md5 with the secret at the end",
        "你用了 HMAC-MD5；sign_method=md5 是普通 md5，密钥接在末尾",
    )
    twice = Text("you hashed twice", "你做了两次 md5")
    covered = hmac_string(request.method, request.path, request.sent, request.file_sha256 or NO_FILE_SHA256)
    for string in (*md5_strings(request.sent, ""), covered):
        yield Attempt(string.encode(), keyed, key=secret.encode())
    for string in md5_strings(request.sent, secret):
        once = hashlib.md5(string.encode(), usedforsecurity=False).hexdigest()
        yield Attempt(once.encode(), twice)
        yield Attempt(once.upper().encode(), twice)
