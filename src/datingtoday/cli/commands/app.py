"""`datingtoday app`: the client programs, their appkeys and secrets."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datingtoday.cli.main import CommandFailed, speaks_chinese
from datingtoday.cli.options import settings_options
from datingtoday.cli.parts import require_schema
from datingtoday.cli.terminal import note, say, table
from datingtoday.infra.config.settings import load_settings

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from datingtoday.protocol.signing.client_apps import KnownApp
    from datingtoday.protocol.signing.models import ClientApp

_UNITS_S = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(0)|([1-9][0-9]{0,6})([dhms])", re.ASCII)
_LONGEST = timedelta(days=366)


class Duration(click.ParamType[timedelta]):
    """`7d`, `12h`, `30m`, `90s` or `0`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = _DURATION.fullmatch(str(value))
        span = None
        if match is not None:
            span = timedelta() if match[1] else timedelta(seconds=int(match[2]) * _UNITS_S[match[3]])
        if span is None or span > _LONGEST:
            self.fail("allowed: 0, or a number with d, h, m or s, up to 366d (7d, 12h, 30m)", param, ctx)
        return span


@click.group()
def command() -> None:
    """Manage the client programs that may sign requests.

    Running servers notice every change within a second. The client program of the settings ([APP] appkey) works
    without any of this.
    """


@command.command()
@click.argument("name")
@click.option("--hmac-only", is_flag=True, help="Accept only hmac-sha256 signatures.")
@settings_options
def create(name: str, hmac_only: bool, config_file: Path | None, data_dir: Path | None) -> None:
    """Make a client program and print its appkey and appsecret, this once.

    NAME is for people: which program, whose.

    Exit codes: 0 made, 1 failed, 2 wrong usage or settings.
    """
    from datingtoday.protocol.signing import client_apps

    with _transaction(config_file, data_dir) as (session, _):
        app, secret = client_apps.create(session, name, hmac_only=hmac_only, now=_now())
        appkey = app.appkey
    _print_secret(appkey, secret)


@command.command("list")
@settings_options
def list_(config_file: Path | None, data_dir: Path | None) -> None:
    """Show all client programs; never a secret.

    Exit codes: 0 shown, 1 failed, 2 the settings are wrong.
    """
    from datingtoday.protocol.signing import client_apps

    with _transaction(config_file, data_dir, write=False) as (session, configured):
        now = _now()
        rows = [_row(app, now) for app in client_apps.all_apps(session)]
        if configured is not None and client_apps.is_only_in_settings(session, configured.appkey, configured):
            rows.insert(0, _configured_row(configured))
    header = (
        ("appkey", "名称", "状态", "签名", "密钥")
        if speaks_chinese()
        else ("appkey", "name", "state", "signs with", "secrets")
    )
    for line in table([header, *rows]):
        click.echo(line)


@command.command()
@click.argument("appkey")
@click.option(
    "--overlap",
    type=Duration(),
    default="7d",
    show_default=True,
    help="How long the old secret keeps working beside the new one; 0 ends it at once.",
)
@click.option("--finish", is_flag=True, help="End the old secret now, without a new one.")
@settings_options
def rotate(
    appkey: str, overlap: timedelta, finish: bool, config_file: Path | None, data_dir: Path | None
) -> None:
    """Give a client program a new appsecret and print it, this once.

    Exit codes: 0 done, 1 failed (unknown appkey, two secrets live already), 2 wrong usage or settings.
    """
    from datingtoday.protocol.signing import client_apps

    now = _now()
    if finish:
        with _transaction(config_file, data_dir) as (session, configured):
            ended = client_apps.finish_rotation(session, appkey, now=now, configured=configured)
        say(f"{appkey}: {ended} old secrets ended", f"{appkey}：结束了 {ended} 个旧密钥")
        return
    with _changing(config_file, data_dir, appkey) as (session, configured):
        secret = client_apps.rotate(session, appkey, overlap=overlap, now=now, configured=configured)
    _print_secret(appkey, secret)
    if overlap:
        until = f"{now + overlap:%Y-%m-%d %H:%M:%S} UTC"
        note(f"the old secret works until {until}", f"旧密钥在 {until} 之前仍然有效")
    else:
        note("the old secret no longer works", "旧密钥已失效")


@command.command()
@click.argument("appkey")
@settings_options
def disable(appkey: str, config_file: Path | None, data_dir: Path | None) -> None:
    """Refuse all requests of a client program (1003); `enable` takes it back.

    Exit codes: 0 done, 1 failed, 2 the settings are wrong.
    """
    _set_disabled(appkey, True, config_file, data_dir)
    say(f"{appkey} is disabled", f"{appkey} 已停用")


