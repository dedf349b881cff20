"""Completeness of `/openapi.json`: descriptions in both languages, names of values, examples, and Redocly's linter."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from datingtoday.cli.generated.api_page import product_routes
from datingtoday.infra.config.limits import LimitsSection
from datingtoday.protocol.described import ENUM_NAMES
from datingtoday.web.openapi import build_document
from tests.plugins.contract import closed
from tests.plugins.tools import program

JS = Path(__file__).parent
Json = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Json:
    return build_document(product_routes())


def nodes(node: Any, path: str = "#") -> Iterator[tuple[str, Json]]:
    """Every object of the document but recorded examples, with where it stands."""
    if isinstance(node, dict):
        yield path, node
        for name, part in node.items():
            if name not in ("examples", "example"):
                yield from nodes(part, f"{path}/{name}")
    elif isinstance(node, list):
        for number, part in enumerate(node):
            yield from nodes(part, f"{path}/{number}")


def is_bilingual(text: Any) -> bool:
    return isinstance(text, str) and bool(
        re.search(r"[\u4e00-\u9fff]", text) and re.search(r"[A-Za-z]{2}|\d", text)
    )


def is_named(text: Any) -> bool:
    """Both languages; some names are numbers."""
    return isinstance(text, str) and bool(re.fullmatch(r"[^·]+ · [^·]+", text))


def undescribed(document: Json) -> list[str]:
    """Properties, parameters and components without a description in both languages."""
    found = []
    for path, node in nodes(document):
        for name, schema in node.get("properties", {}).items() if "properties" in node else ():
            refers = "$ref" in schema or "$ref" in schema.get("items", {})
            if not is_bilingual(schema.get("description")) and not refers:
                found.append(f"{path}/properties/{name}")
    for kind in ("schemas", "securitySchemes"):
        for name, schema in document["components"][kind].items():
            if not is_bilingual(schema.get("description")):
                found.append(f"#/components/{kind}/{name}")
    return found


def nameless(document: Json) -> list[str]:
    """Enumerations whose values have no names in both languages."""
    return [
        path
        for path, node in nodes(document)
        if isinstance(node.get("enum"), list)
        and not (len(node.get(ENUM_NAMES, [])) == len(node["enum"]) and all(map(is_named, node[ENUM_NAMES])))
    ]


def operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def without_example(document: Json) -> list[str]:
    """Endpoints that answer JSON and show none."""
    return [
        name
        for name, operation in operations(document)
        if not operation["responses"]["200"]["content"]
        .get("application/json", {"examples": 1})
        .get("examples")
    ]


def test_everything_is_described_in_both_languages(document: Json) -> None:
    assert undescribed(document) == []
    del document["components"]["schemas"]["Card"]["properties"]["gender"]["description"]
    assert undescribed(document) == ["#/components/schemas/Card/properties/gender"]


def test_every_value_of_an_enumeration_has_names() -> None:
    document = build_document(product_routes())
    assert nameless(document) == []
    gender = document["components"]["schemas"]["Card"]["properties"]["gender"]
    assert gender[ENUM_NAMES] == ["未知 · unknown", "男 · male", "女 · female"]
    assert "- `1` 男 · male" in gender["description"]
    gender[ENUM_NAMES].pop()
    assert nameless(document) == ["#/components/schemas/Card/properties/gender"]


def test_every_endpoint_shows_an_answer() -> None:
    document = build_document(product_routes())
    assert without_example(document) == []
    own_format = [
        name
        for name, it in operations(document)
        if "application/json" not in it["responses"]["200"]["content"]
    ]
    assert own_format == ["GET /api/media/{media_id}", "POST /api/pay/notify/{channel}"]
    del document["paths"]["/api/user/show"]["get"]["responses"]["200"]["content"]["application/json"][
        "examples"
    ]
    assert without_example(document) == ["GET /api/user/show"]


def test_every_example_is_what_its_schema_says() -> None:
    document = build_document(product_routes())
    checked = 0
    for name, operation in operations(document):
        content = operation["responses"]["200"]["content"].get("application/json", {})
        whole = {**content.get("schema", {}), "components": {"schemas": document["components"]["schemas"]}}
        validator = jsonschema_rs.Draft202012Validator(closed(whole))
        for example in content.get("examples", {}).values():
            assert is_bilingual(example["summary"]), name
            assert validator.is_valid(example["value"]), (name, example["value"])
            checked += 1
    assert checked >= 50


def test_security_says_what_each_endpoint_needs(document: Json) -> None:
    for name, operation in operations(document):
        needed = [scheme for option in operation["security"] for scheme in option]
        assert ("sign" in needed) == operation["x-require-sign"], name
        assert ("token" in needed) == operation["x-require-token"], name
        assert set(needed) <= document["components"]["securitySchemes"].keys()


def test_the_data_of_every_error_has_types(document: Json) -> None:
    typed = 0
    for name, schema in document["components"]["schemas"].items():
        data = schema.get("properties", {}).get("data")
        if name.startswith(("Error", "Http")) and data is not None:
            assert all("type" in field for field in data["properties"].values()), name
            typed += 1
    assert typed >= 5


def test_lengths_are_called_what_they_are(document: Json) -> None:
    text = json.dumps(document, ensure_ascii=False)
    for least, most in re.findall(r"(\d+) to (\d+)", text):
        assert int(least) < int(most), f"{least} to {most}"
    forms = document["paths"]["/api/auth/login"]["post"]["requestBody"]["content"].values()
    code = next(iter(forms))["schema"]["properties"]["code"]
    assert code["pattern"] == "^[0-9]{6}$"
    assert "6 digits" in code["description"]


def test_the_wait_between_two_codes_is_told(document: Json) -> None:
    gap_s = LimitsSection().sms_gap_s
    told = document["paths"]["/api/auth/sendsms"]["post"]["description"]
    assert f"{gap_s} s apart" in told and f"{gap_s} 秒" in told
    assert "all purposes together" in told and "不论用途" in told
    for page in ("api.md", "api.zh-CN.md"):
        assert "sms_gap_s" in (JS.parents[1] / "docs" / page).read_text()


@pytest.mark.needs("redocly")
def test_redocly_finds_nothing(tmp_path: Path) -> None:
    def lint(document: Json) -> list[str]:
        file = tmp_path / "openapi.json"
        file.write_text(json.dumps(document, ensure_ascii=False))
        node = program("node")
        assert node
        folder = JS / "redocly"
        command: list[str | Path] = [node, folder / "node_modules" / ".bin" / "redocly", "lint", file]
        command += ["--config", folder / "redocly.yaml", "--format", "json", "--max-problems", "1000"]
        quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False, env=os.environ | quiet
        )
        told = done.stdout[done.stdout.index("{") : done.stdout.rindex("}") + 1]
        return [f"{it['ruleId']}: {it['message']}" for it in json.loads(told)["problems"]]

    document = build_document(product_routes())
    assert lint(document) == []
    document["paths"] = {path: it for path, it in document["paths"].items() if path == "/api/user/show"}
    show = document["paths"]["/api/user/show"]["get"]
    del show["security"]
    next(iter(show["responses"]["200"]["content"]["application/json"]["examples"].values()))["value"][
        "code"
    ] = "0"
    assert {found.partition(":")[0] for found in lint(document)} >= {
        "security-defined",
        "no-invalid-media-type-examples",
    }
