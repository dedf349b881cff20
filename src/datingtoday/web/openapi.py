"""The OpenAPI 3.1 document, made from what the routes declare: what validates is what is shown."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

from apispec import APISpec
from marshmallow import Schema, fields

from datingtoday.infra.text import Text
from datingtoday.protocol.declared_routes import Route
from datingtoday.protocol.envelope import CONTENT_TYPE
from datingtoday.protocol.errors import AppError, NotFound
from datingtoday.web import openapi_parts as parts
from datingtoday.web.json_schemas import SchemaNames, SchemaPlugin
from datingtoday.web.openapi_parts import Json, both

API_VERSION = "1"
"""Version of the contract, not of the program, whose version is nobody's business."""
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
EXAMPLES = files("datingtoday.web") / "examples.json"
"""Answers of a real server, recorded by ``python -m tests.web.record_examples``: operation → name → answer."""
_INTRO = Text(
    "All parameters of a request go in one place: the query (GET) or a form body (POST). "
    "`GET` reads, `POST` changes. Application results are HTTP 200 with a `code` (0: success); "
    "HTTP errors keep their own status, with the same JSON. How requests are signed: docs/protocol.md; "
    "every code with cause and cure: docs/errors.md.",
    "一个请求的全部参数放在同一处：GET 放查询字符串，POST 放表单。`GET` 只读，`POST` 修改。"
    "业务结果一律 HTTP 200，以 `code` 区分（0 为成功）；HTTP 层面的拒绝保留其状态码，JSON 格式相同。"
    "签名方法见 docs/protocol.md；全部错误码、原因与处理办法见 docs/errors.zh-CN.md。",
)
_SECURITY = {
    "appkey": Text(
        "the client program; in the form body of a POST, as all parameters",
        "客户端程序标识；POST 请求中与其他参数一样放在表单里",
    ),
    "sign": Text(
        "the signature of the request, with `timestamp` and `nonce`; in the form body of a POST",
        "请求签名，与 `timestamp`、`nonce` 一起发送；POST 请求中放在表单里",
    ),
    "token": Text(
        "the login, with `userId`; in the form body of a POST",
        "登录令牌，与 `userId` 一起发送；POST 请求中放在表单里",
    ),
}
_CODE = Text("0: success", "0 表示成功")
_MSG = Text("always `success`", "固定为 `success`")
_COMMON_CODES = Text("and the common codes", "以及通用错误码")
_CODES = Text("Codes of its own", "本接口的错误码")
_LOGIN_NEEDED = Text("A login is needed: `userId` and `token`.", "需要登录：`userId` 和 `token`。")
_NO_LOGIN = Text("Signed, without a login.", "需要签名，无需登录。")
_UNSIGNED = Text("Neither signature nor login.", "无需签名和登录。")
_DONE = Text("Success, or a refusal with its `code`", "成功，或以 `code` 说明的拒绝")
_OWN_FORMAT = Text("In a format of its own", "使用自己的格式")


def build_document(routes: Iterable[Route]) -> Json:
    """The document of all routes under ``/api``; the same routes give the same document."""
    chosen = [route for route in routes if route.is_api]
    plugin = SchemaPlugin(schema_name_resolver=SchemaNames())
    spec = APISpec(
        title="DatingToday",
        version=API_VERSION,
        openapi_version="3.1.0",
        plugins=[plugin],
        info={"description": both(_INTRO, "\n\n")},
        servers=[{"url": "/"}],
    )
    _add_components(spec, chosen)
    for tag in dict.fromkeys(route.group for route in chosen):
        about = parts.TAGS.get(tag)
        spec.tag({"name": tag, "description": both(about) if about else tag})
    for route in chosen:
        spec.path(path=route.path, operations={route.method.lower(): _operation(route, plugin)})
    document: Json = spec.to_dict()
    return document


