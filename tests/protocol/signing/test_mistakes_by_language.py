"""Each mistake of `language_mistakes.py` has its hint; the search is bounded and gives nothing away."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datingtoday.profiles.schemas import UpdateParams
from datingtoday.protocol.signing.attempts import (
    MAX_ATTEMPTS,
    MAX_HASHED_BYTES,
    Attempt,
    SignedRequest,
    find_mistake,
)
from datingtoday.protocol.signing.explain import declared_params, explain
from datingtoday.protocol.signing.hmac_mistakes import hmac_attempts
from datingtoday.protocol.signing.md5_mistakes import md5_attempts
from tests.plugins.api import hmac_sign, md5_sign
from tests.plugins.tools import program
from tests.protocol.signing.language_mistakes import (
    EMPTY,
    HMAC,
    HOST,
    MD5,
    MISTAKES,
    PATH,
    SECRET,
    Mistake,
    Params,
    hmac_hex,
    js_encode_uri,
    js_encode_uri_component,
    js_url_search_params,
    lines,
    query,
    request_of,
)

BASE64_SECRET = base64.b64encode(b"a secret of bytes").decode()


def signed(params: Mapping[str, str], sign: str) -> SignedRequest:
    declared = declared_params(UpdateParams())
    return SignedRequest({**params, "sign": sign}, "POST", PATH, EMPTY, host=HOST, declared=declared)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda it: f"{it.language}: {it.what}")
def test_each_mistake_has_its_hint(mistake: Mistake) -> None:
    params = request_of(mistake.sign_method)
    sign = mistake.sign(params)
    right = (
        md5_sign(params, SECRET) if mistake.sign_method == MD5 else hmac_sign("POST", PATH, params, SECRET)
    )
    assert sign != right, "it is no mistake"
    for lang in ("en", "zh"):
        told = explain(signed(params, sign), [SECRET], sign_method=mistake.sign_method, lang=lang)
        if lang == "en":
            assert mistake.hint in told["hint"]
        assert SECRET not in json.dumps(told)
        assert right not in json.dumps(told)


def test_four_languages_and_more_are_covered() -> None:
    count = {
        language: sum(it.language == language for it in MISTAKES)
        for language in {it.language for it in MISTAKES}
    }
    assert all(count[language] >= 9 for language in ("python", "javascript", "java", "swift"))


@pytest.mark.needs("newman")
def test_the_encoders_of_javascript_are_those_of_node() -> None:
    text = "".join(map(chr, range(32, 127))) + "小雨😀"
    script = (
        "const t = process.argv[1]; console.log(JSON.stringify([encodeURIComponent(t), encodeURI(t), "
        "new URLSearchParams([['', t]]).toString().slice(1)]))"
    )
    node = program("node")
    assert node
    printed = subprocess.run(
        [node, "-e", script, text], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert json.loads(printed) == [
        js_encode_uri_component(text),
        js_encode_uri(text),
        js_url_search_params(text),
    ]


def attempts_of(params: Params, sign_method: str, secret: str = SECRET) -> Iterator[Attempt]:
    request = signed(params, "")
    return (md5_attempts if sign_method == MD5 else hmac_attempts)(request, secret)


@pytest.mark.parametrize("sign_method", [MD5, HMAC])
def test_no_attempt_has_a_part_of_the_secret(sign_method: str) -> None:
    """Or who does not know it could guess it piece by piece."""
    whole = [SECRET.encode(), SECRET.upper().encode(), bytes.fromhex(SECRET), base64.b64decode(SECRET)]
    found = 0
    for attempt in attempts_of(request_of(sign_method), sign_method):
        hashed = attempt.text + (attempt.key or b"")
        if any(form in hashed for form in whole):
            found += 1
            continue
        for form in whole:
            assert not any(form[at : at + 4] in hashed for at in range(len(form) - 3)), attempt.meaning
    assert found > 100


@pytest.mark.parametrize("sign_method", [MD5, HMAC])
def test_the_search_is_bounded(sign_method: str) -> None:
    """Whatever a request of the allowed size holds: a hundred parameters, or a few with all of its 64 KiB."""
    ordinary = list(attempts_of(request_of(sign_method), sign_method))
    assert len(ordinary) < MAX_ATTEMPTS
    assert sum(len(attempt.text) for attempt in ordinary) < MAX_HASHED_BYTES / 2
    algorithm = "md5" if sign_method == MD5 else "sha256"
    common = request_of(sign_method)
    for more in (
        {f"p{number}": str(number % 2) for number in range(90)},
        {f"p{number}": "1" * 600 for number in range(90)},
        {"intro": "é" * 21_000},
    ):
        params = {**common, **more}
        read: list[int] = []

        def counted(params: Params = params, read: list[int] = read) -> Iterator[Attempt]:
            for attempt in attempts_of(params, sign_method):
                read.append(len(attempt.text))
                yield attempt

        began = time.process_time()
        assert find_mistake(counted(), "0" * 64, algorithm) is None
        assert len(read) <= MAX_ATTEMPTS + 1
        assert sum(read[:-1]) <= MAX_HASHED_BYTES
        assert time.process_time() - began < 2


texts = st.text(max_size=20)


@settings(max_examples=20, deadline=None)
@given(
    own=st.dictionaries(st.sampled_from(["nickname", "intro", "a", "Z", "0"]), texts, max_size=4),
    sign=st.binary(min_size=32, max_size=32),
)
def test_nothing_is_told_by_a_random_signature(own: Params, sign: bytes) -> None:
    for sign_method, length in ((MD5, 32), (HMAC, 64)):
        params = request_of(sign_method) | own
        told = explain(signed(params, sign.hex()[:length]), [SECRET], sign_method=sign_method, lang="en")
        assert "none of the usual mistakes" in told["hint"]
        assert SECRET not in json.dumps(told)


def test_a_secret_that_is_no_hex_and_no_base64() -> None:
    params = request_of(HMAC)
    odd = "not hex, not base64: ü"
    assert "usual" in explain(signed(params, "0" * 64), [odd], sign_method=HMAC, lang="en")["hint"]
    sign = hmac_hex(lines(query(params)), f"{BASE64_SECRET} ")
    hint = explain(signed(params, sign), [odd, BASE64_SECRET], sign_method=HMAC, lang="en")["hint"]
    assert "white space" in hint
