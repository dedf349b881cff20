"""Bounds on what a process remembers of discovery."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from datingtoday.discovery.hot.attention import AttentionListener
from datingtoday.discovery.hot.service import HotList
from datingtoday.discovery.nearby.pages import NearbyList
from datingtoday.discovery.nearby.walk import START, FoundPerson
from datingtoday.infra.bounded_memory import BoundedMemory

ANYTHING: Any = None


def nearby(cards_of: Any = None) -> NearbyList:
    finding: Any = SimpleNamespace(card_keys=lambda user_ids: [], cards_of=cards_of)
    return NearbyList(ANYTHING, ANYTHING, finding, ANYTHING, ANYTHING)


def memories() -> dict[str, BoundedMemory[Any, Any]]:
    streams: Any = SimpleNamespace(register=lambda _: None)
    pages = nearby()
    hot = HotList(ANYTHING, ANYTHING, ANYTHING, ANYTHING, personal=True)
    of_discovery: list[BoundedMemory[Any, Any]] = [
        hot._kinds,
        pages._cells,
        pages._first_pages._pages,
        pages._first_pages._shared,
        AttentionListener(streams, ANYTHING)._remembered,
    ]
    return {memory.name: memory for memory in of_discovery}


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("hot kinds", 100_000),
        ("nearby cells", 100_000),
        ("nearby pages", 1_000),
        ("nearby entries", 5_000),
        ("noted attention", 50_000),
    ],
)
def test_a_memory_holds_so_many(name: str, most: int) -> None:
    memory = memories()[name]
    for number in range(most):
        memory.put(number, number)
    assert len(memory) == most
    memory.put(most, most)
    # The oldest quarter made room.
    assert len(memory) == most - most // 4 + 1


@pytest.mark.parametrize(
    ("people", "findable", "is_anybody", "asked"),
    [
        (499, None, False, [100, 100, 100, 100, 99]),
        (500, None, True, [100] * 5),
        # After 500 whom one may not find the next page goes on looking.
        (700, None, True, [100] * 5),
        (700, 250, True, [100] * 3),
        (0, None, False, []),
    ],
)
def test_up_to_five_hundred_are_judged_to_know_whether_there_is_another_page(
    people: int, findable: int | None, is_anybody: bool, asked: list[int]
) -> None:
    judged: list[int] = []

    def cards_of(_session: Any, viewer_id: int, user_ids: list[int], _cache: Any) -> Any:
        assert viewer_id == 7
        judged.append(len(user_ids))
        return SimpleNamespace(cards={it: b"" for it in user_ids if it == findable})

    met = (FoundPerson(number, 2, START) for number in range(people))
    assert nearby(cards_of)._is_anybody_findable(ANYTHING, 7, met, ANYTHING) is is_anybody
    assert judged == asked
