"""Descriptions of answers' fields and names of enumerated values in both languages, for the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datingtoday.infra.text import Text

ENUM_NAMES = "x-enum-descriptions"
"""Key of the names in a JSON schema, in the order of its ``enum``; several code generators read it."""
Names = Mapping[Any, Text]
"""Value → what it means."""
NOT_SET: dict[int | None, Text] = {None: Text("not set", "未填写")}
YES_NO: Names = {"1": Text("yes", "是"), "0": Text("no", "否")}


def about(en: str, zh: str, *, names: Names | None = None, **more: Any) -> dict[str, Any]:
    """The ``metadata`` of a field.

    :param names: of an enumeration's values. :param more: further keywords of the JSON schema.
    """
    return {"description": Text(en, zh), **(enumerated(names) if names else {}), **more}


def enumerated(names: Names) -> dict[str, Any]:
    """The keywords of a JSON schema for these values."""
    return {"enum": list(names), ENUM_NAMES: list(names.values())}


def named_values(names: Names) -> Text:
    """``1 (male) 2 (female)`` in both languages."""
    return Text(
        " ".join(f"{value} ({text.en})" for value, text in names.items()),
        " ".join(f"{value}（{text.zh}）" for value, text in names.items()),
    )
