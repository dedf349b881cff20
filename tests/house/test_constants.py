"""Public limits, periods, sizes, codes, defaults and options: each value stands in `tests/data/constants.txt` again.

Tests that compute with a constant of the program pass with any value of it. A changed value therefore needs a
changed line there, where a review sees it: `python -m tests.house.test_constants write` writes the file. Private
constants are left out: what they do is for tests of behaviour to tell.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import sqlalchemy as sa

import datingtoday
from datingtoday.cli.main import cli
from datingtoday.infra.db import Base
from tests.house.source import PROJECT

KEPT = PROJECT / "tests/data/constants.txt"
_CONSTANT = re.compile(r"[A-Z][A-Z0-9_]*")
_NUMBERS = (bool, int, float, timedelta, date)
_WITHOUT = (
    "datingtoday.cli.seeding",
    "datingtoday.cli.generated",
    "datingtoday.__main__",
    "datingtoday.wsgi",
)
"""Made-up people, pages that are themselves held against the code, and programs that start when imported."""


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(datingtoday.__path__, "datingtoday."):
        if not found.name.startswith(_WITHOUT):
            yield importlib.import_module(found.name)


def shown(value: Any) -> str | None:
    """A number, or a collection with numbers in it, as text; None for everything else."""
    text = _text(value)
    return text if text and (not isinstance(value, str)) and _is_number_in(value) else None


def _text(value: Any) -> str | None:
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, _NUMBERS):
        return str(value)
    if isinstance(value, str):
        return repr(value)
    if is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        parts = [(_text(name), _text(it)) for name, it in value.items()]
        return None if any(None in it for it in parts) else ", ".join(f"{name}: {it}" for name, it in parts)
    if isinstance(value, tuple | frozenset):
        items = [_text(it) for it in (value if isinstance(value, tuple) else sorted(value, key=str))]
        return None if None in items else f"({', '.join(map(str, items))})"
    return None


def _is_number_in(value: Any) -> bool:
    if is_dataclass(value) and not isinstance(value, type):
        return any(_is_number_in(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, Mapping):
        return any(_is_number_in(it) for pair in value.items() for it in pair)
    if isinstance(value, tuple | frozenset):
        return any(_is_number_in(it) for it in value)
    return isinstance(value, _NUMBERS)


def of_module(module: ModuleType) -> Iterator[tuple[str, str]]:
    source = Path(str(module.__file__)).read_text(encoding="utf-8")
    for name, value in vars(module).items():
        if inspect.isclass(value) and value.__module__ == module.__name__:
            yield from of_class(value)
        elif _CONSTANT.fullmatch(name) and re.search(rf"^(?:\w+, )*{name}\b", source, re.M):
            text = shown(value)
            if text is not None:
                yield name, text


def of_class(found: type) -> Iterator[tuple[str, str]]:
    if found.__name__.startswith("_"):
        return
    if issubclass(found, enum.Enum):
        members: Mapping[str, Any] = {member.name: member.value for member in found}
    elif issubclass(found, tuple):
        members = getattr(found, "_field_defaults", {})
    elif is_dataclass(found):
        # Not its attributes: with slots there are none.
        members = {it.name: it.default for it in fields(found)}
    else:
        members = vars(found) if hasattr(found, "http_status") else {}
    for name, value in members.items():
        text = shown(value)
        if text is not None and name != "data_fields" and not name.startswith("_"):
            yield f"{found.__name__}.{name}", text


def of_columns() -> Iterator[tuple[str, str]]:
    """Default of a column in a new row."""
    for table in Base.metadata.sorted_tables:
        for column in table.columns:
            if isinstance(column.default, sa.ColumnDefault) and column.default.is_scalar:
                yield f"{table.name}.{column.name}", str(_text(column.default.arg))


def of_commands(command: click.Command = cli, *path: str) -> Iterator[tuple[str, str]]:
    """Arguments and options of the command line: what they take, and their defaults."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from of_commands(below, *path, name)
    for parameter in command.params:
        name = parameter.opts[-1]
        # These two are the same everywhere.
        where = "*" if name in ("--config", "--data") else " ".join(path)
        if (found := _taken(parameter)) is not None:
            yield f"{where} {name}", found


def _taken(parameter: click.Parameter) -> str | None:
    told: dict[str, Any] = {**parameter.to_info_dict()}
    of_type: dict[str, Any] = told["type"]
    facts = {name: told.get(name) for name in ("required", "multiple", "nargs", "default", "is_flag")}
    facts |= {name: of_type.get(name) for name in ("min", "max", "file_okay", "dir_okay")}
    facts["shown"] = getattr(parameter, "show_default", None)
    usual = {"nargs": 1, "file_okay": True, "dir_okay": True}
    shown = [
        f"{name}: {value}"
        for name, value in facts.items()
        # The default of a path is where this program lies.
        if value is not None and not isinstance(value, Path) and value != usual.get(name, False)
    ]
    return ", ".join(shown) or None


def all_of_them() -> str:
    lines = {
        f"{module.__name__.removeprefix('datingtoday.')}.{name} = {text}"
        for module in modules()
        for name, text in of_module(module)
    }
    lines |= {f"column {name} = {text}" for name, text in of_columns()}
    lines |= {f"command {name} = {text}" for name, text in of_commands()}
    return "\n".join(sorted(lines)) + "\n"


def differences() -> list[str]:
    kept, found = set(KEPT.read_text().splitlines()), set(all_of_them().splitlines())
    return [f"only in the program: {it}" for it in sorted(found - kept)] + [
        f"only in tests/data/constants.txt: {it}" for it in sorted(kept - found)
    ]


def test_every_constant_has_the_value_that_was_agreed() -> None:
    assert differences() == []
    assert len(KEPT.read_text().splitlines()) > 300


if __name__ == "__main__":
    if sys.argv[1:] == ["write"]:
        KEPT.write_text(all_of_them())
    elif found := differences():
        sys.exit("\n".join([*found, "if it is meant so: python -m tests.house.test_constants write"]))
