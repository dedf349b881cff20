"""`datingtoday deploy render`: what it writes, what its programs say to it, and what it refuses."""

from __future__ import annotations

import configparser
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from datingtoday.cli.deploying.files import MADE_BY, TEMPLATES
from datingtoday.infra.db import Database
from tests.deploy.conftest import CONFIG, DOMAIN, Render
from tests.plugins.tools import program

pytestmark = pytest.mark.needs("openssl")

ROOT = Path(__file__).parents[2]
Capture = pytest.CaptureFixture[str]


def written(render: Render, path: str) -> str:
    return (render.out / path).read_text(encoding="utf-8")


# -- what is written


def test_all_files_follow_the_settings(render: Render, tmp_path: Path, capsys: Capture) -> None:
    assert render(push_processes=3) == 0
    told = capsys.readouterr()
    assert set(told.out.split()) == {str(render.out / path) for path in TEMPLATES}
    assert told.err == ""
    nginx = written(render, "nginx/datingtoday.conf")
    for line in (
        "server 127.0.0.1:18000 max_fails=0;",
        "server 127.0.0.1:18102 max_fails=1 fail_timeout=2s;",
        "client_max_body_size 5000000;",
        f"return 308 https://{DOMAIN}:18443$request_uri;",
        f"alias {tmp_path}/data/media/;",
    ):
        assert line in nginx
    gunicorn: dict[str, object] = {}
    exec(written(render, "gunicorn/gunicorn.conf.py"), gunicorn)
    assert (gunicorn["bind"], gunicorn["workers"], gunicorn["threads"]) == ("127.0.0.1:18000", 2, 4)
    assert gunicorn["forwarded_allow_ips"] == "127.0.0.1"
    supervisor = configparser.RawConfigParser()
    supervisor.read(render.out / "supervisor/datingtoday.conf")
    push = supervisor["program:datingtoday-push"]
    assert (push["numprocs"], push["numprocs_start"]) == ("3", "18100")
    environment = f'DATINGTODAY_CONFIG="{render.config}",DATINGTODAY_DATA="{tmp_path}/data"'
    assert push["environment"].startswith(environment)


def test_a_supervisor_waits_longer_than_a_process_takes_to_end(render: Render) -> None:
    assert render() == 0
    gunicorn: dict[str, int] = {}
    exec(written(render, "gunicorn/gunicorn.conf.py"), gunicorn)
    supervisor = configparser.RawConfigParser()
    supervisor.read(render.out / "supervisor/datingtoday.conf")
    promised = {"api": gunicorn["graceful_timeout"], "push": 5, "worker": 5}
    for name, seconds in promised.items():
        section = supervisor[f"program:datingtoday-{name}"]
        patience_s = int(section["stopwaitsecs"])
        assert patience_s > seconds
        [unit] = (render.out / "systemd").glob(f"datingtoday-{name}*.service")
        stop = re.search(r"^TimeoutStopSec=(\d+)$", unit.read_text(), re.MULTILINE)
        assert stop is not None
        assert int(stop[1]) == patience_s


def test_nginx_closes_idle_connections_before_gunicorn_does(render: Render) -> None:
    from gunicorn.workers import gthread

    linger_s: float = gthread.STOP_KEEPALIVE_LINGER  # type: ignore[attr-defined]
    assert render() == 0
    found = re.search(
        r"keepalive_timeout (\d+)s;\n    keepalive_requests", written(render, "nginx/datingtoday.conf")
    )
    assert found is not None
    gunicorn: dict[str, int] = {}
    exec(written(render, "gunicorn/gunicorn.conf.py"), gunicorn)
    assert int(found[1]) < min(linger_s, gunicorn["keepalive"])


def test_without_x_accel_nginx_reads_no_files(render: Render) -> None:
    render.config.write_text(CONFIG.replace("x_accel = /_media/", ""))
    assert render() == 0
    assert "alias" not in written(render, "nginx/datingtoday.conf")


def test_objects_of_another_store_are_not_read_by_nginx(render: Render) -> None:
    s3 = "provider = s3\ns3_bucket = b\ns3_access_key = AKIAEXAMPLE1\ns3_secret_key = 5c1e7f0e8f0b4b1f\n"
    render.config.write_text(CONFIG + s3)
    assert render() == 0
    assert "alias" not in written(render, "nginx/datingtoday.conf")


