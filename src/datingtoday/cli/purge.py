"""`datingtoday purge`: rows that nothing needs any more."""

import time
from datetime import UTC, datetime
from pathlib import Path

import click

from datingtoday.cli.main import CommandFailed, speaks_chinese
from datingtoday.cli.options import settings_options
from datingtoday.infra.config import load_settings

_TELL_EVERY_S = 2.0


@click.command()
@settings_options
@click.option(
    "--batch",
    "batch_rows",
    type=click.IntRange(1, 10_000),
    default=1000,
    show_default=True,
    help="The most rows that one statement touches.",
)
@click.option("--quiet", is_flag=True, help="Say nothing but errors; for cron.")
def command(config_file: Path | None, data_dir: Path | None, batch_rows: int, quiet: bool) -> None:
    """Remove SMS codes older than 2 days, and logins that expired more than 30 days ago.

    In small batches: servers go on meanwhile. Safe to stop and to run twice. Run it once a day.

    Exit codes: 0 done, 1 failed (what was removed stays removed), 2 the settings are wrong.
    """
    from datingtoday.accounts.jobs import purge
    from datingtoday.infra import migrations
    from datingtoday.infra.db import Database, DatabaseDown
    from datingtoday.infra.logs import configure_logs

    settings = load_settings(config_file, data_dir)
    configure_logs(settings.log.level)
    if not migrations.is_current(settings.database.uri):
        raise CommandFailed(
            "the database is not up to date: run `datingtoday db upgrade`",
            "数据库不是最新版本：请运行 `datingtoday db upgrade`",
        )
    told_at = time.monotonic()

    def tell(table: str, removed: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= _TELL_EVERY_S:
            told_at = time.monotonic()
            click.echo(_line(table, removed, more=True))

    database = Database(settings.database.uri, timeout_s=settings.database.timeout_s)
    try:
        quiet_tell = (lambda table, removed: None) if quiet else tell
        removed = purge(database, datetime.now(UTC), batch_rows=batch_rows, tell=quiet_tell)
    except DatabaseDown as error:
        raise CommandFailed(
            "the database cannot be reached; what was removed stays removed",
            "无法连接数据库；已删除的部分不受影响",
        ) from error
    finally:
        database.dispose()
    if not quiet:
        for table, count in removed.items():
            click.echo(_line(table, count, more=False))


def _line(table: str, removed: int, *, more: bool) -> str:
    so_far = " …" if more else ""
    return (
        f"{table}: 已删除 {removed} 行{so_far}" if speaks_chinese() else f"{table}: {removed} removed{so_far}"
    )
