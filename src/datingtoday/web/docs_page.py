"""`/openapi.json`, `/asyncapi.json` and `/docs`: Swagger UI from local files, on a page that signs what is tried out.

The page asks nobody outside for anything. It gets a secret to sign with only in the embedded default, and only when it
is opened on this very machine; elsewhere whoever has a key may type it in, and it stays in the page.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

import flask_swagger_ui
from flask import Blueprint, Response, request

from datingtoday.protocol import envelope
from datingtoday.protocol.call import Call
from datingtoday.protocol.endpoint import public_route
from datingtoday.protocol.errors import NotFound
from datingtoday.web.document import Document
from datingtoday.web.kept_answers import kept
from datingtoday.web.postman.collection import as_text, build_environment

_OWN = files("datingtoday.web") / "static"
_SWAGGER_UI = files(flask_swagger_ui) / "dist"
_JAVASCRIPT = "text/javascript; charset=utf-8"
_CSS = "text/css; charset=utf-8"
_FILES: dict[str, tuple[Traversable, str]] = {
    "docs.js": (_OWN, _JAVASCRIPT),
    "page.css": (_OWN, _CSS),
    "signing.js": (_OWN, _JAVASCRIPT),
    "swagger-ui-bundle.js": (_SWAGGER_UI, _JAVASCRIPT),
    "swagger-ui.css": (_SWAGGER_UI, _CSS),
    "favicon-32x32.png": (_SWAGGER_UI, "image/png"),
}
_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})

# Swagger UI sets styles through the DOM only, and its icons are data: URLs.
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class PageKey:
    """Credentials that the page signs with on this machine."""

    appkey: str
    appsecret: str


def docs_routes(document: Document, events: Document, postman: Document, *, key: PageKey | None) -> Blueprint:
    """The routes.

    :param document: of the API. :param events: of push. :param postman: the collection.
    :param key: given to pages that are opened on this machine; None gives it to nobody.
    """
    bp = Blueprint("docs", __name__)

    @bp.get("/openapi.json")
    @public_route(
        "The OpenAPI 3.1 document",
        "OpenAPI 3.1 文档",
    )
    def openapi_json(call: Call) -> Response:
        return _document(document)

    @bp.get("/asyncapi.json")
    @public_route(
        "The AsyncAPI 3.0 document: the events of push",
        "AsyncAPI 3.0 文档：推送事件",
    )
    def asyncapi_json(call: Call) -> Response:
        return _document(events)

    @bp.get("/docs")
    @public_route(
        "Interactive API documentation",
        "可在线调试的文档",
    )
    def page(call: Call) -> Response:
        return _file(_OWN / "index.html", "text/html; charset=utf-8")

    @bp.get("/docs/")
    @public_route("The same page", "同一页面")
    def page_with_slash(call: Call) -> Response:
        return Response(status=308, headers={"Location": "../docs"})

    @bp.get("/docs/keys.json")
    @public_route(
        "Get the credentials the page signs with (this machine only)",
        "文档页在本机使用的密钥",
        raises=(NotFound,),
    )
    def keys(call: Call) -> Response:
        if key is None or not call.is_local or not _asked_by_own_page():
            raise NotFound
        body = envelope.success({"appkey": key.appkey, "appsecret": key.appsecret})
        return Response(
            body, content_type=envelope.CONTENT_TYPE, headers={**PAGE_HEADERS, "Cache-Control": "no-store"}
        )

    @bp.get("/docs/postman_collection.json")
    @public_route(
        "The Postman collection; Apifox imports it, too",
        "Postman 集合，Apifox 也可导入",
    )
    def postman_collection(call: Call) -> Response:
        return _document(postman)

    @bp.get("/docs/postman_environment.json")
    @public_route(
        "The environment of the collection, with this server's address (and its key, on this machine only)",
        "集合的环境变量：本服务器的地址（仅限本机时含密钥）",
    )
    def postman_environment(call: Call) -> Response:
        shown = key if key is not None and call.is_local and _asked_by_own_page() else PageKey("", "")
        made = build_environment(url=request.host_url.rstrip("/"), **asdict(shown))
        return Response(
            as_text(made),
            content_type=envelope.CONTENT_TYPE,
            headers={**PAGE_HEADERS, "Cache-Control": "no-store"},
        )

    @bp.get("/docs/<name>")
    @public_route(
        "Files of the page",
        "文档页的文件",
        raises=(NotFound,),
    )
    def file(call: Call, name: str) -> Response:
        if name not in _FILES:
            raise NotFound
        folder, content_type = _FILES[name]
        return _file(folder / name, content_type)

    return bp


def _asked_by_own_page() -> bool:
    """Not by another site in the same browser.

    A name that an attacker points at 127.0.0.1 would make a foreign page one of "this" origin, so that the browser
    itself would let it read the answer; its name betrays it.
    """
    name = request.host.rpartition(":")[0] if request.host.rpartition(":")[2].isdigit() else request.host
    return name in _LOOPBACK_NAMES and request.headers.get("Sec-Fetch-Site", "same-origin") in (
        "same-origin",
        "none",
    )


def _file(path: Traversable, content_type: str) -> Response:
    return kept(Response(path.read_bytes(), content_type=content_type), PAGE_HEADERS)


def _document(document: Document) -> Response:
    response = Response(document.body, content_type=envelope.CONTENT_TYPE)
    response.set_etag(document.etag)
    return kept(response, PAGE_HEADERS)