def test_a_second_time_only_what_has_changed_is_written(render: Render, capsys: Capture) -> None:
    assert render() == 0
    capsys.readouterr()
    assert render() == 0
    assert capsys.readouterr() == ("", "datingtoday: nothing has changed\n")
    render.config.write_text(
        CONFIG.replace("[PROTOCOL]", "[PROTOCOL]\nexplain = 0").replace("port = 18000", "port = 18001")
    )
    assert render() == 0
    assert sorted(capsys.readouterr().out.split()) == [
        str(render.out / "gunicorn/gunicorn.conf.py"),
        str(render.out / "nginx/datingtoday.conf"),
    ]


def test_another_public_address_is_mentioned(render: Render, capsys: Capture) -> None:
    render.config.write_text(CONFIG + "[PAY]\npublic_url = https://pay.example.com\n")
    assert render() == 0
    assert "[PAY] public_url is https://pay.example.com" in capsys.readouterr().err
    for slash in ("", "/"):
        render.config.write_text(CONFIG + f"[PAY]\npublic_url = https://{DOMAIN}{slash}\n")
        assert render() == 0
        assert "public_url" not in capsys.readouterr().err


def test_a_media_folder_of_its_own(render: Render) -> None:
    render.config.write_text(CONFIG + "path = /srv/media\n")
    assert render() == 0
    assert "alias /srv/media/;" in written(render, "nginx/datingtoday.conf")


@pytest.mark.parametrize(
    ("push_port", "https_port"), [(65534, 18443), (18100, 18102), (18100, 18099), (18445, 18443)]
)
def test_ports_side_by_side(render: Render, push_port: int, https_port: int) -> None:
    """Two push processes: up to the last port that there is, and next to the others."""
    render.config.write_text(CONFIG.replace("port = 18100", f"port = {push_port}"))
    assert render(https_port=https_port) == 0


@pytest.mark.parametrize("path", TEMPLATES)
def test_the_repository_shows_every_file(path: str) -> None:
    """`datingtoday docs check` compares their text."""
    assert MADE_BY in (ROOT / "deploy" / path).read_text(encoding="utf-8")


# -- what the programs say


