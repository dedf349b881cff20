"""`/openapi.json`: valid, complete, and the same from every process."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from flask import Blueprint, Flask
from marshmallow import Schema, fields
from openapi_spec_validator import OpenAPIV31SpecValidator

from datingtoday.infra.text import Text
from datingtoday.protocol.call import Call
from datingtoday.protocol.declared_routes import Route, declared_routes
from datingtoday.protocol.endpoint import endpoint
from datingtoday.protocol.errors import AppError, RateLimited, Unavailable
from datingtoday.protocol.fields import Choice, Flag, Id, Integer, ParamsSchema, TextLine, WireTime
from datingtoday.web.document import Document
from datingtoday.web.openapi import build_document
from datingtoday.web.openapi_parts import COMMON_PARAMS, TAGS
from tests.plugins.api import Api

ROOT = Path(__file__).parents[2]

Json = dict[str, Any]


class ThingSchema(Schema):
    thing_id = fields.Integer(required=True)
    name = fields.String(required=True, allow_none=True, metadata={"description": Text("its name", "名称")})
    made = WireTime(required=True, allow_none=True)
    parts = fields.List(fields.Nested("ThingSchema", only=("thing_id",)), required=True)


class ThingParams(ParamsSchema):
    thing_id = Id(data_key="thingId")
    kind = Choice({"small": Text("small", "小"), "large": Text("large", "大")}, load_default="small")
    loud = Flag(load_default=False)
    count = Integer(least=1, most=50, load_default=10)
    note = TextLine(most=20, load_default=None)


class ThingRefused(AppError):
    code = 90001
    en = "thing refused"
    zh = "不接受"
    cause = Text("It is too small.", "太小。")
    cure = Text("Take a larger one.", "换大的。")


class ThingGone(AppError):
    code = 90002
    http_status = 404
    en = "thing gone"
    zh = "已不存在"
    cause = Text("A user took it.", "已被拿走。")
    cure = Text("Look elsewhere.", "换一个。")


OWN_ERRORS = (ThingRefused, ThingGone)
# Not errors of the product: they stand in its table only during the tests that need them.
for _cls in OWN_ERRORS:
    del AppError.registry[_cls.code, _cls.http_status]


@pytest.fixture
def _own_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    for cls in OWN_ERRORS:
        monkeypatch.setitem(AppError.registry, (cls.code, cls.http_status), cls)


def things() -> Blueprint:
    bp = Blueprint("things", __name__, url_prefix="/api/thing")

    @bp.get("/show")
    @endpoint(
        "A thing", "一件东西", params=ThingParams, returns=ThingSchema, raises=(ThingRefused, RateLimited)
    )
    def show(call: Call, **_: Any) -> Any:
        return None

    @bp.post("/make")
    @endpoint("Make one", "制作", require_token=False, params=ThingParams, returns=ThingSchema(many=True))
    def make(call: Call, **_: Any) -> Any:
        return None

    @bp.post("/send")
    @endpoint("Send one", "发送", params=ThingParams, max_file_bytes=1000, raises=(Unavailable,))
    def send(call: Call, **_: Any) -> None:
        return None

    @bp.get("/<thing_id>/bytes")
    @endpoint(
        "Its bytes",
        "内容",
        require_token=False,
        require_sign=False,
        own_format=True,
        own_answers={200: Text("the bytes", "内容"), 206: Text("a part", "部分内容")},
        raises=(ThingGone,),
    )
    def content(call: Call, thing_id: str) -> bytes:
        return b""

    return bp


@pytest.fixture
def document(_own_errors: None) -> Json:
    """The document of routes that are made for these tests."""
    app = Flask("things", static_folder=None)
    app.register_blueprint(things())
    return build_document(declared_routes(app))


@pytest.fixture
def product(api: Api) -> Json:
    """The document of the product, as it is sent."""
    made: Json = orjson.loads(api.send("GET", "/openapi.json").body)
    return made


_OWN = "authority birthday create_time email personal phone stealth vip_deadline"
"""Told to the person alone."""
MAY_BE_LEFT_OUT = {
    "Media": "duration_ms height thumb_url width",
    "Profile": _OWN,
    "Sent": "code",
    "SyncEntry": "by_me message message_id peer_id removed seq",
    "Updated": _OWN,
}
"""Schema → properties; besides ``total_more`` of lists, and ``data`` of errors."""


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def form_of(operation: Json, media_type: str = "application/x-www-form-urlencoded") -> Json:
    form: Json = operation["requestBody"]["content"][media_type]["schema"]
    return form


class TestProduct:
    def test_is_valid(self, product: Json) -> None:
        errors = list(OpenAPIV31SpecValidator(product).iter_errors())
        assert errors == []
        assert product["openapi"].startswith("3.1")

    def test_has_every_endpoint_and_nothing_else(self, api: Api, product: Json) -> None:
        declared = {(route.method, route.path) for route in declared_routes(api.app) if route.is_api}
        assert {(method, path) for method, path, _ in operations(product)} == declared
        assert ("POST", "/api/auth/login") in declared

    def test_says_everything_in_both_languages(self, product: Json) -> None:
        for method, path, operation in operations(product):
            for text in (operation["summary"], operation["description"]):
                assert re.search(r"[\u4e00-\u9fff]", text), (method, path, text)
                assert re.search(r"[A-Za-z]{3}", text), (method, path, text)
        described = {tag["name"] for tag in product["tags"]}
        assert described <= TAGS.keys(), "name new groups in TAGS"

    def test_answers_always_have_all_that_they_name(self, product: Json) -> None:
        """A client may rely on every property; where there is nothing to tell it is null."""
        left_out: dict[str, set[str]] = {}
        for name, schema in product["components"]["schemas"].items():
            optional = set(schema.get("properties", ())) - {*schema.get("required", ()), "total_more"}
            if optional and not name.startswith(("Error", "Http")):
                left_out[name] = optional
        assert left_out == {name: set(names.split()) for name, names in MAY_BE_LEFT_OUT.items()}

    def test_codes_name_their_http_status_where_it_is_not_200(self, product: Json) -> None:
        told = {path: operation.get("description", "") for _, path, operation in operations(product)}
        assert "`404` (HTTP 404) " in told["/api/media/{media_id}"]
        assert "`1401` " in told["/api/message/send"]
        assert not [path for path, text in told.items() if "(HTTP 200)" in text]

    def test_operation_ids_are_unique(self, product: Json) -> None:
        found = [operation["operationId"] for _, _, operation in operations(product)]
        assert len(found) == len(set(found))

    def test_every_parameter_says_what_is_allowed(self, product: Json) -> None:
        for method, path, operation in operations(product):
            for param in operation.get("parameters", []):
                assert "$ref" in param or param["in"] == "path" or param["description"], (method, path, param)
            for content in operation.get("requestBody", {}).get("content", {}).values():
                for name, field in content["schema"]["properties"].items():
                    assert "$ref" in field or field["description"], (method, path, name)

    def test_answers_refer_to_the_codes_of_the_table(self, product: Json) -> None:
        for method, path, operation in operations(product):
            if operation["responses"]["200"]["content"].keys() != {"application/json"}:
                continue
            options = operation["responses"]["200"]["content"]["application/json"]["schema"]["oneOf"]
            codes = [
                product["components"]["schemas"][option["$ref"].rpartition("/")[2]]["properties"]["code"][
                    "const"
                ]
                for option in options[1:]
            ]
            assert 300 in codes, (method, path)
            assert (504 in codes) == operation["x-require-token"], (method, path)
            assert codes == sorted(set(codes)), (method, path)

    def test_nothing_of_the_program_is_told(self, product: Json) -> None:
        text = orjson.dumps(product).decode()
        for secret in ("Traceback", "sqlalchemy", "marshmallow", "0.1.0"):
            assert secret not in text

    def test_is_sent_with_an_etag(self, api: Api) -> None:
        first = api.send("GET", "/openapi.json")
        again = api.send("GET", "/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
        other = api.send("GET", "/openapi.json", headers={"If-None-Match": '"other"'})
        assert (first.status, again.status, other.status) == (200, 304, 200)
        assert again.body == b""
        assert other.body == first.body

    def test_is_the_same_from_every_application(self, app_of: Callable[..., Api]) -> None:
        one, other = (app_of().send("GET", "/openapi.json") for _ in range(2))
        assert one.body == other.body
        assert one.headers["ETag"] == other.headers["ETag"]
        assert re.fullmatch('"[0-9a-f]{32}"', one.headers["ETag"])
        assert orjson.loads(one.body) == orjson.loads((ROOT / "docs/openapi.json").read_bytes())

    def test_can_be_switched_off(self, app_of: Callable[..., Api]) -> None:
        off = app_of(DOCS_ENABLED=0)
        unknown = off.send("GET", "/nowhere")
        for path in ("/openapi.json", "/docs", "/docs/docs.js", "/docs/keys.json"):
            answer = off.send("GET", path)
            assert (answer.status, answer.body) == (404, unknown.body), path


@pytest.mark.usefixtures("_own_errors")
class TestWhatIsDeclared:
    def test_is_valid(self, document: Json) -> None:
        assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []

    def test_get_takes_a_query(self, document: Json) -> None:
        operation = document["paths"]["/api/thing/show"]["get"]
        own = {param["name"]: param for param in operation["parameters"] if "name" in param}
        assert "requestBody" not in operation
        assert {param["in"] for param in own.values()} == {"query"}
        assert {name: param["required"] for name, param in own.items()} == {
            "thingId": True,
            "kind": False,
            "loud": False,
            "count": False,
            "note": False,
        }
        common = [param["$ref"].rpartition("/")[2] for param in operation["parameters"] if "$ref" in param]
        named = [document["components"]["parameters"][name]["name"] for name in common]
        assert named == list(COMMON_PARAMS)

    def test_fields_say_what_is_allowed_and_what_stands_for_them(self, document: Json) -> None:
        form = form_of(document["paths"]["/api/thing/make"]["post"])
        properties = form["properties"]
        assert properties["thingId"] == {
            "type": "integer",
            "minimum": 1,
            "maximum": 2**31 - 1,
            "description": "1 到 2147483647 的整数 · a whole number from 1 to 2147483647",
        }
        assert properties["kind"]["enum"] == ["small", "large"]
        defaults = {name: field.get("default") for name, field in properties.items()}
        assert (defaults["kind"], defaults["loud"], defaults["count"]) == ("small", "0", 10)
        assert "default" not in properties["note"]

    def test_post_takes_a_form_with_what_it_needs(self, document: Json) -> None:
        form = form_of(document["paths"]["/api/thing/make"]["post"])
        assert form["required"] == ["thingId", "appkey", "timestamp", "nonce", "sign"]
        assert "token" not in form["properties"]
        with_login = form_of(document["paths"]["/api/thing/send"]["post"], "multipart/form-data")
        assert {"userId", "token", "file"} <= set(with_login["required"])
        assert with_login["properties"]["file"]["format"] == "binary"
        assert "fileSha256" not in with_login["required"]

    def test_answers_tell_what_may_be_null(self, document: Json) -> None:
        thing = document["components"]["schemas"]["Thing"]
        assert thing["properties"]["name"]["type"] == ["string", "null"]
        assert thing["properties"]["name"]["description"] == "名称 · its name"
        assert thing["properties"]["made"]["type"] == ["string", "null"]
        assert thing["properties"]["thing_id"]["type"] == "integer"
        assert set(thing["required"]) == {"thing_id", "name", "made", "parts"}

    def test_data_is_one_many_or_none(self, document: Json) -> None:
        def data_of(path: str, method: str) -> Any:
            answer = document["paths"][path][method]["responses"]["200"]["content"]["application/json"]
            return answer["schema"]["oneOf"][0]["properties"].get("data")

        reference = {"$ref": "#/components/schemas/Thing"}
        assert data_of("/api/thing/show", "get") == reference
        assert data_of("/api/thing/make", "post") == {"type": "array", "items": reference}
        assert data_of("/api/thing/send", "post") is None

    def test_errors_stand_where_they_are_raised(self, document: Json) -> None:
        show = document["paths"]["/api/thing/show"]["get"]["responses"]
        make = document["paths"]["/api/thing/make"]["post"]["responses"]
        reference = {"$ref": "#/components/schemas/Error90001"}
        assert reference in show["200"]["content"]["application/json"]["schema"]["oneOf"]
        assert reference not in make["200"]["content"]["application/json"]["schema"]["oneOf"]
        assert set(make) == {"200", "413", "415", "429", "500", "503"}

    def test_a_format_of_its_own(self, document: Json) -> None:
        content = document["paths"]["/api/thing/{thing_id}/bytes"]["get"]
        assert content["parameters"] == [
            {"name": "thing_id", "in": "path", "required": True, "schema": {"type": "string"}}
        ]
        assert set(content["responses"]) == {"200", "206", "404"}
        gone = content["responses"]["404"]["$ref"].rpartition("/")[2]
        assert document["components"]["responses"][gone]["description"].endswith("A user took it.")

    def test_is_made_once(self) -> None:
        asked: list[int] = []
        app = Flask("things", static_folder=None)
        app.register_blueprint(things())

        def routes() -> Iterator[Route]:
            asked.append(1)
            yield from declared_routes(app)

        made = Document(lambda: build_document(routes()))
        assert made.body == made.body
        assert len(made.etag) == 32
        assert asked == [1]
