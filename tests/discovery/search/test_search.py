"""Search: every filter, any combination, who is never found, cursors, bounded work."""

from __future__ import annotations

import itertools
import random
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datingtoday.discovery.search import service as search_module
from datingtoday.discovery.search.nicknames import fold, grams, leading_grams
from datingtoday.discovery.search.service import years_before
from datingtoday.infra.days import ServiceDays
from datingtoday.profiles.models import UserLabel
from datingtoday.profiles.people import age_in_years
from tests.plugins.api import Api, User
from tests.plugins.sql_product import plan_of
from tests.plugins.statements import statements
from tests.profiles.factories import ban, delete, make_block, make_follow, make_hidden, make_user, set_row

PATH = "/api/user/search"

DAYS = ServiceDays("Asia/Shanghai")


def mark() -> str:
    """A part of nicknames that only one test uses: the application is shared."""
    return "".join(chr(0x4E00 + secrets.randbelow(0x5000)) for _ in range(6))


def ids(api: Api, user: User, **own: Any) -> list[int]:
    return [card["user_id"] for card in api.get(PATH, user, **own).data["list"]]


def all_pages(api: Api, user: User, **own: Any) -> list[int]:
    """Read to the end by cursor."""
    found: list[int] = []
    data = api.get(PATH, user, **own).data
    for _ in range(200):
        found += [card["user_id"] for card in data["list"]]
        if not data["has_next"]:
            return found
        data = api.get(PATH, user, **own, cursor=data["next"]).data
    raise AssertionError("the list does not end")


def born(years: int, days: int = 0) -> date:
    """The birthday of who is that old for that many days."""
    day = years_before(DAYS.today(datetime.now(UTC)), years)
    assert day is not None
    return day - timedelta(days=days)


def label(api: Api, user: User, label_id: int) -> None:
    with api.parts.base.database.transaction() as session:
        session.add(UserLabel(user_id=user.user_id, label_id=label_id, position=0))


# --- filters


def test_each_filter_and_its_edges(api: Api) -> None:
    name, viewer = mark(), make_user(api)
    columns: list[dict[str, Any]] = [
        {"gender": 1, "birthday": born(20), "height": 170, "education": 3, "emotion": 0, "salary": 1},
        {"gender": 2, "birthday": born(21) + timedelta(days=1), "height": 171, "education": 4, "emotion": 1},
        {"gender": 2, "birthday": born(30), "height": 180, "education": 5, "emotion": 2, "salary": 6},
        {},
    ]
    a, b, c, d = (make_user(api, nickname=name, **values).user_id for values in columns)
    everybody = [d, c, b, a]
    cases: list[tuple[dict[str, Any], list[int]]] = [
        ({}, everybody),
        ({"gender": 1}, [a]),
        ({"gender": 2}, [c, b]),
        ({"gender": 0}, [d]),
        ({"ageMin": 20}, [c, b, a]),
        ({"ageMin": 21}, [c]),
        ({"ageMax": 20}, [b, a]),
        ({"ageMax": 19}, []),
        ({"ageMin": 30, "ageMax": 30}, [c]),
        ({"heightMin": 171}, [c, b]),
        ({"heightMax": 171}, [b, a]),
        ({"heightMin": 171, "heightMax": 171}, [b]),
        ({"education": 5}, [c]),
        ({"education": 0}, [d]),
        ({"emotion": 0}, [a]),
        ({"emotion": 3}, []),
        ({"salaryMin": 1}, [c, a]),
        ({"salaryMin": 6}, [c]),
        ({"gender": 2, "education": 4, "ageMax": 25, "heightMin": 160, "emotion": 1}, [b]),
        ({"gender": 1, "education": 4}, []),
    ]
    for filters, expected in cases:
        data = api.get(PATH, viewer, nickname=name, **filters).data
        found = [card["user_id"] for card in data["list"]]
        assert (found, data["total"], data["has_next"]) == (expected, len(expected), False), filters


def test_labels(api: Api) -> None:
    name, viewer = mark(), make_user(api)
    a, b, c = (make_user(api, nickname=name) for _ in range(3))
    label(api, a, 3)
    label(api, c, 3)
    label(api, b, 4)
    assert ids(api, viewer, nickname=name, labelId=3) == [c.user_id, a.user_id]
    # Without a nickname it is the label that leads.
    newest = ids(api, viewer, labelId=4, pageCount=1)
    assert newest == [b.user_id]
    assert ids(api, viewer, labelId=9_999_999) == []


