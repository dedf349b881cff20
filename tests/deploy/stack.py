"""The whole stack on this machine: rendered files, under Debian's nginx and supervisord, on ports above 1024."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import requests

from datingtoday.infra import migrations
from tests.blackbox.client import Client
from tests.cli.running_server import PROGRAM, clean_environ
from tests.deploy.conftest import DOMAIN, Certificate
from tests.plugins.api import APPKEY, APPSECRET
from tests.plugins.backend import Backend
from tests.plugins.polling import wait_until
from tests.plugins.processes import Port, end, spawn, tail_of
from tests.plugins.tools import program

_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


class Stack:
    """nginx in front of API, push and worker under supervisord; `start` before use, `close` after it.

    :param processes: API workers, and push processes.
    """

    def __init__(self, backend: Backend, folder: Path, certificate: Certificate, processes: int) -> None:
        self.folder = folder
        self.certificate = certificate
        self.config = folder / "config.ini"
        self.data = folder / "data"
        self.logs = folder / "logs"
        self._ports = [Port() for _ in range(3)]
        self._push_ports = _consecutive_ports(processes)
        self.http_port, self.https_port, self.api_port = (port.number for port in self._ports)
        self.url = f"https://127.0.0.1:{self.https_port}"
        self.appkey, self.appsecret = APPKEY, APPSECRET
        self._processes: list[subprocess.Popen[bytes]] = []
        self._backend = backend
        for path in (self.data, self.logs):
            path.mkdir(parents=True)

    def start(self) -> Stack:
        migrations.upgrade(self._backend.database_uri)
        self.write_config()
        self.render()
        self._start_supervisor()
        self._start_nginx()
        try:
            wait_until(self._answers, "the API", deadline_s=120)
            for port in self._push_ports:
                wait_until(lambda port=port: _push_answers(port.number), "push", deadline_s=120)  # type: ignore[misc]
            wait_until(
                lambda: "worker" in (self.logs / "worker.log").read_text(), "the worker", deadline_s=120
            )
        except AssertionError as error:
            tails = [f"{path.name}:\n{tail_of(path)}" for path in sorted(self.logs.iterdir())]
            raise AssertionError("\n\n".join([str(error), *tails])) from error
        return self

    def write_config(self, more: str = "") -> None:
        """The settings of an operator; `more` is appended."""
        backend = self._backend
        self.config.write_text(
            f"[DATABASE]\nuri = {backend.database_uri}\n"
            f"[REDIS]\nuri = {backend.redis_uri}\ncache_uri = {backend.cache_uri}\nqueue_uri = {backend.queue_uri}\n"
            f"[APP]\nappkey = {self.appkey}\nappsecret = {self.appsecret}\n"
            f"[SECURITY]\nsecret_key = {'5a' * 32}\n"
            "[SMS]\nprovider = console\nallow_console = 1\n"
            f"[SERVER]\nport = {self.api_port}\nworkers = {len(self._push_ports)}\ntrusted_proxies = 127.0.0.1\n"
            f"[PUSH]\nport = {self._push_ports[0].number}\n"
            "[LIMITS]\nenabled = 0\n"
            f"[STORAGE]\npath = {self.data}/media\nx_accel = /_media/\n"
            f"[PAY]\nsandbox = 1\npublic_url = {self.url}\n{more}"
        )

    def render(self) -> None:
        """Make the files with the real command."""
        user = pwd.getpwuid(os.getuid()).pw_name
        options = {
            "domain": DOMAIN,
            "config": self.config,
            "data": self.data,
            "out": self.folder / "files",
            "certificate": self.certificate.file,
            "certificate-key": self.certificate.key,
            "program": sys.prefix,
            "user": user,
            "push-processes": len(self._push_ports),
            "http-port": self.http_port,
            "https-port": self.https_port,
            "log-dir": self.logs,
            "nginx-log-dir": self.logs,
        }
        words = [f"--{name}={value}" for name, value in options.items()]
        self.command("deploy", "render", "--no-ipv6", *words)
        shutil.copy(self.folder / "files/gunicorn/gunicorn.conf.py", self.config.parent)

    def command(self, *words: str) -> str:
        """Run `datingtoday`; what it prints."""
        done = subprocess.run(
            [PROGRAM, *words],
            capture_output=True,
            text=True,
            env=clean_environ(),
            cwd=self.folder,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def control(self, *words: str) -> str:
        """Run supervisorctl; what it prints."""
        supervisorctl = program("supervisorctl")
        assert supervisorctl is not None
        done = subprocess.run(
            [supervisorctl, "-c", self._supervisor_conf, *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (done.stdout, done.stderr)
        return done.stdout

    def pid(self, name: str) -> int:
        return int(self.control("pid", name))

    def api_workers(self) -> set[int]:
        """Pids of the processes that serve the API."""
        pid = self.pid("datingtoday-api")
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))

    def client(self) -> Client:
        """A client on the public address."""
        return Client(self.url, self.appkey, self.appsecret, "hmac-sha256", certificate=self.certificate.file)

    def shut_down(self) -> list[int]:
        """As an operator would; returns the exit codes of nginx and supervisord."""
        nginx, supervisor = self._processes[1], self._processes[0]
        nginx.send_signal(signal.SIGQUIT)
        self.control("shutdown")
        return [nginx.wait(60), supervisor.wait(60)]

    def close(self) -> None:
        for process in reversed(self._processes):
            end(process, signal.SIGTERM)
        for port in (*self._ports, *self._push_ports):
            port.release()

    @property
    def _supervisor_conf(self) -> Path:
        return self.folder / "supervisord.conf"

    def _start_supervisor(self) -> None:
        socket = self.folder / "supervisor.sock"
        self._supervisor_conf.write_text(
            f"[unix_http_server]\nfile={socket}\n"
            f"[supervisord]\nnodaemon=true\nlogfile={self.logs}/supervisord.out\nchildlogdir={self.logs}\n"
            f"pidfile={self.folder}/supervisord.pid\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
            f"[supervisorctl]\nserverurl=unix://{socket}\n"
            f"[include]\nfiles = {self.folder}/files/supervisor/datingtoday.conf\n"
        )
        binary = program("supervisord")
        assert binary is not None
        log = self.logs / "supervisord.log"
        self._processes.append(
            spawn([binary, "-n", "-c", self._supervisor_conf], log=log, cwd=self.folder, env=clean_environ())
        )

    def _start_nginx(self) -> None:
        binary = program("nginx")
        assert binary is not None
        main = self.folder / "nginx.conf"
        temporary = "".join(f"{name}_temp_path {self.folder}/{name};\n" for name in _TEMPORARY)
        main.write_text(
            f"{'user root;' if os.getuid() == 0 else ''}\ndaemon off;\nworker_processes 2;\n"
            f"pid {self.folder}/nginx.pid;\nerror_log {self.logs}/nginx.error.log;\n"
            "events { worker_connections 4096; }\n"
            f"http {{\n{temporary}include {self.folder}/files/nginx/datingtoday.conf;\n}}\n"
        )
        log = self.logs / "nginx.log"
        self._processes.append(spawn([binary, "-p", self.folder, "-c", main], log=log, cwd=self.folder))

    def _answers(self) -> bool:
        for process in self._processes:
            assert process.poll() is None, tail_of(self.logs / "supervisord.log")
        try:
            return requests.get(f"{self.url}/", verify=str(self.certificate.file), timeout=30).ok
        except requests.RequestException:
            return False


def _consecutive_ports(count: int) -> list[Port]:
    """Ports that follow one another."""
    taken: list[Port] = []
    while True:
        taken.append(Port())
        last = taken[-count:]
        if [port.number for port in last] == list(range(last[0].number, last[0].number + count)):
            for port in taken[:-count]:
                port.release()
            return last


def _push_answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=30).ok
    except requests.RequestException:
        return False
