"""The published vectors, through the functions and over the application at the vectors' time."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint

from datingtoday.protocol.call import Call
from datingtoday.protocol.endpoint import endpoint
from datingtoday.protocol.signing.client_apps import KnownApp
from datingtoday.protocol.signing.strings_to_sign import (
    hmac_string,
    is_hmac_signed,
    md5_strings,
    sign_hmac,
    sign_md5,
    signed_text,
)
from tests.plugins.api import Answer, Api
from tests.protocol.conftest import LabOn
from tests.protocol.lab import Clock, Lab

VECTORS = json.loads((Path(__file__).parents[2] / "data" / "sign-vectors.json").read_text(encoding="utf-8"))
AT_S = 1564486842.0
Vector = dict[str, Any]
ORIGINAL = "hot list with token, fractional seconds"
"""The accepted request that the refused ones are made of."""


def by_name(kind: str) -> list[Any]:
    return [pytest.param(vector, id=vector["name"]) for vector in VECTORS[kind]]


def vector_routes() -> Blueprint:
    """An endpoint for every path that stands in the vectors."""
    bp = Blueprint("vectors", __name__)
    by_path = {vector["path"]: vector for vector in VECTORS["accepted"]}
    for number, vector in enumerate(by_path.values()):

        @endpoint(
            "Vector",
            "示例",
            require_token="token" in vector["params"],
            max_file_bytes=100 if vector["file"] else 0,
        )
        def view(call: Call) -> dict[str, Any]:
            return {"params": dict(call.params)}

        bp.add_url_rule(vector["path"], f"vector{number}", view, methods=[vector["method"]])
    return bp


@pytest.fixture
def vector_lab(lab_of: LabOn) -> Lab:
    clock = Clock()
    clock.stop(AT_S)
    app = KnownApp("432ABZ", (("1AE32B09224", None),), False)
    return lab_of(clock=clock, app=app, blueprint=vector_routes())


def send(client: Api, vector: Vector, params: dict[str, str]) -> Answer:
    if not vector["file"]:
        return client.send(vector["method"], vector["path"], params)
    data = {**params, "file": (io.BytesIO(vector["file"].encode()), "hello.txt")}
    return client.send(vector["method"], vector["path"], None, data=data, content_type="multipart/form-data")


@pytest.mark.parametrize("vector", by_name("accepted"))
def test_the_strings_to_sign_and_their_signatures(vector: Vector) -> None:
    params, secret = vector["params"], vector["appsecret"]
    expected = {form["string_to_sign"] for form in vector["md5"].values()}
    assert set(md5_strings(params, secret)) == expected
    for form in vector["md5"].values():
        assert sign_md5(form["string_to_sign"]) == form["sign"]
        assert signed_text({**params, "sign": form["sign"].upper()}, ["other", secret])
        assert not signed_text({**params, "sign": form["sign"]}, ["other"])
    hmac_form = vector["hmac-sha256"]
    covered = {
        "method": vector["method"],
        "path": vector["path"],
        "file_sha256": hashlib.sha256(vector["file"].encode()).hexdigest(),
    }
    string = hmac_string(params=hmac_form["params"], **covered)
    assert string == hmac_form["string_to_sign"]
    assert sign_hmac(string, secret) == hmac_form["sign"]
    assert is_hmac_signed({**hmac_form["params"], "sign": hmac_form["sign"]}, [secret], **covered)


@pytest.mark.parametrize("vector", by_name("accepted"))
def test_every_form_is_accepted_over_the_application(vector_lab: Lab, vector: Vector) -> None:
    client = vector_lab.client()
    requests = [{**vector["params"], "sign": form["sign"]} for form in vector["md5"].values()]
    requests += [{**request, "sign": request["sign"].upper()} for request in requests]
    requests.append({**vector["hmac-sha256"]["params"], "sign": vector["hmac-sha256"]["sign"]})
    for params in requests:
        # They share a nonce.
        vector_lab.forget_everything()
        assert send(client, vector, params).data == {"params": params}


@pytest.mark.parametrize("vector", by_name("refused"))
def test_what_must_be_refused_is(vector_lab: Lab, vector: Vector) -> None:
    original = next(found for found in VECTORS["accepted"] if found["name"] == ORIGINAL)
    client = vector_lab.client()
    if vector["name"].startswith("after the first was accepted"):
        sign = original["md5"]["msg+token"]["sign"]
        assert send(client, original, {**original["params"], "sign": sign}).code == 0

    answer = send(client, original, vector["params"])

    assert (answer.status, answer.code) == (200, vector["expect"])
