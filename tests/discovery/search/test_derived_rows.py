"""Rows that search and hot list derive from a person: exactly those of the nickname, none left behind."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from datingtoday.discovery.derived_rows import PeopleIndex, insert_missing
from datingtoday.discovery.hot.models import HotPerson
from datingtoday.discovery.hot.ranking import ForwardDecay
from datingtoday.discovery.search.models import SearchGram, SearchName
from datingtoday.discovery.search.nicknames import fold, grams, leading_grams
from tests.plugins.api import Api
from tests.profiles.factories import make_user, set_row

EMBEDDED = pytest.mark.parametrize("shared_backend", ["embedded"], indirect=True)
# CRC-32 of the UTF-8 text, without the highest bit: rows that were written before must be found.
A, B, AB = 0x68B7BE43, 0x71BEEFF9, 0x1E83486D


def test_numbers_of_grams() -> None:
    assert grams("ab") == {A, B, AB}
    assert leading_grams("ab") == [AB] and leading_grams("a") == [A] and leading_grams("") == []
    assert grams("") == frozenset() and grams("aa") == {A, *leading_grams("aa")}
    assert len(leading_grams("abab")) == 2
    assert max(number for letter in map(chr, range(32, 900)) for number in grams(letter)) < 2**31


def test_folding() -> None:
    assert fold("  ＡＢ  c\t") == "ab c"
    assert fold("Straße") == "strasse"
    assert len(fold("ﷺ" * 40)) <= 255 and fold("") == ""


def rows_of(api: Api, user_id: int) -> tuple[set[int], list[str], int]:
    """Grams, folded names, and the number of rows of the hot list."""
    with api.parts.base.database.reading() as session:
        found: Any = session.scalars(select(SearchGram.gram).where(SearchGram.user_id == user_id))
        names = session.scalars(select(SearchName.folded).where(SearchName.user_id == user_id))
        hot = session.scalars(select(HotPerson.user_id).where(HotPerson.user_id == user_id))
        return set(found), list(names), len(list(hot))


@EMBEDDED
def test_a_nickname_and_the_next_one(api: Api) -> None:
    user = make_user(api, nickname="abc")
    assert rows_of(api, user.user_id) == (set(grams("abc")), ["abc"], 1)
    set_row(api, user, nickname="ABD")
    assert rows_of(api, user.user_id) == (set(grams("abd")), ["abd"], 1)
    index = PeopleIndex(ForwardDecay(7))
    with api.parts.base.database.transaction() as session:
        # Five grams, the name, and the place in the hot list.
        assert index.remove(session.connection(), user.user_id) == 7
        assert index.remove(session.connection(), user.user_id) == 0
    assert rows_of(api, user.user_id) == (set(), [], 0)


@EMBEDDED
def test_rows_that_exist_stay(api: Api) -> None:
    user_id = make_user(api, nickname="abc").user_id
    with api.parts.base.database.transaction() as session:
        connection = session.connection()
        new = [{"user_id": user_id, "folded": "other"}, {"user_id": 999_999_999, "folded": "new"}]
        assert insert_missing(connection, SearchName, new) == 1
        assert insert_missing(connection, SearchName, new) == insert_missing(connection, SearchName, []) == 0
    assert rows_of(api, user_id)[1] == ["abc"]
    assert rows_of(api, 999_999_999)[1] == ["new"]
    with api.parts.base.database.transaction() as session:
        assert PeopleIndex(ForwardDecay(7)).remove(session.connection(), 999_999_999) == 1
