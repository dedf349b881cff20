"""Values that services hand to each other, and keep in the memory of a process for many requests, never change."""

from __future__ import annotations

import dataclasses
import inspect
import re

import pytest

from tests.house import rules
from tests.house.source import project_sources
from tests.house.test_constants import modules

MUTABLE = {"Call", "LockedPair"}
_OFF = re.compile(r"(frozen|slots|kw_only|with_for_update)\s*=\s*False")


def dataclasses_of_the_program() -> set[type]:
    return {
        found
        for module in modules()
        for _, found in inspect.getmembers(module, inspect.isclass)
        if dataclasses.is_dataclass(found) and found.__module__.startswith("datingtoday.")
    }


def test_dataclasses_are_frozen_but_for_those_that_are_a_request_or_a_lock() -> None:
    found = dataclasses_of_the_program()
    assert len(found) > 80
    changing = {it.__name__ for it in found if not it.__dataclass_params__.frozen}  # type: ignore[attr-defined]
    assert changing == MUTABLE


def test_a_frozen_one_refuses_a_change_and_one_with_slots_an_invention() -> None:
    from datingtoday.chat.conversations import Unread

    value = Unread(3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        value.unread = 4  # type: ignore[misc]
    assert not hasattr(value, "__dict__")


def test_no_switch_is_turned_off_that_is_off_anyway() -> None:
    sources = [it for it in project_sources() if it.is_python and it.under("src")]
    assert len(sources) > 200
    # Reading them all as Python takes seconds.
    suspicious = [it for it in sources if _OFF.search(it.text)]
    assert [str(found) for it in suspicious for found in rules.defaults_are_left_out(it)] == []
