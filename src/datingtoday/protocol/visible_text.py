"""Text as people see it: characters that show nothing, and how many characters a reader counts."""

from __future__ import annotations

import unicodedata

import regex

_INVISIBLE = regex.compile(r"[\p{Default_Ignorable_Code_Point}\p{Cf}]")
_TRIMMED = r"[\s\p{Z}\u00ad\u061c\u180e\u200b\u200e\u200f\u2060-\u2064\ufeff]+"
"""White space and marks that are pasted along; joiners and variation selectors belong to the character before."""
_MARGINS = regex.compile(rf"\A{_TRIMMED}|{_TRIMMED}\Z")
_CHARACTER = regex.compile(r"\X")
_BLANK = frozenset("\u2800\ufffc\U00013441\U00013442\U0001d159")
"""Signs that show nothing although Unicode calls them letters or symbols: the empty Braille pattern, the place of an
object, blank hieroglyphs, a note without a head."""


def without_invisible(text: str) -> str:
    """The text without format characters: marks of direction, joiners, byte order marks, soft hyphens."""
    return str(_INVISIBLE.sub("", text))


def trimmed(text: str) -> str:
    """The text without white space and invisible marks at its beginning and end."""
    return str(_MARGINS.sub("", text))


def characters(text: str) -> list[str]:
    """Split a text into what a reader sees as characters (Unicode's extended grapheme clusters)."""
    return [str(found) for found in _CHARACTER.findall(text)]


def shows_something(text: str) -> bool:
    """True if at least one character has a visible form; an unassigned one may be a letter of a newer Unicode."""
    return any(_is_visible(sign) for sign in without_invisible(text))


def _is_visible(sign: str) -> bool:
    category = unicodedata.category(sign)
    return (category[0] in "LNPS" or category == "Cn") and sign not in _BLANK
