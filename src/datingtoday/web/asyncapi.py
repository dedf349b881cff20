"""The AsyncAPI 3.0 document of push, made from the schemas that make the events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apispec import APISpec

from datingtoday.infra.realtime import PushKind
from datingtoday.infra.text import Text
from datingtoday.web.json_schemas import SchemaNames, SchemaPlugin
from datingtoday.web.openapi import API_VERSION
from datingtoday.web.openapi_parts import COMMON_PARAMS, Json, both

CHANNEL = "push"
_PATH = "/socket.io"
_INTRO = Text(
    "Socket.IO 5 over WebSocket at `/socket.io`. Events may be lost: `GET /api/message/sync` is the truth. How a "
    "client connects and what it does with an event: docs/push.md.",
    "通过 WebSocket 使用 Socket.IO 5，地址为 `/socket.io`。事件可能丢失：以 `GET /api/message/sync` 为准。"
    "连接方法和事件处理见 docs/push.zh-CN.md。",
)
_AUTH = Text(
    "The `auth` of a connection: the common parameters, signed like a `GET /socket.io`, made anew for every attempt.",
    "连接的 `auth`：公共参数，按 `GET /socket.io` 签名，每次连接都要重新生成。",
)
_REFUSED = Text(
    "The connection is refused; JavaScript: `error.data` of `connect_error`.",
    "连接被拒绝；JavaScript 中为 `connect_error` 的 `error.data`。",
)
_TYPING = Text(
    "The user is writing; at most once in 2 s to the same person.", "用户正在输入；对同一人最多每 2 秒一次。"
)
_PEER = Text("to whom", "对方")
_REQUIRED = ("appkey", "timestamp", "nonce", "sign", "userId", "token")


def build_events_document(kinds: Sequence[PushKind]) -> Json:
    """The document of these events; the same events give the same document."""
    plugin = SchemaPlugin(schema_name_resolver=SchemaNames())
    spec = APISpec(title="", version="", openapi_version="3.1.0", plugins=[plugin])
    messages: Json = {}
    for kind in kinds:
        messages[kind.name] = _message(kind.name, kind.summary, plugin.answer(kind.schema))
    messages["connect"] = _message("connect", _AUTH, _auth_schema())
    messages["connect_error"] = _message("connect_error", _REFUSED, _refusal_schema())
    messages["typing_to"] = _message("typing", _TYPING, _typing_schema())
    sent = [*(kind.name for kind in kinds), "connect_error"]
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "DatingToday", "version": API_VERSION, "description": both(_INTRO, "\n\n")},
        "defaultContentType": "application/json",
        "servers": {
            "api": {
                "host": "{host}",
                "pathname": _PATH,
                "protocol": "wss",
                "variables": {"host": {"description": "the API's own"}},
            }
        },
        "channels": {
            CHANNEL: {
                "address": "/",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
            }
        },
        "operations": {
            "serverToClient": _operation("send", sent),
            "clientToServer": _operation("receive", ["connect", "typing_to"]),
        },
        "components": {
            "messages": messages,
            "schemas": spec.to_dict().get("components", {}).get("schemas", {}),
        },
    }


def _message(name: str, summary: Text, payload: Json) -> Json:
    return {"name": name, "summary": both(summary), "payload": payload}


def _operation(action: str, names: Sequence[str]) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{CHANNEL}"},
        "messages": [{"$ref": f"#/channels/{CHANNEL}/messages/{name}"} for name in names],
    }


def _auth_schema() -> Json:
    properties: dict[str, Any] = {}
    for name, (about, schema) in COMMON_PARAMS.items():
        types = ["string", "integer"] if name in ("timestamp", "userId") else "string"
        properties[name] = {**schema, "type": types, "description": both(about)}
    return {
        "type": "object",
        "properties": properties,
        "required": list(_REQUIRED),
        "additionalProperties": False,
    }


def _refusal_schema() -> Json:
    return {
        "type": "object",
        "properties": {
            "code": {"type": "integer"},
            "msg": {"type": "string"},
            "data": {"type": "object"},
        },
        "required": ["code", "msg"],
    }


def _typing_schema() -> Json:
    return {
        "type": "object",
        "properties": {"peerId": {"type": ["integer", "string"], "description": both(_PEER)}},
        "required": ["peerId"],
    }
