"""Phone numbers as people write and paste them, read into E.164 by libphonenumber."""

from __future__ import annotations

import unicodedata

import phonenumbers

from datingtoday.protocol.visible_text import without_invisible

DEFAULT_REGION = "CN"
MAX_CHARS = 64
"""Length of a number as sent: twice the longest notation, as an invisible mark may precede every digit."""
_MAX_NOTATION_CHARS = 32
_NOTATION = frozenset("0123456789+-. ()/")
_DASHES = frozenset("\u02d7\u2043\u2212\u2500\u2501\u2796\u30fc")
"""Signs that are typed as dashes, beside those that Unicode calls dashes: minus, hyphen bullet, lines, the mark of long
vowels."""
_NO_SMS = frozenset(
    {
        phonenumbers.PhoneNumberType.FIXED_LINE,
        phonenumbers.PhoneNumberType.TOLL_FREE,
        phonenumbers.PhoneNumberType.PREMIUM_RATE,
        phonenumbers.PhoneNumberType.SHARED_COST,
        phonenumbers.PhoneNumberType.PAGER,
        phonenumbers.PhoneNumberType.UAN,
        phonenumbers.PhoneNumberType.VOICEMAIL,
    }
)
"""Kinds of numbers that no SMS reaches, or that cost the sender extra."""


def to_e164(text: str, region: str = DEFAULT_REGION) -> str:
    """A phone number in E.164; the same for every notation of the same number.

    Invisible characters are ignored: address books and messengers put marks of direction around a number.

    :raises ValueError: it is not a valid number, has an extension, or is of a kind that cannot receive an SMS.
    """
    if len(text) > MAX_CHARS:
        raise ValueError("not a phone number")
    text = _plain(text)
    if not text or len(text) > _MAX_NOTATION_CHARS or not _NOTATION.issuperset(text):
        raise ValueError("not a phone number")
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException as error:
        raise ValueError("not a phone number") from error
    if not phonenumbers.is_valid_number(number) or number.extension:
        raise ValueError("not a phone number")
    if phonenumbers.number_type(number) in _NO_SMS:
        raise ValueError("not a number for SMS")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _plain(text: str) -> str:
    """Without invisible characters, and with ``-`` and a space for every kind of dash and space."""
    text = unicodedata.normalize("NFKC", without_invisible(text)).strip()
    return "".join(map(_plain_sign, text))


def _plain_sign(sign: str) -> str:
    category = unicodedata.category(sign)
    if category == "Pd" or sign in _DASHES:
        return "-"
    return " " if category == "Zs" else sign


def region_of(e164: str) -> str:
    """The ISO 3166 code of the number's country or territory; empty where it has none."""
    return phonenumbers.region_code_for_number(phonenumbers.parse(e164)) or ""


def prefix_of(e164: str) -> str:
    """The country code and the three digits after it: in most countries, and all that are served by default, a block of
    numbers of one operator.
    """
    number = phonenumbers.parse(e164)
    return f"+{number.country_code}{phonenumbers.national_significant_number(number)[:3]}"
