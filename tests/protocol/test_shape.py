"""Step 0: the shape of a request, before anything else is looked at; and the form of every refusal."""

from __future__ import annotations

import io
import re
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.plugins.api import Answer, Api
from tests.protocol.lab import USER, Lab
from tests.protocol.probe import LEAK

ECHO = "/api/probe/echo"
FORM = "application/x-www-form-urlencoded"
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")


def form(client: Api, method: str = "POST", path: str = ECHO, **own: Any) -> str:
    return urlencode(client.params(method, path, own))


def refused(answer: Answer, status: int, code: int) -> Answer:
    """In the one form, whatever it is: JSON, a request id, nothing of the inside."""
    assert (answer.status, answer.code) == (status, code), answer.json
    assert set(answer.json) <= {"code", "msg", "data"}
    assert answer.headers["Content-Type"] == "application/json"
    assert re.fullmatch(r"[A-Za-z0-9_-]{8,64}", answer.headers["X-Request-Id"])
    text = answer.body.decode().lower()
    for inside in ("traceback", "select ", "sqlalchemy", "werkzeug", "python", ".py", "redis", LEAK.lower()):
        assert inside not in text
    return answer


# -- where parameters stand


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_parameters_stand_in_the_query_or_in_a_form(lab: Lab, method: str) -> None:
    client = lab.client()
    for content_type in (FORM, FORM + "; charset=utf-8", FORM.upper()):
        answer = client.send(method, ECHO, data=form(client, method, a="1 +&=ä"), content_type=content_type)
        assert answer.data["params"]["a"] == "1 +&=ä"
    params = client.params(method, ECHO, {"a": "你"})
    assert client.send(method, ECHO, query_string=params).data["params"] == params
    parts = client.params(method, ECHO, {"a": "", "é": "\n"})
    answer = client.send(method, ECHO, data=parts, content_type="multipart/form-data")
    assert answer.data["params"] == parts


def test_an_empty_body_is_none_whatever_its_type(lab: Lab) -> None:
    client = lab.client()
    for content_type in (FORM, "application/json", "multipart/form-data; boundary=x", ""):
        params = client.params("POST", ECHO, {})
        answer = client.send(
            "POST", ECHO, query_string=params, input_stream=io.BytesIO(b""), content_type=content_type
        )
        assert answer.code == 0, content_type


