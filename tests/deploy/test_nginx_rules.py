"""The rendered nginx before a program that misbehaves: what is sent twice, answered, logged and passed on."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import requests

from datingtoday.cli.deploying.files import render
from datingtoday.cli.deploying.plan import Options
from datingtoday.infra.config.settings import load_settings
from tests.deploy.conftest import DOMAIN, Certificate
from tests.plugins.polling import wait_until
from tests.plugins.processes import Port, end, spawn, tail_of
from tests.plugins.tools import program

pytestmark = pytest.mark.needs("nginx", "openssl", "curl")

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_PATHS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


class Upstream:
    """A server that keeps connections, and notes requests. To a path with `drop` it answers by closing."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def count(self, line: str) -> int:
        """Number of requests that begin with this."""
        return sum(head.startswith(line) for head in self.requests)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # stopped
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with closing(connection), connection.makefile("rb") as stream:
            while head := b"".join(iter(stream.readline, b"\r\n")) if stream.peek(1) else b"":
                text = head.decode()
                self.requests.append(text)
                length = next(
                    (line[16:] for line in text.splitlines() if line.startswith("Content-Length")), "0"
                )
                stream.read(int(length))
                if "drop" in text.splitlines()[0]:
                    return
                connection.sendall(_OK)


class Nginx:
    """The rendered configuration, run."""

    def __init__(self, folder: Path, upstream: Upstream, certificate: Certificate) -> None:
        self.folder = folder
        self._ports = [Port(), Port()]
        self.url = f"https://127.0.0.1:{self._ports[1].number}"
        self.certificate = certificate.file
        environ = {
            "DATINGTODAY_DATABASE_URI": "mysql+pymysql://a:b@127.0.0.1/d?charset=utf8mb4",
            "DATINGTODAY_SERVER_PORT": str(upstream.port),
            "DATINGTODAY_PROTOCOL_MAX_BODY_BYTES": "2000",
        }
        options = Options(
            DOMAIN,
            certificate.file,
            certificate.key,
            folder,
            http_port=self._ports[0].number,
            https_port=self._ports[1].number,
            nginx_log_dir=folder,
            ipv6=False,
        )
        text = render(load_settings("/dev/null", folder, environ), options)["nginx/datingtoday.conf"]
        temporary = "".join(f"{name}_temp_path {folder}/{name};\n" for name in _PATHS)
        user = "user root;" if os.getuid() == 0 else ""
        main = folder / "nginx.conf"
        main.write_text(
            f"{user}daemon off; worker_processes 1; pid {folder}/pid; events {{}}\nhttp {{\n{temporary}{text}}}\n"
        )
        binary = program("nginx")
        assert binary is not None
        self._process = spawn([binary, "-e", "stderr", "-c", main], log=folder / "log", cwd=folder)
        wait_until(self._listens, "nginx", deadline_s=60)

    def _listens(self) -> bool:
        assert self._process.poll() is None, tail_of(self.folder / "log")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._ports[1].number)) == 0

    def send(self, method: str, path: str, **options: object) -> requests.Response:
        return requests.request(method, self.url + path, verify=str(self.certificate), timeout=30, **options)  # type: ignore[arg-type]

    def close(self) -> None:
        end(self._process)
        for port in self._ports:
            port.release()


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, certificate: Certificate
) -> Iterator[tuple[Nginx, Upstream]]:
    with ExitStack() as at_end:
        upstream = Upstream()
        at_end.callback(upstream.stop)
        nginx = Nginx(tmp_path_factory.mktemp("nginx"), upstream, certificate)
        at_end.callback(nginx.close)
        yield nginx, upstream


def test_a_post_is_never_sent_twice(running: tuple[Nginx, Upstream]) -> None:
    nginx, upstream = running
    for number in range(5):
        # On a connection that was kept alive, where nginx would try again by itself.
        assert nginx.send("GET", "/warm").ok
        answer = nginx.send("POST", f"/drop/{number}", data={"a": "1"})
        assert (answer.status_code, answer.json()["code"]) == (503, 503)
        assert int(answer.headers["Retry-After"]) >= 1
        assert upstream.count(f"POST /drop/{number} ") == 1


def test_connections_to_the_program_are_kept(running: tuple[Nginx, Upstream]) -> None:
    nginx, upstream = running
    nginx.send("GET", "/first")
    before = upstream.connections
    for _ in range(20):
        assert nginx.send("GET", "/next").ok
    assert upstream.connections <= before + 2


def test_the_address_is_nginxs_word_and_nobody_elses(running: tuple[Nginx, Upstream]) -> None:
    nginx, upstream = running
    forged = {"X-Forwarded-For": "1.2.3.4", "Forwarded": "for=1.2.3.4", "X-Forwarded-Proto": "http"}
    assert nginx.send("GET", "/forged", headers=forged).ok
    [head] = [head for head in upstream.requests if head.startswith("GET /forged ")]
    assert "1.2.3.4" not in head
    assert "X-Forwarded-For: 127.0.0.1\r\n" in head
    assert "X-Forwarded-Proto: https\r\n" in head


def test_a_body_beyond_the_limit_is_refused_in_json(running: tuple[Nginx, Upstream]) -> None:
    nginx, upstream = running
    assert nginx.send("POST", "/body", data=b"x" * 2000).ok
    answer = nginx.send("POST", "/body", data=b"x" * 2001)
    assert (answer.status_code, answer.json()["code"]) == (413, 413)
    assert upstream.count("POST /body ") == 1


def test_signed_paths_arrive_as_they_were_sent(running: tuple[Nginx, Upstream]) -> None:
    nginx, upstream = running
    assert nginx.send("GET", "/a%2Fb//c%20d?x=%E5%9C%A8&y=%2F").ok
    assert upstream.count("GET /a%2Fb//c%20d?x=%E5%9C%A8&y=%2F ") == 1


def test_logs_hold_paths_without_the_query(running: tuple[Nginx, Upstream]) -> None:
    nginx, _ = running
    nginx.send("GET", "/logged?token=se-cret&phone=13800138000", headers={"Referer": "https://x/?se-cret"})
    nginx.send("POST", "/drop?token=se-cret")
    access = nginx.folder / "datingtoday.access.log"
    wait_until(lambda: '"path":"/drop"' in access.read_text(), "the line")
    lines = [json.loads(line) for line in access.read_text().splitlines()]
    [logged] = [line for line in lines if line["path"] == "/logged"]
    assert (logged["status"], logged["client"], logged["upstream_status"]) == (200, "127.0.0.1", "200")
    for path in (access, nginx.folder / "datingtoday.error.log", nginx.folder / "log"):
        text = path.read_text()
        assert "se-cret" not in text, path.name
        assert "13800138000" not in text, path.name


def test_http_2_and_hsts(running: tuple[Nginx, Upstream]) -> None:
    nginx, _ = running
    curl = program("curl")
    assert curl is not None
    words = [
        curl,
        "--silent",
        "--http2",
        "--cacert",
        str(nginx.certificate),
        "--dump-header",
        "-",
        f"{nginx.url}/h2",
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("HTTP/2 200")
    assert "strict-transport-security: max-age=31536000" in done.stdout
