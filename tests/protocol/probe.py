"""Routes that show what reaches a view, for tests of everything that happens before one."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from datingtoday.protocol.call import Call
from datingtoday.protocol.endpoint import endpoint
from datingtoday.protocol.fields import Integer, ParamsSchema

MAX_FILE_BYTES = 200_000
LEAK = "SELECT phone FROM user_info WHERE token = 'geheim'"
"""Stands in the message of an unexpected exception; no client may see it."""


class SizeParams(ParamsSchema):
    size = Integer(least=1, most=10)


def seen(call: Call, **more: Any) -> dict[str, Any]:
    """Decision of the guard about a request."""
    return {
        "method": call.method,
        "path": call.path,
        "params": dict(call.params),
        "address": call.address,
        "is_local": call.is_local,
        "lang": call.lang,
        "appkey": call.appkey,
        **more,
    }


def probe_routes() -> Blueprint:
    bp = Blueprint("probe", __name__)

    @bp.route("/api/probe/echo", methods=["GET", "POST"])
    @endpoint("Echo", "回显", require_token=False)
    def echo(call: Call) -> dict[str, Any]:
        return seen(call)

    @bp.route("/api/probe/mine", methods=["GET", "POST"])
    @endpoint("Who", "谁")
    def mine(call: Call) -> dict[str, Any]:
        return seen(call, user_id=call.user_id)

    @bp.post("/api/probe/size")
    @endpoint("Own parameters", "自有参数", params=SizeParams)
    def size(call: Call, size: int) -> dict[str, Any]:
        return {"size": size}

    @bp.post("/api/probe/file")
    @endpoint("A file", "文件", require_token=False, max_file_bytes=MAX_FILE_BYTES)
    def file(call: Call) -> dict[str, Any]:
        if call.file is None:
            return seen(call, file=None)
        content = call.file.stream.read()
        return seen(call, file={"bytes": len(content), "sha256": call.file.sha256})

    @bp.get("/api/probe/crash")
    @endpoint("Fails", "失败", require_token=False)
    def crash(call: Call) -> None:
        raise ZeroDivisionError(LEAK)

    @bp.get("/api/probe/things/<thing>")
    @endpoint("A path with a variable part", "带变量的路径", require_token=False)
    def things(call: Call, thing: str) -> dict[str, Any]:
        return seen(call, thing=thing)

    @bp.get("/api/probe/open")
    @endpoint("Unsigned", "无签名", require_token=False, require_sign=False)
    def open_(call: Call) -> dict[str, Any]:
        return seen(call)

    return bp