@pytest.mark.parametrize("content_type", [FORM, "multipart/form-data"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_two_places_are_refused(lab: Lab, method: str, content_type: str) -> None:
    client = lab.client()
    params = client.params(method, ECHO, {})
    answer = client.send(method, f"{ECHO}?page=1", data=params, content_type=content_type)
    assert "query string and in the body" in refused(answer, 200, 300).msg


@pytest.mark.parametrize("place", ["query", "form", "multipart"])
@pytest.mark.parametrize("name", ["a", "sign", "appkey", "é"])
def test_a_name_twice_is_refused(lab: Lab, place: str, name: str) -> None:
    client = lab.client()
    params = [*client.params("POST", ECHO, {"a": "1", "é": "1"}).items(), (name, "1")]
    if place == "query":
        answer = client.send("POST", f"{ECHO}?{urlencode(params)}")
    elif place == "form":
        answer = client.send("POST", ECHO, data=urlencode(params), content_type=FORM)
    else:
        body = multipart(*((key, value.encode()) for key, value in params))
        answer = client.send("POST", ECHO, data=body, content_type="multipart/form-data; boundary=B")
    assert refused(answer, 200, 300).msg.startswith(f"{name} is given twice")


@pytest.mark.parametrize("escaped", ["%61", "a"])
def test_a_name_is_the_same_however_it_is_escaped(lab: Lab, escaped: str) -> None:
    client = lab.client()
    body = form(client, a="1") + f"&{escaped}=2"
    assert "given twice" in refused(client.send("POST", ECHO, data=body, content_type=FORM), 200, 300).msg


@pytest.mark.parametrize("bad", [b"%ff", b"\xff", b"%ED%A0%80", b"%C0%AF", b"%e4%bd"])
def test_bytes_that_are_not_utf8_are_refused(lab: Lab, bad: bytes) -> None:
    client = lab.client()
    for pair in (b"&b=" + bad, b"&" + bad + b"=1"):
        answer = client.send("POST", ECHO, data=form(client).encode() + pair, content_type=FORM)
        assert "UTF-8" in refused(answer, 200, 300).msg
        if b"%" in bad:
            answer = client.send("GET", f"{ECHO}?{form(client, 'GET')}{pair.decode()}")
            assert "UTF-8" in refused(answer, 200, 300).msg
    if b"%" not in bad:
        body = multipart(*((key, value.encode()) for key, value in client.params("POST", ECHO, {}).items()))
        body = body.replace(b"--B--", multipart(("b", bad)))
        answer = client.send("POST", ECHO, data=body, content_type="multipart/form-data; boundary=B")
        assert "UTF-8" in refused(answer, 200, 300).msg


def multipart(*pairs: tuple[str, bytes]) -> bytes:
    parts = [
        b'--B\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value)
        for name, value in pairs
    ]
    return b"".join([*parts, b"--B--"])


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"--B\r\nContent-Disposition: form-data\r\n\r\n1\r\n--B--", "multipart/form-data; boundary=B"),
        (b"--B\r\n\r\n1\r\n--B--", "multipart/form-data; boundary=B"),
        (b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n1', "multipart/form-data; boundary=B"),
        (b"nothing", "multipart/form-data; boundary=B"),
        (b"--B--", "multipart/form-data"),
        ("--ä--".encode(), "multipart/form-data; boundary=ä"),
    ],
)
def test_a_malformed_multipart_body_is_refused(lab: Lab, body: bytes, content_type: str) -> None:
    refused(lab.client().send("POST", ECHO, data=body, content_type=content_type), 200, 300)


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "", "x"])
def test_a_body_of_another_type_is_415(lab: Lab, content_type: str) -> None:
    client = lab.client()
    for method in ("GET", "POST"):
        answer = client.send(method, ECHO, data=b'{"page": 1}', content_type=content_type)
        assert "application/x-www-form-urlencoded" in refused(answer, 415, 415).msg


@pytest.mark.parametrize("place", ["query", "form", "multipart"])
def test_there_may_be_a_hundred_parameters(lab: Lab, place: str) -> None:
    client = lab.client()
    for count, code in ((100 - 4, 0), (101 - 4, 300)):
        params = client.params("POST", ECHO, {f"p{number}": "" for number in range(count)})
        if place == "query":
            answer = client.send("POST", ECHO, query_string=params)
        else:
            content_type = FORM if place == "form" else "multipart/form-data"
            answer = client.send("POST", ECHO, data=params, content_type=content_type)
        assert answer.code == code, answer.json


# -- sizes


def chunked(client: Api, path: str, body: bytes, content_type: str = FORM) -> Answer:
    """As a server hands over a body that came in chunks: without a length, ending by itself."""
    return client.send(
        "POST",
        path,
        input_stream=io.BytesIO(body),
        content_type=content_type,
        environ_overrides={
            "wsgi.input_terminated": True,
            "HTTP_TRANSFER_ENCODING": "chunked",
            "CONTENT_LENGTH": "",
        },
    )


def test_a_chunked_body_is_read(lab: Lab) -> None:
    client = lab.client()
    assert chunked(client, ECHO, form(client, a="1").encode()).data["params"]["a"] == "1"
    params = client.params("POST", ECHO, {"a": "2"})
    body = multipart(*((name, value.encode()) for name, value in params.items()))
    answer = chunked(client, ECHO, body, "multipart/form-data; boundary=B")
    assert answer.data["params"] == params
    assert chunked(client, f"{ECHO}?{form(client)}", b"").code == 0
    refused(chunked(client, f"{ECHO}?{form(client)}", b"a=1"), 200, 300)
    refused(chunked(client, ECHO, b"{}", "application/json"), 415, 415)


