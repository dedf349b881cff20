"""docs/api.md: every endpoint with its parameters, answer and codes, made from what the routes declare."""

import json
import tempfile
from pathlib import Path
from typing import Any, Literal

from datingtoday.infra.text import Text
from datingtoday.protocol.declared_routes import Route, declared_routes
from datingtoday.protocol.described import ENUM_NAMES
from datingtoday.protocol.envelope import CONTENT_TYPE, to_json
from datingtoday.protocol.fields import Parameter
from datingtoday.web.openapi import build_document, file_limit
from datingtoday.web.openapi_parts import COMMON_PARAMS, TAGS, default_on_the_wire, own_errors

Language = Literal["en", "zh"]
Json = dict[str, Any]

_INTRO = Text(
    """# API

Made from the code by `datingtoday docs write`; do not edit. [中文](api.zh-CN.md)

The same as a machine reads it: `/openapi.json`, a copy of which is [openapi.json](openapi.json); to try out: `/docs`.
Signing: [protocol.md](protocol.md); every code with cause and cure: [errors.md](errors.md). `GET` takes its parameters
from the query, `POST` from a form body.
Times in answers are UTC, `YYYY-MM-DD HH:MM:SS`. Clients must ignore fields of answers that they do not know.
The examples are answers of a real server with made-up people; lists are cut to two items.
""",
    """# 接口

由 `datingtoday docs write` 从代码生成，请勿手工修改。[English](api.md)

机器可读版本：`/openapi.json`，副本见 [openapi.json](openapi.json)；在线调试：`/docs`。
签名方法见 [protocol.zh-CN.md](protocol.zh-CN.md)；全部错误码、原因与处理办法见 [errors.zh-CN.md](errors.zh-CN.md)。
`GET` 的参数放查询字符串，`POST` 的参数放表单。
应答中的时间均为 UTC，格式 `YYYY-MM-DD HH:MM:SS`。客户端必须忽略应答中不认识的字段。
示例均为真实服务器（虚构用户）的应答，列表只保留前两项。
""",
)
_COMMON = Text("Common parameters", "公共参数")
_COMMON_NOTE = Text(
    "`userId` and `token` wherever a login is needed; the others of this table with every signed request, "
    "`sign_method` and `lang` may be left out.",
    "`userId` 和 `token` 在需要登录时必填；其余每个签名请求都要带，`sign_method` 和 `lang` 可省略。",
)
_LOGIN = Text("Login needed.", "需要登录。")
_SIGNED = Text("Signed, no login.", "需要签名，无需登录。")
_OPEN = Text("Neither signature nor login.", "无需签名和登录。")
_PARAMS = Text("| parameter | needed | allowed | left out |", "| 参数 | 必填 | 允许 | 省略时 |")
_NAMES = Text("| name | what |", "| 名称 | 说明 |")
_YES = Text("yes", "是")
_FIELDS = Text("| field | type | what |", "| 字段 | 类型 | 说明 |")
_DATA = Text("`data`", "`data`")
_NO_DATA = Text("No `data`.", "没有 `data`。")
_CODES = Text("Codes of its own", "本接口的错误码")
_SHAPES = Text("Shapes", "数据结构")
_OUTSIDE = Text("Outside /api", "/api 之外")
_OUTSIDE_NOTE = Text(
    "Unsigned. `/healthz`, `/readyz` and `/metrics` answer loopback and `[SERVER] internal_addresses` only; "
    "everybody else gets 404.",
    "无需签名。`/healthz`、`/readyz`、`/metrics` 只对本机和 `[SERVER] internal_addresses` 开放，其他一律 404。",
)
_FILE = Text("a file, {} (multipart/form-data)", "文件，{}（multipart/form-data）")
_OPTIONAL_FIELD = Text("may be missing", "可能没有")
_OWN_FORMAT = Text("Answers in a format of its own.", "应答使用自己的格式。")
_EXAMPLE = Text("Example", "示例")
_LIST_OF = Text("list of {}", "{} 的列表")


def product_routes() -> list[Route]:
    """The routes of the product with default settings; nothing is connected to."""
    from datingtoday.app import create_app
    from datingtoday.infra.config.settings import load_settings

    with tempfile.TemporaryDirectory() as folder:
        return list(declared_routes(create_app(load_settings("/dev/null", Path(folder), {}))))


def api_page(language: Language) -> str:
    """The page in one language."""
    routes = product_routes()
    page = _Page(language, build_document(routes))
    lines = [_INTRO.within(language), f"## {_COMMON.within(language)}", "", _COMMON_NOTE.within(language), ""]
    lines += [_NAMES.within(language), "| --- | --- |"]
    lines += [f"| `{name}` | {_cell(about.within(language))} |" for name, (about, _) in COMMON_PARAMS.items()]
    for tag in dict.fromkeys(route.group for route in routes if route.is_api):
        lines += ["", f"## {TAGS[tag].within(language) if tag in TAGS else tag}"]
        for route in routes:
            if route.is_api and route.group == tag:
                lines += ["", *page.endpoint(route)]
    lines += ["", f"## {_SHAPES.within(language)}", *page.shapes()]
    lines += ["", f"## {_OUTSIDE.within(language)}", "", _OUTSIDE_NOTE.within(language), ""]
    lines += [_NAMES.within(language), "| --- | --- |"]
    lines += [
        f"| `{route.method} {route.path}` | {_cell(route.endpoint.summary.within(language))} |"
        for route in routes
        if not route.is_api
    ]
    return "\n".join(lines) + "\n"


