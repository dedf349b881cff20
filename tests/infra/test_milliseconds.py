"""Milliseconds: seconds and moments become what they are, and come back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datingtoday.infra.milliseconds import epoch_ms, moment_of, to_ms, to_s


@pytest.mark.parametrize(
    ("seconds", "ms"),
    [(0, 0), (1, 1_000), (60, 60_000), (0.3, 300), (0.0004, 0), (0.0006, 1), (1.001, 1_001), (-2.5, -2_500)],
)
def test_a_second_has_a_thousand(seconds: float, ms: int) -> None:
    found = to_ms(seconds)
    assert (found, type(found)) == (ms, int)


@pytest.mark.parametrize(("ms", "seconds"), [(0, 0.0), (1, 0.001), (1_500, 1.5), (86_400_000, 86_400.0)])
def test_and_a_thousand_make_a_second(ms: int, seconds: float) -> None:
    assert to_s(ms) == seconds


def test_moments_that_everybody_knows() -> None:
    assert epoch_ms(datetime(1970, 1, 1, tzinfo=UTC)) == 0
    assert epoch_ms(datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)) == 1_000_000_000_000
    assert epoch_ms(datetime(1970, 1, 1, 8, tzinfo=timezone(timedelta(hours=8)))) == 0
    # Cut, not rounded: a millisecond counts once it is over.
    assert epoch_ms(datetime(1970, 1, 1, 0, 0, 0, 1_999, tzinfo=UTC)) == 1
    assert moment_of(1_000_000_000_001) == datetime(2001, 9, 9, 1, 46, 40, 1_000, tzinfo=UTC)
    assert moment_of(0).tzinfo is UTC


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_no_millisecond_is_lost_on_the_way(ms: int) -> None:
    assert epoch_ms(moment_of(ms)) == ms


@pytest.mark.parametrize("ms", [2**53, -(2**53)])
def test_moments_that_no_calendar_has(ms: int) -> None:
    with pytest.raises(OverflowError):
        moment_of(ms)
