"""The Postman collection (v2.1) and its environment, made from the OpenAPI document and the story.

Apifox imports the same two files. Parameters, their descriptions and the fields that answers must have come from the
document, so that a new parameter appears by itself; the order and the values are the story's.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from datingtoday.infra.text import Text
from datingtoday.web.openapi import MULTIPART
from datingtoday.web.openapi_parts import COMMON_PARAMS, Json, both
from datingtoday.web.postman.steps import LOGINS, Chapter, Step
from datingtoday.web.postman.story import NOT_FOR_CLIENTS, STORY

SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
PHOTO = "photo.jpg"
PHOTO_SHA256 = "ee4365a826f0b637287d952eb20243ccf365f0ba862e49506da57affabb75468"
"""Digest of ``clients/postman/photo.jpg``: scripts cannot read files."""
DEFAULT_URL = "http://127.0.0.1:8000"
_SCRIPTS = files("datingtoday.web") / "postman"
_ABOUT = Text(
    "Run the requests from top to bottom: two people register, meet, talk, pay (sandbox) and leave. Choose the "
    "environment and fill in `appkey` and `appsecret`, which the server prints at its start. One script signs every "
    "request; the variable `sign_method` chooses `md5` or `hmac-sha256`. With the embedded default the answer of "
    "sendsms contains the code; elsewhere put it into the variables `code` and `peer_code`. For uploads choose the "
    "picture `clients/postman/photo.jpg`, or another one and its SHA-256 in `photo_sha256`. "
    "Apifox imports the same files.",
    "从上到下依次运行：两位用户注册、相识、聊天、支付（沙箱）、离开。请先选择环境，填写 `appkey` 和 `appsecret`"
    "（服务器启动时会打印）。所有请求由同一个脚本签名，变量 `sign_method` 选择 `md5` 或 `hmac-sha256`。内嵌默认模式下 "
    "sendsms 的应答含验证码；其他情况请把收到的验证码填入变量 `code` 和 `peer_code`。上传请选择图片 "
    "`clients/postman/photo.jpg`；换用其他图片时，把它的 SHA-256 填入 `photo_sha256`。Apifox 可导入同样的文件。",
)
_VARIABLES = {
    "baseUrl": DEFAULT_URL,
    "appkey": "",
    "appsecret": "",
    "sign_method": "md5",
    "lang": "zh",
    "photo_sha256": PHOTO_SHA256,
}
_SECRET = frozenset({"appsecret", "token", "peer_token"})
_TRIES = 50
_PAUSE_MS = 100


def build_collection(document: Json) -> Json:
    """The collection.

    :param document: the OpenAPI document of the same server.
    :raises ValueError: an endpoint is neither in the story nor excepted, or a step has an unknown parameter.
    """
    in_story = {step.call for chapter in STORY for step in chapter.steps}
    known = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
    if missing := known - in_story - NOT_FOR_CLIENTS.keys():
        raise ValueError(f"web/postman tells nothing of {', '.join(sorted(missing))}")
    return {
        "info": {"name": "DatingToday", "description": both(_ABOUT, "\n\n"), "schema": SCHEMA},
        "item": [_folder(number, chapter, document) for number, chapter in enumerate(STORY, start=1)],
        "event": [_event("prerequest", _script("sign.js")), _event("test", _script("check.js"))],
    }


def build_environment(*, url: str = DEFAULT_URL, appkey: str = "", appsecret: str = "") -> Json:
    """The environment: what is to be filled in, then what scripts fill in."""
    values = {**_VARIABLES, "baseUrl": url, "appkey": appkey, "appsecret": appsecret}
    kept = [name for chapter in STORY for step in chapter.steps for name in (*step.keep, *step.draw)]
    values |= dict.fromkeys((*kept, "sms_sent"), "")
    return {
        "name": "DatingToday",
        "values": [
            {
                "key": name,
                "value": value,
                "type": "secret" if name in _SECRET else "default",
                "enabled": True,
            }
            for name, value in values.items()
        ],
        "_postman_variable_scope": "environment",
    }


def as_text(made: Json) -> str:
    """The file's text; characters stay readable."""
    return json.dumps(made, ensure_ascii=False, indent=1) + "\n"


def _script(name: str) -> list[str]:
    return (_SCRIPTS / name).read_text(encoding="utf-8").splitlines()


def _event(listen: str, lines: list[str]) -> Json:
    # All scripts of a run share one global scope.
    return {"listen": listen, "script": {"type": "text/javascript", "exec": ["(() => {", *lines, "})();"]}}


def _folder(number: int, chapter: Chapter, document: Json) -> Json:
    steps = [_item(f"{number}.{at}", step, document) for at, step in enumerate(chapter.steps, start=1)]
    return {"name": f"{number} {both(chapter.title)}", "item": steps}


def _item(number: str, step: Step, document: Json) -> Json:
    method, path = step.call.split(" ")
    operation = document["paths"].get(path, {}).get(method.lower())
    title = both(step.title) if step.title else operation["summary"] if operation else step.call
    request: Json = {"method": method, "header": [], "url": step.url or _address(path)}
    if operation is not None:
        request["description"] = operation.get("description", "")
        if not step.url:
            _fill_in(request, step, operation, document)
    return {
        "name": f"{number} {title}",
        "request": request,
        "response": [],
        "event": [_event("test", _tests(step, operation, document))],
    }


