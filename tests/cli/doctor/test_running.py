"""Findings beside running processes, and through a real nginx with TLS."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from datingtoday.cli.main import run
from datingtoday.infra.config.settings import Settings, load_settings
from datingtoday.infra.server.data_folder import DataFolder
from datingtoday.web.connection_report import HEADER, MAX_AGE_S, is_proved, proof
from tests.cli.doctor.conftest import examined, fix_of, load, states, troubles
from tests.cli.running_server import PROGRAM, RunningServer, clean_environ
from tests.plugins.api import Api
from tests.plugins.backend import Backend
from tests.plugins.certificates import self_signed
from tests.plugins.polling import wait_until
from tests.plugins.processes import Port, end, spawn, tail_of
from tests.plugins.tools import program
from tests.web.test_operations import beat, push_of

GOOD = 'proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header Forwarded "";'
VARIANTS = {
    "good": GOOD,
    "appends": 'proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header Forwarded "";',
    "passes_on": 'proxy_set_header X-Forwarded-For $http_x_forwarded_for; proxy_set_header Forwarded "";',
    "passes_forwarded_on": "proxy_set_header X-Forwarded-For $remote_addr;",
    "unknown": f"{GOOD} proxy_bind 127.0.0.2;",
    "hides": 'proxy_set_header X-Forwarded-For ""; proxy_set_header Forwarded "";',
}
KEY = bytes(range(32))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    server = RunningServer(tmp_path_factory.mktemp("doctor") / "data", SERVER_TRUSTED_PROXIES="127.0.0.1")
    try:
        yield server.wait_until_ready()
    finally:
        server.end()


@pytest.fixture(scope="module")
def nginx(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Addresses of an nginx with TLS, by the variant of its headers; ``no_push`` lets no WebSocket through."""
    folder, binary = tmp_path_factory.mktemp("nginx"), program("nginx")
    assert binary is not None
    made = self_signed()
    (folder / "cert.pem").write_bytes(made.certificate)
    (folder / "key.pem").write_bytes(made.key)
    ports = {name: Port() for name in (*VARIANTS, "no_push")}
    upgrade = (
        "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"
    )
    blocks = "\n".join(
        f"server {{ listen 127.0.0.1:{port.number} ssl; ssl_certificate {folder}/cert.pem;"
        f"ssl_certificate_key {folder}/key.pem; proxy_set_header Host $host; {VARIANTS.get(name, GOOD)}"
        f"location / {{ proxy_pass {server.url}; }}"
        + (
            ""
            if name == "no_push"
            else f"location /socket.io/ {{ proxy_pass {server.url}; {VARIANTS[name]} {upgrade} }}"
        )
        + "}"
        for name, port in ports.items()
    )
    paths = "\n".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"{'user root;' if os.getuid() == 0 else ''}\ndaemon off;\npid {folder}/nginx.pid;\nerror_log stderr;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{paths}\n{blocks}\n}}\n"
    )
    process = spawn([binary, "-p", folder, "-e", "stderr", "-c", folder / "nginx.conf"], log=folder / "log")
    os.environ["SSL_CERT_FILE"] = str(folder / "cert.pem")
    addresses = {name: f"https://127.0.0.1:{port.number}" for name, port in ports.items()}
    try:
        settings = load_settings(None, server.data, {})
        wait_until(
            lambda: "proxy.connection" not in examined(settings, "proxy", url=addresses["good"]),
            f"nginx\n{tail_of(folder / 'log')}",
        )
        yield addresses
    finally:
        del os.environ["SSL_CERT_FILE"]
        end(process)
        for port in ports.values():
            port.release()


@pytest.fixture
def settings(server: RunningServer) -> Settings:
    environ = {"DATINGTODAY_SERVER_TRUSTED_PROXIES": "127.0.0.1"}
    return load_settings(None, server.data, environ)


