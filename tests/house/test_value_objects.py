"""Dataclasses are values: nobody changes one after it was made, and none takes attributes that it does not declare.

A value that is handed from a cache to several threads, or is part of a key, must stay what it was.
"""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError, fields, is_dataclass

from tests.house.test_constants import modules

CHANGING = {
    # What becomes known in the course of a request.
    "datingtoday.protocol.call.Call",
    # Two rows of one conversation, filled in as they are locked.
    "datingtoday.chat.pairs.LockedPair",
}


def dataclasses_of_the_program() -> dict[str, type]:
    return {
        f"{module.__name__}.{found.__qualname__}": found
        for module in modules()
        for found in vars(module).values()
        if inspect.isclass(found) and is_dataclass(found) and found.__module__ == module.__name__
    }


def test_values_are_never_changed() -> None:
    found = dataclasses_of_the_program()
    assert found.keys() >= CHANGING
    assert len(found) > 100
    assert [name for name, it in found.items() if not is_frozen(it)] == sorted(CHANGING)


def test_values_take_no_attributes_that_they_do_not_declare() -> None:
    loose = [name for name, it in dataclasses_of_the_program().items() if "__dict__" in dir(bare(it))]
    assert loose == []


def is_frozen(kind: type) -> bool:
    value = bare(kind)
    try:
        setattr(value, next(it.name for it in fields(kind)), None)
    except FrozenInstanceError:
        return True
    return False


def bare(kind: type) -> object:
    """A value without its contents."""
    return object.__new__(kind)
