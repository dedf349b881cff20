"""Labels: the public list, and the user's choice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select

from datingtoday.profiles.models import UserLabel
from datingtoday.profiles.schemas import ChosenLabelSchema, LabelSchema
from tests.accounts.at_once import at_once
from tests.plugins.api import Api, User
from tests.profiles.factories import make_user


def choose(api: Api, user: User, *label_ids: int) -> list[int]:
    told = api.post("/api/user/label/update", user, labelIds=",".join(map(str, label_ids))).data
    assert ChosenLabelSchema(many=True).validate(told) == {}
    return [label["label_id"] for label in told]


def chosen(api: Api, user: User) -> list[int]:
    return [label["label_id"] for label in api.get("/api/user/show", user).data["labels"]]


def test_the_first_labels(api: Api) -> None:
    told = api.get("/api/label/list").data
    assert LabelSchema(many=True).validate(told) == {}
    assert Counter(label["gender"] for label in told) == {0: 9, 1: 9, 2: 9}
    assert all(label["name"] and 0 < len(label["meaning"]) <= 20 for label in told)


@pytest.mark.parametrize(("gender", "genders"), [(0, {0}), (1, {0, 1}), (2, {0, 2})])
def test_those_that_fit_a_gender(api: Api, gender: int, genders: set[int]) -> None:
    for _ in range(2):
        assert {label["gender"] for label in api.get("/api/label/list", gender=gender).data} == genders


@pytest.mark.parametrize("sent", ["3", "-1", "x", "", "1.0"])
def test_a_bad_gender_is_named(api: Api, sent: str) -> None:
    answer = api.get("/api/label/list", gender=sent)
    assert (answer.code, "gender" in answer.msg) == (300, True)


def test_choosing_replaces(api: Api) -> None:
    user, other = make_user(api), make_user(api)
    assert choose(api, other, 2) == [2]
    for label_ids in ([5, 1, 20], [1], list(range(10, 0, -1)), [], [27, 3]):
        assert choose(api, user, *label_ids) == label_ids == chosen(api, user)
    assert chosen(api, other) == [2]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (None, 300), ("1,1", 300), ("1,", 300), (",", 300), ("x", 300), ("1;2", 300), ("0", 300), ("-1", 300),
        ("1,2,3,4,5,6,7,8,9,10,11", 300), ("2147483648", 300), ("１", 300), ("1 ,2", 300), ("1,999", 1203),
    ],
)  # fmt: skip
def test_a_bad_choice_changes_nothing(api: Api, sent: str | None, code: int) -> None:
    user = make_user(api)
    choose(api, user, 4, 2)
    answer = api.post("/api/user/label/update", user, **({} if sent is None else {"labelIds": sent}))
    assert answer.code == code
    assert "labelIds" in answer.msg or (code == 1203 and "999" in answer.msg)
    assert chosen(api, user) == [4, 2]


def test_choices_at_once_leave_one_of_them(api: Api) -> None:
    user = make_user(api)
    choices = [list(range(start, start + 10)) for start in (1, 5, 9, 13)]
    at_once([partial(choose, api, user, *ids) for ids in choices])
    assert chosen(api, user) in choices
    with api.parts.base.database.transaction(write=False) as session:
        mine = select(func.count()).select_from(UserLabel).where(UserLabel.user_id == user.user_id)
        assert session.scalar(mine) == 10


@pytest.mark.parametrize("backend", ["embedded"], indirect=True)
def test_what_is_new_of_a_label_shows_at_once_in_every_list(app_of: Callable[..., Api]) -> None:
    api = app_of()
    labels = api.parts.profiles.labels
    lists: list[dict[str, Any]] = [{}, {"gender": 0}, {"gender": 1}, {"gender": 2}]

    def shown(label_id: int) -> list[tuple[str, str] | None]:
        """Name and meaning in each of the lists; None where it is not."""
        told = [{it["label_id"]: it for it in api.get("/api/label/list", **own).data} for own in lists]
        return [
            (one[label_id]["name"], one[label_id]["meaning"]) if label_id in one else None for one in told
        ]

    assert shown(1) == [("慢热", "熟了以后话才多")] * 4
    for name, meaning, told in (("很慢热", None, "熟了以后话才多"), ("更慢热", "另一个意思", "另一个意思")):
        with api.parts.base.database.transaction() as session:
            renamed = labels.rename(session, 1, name, meaning)
            assert renamed is not None and renamed.id == 1
            assert labels.rename(session, 999, name, meaning) is None
        assert shown(1) == [(name, told)] * 4
    for gender in (0, 1, 2):
        with api.parts.base.database.transaction() as session:
            added = labels.add(session, f"新的{gender}", gender, "刚加的")
            assert added.id == max(one.id for one in labels.all(session))
        told_ = (f"新的{gender}", "刚加的")
        assert shown(added.id) == [
            told_, told_ if gender == 0 else None, told_ if gender in (0, 1) else None,
            told_ if gender in (0, 2) else None,
        ]  # fmt: skip
