"""Nicknames as the search compares them: folded, and cut into grams.

A gram is one character or two neighbouring ones. Who has a text in the nickname has all grams of the text, so the
rarest of them leads to few people, whose folded nicknames are then looked at. This finds parts of Chinese names as
well as of Latin ones, at the beginning or within, and in the same way on every database. Grams are stored as 31-bit
numbers: small, independent of collations; that two grams may share a number costs a look at a nickname more.
"""

from __future__ import annotations

import unicodedata
import zlib

from datingtoday.discovery.search.models import FOLDED_CHARS


def fold(nickname: str) -> str:
    """The form in which nicknames are compared: without case, width and style of letters, spaces as one space."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", nickname).casefold())
    return " ".join(folded.split())[:FOLDED_CHARS].rstrip()


def grams(folded: str) -> frozenset[int]:
    """All grams of a nickname, as they are stored."""
    pairs = (folded[at : at + 2] for at in range(len(folded) - 1))
    return frozenset(_number(gram) for gram in (*folded, *pairs))


def leading_grams(folded: str) -> list[int]:
    """Grams of a wanted text any of which leads to everybody who has it; the text's pairs, or its one character."""
    if len(folded) < 2:
        return [_number(folded)] if folded else []
    return list(dict.fromkeys(_number(folded[at : at + 2]) for at in range(len(folded) - 1)))


def _number(gram: str) -> int:
    return zlib.crc32(gram.encode("utf-8", "surrogatepass")) & 0x7FFF_FFFF
