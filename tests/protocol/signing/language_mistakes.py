"""Mistakes that newcomers make in their language, with the bytes that its standard library produces.

Runtimes other than Python's are not needed: their encoders are written out here, each with what its documentation says,
and those of JavaScript are compared with Node's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote, quote_plus, urlencode

SECRET = "5b1f0c1d2e3f4a5b6c7d8e9f00112233"
PATH, HOST = "/api/user/update", "127.0.0.1:8000"
EMPTY = hashlib.sha256(b"").hexdigest()
TOKEN = "575f680ddbd0d494a1b5fad8497293d2"
HMAC, MD5 = "hmac-sha256", "md5"

Params = dict[str, str]
Encode = Callable[[str], str]
Sign = Callable[[Params], str]


def request_of(sign_method: str) -> Params:
    """As an app sends it: its own parameters, then the common ones."""
    own = {"nickname": "小雨 & Co/!'()*~=+", "intro": "", "Zodiac": "ram", "personal": "1", "height": "165"}
    common = {"appkey": "432ABZ", "timestamp": "1795305600123", "nonce": "34C2-af", "userId": "100784"}
    method = {"sign_method": sign_method} if sign_method != MD5 else {}
    return own | common | {"token": TOKEN} | method


# -- the encoders of standard libraries


def java_url_encoder(text: str) -> str:
    """java.net.URLEncoder: keeps ``.-*_``, + for a space."""
    return quote_plus(text, safe="*").replace("~", "%7E")


def go_query_escape(text: str) -> str:
    """net/url.QueryEscape: keeps ``-_.~``, + for a space."""
    return quote_plus(text)


def swift_url_query_allowed(text: str) -> str:
    """addingPercentEncoding(withAllowedCharacters: .urlQueryAllowed): RFC 3986 query, whose delimiters it keeps."""
    return quote(text, safe="!$&'()*+,-./:;=?@_~")


def php_urlencode(text: str) -> str:
    """urlencode(): keeps ``-_.``, + for a space."""
    return quote_plus(text, safe="").replace("~", "%7E")


def js_encode_uri_component(text: str) -> str:
    return quote(text, safe="!'()*-._~")


def js_encode_uri(text: str) -> str:
    return quote(text, safe="!#$&'()*+,-./:;=?@_~")


def js_url_search_params(text: str) -> str:
    return quote_plus(text, safe="*").replace("~", "%7E")


def rfc3986(text: str) -> str:
    return quote(text, safe="-._~")


# -- what is signed


def hmac_hex(text: str, key: str | bytes = SECRET) -> str:
    return hmac.new(key.encode() if isinstance(key, str) else key, text.encode(), hashlib.sha256).hexdigest()


def query(params: Params, encode: Encode = rfc3986, order: Callable[[Params], list[str]] = sorted) -> str:
    return "&".join(f"{encode(name)}={encode(params[name])}" for name in order(params))


def lines(text: str, *, path: str = PATH, file: str = EMPTY, joint: str = "\n") -> str:
    return joint.join(("POST", path, text, file))


def encoded(encode: Encode, order: Callable[[Params], list[str]] = sorted) -> Sign:
    """hmac-sha256 with another encoder or order."""
    return lambda params: hmac_hex(lines(query(params, encode, order)))


def keyed(key: str | bytes) -> Sign:
    """hmac-sha256 with another key."""
    return lambda params: hmac_hex(lines(query(params)), key)


def pathed(path: str) -> Sign:
    """hmac-sha256 of another path; ``?`` at its end is followed by the query."""
    return lambda params: hmac_hex(
        lines(query(params), path=path + (query(params) if path.endswith("?") else ""))
    )


def joined(joint: str = "\n", end: str = "") -> Sign:
    """hmac-sha256 of lines that are joined otherwise."""
    return lambda params: hmac_hex(lines(query(params), joint=joint) + end)


def with_(**values: str) -> Sign:
    """hmac-sha256 of other values than are sent."""
    return lambda params: hmac_hex(lines(query(params | values)))


def without(params: Params, *names: str) -> Params:
    return {name: value for name, value in params.items() if name not in names}


def md5(text: str | bytes) -> str:
    return hashlib.md5(text.encode() if isinstance(text, str) else text).hexdigest()


def md5_string(params: Params, secret: str = SECRET) -> str:
    pairs = sorted(
        f"{n}={v}" for n, v in params.items() if n not in ("timestamp", "nonce", "token", "appkey")
    )
    return "&".join(pairs) + params["token"] + params["timestamp"] + params["nonce"] + secret


def md5_with(**values: str) -> Sign:
    """md5 of other values than are sent."""
    return lambda params: md5(md5_string(params | values))


def md5_without(*names: str) -> Sign:
    return lambda params: md5(md5_string(without(params, *names)))


def everything(params: Params, *but: str) -> str:
    return "&".join(f"{name}={params[name]}" for name in sorted(params) if name not in but)


def case_blind(params: Params) -> list[str]:
    return sorted(params, key=str.lower)


def body_digest(params: Params) -> str:
    return hmac_hex(lines(query(params), file=hashlib.sha256(query(params, order=list).encode()).hexdigest()))


def sha256_of_both(params: Params) -> str:
    return hashlib.sha256((lines(query(params)) + SECRET).encode()).hexdigest()


def hmac_md5(params: Params) -> str:
    return hmac.new(SECRET.encode(), md5_string(params, "").encode(), "md5").hexdigest()


class Mistake(NamedTuple):
    """Name of the mistake, the code that signs with it, and words of the hint."""

    language: str
    what: str
    sign_method: str
    sign: Sign
    hint: str


SPACE, BLANK, HEX = "a space is %20, not +", "white space or a line end", "decoded the appsecret from hex"
UNSORTED, URL_ENCODER, PATH_ENDS = (
    "did not sort",
    "URLEncoder and URLSearchParams",
    "the path ends before the ?",
)
NO_HOST, CASE, OTHER_TIME = "without scheme and host", "without regard to case", "another timestamp"
WHOLE, ANOTHER = ".urlQueryAllowed and JavaScript's encodeURI", "your appsecret is not this appkey's"
MISTAKES = [
    Mistake("python", "urlencode(sorted(…))", HMAC, lambda p: hmac_hex(lines(urlencode(sorted(p.items())))), SPACE),
    Mistake("python", "quote(): safe='/'", HMAC, encoded(quote), "the slash is encoded too"),
    Mistake("python", "dict in its order", HMAC, encoded(rfc3986, list), UNSORTED),
    Mistake("python", "str(True)", HMAC, with_(personal="True"), "personal=True but sent 1"),
    Mistake("python", "open('secret').read()", HMAC, keyed(SECRET + "\n"), BLANK),
    Mistake("python", "open('secret').read() with md5", MD5, lambda p: md5(md5_string(p) + "\n"), BLANK),
    Mistake("python", "bytes.fromhex(secret)", HMAC, keyed(bytes.fromhex(SECRET)), HEX),
    Mistake("python", "requests drops None", HMAC, with_(email="None"), "email=None but did not send it"),
    Mistake("python", "requests drops None as a language", HMAC, with_(lang="None"), "lang=None but did not send it"),
    Mistake("python", "sha256(string + secret)", HMAC, sha256_of_both, "hashed string and secret"),
    Mistake("python", "time.time() twice", MD5, md5_with(timestamp="1795305600131"), OTHER_TIME),
    Mistake("python", "quote() for md5", MD5, lambda p: md5(md5_string({n: quote(v) for n, v in p.items()})), "URL-"),
    Mistake("python", "userId added after signing", MD5, md5_without("userId"), "you sent userId but left it out"),
    Mistake("javascript", "encodeURIComponent", HMAC, encoded(js_encode_uri_component), "encodeURIComponent leaves"),
    Mistake("javascript", "the same unsorted", HMAC, encoded(js_encode_uri_component, list), UNSORTED),
    Mistake("javascript", "encodeURI", HMAC, encoded(js_encode_uri), WHOLE),
    Mistake("javascript", "new URLSearchParams(params)", HMAC, encoded(js_url_search_params, list), URL_ENCODER),
    Mistake("javascript", "axios encodes, too", HMAC, encoded(lambda it: rfc3986(rfc3986(it))), "encoded twice"),
    Mistake("javascript", "template literal", HMAC, encoded(str), "percent-encode names and values"),
    Mistake("javascript", "localeCompare", HMAC, encoded(rfc3986, case_blind), CASE),
    Mistake("javascript", "`email=${undefined}`", MD5, md5_with(email="undefined"), "email=undefined but did not send"),
    Mistake("javascript", "String(true)", MD5, md5_with(personal="true"), "personal=true but sent 1"),
    Mistake("javascript", "Buffer.from(secret, 'hex')", HMAC, keyed(bytes.fromhex(SECRET)), HEX),
    Mistake("javascript", "new URL(url).href for the path", HMAC, pathed(f"http://{HOST}{PATH}"), NO_HOST),
    Mistake("javascript", "Date.now() in seconds", MD5, md5_with(timestamp="1795305600"), OTHER_TIME),
    Mistake("javascript", "a file saved with CRLF", HMAC, joined("\r\n"), "not \\r\\n"),
    Mistake("java", "URLEncoder, TreeMap", HMAC, encoded(java_url_encoder), URL_ENCODER),
    Mistake("java", "LinkedHashMap in its order", HMAC, encoded(rfc3986, list), UNSORTED),
    Mistake("java", "CASE_INSENSITIVE_ORDER", HMAC, encoded(rfc3986, case_blind), CASE),
    Mistake("java", "String.format with %n on Windows", HMAC, joined("\r\n"), "not \\r\\n"),
    Mistake("java", "println", HMAC, joined(end="\n"), "no line end after the last line"),
    Mistake("java", "getBytes() on a Chinese Windows", MD5, lambda p: md5(md5_string(p).encode("gb18030")), "as GBK"),
    Mistake("java", "getBytes(ISO_8859_1)", MD5, lambda p: md5(md5_string(p).encode("latin-1", "replace")), "ISO-"),
    Mistake("java", "Gson reads numbers as double", MD5, md5_with(userId="100784.0"), "userId as a decimal number"),
    Mistake("java", "&key= as for WeChat Pay", MD5, lambda p: md5(f"{everything(p)}&key={SECRET}").upper(), "as &key="),
    Mistake("java", "TreeMap of every parameter", MD5, lambda p: md5(everything(p) + SECRET), "do not stand among"),
    Mistake("java", "md5 of an md5", MD5, lambda p: md5(md5(md5_string(p))), "hashed twice"),
    Mistake("java", "Mac of HmacMD5", MD5, hmac_md5, "HMAC with MD5"),
    Mistake("java", "Base64 decodes the secret", HMAC, keyed(base64.b64decode(SECRET)), "appsecret from base64"),
    Mistake("swift", ".urlQueryAllowed", HMAC, encoded(swift_url_query_allowed), WHOLE),
    Mistake("swift", "Dictionary in its order", HMAC, encoded(rfc3986, list), UNSORTED),
    Mistake("swift", "\\(email) of nil", HMAC, with_(email="nil"), "email=nil but did not send it"),
    Mistake("swift", "url.absoluteString", HMAC, pathed(f"https://{HOST}{PATH}"), NO_HOST),
    Mistake("swift", "URLComponents.string", HMAC, pathed(f"{PATH}?"), PATH_ENDS),
    Mistake("swift", "token=… among the parameters", MD5,
            lambda p: md5(everything(p, "appkey", "timestamp", "nonce") + p["timestamp"] + p["nonce"] + SECRET),
            "you signed token="),
    Mistake("swift", "the token at the end", MD5,
            lambda p: md5(md5_string(p | {"token": ""}, "") + p["token"] + SECRET), "token is in the wrong place"),
    Mistake("swift", "no body hash", HMAC, lambda p: hmac_hex(f"POST\n{PATH}\n{query(p)}"), "file's sha256 is missing"),
    Mistake("swift", "SHA256 of httpBody", HMAC, body_digest, "not of the form body"),
    Mistake("swift", "sign_method added after signing", HMAC,
            lambda p: hmac_hex(lines(query(without(p, "sign_method")))), "sign_method takes part"),
    Mistake("go", "url.Values.Encode()", HMAC, encoded(go_query_escape), SPACE),
    Mistake("go", "req.URL.RequestURI()", HMAC, pathed(f"{PATH}?"), PATH_ENDS),
    Mistake("go", "req.Host + req.URL.Path", HMAC, pathed(HOST + PATH), NO_HOST),
    Mistake("go", "hex.DecodeString(secret)", HMAC, keyed(bytes.fromhex(SECRET)), HEX),
    Mistake("go", "os.ReadFile of the secret", HMAC, keyed(SECRET + "\r\n"), BLANK),
    Mistake("go", "omitempty", MD5, md5_without("intro"), "left out empty values"),
    Mistake("go", "nonce before timestamp", MD5,
            lambda p: md5(md5_string(p | {"timestamp": p["nonce"], "nonce": p["timestamp"]})), "comes before nonce"),
    Mistake("go", "hmac.New(sha256.New, message)", HMAC, lambda p: hmac_hex(SECRET, lines(query(p))), "swapped"),
    Mistake("php", "http_build_query", HMAC, encoded(php_urlencode), "PHP: use rawurlencode"),
    Mistake("shell", "echo for printf", MD5, lambda p: md5(md5_string(p) + "\n"), "echo for printf"),
    Mistake("shell", "literal \\n", HMAC, joined("\\n"), "a backslash and an n"),
    Mistake("any", "two parameters forgotten", MD5, md5_without("userId", "height"), "you sent height, userId but"),
    Mistake("any", "another secret", HMAC, keyed("of another appkey"), ANOTHER),
    Mistake("any", "another secret with md5", MD5, lambda p: md5(md5_string(p, "of another appkey")), ANOTHER),
]  # fmt: skip