def test_random_combinations_agree_with_plain_python(api: Api) -> None:
    rng = random.Random(4)
    name, viewer = mark(), make_user(api)
    people: list[tuple[int, dict[str, Any]]] = []
    for _ in range(30):
        columns = {
            "gender": rng.choice([0, 1, 2]),
            "birthday": rng.choice([None, born(rng.randint(18, 40), rng.randint(0, 360))]),
            "height": rng.choice([None, rng.randint(150, 190)]),
            "education": rng.randint(0, 5),
            "emotion": rng.choice([None, 0, 1, 2, 3]),
            "salary": rng.choice([None, 1, 2, 3, 4, 5, 6]),
        }
        people.append((make_user(api, nickname=name, **columns).user_id, columns))
    today = DAYS.today(datetime.now(UTC))
    tests: dict[str, Callable[[dict[str, Any], int], bool]] = {
        "gender": lambda row, value: row["gender"] == value,
        "ageMin": lambda row, value: (age_in_years(row["birthday"], today) or -1) >= value,
        "ageMax": lambda row, value: (age_in_years(row["birthday"], today) or 999) <= value,
        "heightMin": lambda row, value: (row["height"] or 0) >= value,
        "heightMax": lambda row, value: (row["height"] or 999) <= value,
        "education": lambda row, value: row["education"] == value,
        "emotion": lambda row, value: row["emotion"] == value,
        "salaryMin": lambda row, value: (row["salary"] or 0) >= value,
    }
    values = {"gender": [1, 2], "ageMin": [20, 25], "ageMax": [30, 35], "heightMin": [155, 165],
              "heightMax": [175, 185], "education": [2, 3, 4], "emotion": [0, 1], "salaryMin": [1, 3]}  # fmt: skip
    for _ in range(40):
        chosen = {key: rng.choice(values[key]) for key in rng.sample(sorted(values), rng.randint(0, 4))}
        expected = sorted(
            (number for number, row in people if all(tests[key](row, chosen[key]) for key in chosen)),
            reverse=True,
        )
        assert all_pages(api, viewer, nickname=name, pageCount=7, **chosen) == expected, chosen


@pytest.mark.parametrize(
    ("nickname", "wanted", "is_found"),
    [
        ("张小明", "张", True), ("张小明", "小明", True), ("张小明", "张明", False), ("张小明", "张小明", True),
        ("Alice在杭州", "ALICE", True), ("Alice在杭州", "ice在", True), ("ＡＢＣ全角", "abc全", True),
        ("李 雷", "李 雷", True), ("李 雷", "李雷", False), ("100%真", "0%真", True), ("100%真", "0_真", False),
        ("😀笑脸", "😀", True), ("😀笑脸", "😁", False), ("Straße", "STRASSE", True), ("㍿の人", "株式", True),
        ("a'b\\c", "'b\\", True), ("𠮷野家", "𠮷", True), ("𠮷野家", "吉", False),
    ],
)  # fmt: skip
def test_nicknames_by_any_part(api: Api, nickname: str, wanted: str, is_found: bool) -> None:
    viewer, height = make_user(api), 100 + secrets.randbelow(150)
    person = make_user(api, nickname=nickname, height=height)
    # The newest of all: if anybody is found, this one comes first.
    assert (ids(api, viewer, nickname=wanted, pageCount=1) == [person.user_id]) is is_found


def test_a_new_nickname_is_found_at_once_and_the_old_one_no_longer(api: Api) -> None:
    viewer, person, old, new = make_user(api), api.new_user(), mark(), mark()
    for name in (old, new):
        api.post("/api/user/update", person, nickname=f"我是{name}").data  # noqa: B018
        assert ids(api, viewer, nickname=name) == [person.user_id]
    assert ids(api, viewer, nickname=old) == []
    # Half of it is still there.
    api.post("/api/user/update", person, nickname=new[:3] + old[3:]).data  # noqa: B018
    assert ids(api, viewer, nickname=new[:3]) == [person.user_id]
    assert ids(api, viewer, nickname=new) == []