def _add_components(spec: APISpec, routes: Iterable[Route]) -> None:
    for name, about in _SECURITY.items():
        spec.components.security_scheme(
            name, {"type": "apiKey", "in": "query", "name": name, "description": both(about)}
        )
    for name, (about, schema) in parts.COMMON_PARAMS.items():
        component = parts.component_name(name)
        spec.components.schema(component, {**schema, "description": both(about)})
        required = name in {"appkey", "timestamp", "nonce", "sign", "userId", "token"}
        spec.components.parameter(
            component,
            "query",
            {"name": name, "required": required, "schema": {"$ref": f"#/components/schemas/{component}"}},
        )
    spec.components.header(
        "RequestId",
        {"description": "names the request in the server's logs", "schema": {"type": "string"}},
    )
    used: dict[str, type[AppError]] = {}
    everywhere: list[type[AppError]] = [NotFound, *parts.HTTP_ERRORS]
    of_routes = [cls for route in routes for cls in parts.common_errors(route) + parts.own_errors(route)]
    for cls in everywhere + of_routes:
        used[parts.error_component(cls)] = cls
    for component, cls in sorted(used.items(), key=lambda item: (item[1].http_status, item[1].code)):
        spec.components.schema(component, parts.error_schema(cls))
        if cls.http_status != 200:
            spec.components.response(component, _http_error(cls, component))


def _http_error(cls: type[AppError], component: str) -> Json:
    return {
        "description": f"{parts.both(cls.cause)}",
        "headers": _headers(cls),
        "content": {CONTENT_TYPE: {"schema": {"$ref": f"#/components/schemas/{component}"}}},
    }


def _headers(cls: type[AppError] | None = None) -> Json:
    headers: Json = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
    if cls is not None and cls.http_status in (429, 503):
        headers["Retry-After"] = {"schema": {"type": "integer", "minimum": 1}, "description": "s"}
    return headers


def _operation(route: Route, plugin: SchemaPlugin) -> Json:
    declared = route.endpoint
    needed = (["appkey", "sign"] if declared.require_sign else []) + (
        ["token"] if declared.require_token else []
    )
    operation: Json = {
        "security": [{name: [] for name in needed}] if needed else [],
        "operationId": operation_id(route),
        "tags": [route.group],
        "summary": both(declared.summary),
        "description": _description(route),
        "x-require-sign": declared.require_sign,
        "x-require-token": declared.require_token,
    }
    path_params = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in route.variables
    ]
    if route.in_query:
        operation["parameters"] = [*path_params, *_query_params(route)]
    else:
        operation["parameters"] = path_params
        if not declared.own_format:
            operation["requestBody"] = _form(route)
    operation["responses"] = _responses(route, plugin)
    return operation


def file_limit(most: int) -> Text:
    """Largest size of an uploaded file in words."""
    if most % 2**20 == 0:
        return Text(f"up to {most // 2**20} MiB", f"最大 {most // 2**20} MiB")
    return Text(f"up to {most} bytes", f"最大 {most} 字节")


def operation_id(route: Route) -> str:
    """``GET /api/user/show`` → ``get_user_show``."""
    path = route.path.removeprefix("/api").replace("{", "").replace("}", "")
    return route.method.lower() + path.replace("/", "_").replace("-", "_")


def _description(route: Route) -> str:
    declared = route.endpoint
    lines = [both(declared.description, "\n\n")] if declared.description is not None else []
    if declared.require_token:
        lines.append(both(_LOGIN_NEEDED))
    else:
        lines.append(both(_NO_LOGIN if declared.require_sign else _UNSIGNED))
    own = parts.own_errors(route)
    if own:
        lines.append(f"{both(_CODES)}:")
        lines.append("\n".join(f"- `{cls.code}` {_sentence(cls)}" for cls in own))
    common = parts.common_errors(route)
    if common:
        lines.append(f"{both(_COMMON_CODES)}: " + " ".join(f"`{cls.code}`" for cls in common))
    return "\n\n".join(lines)


def _sentence(cls: type[AppError]) -> str:
    http = f"(HTTP {cls.http_status}) " if cls.http_status != 200 else ""
    return http + both(cls.cause)


