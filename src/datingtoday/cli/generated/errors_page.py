"""docs/errors.md: every code with message, cause and cure, made from the table of errors."""

from typing import Literal

from datingtoday.cli.generated.api_page import product_routes
from datingtoday.infra.text import Text
from datingtoday.protocol.declared_routes import Route
from datingtoday.protocol.errors import AppError, MethodNotAllowed, NotFound
from datingtoday.web.openapi_parts import COMMON_ERRORS, HTTP_ERRORS, Scope, own_errors

Language = Literal["en", "zh"]

_INTRO = Text(
    """# Errors

Made from the code by `datingtoday docs write`; do not edit. [中文](errors.zh-CN.md)

Every answer is `{"code": …, "msg": …, "data": …}`. What the program decided is HTTP 200 and tells itself by `code`;
what HTTP itself refuses keeps its status, with the same number as `code`. So 500 and 503 exist twice: look at the HTTP
status first. Messages are English, or Chinese with `lang=zh` or `Accept-Language: zh`. Tell programs apart by `code`,
never by `msg`. `data` is there only where this page says so.
""",
    """# 错误码

由 `datingtoday docs write` 从代码生成，请勿手工修改。[English](errors.md)

每个应答都是 `{"code": …, "msg": …, "data": …}`。业务结果一律 HTTP 200，以 `code` 区分；
HTTP 层面的拒绝保留其状态码，`code` 与之相同。因此 500 和 503 各有两种含义：先看 HTTP 状态码。
消息默认为英文，带 `lang=zh` 或 `Accept-Language: zh` 时为中文。程序应按 `code` 判断，不要依赖 `msg`。
只有本页写明时才有 `data`。
""",
)
_BEFORE_THE_PROGRAM = Text(
    """<a id="no-http"></a>
## HTTP 400, 414, 417, 431, the same number as code

- Message: HTTP's own name of the status
- Cause: What arrived is no valid HTTP, so no request was made of it: bytes in the URL that are not percent-encoded \
(raw Chinese, for example), a broken request line or header (400), a request line longer than 8190 bytes (414), an \
`Expect` that is not `100-continue` (417), headers that are too large or more than 100 (431).
- Cure: Percent-encode the URL, and put long values into the form of a POST. Nothing was changed.
- Where: everywhere; a proxy in front may answer for itself""",
    """<a id="no-http"></a>
## HTTP 400、414、417、431，code 相同

- 消息: HTTP 状态的英文名称
- 原因: 收到的不是合法的 HTTP，未构成请求：URL 中含未经百分号编码的字节（如直接写中文），请求行或请求头损坏（400）；\
请求行超过 8190 字节（414）；`Expect` 不是 `100-continue`（417）；请求头过大或超过 100 个（431）。
- 处理: 对 URL 做百分号编码，长的值放进 POST 表单。服务器没有做任何修改。
- 出现于: 所有地址；前面的代理可能自行应答""",
)
_HEADING = Text("| code | HTTP | message |", "| code | HTTP | 消息 |")
_MESSAGE = Text("Message", "消息")
_CAUSE = Text("Cause", "原因")
_CURE = Text("Cure", "处理")
_DATA = Text("`data` holds", "`data` 内容")
_WHERE = Text("Where", "出现于")
_SCOPES: dict[Scope, Text] = {
    "all": Text("every endpoint", "所有接口"),
    "signed": Text("every endpoint that is signed", "所有需要签名的接口"),
    "login": Text("every endpoint with a login", "所有需要登录的接口"),
}


def errors_page(language: Language) -> str:
    """The page in one language."""
    routes = product_routes()
    errors = [AppError.registry[key] for key in sorted(AppError.registry)]
    lines = [_INTRO.within(language), _HEADING.within(language), "| --- | --- | --- |"]
    for cls in errors:
        code = f"[{cls.code}](#{_anchor(cls)})"
        lines.append(f"| {code} | {cls.http_status} | {_message(cls, language)} |")
    for cls in errors:
        lines += ["", *_section(cls, routes, language)]
    return "\n".join([*lines, "", _BEFORE_THE_PROGRAM.within(language)]) + "\n"


def _section(cls: type[AppError], routes: list[Route], language: Language) -> list[str]:
    parts = [
        (_MESSAGE, _message(cls, language)),
        (_CAUSE, cls.cause.within(language)),
        (_CURE, cls.cure.within(language)),
    ]
    if cls.data_fields:
        fields = [f"`{name}` ({found.about.within(language)})" for name, found in cls.data_fields.items()]
        parts.append((_DATA, ", ".join(fields)))
    if where := _where(cls, routes, language):
        parts.append((_WHERE, where))
    lines = [f'<a id="{_anchor(cls)}"></a>', f"## {_title(cls)}", ""]
    return lines + [f"- {name.within(language)}: {text}" for name, text in parts]


def _title(cls: type[AppError]) -> str:
    return f"{cls.code}" if cls.http_status == 200 else f"HTTP {cls.http_status}, code {cls.code}"


def _anchor(cls: type[AppError]) -> str:
    return f"{cls.code}" if cls.http_status == 200 else f"http-{cls.http_status}-{cls.code}"


def _message(cls: type[AppError], language: Language) -> str:
    """Placeholders are shown as ⟨name⟩, which Markdown leaves alone."""
    text = cls.zh if language == "zh" else cls.en
    return text.replace("{", "⟨").replace("}", "⟩").replace("|", "\\|")


def _where(cls: type[AppError], routes: list[Route], language: Language) -> str:
    found = [
        f"`{route.method} {route.path}`" for route in routes if route.is_api and cls in own_errors(route)
    ]
    if cls in COMMON_ERRORS:
        found.insert(0, _SCOPES[COMMON_ERRORS[cls]].within(language))
    elif cls in (NotFound, MethodNotAllowed, *HTTP_ERRORS):
        found.insert(0, _SCOPES["all"].within(language))
    return ", ".join(found)
