"""Finding people by a viewer's circle, and when SQL has to be asked."""

from __future__ import annotations

import pytest

from datingtoday.profiles.cards.circles import Circle
from datingtoday.profiles.visibility import Ties

NOBODY, EVERYONE, THOSE_THEY_FOLLOW = 0, 1, 2
"""Values of `authority`, as clients send them."""
BLOCKED, FAN, FOLLOWED, STRANGER = 1, 2, 3, 4
CIRCLE = Circle(frozenset({BLOCKED}), frozenset({FAN, BLOCKED}), frozenset({FOLLOWED}))


def test_ties() -> None:
    assert CIRCLE.ties(BLOCKED) == Ties(follows=False, followed=True, blocks=True, blocked=True)
    assert CIRCLE.ties(FAN) == Ties(follows=False, followed=True, blocks=False, blocked=False)
    assert CIRCLE.ties(FOLLOWED) == Ties(follows=True, followed=False, blocks=False, blocked=False)
    assert CIRCLE.ties(STRANGER) == Ties(follows=False, followed=False, blocks=False, blocked=False)


@pytest.mark.parametrize("unknown", ["blocked", "fans", "followed"])
def test_without_one_of_the_lists_ties_are_not_known(unknown: str) -> None:
    assert CIRCLE._replace(**{unknown: None}).ties(STRANGER) is None


@pytest.mark.parametrize(
    ("who", "authority", "is_found"),
    [
        (STRANGER, EVERYONE, True),
        (STRANGER, NOBODY, False),
        (STRANGER, THOSE_THEY_FOLLOW, False),
        (FAN, THOSE_THEY_FOLLOW, True),
        (FAN, NOBODY, False),
        (FOLLOWED, THOSE_THEY_FOLLOW, False),
        (BLOCKED, EVERYONE, False),
        (BLOCKED, THOSE_THEY_FOLLOW, False),
    ],
)
def test_who_is_found(who: int, authority: int, is_found: bool) -> None:
    assert CIRCLE.may_find(who, (authority, False, False)) is is_found
    for banned, deleted in ((True, False), (False, True)):
        assert CIRCLE.may_find(who, (authority, banned, deleted)) is False


def test_sql_is_asked_where_a_list_that_matters_is_not_known() -> None:
    no_fans, no_blocks = CIRCLE._replace(fans=None), CIRCLE._replace(blocked=None)
    assert no_fans.may_find(STRANGER, (THOSE_THEY_FOLLOW, False, False)) is None
    assert no_fans.may_find(STRANGER, (EVERYONE, False, False)) is True
    assert no_fans.may_find(BLOCKED, (EVERYONE, False, False)) is False
    assert no_blocks.may_find(STRANGER, (EVERYONE, False, False)) is None
    assert CIRCLE._replace(followed=None).may_find(STRANGER, (EVERYONE, False, False)) is True
