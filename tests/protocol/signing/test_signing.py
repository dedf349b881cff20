"""Signatures, held against an implementation of their own; timestamps and nonces."""

from __future__ import annotations

import hashlib
import re
from decimal import Decimal

from hypothesis import example, given
from hypothesis import strategies as st

from datingtoday.protocol.signing.strings_to_sign import is_hmac_signed, md5_strings, signed_text
from datingtoday.protocol.signing.timestamps import is_nonce, timestamp_ms
from tests.plugins.api import hmac_sign, md5_sign

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = TEXTS.filter(lambda name: name not in ("sign", "timestamp", "nonce", "token"))
COMMON = st.fixed_dictionaries(
    {
        "appkey": st.text("ABC123", min_size=4, max_size=8),
        "timestamp": st.from_regex(r"[0-9]{10}([0-9]{3}|\.[0-9]{1,9})?", fullmatch=True),
        "nonce": st.from_regex(r"[A-Za-z0-9_-]{4,64}", fullmatch=True),
    },
    optional={"token": st.text("0123456789abcdef", max_size=32), "sign_method": st.just("md5")},
)
PARAMS = st.tuples(st.dictionaries(NAMES, TEXTS, max_size=8), COMMON).map(lambda both: {**both[0], **both[1]})
SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40)


@given(PARAMS, SECRETS, st.booleans(), st.booleans(), st.booleans())
@example(
    {"photo": "a", "photo1": "b", "appkey": "K", "timestamp": "1" * 10, "nonce": "abcd"},
    "s" * 8,
    True,
    True,
    True,
)
def test_every_md5_form_of_another_implementation_is_right(
    params: dict[str, str], secret: str, token_first: bool, with_appkey: bool, upper: bool
) -> None:
    sign = md5_sign(params, secret, token_first=token_first, with_appkey=with_appkey)
    signed = {**params, "sign": sign.upper() if upper else sign}
    assert signed_text(signed, [secret])
    # Another live secret beside it changes nothing, in either order.
    assert signed_text(signed, ["another1", secret])
    assert signed_text(signed, [secret, "another1"])
    assert not signed_text(signed, ["another1"])
    assert not signed_text(signed, [])


@given(PARAMS, SECRETS, st.sampled_from(["GET", "POST"]), st.binary(max_size=20), TEXTS)
def test_hmac_of_another_implementation_is_right(
    params: dict[str, str], secret: str, method: str, file: bytes, path: str
) -> None:
    digest = hashlib.sha256(file).hexdigest()
    signed = {**params, "sign": hmac_sign(method, path, params, secret, file)}

    def is_right(params: dict[str, str] = signed, secret: str = secret, **changed: str) -> bool:
        covered = {"method": method, "path": path, "file_sha256": digest} | changed
        return is_hmac_signed(params, [secret], **covered)

    assert is_right()
    assert is_right({**signed, "sign": signed["sign"].upper()})
    assert not is_right(secret=secret + "x")
    assert not is_right(method="GET" if method == "POST" else "POST")
    assert not is_right(path=path + "/")
    assert not is_right(file_sha256=hashlib.sha256(file + b"x").hexdigest())
    for name in params:
        assert not is_right({**signed, name: signed[name] + "x"})


@given(PARAMS, SECRETS, st.data())
def test_no_changed_request_keeps_its_md5(params: dict[str, str], secret: str, data: st.DataObject) -> None:
    """But for cuts that leave the string as it is; those are the replay guard's."""
    signed = {**params, "sign": md5_sign(params, secret)}
    name = data.draw(st.sampled_from(sorted(params)))
    changed = {**signed, name: data.draw(TEXTS)}
    same_string = set(md5_strings(changed, secret)) & set(md5_strings(signed, secret))
    assert bool(signed_text(changed, [secret])) <= bool(same_string)


@given(PARAMS, SECRETS)
def test_no_string_is_tried_twice(params: dict[str, str], secret: str) -> None:
    strings = list(md5_strings(params, secret))
    assert len(strings) == (4 if params.get("token") else 2)


FORM = re.compile(r"[0-9]{13}|[0-9]{10}(\.[0-9]{1,9})?", re.ASCII)


@given(
    st.one_of(
        st.text(max_size=24),
        st.from_regex(FORM, fullmatch=True),
        st.from_regex(r"[0-9.٠-٩０-９+\-eE_ \n]{9,16}", fullmatch=True),
    )
)
@example("1564486841")
@example("1564486841\n")
@example(" 1564486841")
@example("１５６４４８６８４１")
@example("1564486841.")
@example("1564486841.0123456789")
@example("15644868.41")
def test_timestamps_have_three_forms(text: str) -> None:
    found = timestamp_ms(text)
    assert (found is not None) == (FORM.fullmatch(text) is not None)
    if found is not None:
        assert found == (int(text) if len(text) == 13 and "." not in text else int(Decimal(text) * 1000))


@given(st.one_of(st.text(max_size=70), st.text("aZ0_-é \n", max_size=70)))
@example("a" * 64)
@example("a" * 65)
@example("abcd\n")
@example("ａｂｃｄ")
def test_nonces_have_one_form(text: str) -> None:
    assert is_nonce(text) == (re.fullmatch(r"[A-Za-z0-9_-]{4,64}", text, re.ASCII) is not None)
