"""``GET /``: what runs here, and where to go next."""

from __future__ import annotations

from importlib.resources import files

from flask import Blueprint, Response

from datingtoday.infra.config.settings import Settings
from datingtoday.protocol.call import Call
from datingtoday.protocol.endpoint import public_route
from datingtoday.protocol.errors import NotFound
from datingtoday.web.docs_page import PAGE_HEADERS
from datingtoday.web.kept_answers import kept

_STATIC = files("datingtoday.web") / "static"
_FILES = {
    "index.css": "text/css; charset=utf-8",
    "faces.webp": "image/webp",
    "heart.svg": "image/svg+xml",
}
_PAGE = """<!doctype html>
<html lang="zh">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="theme-color" content="#ff4d6d">
  <link rel="icon" href="/static/heart.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/static/index.css">
  <title>DatingToday</title>
</head>
<body>
<main>
<header>
  <img class="logo" src="/static/heart.svg" alt="">
  <h1>DatingToday</h1>
  <p>交友应用的服务端：手机登录、推荐、附近、聊天、访客与会员，每个请求都经过签名。</p>
  <p class="en" lang="en">The API server of a dating app: phone login, hot list, nearby, chat, visitors and VIP, with
  every request signed.</p>
</header>
<img class="faces" src="/static/faces.webp" width="1440" height="180" alt="">
<nav>
{links}
</nav>
<footer>
  接口位于 <code>/api</code>；安装、签名方法与错误码见项目中的 <code>README.zh-CN.md</code> 与 <code>docs/</code>。<br>
  <span lang="en">The interface is under <code>/api</code>; see <code>README.md</code> and <code>docs/</code> of the
  project.</span>
</footer>
</main>
</body>
</html>
"""
_LINK = '  <a{first} href="{href}"><b>{zh}</b><span lang="en">{en}</span></a>'
_DEMO = (
    ("demo/split", "打开演示：两部手机", "The demo: two phones, two people"),
    ("demo", "一部手机", "The demo on one phone"),
)
_DOCS = (
    ("docs", "接口文档，可在线调试", "Documentation of the API, to try out"),
    ("openapi.json", "OpenAPI 3.1", "For code generators"),
    (
        "docs/postman_collection.json",
        "Postman / Apifox 集合",
        "Collection for Postman and Apifox, signing included",
    ),
)


def index_routes(settings: Settings) -> Blueprint:
    """The page and its files; it leads only to what is switched on."""
    bp = Blueprint("index", __name__)
    links = (*(_DEMO if settings.demo.enabled else ()), *(_DOCS if settings.docs.enabled else ()))
    body = _PAGE.format(
        links="\n".join(
            _LINK.format(first=' class="first"' if number == 0 else "", href=href, zh=zh, en=en)
            for number, (href, zh, en) in enumerate(links)
        )
    ).encode()

    @bp.get("/")
    @public_route("The start page", "首页")
    def index(call: Call) -> Response:
        return Response(body, content_type="text/html; charset=utf-8", headers=PAGE_HEADERS)

    @bp.get("/favicon.ico")
    @public_route("The icon", "图标")
    def favicon(call: Call) -> Response:
        return _file("heart.svg")

    @bp.get("/static/<name>")
    @public_route(
        "Files of the start page",
        "首页的文件",
        raises=(NotFound,),
    )
    def file(call: Call, name: str) -> Response:
        if name not in _FILES:
            raise NotFound
        return _file(name)

    return bp


def _file(name: str) -> Response:
    return kept(Response((_STATIC / name).read_bytes(), content_type=_FILES[name]), PAGE_HEADERS)