@pytest.mark.needs("nginx")
class TestProxy:
    """One server and one nginx for all: in a single test, so that several workers do not start them anew."""

    def test_through_nginx(
        self,
        server: RunningServer,
        nginx: dict[str, str],
        settings: Settings,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        for variant, state, words in (
            ("good", "ok", "arrives"),
            ("appends", "ok", "arrives"),
            ("passes_on", "error", "passes X-Forwarded-For on"),
            ("passes_forwarded_on", "error", "passes Forwarded on"),
            ("unknown", "error", "127.0.0.2 is not in"),
            ("hides", "warning", "no proxy forwards"),
        ):
            found = examined(settings, "proxy", url=nginx[variant])
            (finding,) = found["proxy.forwarding"]
            assert (finding.state, words in finding.message.en) == (state, True), (variant, finding)
            # The certificate ends within the hour.
            assert states(found)["proxy.tls"] == "warning"
            assert states(found)["clock.proxy"] == states(found)["proxy.websocket"] == "ok"
        assert fix_of(found, "proxy.forwarding").endswith("nginx -t && nginx -s reload")
        self.one_header_only(nginx, settings)
        found = examined(settings, "proxy", url=nginx["no_push"])
        assert states(found)["proxy.websocket"] == "error"
        assert "Upgrade $http_upgrade" in fix_of(found, "proxy.websocket")
        self.another_key(nginx, tmp_path)
        self.whole_installation(server, nginx)
        (tmp_path / "other.pem").write_bytes(self_signed().certificate)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "other.pem"))
        assert states(examined(settings, "proxy", url=nginx["good"])) == {"proxy.tls": "error"}

    @staticmethod
    def one_header_only(nginx: dict[str, str], settings: Settings) -> None:
        """A header that is not looked at may be forged."""
        only = settings.server.model_copy(update={"forwarded_header": "x-forwarded-for"})
        changed = settings.model_copy(update={"server": only})
        found = examined(changed, "proxy", url=nginx["passes_forwarded_on"])
        assert states(found)["proxy.forwarding"] == "ok"

    @staticmethod
    def another_key(nginx: dict[str, str], tmp_path: Path) -> None:
        other = load(tmp_path, DATABASE_URI=f"sqlite:///{tmp_path}/x", REDIS_URI="redis://127.0.0.1:1")
        found = examined(other, "proxy", url=nginx["good"])
        assert states(found)["proxy.forwarding"] == "error"
        assert "secret_key" in found["proxy.forwarding"][0].message.en

    @staticmethod
    def whole_installation(server: RunningServer, nginx: dict[str, str]) -> None:
        """Green, but for warnings that are true here: the certificate's end, and this machine's clock."""

        def printed() -> dict:
            result = subprocess.run(
                [PROGRAM, "doctor", "--data", server.data, "--url", nginx["good"], "--json"],
                capture_output=True,
                check=False,
                timeout=60,
                env=clean_environ(
                    SSL_CERT_FILE=os.environ["SSL_CERT_FILE"],
                    DATINGTODAY_SERVER_TRUSTED_PROXIES="127.0.0.1",
                ),
            )
            assert (result.returncode, result.stderr) == (0, b""), result
            document: dict = json.loads(result.stdout)
            return document

        found = {it["check"]: it["state"] for it in printed()["findings"]}
        assert set(found) >= {"processes.worker", "processes.push", "processes.jobs", "proxy.websocket"}
        troubled = {check for check, state in found.items() if state != "ok"}
        assert troubled - {"clock.synchronized"} == {"proxy.tls"}


class TestProcesses:
    def test_without_a_server_they_are_warnings(
        self, app_of: Callable[..., Api], backend: Backend, tmp_path: Path
    ) -> None:
        api = app_of()
        settings = api.parts.base.settings
        found = examined(settings, "processes")
        assert set(states(found).values()) == {"warning"}
        beat(api)
        with push_of(api):
            found = examined(settings, "processes")
        assert troubles(found) == ["processes.api"]

    def test_beside_a_server_they_are_errors(self, app_of: Callable[..., Api]) -> None:
        settings = app_of().parts.base.settings
        if not settings.embedded:
            settings = settings.model_copy(update={"embedded": True})
        folder = DataFolder(settings.data_dir)
        folder.take()
        try:
            found = examined(settings, "processes")
        finally:
            folder.release()
        assert troubles(found) == ["processes.worker", "processes.push"]
        assert set(states(found).values()) == {"ok", "error"}

    def test_a_job_that_fails(self, app_of: Callable[..., Api]) -> None:
        from datingtoday.infra.jobs.models import JobLease

        api = app_of()
        beat(api)
        with api.parts.base.database.transaction() as session:
            row = session.query(JobLease).one()
            row.failures, row.error = 4, "OSError: disk"
        found = examined(api.parts.base.settings, "processes")
        assert states(found)["processes.jobs"] == "error"


class TestReport:
    """`/healthz` tells how a request arrived to whoever has the secret key, and to nobody else."""

    def test_the_proof(self) -> None:
        now = 1_800_000_000
        made = proof(KEY, now, "0" * 16)
        assert is_proved(KEY, made, now) and is_proved(KEY, made, now - MAX_AGE_S)
        assert not is_proved(KEY, made, now + MAX_AGE_S + 1)
        assert not is_proved(KEY[::-1], made, now)
        assert not is_proved(b"", proof(b"", now, "0" * 16), now)
        for broken in ("", "x", made[:-1], made.replace("1800000000", "1800000001"), made + "\n"):
            assert not is_proved(KEY, broken, now)

    def test_from_anywhere_with_the_key_only(self, api: Api) -> None:
        base = api.parts.base
        far = "203.0.113.7"

        def ask(header: str) -> int:
            return api.send("GET", "/healthz", address=far, headers={HEADER: header}).status

        assert ask(proof(base.secret_key, int(time.time()), "0" * 16)) == 200
        assert ask(proof(base.secret_key, int(time.time()) - 3600, "0" * 16)) == 404
        assert ask(proof(b"guess", int(time.time()), "0" * 16)) == 404


def test_a_link_is_not_followed_to_other_hosts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Only servers of the settings and --url are asked: without either, no connection is made at all."""
    import socket

    made: list[object] = []

    class Watched(socket.socket):
        def connect(self, address: object) -> None:
            made.append(address)
            super().connect(address)  # type: ignore[arg-type]

    original, socket.socket = socket.socket, Watched  # type: ignore[misc]
    try:
        assert run(["doctor", "--data", str(tmp_path / "none"), "--json"]) == 0
    finally:
        socket.socket = original  # type: ignore[misc]
    assert made == []
