"""Signatures of requests: the strings to sign, and their verification.

``md5`` exists in the forms that clients of the articles use: the token before or after the parameters, the appkey
among the parameters or not. ``hmac-sha256`` covers method, path and file as well. docs/protocol.md describes both.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

MD5 = "md5"
HMAC_SHA256 = "hmac-sha256"
SIGN_METHODS = (MD5, HMAC_SHA256)
SIGN_LENGTHS = {MD5: 32, HMAC_SHA256: 64}
"""Hex digits of a signature by its method."""

NO_FILE_SHA256 = hashlib.sha256(b"").hexdigest()
_OUTSIDE_MSG = frozenset({"timestamp", "nonce", "token", "sign"})


def md5_strings(params: Mapping[str, str], secret: str) -> Iterator[str]:
    """All strings that an md5 client may have signed, each once."""
    pairs = sorted(f"{name}={value}".encode() for name, value in params.items() if name not in _OUTSIDE_MSG)
    with_appkey = b"&".join(pairs).decode()
    appkey = f"appkey={params.get('appkey', '')}".encode()
    without_appkey = b"&".join(pair for pair in pairs if pair != appkey).decode()
    token = params.get("token", "")
    tail = f"{params.get('timestamp', '')}{params.get('nonce', '')}{secret}"
    for msg in (without_appkey, with_appkey):
        yield f"{msg}{token}{tail}"
        if token:
            yield f"{token}{msg}{tail}"


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


def is_signed(
    params: Mapping[str, str],
    secrets: Sequence[str],
    *,
    sign_method: str,
    method: str,
    path: str,
    file_sha256: str = NO_FILE_SHA256,
) -> bool:
    """Whether ``params["sign"]`` is right under one of the live secrets.

    Each comparison takes the same time wherever the signatures differ.
    """
    given = params["sign"].lower()
    if sign_method == HMAC_SHA256:
        string = hmac_string(method, path, params, file_sha256)
        return any(hmac.compare_digest(sign_hmac(string, secret), given) for secret in secrets)
    return any(
        hmac.compare_digest(sign_md5(string), given)
        for secret in secrets
        for string in md5_strings(params, secret)
    )


def _encode(text: str) -> str:
    return quote(text, safe="-._~")
