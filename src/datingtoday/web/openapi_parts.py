"""Shared parts of the OpenAPI operations: texts, common parameters, errors, tags."""

from __future__ import annotations

from typing import Any, Literal

from marshmallow import missing
from marshmallow.fields import Field

from datingtoday.infra.text import Text
from datingtoday.protocol.declared_routes import Route
from datingtoday.protocol.described import ENUM_NAMES, enumerated
from datingtoday.protocol.errors import (
    AccountBanned,
    AppError,
    AppkeyUnknown,
    BodyTooLarge,
    InternalError,
    NoPermission,
    ParameterError,
    RateLimited,
    RequestExpired,
    RequestReplayed,
    SignatureWrong,
    TokenExpired,
    Unavailable,
    UnsupportedMediaType,
)
from datingtoday.protocol.fields import Parameter
from datingtoday.protocol.signing.strings_to_sign import MD5, SIGN_METHODS
from datingtoday.protocol.signing.timestamps import NONCE_ALLOWED, TIMESTAMP_ALLOWED

Json = dict[str, Any]
Scope = Literal["all", "signed", "login"]

_METHOD_NAMES = dict(
    zip(
        SIGN_METHODS,
        (
            Text("the default; for existing clients", "默认；供已有的客户端使用"),
            Text("for new clients; covers method, path and file", "供新客户端使用，覆盖请求方法、路径和文件"),
        ),
        strict=True,
    )
)
_CODE = Text("what happened", "结果代码")
_ERROR_MSG = Text("for people, in the language of `lang`", "给人看的说明，语言由 `lang` 决定")
_ERROR_DATA = Text("details for programs", "供程序使用的细节")
_LANG_NAMES = {"en": Text("English", "英文"), "zh": Text("Chinese", "中文")}


def both(text: Text, between: str = " · ") -> str:
    """A text in both languages, Chinese first."""
    return f"{text.zh}{between}{text.en}"


def _in_both(schema: Json) -> Json:
    """The schema with the names of an enumeration's values in both languages."""
    made = dict(schema)
    if ENUM_NAMES in made:
        made[ENUM_NAMES] = [both(name) for name in made[ENUM_NAMES]]
    if "anyOf" in made:
        made["anyOf"] = [_in_both(part) for part in made["anyOf"]]
    return made


