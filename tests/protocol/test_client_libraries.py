"""Requests as HTTP libraries send them: parts without file names, other charsets, HEAD, preflights."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path
from typing import Any

import pytest

from datingtoday.app import create_app
from datingtoday.protocol.declared_routes import declared_routes
from tests.plugins.api import Answer, Api, settings_of
from tests.plugins.backend import Backend
from tests.protocol.conftest import LabOn
from tests.protocol.lab import USER, Lab
from tests.protocol.probe import MAX_FILE_BYTES

FILE = "/api/probe/file"
ECHO = "/api/probe/echo"
PHOTO = b"\xff\xd8\xff\x80" + b"photo\r\n--\r\n" * 200
FORM = "application/x-www-form-urlencoded"


def part(head: bytes, content: bytes) -> bytes:
    return b"--B\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


def upload(
    client: Api, head: bytes, content: bytes = PHOTO, *, path: str = FILE, md5: bool = False
) -> Answer:
    own = {"fileSha256": hashlib.sha256(content).hexdigest()} if md5 else {}
    method = "md5" if md5 else "hmac-sha256"
    signed = client.params("POST", path, own, sign_method=method, file=b"" if md5 else content)
    body = b"".join(
        part(f'Content-Disposition: form-data; name="{name}"'.encode(), value.encode())
        for name, value in signed.items()
    )
    body += part(head, content) + b"--B--\r\n"
    return client.send("POST", path, data=body, content_type="multipart/form-data; boundary=B")


NAME = b'Content-Disposition: form-data; name="file"'


@pytest.mark.parametrize(
    "head",
    [
        # Dart's MultipartFile.fromBytes, requests with (None, bytes), curl -F 'file=<photo.jpg'
        NAME,
        NAME + b"\r\nContent-Type: application/octet-stream",
        b"content-disposition: form-data; name=file\r\ncontent-type: image/jpeg",
        b'Content-Type: image/jpeg\r\nContent-Disposition: form-data; name="file"\r\nContent-Length: 2204',
        NAME + b'; filename=""',
        NAME + b'; filename="\xd5\xd5\xc6\xac.jpg"',
        NAME + '; filename="照片.jpg"'.encode("gbk"),
        # The second byte of this character is a backslash, right before the quote.
        NAME + '; filename="誠"'.encode("gbk"),
        NAME + '; filename="表"'.encode("shift-jis"),
        NAME + '; filename="功.jpg"'.encode("big5"),
        NAME + '; filename="été.jpg"'.encode("latin-1"),
        NAME + '; filename="照片.jpg"'.encode(),
        NAME + b"; filename=\"?.jpg\"; filename*=UTF-8''%e7%85%a7%e7%89%87.jpg",
        NAME + b"; filename*=GBK''%D5%D5%C6%AC.jpg",
        NAME + b"; filename*=UTF-8''%ff%fe",
        NAME + b'; filename="=?GBK?B?1dXGrC5qcGc=?="',
        NAME + b'; filename="C:\\Users\\\xd5\xc5\\a.jpg"',
        NAME + b'; filename="a\r\n b.jpg"',
    ],
)
@pytest.mark.parametrize("md5", [True, False])
def test_a_file_part_is_taken_whatever_its_name(lab: Lab, head: bytes, md5: bool) -> None:
    answer = upload(lab.client(), head, md5=md5)
    assert answer.data["file"] == {"bytes": len(PHOTO), "sha256": hashlib.sha256(PHOTO).hexdigest()}


def test_a_file_without_a_name_obeys_the_limits_of_files(lab: Lab) -> None:
    whole = b"x" * MAX_FILE_BYTES
    assert upload(lab.client(), NAME, whole).data["file"]["bytes"] == MAX_FILE_BYTES
    assert upload(lab.client(), NAME, whole + b"x").status == 413


def test_a_file_of_another_name_is_told_apart_by_its_type(lab: Lab) -> None:
    head = b'Content-Disposition: form-data; name="photo"\r\nContent-Type: image/jpeg'
    for path in (FILE, ECHO):
        answer = upload(lab.client(), head, path=path)
        assert answer.code == 300
        assert answer.msg.startswith("photo is a file")


@pytest.mark.parametrize("encoding", ["base64", "Quoted-Printable"])
def test_an_encoded_part_is_named(lab: Lab, encoding: str) -> None:
    answer = upload(lab.client(), NAME + f"\r\nContent-Transfer-Encoding: {encoding}".encode())
    assert (answer.status, answer.code) == (200, 300)
    assert f"file is encoded (Content-Transfer-Encoding: {encoding.lower()})" in answer.msg
    for harmless in (b"binary", b"8bit"):
        assert upload(lab.client(), NAME + b"\r\nContent-Transfer-Encoding: " + harmless).code == 0


def test_a_text_in_another_charset_is_named(lab: Lab) -> None:
    head = b'Content-Disposition: form-data; name="nickname"\r\nContent-Type: text/plain; charset=GBK'
    answer = upload(lab.client(), head, "照片".encode("gbk"))
    assert (answer.status, answer.code) == (200, 300)
    assert answer.msg.startswith("nickname is not UTF-8")
    name = 'Content-Disposition: form-data; name="照片"'.encode("gbk")
    assert "not UTF-8" in upload(lab.client(), name, b"x").msg


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "x-gzip", "gzip, identity"])
def test_a_compressed_body_is_named(lab: Lab, encoding: str) -> None:
    client = lab.client()
    form = b"a=1&b=2"
    body = zlib.compress(form) if encoding == "deflate" else gzip.compress(form)
    headers = {"Content-Encoding": encoding}
    for lang, said in (("en", "compressed"), ("zh", "压缩")):
        answer = client.send(
            "POST", ECHO, data=body, content_type=FORM, headers={**headers, "Accept-Language": lang}
        )
        assert (answer.status, answer.code) == (415, 415)
        assert said in answer.msg and encoding in answer.msg
        assert answer.headers["Accept-Encoding"] == "identity"


def test_a_body_that_is_said_to_be_as_it_is_is_read(lab: Lab) -> None:
    client = lab.client()
    params = client.params("POST", ECHO, {"a": "1"})
    assert client.send("POST", ECHO, params, headers={"Content-Encoding": "Identity"}).code == 0
    # Nothing is compressed where there is nothing.
    assert (
        client.send("GET", ECHO, client.params("GET", ECHO, {}), headers={"Content-Encoding": "gzip"}).code
        == 0
    )


# -- HEAD


def test_head_is_a_get_without_its_body(lab: Lab) -> None:
    client = lab.client()
    whole = client.send("GET", ECHO, client.params("GET", ECHO, {"a": "1"}, user=USER))
    head = client.send("HEAD", ECHO, client.params("HEAD", ECHO, {"a": "1"}, user=USER))
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(whole.body) + len("HEAD") - len("GET"))
    assert head.headers["Content-Type"] == whole.headers["Content-Type"]


def test_head_and_get_do_not_share_what_was_accepted(lab: Lab) -> None:
    client = lab.client()
    params = client.params("GET", ECHO, {})
    assert client.send("GET", ECHO, params).code == 0
    replayed = client.send("HEAD", ECHO, params)
    refused = client.send("GET", ECHO, params)
    assert refused.code == 1002
    assert replayed.headers["Content-Length"] == refused.headers["Content-Length"]


def test_head_answers_wherever_get_does(api: Api) -> None:
    routes = [route for route in declared_routes(api.app) if route.method == "GET" and not route.variables]
    assert len(routes) > 10
    for route in routes:
        get, head = (api.send(method, route.path) for method in ("GET", "HEAD"))
        assert (head.status, head.body) == (get.status, b""), route.path
        assert head.headers.get("Content-Type") == get.headers.get("Content-Type"), route.path


# -- CORS

PAGE = "https://m.example.com"
LOCAL = "http://localhost:5173"


def preflight(client: Api, path: str, origin: str = PAGE, **headers: str) -> Answer:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST", **headers}
    return client.send("OPTIONS", path, headers=asked)


def cors(answer: Answer) -> dict[str, Any]:
    return {name: value for name, value in answer.headers.items() if name.startswith("Access-Control")}


def test_without_the_setting_no_answer_speaks_of_origins(lab: Lab) -> None:
    client = lab.client()
    answer = preflight(client, ECHO)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, POST")
    answers = [answer, client.send("GET", ECHO, client.params("GET", ECHO, {}), headers={"Origin": PAGE})]
    for answer in answers:
        assert cors(answer) == {}
        assert "Vary" not in answer.headers


@pytest.mark.parametrize("path", [ECHO, "/api/probe/things/1", "/api/probe/size"])
def test_a_preflight_is_answered(lab_of: LabOn, path: str) -> None:
    client = lab_of(cors_origins=(PAGE, LOCAL)).client()
    for origin in (PAGE, LOCAL):
        answer = preflight(
            client, path, origin, **{"Access-Control-Request-Headers": "content-type, x-request-id"}
        )
        assert answer.status in (200, 204)
        assert "OPTIONS" in answer.headers["Allow"]
        assert answer.headers["Vary"] == "Origin"
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert answer.headers["Access-Control-Allow-Methods"] == "GET, HEAD, POST"
        assert answer.headers["Access-Control-Allow-Headers"] == "content-type, x-request-id"
        assert int(answer.headers["Access-Control-Max-Age"]) > 0


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://m.example.com.evil.example", "null", "", "*"]
)
def test_other_origins_are_told_nothing(lab_of: LabOn, origin: str) -> None:
    client = lab_of(cors_origins=(PAGE,)).client()
    answers = [
        preflight(client, ECHO, origin),
        client.send("GET", ECHO, client.params("GET", ECHO, {}), headers={"Origin": origin}),
    ]
    for answer in answers:
        assert cors(answer) == {}
        # Or a cache would hand another page's answer to the page that is allowed.
        assert answer.headers["Vary"] == "Origin"


def test_every_answer_of_the_api_can_be_read_by_the_page(lab_of: LabOn) -> None:
    client = lab_of(cors_origins=(PAGE,)).client()
    for path, params, status in (
        (ECHO, client.params("GET", ECHO, {}), 200),
        (ECHO, {}, 200),
        ("/api/probe/crash", client.params("GET", "/api/probe/crash", {}), 500),
        ("/api/none", {}, 404),
        ("/api/probe/size", {}, 405),
    ):
        answer = client.send("GET", path, params, headers={"Origin": PAGE})
        assert answer.status == status
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert "X-Request-Id" in answer.headers["Access-Control-Expose-Headers"]
    assert cors(client.send("GET", "/elsewhere", headers={"Origin": PAGE})) == {}


def test_any_origin_needs_no_vary(lab_of: LabOn) -> None:
    client = lab_of(cors_origins=("*",)).client()
    answer = preflight(client, ECHO, "https://whoever.example", **{"Access-Control-Request-Headers": 'a"b'})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Headers" not in answer.headers
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Vary" not in answer.headers


def test_the_setting_reaches_the_guard(api: Api, shared_backend: Backend, tmp_path: Path) -> None:
    settings = settings_of(shared_backend, tmp_path, SERVER_CORS_ORIGINS=f"{PAGE}, {LOCAL}")
    client = Api(create_app(settings, sms=api.sms), api.sms)
    assert preflight(client, "/api/auth/login", LOCAL).headers["Access-Control-Allow-Origin"] == LOCAL
