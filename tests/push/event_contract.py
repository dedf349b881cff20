"""Holds every event that a test receives against the AsyncAPI document."""

from __future__ import annotations

from typing import Any

import jsonschema_rs


class EventContract:
    """Events that clients receive, as a document describes them."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._messages = document["components"]["messages"]
        self._components = document["components"]
        sent = document["operations"]["serverToClient"]["messages"]
        self._sent = {message["$ref"].rpartition("/")[2] for message in sent}

    def check(self, name: str, payload: Any) -> None:
        """Fail unless the event is declared and has its fields and no others."""
        assert name in self._sent, f"{name} is no event of the document"
        schema = self._messages[name]["payload"]
        validator = jsonschema_rs.Draft202012Validator({**schema, "components": self._components})
        problems = [f"{error.message}" for error in validator.iter_errors(payload)]
        assert not problems, f"{name}: {problems}: {payload}"
        extra = set(payload) - set(self._resolved(schema)["properties"])
        assert not extra, f"{name} has undeclared fields: {extra}"

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        if "$ref" in schema:
            found: dict[str, Any] = self._components["schemas"][schema["$ref"].rpartition("/")[2]]
            return found
        return schema
