"""Parameters as programs print them and as people paste them."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datingtoday.protocol.fields import Integer, LatLng, has_control_characters
from datingtoday.protocol.phone_numbers import to_e164
from datingtoday.protocol.visible_text import characters, shows_something, trimmed

WRITTEN = {
    "23.129110000000000368,113.26438500000000147": (23.12911, 113.264385),
    "+23.129,+113.264": (23.129, 113.264),
    "2.3129e1,1.13264E+2": (23.129, 113.264),
    "1e-7,-1e-7": (0.0, 0.0),
    "1.0E-4,4.9E-324": (0.0001, 0.0),
    " 23.129 , 113.264 ": (23.129, 113.264),
    "23.,.5": (23.0, 0.5),
    "90.00000000000000001,-180": (90.0, -180.0),
    "023.5,113": (23.5, 113.0),
}


@pytest.mark.parametrize(("text", "place"), WRITTEN.items())
def test_a_place_in_every_form_in_which_programs_print_numbers(text: str, place: tuple[float, float]) -> None:
    assert LatLng().read(text) == place
    assert "-0.0" not in str(LatLng().read(text))


@given(
    st.floats(-90, 90),
    st.floats(-180, 180),
    st.sampled_from([repr, json.dumps, "{:.17g}".format, "{:.60f}".format]),
)
def test_every_double_is_taken(latitude: float, longitude: float, write: object) -> None:
    text = ",".join(write(number) for number in (latitude, longitude))  # type: ignore[operator]
    read = LatLng().read(text)
    assert read == (round(latitude, 6), round(longitude, 6))


@given(
    st.lists(
        st.sampled_from("\u200e\u200f\u202a\u202c\u202d\u2066\u2069\ufeff\u200b\u200d\u2060\u00ad"),
        max_size=40,
    ),
    st.randoms(),
)
def test_invisible_marks_anywhere_in_a_number_are_ignored(marks: list[str], random: object) -> None:
    number = list("+8613912345678")
    for mark in marks:
        number.insert(random.randint(0, len(number)), mark)  # type: ignore[attr-defined]
    assert to_e164("".join(number)) == "+8613912345678"


@given(st.text(max_size=20), st.sampled_from(["\u200b", "\u200e", "\ufeff", " ", "\u3000", "\u2060"]))
def test_what_stands_around_a_text_is_cut_off(text: str, margin: str) -> None:
    assert trimmed(f"{margin}{text}{margin}") == trimmed(text)
    assert trimmed(trimmed(text)) == trimmed(text)


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(-(10**10), 10**10))
def test_whole_numbers_within_their_range_and_no_others(one: int, other: int, number: int) -> None:
    least, most = sorted((one, other))
    field = Integer(least=least, most=most)
    for value in (number, least - 1, least, most, most + 1):
        if least <= value <= most:
            assert field.read(str(value)) == value
        else:
            with pytest.raises(ValueError, match=str(value)):
                field.read(str(value))


def test_characters_are_counted_as_readers_do() -> None:
    assert len(characters("👨‍👩‍👧‍👦🇨🇳❤️é한글नि")) == 7
    assert not any(
        map(shows_something, ["", " ", "\u200b", "\ufffc", "\u2065", "\U000e0080", "\u3164", "\u0301"])
    )
    assert all(map(shows_something, ["a", "。", "😀", "\U00031350", "\ufffca"]))


def test_characters_that_no_text_may_have_by_their_categories() -> None:
    for code in range(0x110000):
        sign = chr(code)
        is_refused = (
            unicodedata.category(sign) in ("Cc", "Cs", "Co")
            or "\u202a" <= sign <= "\u202e"
            or "\u2066" <= sign <= "\u2069"
            or "\ufdd0" <= sign <= "\ufdef"
            or code & 0xFFFE == 0xFFFE
        )
        assert has_control_characters(sign) == is_refused, hex(code)
    assert has_control_characters("晚上好\u202e")
    assert not has_control_characters("晚上好")