def _query_params(route: Route) -> list[Json | str]:
    found: list[Json | str] = []
    for name, field in _own_fields(route.endpoint.params):
        schema = parts.param_schema(field)
        found.append(
            {
                "name": name,
                "in": "query",
                "required": field.required,
                "description": schema.pop("description"),
                "schema": schema,
            }
        )
    own = {name for name, _field in _own_fields(route.endpoint.params)}
    for name, _required in parts.common_params_of(route):
        if name not in own:
            # A name alone is apispec's way to refer to a component.
            found.append(parts.component_name(name))
    return found


def _form(route: Route) -> Json:
    """The body: urlencoded, or multipart where a file is taken."""
    declared = route.endpoint
    properties: Json = {}
    required: list[str] = []
    for name, field in _own_fields(declared.params):
        properties[name] = parts.param_schema(field)
        if field.required:
            required.append(name)
    if declared.max_file_bytes:
        limit = file_limit(declared.max_file_bytes)
        properties[declared.file_name] = {"type": "string", "format": "binary", "description": both(limit)}
        required.append(declared.file_name)
        about, schema = parts.FILE_SHA256
        properties.setdefault("fileSha256", {**schema, "description": both(about)})
    for name, needed in parts.common_params_of(route):
        if name in properties:
            continue
        properties[name] = {"$ref": f"#/components/schemas/{parts.component_name(name)}"}
        if needed:
            required.append(name)
    schema = {"type": "object", "properties": properties, "required": required}
    return {
        "required": True,
        "content": {MULTIPART if declared.max_file_bytes else FORM: {"schema": schema}},
    }


def _own_fields(schema: Schema | None) -> list[tuple[str, fields.Field[Any]]]:
    if schema is None:
        return []
    return [(field.data_key or name, field) for name, field in schema.load_fields.items()]


def _responses(route: Route, plugin: SchemaPlugin) -> Json:
    declared = route.endpoint
    responses: Json = {}
    own = parts.own_errors(route)
    if declared.own_format:
        answers = declared.own_answers or {200: _OWN_FORMAT}
        for status, about in sorted(answers.items()):
            responses[str(status)] = {
                "description": both(about),
                "headers": _headers(),
                "content": {"*/*": {}},
            }
    else:
        described = [cls for cls in (*parts.common_errors(route), *own) if cls.http_status == 200]
        described.sort(key=lambda cls: cls.code)
        refused = [{"$ref": f"#/components/schemas/{parts.error_component(cls)}"} for cls in described]
        responses["200"] = {
            "description": both(_DONE),
            "headers": _headers(),
            "content": {CONTENT_TYPE: {"schema": {"oneOf": [_success(declared.returns, plugin), *refused]}}},
        }
        if examples := recorded_examples().get(operation_id(route)):
            responses["200"]["content"][CONTENT_TYPE]["examples"] = examples
    http = [cls for cls in own if cls.http_status != 200]
    if not declared.own_format:
        http += parts.HTTP_ERRORS
    for status in sorted({cls.http_status for cls in http}):
        responses.setdefault(str(status), _refusal([cls for cls in http if cls.http_status == status]))
    return responses


@cache
def recorded_examples() -> dict[str, Json]:
    """Examples of the operations' answers, in the form of the document."""
    recorded: dict[str, Json] = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    return {
        operation: {
            name: {"summary": both(Text(*described["title"])), "value": described["answer"]}
            for name, described in named.items()
        }
        for operation, named in recorded.items()
    }


def _refusal(errors: list[type[AppError]]) -> Json:
    """Response with which HTTP refuses with one status, for one reason or for several."""
    names = [parts.error_component(cls) for cls in errors]
    if len(names) == 1:
        return {"$ref": f"#/components/responses/{names[0]}"}
    return {
        "description": "\n\n".join(both(cls.cause) for cls in errors),
        "headers": _headers(errors[0]),
        "content": {
            CONTENT_TYPE: {"schema": {"oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in names]}}
        },
    }


def _success(returns: Schema | None, plugin: SchemaPlugin) -> Json:
    properties: Json = {
        "code": {"const": 0, "description": both(_CODE)},
        "msg": {"const": "success", "description": both(_MSG)},
    }
    required = ["code", "msg"]
    if returns is not None:
        properties["data"] = plugin.answer(returns)
        required.append("data")
    return {"type": "object", "title": "Success", "properties": properties, "required": required}