@command.command()
@click.argument("appkey")
@settings_options
def enable(appkey: str, config_file: Path | None, data_dir: Path | None) -> None:
    """Accept a disabled client program again, with the secrets that it had.

    Exit codes: 0 done, 1 failed, 2 the settings are wrong.
    """
    _set_disabled(appkey, False, config_file, data_dir)
    say(f"{appkey} is enabled", f"{appkey} 已启用")


@command.command("hmac-only")
@click.argument("appkey")
@click.argument("state", type=click.Choice(["on", "off"]))
@settings_options
def hmac_only(appkey: str, state: str, config_file: Path | None, data_dir: Path | None) -> None:
    """Accept only sign_method=hmac-sha256 from a client program (on), or md5 as well (off).

    Exit codes: 0 done, 1 failed, 2 wrong usage or settings.
    """
    from datingtoday.protocol.signing import client_apps

    with _changing(config_file, data_dir, appkey) as (session, configured):
        client_apps.set_hmac_only(session, appkey, hmac_only=state == "on", now=_now(), configured=configured)
    if state == "on":
        say(f"{appkey} signs with hmac-sha256 only", f"{appkey} 只能使用 hmac-sha256 签名")
    else:
        say(f"{appkey} signs with md5 or hmac-sha256", f"{appkey} 可使用 md5 或 hmac-sha256 签名")


def _set_disabled(appkey: str, disabled: bool, config_file: Path | None, data_dir: Path | None) -> None:
    from datingtoday.protocol.signing import client_apps

    with _changing(config_file, data_dir, appkey) as (session, configured):
        client_apps.set_disabled(session, appkey, disabled=disabled, now=_now(), configured=configured)


@contextmanager
def _changing(
    config_file: Path | None, data_dir: Path | None, appkey: str
) -> Iterator[tuple["Session", "KnownApp | None"]]:
    """A transaction that may give the settings' client program its row, and says so after the commit."""
    from datingtoday.protocol.signing import client_apps

    with _transaction(config_file, data_dir) as (session, configured):
        was_only_there = client_apps.is_only_in_settings(session, appkey, configured)
        yield session, configured
        adopted = was_only_there and not client_apps.is_only_in_settings(session, appkey, configured)
    if adopted:
        note(
            f"{appkey} is in the database from now on; [APP] appsecret and hmac_only no longer count for it",
            f"{appkey} 从此以数据库为准；[APP] appsecret 与 hmac_only 对它不再起作用",
        )


@contextmanager
def _transaction(
    config_file: Path | None, data_dir: Path | None, *, write: bool = True
) -> Iterator[tuple["Session", "KnownApp | None"]]:
    """A transaction on the database of the settings, and the settings' own client program."""
    from sqlalchemy.exc import IntegrityError

    from datingtoday.infra.db import Database, DatabaseDown
    from datingtoday.protocol.signing.client_apps import KnownApp

    settings = load_settings(config_file, data_dir)
    require_schema(settings)
    own = settings.app
    configured = KnownApp(own.appkey, ((own.appsecret, None),), own.hmac_only) if own.appkey else None
    database = Database(settings.database.uri, timeout_s=settings.database.timeout_s)
    try:
        with database.transaction(write=write) as session:
            yield session, configured
    except IntegrityError as error:
        raise CommandFailed(
            "another process changed the same client program at the same time; try again",
            "同一客户端程序正被他人修改；请重试",
        ) from error
    except DatabaseDown as error:
        raise CommandFailed(
            "the database cannot be reached; nothing was changed", "无法连接数据库；没有做任何修改"
        ) from error
    finally:
        database.dispose()


def _row(app: "ClientApp", now: datetime) -> tuple[str, ...]:
    zh = speaks_chinese()
    state = ("停用" if zh else "disabled") if app.disabled else ("启用" if zh else "enabled")
    live = app.live_secrets(now)
    ends = [f"{secret.expires_at:%Y-%m-%d %H:%M} UTC" for secret in live if secret.expires_at is not None]
    secrets = f"{len(live)} 个有效" if zh else f"{len(live)} live"
    if ends:
        secrets += f"，较早的到 {ends[0]}" if zh else f", the older until {ends[0]}"
    return app.appkey, app.name, state, _methods(app.hmac_only), secrets


def _configured_row(app: "KnownApp") -> tuple[str, ...]:
    name, state, secrets = (
        ("[APP]", "启用", "在配置中") if speaks_chinese() else ("[APP]", "enabled", "in the settings")
    )
    return app.appkey, name, state, _methods(app.hmac_only), secrets


def _methods(hmac_only: bool) -> str:
    return "hmac-sha256" if hmac_only else "md5, hmac-sha256"


def _print_secret(appkey: str, secret: str) -> None:
    click.echo(f"appkey = {appkey}\nappsecret = {secret}")
    note("the appsecret is shown this once: store it now", "appsecret 只显示这一次，请立即保存")


def _now() -> datetime:
    return datetime.now(UTC)