_SIGNED_PARAMS: dict[str, tuple[Text, Json]] = {
    "appkey": (
        Text("which client program", "客户端程序标识"),
        {"type": "string", "pattern": "^[A-Za-z0-9_-]{4,64}$"},
    ),
    "timestamp": (
        TIMESTAMP_ALLOWED,
        {
            "type": "string",
            "pattern": r"^([0-9]{13}|[0-9]{10}(\.[0-9]{1,9})?)$",
            "examples": ["1795334400000"],
        },
    ),
    "nonce": (NONCE_ALLOWED, {"type": "string", "pattern": "^[A-Za-z0-9_-]{4,64}$"}),
    "sign": (
        Text("the signature, hex, either case", "签名，十六进制，大小写均可"),
        {"type": "string", "pattern": "^([0-9A-Fa-f]{32}|[0-9A-Fa-f]{64})$"},
    ),
    "sign_method": (
        Text("how it was made; itself a signed parameter", "签名算法，本身也参与签名"),
        {"type": "string", **_in_both(enumerated(_METHOD_NAMES)), "default": MD5},
    ),
}
_LOGIN_PARAMS: dict[str, tuple[Text, Json]] = {
    "userId": (
        Text("`user_id` of the login", "登录返回的 `user_id`"),
        {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
    ),
    "token": (
        Text("`token` of the login", "登录返回的 `token`"),
        {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    ),
}
_ANY_PARAMS: dict[str, tuple[Text, Json]] = {
    "lang": (
        Text("language of `msg`", "`msg` 的语言"),
        {"type": "string", **_in_both(enumerated(_LANG_NAMES))},
    ),
}
COMMON_PARAMS = _SIGNED_PARAMS | _LOGIN_PARAMS | _ANY_PARAMS
"""Name → what it is, and its schema; in the order in which they are shown."""
_OPTIONAL = frozenset({"sign_method", "lang"})

FILE_SHA256: tuple[Text, Json] = (
    Text(
        "lower-case hex SHA-256 of the file; needed with `sign_method=md5`, which does not cover the file",
        "文件的 SHA-256（小写十六进制）；md5 签名不覆盖文件，因此必须带上",
    ),
    {"type": "string", "pattern": "^[0-9a-f]{64}$"},
)

TAGS: dict[str, Text] = {
    "auth": Text("Logging in", "登录"),
    "user": Text("People", "用户"),
    "media": Text("Media", "媒体文件"),
    "album": Text("Album", "相册"),
    "label": Text("Labels", "标签"),
    "contacts": Text("Contacts", "联系人"),
    "message": Text("Messages", "消息"),
    "visitor": Text("Visitors", "访客"),
    "product": Text("Products", "商品"),
    "vip": Text("VIP", "会员"),
    "order": Text("Orders", "订单"),
    "pay": Text("Payments", "支付"),
    "app": Text("The app", "应用"),
    "device": Text("Devices", "设备"),
}
"""The groups of endpoints: the first part of the path after ``/api``."""

COMMON_ERRORS: dict[type[AppError], Scope] = {
    ParameterError: "all",
    SignatureWrong: "signed",
    NoPermission: "login",
    RequestExpired: "signed",
    RequestReplayed: "signed",
    AppkeyUnknown: "signed",
    TokenExpired: "login",
    AccountBanned: "login",
}
"""Errors that every endpoint may answer with HTTP 200, and which endpoints that are; by code."""

HTTP_ERRORS: tuple[type[AppError], ...] = (
    BodyTooLarge,
    UnsupportedMediaType,
    RateLimited,
    InternalError,
    Unavailable,
)
"""Errors of HTTP itself on every endpoint; 404 and 405 are for paths and methods that do not exist."""


def common_params_of(route: Route) -> list[tuple[str, bool]]:
    """The names of the common parameters that a route takes, and whether each is required."""
    declared = route.endpoint
    if declared.own_format:
        return []
    names: list[str] = []
    if declared.require_sign:
        names += _SIGNED_PARAMS
    if declared.require_token:
        names += _LOGIN_PARAMS
    return [(name, name not in _OPTIONAL) for name in (*names, *_ANY_PARAMS)]


def component_name(param: str) -> str:
    """``sign_method`` → ``SignMethod``."""
    return "".join(part[:1].upper() + part[1:] for part in param.split("_"))


def param_schema(field: Field[Any]) -> Json:
    """The JSON schema of a parameter's text, with what is allowed and what stands for it when it is left out."""
    if not isinstance(field, Parameter):
        raise TypeError(
            f"{field.name}: parameters are fields of protocol/fields.py, not {type(field).__name__}"
        )
    schema = _in_both(field.schema())
    about = field.metadata.get("description")
    schema["description"] = "; ".join(
        part for part in (both(about) if isinstance(about, Text) else about, both(field.allowed)) if part
    )
    default = default_on_the_wire(field.load_default)
    if not field.required and default is not None:
        schema["default"] = default
    return schema


def default_on_the_wire(default: Any) -> str | int | None:
    """Default of a parameter as a client would write it; None if there is none."""
    if default is missing or callable(default) or default in ("", (), []):
        return None
    if isinstance(default, bool):
        return "1" if default else "0"
    return default if isinstance(default, (str, int)) else None


def error_of(cls: type[AppError]) -> type[AppError]:
    """The registered class that an error shares code and status with."""
    return AppError.registry[cls.code, cls.http_status]


def own_errors(route: Route) -> list[type[AppError]]:
    """Errors that the route declares, beyond those of every request."""
    found = {(cls.code, cls.http_status): error_of(cls) for cls in route.endpoint.raises}
    # A route with a format of its own names what HTTP may refuse itself.
    everywhere = () if route.endpoint.own_format else HTTP_ERRORS
    common = {(cls.code, cls.http_status) for cls in (*common_errors(route), *everywhere)}
    return [found[key] for key in sorted(found) if key not in common]


def common_errors(route: Route) -> list[type[AppError]]:
    """Errors that the guard and the parameters may answer with HTTP 200."""
    declared = route.endpoint
    holds = {"all": not declared.own_format, "signed": declared.require_sign, "login": declared.require_token}
    return [cls for cls, scope in COMMON_ERRORS.items() if holds[scope]]


def error_component(cls: type[AppError]) -> str:
    """``Error1002``, ``Http413``; ``Http404Error1204`` where a feature's code travels with a status of HTTP."""
    if cls.http_status == 200:
        return f"Error{cls.code}"
    return f"Http{cls.http_status}" + (f"Error{cls.code}" if cls.code != cls.http_status else "")


def error_schema(cls: type[AppError]) -> Json:
    """One error as a client receives it; ``data`` may hold what `AppError.data_fields` names."""
    msg: Json = {"type": "string", "description": both(_ERROR_MSG)}
    if "{" not in cls.en:
        msg["examples"] = [cls.en, cls.zh]
    properties: Json = {"code": {"const": cls.code, "description": both(_CODE)}, "msg": msg}
    if cls.data_fields:
        fields = {
            name: {**found.schema, "description": both(found.about)}
            for name, found in cls.data_fields.items()
        }
        data = {"type": "object", "properties": fields, "description": both(_ERROR_DATA)}
        properties["data"] = data
    return {
        "type": "object",
        "title": f"{cls.code} {cls.__name__}",
        "description": f"{both(cls.cause)}\n\n{both(cls.cure)}",
        "properties": properties,
        "required": ["code", "msg"],
    }
