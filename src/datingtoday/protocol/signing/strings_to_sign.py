"""Signatures of requests: the strings to sign, and their verification.

``md5`` exists in the forms that clients of the articles use: the token before or after the parameters, the appkey
among the parameters or not. ``hmac-sha256`` covers method, path and file as well. docs/protocol.md describes both.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote

MD5 = "md5"
HMAC_SHA256 = "hmac-sha256"
SIGN_METHODS = (MD5, HMAC_SHA256)
SIGN_LENGTHS = {MD5: 32, HMAC_SHA256: 64}
"""Hex digits of a signature by its method."""

NO_FILE_SHA256 = hashlib.sha256(b"").hexdigest()
_OUTSIDE = frozenset({"timestamp", "nonce", "token", "sign"})


class Md5Text(NamedTuple):
    """Text that an md5 client signed: ``head``, timestamp, nonce and secret, without delimiters."""

    head: str
    last: str
    """The name of the parameter whose value ends the head; empty if the head is."""


def md5_texts(params: Mapping[str, str]) -> Iterator[Md5Text]:
    """The heads of all strings that an md5 client may have signed, each once."""
    pairs = sorted(
        (f"{name}={value}".encode(), name) for name, value in params.items() if name not in _OUTSIDE
    )
    token = params.get("token", "")
    for chosen in ([pair for pair in pairs if pair[1] != "appkey"], pairs):
        msg = b"&".join([pair for pair, _ in chosen]).decode()
        last = chosen[-1][1] if chosen else ""
        if token:
            yield Md5Text(f"{msg}{token}", "token")
            yield Md5Text(f"{token}{msg}", last or "token")
        else:
            yield Md5Text(msg, last)


def md5_strings(params: Mapping[str, str], secret: str) -> Iterator[str]:
    """All strings that an md5 client may have signed, each once."""
    tail = _md5_tail(params, secret)
    for text in md5_texts(params):
        yield f"{text.head}{tail}"


def hmac_string(method: str, path: str, params: Mapping[str, str], file_sha256: str = NO_FILE_SHA256) -> str:
    """The string that an hmac-sha256 client signs.

    :param path: as it was sent, before the ``?``.
    :param file_sha256: lower-case hex of the uploaded file's digest; of nothing if there is no file.
    """
    names = sorted(name for name in params if name != "sign")
    query = "&".join(f"{_encode(name)}={_encode(params[name])}" for name in names)
    return f"{method}\n{path}\n{query}\n{file_sha256}"


def sign_md5(string: str) -> str:
    return hashlib.md5(string.encode(), usedforsecurity=False).hexdigest()


def sign_hmac(string: str, secret: str) -> str:
    return hmac.new(secret.encode(), string.encode(), hashlib.sha256).hexdigest()


def signed_text(params: Mapping[str, str], secrets: Sequence[str]) -> Md5Text | None:
    """Text whose md5 under one of the live secrets is ``params["sign"]``; None if there is none.

    Each comparison takes the same time wherever the signatures differ.
    """
    given = params["sign"].lower()
    tails = [_md5_tail(params, secret) for secret in secrets]
    for text in md5_texts(params):
        for tail in tails:
            if hmac.compare_digest(sign_md5(f"{text.head}{tail}"), given):
                return text
    return None


def is_hmac_signed(
    params: Mapping[str, str],
    secrets: Sequence[str],
    *,
    method: str,
    path: str,
    file_sha256: str = NO_FILE_SHA256,
) -> bool:
    """True if ``params["sign"]`` is the right hmac-sha256 signature under one of the live secrets."""
    given = params["sign"].lower()
    string = hmac_string(method, path, params, file_sha256)
    return any(hmac.compare_digest(sign_hmac(string, secret), given) for secret in secrets)


def _md5_tail(params: Mapping[str, str], secret: str) -> str:
    return f"{params.get('timestamp', '')}{params.get('nonce', '')}{secret}"


def _encode(text: str) -> str:
    return quote(text, safe="-._~")