class _Page:
    """Writes in one language; `used` collects the shapes that endpoints mention."""

    def __init__(self, language: Language, document: Json) -> None:
        self._language = language
        self._schemas: Json = document["components"]["schemas"]
        self._paths: Json = document["paths"]
        self._used: dict[str, None] = {}

    def endpoint(self, route: Route) -> list[str]:
        declared = route.endpoint
        access = _LOGIN if declared.require_token else _SIGNED if declared.require_sign else _OPEN
        lines = [f"### `{route.method} {route.path}`", "", self._say(declared.summary) + self._end()]
        lines[-1] += self._say(access)
        if declared.description is not None:
            lines += ["", self._say(declared.description)]
        lines += self._params(route)
        if declared.own_format:
            lines += ["", self._say(_OWN_FORMAT)]
            lines += [
                f"- HTTP {status}: {self._say(about)}" for status, about in declared.own_answers.items()
            ]
        else:
            lines += self._data(route)
        lines += self._examples(route)
        own = own_errors(route)
        if own:
            anchors = [
                f"{cls.code}" if cls.http_status == 200 else f"http-{cls.http_status}-{cls.code}"
                for cls in own
            ]
            page = "errors.zh-CN.md" if self._language == "zh" else "errors.md"
            links = ", ".join(
                f"[{cls.code}]({page}#{anchor})" for cls, anchor in zip(own, anchors, strict=True)
            )
            lines += ["", f"{self._say(_CODES)}: {links}"]
        return lines

    def shapes(self) -> list[str]:
        """Every shape that was mentioned, and what they mention in turn."""
        lines: list[str] = []
        done: set[str] = set()
        while names := [name for name in self._used if name not in done]:
            for name in names:
                done.add(name)
                schema = self._schemas[name]
                lines += ["", f'<a id="{name}"></a>', f"### {name}", "", self._about(schema), ""]
                lines += self._fields(schema)
        return lines

    def _params(self, route: Route) -> list[str]:
        declared = route.endpoint
        rows = []
        for name, field in (declared.params.load_fields if declared.params is not None else {}).items():
            assert isinstance(field, Parameter)  # noqa: S101 - the document was made from the same fields
            default = None if field.required else default_on_the_wire(field.load_default)
            left_out = "" if default is None else f"`{default}`"
            about = field.metadata.get("description")
            allowed = self._say(field.allowed)
            if about:
                allowed = f"{self._say(about) if isinstance(about, Text) else about}; {allowed}"
            needed = self._say(_YES) if field.required else ""
            rows.append(f"| `{field.data_key or name}` | {needed} | {_cell(allowed)} | {left_out} |")
        if declared.max_file_bytes:
            what = self._say(_FILE).format(self._say(file_limit(declared.max_file_bytes)))
            rows.append(f"| `{declared.file_name}` | {self._say(_YES)} | {what} | |")
        return ["", self._say(_PARAMS), "| --- | --- | --- | --- |", *rows] if rows else []

    def _data(self, route: Route) -> list[str]:
        operation = self._paths[route.path][route.method.lower()]
        success = operation["responses"]["200"]["content"]["application/json"]["schema"]["oneOf"][0]
        data = success["properties"].get("data")
        if data is None:
            return ["", self._say(_NO_DATA)]
        if data.get("type") == "object":
            return ["", f"{self._say(_DATA)}:", "", *self._fields(data)]
        return ["", f"{self._say(_DATA)}: {self._type(data)}"]

    def _examples(self, route: Route) -> list[str]:
        """Answers that really came."""
        content = self._paths[route.path][route.method.lower()]["responses"].get("200", {}).get("content", {})
        lines: list[str] = []
        for example in content.get(CONTENT_TYPE, {}).get("examples", {}).values():
            title = self._about({"description": example["summary"]})
            answer = json.dumps(example["value"], ensure_ascii=False, indent=1)
            lines += [
                "",
                f"<details><summary>{self._say(_EXAMPLE)}: {title}</summary>",
                "",
                "```json",
                answer,
                "```",
            ]
            lines += ["", "</details>"]
        return lines

    def _fields(self, schema: Json) -> list[str]:
        lines = [self._say(_FIELDS), "| --- | --- | --- |"]
        required = schema.get("required", [])
        for name, field in schema.get("properties", {}).items():
            about = [self._about(field)] if self._about(field) else []
            if name not in required:
                about.append(self._say(_OPTIONAL_FIELD))
            lines.append(f"| `{name}` | {_cell(self._type(field))} | {_cell('; '.join(about))} |")
        return lines

    def _about(self, field: Json) -> str:
        about = str(field.get("description", "")).split("\n\n")[0]
        chinese, between, english = about.partition(" · ")
        return about if not between else chinese if self._language == "zh" else english

    def _type(self, schema: Json) -> str:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            self._used.setdefault(name)
            return f"[{name}](#{name})"
        if "anyOf" in schema or "oneOf" in schema:
            return " / ".join(self._type(part) for part in schema.get("anyOf") or schema["oneOf"])
        kinds = schema.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else kinds
        found = [
            self._say(_LIST_OF).format(self._type(schema["items"])) if kind == "array" else kind
            for kind in kinds
        ]
        if "enum" in schema:
            names = schema.get(ENUM_NAMES, [])
            described = [self._about({"description": name}) for name in names]
            values = [f"`{to_json(value).decode()}`" for value in schema["enum"]]
            found.append(
                ", ".join(map(" ".join, zip(values, described, strict=True)))
                if described
                else " ".join(values)
            )
        return " / ".join(found) or "any"

    def _say(self, text: Text) -> str:
        return text.within(self._language)

    def _end(self) -> str:
        return "。" if self._language == "zh" else ". "


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