def _address(path: str) -> Json:
    return {"raw": "{{baseUrl}}" + path, "host": ["{{baseUrl}}"], "path": path.strip("/").split("/")}


def _fill_in(request: Json, step: Step, operation: Json, document: Json) -> None:
    """Put the parameters where the endpoint takes them."""
    if request["method"] == "GET":
        params = [_param(step, it["name"], it) for it in _query_of(operation, document)]
        request["url"]["query"] = params
        enabled = "&".join(f"{it['key']}={it['value']}" for it in params if "disabled" not in it)
        request["url"]["raw"] += f"?{enabled}"
    else:
        content = operation["requestBody"]["content"]
        is_upload = MULTIPART in content
        schema = next(iter(content.values()))["schema"]
        params = [
            _file(name, it) if it.get("format") == "binary" else _param(step, name, _resolved(it, document))
            for name, it in schema["properties"].items()
        ]
        mode = "formdata" if is_upload else "urlencoded"
        if is_upload:
            params = [{"type": "text", **it} for it in params]
        request["body"] = {"mode": mode, mode: params}
    if unknown := step.params.keys() - {it["key"] for it in params}:
        raise ValueError(f"{step.call} has no parameter {', '.join(sorted(unknown))}")


def _query_of(operation: Json, document: Json) -> list[Json]:
    declared = [_resolved(it, document) for it in operation["parameters"]]
    return [
        {"description": _resolved(it["schema"], document).get("description", ""), **it} for it in declared
    ]


def _resolved(node: Json, document: Json) -> Json:
    if "$ref" not in node:
        return node
    found: Any = document
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return dict(found)


def _param(step: Step, name: str, declared: Json) -> Json:
    """A parameter with the story's value, or switched off."""
    value = step.params.get(name, _common_value(step, name))
    shown = {"key": name, "value": value or "", "description": declared.get("description", "")}
    return shown if value is not None else {**shown, "disabled": True}


def _common_value(step: Step, name: str) -> str | None:
    if name in ("userId", "token") and step.person in LOGINS:
        user_id, token = LOGINS[step.person]
        return user_id if name == "userId" else token
    return f"{{{{{name}}}}}" if name in COMMON_PARAMS else None


def _file(name: str, declared: Json) -> Json:
    return {"key": name, "type": "file", "src": PHOTO, "description": declared["description"]}


def _tests(step: Step, operation: Json | None, document: Json) -> list[str]:
    if step.url:
        return ['pm.test("HTTP 200", () => pm.response.to.have.status(200));']
    lines = [
        "const answer = pm.response.json(), data = answer.data;",
        'pm.test("HTTP 200", () => pm.response.to.have.status(200));',
    ]
    title = "成功 · success" if step.code == 0 else "按预期被拒绝 · refused as expected"
    code = f"pm.expect(answer.code, answer.msg).to.equal({step.code})"
    checks = [_test(f"code {step.code}: {title}", code)]
    keys = _required_keys(operation, document) if operation is not None and step.code == 0 else None
    if keys is not None:
        where, names = keys
        listed = ", ".join(json.dumps(name) for name in names)
        checks.append(
            _test(
                "字段齐全 · has the fields of the contract",
                f"pm.expect({where}).to.include.all.keys({listed})",
            )
        )
    checks += [
        _test(title, f"pm.expect({check}, JSON.stringify(data)).to.equal(true)")
        for title, check in step.checks.items()
    ]
    values = {name: _kept(name, path) for name, path in step.keep.items()} | dict(step.draw)
    kept = [f"pm.environment.set({json.dumps(name)}, {value});" for name, value in values.items()]
    if kept:
        checks += ["if (answer.code === 0) {", *(f"  {line}" for line in kept), "}"]
    return lines + (_again(step.until, checks) if step.until else checks)


def _kept(name: str, path: str) -> str:
    """JavaScript expression of a variable's value."""
    if not name.endswith("_url"):
        return f'{path} ?? ""'
    # Addresses come relative to the API's.
    return f'{path}.replace(/^\\//, pm.environment.get("baseUrl") + "/")'


def _test(title: str, body: str) -> str:
    return f"pm.test({json.dumps(title, ensure_ascii=False)}, () => {body});"


def _again(until: tuple[str, str], checks: list[str]) -> list[str]:
    """Ask again for what takes effect a moment later; only a run of the collection does that by itself."""
    path, value = until
    return [
        "// 稍后才生效：运行集合时自动重试。 · Takes effect a moment later: a run asks again.",
        'const tries = Number(pm.environment.get("tries") || 0);',
        f"const isThere = String({path}) === pm.variables.replaceIn({json.dumps(value)});",
        f"if (answer.code === 0 && !isThere && tries < {_TRIES}) {{",
        '  pm.environment.set("tries", tries + 1);',
        "  pm.execution.setNextRequest(pm.info.requestId);",
        f"  setTimeout(() => {{}}, {_PAUSE_MS});",
        "} else {",
        '  pm.environment.unset("tries");',
        *(f"  {line}" for line in checks),
        "}",
    ]


def _required_keys(operation: Json, document: Json) -> tuple[str, list[str]] | None:
    """Expression of the object that an answer holds, and the fields it must have; None if there is nothing to check."""
    answers = operation["responses"]["200"]["content"]["application/json"]["schema"]["oneOf"][0]
    data = answers["properties"].get("data")
    if data is None:
        return None
    if data.get("type") == "array":
        return None
    required = _resolved(data, document).get("required", [])
    return ("data", sorted(required)) if required else None
