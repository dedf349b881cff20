"""`datingtoday db`: the schema of the database."""

import signal
from datetime import UTC, datetime
from pathlib import Path

import click

from datingtoday.cli.main import EXIT_FAILED, CommandInterrupted
from datingtoday.cli.options import settings_options
from datingtoday.cli.parts import open_parts
from datingtoday.cli.terminal import note, say
from datingtoday.infra import migrations
from datingtoday.infra.config.settings import load_settings


@click.group()
def command() -> None:
    """Create and migrate the database."""


@command.command()
@settings_options
def upgrade(config_file: Path | None, data_dir: Path | None) -> None:
    """Bring the database up to date.

    Safe to run at the same time on several hosts. Ctrl-C stops it between two revisions; run it again to go on.

    Exit codes: 0 up to date, 1 failed, 2 the settings are wrong.
    """
    settings = load_settings(config_file, data_dir)
    if settings.embedded:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if migrations.is_current(settings.database.uri):
        say(f"up to date at {migrations.head()}", f"已是最新：{migrations.head()}")
        return
    _upgrade(settings.database.uri)
    say(f"upgraded to {migrations.head()}", f"已升级到 {migrations.head()}")


def _upgrade(uri: str) -> None:
    """Upgrade; Ctrl-C ends it between two revisions, because MySQL cannot take back half of one."""
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        if stopping:
            raise KeyboardInterrupt
        stopping = True
        note(
            "stopping after this revision; Ctrl-C again stops at once, and may leave half of it",
            "将在当前版本完成后停止；再按一次 Ctrl-C 立即停止，但可能只完成一半",
        )

    before = signal.signal(signal.SIGINT, stop)
    try:
        migrations.upgrade(uri, click.echo, should_stop=lambda: stopping)
    except migrations.MigrationStopped as error:
        raise CommandInterrupted(*error.text) from None
    finally:
        signal.signal(signal.SIGINT, before)


@command.command()
@settings_options
def current(config_file: Path | None, data_dir: Path | None) -> int:
    """Print the revision of the database and the newest one.

    Exit codes: 0 the database is up to date, 1 it is not or cannot be reached, 2 the settings are wrong.
    """
    settings = load_settings(config_file, data_dir)
    at, newest = migrations.current(settings.database.uri), migrations.head()
    say(f"database: {at or 'empty'}\nnewest: {newest}", f"数据库：{at or '空'}\n最新：{newest}")
    return 0 if at == newest else EXIT_FAILED


@command.command("new-epoch")
@settings_options
def new_epoch(config_file: Path | None, data_dir: Path | None) -> None:
    """Tell all chat clients that the database was set back (restored): they read everything from the start again.

    Exit codes: 0 done, 1 failed, 2 the settings are wrong.
    """
    with open_parts(config_file, data_dir) as parts, parts.base.database.transaction() as session:
        epoch = parts.chat.begin_epoch(session, datetime.now(UTC))
    say(f"epoch {epoch}: clients start from 0", f"epoch {epoch}：客户端将从 0 开始同步")


@command.command()
def sql() -> None:
    """Print the schema as a script for MySQL and MariaDB (the content of datingtoday.sql)."""
    click.echo(migrations.mysql_script(), nl=False)


@command.command()
@click.argument("message")
def new(message: str) -> None:
    """For developers: write a migration with what the tables in the code have and the migrations do not."""
    click.echo(str(migrations.new_revision(message)))
