"""The demo at ``/demo``: a web client that uses the public API only.

Its files are built from ``frontend/`` by ``make frontend`` and lie in ``demo/`` beside this module.
``/demo/config.json`` tells the page what any client has built in: appkey and appsecret.
"""

from __future__ import annotations

import mimetypes
from importlib.resources import files
from ipaddress import ip_address
from urllib.parse import urlsplit

from flask import Blueprint, Response, request

from datingtoday.infra.config.demo import DEMO_PEOPLE, DEMO_PHONES
from datingtoday.infra.config.settings import Settings
from datingtoday.infra.paired import paired
from datingtoday.protocol import envelope
from datingtoday.protocol.call import Call
from datingtoday.protocol.endpoint import public_route
from datingtoday.protocol.errors import NotFound
from datingtoday.web.kept_answers import kept

_FOLDER = files("datingtoday.web") / "demo"
_ASSETS = (
    {path.name: path for path in (_FOLDER / "assets").iterdir()} if (_FOLDER / "assets").is_dir() else {}
)
_HEADERS = {
    # Vant's icons are a font in a data: URL, recordings and chosen files are shown from blob: URLs.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "media-src 'self' blob:; font-src 'self' data:; connect-src 'self'; frame-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), geolocation=(self)",
}


def demo_routes(settings: Settings) -> Blueprint:
    """The pages and files of the demo."""
    bp = Blueprint("demo", __name__)
    code = settings.demo.login_code if settings.embedded else ""

    @bp.get("/demo")
    @public_route("The demo client", "演示客户端")
    def page(call: Call) -> Response:
        return _file("index.html")

    @bp.get("/demo/")
    @public_route("The same page", "同一页面")
    def page_with_slash(call: Call) -> Response:
        return Response(status=308, headers={"Location": "../demo"})

    @bp.get("/demo/split")
    @public_route("Two phones side by side", "并排的两部手机")
    def split(call: Call) -> Response:
        return _file("split.html")

    @bp.get("/demo/heart.svg")
    @public_route("The icon", "图标")
    def icon(call: Call) -> Response:
        return _file("heart.svg")

    @bp.get("/demo/config.json")
    @public_route(
        "What the demo client is configured with",
        "演示客户端的配置",
        raises=(NotFound,),
    )
    def config(call: Call) -> Response:
        if settings.embedded and not _is_asked_by_address(request.host):
            raise NotFound
        data = {
            "appkey": settings.app.appkey,
            "appsecret": settings.app.appsecret,
            "people": _people() if code else [],
            "code": code if code and call.is_local else None,
        }
        return Response(
            envelope.to_json(data),
            content_type=envelope.CONTENT_TYPE,
            headers={**_HEADERS, "Cache-Control": "no-store"},
        )

    @bp.get("/demo/assets/<name>")
    @public_route(
        "Files of the demo client",
        "演示客户端的文件",
        raises=(NotFound,),
    )
    def asset(call: Call, name: str) -> Response:
        if name not in _ASSETS:
            raise NotFound
        response = _file(f"assets/{name}")
        # The name changes with the content.
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response

    return bp


def _people() -> list[dict[str, str]]:
    return [
        {"phone": phone.removeprefix("+86"), "nickname": nickname}
        for phone, nickname in paired(DEMO_PHONES, DEMO_PEOPLE)
    ]


def _is_asked_by_address(host: str) -> bool:
    """True if the page was opened by an IP address or as localhost.

    A foreign name that points at this machine would make a foreign page one of "this" origin.
    """
    name = urlsplit(f"//{host}").hostname or ""
    try:
        ip_address(name)
    except ValueError:
        return name == "localhost"
    return True


def _file(name: str) -> Response:
    content_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if content_type.startswith("text/"):
        content_type += "; charset=utf-8"
    content = _FOLDER.joinpath(*name.split("/")).read_bytes()
    return kept(Response(content, content_type=content_type), _HEADERS)
