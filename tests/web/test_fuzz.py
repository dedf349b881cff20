"""Made-up requests to every documented endpoint: no internal error, and every answer as the document says.

What is made up is signed correctly, so that it reaches the endpoint; one round goes unsigned, and stops at the guard.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any, Literal

import orjson
import pytest
import schemathesis
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.generation.case import Case
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from werkzeug.test import TestResponse

from datingtoday.cli.generated.api_page import product_routes
from datingtoday.web.openapi import build_document
from datingtoday.web.openapi_parts import COMMON_PARAMS
from tests.plugins.api import APPKEY, APPSECRET, Api, User, hmac_sign, make_api
from tests.plugins.backend import Backend
from tests.plugins.contract import contract_of

As = Literal["unsigned", "anonymous", "user"]
Json = dict[str, Any]


def own_params_only(document: Json) -> Json:
    """The document without the common parameters: what is made up is the endpoint's own, the rest is signed."""
    made: Json = copy.deepcopy(document)
    for operation in (found for methods in made["paths"].values() for found in methods.values()):
        operation["parameters"] = [param for param in operation.get("parameters", []) if "name" in param]
        for content in operation.get("requestBody", {}).get("content", {}).values():
            schema = content["schema"]
            schema["properties"] = {
                name: field for name, field in schema["properties"].items() if name not in COMMON_PARAMS
            }
            schema["required"] = [name for name in schema["required"] if name not in COMMON_PARAMS]
    return made


def operations_of(document: Json) -> dict[str, APIOperation]:
    schema = schemathesis.openapi.from_dict(document)
    return {found.ok().label: found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)}


DOCUMENT = build_document(product_routes())
WHOLE = operations_of(DOCUMENT)
OWN = operations_of(own_params_only(DOCUMENT))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 8
EXAMPLES_LONG = 400

load_all_checks()


@pytest.fixture(scope="session")
def limitless(shared_backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An application without limits, which made-up requests would reach at once."""
    api = make_api(shared_backend, tmp_path_factory.mktemp("fuzz"), LIMITS_ENABLED=0)
    yield api
    api.parts.base.database.dispose()


class Fuzzer:
    """Sends cases, as nobody or as a user who knows another person."""

    def __init__(self, api: Api, who: As) -> None:
        self._api = api
        self._who = who
        self._client: FlaskClient = api.app.test_client()
        self._user: User | None = None
        self._other_id = api.new_user().user_id if who == "user" else 0

    def send(self, case: Case) -> TestResponse:
        query, body = _texts(case.query), _texts(case.body)
        file = next((value for value in body.values() if isinstance(value, bytes)), b"")
        own = {name: value for name, value in (query | body).items() if isinstance(value, str)}
        if self._who != "unsigned":
            self._name_a_user(own)
        params: dict[str, Any] = own
        if self._who != "unsigned":
            params = self._signed(case, own, file)
        if case.method.upper() == "GET":
            sent: dict[str, Any] = {"query_string": params}
        else:
            files = {
                name: (BytesIO(value), "file") for name, value in body.items() if isinstance(value, bytes)
            }
            sent = {"data": params | files, "content_type": case.media_type}
        return self._client.open(
            case.formatted_path,
            method=case.method.upper(),
            environ_base={"REMOTE_ADDR": self._api.address},
            **sent,
        )

    def forget_login(self) -> None:
        self._user = None

    def _signed(self, case: Case, own: dict[str, str], file: bytes) -> dict[str, str]:
        params = own | {
            "appkey": APPKEY,
            "timestamp": str(time.time_ns() // 1_000_000),
            "nonce": secrets.token_hex(8),
            "sign_method": "hmac-sha256",
        }
        if self._who == "user":
            if self._user is None:
                self._user = self._api.new_user()
            params |= {"userId": str(self._user.user_id), "token": self._user.token}
        if "fileSha256" in params:
            params["fileSha256"] = hashlib.sha256(file).hexdigest()
        params["sign"] = hmac_sign(case.method.upper(), case.formatted_path, params, APPSECRET, file)
        return params

    def _name_a_user(self, own: dict[str, str]) -> None:
        """Half of the made-up people are real ones: nobody would ever guess an id."""
        if re.fullmatch("[0-9]{1,18}", own.get("peerId", "")) and int(own["peerId"]) % 2:
            own["peerId"] = str(self._other_id or 1)


def _texts(values: Any) -> dict[str, str | bytes]:
    """Values as they travel in a form: as text, files as bytes."""
    if not isinstance(values, Mapping):
        return {}
    made: dict[str, str | bytes] = {}
    for name, value in values.items():
        if isinstance(value, bytes):
            made[str(name)] = value
        elif isinstance(value, str):
            # A lone surrogate has no form in UTF-8.
            made[str(name)] = value.encode(errors="replace").decode()
        else:
            made[str(name)] = json.dumps(value)
    return made


def fuzz(api: Api, label: str, who: As, mode: GenerationMode, examples: int) -> None:
    operation = (WHOLE if who == "unsigned" else OWN)[label]
    contract = contract_of(api.app)
    fuzzer = Fuzzer(api, who)

    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        # The first case that fails says enough, and making it smaller takes minutes.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Case) -> None:
        response = fuzzer.send(case)
        case.validate_response(response, checks=CHECKS)
        body = response.data
        contract.check(
            case.method.upper(), case.formatted_path, response.status_code, response.content_type or "", body
        )
        if who == "unsigned" and operation.definition.raw["x-require-sign"]:
            assert orjson.loads(body)["code"] in (300, 413, 415, 500, 1001, 1003), body
        elif body.startswith(b'{"code":1101'):
            # A login that was just ended, by this very endpoint perhaps: the next case has a new one.
            fuzzer.forget_login()

    run()


def rounds() -> list[Any]:
    """Every endpoint, with values as documented and otherwise, as a user who may call it; and as nobody."""
    chosen = []
    for label, operation in OWN.items():
        raw = operation.definition.raw
        needs_login = bool(raw["x-require-token"])
        # Every text is a path's: there is none to make up that would not be one.
        has_params = bool(raw.get("requestBody")) or any(it["in"] != "path" for it in raw["parameters"])
        who = "user" if needs_login else "anonymous"
        chosen.append((label, who, GenerationMode.POSITIVE))
        if has_params:
            chosen.append((label, who, GenerationMode.NEGATIVE))
        if needs_login:
            chosen.append((label, "anonymous", GenerationMode.POSITIVE))
    return [pytest.param(*found, id=f"{found[0]}-{found[1]}-{found[2].value}") for found in chosen]


@pytest.mark.parametrize(("label", "who", "mode"), rounds())
def test_made_up_requests(limitless: Api, label: str, who: As, mode: GenerationMode) -> None:
    fuzz(limitless, label, who, mode, EXAMPLES)


@pytest.mark.parametrize("label", WHOLE)
def test_made_up_requests_without_signature(limitless: Api, label: str) -> None:
    fuzz(limitless, label, "unsigned", GenerationMode.POSITIVE, EXAMPLES)


@pytest.mark.long
@pytest.mark.parametrize(("label", "who", "mode"), rounds())
def test_many_made_up_requests(limitless: Api, label: str, who: As, mode: GenerationMode) -> None:
    fuzz(limitless, label, who, mode, EXAMPLES_LONG)
