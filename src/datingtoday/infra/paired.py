"""Two sequences that belong together, item by item."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def paired(first: Iterable[A], second: Iterable[B]) -> Iterator[tuple[A, B]]:
    """Each item with its counterpart.

    :raises ValueError: one of the two is shorter, after the last pair: they do not belong together.
    """
    return zip(first, second, strict=True)