@pytest.mark.parametrize("path", [ECHO, "/api/probe/file"])
@pytest.mark.parametrize("kind", [FORM, "multipart/form-data; boundary=B"])
@pytest.mark.parametrize("in_chunks", [True, False])
def test_a_form_that_is_too_large_is_413(lab: Lab, kind: str, in_chunks: bool, path: str) -> None:
    client = lab.client()
    most = lab.options.max_form_bytes
    for size in (most + 1, 30 * most):
        body = b"a=" + b"x" * (size - 2) if kind == FORM else multipart(("a", b"x" * size))
        answer = (
            chunked(client, path, body, kind)
            if in_chunks
            else client.send("POST", path, data=body, content_type=kind)
        )
        assert "too large" in refused(answer, 413, 413).msg


def test_a_form_may_be_as_large_as_it_says(lab: Lab) -> None:
    client = lab.client()
    bare = len(form(client, a=""))
    answer = client.send(
        "POST", ECHO, data=form(client, a="x" * (lab.options.max_form_bytes - bare)), content_type=FORM
    )
    assert answer.code == 0


def test_no_more_is_read_than_may_be_sent(lab: Lab) -> None:
    class Endless:
        taken = 0

        def read(self, size: int) -> bytes:
            self.taken += size
            return b"x" * size

    stream = Endless()
    for framing in (
        {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""},
        {"CONTENT_LENGTH": str(10**12)},
    ):
        answer = lab.client().send(
            "POST", ECHO, content_type=FORM, environ_overrides={"wsgi.input": stream, **framing}
        )
        refused(answer, 413, 413)
        assert stream.taken <= lab.options.max_form_bytes + 64 * 1024


@pytest.mark.parametrize("length", ["x", "-1", "1e3", "９", "9" * 5000])
def test_a_content_length_that_is_none_is_refused(lab: Lab, length: str) -> None:
    answer = lab.client().send(
        "POST",
        ECHO,
        content_type=FORM,
        input_stream=io.BytesIO(b""),
        environ_overrides={"CONTENT_LENGTH": length},
    )
    assert "Content-Length" in refused(answer, 200, 300).msg


def test_a_body_that_ends_early_is_refused(lab: Lab) -> None:
    class Broken:
        def __init__(self, error: Exception) -> None:
            self.error = error

        def read(self, size: int) -> bytes:
            raise self.error

    # The last one stands for what a server raises when chunks are none.
    for stream in (io.BytesIO(b"a=1"), Broken(ConnectionResetError("peer")), Broken(LookupError("chunk"))):
        answer = lab.client().send(
            "POST",
            ECHO,
            content_type=FORM,
            environ_overrides={"wsgi.input": stream, "CONTENT_LENGTH": "100"},
        )
        refused(answer, 200, 300)


# -- paths and methods


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (ECHO, {"GET", "HEAD", "POST"}),
        ("/api/probe/size", {"POST"}),
        ("/api/probe/crash", {"GET", "HEAD"}),
        ("/api/probe/things/1", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_other_methods_are_405_and_say_which_are_allowed(
    lab: Lab, path: str, allowed: set[str], method: str
) -> None:
    answer = lab.client().send(method, path)
    if method in allowed:
        assert answer.status != 405
        return
    assert answer.status == 405
    assert set(answer.headers["Allow"].split(", ")) == allowed - {"OPTIONS"}
    if method == "HEAD":
        assert answer.body == b""
        assert int(answer.headers["Content-Length"]) > 0
        assert answer.headers["X-Request-Id"]
    else:
        assert answer.headers["Allow"] in refused(answer, 405, 405).msg


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "path",
    [
        "/api/none",
        "/api",
        "/api/probe/echo/",
        "/api//probe/echo",
        "//api/probe/echo",
        "/API/probe/echo",
        "/%00",
        "/ä",
    ],
)
def test_unknown_paths_are_404(probe: Api, path: str, method: str) -> None:
    answer = probe.send(method, path)
    assert answer.status == 404
    assert answer.headers["X-Request-Id"]
    if method != "HEAD":
        msg = refused(answer, 404, 404).msg
        assert msg.startswith("The requested URL was not found on the server.")


