"""Answers to errors of Flask and of views, in the common envelope."""

from __future__ import annotations

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import MethodNotAllowed as MethodUnknown
from werkzeug.exceptions import NotFound as UrlUnknown

from datingtoday.protocol import envelope
from datingtoday.protocol.call import LANG
from datingtoday.protocol.errors import AppError, MethodNotAllowed, NotFound, ParameterError
from datingtoday.protocol.guard import as_app_error
from datingtoday.protocol.language import lang_of


def answer_errors(app: Flask) -> None:
    """Let every error of this application be answered as ``{"code", "msg"}`` with HTTP's own status."""
    # A path with doubled slashes is unknown like any other; Flask would redirect it, with a page in HTML.
    app.url_map.merge_slashes = False
    app.register_error_handler(HTTPException, _answer_http_error)
    app.register_error_handler(Exception, _answer_error)


def _answer_http_error(error: HTTPException) -> Response:
    if isinstance(error, MethodUnknown):
        allowed = ", ".join(sorted(set(error.valid_methods or ()) - {"OPTIONS"}))
        return _respond(MethodNotAllowed(headers={"Allow": allowed}, allowed=allowed))
    if isinstance(error, UrlUnknown):
        return _respond(NotFound())
    if 400 <= (error.code or 0) < 500:
        return _respond(ParameterError.plain("the request is malformed", "请求格式不正确"))
    return _answer_error(error)


def _answer_error(error: Exception) -> Response:
    return _respond(as_app_error(error, request.environ))


def _respond(error: AppError) -> Response:
    lang = request.environ.get(LANG) or lang_of(request.environ)
    request.environ["datingtoday.code"] = error.code
    body = envelope.failure(error, lang)
    return Response(body, status=error.http_status, headers=error.headers, content_type=envelope.CONTENT_TYPE)
