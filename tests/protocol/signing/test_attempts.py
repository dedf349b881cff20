"""Bytes that a developer may have hashed by mistake, written out, and the hint that each of them has."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from datingtoday.protocol.signing.attempts import SignedRequest
from datingtoday.protocol.signing.explain import likely_mistake
from datingtoday.protocol.signing.variants import (
    other_values,
    unsent_parameters,
    unsigned_parameters,
)

SECRET = "dd11"
TIME, NONCE, TOKEN = "1699999999123", "N0nce", "T0ken"
OWN = {"a": "1", "b": "你 /~*", "B": "x", "a1": "3"}
COMMON = {"appkey": "K", "token": TOKEN, "timestamp": TIME, "nonce": NONCE}
EMPTY = hashlib.sha256(b"").hexdigest()
FILE = hashlib.sha256(b"a file").hexdigest()
PATH = "/api/User"
TAIL = f"{TIME}{NONCE}"


def hint(text: str | bytes, sign_method: str, *, key: bytes | None = None, file: str = EMPTY) -> str | None:
    """Hint for the hash of these bytes. :param key: makes an HMAC of it."""
    data = text.encode() if isinstance(text, str) else text
    algorithm = "md5" if sign_method == "md5" else "sha256"
    sign = hmac.new(key, data, algorithm).hexdigest() if key else hashlib.new(algorithm, data).hexdigest()
    method = {} if sign_method == "md5" else {"sign_method": sign_method}
    params = {**OWN, **COMMON, **method, "sign": sign}
    request = SignedRequest(params, "PUT", PATH, file, host="api.example.com:8443")
    found = likely_mistake(request, [SECRET], sign_method)
    return None if found is None else found.en


BY_BYTE = ["B=x", "a1=3", "a=1", "b=你 /~*"]
KEYED = ["B=x", "a1=3", "a=1", "appkey=K", "b=你 /~*"]
MSG, MSG_KEYED = "&".join(BY_BYTE), "&".join(KEYED)
ORDERS = {
    "did not sort the parameters": ["a=1", "b=你 /~*", "B=x", "a1=3"],
    "sorted by name": ["B=x", "a=1", "a1=3", "b=你 /~*"],
    "without regard to case": ["a1=3", "a=1", "B=x", "b=你 /~*"],
    "descending order": ["b=你 /~*", "a=1", "a1=3", "B=x"],
}
KEYED_ORDERS = {
    "did not sort the parameters": ["a=1", "b=你 /~*", "B=x", "a1=3", "appkey=K"],
    "sorted by name": ["B=x", "a=1", "a1=3", "appkey=K", "b=你 /~*"],
    "without regard to case": ["a1=3", "a=1", "appkey=K", "B=x", "b=你 /~*"],
    "descending order": ["b=你 /~*", "appkey=K", "a=1", "a1=3", "B=x"],
}
ENDS = [
    (f"{head}{NONCE}{TIME}{SECRET}", "timestamp comes before nonce")
    for head in (f"{MSG}{TOKEN}", f"{TOKEN}{MSG}", f"{MSG_KEYED}{TOKEN}", f"{TOKEN}{MSG_KEYED}")
] + [
    (f"{begin}{head}{TAIL}{end}", said)
    for head in (f"{MSG}{TOKEN}", f"{TOKEN}{MSG}", f"{MSG_KEYED}{TOKEN}", f"{TOKEN}{MSG_KEYED}")
    for begin, end, said in (
        ("", "", "left out the appsecret"),
        (SECRET, "", "belongs at the end"),
        (SECRET, SECRET, "belongs at the end"),
        ("", f"{SECRET}\n", "line end"),
        ("", f"{SECRET}\r\n", "line end"),
        ("", f"&key={SECRET}", "without a name such as"),
        ("", f"&secret={SECRET}", "without a name such as"),
        ("", f"&appsecret={SECRET}", "without a name such as"),
        ("", f"&appSecret={SECRET}", "without a name such as"),
    )
]
JOINTS = [
    (string, "only parameters are joined with &")
    for msg in (MSG, MSG_KEYED)
    for string in (
        f"{msg}&{TOKEN}{TAIL}{SECRET}",
        f"{msg}&{TOKEN}&{TIME}&{NONCE}&{SECRET}",
        f"{msg}{TOKEN}&timestamp={TIME}&nonce={NONCE}{SECRET}",
    )
]
ALL_PAIRS = {
    True: f"B=x&a1=3&a=1&appkey=K&b=你 /~*&nonce={NONCE}&timestamp={TIME}&token={TOKEN}",
    False: f"B=x&a1=3&a=1&b=你 /~*&nonce={NONCE}&timestamp={TIME}&token={TOKEN}",
}
AMONG = [(f"{whole}{SECRET}", "do not stand among the parameters") for whole in ALL_PAIRS.values()] + [
    (f"{whole}&{name}={SECRET}", "without a name such as")
    for whole in ALL_PAIRS.values()
    for name in ("key", "secret", "appsecret", "appSecret")
]
NAMED = f"token={TOKEN}"
TOKENS = [
    (string, "you signed token=")
    for msg, within in ((MSG, f"{MSG}&{NAMED}"), (MSG_KEYED, f"{MSG_KEYED}&{NAMED}"))
    for string in (
        f"{within}{TAIL}{SECRET}",
        f"{msg}{NAMED}{TAIL}{SECRET}",
        f"{NAMED}{msg}{TAIL}{SECRET}",
        f"{NAMED}&{msg}{TAIL}{SECRET}",
        f"{within}{TOKEN}{TAIL}{SECRET}",
    )
] + [
    (string, "the token is in the wrong place")
    for msg in (MSG, MSG_KEYED)
    for string in (
        f"{msg}{TIME}{TOKEN}{NONCE}{SECRET}",
        f"{msg}{TAIL}{TOKEN}{SECRET}",
        f"{msg}{TAIL}{SECRET}{TOKEN}",
        f"{TAIL}{msg}{TOKEN}{SECRET}",
    )
]


@pytest.mark.parametrize(("text", "said"), ENDS + JOINTS + AMONG + TOKENS)
def test_strings_of_md5(text: str, said: str) -> None:
    found = hint(text, "md5")
    assert found is not None and said in found


@pytest.mark.parametrize("said", ORDERS)
def test_orders_of_md5(said: str) -> None:
    for orders, sorted_pairs in ((ORDERS, BY_BYTE), (KEYED_ORDERS, KEYED)):
        if orders[said] == sorted_pairs:
            continue
        msg = "&".join(orders[said])
        for string in (f"{msg}{TOKEN}{TAIL}{SECRET}", f"{TOKEN}{msg}{TAIL}{SECRET}"):
            assert said in (hint(string, "md5") or "")


RIGHT = [
    f"{head}{TAIL}"
    for head in (f"{MSG}{TOKEN}", f"{TOKEN}{MSG}", f"{MSG_KEYED}{TOKEN}", f"{TOKEN}{MSG_KEYED}")
]


def test_hashes_of_md5() -> None:
    for right in RIGHT:
        signed = f"{right}{SECRET}"
        once = hashlib.md5(signed.encode()).hexdigest()
        for text in (once, once.upper()):
            assert hint(text, "md5") == "you hashed twice"
        assert "HMAC with MD5" in (hint(right, "md5", key=SECRET.encode()) or "")
        for charset, shown in (
            ("gb18030", "GBK"), ("latin-1", "ISO-8859-1"), ("utf-16-le", "UTF-16"), ("utf-16-be", "UTF-16"),
        ):  # fmt: skip
            assert f"as {shown};" in (hint(signed.encode(charset, errors="replace"), "md5") or "")
        for secret, said in SECRETS:
            assert said in (hint(right.encode() + secret, "md5") or "")
    for signed, said in (
        (RIGHT[0].replace("a1=3&", ""), "you sent a1 but left it out"),
        (RIGHT[0].replace("你 /~*", "%E4%BD%A0%20/~%2A"), "URL-encoded values"),
        (RIGHT[0].replace("你 /~*", "你 /~*&lang="), "signed lang= but"),
        (RIGHT[0].replace(TIME, TIME[:10]), "another timestamp"),
    ):
        assert said in (hint(f"{signed}{SECRET}", "md5") or "")
    covered = f"PUT\n{PATH}\n{QUERY}\n{FILE}"
    assert "HMAC with MD5" in (
        hint(covered.replace("&sign_method=hmac-sha256", ""), "md5", key=b"dd11", file=FILE) or ""
    )
    assert hint(f"{RIGHT[0]}another", "md5") is None


SECRETS = [
    (b"dd11 ", "white space or a line end around it"),
    (b" dd11", "white space or a line end around it"),
    ("\ufeffdd11".encode(), "white space or a line end around it"),
    (b"dd11\r", "white space or a line end around it"),
    (b'"dd11"', "quotation marks"),
    (b"'dd11'", "quotation marks"),
    (b"DD11", "another case"),
    (b"\xdd\x11", "from hex"),
]
QUERY = (
    f"B=x&a=1&a1=3&appkey=K&b=%E4%BD%A0%20%2F~%2A&nonce={NONCE}&sign_method=hmac-sha256"
    f"&timestamp={TIME}&token={TOKEN}"
)
B, ENCODED = "b=%E4%BD%A0%20%2F~%2A", "%E4%BD%A0%20%2F~%2A"
BASE = ["B=x", "a=1", "a1=3", "appkey=K", B, f"nonce={NONCE}", "sign_method=hmac-sha256", f"timestamp={TIME}",
        f"token={TOKEN}"]  # fmt: skip
AS_SENT = ["a=1", B, "B=x", "a1=3", "appkey=K", f"token={TOKEN}", f"timestamp={TIME}", f"nonce={NONCE}",
           "sign_method=hmac-sha256"]  # fmt: skip


def lines(query: str = QUERY, *, method: str = "PUT", path: str = PATH, file: str = EMPTY) -> str:
    return f"{method}\n{path}\n{query}\n{file}"


HMAC = [
    *[(lines(method=method), "another method") for method in ("GET", "POST", "put", "Put")],
    (f"{PATH}\n{QUERY}\n{EMPTY}", "line with the method is missing"),
    *[(lines(path=path), "another path") for path in ("/User", "api/User", f"{PATH}/", PATH.lower())],
    *[
        (lines(path=f"{PATH}?{query}"), "the path ends before the ?")
        for query in (QUERY, "&".join(AS_SENT), "")
    ],
    *[
        (lines(path=f"{begin}{host}{PATH}"), "without scheme and host")
        for begin in ("", "http://", "https://")
        for host in ("api.example.com:8443", "api.example.com", "127.0.0.1:8000", "localhost:8000")
    ],
    *[
        (joint.join(("PUT", PATH, QUERY, EMPTY)), said)
        for joint, said in (
            ("\r\n", "not \\r\\n"), ("\\n", "a backslash and an n"), ("", "joined with \\n"), ("&", "not &"),
        )
    ],
    *[(f"{lines()}{end}", "no line end after") for end in ("\n", "\r\n")],
    *[(f"PUT\n{PATH}\n{QUERY}{end}", "file's sha256 is missing") for end in ("", "\n")],
    (lines(file=EMPTY.upper()), "lower-case hex"),
    *[
        (lines(file=hashlib.sha256(body.encode()).hexdigest()), "not of the form body")
        for body in (QUERY, "&".join(AS_SENT), "&".join(AS_SENT).replace("%20", "+").replace("~%2A", "~%2A"))
    ],
    (lines("&".join(AS_SENT)), "did not sort the parameters by name"),
    (lines("&".join(["B=x", "a1=3", "a=1", *BASE[3:]])), "not by the whole name=value"),
    (lines("&".join(["a=1", "a1=3", "appkey=K", B, "B=x", *BASE[5:]])), "without regard to case"),
    (lines("&".join(BASE[::-1])), "descending order"),
    (lines("&".join(["a=1", "a1=3", "appkey=K", "b=你 /~*", "B=x", *BASE[5:]])), "; besides, percent-encode"),
    *[
        (lines(QUERY.replace(ENCODED, wrong)), said)
        for wrong, said in (
            ("你 /~*", "percent-encode names"),
            ("%E4%BD%A0%20%2F~*", "encodeURIComponent leaves"),
            ("%25E4%25BD%25A0%2520%252F~%252A", "encoded twice"),
            ("%E4%BD%A0%20/~%2A", "the slash is encoded too"),
            ("%e4%bd%a0%20%2f~%2a", "hex digits after % are upper-case"),
            ("%E4%BD%A0+%2F~%2A", "a space is %20, not +"),
            ("%E4%BD%A0+%2F%7E*", "URLEncoder and URLSearchParams"),
            ("%E4%BD%A0+%2F%7E%2A", "use rawurlencode"),
            ("%E4%BD%A0%20/~*", ".urlQueryAllowed"),
        )
    ],
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), HMAC)
def test_strings_of_hmac(text: str, said: str) -> None:
    assert hint(lines(), "hmac-sha256", key=SECRET.encode()) is None or text != lines(), "it is right"
    found = hint(text, "hmac-sha256", key=SECRET.encode())
    assert found is not None and said in found


def test_hashes_of_hmac() -> None:
    right, key = lines().encode(), SECRET.encode()
    for hashed in (right + key, key + right):
        assert (
            "plain" not in (found := hint(hashed, "hmac-sha256") or "") and "an HMAC with the secret" in found
        )
    assert hint(key, "hmac-sha256", key=right) == "key and message of the HMAC are swapped"
    for secret, said in [*SECRETS, (b"dd11\n", "white space"), (b"u\xddu", "from base64")]:
        assert said in (hint(right, "hmac-sha256", key=secret) or "")
    of_md5 = RIGHT[0].replace(f"{TOKEN}{TAIL}", f"&sign_method=hmac-sha256{TOKEN}{TAIL}")
    for text in (of_md5, f"{of_md5}{SECRET}"):
        assert "you signed the string of md5" in (hint(text, "hmac-sha256", key=key) or "")
    assert "left the file out" in (hint(lines(), "hmac-sha256", key=key, file=FILE) or "")
    assert hint(lines(), "hmac-sha256", key=b"another") is None


def request_of(params: dict[str, str], declared: dict[str, str] | None = None) -> SignedRequest:
    return SignedRequest({**params, "sign": "0" * 32}, "GET", PATH, EMPTY, declared=declared or {})


def test_parameters_that_were_not_signed() -> None:
    def left_out(**params: str) -> list[tuple[str, ...]]:
        return [
            tuple(name for name in params if name not in signed)
            for signed, _ in unsigned_parameters(request_of(params))
        ]

    assert left_out(a="1", b="2", c="3") == [("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("b", "c")]
    assert left_out(a="1", b="", c="") == [
        ("b", "c"),
        ("a",),
        ("b",),
        ("c",),
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
    ]
    assert left_out(lang="en", token="t", userId="7", appkey="K")[10:] == [
        ("lang", "token", "userId"),
        ("lang", "userId", "appkey"),
        ("token", "userId", "appkey"),
        ("lang", "token", "appkey"),
        ("lang", "token", "userId", "appkey"),
    ]
    common = dict.fromkeys(("userId", "lang", "sign_method", "token", "appkey"), "x")
    assert sorted(map(len, left_out(**common))) == [1] * 5 + [2] * 10 + [3] * 10 + [4] * 5 + [5]
    many = {f"p{number}": "1" for number in range(15)}
    assert len(left_out(**many)) == 15
    del many["p0"]
    assert len(left_out(**many)) == 14 + 14 * 13 // 2
    sign_method = next(unsigned_parameters(request_of({"sign_method": "md5"})))
    assert sign_method[1].en == "sign_method takes part in the signature like any parameter"
    assert next(unsigned_parameters(request_of({"x": "1"})))[1].zh == "你发送了 x，但没有把它放进签名"


def test_parameters_that_were_not_sent() -> None:
    sent = {"appkey": "K", "lang": "en", "b": "2"}
    found = [
        tuple((name, value) for name, value in signed.items() if sent.get(name) != value)
        for signed, _ in unsent_parameters(request_of(sent, {"b": "", "page": "1", "c": ""}))
    ]
    empty = ["", "null", "undefined", "None", "nil"]
    assert found == [
        *[(("page", value),) for value in [*empty, "1"]],
        *[((name, value),) for name in ("c", "token", "userId", "sign") for value in empty],
        (("sign_method", "md5"),),
        (("sign_method", "hmac-sha256"),),
        *[(("page", value), ("c", value)) for value in empty],
    ]
    given = {"appkey": "K", "lang": "en", "token": "t", "userId": "7", "sign_method": "md5"}
    found = [tuple(signed.items() - given.items()) for signed, _ in unsent_parameters(request_of(given))]
    assert found[:5] == [(("sign", value),) for value in empty] and not any(found[5:])


def test_values_that_were_sent_in_another_form() -> None:
    def changed(**params: str) -> list[tuple[str, str]]:
        return [
            pair
            for signed, _ in other_values(request_of(params))
            for pair in signed.items()
            if params[pair[0]] != pair[1]
        ]

    def times(timestamp: str) -> list[str]:
        return [value for _, value in changed(timestamp=timestamp)]

    number = 1_699_999_999_123
    assert times(str(number)) == [
        "1699999999", "1699999999000", "1699999999123000", "1699999999.123",
        *(str(number + step) for step in range(-40, 41) if step),
    ]  # fmt: skip
    assert times("1699999999") == ["1699999999000", "1699999998", "1700000000"]
    assert times("1699999999.5") == ["1699999999", "1699999999000", "1699999999.5000"]
    assert times("") == ["000"]
    unchanged = {"timestamp": "x", "nonce": "7"}
    assert changed(**unchanged, on="1", off="0", age="30", name="1a", text=" a ") == [
        ("timestamp", "x000"),
        ("text", "a"),
        ("on", "1.0"), ("on", "true"), ("on", "True"),
        ("off", "0.0"), ("off", "false"), ("off", "False"),
        ("age", "30.0"),
    ]  # fmt: skip
