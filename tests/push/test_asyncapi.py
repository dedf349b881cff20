"""`/asyncapi.json`: valid AsyncAPI, the events of the features, and the same document as in docs/."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from tests.plugins.api import Api
from tests.push.event_contract import EventContract

ROOT = Path(__file__).parents[2]
SPECS = ROOT / "tests/push/js/node_modules/@asyncapi/specs/schemas/3.0.0-without-$id.json"


def document_of(api: Api) -> dict[str, Any]:
    document: dict[str, Any] = api.app.test_client().get("/asyncapi.json").get_json()
    return document


def test_is_the_document_of_the_repository(api: Api) -> None:
    assert document_of(api) == json.loads((ROOT / "docs/asyncapi.json").read_text())


def test_has_every_declared_event(api: Api) -> None:
    names = {kind.name for kind in api.parts.base.realtime.kinds}
    assert {"kick", "resync"} <= names
    assert names <= set(document_of(api)["components"]["messages"])


@pytest.mark.needs("socket.io-client")
def test_is_valid_asyncapi(api: Api) -> None:
    jsonschema_rs.Draft7Validator(json.loads(SPECS.read_text())).validate(document_of(api))


@pytest.mark.parametrize(
    ("name", "payload", "problem"),
    [
        ("kick", {"code": 1101}, None),
        ("kick", {"code": 1102, "data": {"until": None}}, None),
        ("kick", {}, "code"),
        ("kick", {"code": "1101"}, "1101"),
        ("kick", {"code": 1101, "session_ids": [1]}, "session_ids"),
        ("knock", {}, "knock"),
        ("resync", None, "None"),
    ],
)
def test_what_is_received_is_held_against_it(api: Api, name: str, payload: Any, problem: str | None) -> None:
    contract = EventContract(document_of(api))
    if problem is None:
        contract.check(name, payload)
        return
    with pytest.raises(AssertionError, match=problem):
        contract.check(name, payload)
