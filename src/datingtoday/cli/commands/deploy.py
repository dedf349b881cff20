"""`datingtoday deploy`: the files that nginx, gunicorn, supervisord, MariaDB and Redis need."""

import sys
from pathlib import Path
from typing import Any

import click

from datingtoday.cli.options import settings_options
from datingtoday.cli.terminal import note

_FILE = click.Path(path_type=Path)


@click.group()
def command() -> None:
    """Make the files of a deployment."""


@command.command()
@settings_options
@click.option("--domain", required=True, help="Host name under which clients reach the API.")
@click.option(
    "--out",
    "folder",
    required=True,
    type=_FILE,
    help="Folder for the files: a new or empty one, or an earlier one.",
)
@click.option(
    "--certificate",
    type=_FILE,
    help="Certificate with its chain [/etc/letsencrypt/live/DOMAIN/fullchain.pem].",
)
@click.option("--certificate-key", type=_FILE, help="Its key [/etc/letsencrypt/live/DOMAIN/privkey.pem].")
@click.option(
    "--program",
    type=_FILE,
    default=Path(sys.prefix),
    help="Virtual environment of the program [the one that runs this].",
)
@click.option("--user", default="datingtoday", show_default=True, help="User that runs the processes.")
@click.option("--push-processes", type=click.IntRange(1, 64), default=2, show_default=True)
@click.option("--http-port", type=click.IntRange(1, 65535), default=80, show_default=True)
@click.option("--https-port", type=click.IntRange(1, 65535), default=443, show_default=True)
@click.option("--webroot", type=_FILE, help="Folder in which certbot puts its answers [/var/www/html].")
@click.option("--log-dir", type=_FILE, help="Logs of the processes [/var/log/datingtoday].")
@click.option("--nginx-log-dir", type=_FILE, help="Logs of nginx [/var/log/nginx].")
@click.option("--ipv6/--no-ipv6", default=True, show_default=True, help="Let nginx listen on IPv6, too.")
def render(config_file: Path | None, data_dir: Path | None, folder: Path, **given: Any) -> None:
    """Write the files for nginx, gunicorn, supervisord, systemd, logrotate, MariaDB and Redis.

    Settings are read from --config; files and settings that are missing or do not fit are refused, each with a line
    that says what to do. Nothing outside of --out is changed: docs/deployment.md says where each file goes.

    Exit codes: 0 written, 2 the options or the settings are wrong.
    """
    from datingtoday.cli.deploying import files, plan
    from datingtoday.infra.config.settings import load_settings

    settings = load_settings(config_file, data_dir)
    certificate, key = plan.certificate_of(given["domain"])
    defaults = {"certificate": certificate, "certificate_key": key}
    options = plan.Options(**(defaults | {name: value for name, value in given.items() if value is not None}))
    plan.check(settings, options)
    written = files.write(folder, files.render(settings, options))
    for path in written:
        click.echo(path)
    if not written:
        note("nothing has changed", "没有变化")
    expected = f"https://{options.domain}"
    if settings.pay.public_url and settings.pay.public_url.rstrip("/") != expected:
        note(
            f"[PAY] public_url is {settings.pay.public_url}, not {expected}: payment providers will call the former",
            f"[PAY] public_url 为 {settings.pay.public_url}，而非 {expected}：支付平台将通知前者",
        )