def test_a_path_with_a_variable_part_is_guarded_like_any_other(lab: Lab) -> None:
    client = lab.client()
    path = "/api/probe/things/%E4%BD%A0"
    params = client.params("GET", path, {}, sign_method="hmac-sha256")
    answer = client.send("GET", path, params)
    assert (answer.data["path"], answer.data["thing"]) == (path, "你")
    refused(client.send("GET", path, params), 200, 1002)
    refused(client.send("GET", path), 200, 300)
    refused(client.send("GET", path + "?a=1&a=1"), 200, 300)


# -- answers


@pytest.mark.parametrize(
    ("path", "status"),
    [(ECHO, 200), ("/api/none", 404), ("/api/probe/size", 405), ("/api/probe/open", 200), ("/healthz", 200)],
)
def test_every_answer_carries_a_request_id(probe: Api, path: str, status: int) -> None:
    ids = set()
    for _ in range(2):
        answer = probe.send("GET", path, address="127.0.0.1")
        assert answer.status == status
        ids.add(answer.headers["X-Request-Id"])
    assert len(ids) == 2
    # That of a proxy goes on, so that logs of several programs meet; what is none does not reach a log.
    given = "edge-0123456789abcdef"
    assert probe.send("GET", path, headers={"X-Request-Id": given}).headers["X-Request-Id"] == given
    for bad in ("short", "x" * 65, 'a"b{c}d:e,f', "ä" * 9):
        assert probe.send("GET", path, headers={"X-Request-Id": bad}).headers["X-Request-Id"] != bad


def test_an_unexpected_exception_tells_nothing_of_the_inside(probe: Api) -> None:
    answer = refused(probe.get("/api/probe/crash"), 500, 500)
    assert answer.json == {"code": 500, "msg": "internal error"}


def test_what_fails_around_the_views_is_answered_too(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError(LEAK)

    monkeypatch.setattr(lab.flask, "full_dispatch_request", fail)
    monkeypatch.setattr(lab.flask, "handle_exception", fail)
    # A path that the guard does not know goes on to Flask.
    assert refused(lab.client().get("/api/none"), 500, 500).json == {"code": 500, "msg": "internal error"}


@pytest.mark.parametrize(
    ("accepted", "lang"),
    [
        ("zh", "zh"), ("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("zh-Hant-TW", "zh"), ("en-US,en;q=0.9,zh;q=0.5", "en"),
        ("en;q=0.5, zh;q=0.6", "zh"), ("fr, zh;q=0.1", "zh"), ("fr", "en"), ("", "en"), (";;;zh=", "en"),
        ("zh;q=x", "en"),
    ],
)  # fmt: skip
def test_messages_are_in_the_language_that_is_asked_for(lab: Lab, accepted: str, lang: str) -> None:
    client = lab.client()
    headers = {"Accept-Language": accepted}
    expected = {"en": "appkey is none.", "zh": "缺少 appkey。"}
    assert client.send("GET", ECHO, {}, headers=headers).msg == expected[lang]
    # The parameter wins.
    for asked in ("en", "zh", "zh-CN", "EN"):
        answer = client.send("GET", ECHO, {"lang": asked}, headers=headers)
        assert answer.msg == expected["zh" if asked.startswith("zh") else "en"]


@pytest.mark.parametrize("path", [ECHO, "/api/none", "/api/probe/size", "/api/probe/things/1"])
def test_refusals_of_the_shape_are_in_that_language_too(probe: Api, path: str) -> None:
    for where in (
        {"path": f"{path}?lang=zh&lang=zh"},
        {"path": path, "headers": {"Accept-Language": "zh-CN"}},
    ):
        answer = probe.send("PUT" if path == ECHO else "GET", **where)
        assert re.search("[\u4e00-\u9fff]", answer.msg), (path, answer.json)


def test_code_0_is_told_by_success(lab: Lab) -> None:
    answer = lab.client().get("/api/probe/mine", USER)
    assert (answer.json["code"], answer.json["msg"], answer.data["user_id"]) == (0, "success", USER.user_id)
