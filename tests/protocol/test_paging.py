"""Pages: parameters, cursors, totals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import literal, select

from datingtoday.discovery.nearby.schemas import NearbyParams
from datingtoday.infra.db import Database
from datingtoday.protocol.errors import AppError, ParameterError
from datingtoday.protocol.loading import load_params
from datingtoday.protocol.paging import (
    Cursors,
    PageParams,
    PageRequest,
    Total,
    count_up_to_most,
    page_ahead,
    page_answer,
)

CURSORS = Cursors(b"k" * 32)
POSITIONS = st.lists(st.integers(-(2**62), 2**62) | st.text(max_size=20), max_size=4)


def test_defaults() -> None:
    assert load_params(PageParams(), {}) == {"page": PageRequest(1, 10, None)}
    assert PageRequest(3, 20, None).offset == 40


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("page", "0"), ("page", "-1"), ("page", "1.0"), ("page", ""), ("page", "100001"), ("page", "٣"),
        ("page", "9" * 50), ("page", "1 "),
        ("pageCount", "0"), ("pageCount", "51"), ("pageCount", "all"), ("pageCount", ""),
        ("cursor", ""), ("cursor", "a b"), ("cursor", "=="), ("cursor", "x" * 513), ("cursor", "游标"),
    ],
)  # fmt: skip
def test_bad_parameters_are_named(name: str, sent: str) -> None:
    with pytest.raises(ParameterError, match=name):
        load_params(PageParams(), {name: sent})


class ForgettingParams(NearbyParams):
    """Reads every request anew."""

    remembers: ClassVar[frozenset[str]] = frozenset()


REMEMBERING, FORGETTING = NearbyParams(), ForgettingParams()
SENT = st.fixed_dictionaries(
    {},
    optional={
        "page": st.sampled_from(["1", "2", "0", "x"]),
        "pageCount": st.sampled_from(["10", "20", "51"]),
        "cursor": st.sampled_from(["abc", "abd", "a b", ""]),
        "radius": st.sampled_from(["50", "5", "7"]),
        "gender": st.sampled_from(["1", "9"]),
        "latlng": st.sampled_from(["39.9,116.4", "north"]),
        "appkey": st.just("ignored"),
    },
)


@given(sent=SENT)
def test_what_was_read_before_makes_no_difference(sent: dict[str, str]) -> None:
    """Neither to values nor to which error comes first; and what one request gets no other one changes."""

    def outcome(schema: NearbyParams) -> Any:
        try:
            values = load_params(schema, sent)
        except AppError as error:
            return error.message("en")
        told = dict(values)
        values.clear()
        return told

    expected = outcome(FORGETTING)
    assert [outcome(REMEMBERING) for _ in range(2)] == [expected] * 2


@given(position=POSITIONS, user_id=st.integers(1, 2**31 - 1))
def test_a_cursor_gives_back_its_position(position: list[int | str], user_id: int) -> None:
    cursor = CURSORS.write("list", user_id, position)
    assert CURSORS.read("list", user_id, cursor) == tuple(position)
    assert load_params(PageParams(), {"cursor": cursor})["page"].cursor == cursor


@given(data=st.data(), position=POSITIONS)
def test_a_changed_cursor_is_refused(data: st.DataObject, position: list[int | str]) -> None:
    cursor = CURSORS.write("list", 7, position)
    at = data.draw(st.integers(0, len(cursor) - 2))
    sign = data.draw(st.sampled_from([sign for sign in "AZaz09-_" if sign != cursor[at]]))
    for changed in (cursor[:at] + sign + cursor[at + 1 :], cursor[:at], cursor + "A", cursor + "AAAA"):
        with pytest.raises(ParameterError, match="cursor"):
            CURSORS.read("list", 7, changed)


@given(text=st.from_regex(r"[A-Za-z0-9_-]{1,80}", fullmatch=True))
def test_a_made_up_cursor_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="cursor"):
        CURSORS.read("list", 7, text)


def test_a_cursor_is_good_for_one_list_one_person_and_one_server() -> None:
    cursor = CURSORS.write("fans", 7, [1])
    for cursors, name, user_id in (
        (CURSORS, "following", 7),
        (CURSORS, "fans", 8),
        (Cursors(b"x" * 32), "fans", 7),
    ):
        with pytest.raises(ParameterError, match="cursor"):
            cursors.read(name, user_id, cursor)


def test_an_answer() -> None:
    last = page_answer([b'{"a":1}', b"2"], total=Total(2), has_next=False, next_="unused")
    assert json.loads(last) == {"total": 2, "list": [{"a": 1}, 2], "has_next": False, "next": None}
    more = page_answer([], total=Total.of(5_000), has_next=True, next_="abc")
    assert json.loads(more) == {
        "total": 1000,
        "total_more": True,
        "list": [],
        "has_next": True,
        "next": "abc",
    }


@pytest.mark.parametrize(
    ("rows", "total"), [(0, Total(0)), (1000, Total(1000)), (1001, Total(1000, more=True))]
)
def test_totals_are_exact_up_to_a_thousand(tmp_path: Path, rows: int, total: Total) -> None:
    first = select(literal(1).label("n")).cte(recursive=True)
    numbers = first.union_all(select(first.c.n + 1).where(first.c.n < rows))
    database = Database(f"sqlite:///{tmp_path}/empty.db")
    with database.transaction(write=False) as session:
        assert count_up_to_most(session, select(numbers.c.n).where(numbers.c.n <= rows)) == total
    database.dispose()


@pytest.mark.parametrize(
    "sent",
    [
        {}, {"page": "1"}, {"page": "3"}, {"pageCount": "1"}, {"pageCount": "50"}, {"page": "2", "pageCount": "7"},
        {"cursor": "abc"}, {"cursor": "abc", "pageCount": "20"},
    ],
)  # fmt: skip
def test_the_page_guessed_ahead_is_the_page_asked_for(sent: dict[str, str]) -> None:
    assert page_ahead(sent) == load_params(PageParams(), sent)["page"]


@pytest.mark.parametrize("sent", [{"page": "0"}, {"page": "x"}, {"pageCount": "51"}, {"pageCount": "0"}])
def test_what_will_be_refused_is_guessed_to_be_the_first_page(sent: dict[str, str]) -> None:
    assert page_ahead(sent) == PageRequest(1, 10, None)
