"""The arithmetic of the ranking: forward decay, levels, who fits whom."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datingtoday.discovery.hot.ranking import (
    DETAILS,
    GENDERS,
    NEWCOMER,
    SHELVES,
    Attention,
    ForwardDecay,
    completeness_bonus,
    day_of,
    shelf_of,
    shelves_for,
)

half_lives = st.floats(0.5, 90)
days = st.integers(-400, 40_000)
received = st.lists(st.tuples(days, st.integers(1, 1_000)), min_size=1, max_size=30)


def plain(received: list[tuple[int, int]], day: int, half_life: float) -> float:
    """Decayed sum on a day, added up as by hand."""
    return math.fsum(weight * 2.0 ** ((its_day - day) / half_life) for its_day, weight in received)


@given(half_lives, received, st.integers(0, 2))
def test_a_level_is_the_sum_that_faded(half_life: float, received: list[tuple[int, int]], later: int) -> None:
    decay = ForwardDecay(half_life)
    today = max(day for day, _ in received) + later
    assert decay.worth(decay.total(received), today) == pytest.approx(
        plain(received, today, half_life), rel=1e-9
    )


@given(half_lives, received, st.randoms())
def test_the_order_of_events_does_not_matter(
    half_life: float, received: list[tuple[int, int]], rng: object
) -> None:
    decay = ForwardDecay(half_life)
    (day, weight), *rest = sorted(received, key=lambda _: rng.random())  # type: ignore[attr-defined]
    level = decay.level(weight, day)
    for day, weight in rest:
        level = decay.add(level, weight, day)
    assert level == pytest.approx(decay.total(received), rel=1e-9, abs=1e-9)


@given(half_lives, received, received, st.integers(0, 3_000))
def test_two_people_are_in_the_same_order_at_any_later_time(
    half_life: float, one: list[tuple[int, int]], other: list[tuple[int, int]], later: int
) -> None:
    decay = ForwardDecay(half_life)
    a, b = decay.total(one), decay.total(other)
    today = max(day for day, _ in one + other)
    now = plain(one, today, half_life), plain(other, today, half_life)
    if not math.isclose(*now, rel_tol=1e-6):
        assert (a > b) is (now[0] > now[1])
    # However far away: nothing overflows, nothing becomes equal.
    assert math.isfinite(decay.level(1, today + later * 1_000))
    assert decay.add(a, 1, today + later) > a or math.isclose(decay.add(a, 1, today + later), a)


@given(half_lives)
def test_after_a_half_life_it_is_half(half_life: float) -> None:
    decay = ForwardDecay(half_life)
    level = decay.level(8, 100)
    assert level - decay.level(4, 100) == pytest.approx(1)
    assert decay.worth(level, 100) == pytest.approx(8)


def test_a_complete_profile_counts_twice() -> None:
    assert (completeness_bonus(0), completeness_bonus(len(DETAILS))) == (0, 1)
    bonuses = [completeness_bonus(number) for number in range(len(DETAILS) + 1)]
    assert bonuses == sorted(set(bonuses))


def test_days_are_utc() -> None:
    assert day_of(datetime(2026, 1, 1, 23, 59, tzinfo=UTC)) == 0
    assert day_of(datetime.fromisoformat("2026-01-02T07:59:00+08:00")) == 0
    assert day_of(datetime(2025, 12, 31, tzinfo=UTC)) == -1


@pytest.mark.parametrize("gender", GENDERS)
@pytest.mark.parametrize("sexual", GENDERS)
def test_both_sides_wishes_are_respected_where_they_are_set(gender: int, sexual: int) -> None:
    fitting = shelves_for(gender, sexual)
    for its_gender in GENDERS:
        for its_wanted in GENDERS:
            wanted = sexual in (0, its_gender)
            wants = gender == 0 or its_wanted in (0, gender)
            assert (shelf_of(its_gender, its_wanted) in fitting) is (wanted and wants)


def test_points_are_those_of_the_documentation() -> None:
    """docs/hot-list.md, and rows of `hot_day` that were written before."""
    assert {kind.name: int(kind) for kind in Attention} == {
        "VISIT": 1,
        "ACTIVE": 2,
        "FOLLOW": 3,
        "CONTACT": 4,
    }
    assert NEWCOMER == 20
    # A complete profile is worth twice as much, and each of eight details an eighth.
    assert [2 ** completeness_bonus(given) for given in range(9)] == pytest.approx(
        [1 + n / 8 for n in range(9)]
    )


def test_days_are_counted_from_the_beginning_of_2026_in_utc() -> None:
    assert day_of(datetime(2026, 1, 1, tzinfo=UTC)) == 0
    assert day_of(datetime(2026, 1, 1, 7, 59, tzinfo=timezone(timedelta(hours=8)))) == -1
    assert day_of(datetime(2027, 1, 1, 23, 59, tzinfo=UTC)) == 365


def test_every_kind_of_people_has_a_shelf_of_its_own() -> None:
    """Numbers that rows of `hot_person` hold."""
    kinds = [(gender, sexual) for gender in (0, 1, 2) for sexual in (0, 1, 2)]
    assert [shelf_of(*kind) for kind in kinds] == list(range(9)) == list(SHELVES)
