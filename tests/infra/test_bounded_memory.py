"""Bounded memories: how much they hold, what they forget, and that threads can share one."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datingtoday.infra.bounded_memory import BoundedMemory, ReadCount, Reads, reads_by_name


def test_a_value_is_remembered_and_replaced() -> None:
    memory = BoundedMemory[str, int]("test", 3)
    assert memory.get("a") is None
    memory.put("a", 1)
    memory.put("a", 2)
    assert (memory.get("a"), len(memory)) == (2, 1)
    memory.clear()
    assert (memory.get("a"), len(memory)) == (None, 0)


@given(st.integers(1, 50), st.lists(st.integers(0, 200), max_size=300))
def test_it_never_holds_more_and_always_the_newest(most: int, keys: list[int]) -> None:
    memory = BoundedMemory[int, int]("test", most)
    for key in keys:
        memory.put(key, key + 1)
        assert len(memory) <= most
        assert memory.get(key) == key + 1


def test_the_oldest_quarter_is_forgotten() -> None:
    memory = BoundedMemory[int, str]("test", 8)
    for key in range(9):
        memory.put(key, "x")
    assert [key for key in range(9) if memory.get(key)] == [2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(("most", "forgotten"), [(1, 1), (2, 1), (3, 1), (7, 1), (8, 2), (11, 2), (12, 3)])
def test_a_quarter_is_forgotten_but_one_at_least(most: int, forgotten: int) -> None:
    memory = BoundedMemory[int, int]("test", most)
    for key in range(most + 1):
        memory.put(key, key)
    assert len(memory) == most - forgotten + 1


def test_nothing_is_forgotten_for_a_key_that_is_there() -> None:
    memory = BoundedMemory[int, int]("test", 2)
    for key in (1, 2, 1, 2):
        memory.put(key, key)
    assert [memory.get(key) for key in (1, 2)] == [1, 2]


@pytest.mark.parametrize("most", [0, -1])
def test_a_memory_for_nothing_is_a_mistake(most: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        BoundedMemory[int, int]("test", most)


def test_reads_are_counted_by_name() -> None:
    first, second = (BoundedMemory[int, int]("counted here", 5) for _ in range(2))
    first.put(1, 1)
    for memory in (first, first, second):
        memory.get(1)
    assert reads_by_name()["counted here"] == Reads(hits=2, misses=1)
    del first, memory
    assert reads_by_name()["counted here"] == Reads(hits=0, misses=1)


def test_what_is_remembered_elsewhere_is_counted_beside_them() -> None:
    memory = BoundedMemory[int, int]("counted beside", 5)
    count = ReadCount("counted beside")
    assert (count.reads, reads_by_name()["counted beside"]) == (Reads(0, 0), Reads(0, 0))
    memory.get(1)
    count.hits += 3
    count.misses += 1
    assert (count.reads, reads_by_name()["counted beside"]) == (Reads(3, 1), Reads(3, 2))


def test_threads_share_one() -> None:
    memory = BoundedMemory[int, int]("test", 64)
    failures: list[BaseException] = []

    def work(offset: int) -> None:
        try:
            for number in range(5_000):
                key = (number * 7 + offset) % 200
                memory.put(key, key)
                assert memory.get((key + 3) % 200) in (None, (key + 3) % 200)
                if number % 1_000 == 0:
                    memory.clear()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(memory) <= 64
