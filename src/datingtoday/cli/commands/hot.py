"""`datingtoday hot`: what search and the hot list derive from people."""

import time
from datetime import UTC, datetime
from pathlib import Path

import click

from datingtoday.cli.main import speaks_chinese
from datingtoday.cli.options import settings_options
from datingtoday.cli.parts import open_parts

_TELL_EVERY_S = 2.0


@click.group()
def command() -> None:
    """The hot list, and the index of nicknames."""


@command.command()
@settings_options
def rebuild(config_file: Path | None, data_dir: Path | None) -> None:
    """Make the index of nicknames, everybody's score and the hot list anew out of the database.

    Needed after an import and after a change of [DISCOVERY] hot_half_life_days; what Redis lost comes back by itself.
    In small batches: servers go on meanwhile. Safe to stop and to run twice.

    Exit codes: 0 done, 1 failed (what was done stays done), 2 the settings are wrong.
    """
    told_at = time.monotonic()

    def tell(done: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= _TELL_EVERY_S:
            told_at = time.monotonic()
            click.echo(f"{done} 人 …" if speaks_chinese() else f"{done} people …")

    with open_parts(config_file, data_dir) as parts:
        done = parts.discovery.rebuild.take_in_all(tell)
        edition = parts.discovery.rebuild.make_edition(datetime.now(UTC))
    size = 0 if edition is None else edition.sizes[0]
    if speaks_chinese():
        click.echo(f"{done} 人；" + (f"热门推荐 {size} 人" if edition else "服务器正在生成热门推荐"))
    else:
        click.echo(
            f"{done} people; " + (f"{size} in the hot list" if edition else "a server is making the hot list")
        )
