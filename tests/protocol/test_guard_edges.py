"""The guard where few requests come: bodies that are left unread, answers that fail after they began, other errors."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from flask import Flask, abort
from structlog.testing import capture_logs
from werkzeug.exceptions import HTTPException

from datingtoday.protocol.error_answers import answer_errors
from tests.protocol.lab import USER, Lab

ECHO = "/api/probe/echo"


class Connection:
    """A response of gunicorn: its `start_response` is a method, and it can be told to close."""

    def __init__(self) -> None:
        self.closes = 0
        self.started: list[tuple[str, dict[str, str], Any]] = []

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        self.started.append((status, dict(headers), exc_info))

    def force_close(self) -> None:
        self.closes += 1


def environ(path: str, **more: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "POST", "PATH_INFO": path, "QUERY_STRING": "", "SERVER_NAME": "x", "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1", "wsgi.input": io.BytesIO(), "wsgi.url_scheme": "http", **more,
    }  # fmt: skip


def ask(app: Flask, sent: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The body of the answer."""
    return app.wsgi_app(sent, start_response)


@pytest.mark.parametrize(
    ("header", "closes"),
    [
        ({"CONTENT_LENGTH": "65536"}, 0),
        ({"CONTENT_LENGTH": "65537"}, 1),
        ({"CONTENT_LENGTH": "1" * 5_000}, 1),
        ({"CONTENT_LENGTH": "-1"}, 1),
        ({"CONTENT_LENGTH": "²"}, 1),
        ({"CONTENT_LENGTH": "0"}, 0),
        ({"CONTENT_LENGTH": ""}, 0),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, 1),
        ({}, 0),
    ],
)
def test_a_connection_with_more_left_than_gunicorn_reads_is_closed(
    lab: Lab, header: dict[str, str], closes: int
) -> None:
    """gunicorn reads 64 KiB of what a refused request sent, so that the connection can be used again."""
    connection = Connection()
    sent = environ(ECHO, QUERY_STRING="a=1&a=2", **header)
    body = b"".join(ask(lab.flask, sent, connection.start_response))
    [(status, headers, _)] = connection.started
    assert b'"code":' in body and headers["Content-Length"] == str(len(body)), status
    assert connection.closes == closes


def test_a_server_that_cannot_be_told_to_close(lab: Lab) -> None:
    started: list[str] = []
    sent = environ(ECHO, QUERY_STRING="a=1&a=2", CONTENT_LENGTH="70000")
    ask(lab.flask, sent, lambda status, *_: started.append(status))
    assert len(started) == 1


def test_an_answer_that_fails_after_it_was_begun(lab: Lab) -> None:
    """WSGI takes another answer only with the exception that caused it."""
    broken = Flask("broken")

    def begin_and_fail(_: Any, start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        raise ZeroDivisionError

    broken.wsgi_app = begin_and_fail  # type: ignore[method-assign, assignment]
    lab.guard.install(broken)
    connection = Connection()
    with capture_logs():
        ask(broken, environ("/other"), connection.start_response)
    (first, _, no_error), (second, _, error) = connection.started
    assert (first, no_error) == ("200 OK", None)
    assert (second, error[0]) == ("500 Internal Server Error", ZeroDivisionError)


@pytest.mark.parametrize(
    ("status", "answered", "code"),
    [
        (399, 500, 500),
        (400, 200, 300),
        (403, 200, 300),
        (404, 404, 404),
        (413, 200, 300),
        (499, 200, 300),
        (500, 500, 500),
        (501, 500, 500),
    ],
)
def test_errors_of_flask(status: int, answered: int, code: int) -> None:
    app = Flask("errors")
    answer_errors(app)

    @app.get("/fails")
    def fails() -> str:
        if status == 404:
            abort(404)
        error = HTTPException("x")
        error.code = status
        raise error

    with capture_logs():
        answer = app.test_client().get("/fails")
    assert (answer.status_code, answer.get_json()["code"]) == (answered, code)


def test_a_path_that_is_written_like_its_rule(lab: Lab) -> None:
    """The rule of a path with a variable part is no path of the guard's own table."""
    answer = lab.client().get("/api/probe/things/<thing>")
    assert (answer.code, answer.data["thing"]) == (0, "<thing>")


def test_a_refusal_is_in_the_language_of_the_form(lab: Lab) -> None:
    client = lab.client()
    for lang, said in (("zh", "签名错误。"), ("en", "signature is error.")):
        params = client.params("POST", ECHO, {"lang": lang})
        answer = client.send("POST", ECHO, {**params, "sign": "0" * 32}, headers={"Accept-Language": "fr"})
        assert (answer.code, answer.msg) == (500, said)


def test_a_login_needs_a_token_and_an_id_in_their_forms(lab: Lab) -> None:
    client = lab.client()
    for user_id, token, code in (
        (USER.user_id, USER.token, 0), (f"0{USER.user_id}", USER.token, 504), (USER.user_id, "x", 504), ("x", "x", 504)
    ):  # fmt: skip
        own = {"userId": str(user_id), "token": token}
        assert client.get("/api/probe/mine", None, **own).code == code
