"""Behaviour of a real HTTP server: chunked bodies, HEAD, and connections that go on after a refusal."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.cli.running_server import RunningServer
from tests.plugins.backend import new_folder

PATH = "/api/auth/sendsms"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def server(run_folder: Path) -> Iterator[RunningServer]:
    running = RunningServer(new_folder(run_folder, "wire") / "data", LIMITS_ENABLED="0")
    yield running.wait_until_ready()
    running.end()


@pytest.fixture
def connection(server: RunningServer) -> Iterator[HTTPConnection]:
    address = urlsplit(server.url)
    assert address.hostname is not None
    opened = HTTPConnection(address.hostname, address.port, timeout=30)
    yield opened
    opened.close()


def read(response: HTTPResponse) -> tuple[int, Any]:
    body = response.read()
    assert response.headers["X-Request-Id"]
    return response.status, json.loads(body) if body else None


def in_chunks(connection: HTTPConnection, body: bytes, size: int = 1000) -> tuple[int, Any]:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    connection.request("POST", PATH, body=iter(pieces), headers=FORM, encode_chunked=True)
    return read(connection.getresponse())


def test_a_chunked_form_is_read(connection: HTTPConnection) -> None:
    status, answer = in_chunks(connection, b"appkey=UNKNOWN1&a=" + b"x" * 5000)
    assert (status, answer["code"]) == (200, 1003)


def test_a_chunked_form_that_is_too_large_is_413(connection: HTTPConnection) -> None:
    status, answer = in_chunks(connection, b"a=" + b"x" * 100_000)
    assert (status, answer["code"]) == (413, 413)


def test_a_length_that_is_too_large_is_413_before_the_body(connection: HTTPConnection) -> None:
    connection.putrequest("POST", PATH)
    for name, value in {**FORM, "Content-Length": "10000000000"}.items():
        connection.putheader(name, value)
    connection.endheaders()
    status, answer = read(connection.getresponse())
    assert (status, answer["code"]) == (413, 413)


def test_chunks_that_are_none_are_refused_in_the_usual_form(server: RunningServer) -> None:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as raw:
        raw.sendall(
            f"POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            "Transfer-Encoding: chunked\r\n\r\nnot-a-size\r\nx".encode()
        )
        raw.shutdown(socket.SHUT_WR)
        response = HTTPResponse(raw)
        response.begin()
        status, answer = read(response)
    assert (status, answer["code"]) == (200, 300)


def test_head_has_no_body_and_the_connection_goes_on(connection: HTTPConnection) -> None:
    for _ in range(2):
        connection.request("HEAD", PATH)
        response = connection.getresponse()
        assert (response.status, response.read()) == (405, b"")
        assert response.headers["Allow"] == "POST"
        connection.request("GET", "/api/none")
        assert read(connection.getresponse())[0] == 404


def test_the_connection_goes_on_after_a_refused_body(connection: HTTPConnection) -> None:
    connection.request("POST", PATH, body=b'{"a": 1}' * 1000, headers={"Content-Type": "application/json"})
    assert read(connection.getresponse())[0] == 415
    connection.request("POST", PATH, body=b"a=1", headers=FORM)
    status, answer = read(connection.getresponse())
    assert (status, answer["msg"]) == (200, "appkey is none.")


def test_a_connection_that_cannot_go_on_says_so(connection: HTTPConnection) -> None:
    """Otherwise a client's pool would send its next request into a connection that is about to be closed."""
    connection.request("POST", PATH, body=b"a=" + b"x" * 230_000, headers=FORM)
    response = connection.getresponse()
    assert read(response)[0] == 413
    assert response.headers["Connection"] == "close"
    connection.request("POST", PATH, body=b"a=1", headers=FORM)
    assert read(connection.getresponse())[0] == 200
