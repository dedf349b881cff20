"""Sequences that belong together are of the same length."""

from __future__ import annotations

import pytest

from datingtoday.infra.paired import paired


def test_each_item_has_its_counterpart() -> None:
    assert list(paired("ab", [1, 2])) == [("a", 1), ("b", 2)]
    assert list(paired([], [])) == []


@pytest.mark.parametrize(("first", "second"), [("ab", [1]), ("a", [1, 2]), ("", [1])])
def test_nothing_is_left_over_unnoticed(first: str, second: list[int]) -> None:
    with pytest.raises(ValueError, match="zip"):
        list(paired(first, second))
