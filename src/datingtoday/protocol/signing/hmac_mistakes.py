"""Usual mistakes of those who sign with hmac-sha256."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import quote, quote_plus

from datingtoday.infra.text import Text
from datingtoday.protocol.signing import variants
from datingtoday.protocol.signing.attempts import Attempt, SignedRequest, both_mistakes, secret_variants
from datingtoday.protocol.signing.strings_to_sign import NO_FILE_SHA256, hmac_string, md5_strings

Encode = Callable[[str], str]

_ENCODE = Text(
    "percent-encode names and values, keeping only A-Z a-z 0-9 - . _ ~ (a space is %20)",
    "参数名和值要做百分号编码，只保留 A-Z a-z 0-9 - . _ ~（空格是 %20）",
)
_PATH = Text(
    "you signed another path; use it as sent, before the ?", "签名中的路径与实际不同；应为 ? 之前的原样路径"
)
_METHOD = Text(
    "you signed another method; use the upper-case one that you send", "签名中的请求方法与实际不同"
)
_WHOLE_ADDRESS = Text(
    "Swift's .urlQueryAllowed and JavaScript's encodeURI leave & = + / and others as they are; keep only "
    "letters, digits and -._~",
    "Swift 的 .urlQueryAllowed 和 JavaScript 的 encodeURI 不编码 & = + / 等字符；只应保留字母、数字和 -._~",
)
_KEEP = "-._~"


def _right(text: str) -> str:
    return quote(text, safe=_KEEP)


def _lower_hex(text: str) -> str:
    return re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), _right(text))


_WRONG_ENCODERS: tuple[tuple[Encode, Text], ...] = (
    (lambda text: text, _ENCODE),
    (
        lambda text: quote(text, safe="!'()*-._~"),
        Text(
            "encodeURIComponent leaves ! ' ( ) * as they are; encode these too",
            "encodeURIComponent 不编码 ! ' ( ) *；这些字符也要编码",
        ),
    ),
    (
        lambda text: _right(_right(text)),
        Text("your values are percent-encoded twice", "参数值被编码了两次"),
    ),
    (
        quote,
        Text(
            "the slash is encoded too (%2F); Python: quote(text, safe='-._~')",
            "斜杠也要编码（%2F）；Python：quote(text, safe='-._~')",
        ),
    ),
    (_lower_hex, Text("hex digits after % are upper-case", "百分号后的十六进制用大写")),
    (
        # Go's url.QueryEscape, Python's quote_plus.
        quote_plus,
        Text(
            "a space is %20, not + (form encoding of quote_plus, url.QueryEscape)",
            "空格应为 %20 而不是 +（quote_plus、url.QueryEscape 用的是表单编码）",
        ),
    ),
    (
        # Java's URLEncoder, JavaScript's URLSearchParams: the first keeps *, encodes ~; the second likewise.
        lambda text: quote_plus(text, safe="*").replace("~", "%7E"),
        Text(
            "URLEncoder and URLSearchParams write + for a space, * for %2A and %7E for ~; replace these",
            "URLEncoder 和 URLSearchParams 的空格为 +、保留 *、把 ~ 编码为 %7E；需要替换回来",
        ),
    ),
    (
        lambda text: quote_plus(text, safe="").replace("~", "%7E"),
        Text("PHP: use rawurlencode, not urlencode", "PHP：应使用 rawurlencode，而不是 urlencode"),
    ),
    (lambda text: quote(text, safe="!$&'()*+,-./:;=?@_~"), _WHOLE_ADDRESS),
    (lambda text: quote(text, safe="!#$&'()*+,-./:;=?@_~"), _WHOLE_ADDRESS),
)


def hmac_attempts(request: SignedRequest, secret: str) -> Iterator[Attempt]:
    """Strings that may have been hashed, the likeliest first."""
    key = secret.encode()
    for changed, meaning in variants.unsigned_parameters(request):
        yield Attempt(_string(request, changed), meaning, key)
    for query, meaning in _queries(request.sent):
        yield Attempt(_lines(request, query), meaning, key)
    for text, meaning in _other_lines(request):
        yield Attempt(text.encode(), meaning, key)
    right = _string(request, request.sent)
    for wrong_key, meaning in (*secret_variants(secret), *_decoded(secret)):
        yield Attempt(right, meaning, wrong_key)
    for more in (variants.unsent_parameters, variants.other_values):
        for changed, meaning in more(request):
            yield Attempt(_string(request, changed), meaning, key)
    plain = Text(
        "you hashed string and secret with SHA-256; hmac-sha256 is an HMAC with the secret as its key",
        "你对字符串和密钥做了普通 SHA-256；hmac-sha256 是以密钥为 key 的 HMAC",
    )
    for hashed in (right + key, key + right):
        yield Attempt(hashed, plain)
    swapped = Text("key and message of the HMAC are swapped", "HMAC 的密钥和消息颠倒了")
    yield Attempt(key, swapped, right)
    yield from _md5_way(request, key)


def _string(request: SignedRequest, params: Mapping[str, str]) -> bytes:
    return hmac_string(request.method, request.path, params, request.file_sha256).encode()


def _lines(request: SignedRequest, query: str) -> bytes:
    return f"{request.method}\n{request.path}\n{query}\n{request.file_sha256}".encode()


def _joined(params: Mapping[str, str], names: list[str], encode: Encode) -> str:
    return "&".join(f"{encode(name)}={encode(params[name])}" for name in names)


def _queries(params: Mapping[str, str]) -> Iterator[tuple[str, Text]]:
    """The line of parameters: wrongly sorted, wrongly encoded, or both."""
    as_sent = list(params)
    by_pair = sorted(params, key=lambda name: f"{_right(name)}={_right(params[name])}")
    orders = (
        (as_sent, Text("you did not sort the parameters by name", "你没有按参数名排序")),
        (
            by_pair,
            Text("sort by name, not by the whole name=value", "应按参数名排序，而不是按 name=value 整串"),
        ),
        (
            sorted(params, key=str.lower),
            Text(
                "you sorted without regard to case; sort by byte, upper-case letters come first",
                "你的排序忽略了大小写；应按字节排序，大写字母在前",
            ),
        ),
        (sorted(params, reverse=True), Text("you sorted in descending order", "你按降序排序了")),
    )
    names = sorted(params)
    for encode, meaning in _WRONG_ENCODERS:
        yield _joined(params, names, encode), meaning
    values_only = "&".join(f"{name}={_right(params[name])}" for name in names)
    yield values_only, Text("names are percent-encoded, too", "参数名也要做百分号编码")
    for order, meaning in orders:
        yield _joined(params, order, _right), meaning
        for encode, other in _WRONG_ENCODERS:
            yield _joined(params, order, encode), both_mistakes(meaning, other)


def _other_lines(request: SignedRequest) -> Iterator[tuple[str, Text]]:
    """Mistakes in the other lines, and in how lines are joined."""
    method, path, file = request.method, request.path, request.file_sha256
    query = _joined(request.sent, sorted(request.sent), _right)
    for other in dict.fromkeys(("GET", "POST", method.lower(), method.capitalize())):
        if other != method:
            yield f"{other}\n{path}\n{query}\n{file}", _METHOD
    yield f"{path}\n{query}\n{file}", Text("the line with the method is missing", "缺少请求方法那一行")
    for other, meaning in _other_paths(request, query):
        yield f"{method}\n{other}\n{query}\n{file}", meaning
    lines = (method, path, query, file)
    joints = (
        ("\r\n", Text("lines are joined with \\n, not \\r\\n", "各行之间用 \\n，而不是 \\r\\n")),
        (
            "\\n",
            Text(
                "you joined with a backslash and an n, not with a line feed",
                "你拼接的是反斜杠加 n，而不是换行符",
            ),
        ),
        ("", Text("lines are joined with \\n", "各行之间要用 \\n 连接")),
        ("&", Text("lines are joined with \\n, not &", "各行之间用 \\n，而不是 & 连接")),
    )
    for joint, meaning in joints:
        yield joint.join(lines), meaning
    for end in ("\n", "\r\n"):
        yield "\n".join(lines) + end, Text("there is no line end after the last line", "最后一行之后没有换行")
    yield from _last_lines(request, "\n".join((method, path, query)), query)


def _last_lines(request: SignedRequest, begin: str, query: str) -> Iterator[tuple[str, Text]]:
    """Mistakes in the line of the file's digest.

    :param begin: the lines before it.
    """
    file = request.file_sha256
    missing = Text(
        "the line with the file's sha256 is missing; without a file it is that of nothing, e3b0c442…",
        "缺少文件 sha256 那一行；没有文件时为空内容的 SHA-256，即 e3b0c442…",
    )
    for text in (begin, f"{begin}\n"):
        yield text, missing
    yield (
        f"{begin}\n{file.upper()}",
        Text("the file's sha256 is in lower-case hex", "文件的 sha256 用小写十六进制"),
    )
    if file != NO_FILE_SHA256:
        yield (
            f"{begin}\n{NO_FILE_SHA256}",
            Text("you left the file out of the signature", "签名没有包含文件"),
        )
    body = Text(
        "the last line is the digest of the uploaded file, not of the form body",
        "最后一行是上传文件的摘要，而不是表单正文的摘要",
    )
    for text in (
        query,
        _joined(request.sent, list(request.sent), _right),
        _joined(request.sent, list(request.sent), quote_plus),
    ):
        yield f"{begin}\n{hashlib.sha256(text.encode()).hexdigest()}", body


def _other_paths(request: SignedRequest, query: str) -> Iterator[tuple[str, Text]]:
    path = request.path
    with_query = Text(
        "the path ends before the ?; its query is the next line",
        "路径不含 ? 及其后的查询字符串，查询参数在下一行",
    )
    with_host = Text("sign the path only, without scheme and host", "只对路径签名，不含协议和主机名")
    for other in (path.removeprefix("/api"), path.lstrip("/"), f"{path}/", path.lower()):
        if other != path:
            yield other, _PATH
    sent = _joined(request.sent, list(request.sent), _right)
    for text in dict.fromkeys((query, sent)):
        yield f"{path}?{text}", with_query
    yield f"{path}?", with_query
    hosts = dict.fromkeys(
        filter(None, (request.host, request.host.partition(":")[0], "127.0.0.1:8000", "localhost:8000"))
    )
    for host in hosts:
        for begin in (host, f"http://{host}", f"https://{host}"):
            yield f"{begin}{path}", with_host


def _decoded(secret: str) -> Iterator[tuple[bytes, Text]]:
    try:
        yield (
            base64.b64decode(secret, validate=True),
            Text(
                "you decoded the appsecret from base64; use its characters as they are",
                "你把 appsecret 按 base64 解码了；应直接使用字符本身",
            ),
        )
    except (binascii.Error, ValueError):
        # Not all secrets are base64.
        return


def _md5_way(request: SignedRequest, key: bytes) -> Iterator[Attempt]:
    """The string of md5 under an HMAC."""
    meaning = Text(
        "you signed the string of md5; hmac-sha256 has one of its own, in four lines",
        "你用了 md5 的待签名字符串；hmac-sha256 有自己的四行格式",
    )
    for string in md5_strings(request.sent, ""):
        yield Attempt(string.encode(), meaning, key)
        yield Attempt(string.encode() + key, meaning, key)
