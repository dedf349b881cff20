"""Guesses at the bytes that a developer who signed wrongly has hashed, and the bound of the search."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from datingtoday.infra.text import Text

MAX_ATTEMPTS = 4_000
MAX_HASHED_BYTES = 2 << 20
"""Bounds of one search, of which an ordinary request takes a tenth."""


class Attempt(NamedTuple):
    """Bytes that may have been hashed, and the mistake that leads to them.

    Every attempt has the whole secret in it. None may contain a part of it: whoever does not know the secret could find
    it piece by piece.
    """

    text: bytes
    meaning: Text
    key: bytes | None = None
    """Key of an HMAC; None for a plain hash."""
    algorithm: str = ""
    """Hash function; empty for that of the sign method."""

    def digest(self, default: str) -> str:
        """Lower-case hex.

        :param default: the hash function of the sign method.
        """
        algorithm = self.algorithm or default
        if self.key is None:
            return hashlib.new(algorithm, self.text, usedforsecurity=False).hexdigest()
        return hmac.new(self.key, self.text, algorithm).hexdigest()


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it arrived, and what its endpoint takes.

    :param host: its ``Host`` header; empty if unknown. :param declared: names of the parameters that the endpoint
        takes, with the values that stand for absent ones ("" where nothing does).
    """

    params: Mapping[str, str]
    method: str
    path: str
    file_sha256: str
    host: str = ""
    declared: Mapping[str, str] = field(default_factory=dict)

    @property
    def sent(self) -> dict[str, str]:
        """Every parameter but the signature, in the order in which they came."""
        return {name: value for name, value in self.params.items() if name != "sign"}


def find_mistake(attempts: Iterable[Attempt], sign: str, algorithm: str) -> Text | None:
    """The first mistake that leads to this signature; None if none does within the bounds."""
    hashed = 0
    for number, attempt in enumerate(attempts):
        hashed += len(attempt.text)
        if number >= MAX_ATTEMPTS or hashed > MAX_HASHED_BYTES:
            return None
        if hmac.compare_digest(attempt.digest(algorithm), sign):
            return attempt.meaning
    return None


def both_mistakes(one: Text, other: Text) -> Text:
    """Two mistakes at once."""
    return Text(f"{one.en}; besides, {other.en}", f"{one.zh}；此外，{other.zh}")


def secret_variants(secret: str) -> Iterator[tuple[bytes, Text]]:
    """Keys that come out of handling the right secret wrongly."""
    blank = Text(
        "your appsecret has white space or a line end around it; trim what you read from a file or a form",
        "你的 appsecret 首尾带有空白或换行；从文件或输入框读取后请去除",
    )
    for text in (
        f"{secret}\n",
        f"{secret}\r\n",
        f"{secret} ",
        f" {secret}",
        f"\ufeff{secret}",
        f"{secret}\r",
    ):
        yield text.encode(), blank
    quoted = Text("your appsecret has quotation marks around it", "你的 appsecret 带有引号")
    for mark in ('"', "'"):
        yield f"{mark}{secret}{mark}".encode(), quoted
    case = Text("your appsecret is in another case", "你的 appsecret 大小写不对")
    for text in (secret.upper(), secret.lower()):
        if text != secret:
            yield text.encode(), case
    try:
        yield (
            bytes.fromhex(secret),
            Text(
                "you decoded the appsecret from hex; use its characters as they are",
                "你把 appsecret 按十六进制解码了；应直接使用字符本身",
            ),
        )
    except ValueError:
        # Not all secrets are hex digits.
        return