def test_a_rolled_back_nickname_is_not_found(api: Api) -> None:
    viewer, person, name = make_user(api), make_user(api), mark()
    answer = api.post("/api/user/update", person, nickname=name, birthday=DAYS.today(datetime.now(UTC)))
    assert answer.code == 300
    assert ids(api, viewer, nickname=name) == []


@given(st.text(min_size=1, max_size=32), st.data())
def test_any_part_shares_its_grams_with_the_whole(whole: str, data: st.DataObject) -> None:
    folded = fold(whole)
    if folded:
        start = data.draw(st.integers(0, len(folded) - 1))
        part = folded[start : data.draw(st.integers(start + 1, len(folded)))]
        assert set(leading_grams(part)) <= grams(folded)
    assert fold(folded) == folded


@given(st.dates(date(2020, 1, 1), date(2040, 12, 31)), st.dates(date(1920, 1, 1), date(2019, 12, 31)))
def test_birthdays_agree_with_ages(today: date, birthday: date) -> None:
    age = age_in_years(birthday, today)
    assert age is not None
    for years in (age - 1, age, age + 1):
        until = years_before(today, max(years, 0))
        assert until is not None
        assert (birthday <= until) is (age >= max(years, 0))


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ({"ageMin": 30, "ageMax": 29}, "ageMin"), ({"heightMin": 180, "heightMax": 170}, "heightMin"),
        ({"ageMin": "x"}, "ageMin"), ({"ageMax": -1}, "ageMax"), ({"ageMin": 151}, "ageMin"),
        ({"heightMin": 251}, "heightMin"), ({"heightMax": "1.8"}, "heightMax"), ({"gender": 3}, "gender"),
        ({"education": 6}, "education"), ({"emotion": 4}, "emotion"), ({"salaryMin": 0}, "salaryMin"),
        ({"salaryMin": 7}, "salaryMin"), ({"labelId": 0}, "labelId"), ({"labelId": "1,2"}, "labelId"),
        ({"nickname": ""}, "nickname"), ({"nickname": " "}, "nickname"), ({"nickname": "字" * 33}, "nickname"),
        ({"nickname": "a\u0000b"}, "nickname"), ({"page": 0}, "page"), ({"pageCount": 51}, "pageCount"),
        ({"cursor": "abc"}, "cursor"),
    ],
)  # fmt: skip
def test_bad_filters_are_named(api: Api, sent: dict[str, Any], named: str) -> None:
    answer = api.get(PATH, make_user(api), **sent)
    assert (answer.code, named in answer.msg) == (300, True)


# --- who is found


def test_only_who_may_be_found(api: Api) -> None:
    name, viewer = mark(), make_user(api)
    set_row(api, viewer, nickname=name)
    kinds = (
        "open",
        "hidden",
        "banned",
        "ban over",
        "deleted",
        "blocked",
        "blocks",
        "follows",
        "follows not",
        "known",
    )
    people = {what: make_user(api, nickname=name) for what in kinds}
    make_hidden(api, people["hidden"])
    ban(api, people["banned"])
    ban(api, people["ban over"], until=datetime.now(UTC) - timedelta(seconds=1))
    delete(api, people["deleted"])
    make_block(api, viewer, people["blocked"])
    make_block(api, people["blocks"], viewer)
    for what in ("follows", "follows not"):
        set_row(api, people[what], authority=2)
    make_follow(api, people["follows"], viewer)
    make_follow(api, viewer, people["hidden"], people["follows not"])
    found = set(ids(api, viewer, nickname=name, pageCount=50))
    assert found == {people[what].user_id for what in ("open", "ban over", "follows", "known")}
    assert api.get(PATH, viewer, nickname=name).data["total"] == 4


# --- pages


def test_cursor_pages_neither_repeat_nor_skip_while_people_come_and_change(api: Api) -> None:
    name, viewer = mark(), make_user(api)
    people = [make_user(api, nickname=name) for _ in range(23)]
    expected = [person.user_id for person in reversed(people)]
    found: list[int] = []
    own: dict[str, Any] = {"pageCount": 5}
    for number in itertools.count():
        data = api.get(PATH, viewer, nickname=name, **own).data
        found += [card["user_id"] for card in data["list"]]
        assert data["total"] == 23
        if not data["has_next"]:
            break
        own["cursor"] = data["next"]
        # A user new, and a user who is active: neither moves anybody.
        make_user(api, nickname=name)
        set_row(api, people[number], last_active=datetime.now(UTC), height=180)
    assert found == expected


