"""JSON schemas of answers and events, made from the marshmallow schemas that dump them."""

from __future__ import annotations

from typing import Any

from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.common import MODIFIERS, resolve_schema_cls
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema, fields

from datingtoday.infra.paired import paired
from datingtoday.infra.text import Text
from datingtoday.protocol.described import ENUM_NAMES
from datingtoday.protocol.envelope import to_json
from datingtoday.protocol.fields import WireTime
from datingtoday.web.openapi_parts import Json, both

_WIRE_TIME = {
    "type": "string",
    "pattern": r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$",
    "examples": ["2026-11-22 08:30:00"],
}


class _Converter(OpenAPIConverter):
    """Knows our fields, and leaves objects open: an answer may get new fields, and clients must let them be."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.add_attribute_function(_wire_time_to_schema)  # type: ignore[no-untyped-call]
        self.add_attribute_function(_bilingual_description)  # type: ignore[no-untyped-call]

    def schema2jsonschema(self, schema: Any) -> Json:
        made: Json = super().schema2jsonschema(schema)  # type: ignore[no-untyped-call]
        made.pop("additionalProperties", None)
        described = getattr(schema, "summary", None)
        if isinstance(described, Text):
            made["description"] = both(described)
        return made


class SchemaPlugin(MarshmallowPlugin):
    """Makes JSON schemas of marshmallow's, as components of a document."""

    Converter = _Converter

    def answer(self, schema: Schema) -> Json:
        """The JSON schema of ``data``, mostly a reference to a component."""
        if self.converter is None:
            raise RuntimeError("the plugin belongs to no document yet")
        made: Json = self.converter.resolve_nested_schema(schema)  # type: ignore[no-untyped-call]
        return made


def _wire_time_to_schema(converter: Any, field: fields.Field[Any], **_options: Any) -> Json:
    if not isinstance(field, WireTime):
        return {}
    return {**_WIRE_TIME, "type": ["string", "null"]} if field.allow_none else dict(_WIRE_TIME)


def _bilingual_description(converter: Any, field: fields.Field[Any], **_options: Any) -> Json:
    """The description, and the names of an enumeration's values both as a list and in the description."""
    described = field.metadata.get("description")
    made: Json = {"description": both(described)} if isinstance(described, Text) else {}
    names = field.metadata.get(ENUM_NAMES)
    if isinstance(names, list):
        made[ENUM_NAMES] = [both(name) for name in names]
        listed = [
            f"- `{to_json(value).decode()}` {name}"
            for value, name in paired(field.metadata["enum"], made[ENUM_NAMES])
        ]
        made["description"] = "\n".join([f"{made.get('description', '')}\n", *listed])
    return made


class SchemaNames:
    """Names of the answers' components: the class's, with the feature in front where two classes share one."""

    def __init__(self) -> None:
        self._taken: dict[str, type[Schema]] = {}

    def __call__(self, schema: Any) -> str:
        cls = resolve_schema_cls(schema)
        assert isinstance(cls, type)  # noqa: S101 - nobody names schemas by text here
        generated = cls.__name__ == "GeneratedSchema"
        if generated or (isinstance(schema, Schema) and any(getattr(schema, name) for name in MODIFIERS)):
            # Without a name it is written out in place: it is only a part of its class, or was made on the spot.
            return ""
        name = cls.__name__.removesuffix("Schema") or cls.__name__
        if self._taken.setdefault(name, cls) is not cls:
            name = cls.__module__.split(".")[1].capitalize() + name
            self._taken.setdefault(name, cls)
        return name
