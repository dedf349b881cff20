"""Values of a deployment's files: what the settings and the options of `deploy render` come to, and what is missing."""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from datingtoday.infra.config.settings import ConfigError, Settings, raise_together
from datingtoday.infra.server.listening import MAX_PORT

LOOPBACK = "127.0.0.1"
WEBROOT = Path("/var/www/html")
"""Folder of Debian's web servers, in which certbot puts its answers."""
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?=.{{4,253}}$){_LABEL}(\.{_LABEL})*\.[a-z][a-z0-9-]{{0,61}}[a-z0-9]")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
# Everything else would have to be quoted, differently in each of the files.
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9._@+/-]*")
_WILDCARDS = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not listened on
_EXTRA_CONNECTIONS = 40


@dataclass(frozen=True, slots=True)
class Options:
    """Values that no setting knows.

    :param program: the virtual environment, by the path under which it is found after an upgrade, too.
    :param push_processes: each listens on a port of its own, from [PUSH] port on.
    """

    domain: str
    certificate: Path
    certificate_key: Path
    program: Path
    user: str = "datingtoday"
    push_processes: int = 2
    http_port: int = 80
    https_port: int = 443
    webroot: Path = WEBROOT
    log_dir: Path = Path("/var/log/datingtoday")
    nginx_log_dir: Path = Path("/var/log/nginx")
    supervisor_pid: Path = Path("/run/supervisord.pid")
    ipv6: bool = True


def certificate_of(domain: str) -> tuple[Path, Path]:
    """The files in which certbot keeps a domain's certificate and its key."""
    folder = Path("/etc/letsencrypt/live", domain)
    return folder / "fullchain.pem", folder / "privkey.pem"


def check(settings: Settings, options: Options) -> None:
    """Raise everything that is missing for files that would work on this machine.

    :raises ConfigError: one line for each.
    """
    from datingtoday.infra.config.serving import serving_problems

    problems = [
        *_option_problems(options),
        *_file_problems(options),
        *_servers_missing(settings),
        *serving_problems(settings),
        *_proxy_problems(settings),
        *_address_problems(settings, options),
    ]
    raise_together(problems)


def context_of(settings: Settings, options: Options) -> dict[str, object]:
    """Variables of the templates."""
    server, push, storage = settings.server, settings.push, settings.storage
    config_file = settings.config_file or Path("/etc/datingtoday/config.ini")
    is_local = storage.provider == "local" and bool(storage.x_accel)
    processes = server.workers + options.push_processes + 1
    suffix = "" if options.https_port == 443 else f":{options.https_port}"
    return {
        "domain": options.domain,
        "certificate": options.certificate,
        "certificate_key": options.certificate_key,
        "webroot": options.webroot,
        "http_port": options.http_port,
        "https_port": options.https_port,
        "https_suffix": suffix,
        "ipv6": options.ipv6,
        "nginx_log_dir": options.nginx_log_dir,
        "log_dir": options.log_dir,
        "supervisor_pid": options.supervisor_pid,
        "program": options.program,
        "user": options.user,
        "config_file": config_file.absolute(),
        "config_dir": config_file.absolute().parent,
        "data_dir": settings.data_dir,
        "api_bind": _bracketed(server.host, server.port),
        "api_address": _bracketed(_reachable(server.host), server.port),
        "push_host": _reachable(push.host),
        "push_ports": [push.port + number for number in range(options.push_processes)],
        "workers": server.workers,
        "threads": server.threads,
        "trusted_proxies": ",".join(server.trusted_proxies),
        "max_body_bytes": settings.protocol.max_body_bytes,
        "media_location": storage.x_accel if is_local else "",
        "media_folder": Path(storage.path or settings.data_dir / "media"),
        "connections": {
            "each": 2 * settings.database.pool_size,
            "processes": processes,
            "total": 2 * settings.database.pool_size * processes + _EXTRA_CONNECTIONS,
        },
    }


def _option_problems(options: Options) -> Iterator[ConfigError]:
    if not _DOMAIN.fullmatch(options.domain):
        yield _option(
            "domain",
            options.domain,
            "is malformed; allowed: a host name in lower case, such as api.example.com "
            "(names with other letters in their xn-- form)",
            "格式不正确；应为小写主机名，如 api.example.com（含其他文字的域名写成 xn-- 形式）",
        )
    if not _USER.fullmatch(options.user):
        yield _option("user", options.user, "is no user name", "不是合法的用户名")
    if not (options.program / "bin" / "python").exists():
        yield _option(
            "program",
            options.program,
            "is no virtual environment: there is no bin/python in it",
            "不是虚拟环境：其中没有 bin/python",
        )
    for name in ("program", "certificate", "certificate_key", "webroot", "log_dir", "nginx_log_dir"):
        path = getattr(options, name)
        if not _PLAIN_PATH.fullmatch(str(path)):
            yield _option(
                name.replace("_", "-"),
                path,
                "allowed: an absolute path of letters, digits and . _ @ + - /",
                "应为绝对路径，只含字母、数字和 . _ @ + - /",
            )