def test_pages_by_number_agree_with_the_cursor(api: Api) -> None:
    name, viewer = mark(), make_user(api)
    expected = [make_user(api, nickname=name).user_id for _ in range(12)][::-1]
    assert [ids(api, viewer, nickname=name, page=page, pageCount=5) for page in (1, 2, 3, 4, 100_000)] == [
        expected[:5], expected[5:10], expected[10:], [], [],
    ]  # fmt: skip
    assert not api.get(PATH, viewer, nickname=name, page=3, pageCount=4).data["has_next"]
    second = api.get(PATH, viewer, nickname=name, page=2, pageCount=5).data
    assert ids(api, viewer, nickname=name, cursor=second["next"]) == expected[10:]


def test_a_cursor_is_good_for_the_same_filters_and_person_only(api: Api) -> None:
    name, viewer = mark(), make_user(api)
    for _ in range(3):
        make_user(api, nickname=name)
    cursor = api.get(PATH, viewer, nickname=name, pageCount=1).data["next"]
    assert api.get(PATH, viewer, nickname=name, gender=1, cursor=cursor).code == 300
    assert api.get(PATH, make_user(api), nickname=name, cursor=cursor).code == 300
    assert len(ids(api, viewer, nickname=name, pageCount=50, cursor=cursor)) == 2


@contextmanager
def looking_at(first: int, then: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(search_module, "LOOKED_AT", (first, then))
        yield


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 6), st.integers(1, 12), st.integers(1, 7), st.integers(1, 4))
def test_little_work_a_request_still_finds_everybody_once(
    api: Api, monkeypatch: pytest.MonkeyPatch, first: int, then: int, count: int, page: int
) -> None:
    """Whatever is looked at for a page, the cursor goes on where it ended, also within what a page number skips."""
    name = mark()
    viewer = make_user(api)
    wanted = [
        make_user(api, nickname=name, height=180 if number % 5 == 0 else 160).user_id for number in range(25)
    ]
    expected = [number for at, number in enumerate(wanted) if at % 5 == 0][::-1]
    with looking_at(first, then, monkeypatch):
        assert all_pages(api, viewer, nickname=name, heightMin=170, pageCount=count) == expected
        rest = all_pages(api, viewer, nickname=name, heightMin=170, pageCount=count, page=page)
    assert rest == expected[(page - 1) * count :]


def test_rare_filters_look_at_few_and_say_that_there_may_be_more(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, viewer = mark(), make_user(api)
    for _ in range(8):
        make_user(api, nickname=name)
    with looking_at(2, 3, monkeypatch):
        data = api.get(PATH, viewer, nickname=name, heightMin=240).data
    assert (data["list"], data["has_next"], data["total"], data["total_more"]) == ([], True, 1000, True)


def test_no_statement_sorts_or_reads_everybody(api: Api) -> None:
    """Each of them is asked for its plan: an ordered walk of an index range and look-ups by key."""
    viewer = make_user(api)
    for number in range(300):
        make_user(api, nickname=f"众人{number}", education=3 + number % 3)
    with statements(api.parts.base.database) as seen:
        for own in ({}, {"gender": 2, "ageMin": 20}, {"nickname": "众人1"}, {"labelId": 3, "nickname": "众"},
                    {"education": 4, "heightMin": 150}):  # fmt: skip
            ids(api, viewer, **own)
    found = [
        statement
        for statement in seen
        if re.match("SELECT.*(user_info|search_gram)", statement.text, re.DOTALL)
    ]
    assert len(found) > 10
    with api.parts.base.database.engine.connect() as connection:
        for text, values in found:
            for step in plan_of(connection, text, values):
                for sign in (
                    "TEMP B-TREE FOR ORDER BY",
                    "Using filesort",
                    "Using temporary",
                    "SCAN user_follow",
                ):
                    assert sign not in step.text, (sign, text, step)


def _is_sqlite(api: Api) -> bool:
    return api.parts.base.database.is_sqlite
