"""``GET /``: a short page that says what this is and where the documentation is."""

from __future__ import annotations

from flask import Blueprint, Response

from datingtoday.protocol.call import Call
from datingtoday.protocol.endpoint import endpoint
from datingtoday.web.docs_page import PAGE_HEADERS

_HEAD = """<!doctype html>
<html lang="zh">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>DatingToday</title>
</head>
<body>
<h1>DatingToday</h1>
"""
_DOCUMENTATION = """<p>这是交友应用的服务端，接口位于 <code>/api</code>。
<ul>
  <li><a href="docs">/docs</a>：接口文档，可在线调试
  <li><a href="openapi.json">/openapi.json</a>：OpenAPI 3.1 文档
  <li>项目中的 <code>README.zh-CN.md</code> 与 <code>docs/</code>：安装、签名方法、错误码
</ul>
<p lang="en">This is the server of a dating app; its interface is under <code>/api</code>.
<ul lang="en">
  <li><a href="docs">/docs</a>: the documentation, to be tried out
  <li><a href="openapi.json">/openapi.json</a>: the OpenAPI 3.1 document
  <li><code>README.md</code> and <code>docs/</code> of the project: installing, signing, errors
</ul>
"""
_WITHOUT = """<p>这是交友应用的服务端，接口位于 <code>/api</code>。
说明见项目中的 <code>README.zh-CN.md</code> 与 <code>docs/</code>。
<p lang="en">This is the server of a dating app; its interface is under <code>/api</code>.
See <code>README.md</code> and <code>docs/</code> of the project.
"""
_END = "</body>\n</html>\n"


def index_routes(*, has_docs: bool) -> Blueprint:
    """The page.

    :param has_docs: whether `/docs` and `/openapi.json` are served.
    """
    bp = Blueprint("index", __name__)
    body = (_HEAD + (_DOCUMENTATION if has_docs else _WITHOUT) + _END).encode()

    @bp.get("/")
    @endpoint("A short page", "简短的说明页", require_token=False, require_sign=False, own_format=True)
    def index(call: Call) -> Response:
        return Response(body, content_type="text/html; charset=utf-8", headers=PAGE_HEADERS)

    return bp
