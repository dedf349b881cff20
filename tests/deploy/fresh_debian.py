"""A fresh Debian in a folder, in namespaces of its own: its processes, mounts and network are not this machine's.

It is lent what a fresh machine gets from its network: a name server, certificates to trust, pip's settings.
Packages are installed without starting their servers (policy-rc.d), because the installation has the real network,
and everything else only a loopback interface of its own, on which every port is free.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.plugins.polling import wait_until
from tests.plugins.processes import end, spawn, tail_of

_LENT_VARIABLES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_DEFAULT_TIMEOUT")
_LENT_CERTIFICATES = "/etc/ssl/lent-certificates.crt"

# The first process of the machine: mounts what a running system has, then reaps whatever ends.
_INIT = r"""
import fcntl, os, signal, socket, struct, subprocess, sys

root = sys.argv[1]

def mount(*words):
    subprocess.run(["mount", *words], check=True)

mount("--make-rprivate", "/")
mount("-t", "proc", "proc", root + "/proc")
mount("-t", "tmpfs", "tmpfs", root + "/run")
mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", root + "/dev")
for name in ("null", "zero", "full", "random", "urandom", "tty"):
    open(f"{root}/dev/{name}", "w").close()
    mount("--bind", f"/dev/{name}", f"{root}/dev/{name}")
for name in ("shm", "pts"):
    os.mkdir(f"{root}/dev/{name}")
mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", root + "/dev/shm")
mount("-t", "devpts", "-o", "newinstance,ptmxmode=0666", "devpts", root + "/dev/pts")
for name, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
    os.symlink("/proc/self/" + target, f"{root}/dev/{name}")
os.symlink("pts/ptmx", root + "/dev/ptmx")
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    SIOCSIFFLAGS, IFF_UP = 0x8914, 1
    fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
print("ready", flush=True)
while True:
    signal.sigwait({signal.SIGCHLD})
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
"""


class FreshDebian:
    """Made and running after `start`; gone after `close`."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "debian"
        self._log = folder / "init.log"
        self._init: subprocess.Popen[bytes] | None = None
        self._environ = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
        }

    def start(self) -> FreshDebian:
        suite = _os_release()["VERSION_CODENAME"]
        command = ["mmdebstrap", "--variant=minbase", "--quiet", suite, str(self.root)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        self._lend()
        namespaces = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child=SIGKILL"]
        self._init = spawn([*namespaces, sys.executable, "-c", _INIT, self.root], log=self._log)
        wait_until(lambda: "ready" in tail_of(self._log), "the machine", deadline_s=60)
        return self

    def run(self, script: str, *, network: bool = False, timeout_s: int = 900) -> str:
        """Run a script of bash as root, which ends at the first error; what it prints.

        :param network: with this machine's network, and not its own.
        """
        assert self._init is not None
        pid = self._init.pid
        [child] = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        enter = ["nsenter", f"--target={child}", "--mount", "--pid", *([] if network else ["--net"])]
        environ = [f"{name}={value}" for name, value in self._environ.items()]
        shell = ["/usr/bin/env", "-i", *environ, "/bin/bash", "-euo", "pipefail", "-c", script]
        done = subprocess.run(
            [*enter, "chroot", str(self.root), *shell],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n→ {done.returncode}\n{done.stdout[-5000:]}"
        return done.stdout

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def read(self, path: str) -> str:
        return (self.root / path.lstrip("/")).read_text(errors="replace")

    def close(self) -> None:
        if self._init is not None:
            end(self._init)
        shutil.rmtree(self.root, ignore_errors=True)

    def _lend(self) -> None:
        self.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
        self.write("/etc/resolv.conf", Path("/etc/resolv.conf").read_text())
        self._environ |= {name: os.environ[name] for name in _LENT_VARIABLES if name in os.environ}
        certificates = Path("/etc/ssl/certs/ca-certificates.crt")
        if certificates.exists():
            self.write(_LENT_CERTIFICATES, certificates.read_text())
            self._environ |= {"PIP_CERT": _LENT_CERTIFICATES, "GIT_SSL_CAINFO": _LENT_CERTIFICATES}
        if Path("/etc/pip.conf").exists():
            lines = Path("/etc/pip.conf").read_text().splitlines()
            self.write(
                "/etc/pip.conf", "\n".join(line for line in lines if not line.startswith("cert")) + "\n"
            )


def _os_release() -> dict[str, str]:
    pairs = (line.partition("=") for line in Path("/etc/os-release").read_text().splitlines())
    return {name: value.strip('"') for name, _, value in pairs}
