"""Holds every answer that a test receives against the OpenAPI document: codes, shapes, and nothing beyond them."""

from __future__ import annotations

import re
from typing import Any

import jsonschema_rs
import orjson
from flask import Flask

from datingtoday.protocol.declared_routes import declared_routes
from datingtoday.web.openapi import build_document

JSON = "application/json"
_PLACE = "tests.contract"


class Contract:
    """Answers of one application as the document describes them."""

    def __init__(self, app: Flask) -> None:
        # Routes that a test brought along are not part of the product.
        routes = [route for route in declared_routes(app) if route.module.startswith("datingtoday.")]
        document = build_document(routes)
        self._components: dict[str, Any] = document["components"]
        self._operations = [
            (method.upper(), re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) + r"\Z"), operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        ]
        self._validators: dict[bytes, jsonschema_rs.Draft202012Validator] = {}

    def check(self, method: str, path: str, status: int, content_type: str, body: bytes) -> None:
        """Fail with what is undeclared; paths and methods that are not documented are nobody's business here."""
        operation = self._operation(method, path)
        if operation is None:
            return
        where = f"{method} {path}: HTTP {status}"
        answer = operation["responses"].get(str(status))
        assert answer is not None, f"{where} is not declared (raises= or own_answers= of @endpoint)"
        answer = self._resolved(answer)
        if JSON not in answer["content"]:
            return
        assert content_type == JSON, f"{where} came as {content_type}"
        told = orjson.loads(body)
        schema = answer["content"][JSON]["schema"]
        chosen = [
            option for option in schema.get("oneOf", [schema]) if self._code_of(option) == told.get("code")
        ]
        assert chosen, f"{where}: code {told.get('code')} is not declared (raises= of @endpoint): {told}"
        problems = [
            f"{'/'.join(map(str, error.instance_path)) or 'the answer'}: {error.message}"
            for error in self._validator(chosen[0]).iter_errors(told)
        ]
        assert not problems, f"{where} differs from what returns= declares: {problems}: {told}"

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        for its_method, pattern, operation in self._operations:
            if its_method == method and pattern.match(path):
                found: dict[str, Any] = operation
                return found
        return None

    def _code_of(self, option: dict[str, Any]) -> int:
        code: int = self._resolved(option)["properties"]["code"]["const"]
        return code

    def _resolved(self, part: dict[str, Any]) -> dict[str, Any]:
        if "$ref" not in part:
            return part
        found: Any = {"components": self._components}
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        resolved: dict[str, Any] = found
        return resolved

    def _validator(self, schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
        key = orjson.dumps(schema)
        if key not in self._validators:
            whole = {**schema, "components": {"schemas": self._components["schemas"]}}
            self._validators[key] = jsonschema_rs.Draft202012Validator(closed(whole), validate_formats=True)
        return self._validators[key]


def closed(schema: Any) -> Any:
    """The schema with objects that hold nothing but what is named; clients must let more be, our own tests must not."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(part) for name, part in schema.items()}
    if schema.get("type") == "object" and isinstance(schema.get("properties"), dict):
        made.setdefault("additionalProperties", False)
    return made


def contract_of(app: Flask) -> Contract:
    """The application's contract, made once."""
    found: Contract | None = app.extensions.get(_PLACE)
    if found is None:
        found = app.extensions[_PLACE] = Contract(app)
    return found