@pytest.mark.needs("nginx")
@pytest.mark.parametrize("options", [(), ("--no-ipv6",)])
def test_nginx_takes_it(render: Render, tmp_path: Path, options: tuple[str, ...]) -> None:
    assert render(*options) == 0
    main = tmp_path / "nginx.conf"
    main.write_text(
        f"pid {tmp_path}/pid; events {{}} http {{ include {render.out}/nginx/datingtoday.conf; }}"
    )
    binary = program("nginx")
    assert binary is not None
    done = subprocess.run(
        [binary, "-t", "-e", "stderr", "-c", main], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


@pytest.mark.needs("systemd")
def test_systemd_takes_it(render: Render, tmp_path: Path) -> None:
    assert render() == 0
    units = sorted((render.out / "systemd").iterdir())
    for unit in units:
        # The user exists on the host that they are for.
        unit.write_text(re.sub(r"^(User|Group)=.*\n", "", unit.read_text(), flags=re.MULTILINE))
    analyze = program("systemd-analyze")
    assert analyze is not None
    done = subprocess.run(
        [analyze, "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if "datingtoday" in line]
    assert (done.returncode, ours) == (0, []), done.stderr


@pytest.mark.needs("logrotate")
def test_logrotate_takes_it(render: Render, tmp_path: Path) -> None:
    assert render(log_dir=tmp_path) == 0
    logrotate = program("logrotate")
    assert logrotate is not None
    done = subprocess.run(
        [logrotate, "--debug", "--state", tmp_path / "state", render.out / "logrotate/datingtoday"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr.lower()


@pytest.mark.needs("mariadb")
def test_mariadb_takes_it(render: Render) -> None:
    assert render() == 0
    binary = program("mariadbd")
    assert binary is not None
    done = subprocess.run(
        [binary, f"--defaults-file={render.out}/mariadb/60-datingtoday.cnf", "--verbose", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    values = dict(re.findall(r"^([a-z-]+) +(\S+)$", done.stdout, re.MULTILINE))
    assert values["innodb-flush-log-at-trx-commit"] == values["sync-binlog"] == "1"
    assert (values["transaction-isolation"], values["character-set-server"]) == ("READ-COMMITTED", "utf8mb4")


def test_mariadb_has_connections_for_all_processes(render: Render) -> None:
    assert render(push_processes=3) == 0
    found = re.search(r"max_connections = (\d+)", written(render, "mariadb/60-datingtoday.cnf"))
    assert found is not None
    database = Database("mysql+pymysql://a:b@h/d?charset=utf8mb4", pool_size=10, timeout_s=1)
    pool: Any = database.engine.pool
    most = pool.size() + pool._max_overflow
    database.dispose()
    # Two workers, three push processes and the background one; and forty for commands and people.
    assert int(found[1]) == most * (2 + 3 + 1) + 40


# -- what is refused


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"domain": "api"}, "--domain: api: is malformed; allowed: a host name"),
        ({"domain": "API.example.com"}, "--domain: API.example.com: is malformed"),
        ({"domain": "a.example.com;x"}, "--domain: a.example.com;x: is malformed"),
        ({"domain": "约会.cn"}, "in their xn-- form"),
        ({"user": "ro ot"}, "--user: ro ot: is no user name"),
        ({"program": "/nowhere"}, "--program: /nowhere: is no virtual environment"),
        ({"certificate": "/no/such.pem"}, "--certificate: /no/such.pem: no such file; get one with: certbot"),
        (
            {"certificate": None},
            "--certificate: /etc/letsencrypt/live/api.example.com/fullchain.pem: no such file",
        ),
        ({"certificate_key": "/no/such.pem"}, "--certificate-key: /no/such.pem: no such file"),
        (
            {"certificate_key": "config.ini"},
            "does not fit to --certificate-key config.ini, or one of them is no PEM",
        ),
        ({"https_port": 18080}, "--http-port, --https-port and [SERVER] port: must differ"),
        ({"https_port": 18000}, "--http-port, --https-port and [SERVER] port: must differ"),
        ({"https_port": 18100}, "[PUSH] port: 2 processes need the ports 18100 to 18101"),
        ({"https_port": 18101}, "[PUSH] port: 2 processes need the ports 18100 to 18101"),
        ({"log_dir": "/var/log/a b"}, "--log-dir: /var/log/a b: allowed: an absolute path"),
        ({"webroot": "www"}, "--webroot: www: allowed: an absolute path"),
        ({"data": "/var/a b"}, "--data: /var/a b: allowed: an absolute path"),
        ({"config": None}, "--config: is missing"),
        ({"config": "other.ini"}, "config file not found: other.ini"),
    ],
)
def test_wrong_options(render: Render, options: dict[str, object], said: str, capsys: Capture) -> None:
    if options == {"config": None}:
        render.config.unlink()
    assert render(**options) == 2
    assert said in capsys.readouterr().err
    assert not render.out.exists(), "nothing is written"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("trusted_proxies = 127.0.0.1", "", "[SERVER] trusted_proxies: must contain 127.0.0.1"),
        ("trusted_proxies = 127.0.0.1", "trusted_proxies = 10.0.0.0/8, ::1", "must contain 127.0.0.1"),
        ("port = 18000", "forwarded_header = forwarded", "must be x-forwarded-for (or either)"),
        ("port = 18000", "worker_class = gevent", "[SERVER] worker_class: these files are for gthread"),
        ("[REDIS]\nuri = redis://127.0.0.1:6379/0", "", "[REDIS] uri: is missing"),
        ("appsecret = 5c1e7f0e8f0b4b1f", "", "[APP] appsecret"),
        ("port = 18100", "port = 65535", "which must be free and at most 65535"),
        ("x_accel = /_media/", "x_accel = /_media/\npath = /srv/a b", "[STORAGE] path: /srv/a b: allowed"),
        ("[SMS]\n", "[SMS]\necho = 1\n", "[SMS] echo"),
    ],
)
def test_settings_that_do_not_fit(render: Render, old: str, new: str, said: str, capsys: Capture) -> None:
    assert old in CONFIG
    render.config.write_text(CONFIG.replace(old, new))
    assert render() == 2
    assert said in capsys.readouterr().err
    assert not render.out.exists(), "nothing is written"


def test_everything_that_is_missing_is_said_at_once_and_in_chinese(
    render: Render, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    render.config.write_text("[SERVER]\nport = 18000\n")
    assert render(domain="nobody", certificate="/no/such.pem") == 2
    lines = capsys.readouterr().err.splitlines()
    for said in (
        "--domain：nobody：格式不正确",
        "--certificate：/no/such.pem：文件不存在",
        "[DATABASE] uri：未设置",
        "[REDIS] uri：未设置",
        "[SERVER] trusted_proxies：必须包含 nginx 所在的 127.0.0.1",
    ):
        assert any(said in line for line in lines), said


def test_a_redis_without_a_password_is_no_published_example(render: Render, capsys: Capture) -> None:
    assert "redis://127.0.0.1:6379/0" in CONFIG
    assert render() == 0
    render.config.write_text(CONFIG.replace("k3Wq9x", "change-me"))
    assert render() == 2
    assert "[DATABASE] uri" in capsys.readouterr().err
