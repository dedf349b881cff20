"""The location of docs/media.md, in a real nginx, before a program that answers with `plan_internal_redirect`."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
import requests

from datingtoday.infra.storage.local import LocalStorage
from datingtoday.infra.storage.storage import new_key
from datingtoday.media.http_ranges import plan_internal_redirect
from datingtoday.protocol.cross_origin import CrossOrigin
from tests.plugins.polling import wait_until
from tests.plugins.processes import Port, end, spawn, tail_of
from tests.plugins.tools import program

pytestmark = pytest.mark.needs("nginx")

CONTENT = bytes(range(256)) * 40
PAGE = "https://m.example.com"
DOCS = Path(__file__).parents[2] / "docs"


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


def documented_location(page: str) -> str:
    match = re.search(r"```nginx\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert match is not None
    return match[1]


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[str]:
    """A program that grants everything; its address."""
    storage = LocalStorage(tmp_path / "media")
    key = new_key()
    storage.put(key, CONTENT, "audio/mp4")

    def application(environ: dict, start_response: Callable) -> list[bytes]:
        now = datetime.now(UTC)
        plan = plan_internal_redirect(
            mime="audio/mp4",
            location="/_media/",
            internal_path=storage.internal_path(key),
            expires=int(now.timestamp()) + 600,
            now=now,
        )
        cross_origin = CrossOrigin([PAGE]).headers({**environ, "PATH_INFO": "/api/media/x"})
        start_response("200 OK", [*plan.headers.items(), *cross_origin])
        return []

    with make_server("127.0.0.1", 0, application, handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def nginx(upstream: str, tmp_path: Path) -> Iterator[str]:
    location = documented_location("media.md").replace("/var/lib/datingtoday/", f"{tmp_path}/")
    paths = "\n".join(
        f"{name}_temp_path {tmp_path}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    port, log, binary = Port(), tmp_path / "nginx.log", program("nginx")
    assert binary is not None
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(
        f"{'user root;' if os.getuid() == 0 else ''}\ndaemon off;\npid {tmp_path}/nginx.pid;\n"
        f"error_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}\n"
        f"server {{ listen 127.0.0.1:{port.number};\n"
        f"location / {{ proxy_pass http://{upstream}; }}\n{location} }} }}\n"
    )
    process = spawn([binary, "-p", tmp_path, "-e", "stderr", "-c", configuration], log=log)
    address = f"http://127.0.0.1:{port.number}"

    def answers() -> bool:
        assert process.poll() is None, tail_of(log)
        try:
            return requests.get(address, timeout=5).ok
        except requests.ConnectionError:
            return False

    try:
        wait_until(answers, "nginx")
        yield address
    finally:
        end(process)
        port.release()


def test_nginx_sends_the_file(nginx: str) -> None:
    answer = requests.get(f"{nginx}/api/media/x", timeout=10)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    headers = answer.headers
    assert headers["Content-Type"] == "audio/mp4"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert headers["Content-Disposition"] == 'inline; filename="media.m4a"'
    assert re.fullmatch(r"private, max-age=(600|59\d)", headers["Cache-Control"])
    assert "X-Accel-Redirect" not in headers

    part = requests.get(f"{nginx}/api/media/x", headers={"Range": "bytes=300-399"}, timeout=10)
    assert (part.status_code, part.content) == (206, CONTENT[300:400])
    assert part.headers["Content-Range"] == f"bytes 300-399/{len(CONTENT)}"
    assert part.headers["X-Content-Type-Options"] == "nosniff"

    outside = requests.get(f"{nginx}/api/media/x", headers={"Range": "bytes=999999-"}, timeout=10)
    assert outside.status_code == 416
    again = requests.get(f"{nginx}/api/media/x", headers={"If-None-Match": headers["ETag"]}, timeout=10)
    assert again.status_code == 304


def test_pages_of_other_origins_may_read_it_where_the_program_says_so(nginx: str) -> None:
    answer = requests.get(f"{nginx}/api/media/x", headers={"Origin": PAGE}, timeout=10)
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert "Content-Range" in answer.headers["Access-Control-Expose-Headers"]
    other = requests.get(f"{nginx}/api/media/x", headers={"Origin": "https://evil.example"}, timeout=10)
    assert "Access-Control-Allow-Origin" not in other.headers
    assert answer.headers["Vary"] == other.headers["Vary"] == "Origin"


def test_nobody_gets_around_the_program(nginx: str, tmp_path: Path) -> None:
    (file,) = (path for path in (tmp_path / "media").rglob("*") if path.is_file())
    path = f"/_media/{file.relative_to(tmp_path / 'media')}"
    assert requests.get(nginx + path, timeout=10).status_code == 404


def test_both_languages_say_the_same() -> None:
    assert documented_location("media.md") == documented_location("media.zh-CN.md")