def _file_problems(options: Options) -> Iterator[ConfigError]:
    certificate, key = options.certificate, options.certificate_key
    for name, path in (("certificate", certificate), ("certificate-key", key)):
        # stat, not access: root may read everything, and os.access asks for the real user.
        if not path.is_file():
            yield _option(
                name,
                path,
                f"no such file; get one with: certbot certonly --webroot -w {options.webroot} -d {options.domain}",
                f"文件不存在；可用以下命令申请：certbot certonly --webroot -w {options.webroot} -d {options.domain}",
            )
            return
        if not os.access(path, os.R_OK):
            yield _option(name, path, "cannot be read; run this as root", "无法读取；请以 root 身份运行")
            return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or error.strerror or "unreadable"
        yield _option(
            "certificate",
            certificate,
            f"does not fit to --certificate-key {key}, or one of them is no PEM file ({reason})",
            f"与 --certificate-key {key} 不匹配，或其中之一不是 PEM 文件（{reason}）",
        )


def _servers_missing(settings: Settings) -> Iterator[ConfigError]:
    if settings.config_file is None:
        yield ConfigError(
            "--config: is missing; the processes need a file with their settings (config.example.ini)",
            "--config：未指定；各进程需要配置文件（见 config.example.ini）",
        )
    for section, value in (
        ("DATABASE", "" if settings.embedded else settings.database.uri),
        ("REDIS", settings.redis.uri),
    ):
        if not value:
            yield ConfigError(
                f"[{section}] uri: is missing; a deployment has servers of its own",
                f"[{section}] uri：未设置；部署时须使用自己的服务",
            )


def _proxy_problems(settings: Settings) -> Iterator[ConfigError]:
    """nginx connects from this host, and tells the client's address in X-Forwarded-For."""
    server = settings.server
    nginx = ipaddress.ip_address(LOOPBACK)
    networks = [ipaddress.ip_network(network, strict=False) for network in server.trusted_proxies]
    if not any(nginx in network for network in networks if network.version == nginx.version):
        yield ConfigError(
            f"[SERVER] trusted_proxies: must contain {LOOPBACK}, where nginx connects from; otherwise all clients "
            "share one address and its limits",
            f"[SERVER] trusted_proxies：必须包含 nginx 所在的 {LOOPBACK}，否则所有客户端共用一个地址及其限额",
        )
    if server.forwarded_header == "forwarded":
        yield ConfigError(
            "[SERVER] forwarded_header: must be x-forwarded-for (or either): this nginx writes X-Forwarded-For",
            "[SERVER] forwarded_header：应为 x-forwarded-for（或 either）：此 nginx 使用 X-Forwarded-For",
        )


def _address_problems(settings: Settings, options: Options) -> Iterator[ConfigError]:
    last = settings.push.port + options.push_processes - 1
    ports = {options.http_port, options.https_port}
    if len(ports) < 2 or settings.server.port in ports:
        yield ConfigError(
            "--http-port, --https-port and [SERVER] port: must differ",
            "--http-port、--https-port 与 [SERVER] port：必须各不相同",
        )
    if last > MAX_PORT or {settings.server.port, *ports} & set(range(settings.push.port, last + 1)):
        yield ConfigError(
            f"[PUSH] port: {options.push_processes} processes need the ports {settings.push.port} to {last}, which "
            f"must be free and at most {MAX_PORT}",
            f"[PUSH] port：{options.push_processes} 个进程需要端口 {settings.push.port} 至 {last}，"
            f"不得与其他端口重复，且不大于 {MAX_PORT}",
        )
    if settings.server.worker_class != "gthread":
        yield ConfigError(
            "[SERVER] worker_class: these files are for gthread",
            "[SERVER] worker_class：这些文件用于 gthread",
        )
    storage = settings.storage
    for name, path in (
        ("--config", (settings.config_file or Path("/")).absolute()),
        ("--data", settings.data_dir),
        ("[STORAGE] path", Path(storage.path or "/")),
    ):
        if not _PLAIN_PATH.fullmatch(str(path)):
            yield ConfigError(
                f"{name}: {path}: allowed: an absolute path of letters, digits and . _ @ + - /",
                f"{name}：{path}：应为绝对路径，只含字母、数字和 . _ @ + - /",
            )


def _option(name: str, value: object, en: str, zh: str) -> ConfigError:
    return ConfigError(f"--{name}: {value}: {en}", f"--{name}：{value}：{zh}")


def _reachable(host: str) -> str:
    return LOOPBACK if host in _WILDCARDS else host


def _bracketed(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
