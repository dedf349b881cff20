"""The steps of a search: which filter leads, how far it is walked, and how far it is counted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest
from sqlalchemy.orm import Session

from datingtoday.discovery.search import service, statements
from datingtoday.discovery.search.nicknames import grams, leading_grams
from datingtoday.discovery.search.service import Filters, Search, years_before
from datingtoday.discovery.search.statements import Leader, LeaderKind, last_of_next, rarest
from tests.plugins.api import Api
from tests.plugins.statements import Statement
from tests.plugins.statements import statements as noted
from tests.profiles.factories import make_user

EMBEDDED = pytest.mark.parametrize("shared_backend", ["embedded"], indirect=True)
NOTHING: Any = None


def values_of(statement: Statement) -> list[Any]:
    values = statement.values
    return list(values.values() if isinstance(values, dict) else values)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[Leader]:
    """The filters of which the rarest was looked for; the last of them is taken."""
    compared: list[Leader] = []

    def last(_: Session, leaders: Sequence[Leader]) -> Leader:
        compared[:] = leaders
        return leaders[-1]

    monkeypatch.setattr(service.statements, "rarest", last)  # type: ignore[attr-defined]
    return compared


@pytest.mark.parametrize(
    ("length", "tried"),
    [
        (1, [0]),
        (2, [0]),
        (3, [0, 1]),
        (5, [0, 1, 2, 3]),
        (8, [0, 1, 2, 3]),
        (9, [0, 2, 4, 6]),
        (12, [0, 2, 4, 6]),
        (13, [0, 3, 6, 9]),
        (32, [0, 7, 14, 21]),
    ],
)
def test_of_a_nickname_up_to_four_grams_are_compared(
    compared: list[Leader], length: int, tried: list[int]
) -> None:
    text = "".join(map(chr, range(0x4E00, 0x4E00 + length)))
    all_of_it = leading_grams(text)
    assert len(all_of_it) == max(1, length - 1)
    led = Search._leader(NOTHING, Filters(nickname=text), text)
    assert compared == [Leader(LeaderKind.GRAM, all_of_it[at]) for at in tried]
    assert led == compared[-1]


def test_every_filter_with_an_index_may_lead(compared: list[Leader]) -> None:
    assert Search._leader(NOTHING, Filters(gender=1, height_min=170), None) == (LeaderKind.EVERYBODY, None)
    assert compared == []
    filters = Filters(nickname="a", label_id=3, education=0)
    assert Search._leader(NOTHING, filters, "a") == (LeaderKind.EDUCATION, 0)
    assert compared == [
        (LeaderKind.GRAM, *grams("a")),
        (LeaderKind.LABEL, 3),
        (LeaderKind.EDUCATION, 0),
    ]
    assert Search._leader(NOTHING, Filters(label_id=3), None) == (LeaderKind.LABEL, 3)


@EMBEDDED
def test_each_statement_reads_no_more_than_it_must(api: Api) -> None:
    database = api.parts.base.database
    people = [make_user(api).user_id for _ in range(3)]
    everybody = Leader(LeaderKind.EVERYBODY)
    with database.reading() as session:
        with noted(database) as ran:
            assert rarest(session, [everybody]) == everybody
            assert ran == [], "of one filter there is nothing to compare"
            assert last_of_next(session, everybody, people[2], 2) == people[0]
            assert last_of_next(session, everybody, people[2], 1) == people[1]
        assert [values_of(it) for it in ran] == [[people[2], 1, 1], [people[2], 1, 0]]
        assert last_of_next(session, everybody, people[2] + 1, 1) == people[2]
        assert last_of_next(session, everybody, 0, 1) is None
        matching = Filters().matching(people[0], date(2026, 7, 1), NOTHING)
        for start, end, found in (
            (people[2] + 1, people[0], people[:0:-1]),
            (people[2], people[1], [people[1]]),
            (people[2], people[2], []),
        ):
            assert statements.find(session, everybody, matching, start, end, 9) == found


@EMBEDDED
def test_a_thousand_and_one_are_counted_where_a_page_is_full(api: Api) -> None:
    # Few people have told their education: all of them are looked at, however many others there are.
    viewer, facts = make_user(api), {"height": 249, "education": 1}
    for _ in range(3):
        make_user(api, **facts)
    with noted(api.parts.base.database) as ran:
        data = api.get("/api/user/search", viewer, heightMin=249, education=1, pageCount=2).data
    counting = [it for it in ran if "count(" in it.text.lower() and "user_info" in it.text]
    assert len(counting) == 1 and 1_001 in values_of(counting[0])
    assert data["total"] >= 3 and data["has_next"]


def test_who_was_born_on_29_february_is_older_on_1_march() -> None:
    leap = date(2028, 2, 29)
    assert years_before(leap, 4) == date(2024, 2, 29)
    assert years_before(leap, 1) == date(2027, 2, 28)
    assert years_before(date(2027, 3, 1), 20) == date(2007, 3, 1)
    assert years_before(leap, 0) == leap and years_before(leap, None) is None


def test_statements_of_five_hundred_combinations_are_kept() -> None:
    assert statements._finding.cache_info().maxsize == statements._counting.cache_info().maxsize == 500
